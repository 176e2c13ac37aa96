"""Spread against error: closed forms, drawn errors, ranks by another way; the figure holds what it was given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from mhipnn.analysis import figures
from mhipnn.analysis.calibration import Calibration
from mhipnn.analysis.calibration_figure import calibration
from mhipnn.errors import InputError


@pytest.fixture(scope="module")
def drawn():
    """20,000 torques whose two tangential components are wrong by normal numbers of the width that the spread says."""
    rng = np.random.default_rng(1)
    spread = np.exp(rng.normal(-3, 0.6, 20000))
    components = rng.normal(size=(20000, 2)) * spread[:, None] / np.sqrt(2)
    return Calibration(spread, np.linalg.norm(components, axis=1))


def test_a_calibrated_ensemble(drawn):
    assert drawn.ratio == pytest.approx(1, abs=0.02)
    assert drawn.ence() < 0.04
    assert drawn.spearman == pytest.approx(drawn.attainable_spearman(), abs=0.02)
    said, error = drawn.bins()
    assert len(said) == 20
    assert (np.diff(said) > 0).all()
    np.testing.assert_allclose(error, said, rtol=0.12)


def test_an_overconfident_one_and_its_recalibration(drawn):
    third = Calibration(drawn.spread / 3, drawn.error)
    assert third.ratio == pytest.approx(3 * drawn.ratio, rel=1e-12)
    assert third.ence() == pytest.approx(2, abs=0.1)
    again = Calibration(third.spread, third.error, third.ratio)
    assert again.ratio == pytest.approx(1, rel=1e-12)
    assert again.ence() < 0.04
    assert again.spearman == third.spearman == drawn.spearman


def test_closed_forms():
    """Errors of twice the spread everywhere: ratio 2, every bin off by as much as it says, perfect ranks."""
    spread = np.geomspace(0.01, 1, 400)
    twice = Calibration(spread, 2 * spread)
    assert (twice.ratio, twice.ence(), twice.spearman) == pytest.approx((2, 1, 1), rel=1e-12)
    half = Calibration(spread, 2 * spread, 4.0)
    assert (half.ratio, half.ence()) == pytest.approx((0.5, 0.5), rel=1e-12)
    assert Calibration(spread, 1 / spread).spearman == pytest.approx(-1, rel=1e-12)


def test_bins_by_hand():
    rng = np.random.default_rng(0)
    spread, error = rng.random(45), rng.random(45)
    said, wrong = Calibration(spread, error, 2.0).bins()  # 45 sites fill two bins of 23 and 22
    low = spread <= np.sort(spread)[22]
    for part, (a, b) in zip((low, ~low), zip(said, wrong, strict=True), strict=True):
        assert a == pytest.approx(2 * np.sqrt((spread[part] ** 2).mean()), rel=1e-12)
        assert b == pytest.approx(np.sqrt((error[part] ** 2).mean()), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(arrays(np.int64, (2, 12), elements=st.integers(0, 6)))
def test_ranks_are_those_of_pearson_on_averaged_ranks(values):
    spread, error = values.astype(float)
    found = Calibration(spread, error).spearman
    a, b = (rankdata(x) - 6.5 for x in (spread, error))
    if (a == 0).all() or (b == 0).all():
        assert np.isnan(found)
    else:
        assert found == pytest.approx((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()), abs=1e-12)


def test_attainable_ranks_of_equal_spreads_do_not_exist():
    assert np.isnan(Calibration(np.ones(9), np.arange(9.0)).attainable_spearman())
    wide = Calibration(np.geomspace(1e-6, 1, 500), np.ones(500))
    assert 0.95 < wide.attainable_spearman() < 1


def test_members_that_agree_have_no_ratio():
    none = Calibration(np.zeros(50), np.arange(50.0))
    assert np.isnan([none.ratio, none.ence(), none.spearman]).all()


@pytest.mark.parametrize(
    ("spread", "error", "factor", "says"),
    [
        (np.ones(3), np.ones(4), 1.0, r"\(3,\) and error \(4,\)"),
        (np.ones((3, 1)), np.ones((3, 1)), 1.0, "two equal rows"),
        (np.ones(0), np.ones(0), 1.0, "two equal rows"),
        (np.array([1.0, np.nan]), np.ones(2), 1.0, "spread holds"),
        (np.ones(2), np.array([1.0, -1.0]), 1.0, "error holds"),
        (np.ones(2), np.ones(2), np.inf, "factor holds"),
    ],
)
def test_bad_numbers(spread, error, factor, says):
    with pytest.raises(InputError, match=says):
        Calibration(spread, error, factor)


@pytest.mark.parametrize("n", [300, 20000])
def test_figure(drawn, tmp_path, n):
    some = Calibration(drawn.spread[:n], drawn.error[:n], 1.5)
    few = Calibration(drawn.spread[:40], drawn.error[:40], 1.5)
    figure = calibration(some, few, "torques, test split", "eV")
    left, right = figure.axes[:2]
    assert all("(eV)" in text for ax in (left, right) for text in (ax.get_xlabel(), ax.get_ylabel()))
    curves = [np.asarray(line.get_xydata(), float) for line in left.lines]
    for wanted in (some.bins(), Calibration(some.spread, some.error).bins()):
        assert any(curve.shape == (len(wanted[0]), 2) and np.allclose(curve.T, wanted) for curve in curves)
    assert any("1.5" in text.get_text() for text in left.get_legend().get_texts())
    assert f"{n:,} sites: Spearman correlation {some.spearman:.2f}" in right.texts[0].get_text()
    assert f"40 configurations (orange): {few.spearman:.2f}" in right.texts[0].get_text()
    np.testing.assert_allclose(right.lines[-1].get_xydata(), np.transpose([1.5 * few.spread, few.error]))
    for ax in (left, right):
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        assert ax.get_xlim() == ax.get_ylim()
        diagonal = np.asarray(ax.lines[0].get_xydata(), float)
        np.testing.assert_array_equal(diagonal[:, 0], diagonal[:, 1])
    if n == 300:
        np.testing.assert_allclose(right.lines[1].get_xdata(), 1.5 * some.spread)
    else:
        assert right.collections[0].get_array().sum() > 0.99 * n
    assert figures.save(figure, tmp_path / "calibration.png").stat().st_size > 10_000


def test_figure_of_members_that_agree(tmp_path):
    figures.save(calibration(Calibration(np.zeros(30), np.ones(30))), tmp_path / "calibration.png")
