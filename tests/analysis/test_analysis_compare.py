"""Runs of one quench compared: known answers made by hand, and files that are not of one quench."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from PIL import Image

from mhipnn.analysis import analyze, analyze_report
from mhipnn.analysis.comparison.agreement import CorrelationAgreement, rms_distance
from mhipnn.analysis.comparison.compare import compare_trajectories
from mhipnn.analysis.comparison.figure import comparison_sheet
from mhipnn.analysis.comparison.recorded_run import potential_name
from mhipnn.analysis.correlations import MeanAndError, trajectory_correlation
from mhipnn.config import compose_config
from mhipnn.dynamics import Trajectory, TrajectoryReader, write_trajectory
from mhipnn.errors import ConfigError, DatasetError, InputError
from mhipnn.structures import RandomSites, random_spins

T, R, N = 7, 3, 25
TIMES = 0.5 * np.arange(T)
EXACT = {"_target_": "mhipnn.electrons.sd_model.SDModel", "J": 3.0, "solver": "exact"}


def made_by(potential=EXACT, seeds=(1, 2, 3), version="1", **dynamics):
    dynamics = {"integrator": {"_target_": "mhipnn.dynamics.integrators.Heun"}, "time_step": 0.1} | dynamics
    config = {"potential": potential, "dynamics": dynamics | {"temperature": 0.05}}
    return {"config": config, "noise_seeds": list(seeds), "version": version}


def turned_about_z(spins, angle):
    c, s = np.cos(angle), np.sin(angle)
    return spins @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T


@pytest.fixture(scope="module")
def quench():
    rng = np.random.default_rng(0)
    configs = [RandomSites(N, 2).sample(rng) for _ in range(R)]
    spins = np.stack([[random_spins(N, rng) for _ in range(R)] for _ in range(T)])
    spins[0] = [config.spins for config in configs]
    return Trajectory(TIMES, spins, rng.normal(-3.0, 0.1, (T, R)) * N, configs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, quench):
    path = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(1)

    def write(name, trajectory, metadata):
        (path / name).mkdir()
        write_trajectory(path / name / "trajectory.h5", trajectory, metadata)

    write("exact", quench, made_by())
    turned = np.stack([turned_about_z(state, 0.2 * t) for state, t in zip(quench.spins, TIMES, strict=True)])
    write("turned", replace(quench, spins=turned, energies=quench.energies + 0.3 * TIMES[:, None] * N),
          made_by(EXACT | {"solver": "kpm"}))  # fmt: skip
    unrelated = np.stack([[random_spins(N, rng) for _ in range(R)] for _ in range(T)])
    unrelated[0] = quench.spins[0]
    write("unrelated", replace(quench, spins=unrelated), made_by(time_step=0.05, version="2"))
    moved = [replace(config, positions=config.positions + [0.25, 0, 0]) for config in quench.configs]
    write("moved", replace(quench, configs=moved), made_by())
    flipped = [config.with_spins(-config.spins) for config in quench.configs]
    write("flipped", replace(quench, configs=flipped), made_by())
    write("noise", quench, made_by(seeds=(1, 2, 4)))
    write("late", replace(quench, times=TIMES * 1.5), made_by())
    write("short", Trajectory(TIMES[:4], quench.spins[:4], quench.energies[:4], quench.configs), made_by())
    write("few", Trajectory(TIMES, quench.spins[:, :2], quench.energies[:, :2], quench.configs[:2]), made_by())
    small = [RandomSites(9, 2).sample(rng) for _ in range(R)]
    write("small", Trajectory(TIMES, quench.spins[:, :, :9], quench.energies, small), made_by())
    write("start", Trajectory(TIMES[:1], quench.spins[:1], quench.energies[:1], quench.configs), {})
    hot = made_by()
    hot["config"]["dynamics"]["temperature"] = [0.1, 0.2, 0.3]
    write("hot", quench, hot)
    (path / "text").mkdir()
    (path / "text" / "trajectory.h5").write_text("no trajectory")
    return path


def compared(folder, *names, **settings):
    return compare_trajectories([folder / name / "trajectory.h5" for name in names], **settings)


def command(folder, names, *settings):
    listed = ",".join(str(folder / name / "trajectory.h5") for name in names)
    return analyze.run(compose_config("analyze", [f"trajectory=[{listed}]", f"output={folder / 'out'}", *settings]))


def test_a_run_and_itself(folder):
    content = command(folder, ["exact", "exact"])
    run = content["runs"]["exact (2)"]
    assert content["reference"] == "exact"
    assert run["rms_distance"]["mean"] == [0] * T
    assert run["within_1_error"] == run["within_2_errors"] == run["within_2_combined_errors"] == 1
    assert run["within_1_error_until"] == TIMES[-1]
    assert run["max_deviation_in_errors"] == run["max_energy_deviation_per_site"] == 0
    assert run["differs_in"] == []
    assert "differs from the reference in nothing" in (folder / "out" / "comparison.md").read_text()


def test_spins_that_turn_as_a_whole_part_but_order_alike(folder, quench):
    """C(r) does not see the turn; the distance is 2 sin(angle/2) times the rms part of the spins across the axis."""
    result = compared(folder, "exact", "turned")
    other = result.runs[1]
    across = (quench.spins[..., :2] ** 2).sum(-1).mean(-1)  # (T, R)
    wanted = 2 * np.sin(0.1 * TIMES)[:, None] * np.sqrt(across)
    np.testing.assert_allclose(other.distances, wanted, atol=1e-12)
    squares = wanted[-1] ** 2
    assert other.distance.mean[-1] == pytest.approx(np.sqrt(squares.mean()))
    first_order = squares.std(ddof=1) / np.sqrt(R) / (2 * np.sqrt(squares.mean()))
    assert other.distance.error[-1] == pytest.approx(first_order)
    np.testing.assert_allclose(result.agreement(other).deviation[:, 1:], 0, atol=1e-12)
    difference = result.energy_difference(other)
    np.testing.assert_allclose(difference.mean, 0.3 * TIMES)
    np.testing.assert_allclose(difference.error, 0, atol=1e-12)  # every realisation by the same: no error
    np.testing.assert_allclose(other.mean_energy.mean, quench.energies.mean(1) / N + 0.3 * TIMES)


def test_unrelated_spins_are_at_the_root_of_two(folder, quench):
    result = compared(folder, "exact", "unrelated")
    other = result.runs[1]
    assert other.distance.mean[0] == 0
    np.testing.assert_allclose(other.distance.mean[1:], np.sqrt(2), rtol=0.15)  # 75 spins
    whole = trajectory_correlation(quench)
    np.testing.assert_allclose(result.reference.correlation, whole.value)
    np.testing.assert_array_equal(result.r, whole.r)
    agreement = result.agreement(other)
    largest, instant, r = agreement.largest()
    deviation = np.abs(other.correlation.mean(1) - whole.value.mean(1))[1:]
    errors = whole.value.std(1, ddof=1)[1:] / np.sqrt(R)
    assert largest == pytest.approx(np.nanmax(deviation / errors))
    assert (deviation / errors)[instant - 1, r] == pytest.approx(largest)
    counted = np.isfinite(deviation / errors)
    assert agreement.fraction_within(1.0) == pytest.approx((deviation <= errors)[counted].mean())


def test_errors_count_bins_that_have_one():
    """Deviations by hand: 0 without spread, 3 and 1 standard errors, infinite without spread, none with one sample."""
    reference = MeanAndError(np.zeros((2, 5)), np.array([[1.0] * 5, [0, 0.5, 2, 0, np.nan]]), np.full((2, 5), 3))
    other = MeanAndError(np.array([[9.0] * 5, [0, 1.5, -2, 1, 7]]), np.zeros((2, 5)), np.full((2, 5), 3))
    agreement = CorrelationAgreement(np.array([0.0, 1.0]), reference, other)
    np.testing.assert_array_equal(agreement.in_errors[1], [0, 3, 1, np.inf, np.nan])
    assert agreement.largest() == (np.inf, 1, 3)
    assert agreement.fraction_within(1.0) == agreement.fraction_within(2.0) == 2 / 4
    assert agreement.fraction_within(3.0) == 3 / 4
    single = CorrelationAgreement(np.array([0.0, 1.0]), reference._replace(error=np.full((2, 5), np.nan)), other)
    assert np.isnan(single.largest()[0])
    assert np.isnan(single.fraction_within())


def test_distance_of_spins_of_any_length_and_of_empty_sites():
    spins = 2.5 * np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]])
    other = 2.5 * np.array([[0, 1.0, 0], [0, 1, 0], [0, 0, 0]])
    assert rms_distance(other, spins) == pytest.approx(1.0)  # one turned by 90 degrees, one not: sqrt((2 + 0)/2)
    np.testing.assert_allclose(rms_distance(np.stack([-spins, spins]), spins), [2, 0])


def test_report_table_and_figure(folder, capsys):
    content = command(folder, ["exact", "turned", "unrelated"])
    assert list(content["runs"]) == ["exact, dt = 0.1", "KPM", "exact, dt = 0.05"]
    run = content["runs"]["exact, dt = 0.05"]
    assert run["differs_in"] == ["dynamics.time_step: 0.05, not 0.1", "version: 2, not 1"]
    assert content["runs"]["KPM"]["differs_in"] == ["potential.solver: kpm, not exact"]
    assert (run["integrator"], run["time_step"], run["version"]) == ("Heun", 0.05, "2")
    assert json.loads((folder / "out" / "comparison.json").read_text()) == content
    text = (folder / "out" / "comparison.md").read_text()
    assert "| KPM | KPM: J 3.0, solver kpm | Heun | 0.1 | 1 |" in text
    assert text.count("A step of another length draws other noise.") == 1
    assert "`../turned/trajectory.h5`" in text
    assert f"{100 * run['within_2_errors']:.1f} %" in text
    assert not re.search(r"nan|None", text)
    out = capsys.readouterr().out
    assert "3 runs of 3 x 25 spins, 7 frames, t = 0 to 3" in out
    with Image.open(folder / "out" / "comparison.png") as image:
        assert len(image.convert("L").getcolors(256)) > 10


def test_figure_shows_the_numbers_with_units(folder):
    result = compared(folder, "exact", "turned", "unrelated", names=["A", "B", "C"])
    figure = comparison_sheet(result, [2, 6])
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert len(labels) == 5  # without an audit three panels, and two profiles
    assert "t_0" in labels[0]
    assert all("hbar" in ax.get_xlabel() for ax in figure.axes[:3])
    assert all("mean spacing" in ax.get_xlabel() for ax in figure.axes[3:])
    energy, distance, deviation, _, last = figure.axes
    np.testing.assert_allclose(energy.lines[1].get_ydata(), result.runs[1].mean_energy.mean)
    np.testing.assert_allclose(distance.lines[1].get_ydata(), result.runs[1].distance.mean[1:])
    assert distance.lines[0].get_ydata()[0] == pytest.approx(np.sqrt(2))
    worst = np.nanmax(result.agreement(result.runs[2]).in_errors, axis=1)
    np.testing.assert_allclose(deviation.lines[-1].get_ydata(), worst)
    np.testing.assert_allclose(last.containers[2].lines[0].get_ydata(), result.runs[2].mean_correlation.mean[6])
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in energy.lines}
    assert len(looks) == 3


def test_a_single_realisation_has_no_errors(folder):
    content = command(folder, ["exact", "unrelated"], "replicas=[1]", "names=[a,b]", "correlation.n_times=3")
    run = content["runs"]["b"]
    assert content["replicas"] == 1
    assert run["within_2_errors"] is None
    assert run["max_deviation_in_errors"] is None
    assert run["rms_distance"]["mean"][-1] > 1
    assert not re.search(r"nan|None", (folder / "out" / "comparison.md").read_text())


def test_a_part_of_the_runs_and_long_arrays(folder, monkeypatch):
    assert len(compared(folder, "exact", "short", stop=1.5).times) == 4
    assert compared(folder, "exact", "few", replicas=[1, 0]).n_replicas == 2
    assert compared(folder, "exact", "turned", frames=3).times.tolist() == [0, 1.5, 3]
    late = compared(folder, "exact", "turned", start=1.0)
    assert late.times[0] == 1
    assert late.runs[1].distances.min() > 0
    monkeypatch.setattr(analyze_report, "LONG", 20)
    content = command(folder, ["exact", "turned"])
    named = content["runs"]["KPM"]["correlation"]["mean"]["arrays.npz"]
    with np.load(folder / "out" / "arrays.npz", allow_pickle=False) as arrays:
        assert arrays[named].shape == (T, len(content["r"]))


def test_one_frame_of_two_runs_at_a_time(folder, monkeypatch):
    """Whatever the number of frames, no file gives more than one of them."""
    given = []
    spins = TrajectoryReader.spins
    monkeypatch.setattr(TrajectoryReader, "spins", lambda reader, frame: given.append(frame) or spins(reader, frame))
    for name in ("frames", "trajectory", "streams"):
        monkeypatch.setattr(TrajectoryReader, name, None)
    compared(folder, "exact", "turned", "unrelated")
    assert given == [frame for frame in range(T) for _ in range(3)]


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("moved", InputError, "sites of replica 0 are others (by up to 0.25); runs of one system"),
        ("flipped", InputError, "first spins of replica 0 are others (by up to"),
        ("noise", InputError, "its noise has other seeds"),
        ("late", InputError, "its frame 1 is at t = 0.75, not 0.5; runs that record at the same times"),
        ("short", InputError, "it has 4 frames, to t = 1.5, not 7, to t = 3; stop=1.5 compares what both have"),
        ("few", InputError, "it has 2 replicas, not 3; replicas=[0,...,1]"),
        ("small", InputError, "it has 9 sites, not 25"),
        ("hot", ConfigError, "the run has 3 temperatures"),
        ("text", DatasetError, "cannot be read"),
        ("missing", ConfigError, "there is no such file"),
    ],
)
def test_other_quenches_are_refused_with_what_differs(folder, name, kind, says):
    with pytest.raises(kind) as caught:
        compared(folder, "exact", name)
    assert says in str(caught.value)
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "settings", "says"),
    [
        (["exact"], [], "a list of 1; give 2 to 6 runs"),
        (["exact"] * 7, [], "a list of 7"),
        (["exact", "turned"], ["names=[a]"], "give 2 different ones"),
        (["exact", "turned"], ["names=[a,a]"], "give 2 different ones"),
        (["exact", "turned"], ["names=ab"], "names=ab: give a list"),
        (["exact", "turned"], ["observables=[energy]"], "observables=... is for one trajectory"),
        (["exact", "turned"], ["export=vtk"], "export=... is for one trajectory"),
        (["exact", "turned"], ["potential=exact"], "potential=... is for one trajectory"),
        (["exact", "turned"], ["correlation.n_times=0"], "correlation.n_times 0: give a number >= 1"),
        (["exact", "turned"], ["correlation.bin_width=0"], "must be positive"),
        (["exact", "turned"], ["correlation.r_max=0.6", "correlation.bin_width=0.2"], "no pair of sites is that close"),
        (["exact", "turned"], ["replicas=[3]"], "has replicas 0 to 2"),
        (["exact", "turned"], ["start=9"], "no frame of the trajectory is in this range"),
        (["exact", "turned"], ["stop=0"], "needs an instant after t = 0"),
        (["start", "start"], [], "needs an instant after t = 0"),
        (["exact", "turned"], ["output=/dev/null/x"], "cannot be written"),
    ],
)
def test_mistakes_are_told_in_one_sentence(folder, tmp_path, names, settings, says):
    given = settings if any("output=" in one for one in settings) else [*settings, f"output={tmp_path / 'never'}"]
    with pytest.raises((ConfigError, InputError)) as caught:
        command(folder, names, *given)
    assert says in str(caught.value)
    assert not (tmp_path / "never").exists()


def test_what_a_file_says_is_words(tmp_path, quench):
    """A file may say anything; the report holds it as text."""
    odd = [
        {"config": {"potential": {"_target_": "a.$x^$|b\nc"}, "dynamics": [1]}, "noise_seeds": "1", "version": {}},
        [],
    ]
    for name, metadata in zip("ab", odd, strict=True):
        write_trajectory(tmp_path / f"{name}.h5", quench)
        with h5py.File(tmp_path / f"{name}.h5", "a") as file:
            file.attrs["metadata"] = json.dumps(metadata)
    paths = ",".join(str(tmp_path / f"{name}.h5") for name in "ab")
    content = analyze.run(compose_config("analyze", [f"trajectory=[{paths}]"]))
    assert content["reference"] == "$x^$|b\nc"
    assert list(content["runs"])[1] == tmp_path.name
    assert "| $x^$\\|b c |" in (tmp_path / "comparison" / "comparison.md").read_text()


def test_names_are_for_several(folder):
    with pytest.raises(ConfigError, match="those of several"):
        analyze.run(compose_config("analyze", [f"trajectory={folder / 'exact' / 'trajectory.h5'}", "names=[a]"]))


def test_names_of_potentials():
    zeeman = {"_target_": "mhipnn.dynamics.additive.onsite.Zeeman", "field": [0, 0, 1]}
    learned = {"_target_": "mhipnn.nn.checkpoint.load_potential", "path": "best.ckpt"}
    both = {"_target_": "mhipnn.dynamics.additive.sum.Sum", "own": learned, "field": zeeman}
    assert potential_name(both) == "learned + zeeman"
    assert potential_name({"_target_": "mhipnn.dynamics.additive.pairs.PairExchange"}) == "pair exchange"
    assert potential_name({}) == ""
