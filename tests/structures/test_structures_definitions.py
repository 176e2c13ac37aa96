"""Structures and samplers as nodes of a dataset: built from plain configuration, labelled, enlarged."""

from __future__ import annotations

import numpy as np
import pytest

from mhipnn.config import compose_config
from mhipnn.data.definition import DatasetDefinition
from mhipnn.data.labelling import label_realisation
from mhipnn.errors import InputError

STRUCTURES = "mhipnn.structures."
SAMPLERS = {
    "canted": {"_target_": STRUCTURES + "ordered.OrderedSpins", "order": "neel", "q": [3.1416, 3.1416], "n": 2},
    "thermal": {
        "_target_": STRUCTURES + "boltzmann.BoltzmannSpins",
        "temperature": 0.3,
        "exchange": {"_target_": STRUCTURES + "exchange.ShellExchange", "J": [-1, 0.2], "distances": [1, 1.4142]},
        "equilibration": 20,
        "every": 2,
    },
}


def definition(**structure):
    return DatasetDefinition(
        name="lattice",
        structure={"_target_": STRUCTURES + "crystal.DilutedLattice", "cells": [4, 4], "vacancies": 0.25} | structure,
        potential={"_target_": "mhipnn.electrons.sd_model.SDModel", "J": 3, "filling": 1, "temperature": 0.05},
        samplers=SAMPLERS,
        splits={"train": 2, "val": 1, "test": 1},
        size_split={"factor": 4, "realisations": 1, "samplers": {"canted": SAMPLERS["canted"]}},
    )


def test_a_diluted_alloy_is_labelled():
    alloy = definition(species={"fractions": [0.75, 0.25]})
    labelled = label_realisation(alloy, "train", 0)
    assert labelled.n_sites.tolist() == [12, 12, 12]
    assert labelled.time.tolist() == [-1] * 3
    assert np.bincount(labelled.species[:12]).tolist() == [9, 3]
    again = label_realisation(alloy, "train", 0)
    assert (labelled.field == again.field).all()
    assert len(label_realisation(alloy, "train", 1)) == 2
    large = label_realisation(alloy, "size", 0)
    assert large.n_sites.tolist() == [48, 48]
    assert np.bincount(large.species[:48]).tolist() == [36, 12]
    # the same sites and spins without species
    plain = label_realisation(definition(), "train", 0)
    assert (plain.positions == labelled.positions).all()
    assert (plain.spins == labelled.spins).all()


def test_mistakes_are_told_before_any_label():
    with pytest.raises(InputError, match="vacancies"):
        label_realisation(definition(vacancies=2), "train", 0)


@pytest.mark.parametrize("system", ["crystal", "displaced_lattice", "diluted_lattice", "random_sites"])
def test_the_nodes_of_simulate_hold_every_argument(system):
    from hydra.utils import get_class, instantiate

    node = compose_config("simulate", [f"system={system}"]).system
    assert set(node) - {"_target_"} == set(get_class(node._target_).__dataclass_fields__)
    structure = instantiate(node)
    assert structure.sample(np.random.default_rng(0)).n_sites == structure.n_sites
