"""The LLG rollout: which starts, and what it says of a perfect network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import datamodule
from lightning.pytorch import Callback

from mhipnn.config import compose_config
from mhipnn.dynamics import Minimise, Quench
from mhipnn.errors import ConfigError
from mhipnn.training import rollout
from mhipnn.training.rollout import LLGRollout

SHORT = Quench(duration=1.0, time_step=0.25, temperature=0.05, record_every=1)


@pytest.fixture(scope="module")
def data(labels):
    overrides = ["data=sd_tiny", f"data.root={labels}", "data.dtype=float64", "data.cutoff=2.2"]
    return datamodule(compose_config("train", overrides))


def test_starts_are_one_a_realisation_with_new_spins(data):
    configs, realisations = data.configurations("test"), data.labelled("test").realisation
    assert len(configs) > 2 == len(set(realisations))
    starts = LLGRollout(SHORT).starts(configs, realisations)
    assert len(starts) == 2
    for number, start in enumerate(starts):
        mine = [c for c, r in zip(configs, realisations, strict=True) if r == number]
        for config in mine:
            np.testing.assert_array_equal(start.positions, config.positions)
            assert np.abs(start.spins - config.spins).max() > 0.1
        np.testing.assert_allclose(np.linalg.norm(start.spins, axis=1), 1, atol=1e-14)
    again = LLGRollout(SHORT).starts(configs, realisations)
    other = LLGRollout(SHORT, seed=1).starts(configs, realisations)
    for one, same, changed in zip(starts, again, other, strict=True):
        np.testing.assert_array_equal(one.spins, same.spins)
        assert np.abs(one.spins - changed.spins).max() > 0.1
    assert len(LLGRollout(SHORT, n_realisations=1).starts(configs, realisations)) == 1


class Trainer:
    """As much of a trainer as the callback looks at."""

    def __init__(self, data) -> None:
        self.datamodule, self.loggers, self.global_step = data, [], 0


class Module:
    model = torch.nn.Linear(1, 1)


def test_the_exact_potential_in_place_of_the_network_deviates_nowhere(data, monkeypatch):
    monkeypatch.setattr(rollout, "NetworkPotential", lambda model: data.potential())
    callback = LLGRollout(SHORT)
    callback.on_test_end(Trainer(data), Module())
    summary = callback.result.summary()
    assert summary["within_2_errors"] == 1
    assert summary["torque_r2"] == 1
    for name in ("max_correlation_deviation", "max_energy_deviation_per_site", "final_spin_rms_deviation"):
        assert summary[name] == 0, name
    assert summary["realisations"] == 2


def test_a_wrong_sign_of_the_field_shows(data, monkeypatch):
    class Reversed:
        def __init__(self, exact) -> None:
            self.exact = exact

        def prepare(self, configs):
            frozen = self.exact.prepare(configs)

            def reverse(spins):
                energies, fields = frozen(spins)
                return energies, -fields

            reverse.device, reverse.dtype = frozen.device, frozen.dtype
            return reverse

    monkeypatch.setattr(rollout, "NetworkPotential", lambda model: Reversed(data.potential()))
    callback = LLGRollout(SHORT)
    callback.on_test_end(Trainer(data), Module())
    summary = callback.result.summary()
    assert summary["torque_r2"] < -1
    assert summary["final_spin_rms_deviation"] > 0.1


class Seen(Callback):
    """The weights that the rollout was given, epoch by epoch, and the averaged ones."""

    def __init__(self) -> None:
        self.epochs: list[int] = []


def test_also_during_the_fit_with_the_averaged_weights(train, tmp_path, monkeypatch):
    seen = []
    compare = LLGRollout._compare

    def watch(self, trainer, pl_module):
        weights = {k: v.clone() for k, v in pl_module.model.state_dict().items()}
        seen.append((trainer.state.fn.value, trainer.current_epoch, weights))
        compare(self, trainer, pl_module)

    monkeypatch.setattr(LLGRollout, "_compare", watch)
    outcome = train(
        tmp_path,
        "callbacks.llg_rollout={_target_:mhipnn.training.rollout.LLGRollout,every_n_epochs:2,n_realisations:2,"
        "quench:${dynamics}}",
        "dynamics.duration=0.5",
        "trainer.max_epochs=4",
        "logger=csv",
    )
    assert outcome.error is None
    assert [(stage, epoch) for stage, epoch, _ in seen] == [("fit", 1), ("fit", 3), ("test", 4)]
    last = outcome.checkpoint("last")
    for name, value in seen[1][2].items():
        assert torch.equal(value, last["state_dict"][f"model.{name}"])
    assert any(not torch.equal(v, last["current_model_state"][f"model.{k}"]) for k, v in seen[1][2].items())
    best = outcome.checkpoint("best")
    for name, value in seen[2][2].items():
        assert torch.equal(value, best["state_dict"][f"model.{name}"])
    assert 0 <= outcome.written["rollout/within_2_errors"] <= 1
    for name in ("rollout_correlations", "rollout_spins", "torque_parity_test", "learning_curves"):
        assert (outcome.folder / "figures" / f"{name}.png").stat().st_size > 1000
    (table,) = Path(outcome.folder).rglob("metrics.csv")
    assert "rollout/torque_r2" in table.read_text()
    assert json.loads((outcome.folder / "metrics.json").read_text())["rollout/realisations"] == 2


@pytest.mark.parametrize("bad", [{"n_realisations": 0}, {"every_n_epochs": 0}])
def test_refuses(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        LLGRollout(SHORT, **bad)


def test_networks_are_compared_along_quenches_alone():
    with pytest.raises(ConfigError, match=r"llg_rollout: .* along a quench; Minimise is none"):
        LLGRollout(Minimise())
