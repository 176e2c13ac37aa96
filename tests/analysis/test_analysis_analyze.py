"""``python -m mhipnn.analyze`` on trajectories whose every number is known, and on those that it must refuse."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mhipnn import registry
from mhipnn.analysis import analyze, analyze_report, texture_figures
from mhipnn.analysis.jackknife import Estimate
from mhipnn.analysis.observables.base import Findings, Row
from mhipnn.config import compose_config
from mhipnn.dynamics import Trajectory, write_trajectory
from mhipnn.errors import ConfigError, DatasetError, InputError
from mhipnn.structures import Crystal, RandomSites, random_spins

L, N_FRAMES, DT = 6, 40, 0.5
OMEGA = 2 * np.pi * 4 / (N_FRAMES * DT)  # on the grid of frequencies


def turning(theta=np.pi / 2):
    """A ferromagnet that precesses counter-clockwise about +z, twice the same sites."""
    config = Crystal("square", [L, L]).sample(np.random.default_rng(0))
    times = DT * np.arange(N_FRAMES)
    phase = OMEGA * times
    one = np.stack([np.sin(theta) * np.cos(phase), np.sin(theta) * np.sin(phase), np.cos(theta) + 0 * phase], 1)
    spins = np.broadcast_to(one[:, None, None], (N_FRAMES, 2, L * L, 3)).copy()
    energies = np.repeat(-3.0 * L * L + 7.2 * (1 + times) ** -0.5, 2).reshape(-1, 2)
    configs = [config.with_spins(spins[0, 0])] * 2
    return Trajectory(times, spins, energies, configs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    write_trajectory(path / "turning.h5", turning())
    write_trajectory(path / "hot.h5", turning(), {"config": {"dynamics": {"temperature": [0.1, 0.2]}}})
    rng = np.random.default_rng(1)
    configs = [RandomSites(20, 3).sample(rng) for _ in range(2)]
    spins = np.stack([[random_spins(20, rng) for _ in range(2)] for _ in range(6)])
    write_trajectory(path / "short.h5", Trajectory(np.arange(6.0), spins, np.zeros((6, 2)), configs))
    (path / "text.h5").write_text("no trajectory")
    return path


def run(folder, *settings, name="turning"):
    return analyze.run(
        compose_config("analyze", [f"trajectory={folder / name}.h5", f"output={folder / name}", *settings])
    )


def value(content, observable, quantity):
    (row,) = [row for row in content[observable]["table"] if quantity in row["quantity"]]
    return row["value"]


def test_every_number_of_a_turning_ferromagnet(folder, capsys):
    content = run(
        folder, "spectrum.axis=[0,0,1]", "spectrum.window=boxcar", "domains.axis=[1,0,0]", "structure_factor.q_max=3.5",
        "aging.waiting_times=[1,2]",
    )  # fmt: skip
    assert content["frames"] == N_FRAMES
    assert content["sites"] == L * L
    assert value(content, "energy", "t = 0") == pytest.approx(-3 + 7.2 / 36)
    np.testing.assert_allclose([v for v in content["correlation"]["mean"][-1] if v is not None], 1, atol=1e-12)
    assert content["structure_factor"]["mean"][-1][0] == pytest.approx(L * L)
    np.testing.assert_allclose(content["structure_factor"]["mean"][-1][1:], 0, atol=1e-10)
    at_zero = int(np.argmin(content["spectrum"]["q"]))
    assert content["spectrum"]["peak_omega"][at_zero] == pytest.approx(OMEGA)
    weight = np.array(content["spectrum"]["mean"][at_zero]) * content["spectrum"]["resolution"]
    assert weight.max() == pytest.approx(L * L / 2)  # half of |m|^2 is in each circular part
    assert content["aging"]["waiting_times"] == [1, 2]
    wanted = np.interp(-0.5, [-np.cos(OMEGA * DT * k) for k in (1, 2)], [DT, 2 * DT])
    assert value(content, "aging", "t_w = 1)") == pytest.approx(wanted)
    assert content["edwards_anderson"]["q_ea"] == pytest.approx([0, 0], abs=1e-12)
    assert content["edwards_anderson"]["q_squared"] == pytest.approx([1, 1])
    np.testing.assert_allclose(content["spin_glass"]["mean"], L * L)
    assert value(content, "topology", "charge") == pytest.approx(0, abs=1e-12)
    assert content["domains"]["count"][0] == [1, 1]
    assert value(content, "domains", "share") == 1
    shown = capsys.readouterr().out
    for name in ("edwards_anderson", "chi_SG", "2 x 36 spins, 40 frames"):
        assert name in shown
    assert "left out" not in shown
    written = {path.name for path in (folder / "turning").iterdir()}
    figures = {"aging", "chirality", "correlation_map", "correlations", "domains", "energy", "spectrum", "spin_glass"}
    figures |= {"structure_factor", "structure_map", "texture"}
    assert written == {f"{name}.png" for name in figures} | {"analysis.json"}
    assert json.loads((folder / "turning" / "analysis.json").read_text()) == content


def test_a_part_of_the_times_and_long_arrays(folder, monkeypatch):
    monkeypatch.setattr(analyze_report, "LONG", 100)
    content = run(folder, "observables=[spectrum,aging]", "start=4", "stop=17", "spectrum.direction=[1,0,0]")
    assert content["times"] == [4.0, 17.0]
    assert content["spectrum"]["mean"] == {"arrays.npz": "spectrum/mean"}
    with np.load(folder / "turning" / "arrays.npz", allow_pickle=False) as arrays:
        assert arrays["spectrum/mean"].shape == (len(content["spectrum"]["q"]), 27)
    np.testing.assert_allclose(np.diff(content["spectrum"]["q"]), 2 * np.pi / L)
    content = run(folder, "observables=[energy]", "frames=10", "replicas=[1]", "export=[extxyz,vtk]")
    assert (content["frames"], content["replicas"]) == (10, 1)
    assert (folder / "turning" / "trajectory.extxyz").read_text().count("Lattice=") == N_FRAMES
    assert len(list((folder / "turning").glob("trajectory*.vtp"))) == N_FRAMES


def test_what_a_trajectory_does_not_allow_is_left_out(folder, capsys):
    content = run(folder, name="short")
    shown = capsys.readouterr().out
    for reason in ("no two replicas share", "needs 16 evenly spaced frames", "must lie in a plane"):
        assert reason in shown
    assert set(content) >= {"correlation", "structure_factor", "aging", "domains", "energy"}
    assert not set(content) & {"spectrum", "spin_glass", "topology"}
    assert not (folder / "short" / "structure_map.png").exists()


def test_fields_of_a_potential_and_a_film(folder, tmp_path):
    content = run(
        folder, "observables=[fields,animation]", "potential=exact", "animation.most_frames=3", "fields.times=[0]",
    )  # fmt: skip
    assert value(content, "fields", "torque") == pytest.approx(0, abs=1e-6)  # a ferromagnet feels none
    assert value(content, "fields", "field") > 0.1
    with Image.open(folder / "turning" / "spins.gif") as film:
        assert film.n_frames == 3


@pytest.mark.parametrize(
    ("name", "settings", "kind", "says"),
    [
        ("missing", [], ConfigError, "there is no such file"),
        ("text", [], DatasetError, "cannot be read"),
        ("turning", ["observables=[corelation]"], ConfigError, "unknown 'corelation': did you mean 'correlation'"),
        ("turning", ["observables=[]"], ConfigError, "name one or more"),
        ("turning", ["start=30"], ConfigError, "no frame of the trajectory is in this range; it holds t = 0 to 19.5"),
        ("turning", ["replicas=[0,2]"], ConfigError, "has replicas 0 to 1; give a list of some"),
        ("turning", ["replicas=1"], ConfigError, "has replicas 0 to 1; give a list of some"),
        ("turning", ["replicas=[a]"], ConfigError, "has replicas 0 to 1; give a list of some"),
        ("turning", ["start=soon"], ConfigError, "start=soon: give a time"),
        ("turning", ["frames=all"], ConfigError, "whole number >= 1"),
        ("hot", [], ConfigError, "2 temperatures [0.1, 0.2], 1 replicas at each"),
        ("turning", ["export=vtp"], ConfigError, "did you mean 'vtk'"),
        ("turning", ["frames=0"], ConfigError, "whole number >= 1"),
        ("short", ["observables=[spectrum]"], InputError, "S(q, omega) needs 16 evenly spaced frames or more, got 6"),
        ("short", ["observables=[spin_glass]"], InputError, "no two replicas share their disorder"),
        ("short", ["observables=[topology]"], InputError, "must lie in a plane"),
        ("turning", ["observables=[spectrum]", "spectrum.window=hahn"], InputError, "unknown window 'hahn'"),
        ("turning", ["observables=[spectrum]", "spectrum.axis=3"], InputError, "three numbers"),
        ("turning", ["observables=[spectrum]", "spectrum.direction=[0,0,1]"], InputError, "raise q_max"),
        ("turning", ["observables=[structure_factor]", "structure_factor.q_max=0.1"], InputError, "below the second"),
        ("turning", ["observables=[structure_factor]", "structure_factor.times=[99]"], InputError, "from 0 to 19.5"),
        ("turning", ["observables=[aging]", "aging.waiting_times=5"], InputError, "give a list of times"),
        ("turning", ["observables=[domains]", "domains.axis=[0,0,0]"], InputError, "not all zero"),
        ("turning", ["observables=[texture]", "texture.replica=2"], InputError, "there are 0 to 1"),
        ("turning", ["observables=[animation]", "animation.format=avi"], InputError, "gif or mp4"),
        ("turning", ["observables=[fields]"], InputError, "no potential; add potential=exact"),
        ("turning", ["observables=[fields]", "potential=learned"], ConfigError, "add checkpoint="),
        ("turning", ["observables=[correlation]", "correlation.bin_width=0"], InputError, "must be positive"),
        ("turning", ["observables=[correlation]", "+correlation.colour=3"], ConfigError, "colour"),
        ("turning", ["observables=[energy]", "output=/dev/null/x"], ConfigError, "cannot be written"),
    ],
)
def test_mistakes_are_told_in_one_sentence(folder, name, settings, kind, says):
    given = settings if any("output=" in setting for setting in settings) else [*settings, f"output={folder / 'never'}"]
    with pytest.raises(kind) as caught:
        analyze.run(compose_config("analyze", [f"trajectory={folder / name}.h5", *given]))
    assert says in str(caught.value)
    assert not (folder / "never").exists()


def test_at_the_command_line_a_mistake_is_one_line_and_exit_code_1(folder, tmp_path):
    call = [sys.executable, "-m", "mhipnn.analyze", f"trajectory={folder / 'short.h5'}", "observables=[spectrum]"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith("error: spectrum: S(q, omega) needs 16")
    assert done.stderr.count("\n") == 1


class Magnetisation:
    """What a plugin would bring."""

    def __init__(self, scale=1.0):
        self.scale, self.seen = scale, []

    def start(self, recording):
        pass

    def add(self, frame, spins):
        self.seen.append(self.scale * np.linalg.norm(spins.mean(1), axis=-1).mean())

    def findings(self):
        return Findings([Row("|m|", Estimate(self.seen[-1], np.nan))], {"m": np.array(self.seen)})


def test_an_observable_of_ones_own(folder, monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.register("observable", "magnetisation_test", f"{__name__}.Magnetisation")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    content = run(folder, "observables=[magnetisation_test]", "+magnetisation_test.scale=2.0")
    np.testing.assert_allclose(content["magnetisation_test"]["m"], 2.0)


def test_colours_tell_directions():
    red, green, white, black, none = texture_figures.spin_colours(
        np.array([[1.0, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1], [0, 0, -1], [0, 0, 0]])
    )
    np.testing.assert_allclose(red, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(green, [0, 1, 0], atol=1e-12)
    assert white.min() > 0.9
    assert black.max() < 0.1
    np.testing.assert_allclose(none, 0.8)


def test_films_that_cannot_be(tmp_path):
    config = Crystal("square", [3, 3]).sample(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"\.gif or \.mp4"):
        texture_figures.spin_animation(config, [(0.0, config.spins)], tmp_path / "a.avi")
    with pytest.raises(InputError, match="no frames"):
        texture_figures.spin_animation(config, [], tmp_path / "a.gif")
    with pytest.raises(InputError, match="cannot be written"):
        texture_figures.spin_animation(config, [(0.0, config.spins)], tmp_path / "none" / "a.gif")
