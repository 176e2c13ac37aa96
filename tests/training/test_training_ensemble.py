"""Ensembles: members are trainings of their own, resumed after an interruption, and measured as one potential."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUIET, SMALL, composed_once, datamodule

from mhipnn import load_potential
from mhipnn.config import compose_config
from mhipnn.data.derived import TrainingSubset
from mhipnn.errors import CheckpointError, ConfigError, NonFiniteError
from mhipnn.training import evaluation
from mhipnn.training.ensemble import members as side_by_side
from mhipnn.training.ensemble.member import EPOCH
from mhipnn.training.ensemble.members import train_members
from mhipnn.training.ensemble.predictions import EnsemblePredictions
from mhipnn.training.ensemble.report import EnsembleReport
from mhipnn.training.ensemble.run import run
from mhipnn.training.ensemble.settings import Settings, member_config, member_folder
from mhipnn.training.predictions import Predictions

EXACT = ["data.dtype=float64", "trainer.max_epochs=3", "trainer.accelerator=cpu"]
CPU = torch.device("cpu")


def composed(labels: Path, output_root: Path, *overrides: str):
    given = ["data=sd_tiny", f"data.root={labels}", f"output_root={output_root}", "+data.progress=false", "~logger"]
    return composed_once("ensemble", [*given, *SMALL, *overrides])


# What a member is


def test_a_member_is_a_training_with_a_seed_and_a_folder_of_its_own(labels, tmp_path):
    cfg = composed(labels, tmp_path, "members=3", "seed=2", "fraction=1.0", "resume=false")
    alone = compose_config("train", ["data=sd_tiny", f"data.root={labels}", "~logger", *SMALL, *QUIET])
    for number in range(3):
        member = member_config(cfg, Settings.of(cfg), number, tmp_path / "run")
        assert member.seed == member.data.shuffle_seed == 6 + number
        assert member.run_dir == str(member_folder(tmp_path / "run", number))
        assert member.resume is True
        assert set(member) == set(alone)
        for group in ("model", "loss", "optimizer", "scheduler", "trainer", "callbacks"):
            assert member[group] == alone[group], group


def test_ensembles_of_other_seeds_share_no_member(labels, tmp_path):
    settings = [Settings.of(composed(labels, tmp_path, "members=4", f"seed={seed}")) for seed in range(3)]
    seeds = [each.member_seed(number) for each in settings for number in range(4)]
    assert sorted(seeds) == list(range(12))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("members=1", "members=1: expected a whole number >= 2"),
        ("members=2.5", "members=2.5: expected a whole number"),
        ("fraction=0", r"fraction=0: expected a number above 0 and up to 1"),
        ("fraction=1.5", "fraction=1.5: expected"),
        ("fraction=true", "fraction=True: expected"),
        ("side_by_side=0", "side_by_side=0: expected a whole number >= 1"),
        ("seed=-1", "seed=-1: expected a whole number >= 0"),
    ],
)
def test_settings_out_of_range(labels, tmp_path, override, says):
    with pytest.raises(ConfigError, match=says):
        run(composed(labels, tmp_path, override))
    assert not list(tmp_path.iterdir())


def test_several_processes_a_member_are_refused_before_anything_is_trained(labels, tmp_path):
    with pytest.raises(ConfigError, match=r"trains in one process; give trainer\.devices=1"):
        run(composed(labels, tmp_path, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"))
    assert not list(tmp_path.rglob("*.ckpt"))


# A part of the training realisations


def subset(labels, tmp_path, number: int, fraction: float = 0.5) -> TrainingSubset:
    cfg = composed(labels, tmp_path, f"fraction={fraction}", "members=3", "data.dtype=float64")
    return datamodule(member_config(cfg, Settings.of(cfg), number, tmp_path))


def test_a_member_sees_whole_realisations_of_its_own_and_the_same_tests(labels, tmp_path):
    whole = datamodule(composed(labels, tmp_path, "data.cutoff=2.2"))
    taken = []
    for number in range(3):
        data = subset(labels, tmp_path, number)
        data.prepare_data()
        train = data.labelled("train")
        seen = np.unique(train.realisation)
        assert len(seen) == 4  # of 8
        everything = whole.labelled("train")
        mine = everything.select(np.flatnonzero(np.isin(everything.realisation, seen)))
        np.testing.assert_array_equal(train.field, mine.field)
        assert len(data.graphs("train")) == len(mine) < len(everything)
        assert data.statistics.n_configurations == len(mine)
        for split in ("val", "test", "size"):
            np.testing.assert_array_equal(data.labelled(split).field, whole.labelled(split).field)
        assert data.record() == whole.record()
        assert data.dtype == torch.float64
        taken.append(tuple(seen))
    assert len(set(taken)) > 1
    np.testing.assert_array_equal(subset(labels, tmp_path, 0).labelled("train").realisation,
                                  subset(labels, tmp_path, 0).labelled("train").realisation)  # fmt: skip
    assert len(np.unique(subset(labels, tmp_path, 0, 0.01).labelled("train").realisation)) == 1


# Numbers


def predictions(torques: np.ndarray, learned: np.ndarray) -> Predictions:
    """Three configurations with 1, 2 and 1 sites."""
    return Predictions(
        energy=np.array([1.0, 2.0, 4.0]),
        learned_energy=np.array([1.0, 2.0, 3.0]) * learned[0, 0],
        torque=torques,
        learned_torque=learned,
        offsets=np.array([0, 1, 3, 4]),
        realisation=np.array([0, 1, 1]),
        time=-np.ones(3),
    )


def test_spread_error_and_configurations_by_hand():
    torques = np.zeros((4, 3))
    torques[:, 1] = 1.0
    apart = np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 2.0, 0], [0, 0, 3.0]])
    shift = np.array([0.0, 0.0, 2.0])
    both = EnsemblePredictions([predictions(torques, torques + shift + sign * apart) for sign in (1, -1)])
    np.testing.assert_allclose(both.mean.learned_torque, torques + shift)
    np.testing.assert_allclose(both.mean.learned_energy, 0)  # (1 - 1)/2 times
    np.testing.assert_allclose(both.spread, [1, 2, 2, 3])
    np.testing.assert_allclose(both.error, [2, 2, 2, 2])
    configurations = both.of_configurations(2.0)
    np.testing.assert_allclose(configurations.spread, [1, 2, 3])
    np.testing.assert_allclose(configurations.error, [2, 2, 2])
    assert both.of_sites(2.0).ratio == pytest.approx(2 / (2 * np.sqrt(18 / 4)))
    empty = EnsemblePredictions([replace(each, offsets=np.array([0, 1, 1, 4])) for each in both.members])
    np.testing.assert_allclose(empty.of_configurations().spread, [1, np.sqrt(17 / 3)])


def test_report_recalibrates_by_the_validation_split_alone():
    rng = np.random.default_rng(0)
    torques = rng.normal(size=(4, 3))

    def split(error: float) -> EnsemblePredictions:
        return EnsemblePredictions([predictions(torques, torques + error + sign) for sign in (1.0, -1.0)])

    metrics = EnsembleReport({"val": split(3.0), "test": split(6.0)}).metrics()
    assert metrics["recalibration"] == pytest.approx(3)
    assert metrics["test/error_over_spread"] == pytest.approx(6)
    assert metrics["test/recalibrated_error_over_spread"] == pytest.approx(2)
    assert metrics["test/ence"] == pytest.approx(5)
    assert metrics["test/recalibrated_ence"] == pytest.approx(1)
    mean, one = metrics["test/torque_nrmse"], metrics["member_0/test/torque_nrmse"]
    assert mean == pytest.approx(6 / np.sqrt((torques**2).mean()))
    assert one == pytest.approx(7 / np.sqrt((torques**2).mean()))
    assert not any(name.startswith("val/") and name != "val/torque_r2" for name in metrics)


# Trainings


class FakeChild:
    """Tells what its member is to tell; the member of `FAILS` fails."""

    LINES = 2
    made: list[FakeChild] = []  # noqa: RUF012, emptied by each test
    fails: int | None = None

    def __init__(self, module, name, cfg, variables) -> None:
        self.number, self.variables, self.left, self.ended = int(Path(cfg.run_dir).name), variables, self.LINES, False
        FakeChild.made.append(self)

    def told(self) -> str:
        self.left -= 1
        return EPOCH if self.left >= 0 else "{}" if self.number == self.fails and self.left == -1 else ""

    def wait(self, told: str) -> None:
        if self.number == self.fails:
            assert told == "{}"
            raise NonFiniteError("training: the field is not finite")

    def kill(self) -> None:
        self.ended = True

    end = kill


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(side_by_side, "Child", FakeChild)
    monkeypatch.setattr(FakeChild, "made", [])
    monkeypatch.setattr(FakeChild, "fails", None)
    return FakeChild


def test_only_what_is_missing_is_trained_and_all_progress_adds_up(labels, tmp_path, fakes):
    cfg = composed(labels, tmp_path, "members=5", "side_by_side=2", "trainer.max_epochs=7")
    for number in (1, 3):
        member_folder(tmp_path, number).mkdir(parents=True)
        (member_folder(tmp_path, number) / "metrics.json").write_text("{}")
    reported: list[float] = []
    paths = train_members(cfg, Settings.of(cfg), tmp_path, CPU, reported.append)
    assert sorted(child.number for child in fakes.made) == [0, 2, 4]
    assert all(child.ended for child in fakes.made)
    assert sum(reported) == pytest.approx(5)
    assert [path.parts[-3] for path in paths] == list("01234")


def test_a_member_that_fails_is_named_and_ends_the_others(labels, tmp_path, fakes, monkeypatch):
    monkeypatch.setattr(fakes, "fails", 1)
    cfg = composed(labels, tmp_path, "members=4", "side_by_side=1")
    with pytest.raises(NonFiniteError, match="member 1: training: the field is not finite"):
        train_members(cfg, Settings.of(cfg), tmp_path, CPU)
    assert [child.number for child in fakes.made] == [0, 1]
    assert all(child.ended for child in fakes.made)


def test_cores_and_gpus_are_shared_out(monkeypatch):
    monkeypatch.setattr(side_by_side, "available_cpus", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [each["OMP_NUM_THREADS"] for each in side_by_side._environments(3, CPU, 1)] == ["2"] * 3
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert side_by_side._environments(3, CPU, 1)[0]["OMP_NUM_THREADS"] == "5"
    cuda = torch.device("cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    cards = [each["CUDA_VISIBLE_DEVICES"] for each in side_by_side._environments(3, cuda, 1)]
    assert cards == ["4", "6", "4"]
    assert side_by_side._environments(1, cuda, [1])[0]["CUDA_VISIBLE_DEVICES"] == "4,6"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cards = [each["CUDA_VISIBLE_DEVICES"] for each in side_by_side._environments(2, cuda, 1)]
    assert cards == ["0", "1"]


@pytest.fixture(scope="module")
def ensemble(labels, tmp_path_factory):
    """Two members, interrupted when one of them could go on from a checkpoint, and started again: (folder, numbers)."""
    cfg = composed(labels, tmp_path_factory.mktemp("ensemble"), "members=2", *EXACT)
    given = json.dumps(sorted(os.environ.items()))

    def interrupt(done: float) -> None:
        if list(Path(cfg.output_root).rglob("last.ckpt")):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mhipnn.training.ensemble.run._progress_bar", lambda *_: nullcontext(interrupt))
        with pytest.raises(KeyboardInterrupt):
            run(cfg)
    (folder,) = Path(cfg.output_root).glob("sd_tiny/mhip_ensemble/*")
    assert not (folder / "metrics.json").exists()
    assert list(folder.rglob("last.ckpt"))
    with pytest.raises(CheckpointError, match="has not ended"):
        load_potential(folder)
    metrics = run(cfg)
    assert json.dumps(sorted(os.environ.items())) == given
    assert list(folder.parent.iterdir()) == [folder]
    return folder, metrics


def test_an_interrupted_ensemble_ends_with_the_weights_of_trainings_alone(ensemble, train, tmp_path):
    folder, _ = ensemble
    for number in range(2):
        alone = train(tmp_path / str(number), *EXACT, f"seed={number}")
        assert alone.error is None
        there = torch.load(folder / "members" / str(number) / "checkpoints" / "best.ckpt", weights_only=True)
        for name, value in alone.checkpoint("best")["state_dict"].items():
            torch.testing.assert_close(there["state_dict"][name], value, rtol=0, atol=1e-10)
        written = json.loads((folder / "members" / str(number) / "metrics.json").read_text())
        assert written["test/torque_r2"] == pytest.approx(alone.metrics["test/torque_r2"], abs=1e-9)


def test_numbers_are_those_of_the_loaded_ensemble_on_the_labels(ensemble, labels, tmp_path):
    """Again from scratch: stored labels, one configuration after the other, numpy."""
    folder, metrics = ensemble
    data = datamodule(composed(labels, tmp_path, "data.cutoff=2.2", "data.dtype=float64"))
    potential = load_potential(folder)
    errors, spreads, exact = [], [], []
    labelled = data.labelled("test")
    for index in range(len(labelled)):
        config = labelled.configuration(index)
        found = potential.evaluate(config, forces=False)
        truth = np.cross(config.spins, labelled.field[labelled.sites(index)])
        exact.append(truth)
        errors.append(np.linalg.norm(found.torque - truth, axis=1))
        spreads.append(found.torque_spread)
    error, spread, truth = (np.concatenate(parts) for parts in (errors, spreads, exact))
    assert metrics["test/torque_nrmse"] == pytest.approx(np.sqrt((error**2).sum() / (truth**2).sum()), rel=1e-9)
    assert metrics["test/error_over_spread"] == pytest.approx(np.sqrt((error**2).sum() / (spread**2).sum()), rel=1e-9)
    ranks = [np.argsort(np.argsort(values)) for values in (error, spread)]
    assert metrics["test/spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)
    for number in range(2):
        own = json.loads((folder / "members" / str(number) / "metrics.json").read_text())
        assert metrics[f"member_{number}/size/torque_r2"] == pytest.approx(own["size/torque_r2"], abs=1e-9)
    assert json.loads((folder / "metrics.json").read_text())["recalibration"] == metrics["recalibration"] > 0
    names = {path.name for path in (folder / "figures").iterdir()}
    assert names == {f"{what}_{split}.png" for what in ("calibration", "torque_parity") for split in ("test", "size")}


def test_evaluate_measures_an_ensemble_again(ensemble, labels, tmp_path, capsys):
    folder, metrics = ensemble
    moved = shutil.copytree(folder, tmp_path / "moved")
    cfg = compose_config("evaluate", [f"checkpoint={moved}", f"data_root={labels}"])
    again = evaluation.run(cfg)
    assert again == {
        name: pytest.approx(value, rel=1e-9, nan_ok=True) for name, value in metrics.items() if "seconds" not in name
    }
    assert (moved / "evaluation" / "calibration_test.png").exists()
    listed = f"checkpoint=[{moved}/members/1,{moved}/members/0/checkpoints/best.ckpt]"
    with pytest.raises(ConfigError, match=r"output=\.\.\. is needed"):
        evaluation.run(compose_config("evaluate", [listed, f"data_root={labels}"]))
    turned = evaluation.run(compose_config("evaluate", [listed, f"data_root={labels}", f"output={tmp_path / 'out'}"]))
    assert turned["test/spearman"] == pytest.approx(metrics["test/spearman"], abs=1e-9)
    assert turned["member_0/test/torque_r2"] == pytest.approx(metrics["member_1/test/torque_r2"], abs=1e-9)
    assert "Spearman correlation" in capsys.readouterr().out


def test_members_of_several_datasets_cannot_be_measured(ensemble, tmp_path):
    from mhipnn.nn.checkpoint import CheckpointRecord, load_model, save_model

    best = ensemble[0] / "members" / "0" / "checkpoints" / "best.ckpt"
    model, record = load_model(best)
    data = {**record.metadata["dataset"], "seed": 9}
    other = CheckpointRecord(record.model, record.arguments, record.dtype, {**record.metadata, "dataset": data})
    save_model(tmp_path / "other.ckpt", model, other)
    cfg = compose_config("evaluate", [f"checkpoint=[{best},{tmp_path}/other.ckpt]", "output=out"])
    with pytest.raises(CheckpointError, match=r"other\.ckpt: trained on another dataset"):
        evaluation.run(cfg)


def test_an_ensemble_drives_a_simulation(ensemble, tmp_path, monkeypatch):
    from mhipnn.analysis.simulation.command import run as simulate

    monkeypatch.chdir(tmp_path)
    chosen = ["potential=learned", f"checkpoint={ensemble[0]}", "system.n_sites=12", "replicas=2"]
    metrics = simulate(compose_config("simulate", [*chosen, "dynamics.duration=0.5"]))
    assert metrics["steps"] > 0
