"""What a fit does: measures with gradients, averages, clips, stops early, trains on forces, refuses NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import datamodule
from lightning.pytorch import Callback

from mhipnn.config import compose_config
from mhipnn.errors import ConfigError, NonFiniteError
from mhipnn.nn.checkpoint import load_potential
from mhipnn.training.history import History


class Watch(Callback):
    """Remembers the weights that validation sees and the size of the gradients."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        if batch_idx == 0:
            self.weights = {k: v.clone() for k, v in pl_module.model.state_dict().items()}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        self.unclipped = norm(pl_module)

    def on_before_zero_grad(self, trainer, pl_module, optimizer) -> None:
        self.norms.append(norm(pl_module))


def norm(module) -> float:
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return math.sqrt(sum(float(g.square().sum()) for g in gradients))


def torque_r2(potential, data, split) -> float:
    """R^2 of S x B over a split, one configuration at a time, from the stored labels."""
    labelled = data.labelled(split)
    learned, exact = [], []
    for index, config in enumerate(data.configurations(split)):
        rows = labelled.sites(index)
        learned.append(np.cross(config.spins, potential.evaluate(config).field))
        exact.append(np.cross(config.spins, labelled.field[rows]))
    y, guess = np.concatenate(exact), np.concatenate(learned)
    return 1 - ((y - guess) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def test_logged_numbers_are_those_of_best_ckpt(trained, labels):
    """metrics.json again from scratch: load_potential, stored labels, numpy."""
    overrides = ["data=sd_tiny", f"data.root={labels}", "data.dtype=float64", "data.cutoff=2.2"]
    data = datamodule(compose_config("train", overrides))
    potential = load_potential(trained.folder / "checkpoints" / "best.ckpt")
    assert potential.dtype == torch.float64
    for split in ("test", "size", "val"):
        by_hand = torque_r2(potential, data, split)
        assert trained.written[f"{split}/torque_r2"] == pytest.approx(by_hand, abs=1e-6), split
    # metrics.json holds what `run` returned; a number that is not finite is null there
    assert trained.written.keys() == trained.metrics.keys()
    for name, value in trained.metrics.items():
        assert trained.written[name] == (pytest.approx(value) if math.isfinite(value) else None), name


def test_checkpoints_hold_plain_values_and_averaged_weights(trained):
    for name in ("best", "last"):
        saved = trained.checkpoint(name)  # read with weights_only=True
        assert saved["mhipnn"]["model"] == "mhip"
        averaged, current = saved["state_dict"], saved["current_model_state"]
        differences = [float((averaged[k] - current[k]).abs().max()) for k in current if "weight" in k]
        assert max(differences) > 1e-6
        assert int(saved["averaging_state"]["n_averaged"]) == saved["global_step"]


def test_validation_sees_averaged_weights_and_training_the_current_ones(train, tmp_path):
    watch = Watch()
    outcome = train(tmp_path, "trainer.max_epochs=2", extra=(watch,))
    last = outcome.checkpoint("last")
    for name, value in watch.weights.items():
        torch.testing.assert_close(value, last["state_dict"][f"model.{name}"], rtol=0, atol=0)
    assert any(not torch.equal(v, last["current_model_state"][f"model.{k}"]) for k, v in watch.weights.items())


def test_gradients_are_clipped(train, tmp_path):
    watch = Watch()
    train(tmp_path, "trainer.max_epochs=1", "trainer.gradient_clip_val=1e-3", extra=(watch,))
    assert max(watch.norms[1:]) <= 1e-3 * 1.001
    assert watch.unclipped > 1e-2


def test_early_stopping_stops(train, tmp_path):
    overrides = ["trainer.max_epochs=30", "callbacks.early_stopping.patience=1"]
    outcome = train(tmp_path, *overrides, "optimizer.lr=0", "callbacks.averaging=null")
    assert outcome.error is None
    assert outcome.checkpoint("best")["epoch"] == 0
    assert outcome.checkpoint("last")["epoch"] == 1  # not an improvement, and yet the last


def test_forces_train(train, tmp_path):
    outcome = train(tmp_path, "trainer=tiny", "loss=[torque,forces]")
    assert outcome.error is None
    (history,) = (callback for callback in outcome.callbacks if isinstance(callback, History))
    (row,) = history.rows
    assert row["train/loss"] == pytest.approx(row["train/torque"] + 0.1 * row["train/forces"], rel=1e-5)
    assert 0.3 < row["train/forces"] < 10  # of order one, as a normalised term is


def test_no_weight_at_all_is_refused(train, tmp_path):
    outcome = train(tmp_path, "loss=[torque]", "loss.torque.weight=0")
    assert isinstance(outcome.error, ConfigError)
    assert "weight 0" in str(outcome.error)


@pytest.mark.parametrize("model", ["heisenberg", "heisenberg_biquadratic", "bp"])
def test_baselines_train(train, tmp_path, model):
    outcome = train(tmp_path, f"model={model}", "trainer=tiny", small=())
    assert outcome.error is None
    assert outcome.metrics["test/torque_r2"] < 1


def test_symmetry_functions_are_standardised_before_the_first_step(train, tmp_path):
    outcome = train(tmp_path, "model=bp", "trainer=tiny", small=())
    state = outcome.checkpoint("best")["state_dict"]
    assert (state["model.feature_scale"] != 1).all()
    assert (state["model.feature_scale"] > 0).all()


def test_exploding_training_names_the_place_and_keeps_what_is_written(train, tmp_path):
    outcome = train(tmp_path, "optimizer.lr=1e30", "trainer.max_epochs=2", "scheduler.warmup_fraction=0")
    assert isinstance(outcome.error, NonFiniteError)
    for word in ("site", "realisation", "epoch 0", "batch 1", "step 1", "optimizer.lr"):
        assert word in str(outcome.error)
    assert not (outcome.folder / "metrics.json").exists()


class Poison(Callback):
    """NaN into the weights after the last step of an epoch: only validation meets it."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if (trainer.current_epoch, batch_idx) == (1, trainer.num_training_batches - 1):
            next(pl_module.model.parameters()).data.fill_(float("nan"))


def test_nan_in_validation_is_an_error_not_the_end_of_a_good_training(train, tmp_path):
    outcome = train(tmp_path, "trainer.max_epochs=4", "callbacks.averaging=null", extra=(Poison(),))
    assert isinstance(outcome.error, NonFiniteError)
    assert "val split" in str(outcome.error)
    assert outcome.checkpoint("last")["epoch"] == 0  # what was written stays
