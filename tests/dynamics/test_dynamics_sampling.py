"""Snapshots of quenches that a trained network drives."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from mhipnn import SDModel
from mhipnn.data.definition import DatasetDefinition
from mhipnn.data.labelling import label_realisation
from mhipnn.dynamics import LearnedQuench, Quench, QuenchSnapshots
from mhipnn.errors import CheckpointError, ConfigError
from mhipnn.nn.checkpoint import CheckpointRecord, load_potential
from mhipnn.nn.heisenberg import Heisenberg
from mhipnn.structures import RandomSites, SpinSampler

QUENCH = Quench(2.0, 0.1, 0.1, 0.02)
TIMES = [0.5, 2.0]
ARGUMENTS = {"cutoff": 2.0, "n_sensitivities": 4}


def write_network(path, seed):
    torch.manual_seed(seed)
    model = Heisenberg(**ARGUMENTS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.rand_like(parameter)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"mhipnn": CheckpointRecord("heisenberg", dict(ARGUMENTS)).to_dict(), "state_dict": state}, path)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    return write_network(tmp_path / "best.ckpt", 0)


@pytest.fixture(scope="module")
def sites():
    return RandomSites(12).sample(np.random.default_rng(0))


def sample(checkpoint, sites, seed=3, **arguments):
    sampler = LearnedQuench(str(checkpoint), TIMES, QUENCH, **arguments)
    assert isinstance(sampler, SpinSampler)
    return sampler.sample(sites, SDModel(J=3.0, filling=1.0), np.random.default_rng(seed))


def test_the_network_drives_and_the_exact_potential_does_not(checkpoint, sites):
    learned = sample(checkpoint, sites)
    assert [time for time, _ in learned] == TIMES
    # the start and the noise are those of an exact quench with the same generator; the torques are the network's
    by_hand = QuenchSnapshots(TIMES, QUENCH).sample(sites, load_potential(checkpoint), np.random.default_rng(3))
    exact = QuenchSnapshots(TIMES, QUENCH).sample(sites, SDModel(J=3.0, filling=1.0), np.random.default_rng(3))
    for (_, one), (_, two), (_, three) in zip(learned, by_hand, exact, strict=True):
        np.testing.assert_array_equal(one, two)
        assert np.abs(one - three).max() > 1e-3
        np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-14)
    assert np.abs(learned[0][1] - sample(checkpoint, sites, seed=4)[0][1]).max() > 0.1


def test_another_content_at_the_same_path_is_loaded_again_or_refused(checkpoint, sites):
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    before = sample(checkpoint, sites, sha256=digest)
    write_network(checkpoint, 1)
    after = sample(checkpoint, sites)
    assert np.abs(before[1][1] - after[1][1]).max() > 1e-4
    with pytest.raises(CheckpointError, match=f"its SHA-256 is .* but {digest} is asked for"):
        sample(checkpoint, sites, sha256=digest)


def test_states_are_labelled_by_the_exact_potential(checkpoint):
    definition = DatasetDefinition(
        name="relabelled",
        structure={"_target_": "mhipnn.structures.disorder.RandomSites", "n_sites": 12},
        potential={"_target_": "mhipnn.electrons.sd_model.SDModel", "J": 3, "filling": 1, "temperature": 0.05},
        samplers={
            "learned": {
                "_target_": "mhipnn.dynamics.sampling.LearnedQuench",
                "checkpoint": str(checkpoint),
                "times": TIMES,
                "quench": {"_target_": "mhipnn.dynamics.quench.Quench", "duration": 2.0, "time_step": 0.1},
            }
        },
        splits={"train": 1, "val": 1, "test": 1},
    )
    labelled = label_realisation(definition, "train", 0)
    assert labelled.time.tolist() == TIMES
    config = labelled.configuration(1)
    exact = SDModel(J=3.0, filling=1.0, temperature=0.05).evaluate(config)
    assert labelled.energy[1] == pytest.approx(exact.energy, rel=1e-12)
    np.testing.assert_allclose(labelled.field[12:], exact.field, atol=1e-12)


def test_bad_input(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=r"no\.ckpt: no such file"):
        LearnedQuench(str(tmp_path / "no.ckpt"), TIMES, QUENCH)
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(CheckpointError, match=r"text\.ckpt: cannot be read as a checkpoint"):
        LearnedQuench(str(tmp_path / "text.ckpt"), TIMES, QUENCH)
    with pytest.raises(ConfigError, match="beyond the quench's duration"):
        LearnedQuench(str(checkpoint), [3.0], QUENCH)
    with pytest.raises(ConfigError, match="every is 0"):
        LearnedQuench(str(checkpoint), TIMES, QUENCH, every=0)
