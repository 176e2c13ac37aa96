"""The hash of a dataset: equal for equal meaning, different for whatever changes a label."""

from __future__ import annotations

import copy
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mhipnn.data.definition import DatasetDefinition
from mhipnn.errors import DatasetError

BASE = {
    "name": "toy",
    "structure": {"_target_": "mhipnn.structures.RandomSites", "n_sites": 10, "density": 1.0},
    "potential": {"_target_": "mhipnn.electrons.SDModel", "J": 3.0, "filling": 1.0, "temperature": 0.05},
    "samplers": {"b": {"_target_": "mhipnn.structures.RandomSpins", "n": 2}, "a": {"_target_": "x.Y", "times": [1, 2]}},
    "splits": {"train": 4, "val": 2, "test": 2},
    "size_split": {"factor": 4, "realisations": 1, "samplers": {"r": {"_target_": "mhipnn.structures.RandomSpins"}}},
    "seed": 0,
}


def changed(path: str, value: object) -> DatasetDefinition:
    node = values = copy.deepcopy(BASE)
    *parents, last = path.split(".")
    for key in parents:
        node = node[key]
    node[last] = value
    return DatasetDefinition(**values)


def shuffled(value, rng):
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return value


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_hash_ignores_the_order_of_keys(seed):
    other = DatasetDefinition(**shuffled(BASE, random.Random(seed)))
    assert other.digest == DatasetDefinition(**BASE).digest
    assert list(other.samplers) == ["a", "b"]


def test_hash_is_fixed():
    # A dataset made by an earlier version must be found again: raise LABEL_FORMAT before changing this number.
    assert DatasetDefinition(**BASE).digest[:12] == "9af3116006e8"


@pytest.mark.parametrize(
    ("path", "value"),
    [("name", "other"), ("potential.J", 3), ("structure.n_sites", 10.0), ("samplers.c", None)]
    + [("splits.val", 3), ("splits.train", 400), ("size_split.realisations", 7)],
)
def test_hash_ignores_what_changes_no_label(path, value):
    assert changed(path, value).digest == DatasetDefinition(**BASE).digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 1),
        ("potential.J", 3.0000000001),
        ("structure.n_sites", 11),
        ("samplers.b.n", 3),
        ("samplers.a.times", [2, 1]),
        ("samplers.b", None),
        ("size_split", None),
        ("size_split.factor", 2),
    ],
)
def test_hash_sees_what_changes_labels(path, value):
    assert changed(path, value).digest != DatasetDefinition(**BASE).digest


def test_omegaconf_nodes_are_resolved():
    cfg = OmegaConf.create({"kT": 0.05, "potential": dict(BASE["potential"], temperature="${kT}")})
    assert changed("potential", cfg.potential).digest == DatasetDefinition(**BASE).digest


def test_json_round_trip_and_folder(tmp_path):
    definition = DatasetDefinition(**BASE)
    again = DatasetDefinition.from_json(definition.to_json(), name="toy")
    assert again == definition
    assert definition.folder(tmp_path) == tmp_path / f"toy-{definition.digest[:12]}"
    assert "name" not in json.loads(definition.to_json())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("splits.train", 0, "empty dataset"),
        ("splits.val", 2.5, "splits.val must be an integer >= 1"),
        ("splits", {"train": 3, "val": 1}, "missing test"),
        ("splits.tset", 3, "did you mean 'test'"),
        ("samplers", {}, "no sampler"),
        ("samplers", [1], "named samplers"),
        ("size_split.realisations", 0, "empty size split"),
        ("size_split.samplers", {"r": None}, "size_split: null"),
        ("size_split.n", 3, "unknown key 'n'"),
        ("potential.J", float("nan"), "potential.J = nan"),
        ("potential.J", 1j, "complex is not plain data"),
        ("structure", None, "structure: expected a node"),
        ("seed", -1, "seed must be an integer >= 0"),
        ("seed", True, "seed must be an integer >= 0"),
        ("name", "a/b", "plain word"),
        ("name", "", "plain word"),
    ],
)
def test_bad_definitions_are_refused(path, value, message):
    with pytest.raises(DatasetError, match=message):
        changed(path, value)


def test_labels_of_another_format_are_refused():
    text = DatasetDefinition(**BASE).to_json().replace('"label_format":2', '"label_format":99')
    with pytest.raises(DatasetError, match="label format"):
        DatasetDefinition.from_json(text)
