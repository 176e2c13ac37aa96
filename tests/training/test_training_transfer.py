"""Fine-tuning: weights of another training, the scale of the new one, and rates that fall toward the first block."""

from __future__ import annotations

import pytest
import torch
from conftest import datamodule
from lightning.pytorch import Callback
from torch import nn

from mhipnn.config import compose_config
from mhipnn.errors import CheckpointError, ConfigError
from mhipnn.nn.bp import BP
from mhipnn.nn.checkpoint import CheckpointRecord, load_model, load_potential, save_model
from mhipnn.nn.heisenberg import Heisenberg
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.mhip_ts import MHIPTS
from mhipnn.training.history import History
from mhipnn.training.parts import build_model, describe, make_task
from mhipnn.training.transfer import blocks_from_the_readout, take_weights

ELSEWHERE = ("data.potential.J=1.0",)  # another track: other electrons on the same sites


class Start(Callback):
    """The weights before the first step, the rates in it; optionally the end of the run at an epoch."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at

    def on_train_start(self, trainer, pl_module) -> None:
        self.weights = {k: v.clone() for k, v in pl_module.model.state_dict().items()}
        self.rates = [group["initial_lr"] for group in trainer.optimizers[0].param_groups]

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        if trainer.current_epoch == self.stop_at:
            raise SystemExit


def fit_on_other_labels(train, root, source, *overrides, stop_at=None):
    start = Start(stop_at)
    given = (*ELSEWHERE, f"init_from={source}", "trainer.max_epochs=2", *overrides)
    return train(root, *given, extra=(start,)), start


@pytest.fixture(scope="module")
def source(train, tmp_path_factory):
    outcome = train(tmp_path_factory.mktemp("source"), "trainer.max_epochs=2")
    assert outcome.error is None
    return outcome


def test_weights_come_over_and_the_scale_is_that_of_the_new_labels(train, source, labels, tmp_path):
    outcome, start = fit_on_other_labels(train, tmp_path, source.folder, "layer_decay=0.25", "data.dtype=float64")
    assert outcome.error is None
    old = load_model(source.folder / "checkpoints" / "best.ckpt")[0].state_dict()
    learned = [name for name in old if name not in ("scale", "offset")]
    assert len(learned) == len(old) - 2
    for name in learned:
        assert torch.equal(start.weights[name], old[name].double())
    data = datamodule(compose_config("train", ["data=sd_tiny", f"data.root={labels}", *ELSEWHERE]))
    data.prepare_data()
    data.setup()
    assert float(start.weights["scale"]) == pytest.approx(data.statistics.tangential_rms)
    assert float(start.weights["offset"]) == data.statistics.energy_per_site_mean
    assert float(old["scale"]) != pytest.approx(data.statistics.tangential_rms, rel=0.05)
    new, record = load_model(outcome.folder / "checkpoints" / "best.ckpt")
    assert record.dtype == "float64"
    assert float(new.scale) == pytest.approx(data.statistics.tangential_rms)
    lr = compose_config("train").optimizer.lr
    assert start.rates == pytest.approx([lr, lr / 4])
    (history,) = (callback for callback in outcome.callbacks if isinstance(callback, History))
    assert [row["rate/1"] / row["rate/0"] for row in history.rows] == pytest.approx([0.25, 0.25])


def test_a_resumed_fine_tuning_does_not_go_back_to_where_it_came_from(train, source, tmp_path):
    copy = tmp_path / "source.ckpt"
    copy.write_bytes((source.folder / "checkpoints" / "best.ckpt").read_bytes())
    settings = ("data.dtype=float64", "trainer.accelerator=cpu", "layer_decay=0.5")
    whole, _ = fit_on_other_labels(train, tmp_path / "whole", copy, *settings)
    stopped, _ = fit_on_other_labels(train, tmp_path / "parts", copy, *settings, stop_at=1)
    assert isinstance(stopped.error, SystemExit)
    copy.unlink()
    resumed, start = fit_on_other_labels(train, tmp_path / "parts", copy, *settings)
    assert resumed.error is None
    assert resumed.folder == stopped.folder
    lr = compose_config("train").optimizer.lr
    assert start.rates == pytest.approx([lr, lr / 2])
    for name in ("last", "best"):
        one, other = (outcome.checkpoint(name)["state_dict"] for outcome in (whole, resumed))
        for key, value in one.items():
            torch.testing.assert_close(other[key], value, rtol=1e-10, atol=1e-10)


def test_last_epochs_in_float64_leave_a_checkpoint_like_any_other(train, source, tmp_path):
    settings = ("data.dtype=float64", "optimizer.lr=2e-4", "trainer.max_epochs=1")
    outcome = train(tmp_path, f"init_from={source.folder}", *settings)
    assert outcome.error is None
    assert load_potential(outcome.folder / "checkpoints" / "best.ckpt").dtype == torch.float64
    content = outcome.checkpoint("last")
    floats = [value for value in content["state_dict"].values() if value.is_floating_point()]
    floats += [v for state in content["optimizer_states"][0]["state"].values() for k, v in state.items() if k != "step"]
    floats += content["current_model_state"].values()
    assert {value.dtype for value in floats} == {torch.float64}
    old, new = source.checkpoint("best")["state_dict"], content["state_dict"]
    moved = max(float((new[name] - old[name].double()).abs().max()) for name in new if name != "model.offset")
    assert 0 < moved < 2e-3  # a few steps at a small rate, from where the training ended


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.cutoff=2.4"], "cutoff is 2.2 there and 2.4 here; give model.cutoff=2.2"),
        (
            ["model.n_features=7", "model.n_species=2"],
            "n_features is 6 there and 7 here, n_species is 1 there and 2 here; give model.n_features=6 model.n_spec",
        ),
        (["model=mhip_ts"], "holds a 'mhip', and this training is of a 'mhip_ts'; give model=mhip"),
    ],
)
def test_another_architecture_is_refused_in_one_line(train, source, tmp_path, overrides, message):
    outcome, _ = fit_on_other_labels(train, tmp_path, source.folder, *overrides)
    assert isinstance(outcome.error, ConfigError)
    assert message in str(outcome.error)
    assert "\n" not in str(outcome.error)


def test_a_run_that_is_not_finished_or_not_there_is_refused(train, source, tmp_path):
    outcome, _ = fit_on_other_labels(train, tmp_path / "one", tmp_path)
    assert isinstance(outcome.error, CheckpointError)
    assert "not the folder of a finished training" in str(outcome.error)
    outcome, _ = fit_on_other_labels(train, tmp_path / "two", tmp_path / "missing.ckpt")
    assert isinstance(outcome.error, CheckpointError)
    assert "no such checkpoint" in str(outcome.error)


def test_arguments_that_a_checkpoint_does_not_know_yet_have_their_defaults(tmp_path):
    trained, model = MHIPTS(n_features=4, n_vectors=2), MHIPTS(n_features=4, n_vectors=2)
    save_model(tmp_path / "old.ckpt", trained, CheckpointRecord("mhip_ts", {"n_features": 4, "n_vectors": 2}))
    take_weights(
        model, CheckpointRecord("mhip_ts", {"n_features": 4, "n_vectors": 2, "l_max": 2}), tmp_path / "old.ckpt"
    )
    for one, other in zip(model.parameters(), trained.parameters(), strict=True):
        assert torch.equal(one, other)


def test_features_that_were_fitted_come_with_the_weights(labels, tmp_path):
    """Else the network of bp would meet inputs that it was not trained on."""
    cfg = compose_config("train", ["data=sd_tiny", f"data.root={labels}", "model=bp"])
    data, model = datamodule(cfg), build_model(cfg)
    data.prepare_data()
    data.setup()
    record = describe(cfg, data)
    trained = build_model(cfg)
    nn.init.constant_(trained.feature_mean, 0.3)
    save_model(tmp_path / "bp.ckpt", trained, record)
    make_task(cfg, model, data, record)
    assert not torch.equal(model.feature_mean, trained.feature_mean)
    take_weights(model, record, tmp_path / "bp.ckpt")
    assert torch.equal(model.feature_mean, trained.feature_mean)
    assert float(model.scale) == pytest.approx(data.statistics.tangential_rms)


def names(model, block):
    return {name for name, parameter in model.named_parameters() if any(parameter is p for p in block)}


@pytest.mark.parametrize("cls", [MHIP, MHIPTS])
def test_blocks_of_a_model_are_its_interaction_blocks_the_last_one_first(cls):
    model = cls(n_features=4, n_interactions=3, n_sensitivities=3, n_onsite=1)
    blocks = blocks_from_the_readout(model)
    for block, number in zip(blocks, (2, 1, 0), strict=True):
        expected = {name for name, _ in model.named_parameters() if name.split(".")[1] == str(number)}
        assert names(model, block) == expected
        assert f"readouts.{number}.weight" in expected
    assert sum(len(block) for block in blocks) == len(list(model.parameters()))


@pytest.mark.parametrize("model", [Heisenberg(), BP(), nn.ModuleDict({"a": nn.Linear(2, 2)})])
def test_a_model_without_interaction_blocks_has_one(model):
    (block,) = blocks_from_the_readout(model)
    assert names(model, block) == {name for name, _ in model.named_parameters()}


def test_members_side_by_side_are_no_blocks():
    model = nn.Module()
    model.members = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    assert len(blocks_from_the_readout(model)) == 1


@pytest.mark.parametrize("decay", [0.0, 1.5, float("nan")])
def test_a_decay_that_is_none_is_refused(train, tmp_path, decay):
    outcome = train(tmp_path, f"layer_decay={decay}")
    assert isinstance(outcome.error, ConfigError)
    assert "layer_decay" in str(outcome.error)
