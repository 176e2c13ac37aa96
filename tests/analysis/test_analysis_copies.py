"""Several histories of one disorder: what they share, what errors count, and chi_SG from one command to the other."""

from __future__ import annotations

import numpy as np
import pytest

from mhipnn.analysis import analyze, analyze_report
from mhipnn.analysis.comparison.compare import compare_trajectories
from mhipnn.analysis.realisations import over_copies, recorded_realisations
from mhipnn.analysis.selection import temperature_blocks
from mhipnn.analysis.simulation import minimisation, report
from mhipnn.analysis.simulation.start import realisations, replicas_from
from mhipnn.config import compose_config
from mhipnn.dynamics import Trajectory, TrajectoryReader, read_trajectory, write_trajectory
from mhipnn.errors import ConfigError
from mhipnn.simulate import run
from mhipnn.structures import Crystal, RandomSites

N = 16
HOT = ["potential=heisenberg", "potential.J.J=1e-9", f"system.n_sites={N}", "dynamics.duration=0.2"]
HOT += ["dynamics.time_step=0.1", "observers.correlations=null"]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """They take longer than everything else here."""
    for module in (report, analyze_report, minimisation):
        monkeypatch.setattr(module, "save", lambda figure, path: path)


def simulate(folder, *settings):
    return run(compose_config("simulate", [*settings, f"run_dir={folder}"]))


def analysed(folder, *settings):
    return analyze.run(compose_config("analyze", [f"trajectory={folder / 'trajectory.h5'}", *settings]))


# --- what copies share ---------------------------------------------------------------------------------------------


def test_copies_share_their_disorder_and_nothing_else():
    system = RandomSites(9, 2, species={"fractions": [0.5, 0.5]})
    alone, alone_seeds = realisations(system, 5, 3)
    configs, seeds = realisations(system, 5, 3, copies=3)
    assert seeds[::3] == alone_seeds
    assert len(set(seeds)) == 9
    for number, first in enumerate(alone):
        np.testing.assert_array_equal(configs[3 * number].spins, first.spins)
        for copy in configs[3 * number : 3 * number + 3]:
            np.testing.assert_array_equal(copy.positions, first.positions)
            np.testing.assert_array_equal(copy.species, first.species)
    spins = np.stack([config.spins for config in configs])
    np.testing.assert_allclose(np.linalg.norm(spins, axis=-1), 1)
    dots = np.einsum("pna,qna->pq", spins, spins) / 9
    assert np.abs(dots - np.eye(9)).max() < 0.75  # a standard deviation is 0.19
    more, more_seeds = realisations(system, 5, 3, copies=4)
    assert more_seeds[1] == seeds[1]
    np.testing.assert_array_equal(more[5].spins, configs[4].spins)


def test_copy_0_runs_as_the_realisation_alone(tmp_path):
    simulate(tmp_path / "one", *HOT, "replicas=3", "deterministic=true")
    metrics = simulate(tmp_path / "two", *HOT, "replicas=3", "copies=2", "deterministic=true", "max_memory=1B")
    assert (metrics["replicas"], metrics["copies"]) == (3, 2)
    one, two = (read_trajectory(tmp_path / name / "trajectory.h5")[0] for name in ("one", "two"))
    np.testing.assert_array_equal(two.spins[:, ::2], one.spins)
    assert np.abs(two.spins[:, 1::2] - one.spins).max() > 0.1


# --- what errors count ---------------------------------------------------------------------------------------------


def test_means_over_copies():
    values = np.array([[1.0, 2.0, np.nan, 4.0], [1.0, np.nan, np.nan, 6.0]])
    np.testing.assert_allclose(over_copies(values, [0, 0, 1, 1], axis=1), [[1.5, 4.0], [1.0, 6.0]])
    np.testing.assert_allclose(over_copies(values[:, [0, 3, 1]], [4, 2, 4], axis=1), [[1.5, 4.0], [1.0, 6.0]])
    np.testing.assert_allclose(over_copies(values, [0, 1, 1, 2], axis=1), [[1.0, 2.0, 4.0], [1.0, np.nan, 6.0]])
    assert over_copies(values, [0, 1, 2, 3], axis=1) is values
    np.testing.assert_allclose(over_copies(np.array([1.0, 3.0]), [7, 7], axis=0), [2.0])


def test_which_replicas_are_one_realisation():
    rng = np.random.default_rng(0)
    one, other, crystal = RandomSites(6, 2).sample(rng), RandomSites(6, 2).sample(rng), Crystal("square", [2, 3])
    assert recorded_realisations({"realisations": [3, 3, 5]}, [one, one]) == [3, 3]
    assert recorded_realisations({"realisations": "many"}, [one, other, one, other]) == [0, 1, 0, 1]
    assert recorded_realisations({}, [crystal.sample(rng) for _ in range(3)]) == [0, 1, 2]
    assert recorded_realisations(None, [one, other]) == [0, 1]


def test_errors_count_realisations(tmp_path):
    """Energies of K = 3 disorders with 2 histories each: the error is s/sqrt(3) of the three means."""
    metrics = simulate(tmp_path, *HOT[:3], "dynamics.duration=0.2", "dynamics.time_step=0.1", "replicas=3", "copies=2",
                       "potential.J.J=1.0")  # fmt: skip
    with TrajectoryReader(tmp_path / "trajectory.h5") as reader:
        energies = reader.energies.reshape(-1, 3, 2).mean(2) / N
        nearest = reader.streams()["correlations/value"][-1, :, 1].reshape(3, 2).mean(1)
    assert metrics["energy_per_site_end"] == pytest.approx(energies[-1].mean())
    assert metrics["energy_per_site_end_error"] == pytest.approx(energies[-1].std(ddof=1) / np.sqrt(3))
    assert metrics["nearest_r"] == 0.75
    assert metrics["nearest_correlation_end_error"] == pytest.approx(nearest.std(ddof=1) / np.sqrt(3))
    content = analysed(tmp_path, "observables=[energy,correlation,edwards_anderson,domains,topology]",
                       "edwards_anderson.since=0")  # fmt: skip
    assert (content["replicas"], content["realisations"]) == (6, 3)
    assert content["energy"]["table"][-1]["error"] == pytest.approx(energies[-1].std(ddof=1) / np.sqrt(3))
    assert content["correlation"]["table"][0]["error"] == pytest.approx(nearest.std(ddof=1) / np.sqrt(3))
    q_ea = np.reshape(content["edwards_anderson"]["q_ea"], (3, 2)).mean(1)
    assert content["edwards_anderson"]["table"][0]["error"] == pytest.approx(q_ea.std(ddof=1) / np.sqrt(3))
    count = np.reshape(content["domains"]["count"][-1], (3, 2)).mean(1)
    assert content["domains"]["table"][0]["error"] == pytest.approx(count.std(ddof=1) / np.sqrt(3))
    charge = np.reshape(content["topology"]["charge"][-1], (3, 2)).mean(1)
    assert content["topology"]["table"][0]["error"] == pytest.approx(charge.std(ddof=1) / np.sqrt(3))
    some = analysed(tmp_path, "observables=[energy]", "replicas=[0,1,2]")
    halves = [energies[-1, 0], reader_energy(tmp_path, 2)]
    assert some["energy"]["table"][-1]["value"] == pytest.approx(np.mean(halves))


def reader_energy(folder, replica):
    return read_trajectory(folder / "trajectory.h5")[0].energies[-1, replica] / N


def test_compared_runs_count_realisations_too(tmp_path):
    for name, exchange in (("one", 1.0), ("two", 1.5)):
        simulate(tmp_path / name, *HOT, f"potential.J.J={exchange}", "replicas=3", "copies=2")
    paths = [tmp_path / name / "trajectory.h5" for name in ("one", "two")]
    one, two = (read_trajectory(path)[0] for path in paths)
    found = compare_trajectories(paths)
    assert found.n_replicas == 3
    difference = ((two.energies - one.energies)[-1] / N).reshape(3, 2).mean(1)
    assert found.energy_difference(found.runs[1]).error[-1] == pytest.approx(difference.std(ddof=1) / np.sqrt(3))
    squares = ((two.spins - one.spins)[-1] ** 2).sum(-1).mean(-1).reshape(3, 2).mean(1)
    assert found.runs[1].distance.mean[-1] == pytest.approx(np.sqrt(squares.mean()))
    assert found.runs[1].mean_correlation.n.max() == 3


def test_one_disorder_has_no_error_and_a_crystal_has(tmp_path):
    simulate(tmp_path / "one", *HOT[:3], "dynamics.duration=4", "dynamics.time_step=1", "dynamics.record_every=1",
             "replicas=1", "copies=4")  # fmt: skip
    content = analysed(tmp_path / "one", "observables=[energy,aging,spin_glass]", "aging.waiting_times=[0]")
    assert content["energy"]["table"][-1]["error"] is None
    assert content["realisations"] == 1
    crystal = ["system=crystal", "system.cells=[4,4]", *HOT[:2], *HOT[3:]]
    simulate(tmp_path / "crystal", *crystal, "replicas=4")
    assert analysed(tmp_path / "crystal", "observables=[energy]")["energy"]["table"][-1]["error"] > 0


# --- chi_SG, from simulate to analyze ------------------------------------------------------------------------------


def test_chi_of_uncorrelated_copies_is_one(tmp_path):
    """N <q^2> = 1 exactly; N q_ab^2 are nine squares of variance 2/81 each, so that the error is known too."""
    disorders = 120
    simulate(tmp_path, *HOT, f"replicas={disorders}", "copies=2")
    content = analysed(tmp_path, "observables=[spin_glass]")
    for mean, error in zip(content["spin_glass"]["mean"], content["spin_glass"]["error"], strict=True):
        assert error == pytest.approx(np.sqrt(2 / 9 / disorders), rel=0.35)
        assert mean == pytest.approx(1, abs=4 * error)


def test_chi_is_larger_where_copies_start_with_the_same_spins(tmp_path):
    """A random state with itself: N q^2 = 1 + (N - 1)/3 in the mean."""
    first = tmp_path / "first"
    simulate(first, *HOT, "replicas=30")
    start = f"start={first / 'trajectory.h5'}"
    metrics = simulate(tmp_path / "second", *HOT, start, "copies=2", "dynamics.damping=1", "dynamics.temperature=2")
    assert (metrics["replicas"], metrics["copies"]) == (30, 2)
    content = analysed(tmp_path / "second", "observables=[spin_glass]")["spin_glass"]
    assert content["mean"][0] == pytest.approx(1 + (N - 1) / 3, abs=4 * content["error"][0])
    assert 2 < content["mean"][-1] < content["mean"][0] - 4 * content["error"][-1]  # the noise takes them apart


# --- runs that start with the spins of others ------------------------------------------------------------------------


def test_a_run_starts_with_the_last_spins_of_another(tmp_path):
    simulate(tmp_path / "first", *HOT, "replicas=2", "copies=2", "dynamics.temperature=[0.1,0.3]")
    path = str(tmp_path / "first" / "trajectory.h5")
    before, record = read_trajectory(path)
    again = replicas_from(path, seed=0)
    assert again.realisations == [0, 0, 1, 1] * 2
    assert again.blocks == ("kT = 0.1", "kT = 0.3")
    assert not set(again.seeds) & set(record["noise_seeds"])
    simulate(tmp_path / "second", *HOT, f"start={path}", "dynamics.temperature=[0.2,0.4]")
    with TrajectoryReader(tmp_path / "second" / "trajectory.h5") as reader:
        np.testing.assert_array_equal(reader.spins(0), np.concatenate([before.spins[-1]] * 2))
        np.testing.assert_array_equal(reader.configs[3].positions, before.configs[3].positions)
        names = temperature_blocks(reader.metadata)
    assert names == [f"kT = {new} from kT = {old}" for new in (0.2, 0.4) for old in (0.1, 0.3)]
    with pytest.raises(ConfigError, match=r"4 temperatures .*, 4 replicas at each"):
        analysed(tmp_path / "second")
    minima = simulate(tmp_path / "third", *HOT[:2], "potential.J.J=1", "dynamics=minimise", f"start={path}")
    assert set(minima["temperatures"]) == {"kT = 0.1", "kT = 0.3"}
    with TrajectoryReader(tmp_path / "third" / "trajectory.h5") as reader:
        np.testing.assert_array_equal(reader.spins(0), before.spins[-1])
        energies = reader.energies[-1].reshape(2, 2, 2).mean(2) / N
    for name, own in zip(("kT = 0.1", "kT = 0.3"), energies, strict=True):
        assert minima["temperatures"][name]["energy_per_site_end"] == pytest.approx(own.mean())


def test_files_that_nothing_can_start_from(tmp_path):
    with pytest.raises(ConfigError, match=r"start=.*none\.h5: there is no such file"):
        replicas_from(str(tmp_path / "none.h5"), 0)
    config = RandomSites(4, 2).sample(np.random.default_rng(0))
    empty = Trajectory(np.zeros(0), np.zeros((0, 2, 4, 3)), np.zeros((0, 2)), [config] * 2)
    write_trajectory(tmp_path / "empty.h5", empty)
    with pytest.raises(ConfigError, match="no complete frame to start from"):
        replicas_from(str(tmp_path / "empty.h5"), 0)
