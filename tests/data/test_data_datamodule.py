"""The data module: what Lightning gets, and in which order."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from labelling_parts import ELECTRONS, PAIRS, RANDOM, SITES
from lightning.pytorch import LightningModule, Trainer

from mhipnn.config import compose_config
from mhipnn.data import SpinDataModule
from mhipnn.data.shuffle import EpochShuffle
from mhipnn.electrons import SDModel
from mhipnn.errors import ConfigError, DatasetError, InputError, UserError
from mhipnn.structures import neighbour_list

NODE = {
    "name": "toy",
    "structure": dict(SITES, n_sites=8),
    "potential": PAIRS,
    "samplers": {"random": dict(RANDOM, n=2)},
    "splits": {"train": 5, "val": 2, "test": 3},
    "size_split": {"factor": 2, "realisations": 2, "samplers": {"random": RANDOM}},
    "cutoff": 1.8,
    "batch_size": 4,
    "n_workers": 1,
    "progress": False,
}


def module(root, **changes):
    data = SpinDataModule(**(copy.deepcopy(NODE) | {"root": root} | changes))
    data.prepare_data()
    return data


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


def test_loaders_hold_each_split_once(root):
    data = module(root)
    data.setup()
    test, size = data.test_dataloader()
    for split, loader in (
        ("train", data.train_dataloader()),
        ("val", data.val_dataloader()),
        ("test", test),
        ("size", size),
    ):
        energies = torch.cat([batch.energy for batch in loader])
        assert energies.dtype == torch.float64
        np.testing.assert_array_equal(np.sort(energies), np.sort(data.labelled(split).energy))
    assert [len(data.graphs(split)) for split in data.split_names] == [10, 4, 6, 2]
    assert {graph.num_nodes for graph in data.graphs("size")} == {16}


def test_graphs_are_the_labelled_configurations(root):
    data = module(root, dtype="float64")
    for graph, config, index in zip(data.graphs("val"), data.configurations("val"), range(4), strict=True):
        edges = neighbour_list(config.positions, config.cell, config.pbc, 1.8)
        np.testing.assert_array_equal(graph.edge_index, [edges.source, edges.receiver])
        exact = data.potential().evaluate(config)
        np.testing.assert_allclose(graph.field, exact.field, atol=1e-14)
        np.testing.assert_allclose(graph.forces, exact.forces, atol=1e-14)
        np.testing.assert_allclose(graph.energy, [exact.energy], rtol=1e-14)
        np.testing.assert_array_equal(graph.spins, config.spins)
        assert graph.realisation.item() == index // 2
        assert graph.time.item() == -1


def test_each_stage_reads_what_it_needs(root):
    for stage, splits in {"fit": {"train", "val"}, "validate": {"val"}, "test": {"test", "size"}}.items():
        data = module(root)
        data.setup(stage)
        assert set(data._graphs) == splits


def test_statistics_come_from_the_training_split_only(root):
    data = module(root)
    base = data.statistics
    train = data.labelled("train")
    assert base.energy_per_site_mean == pytest.approx(np.mean(train.energy / 8))
    assert base.torque_rms == pytest.approx(np.sqrt(np.mean(np.cross(train.spins, train.field) ** 2)))
    assert base.mean_neighbours == pytest.approx(np.mean([g.edge_index.shape[1] for g in data.graphs("train")]) / 8)
    # other test, validation and size data: not one digit changes
    size = {"factor": 3, "realisations": 3, "samplers": {"random": RANDOM}}
    assert module(root, splits={"train": 5, "val": 4, "test": 1}, size_split=size).statistics == base
    assert module(root, splits={"train": 6, "val": 2, "test": 3}).statistics != base


def test_one_dataset_for_all_cutoffs_precisions_and_batches(root):
    assert module(root, cutoff=2.5, dtype="float64", batch_size=1, shuffle_seed=3).folder == module(root).folder


def test_no_size_split(root):
    data = module(root, size_split=None)
    data.setup("test")
    assert len(data.test_dataloader()) == 1
    assert data.split_names == ("train", "val", "test")


def order(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_order_depends_on_seed_and_epoch_alone():
    sampler = EpochShuffle(50, seed=3)
    orders = [order(sampler, epoch) for epoch in range(4)]
    assert all(sorted(o) == list(range(50)) for o in orders)
    assert len({tuple(o) for o in orders}) == 4
    assert order(EpochShuffle(50, seed=3), 2) == orders[2]  # a resumed run
    assert order(EpochShuffle(50, seed=4), 2) != orders[2]
    state = torch.get_rng_state()
    list(sampler)
    assert torch.equal(torch.get_rng_state(), state)


class Recorder(LightningModule):
    """Notes the energies of every training batch, per epoch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = {}

    def training_step(self, batch, _):
        self.seen.setdefault(self.current_epoch, []).extend(batch.energy.tolist())
        return self.weight * batch.energy.sum().float()

    def validation_step(self, batch, _):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")
def test_lightning_shuffles_anew_each_epoch_and_repeats_it_on_resume(root, tmp_path):
    def fit(epochs, checkpoint=None):
        recorder = Recorder()
        trainer = Trainer(
            max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(recorder, module(root), ckpt_path=checkpoint, weights_only=True if checkpoint else None)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return recorder.seen

    whole = fit(3)
    assert whole[0] != whole[1] != whole[2]
    assert sorted(whole[0]) == sorted(whole[2])
    fit(1)
    assert fit(3, tmp_path / "1.ckpt") == {1: whole[1], 2: whole[2]}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dtype": "float16"}, ConfigError, "unknown 'float16'; did you mean"),
        ({"batch_size": 0}, ConfigError, "batch_size must be an integer >= 1"),
        ({"splits": {"train": 0, "val": 1, "test": 1}}, DatasetError, "empty dataset"),
        ({"samplers": {"random": None}}, DatasetError, "no sampler"),
        ({"potential": ELECTRONS | {"filling": 3}}, InputError, "filling"),
        ({"potential": PAIRS | {"scale": float("nan")}}, DatasetError, "potential.scale = nan"),
        ({"potential": SDModel(J=3.0, filling=1.0)}, UserError, "give its nodes as configuration"),
        ({"structure": NODE["structure"] | {"r_min": 2}}, InputError, "impossible"),
    ],
)
def test_bad_input_is_refused_at_once(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        SpinDataModule(**(copy.deepcopy(NODE) | {"root": tmp_path} | changes))
    assert not any(tmp_path.iterdir())


def test_graphs_need_a_cutoff_but_labels_do_not(root):
    data = module(root, cutoff=None)
    assert len(data.labelled("val")) == 4
    with pytest.raises(ConfigError, match=r"data\.cutoff is not set"):
        data.setup()


TRACKS = {
    "sd_disorder": {"J": 3.0, "filling": 1.0, "temperature": 0.05, "n_sites": 100, "dimension": 2},
    "sd_disorder_metal": {"J": 1.0, "filling": 1.0, "temperature": 0.05, "n_sites": 100, "dimension": 2},
    "sd_disorder_3d": {"J": 3.0, "filling": 1.0, "temperature": 0.05, "n_sites": 125, "dimension": 3},
    "sd_double_exchange": {"J": 6.0, "filling": 0.7, "temperature": 0.05, "n_sites": 100, "dimension": 2},
    "sd_tiny": {"J": 3.0, "filling": 1.0, "temperature": 0.05, "n_sites": 16, "dimension": 2},
}


@pytest.mark.parametrize("track", TRACKS)
def test_tracks_are_what_their_names_say(track, tmp_path):
    data = instantiate(compose_config("generate", [f"data={track}", f"data.root={tmp_path}"]).data, cutoff=3.0)
    node = data.definition.potential | data.definition.structure
    assert {key: node[key] for key in TRACKS[track]} == TRACKS[track]
    assert data.definition.name == track
    assert data.definition.size_split["factor"] == 4
    assert isinstance(data.potential(), SDModel)
    assert data.definition.samplers["quench"]["quench"]["temperature"] == 0.05  # follows the electrons'


def test_generate_reports_what_it_made_and_finds_it_again(tmp_path, capsys):
    from mhipnn.generate import run

    cfg = compose_config("generate", ["data=sd_tiny", f"data.root={tmp_path}"])
    report = run(cfg)
    assert {split: row["configurations"] for split, row in report["splits"].items()} == {
        "train": 12, "val": 4, "test": 4, "size": 1
    }  # fmt: skip
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / report["folder"]).glob("*.h5")}
    assert run(cfg) == report
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert report["folder"] in capsys.readouterr().out.replace("\n", "")


def test_a_lattice_with_hopping_by_shells_is_labelled_without_forces(tmp_path):
    """Double exchange with nearest-neighbour hopping: t(r) is a step, so nothing can be said of forces."""
    data = module(
        tmp_path,
        structure={"_target_": "mhipnn.structures.Crystal", "lattice": "square", "cells": 3},
        potential={
            "_target_": "mhipnn.electrons.SDModel",
            "J": 3,
            "filling": 0.6,
            "hopping": {"_target_": "mhipnn.electrons.ShellHopping"},
        },
        samplers={"random": RANDOM, "more": dict(RANDOM, n=2, every=2)},
        size_split=None,
    )
    labelled = data.labelled("train")
    assert len(labelled) == 5 + 3 * 2
    assert labelled.forces is None
    exact = data.potential().evaluate(labelled.configuration(4), forces=False)
    np.testing.assert_allclose(labelled.field[labelled.sites(4)], exact.field, atol=1e-12)
    assert "forces" not in data.graphs("train")[0]
    assert data.statistics.forces_rms == 0
    assert data.statistics.torque_rms > 0.01
