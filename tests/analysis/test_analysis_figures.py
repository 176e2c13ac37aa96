"""Figures hold the data that they were given, with units on their axes, and leave matplotlib as it was."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from mhipnn import SDModel
from mhipnn.analysis import compare_rollouts, figures
from mhipnn.dynamics import Quench
from mhipnn.errors import InputError
from mhipnn.structures import RandomSites


@pytest.fixture(scope="module")
def comparison():
    configs = [RandomSites(12, 2).sample(np.random.default_rng(seed)) for seed in range(2)]
    exact, learned = (SDModel(J=j, filling=1.0, temperature=0.05) for j in (3.0, 2.8))
    return compare_rollouts(exact, learned, configs, Quench(3.0, 0.5, 0.1, 0.05), [1, 2])


def written(figure, path):
    """The size of the PNG in inches at 150 dots per inch, and whether it holds more than white."""
    figures.save(figure, path)
    with Image.open(path) as image:
        assert image.info["dpi"][0] == pytest.approx(150, abs=0.1)
        assert len(image.convert("L").getcolors(256)) > 10
    return path


def axes_text(figure):
    return " ".join(ax.get_xlabel() + " " + ax.get_ylabel() for ax in figure.axes)


def test_correlations_show_exact_points_and_learned_lines(comparison, tmp_path):
    figure = figures.rollout_correlations(comparison, at=[0.0, 2.9])
    ax = figure.axes[0]
    assert "mean spacing" in ax.get_xlabel()
    curves = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == len(comparison.exact_correlation.r)]
    for wanted in (comparison.exact_mean.mean[-1], comparison.learned_mean.mean[-1]):
        assert any(np.array_equal(np.asarray(curve, float), wanted, equal_nan=True) for curve in curves)
    assert f"{100 * comparison.agreement.fraction_within():.0f} %" in ax.get_title(loc="left")
    written(figure, tmp_path / "c.png")


def test_energy_and_torque_against_time(comparison, tmp_path):
    figure = figures.energy_relaxation({"exact": comparison.exact, "learned": comparison.learned})
    per_site = comparison.learned.energies.mean(1) / 12
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), per_site)
    assert "t_0" in figure.axes[0].get_ylabel()
    assert "hbar" in figure.axes[0].get_xlabel()
    written(figure, tmp_path / "e.png")
    figure = figures.torque_along_rollout(comparison)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), comparison.torque_r2)
    low, high = figure.axes[0].get_ylim()
    assert low < comparison.torque_r2.min() <= comparison.torque_r2.max() <= high
    written(figure, tmp_path / "t.png")


@pytest.mark.parametrize("n", [50, 5000])
def test_torque_parity_quotes_its_numbers(n, tmp_path):
    exact = np.random.default_rng(0).normal(size=(n, 3))
    figure = figures.torque_parity(exact, exact * 0.9)
    text = figure.axes[0].texts[0].get_text()
    assert "NRMSE = 0.100" in text
    assert "0.99" in text
    assert "t_0" in axes_text(figure)
    written(figure, tmp_path / "p.png")


def test_pictures_of_spins_in_two_and_three_dimensions(comparison, tmp_path):
    figure = figures.rollout_pictures(comparison, replica=1)
    assert [ax.get_title(loc="left") for ax in figure.axes[:3]] == ["before, t = 0", "exact, t = 3", "learned, t = 3"]
    arrows = figure.axes[1].collections[-1]
    np.testing.assert_allclose(arrows.U, comparison.exact.spins[-1, 1, :, 0])
    np.testing.assert_allclose(arrows.get_array(), comparison.exact.spins[-1, 1, :, 2])
    written(figure, tmp_path / "s.png")
    solid = RandomSites(27, 3).sample(np.random.default_rng(0))
    figure = figures.spin_pictures(solid, {"start": solid.spins})
    assert 0 < len(figure.axes[0].collections[-1].U) < 27
    written(figure, tmp_path / "s3.png")


def test_learning_curves_from_ragged_rows(tmp_path):
    rows = [{"epoch": e, "train/loss": 1 / (e + 1)} for e in range(5)]
    rows += [{"epoch": e, "val/loss": 2 / (e + 1), "val/torque_r2": 1 - 0.5 / (e + 1)} for e in range(5)]
    rows += [{"epoch": 5, "val/torque_r2": float("nan")}, {"epoch": None, "train/loss": 1.0}]
    figure = figures.learning_curves(rows)
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[1].get_ydata(), 2 / np.arange(1, 6))
    np.testing.assert_allclose(right.lines[0].get_ydata(), 0.5 / np.arange(1, 6))
    assert "0.9000" in right.texts[0].get_text()
    written(figure, tmp_path / "l.png")
    written(figures.learning_curves([{"epoch": 0, "train/loss": 1.0}]), tmp_path / "short.png")


def test_figures_leave_matplotlib_alone(comparison):
    before, backend = dict(mpl.rcParams), mpl.rcParams._get("backend")
    figures.rollout_correlations(comparison)
    assert dict(mpl.rcParams) == before
    assert mpl.rcParams._get("backend") == backend


def test_bad_requests_are_refused(comparison, tmp_path):
    with pytest.raises(InputError, match="at least one trajectory"):
        figures.energy_relaxation({})
    with pytest.raises(InputError, match="at least one panel"):
        figures.spin_pictures(comparison.exact.configs[0], {})
    with pytest.raises(InputError, match="cannot be written"):
        figures.save(figures.torque_parity(np.eye(3), np.eye(3)), tmp_path / "nowhere" / "p.png")
