"""The audit's numbers against those from whole trajectories, and when it looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mhipnn import SDModel
from mhipnn.analysis.audit.figure import audit_figure
from mhipnn.analysis.audit.measure import Audit, AuditResult
from mhipnn.analysis.correlations import trajectory_correlation
from mhipnn.analysis.parity import nrmse, r_squared
from mhipnn.analysis.streaming import Correlations
from mhipnn.dynamics import Quench, Recording, Simulation, TrajectoryReader
from mhipnn.errors import ConfigError
from mhipnn.nn.ensemble import EnsemblePotential
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.structures import RandomSites

EXACT = SDModel(J=3.0, filling=1.0)
KPM = SDModel(J=3.0, filling=1.0, solver="kpm")
QUENCH = Quench(1.0, 0.1, 0.2, 0.0, 1)


def network(seed):
    torch.manual_seed(seed)
    return NetworkPotential(MHIP(cutoff=2.5, n_features=4, n_sensitivities=3).double(), dtype=torch.float64)


def run(path, potential, **observers):
    configs = [RandomSites(15, 2).sample(np.random.default_rng(seed)) for seed in range(3)]
    recording = Recording(path, groups=[2, 1], observers=observers)
    Simulation(QUENCH, potential, configs, [0, 1, 2], recording).run()
    return TrajectoryReader(path)


def torques(potential, trajectory):
    return np.array(
        [
            [
                potential.evaluate(one.with_spins(spins), forces=False).torque
                for one, spins in zip(trajectory.configs, frame, strict=True)
            ]
            for frame in trajectory.spins
        ]
    )


def test_numbers_are_those_of_the_whole_trajectory(tmp_path):
    learned = network(0)
    with run(tmp_path / "run.h5", learned, audit=Audit(EXACT, every=3), c=Correlations(1.5)) as reader:
        result, whole = AuditResult.read(reader), reader.trajectory()
        streamed = Correlations(1.5).streamed(reader, "c")
    looked = [0, 3, 6, 9]
    true, own = torques(EXACT, whole)[looked], torques(learned, whole)[looked]
    np.testing.assert_allclose(result.times, whole.times[looked])
    np.testing.assert_allclose(result.r2, [r_squared(*pair) for pair in zip(true, own, strict=True)], atol=1e-9)
    np.testing.assert_allclose(result.nrmse, [nrmse(*pair) for pair in zip(true, own, strict=True)], atol=1e-9)
    assert result.total_r2 == pytest.approx(r_squared(true, own), abs=1e-9)
    assert result.total_nrmse == pytest.approx(nrmse(true, own), abs=1e-9)
    np.testing.assert_allclose(np.sort(result.reference.ravel()), np.sort(true.ravel()), atol=1e-9)
    assert r_squared(result.reference, result.own) == pytest.approx(result.total_r2, abs=1e-9)
    assert len(audit_figure(result).axes) == 2
    expected = trajectory_correlation(whole, 1.5)
    np.testing.assert_array_equal(streamed.value, expected.value)
    np.testing.assert_array_equal(streamed.count, expected.count)
    np.testing.assert_array_equal(streamed.r, expected.r)


def test_exact_electrons_audit_themselves_and_kpm(tmp_path):
    with run(tmp_path / "exact.h5", EXACT, audit=Audit(EXACT, every=5)) as reader:
        assert AuditResult.read(reader).total_nrmse < 1e-10
    with run(tmp_path / "kpm.h5", EXACT, audit=Audit(KPM, every=10, replicas=1)) as reader:
        result = AuditResult.read(reader)
        assert 1e-10 < result.total_nrmse < 0.05
        assert np.isfinite(reader.streams()["audit/error2"]).sum(0).tolist() == [2, 0, 2]  # the first of each group


def test_it_looks_where_the_committee_disagrees(tmp_path):
    committee = EnsemblePotential([network(0), network(1)])
    never = Audit(EXACT, every=0, spread=1e9, committee=committee)
    always = Audit(EXACT, every=0, spread=0.0, committee=committee)
    with run(tmp_path / "a.h5", committee, never=never, audit=always) as reader:
        assert AuditResult.read(reader, "never") is None
        result, whole = AuditResult.read(reader), reader.trajectory()
    assert len(result.times) == len(whole.times)
    config = whole.configs[1].with_spins(whole.spins[4, 1])
    expected = np.sqrt((committee.evaluate(config, forces=False).torque_spread ** 2).mean())
    assert result.spread[4, 1] == pytest.approx(expected, rel=1e-9)
    assert len(audit_figure(result).axes) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"every": -1}, "every=-1"),
        ({"every": 0}, "look at nothing"),
        ({"spread": 0.1}, "needs a committee"),
        ({"spread": -0.1}, "spread=-0.1"),
        ({"replicas": 0}, "replicas=0"),
    ],
)
def test_bad_settings_are_refused(arguments, says):
    with pytest.raises(ConfigError, match=says):
        Audit(EXACT, **arguments)
