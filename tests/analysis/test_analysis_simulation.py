"""``mhipnn.simulate`` through its importable ``run(cfg)``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mhipnn import SDModel
from mhipnn.analysis.simulation.start import realisations
from mhipnn.config import compose_config
from mhipnn.dynamics import RK4, Quench, read_trajectory
from mhipnn.errors import ConfigError
from mhipnn.simulate import run
from mhipnn.structures import RandomSites

SMALL = ["system.n_sites=16", "replicas=2", "dynamics.duration=2", "dynamics.time_step=0.5", "dynamics.record_every=2"]


def test_a_run_leaves_its_trajectory_metrics_and_figures(tmp_path):
    extra = ["dynamics/integrator=rk4", "seed=3", f"run_dir={tmp_path / 'run'}", f"output_root={tmp_path}"]
    metrics = run(compose_config("simulate", [*SMALL, *extra]))
    folder = tmp_path / "run"
    assert {file.name for file in (folder / "figures").iterdir()} == {"energy.png", "correlations.png", "spins.png"}
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    trajectory, metadata = read_trajectory(folder / "trajectory.h5")
    assert metadata["config"]["potential"]["J"] == 3.0
    # The same by hand from the stored start and the stored seeds.
    quench = Quench(2.0, 0.5, 0.1, 0.05, 2, RK4())
    exact = SDModel(J=3.0, filling=1.0, temperature=0.05)
    again = quench.run(exact, trajectory.configs, metadata["noise_seeds"])
    np.testing.assert_array_equal(trajectory.times, [0.0, 1.0, 2.0])
    np.testing.assert_allclose(trajectory.spins, again.spins, atol=1e-12)
    assert metrics["energy_per_site_end"] == pytest.approx(again.energies[-1].mean() / 16)
    assert metrics["steps"] == 4


def test_a_realisation_depends_on_seed_and_number_alone():
    few, few_seeds = realisations(RandomSites(9, 2), 5, 2)
    many, many_seeds = realisations(RandomSites(9, 2), 5, 4)
    assert many_seeds[:2] == few_seeds
    assert len(set(many_seeds)) == 4
    np.testing.assert_array_equal(many[1].positions, few[1].positions)
    np.testing.assert_array_equal(many[1].spins, few[1].spins)
    assert np.abs(many[0].positions - many[1].positions).max() > 0.1


@pytest.mark.parametrize(
    ("override", "message"),
    [("replicas=0", "replicas=0"), ("seed=-1", "seed=-1"), ("potential=learned", "add checkpoint=")],
)
def test_bad_values_are_refused_before_anything_is_written(override, message, tmp_path):
    cfg = compose_config("simulate", [*SMALL, override, f"output_root={tmp_path / 'out'}"])
    with pytest.raises(ConfigError, match=message):
        run(cfg)
    assert not (tmp_path / "out").exists()
