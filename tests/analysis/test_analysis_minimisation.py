"""``dynamics=minimise``: its table against the potential itself, and its figure."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mhipnn import SDModel
from mhipnn.analysis.simulation.minimisation import descent_figure
from mhipnn.config import compose_config
from mhipnn.dynamics import read_trajectory
from mhipnn.dynamics.descent_track import Descents
from mhipnn.errors import ConfigError
from mhipnn.simulate import run


def test_electrons_at_rest(tmp_path):
    settings = ["dynamics=minimise", "dynamics.tolerance=1e-4", "system.n_sites=9", "replicas=2", "copies=2"]
    metrics = run(compose_config("simulate", [*settings, f"run_dir={tmp_path / 'run'}"]))
    folder = tmp_path / "run"
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert {file.name for file in (folder / "figures").iterdir()} == {"descent.png", "spins.png"}
    trajectory, metadata = read_trajectory(folder / "trajectory.h5")
    assert metadata["realisations"] == [0, 0, 1, 1]
    exact = SDModel(J=3.0, filling=1.0, temperature=0.05)
    found = [
        [exact.evaluate(c.with_spins(s), forces=False) for c, s in zip(trajectory.configs, spins, strict=True)]
        for spins in trajectory.spins
    ]
    energies = np.array([[one.energy for one in frame] for frame in found]).reshape(2, 2, 2).mean(2) / 9
    torques = np.array([[np.linalg.norm(one.torque, axis=1).max() for one in frame] for frame in found])
    for key, frame in (("start", 0), ("end", 1)):
        assert metrics[f"energy_per_site_{key}"] == pytest.approx(energies[frame].mean(), abs=1e-9)
        error = energies[frame].std(ddof=1) / np.sqrt(2)
        assert metrics[f"energy_per_site_{key}_error"] == pytest.approx(error, abs=1e-9)
        assert metrics[f"largest_torque_{key}"] == pytest.approx(torques[frame].max(), abs=1e-6)
    assert metrics["largest_torque_end"] < 1e-4 == metrics["tolerance"]
    assert metrics["energy_per_site_end"] < metrics["energy_per_site_start"] - 0.01
    assert 1 < metrics["iterations"] <= metrics["most_iterations"]


def test_the_figure_shows_every_replica_until_it_is_at_rest():
    torques = np.array([[1.0, 1.0], [0.1, 0.5], [0.2, 0.001], [0.01, 0.001], [0.001, 0.001]])
    energies = 6 * np.array([[-1.0, -1.0], [-2.0, -1.5], [-2.5, -2.0], [-2.9, -2.0], [-3.0, -2.0]])
    left, right = descent_figure(Descents(energies, torques, 0.005), n_sites=6).axes
    other, slowest, tolerance = left.lines
    np.testing.assert_allclose(slowest.get_ydata(), [1, 0.1, 0.1, 0.01, 0.001])
    np.testing.assert_allclose(other.get_ydata(), [1, 0.5, 0.001])
    assert list(tolerance.get_ydata()) == [0.005, 0.005]
    np.testing.assert_allclose(right.lines[1].get_ydata(), [2, 1, 0.5, 0.1, np.nan])
    assert left.get_yscale() == right.get_yscale() == "log"


def test_replicas_that_start_at_rest_are_drawn_too():
    figure = descent_figure(Descents(np.full((1, 2), -3.0), np.zeros((1, 2)), 1e-6), n_sites=3)
    assert len(figure.axes[0].lines) == 3


def test_an_audit_is_refused(tmp_path):
    cfg = compose_config("simulate", ["dynamics=minimise", "audit=exact", f"output_root={tmp_path / 'out'}"])
    with pytest.raises(ConfigError, match="audit: dynamics=minimise ends where the torques vanish"):
        run(cfg)
    assert not (tmp_path / "out").exists()
