"""Statistics against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mhipnn import Evaluation, SpinConfiguration
from mhipnn.data.labelled import collect
from mhipnn.data.statistics import Statistics, fit_statistics
from mhipnn.errors import DatasetError, InputError


def record(energy, spins, field, forces):
    spins, field, forces = (np.asarray(value, float) for value in (spins, field, forces))
    n = len(spins)
    config = SpinConfiguration(np.arange(3.0 * n).reshape(n, 3), np.eye(3), (False,) * 3, spins)
    return config, Evaluation(energy, np.full(n, energy / n), field, np.cross(spins, field), forces), 0, -1.0


RECORDS = [
    record(-6.0, [[1, 0, 0], [0, 0, 1]], [[2, 3, 0], [0, 0, -1]], [[1, 1, 1], [1, 1, 1]]),
    record(-5.0, [[0, 2, 0]], [[0, 4, 6]], [[-3, 0, 0]]),  # |S| = 2
]


def test_statistics_by_hand():
    result = fit_statistics(collect(RECORDS), n_edges=[4, 2])
    assert result.energy_per_site_mean == pytest.approx(-4.0)  # of -3 and -5: per configuration, not per site
    assert result.energy_per_site_std == pytest.approx(1.0)
    # torques (0,0,3), 0, (12,0,0); tangential parts (0,3,0), 0, (0,0,6); nine components each
    assert result.torque_rms == pytest.approx(np.sqrt((9 + 144) / 9))
    assert result.tangential_rms == pytest.approx(np.sqrt((9 + 36) / 9))
    assert result.field_rms == pytest.approx(np.sqrt((4 + 9 + 1 + 16 + 36) / 9))
    assert result.radial_mean == pytest.approx((2 - 1 + 4) / 3)
    assert result.radial_std == pytest.approx(np.std([2, -1, 4]))
    assert result.forces_rms == pytest.approx(np.sqrt((6 + 9) / 9))
    assert result.mean_neighbours == pytest.approx(6 / 3)
    assert result.mean_sites == pytest.approx(1.5)
    assert result.n_configurations == 2


def test_round_trip_through_plain_floats():
    result = fit_statistics(collect(RECORDS), [4, 2])
    values = result.to_dict()
    assert all(type(value) is float for value in values.values())
    assert Statistics.from_dict(values) == result
    with pytest.raises(InputError, match="torque_rms"):
        Statistics.from_dict({key: value for key, value in values.items() if key != "torque_rms"})


def test_nothing_and_nan_are_refused():
    with pytest.raises(DatasetError, match="no configuration"):
        fit_statistics(collect([]), [])
    with pytest.raises(DatasetError, match="forces_rms not finite"):
        fit_statistics(collect([record(1.0, [[0, 0, 1]], [[0, 0, 1]], [[np.nan, 0, 0]])]), [0])
