"""experiment=thermal_quench: one command ends with a sheet and a report whose numbers are those of the run."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import datamodule
from PIL import Image

from mhipnn import SDModel
from mhipnn.analysis import compare_rollouts
from mhipnn.analysis.quench_sheet import quench_sheet
from mhipnn.config import compose_config
from mhipnn.dynamics import Quench
from mhipnn.errors import ConfigError
from mhipnn.structures import RandomSites
from mhipnn.training.rollout import LLGRollout
from mhipnn.training.thermal_quench import ThermalQuench, large_quench, report

SHORT = Quench(duration=1.0, time_step=0.25, temperature=0.05, record_every=1)


@pytest.mark.parametrize("name", ["thermal_quench", "thermal_quench_full"])
def test_the_experiment_composes_with_the_story_after_the_rollouts(name):
    cfg = compose_config("train", [f"experiment={name}"])
    order = list(cfg.callbacks)
    assert order.index("llg_rollout") < order.index("thermal_quench")
    assert cfg.callbacks.thermal_quench.n_sites == 10000
    assert cfg.callbacks.thermal_quench.quench.duration == cfg.callbacks.llg_rollout.quench.duration


def test_a_training_ends_with_the_sheet_and_the_report(train, tmp_path):
    extra = (LLGRollout(SHORT, 2), ThermalQuench(SHORT, n_sites=64))
    outcome = train(tmp_path, "trainer=tiny", extra=extra)
    if outcome.error:
        raise outcome.error
    text = (outcome.folder / "report.md").read_text()
    for key in ("rollout/torque_r2", "rollout/max_correlation_deviation", "test/torque_r2"):
        assert f"| {outcome.written[key]:.4f} |" in text
    assert "seconds per step, learned, N = 64" in text
    assert "2 disorder realisations of 16 sites" in text
    with Image.open(outcome.folder / "thermal_quench.png") as image:
        assert len(image.convert("L").getcolors(256)) > 50


def test_the_sheet_holds_the_curves_of_the_run():
    configs = [RandomSites(12, 2).sample(np.random.default_rng(seed)) for seed in range(3)]
    exact, learned = (SDModel(J=j, filling=1.0, temperature=0.05) for j in (3.0, 2.8))
    result = compare_rollouts(exact, learned, configs, SHORT, [1, 2, 3])
    config = RandomSites(30, 2).sample(np.random.default_rng(9))
    steps = []
    large = large_quench(learned, config, SHORT, 4, lambda done, total: steps.append((done, total)))
    assert steps == [(k, 4) for k in range(1, 5)]
    again = SHORT.run(learned, [config], [4])
    np.testing.assert_array_equal(large.spins, again.spins[-1, 0])
    np.testing.assert_array_equal(large.energies, again.energies[:, 0])
    panels = quench_sheet(result, large).axes
    energy = next(ax for ax in panels if ax.get_ylabel().startswith("energy"))
    np.testing.assert_allclose(energy.lines[1].get_ydata(), result.learned.energies.mean(1) / 12)
    text = report("none", result, large, SHORT, {"test/torque_r2": 0.5})
    assert "| torque R^2, test realisations | 0.5000 |" in text
    assert f"{large.correlation[-1][np.isfinite(large.correlation[-1])][0]:.4f}" in text


def test_what_it_needs(labels):
    data = datamodule(compose_config("train", ["data=sd_tiny", f"data.root={labels}", "data.cutoff=2.2"]))
    large = ThermalQuench(SHORT, n_sites=50).large(data)
    assert large.n_sites == 48
    with pytest.raises(ConfigError, match="n_sites must be >= 1"):
        ThermalQuench(SHORT, n_sites=0)

    class Trainer:
        callbacks, datamodule = (), data

    with pytest.raises(ConfigError, match="must stand before it"):
        ThermalQuench(SHORT).on_test_end(Trainer(), None)
