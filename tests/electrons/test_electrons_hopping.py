"""Forms of hopping: values by hand, slopes by differences, forces, shells, and somebody else's form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from mhipnn import SpinConfiguration, registry
from mhipnn.electrons import ExponentialHopping, GaussianHopping, PowerLawHopping, SDModel, ShellHopping
from mhipnn.errors import InputError
from mhipnn.structures import random_sites

SMOOTH = {
    "exponential": ExponentialHopping(t0=0.7, r0=1.2, xi=0.8, r_on=0.9, r_cut=1.9),
    "gaussian": GaussianHopping(t0=0.7, r0=1.2, sigma=0.6, r_on=0.9, r_cut=1.9),
    "power_law": PowerLawHopping(t0=0.7, r0=1.2, exponent=3.0, r_on=0.9, r_cut=1.9),
}


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_values_by_hand():
    r = tensor(1.0, 1.5, 2.0, 2.5, 3.0)
    # at r = 2 the window is cos^2(pi/4) = 1/2
    expected = {
        ExponentialHopping(): [-1.0, -np.exp(-1), -np.exp(-2) / 2, 0, 0],
        GaussianHopping(sigma=2.0): [-1.0, -np.exp(-1.25 / 8), -np.exp(-3 / 8) / 2, 0, 0],
        PowerLawHopping(t0=3.0, exponent=5): [-3.0, -3 / 1.5**5, -3 / 32 / 2, 0, 0],
    }
    for hopping, values in expected.items():
        assert np.allclose(hopping(r), values, rtol=0, atol=1e-15)


@pytest.mark.parametrize("form", SMOOTH)
def test_slope_is_the_difference_of_the_amplitude(form):
    t = SMOOTH[form]
    # the second derivative jumps at r_on and r_cut: stay a step away from them
    grid = torch.linspace(0.31, 2.71, 97, dtype=torch.float64)
    slope = (8 * (t(grid + 1e-4) - t(grid - 1e-4)) - (t(grid + 2e-4) - t(grid - 2e-4))) / 12e-4
    assert torch.allclose(t.derivative(grid), slope, rtol=1e-9, atol=1e-9)
    around = tensor(0.9 - 1e-9, 0.9 + 1e-9, 1.9 - 1e-9, 1.9 + 1e-9)
    for values in (t(around), t.derivative(around)):
        assert values[0] == pytest.approx(float(values[1]), rel=1e-6)
        assert values[2] == pytest.approx(0, abs=1e-6)
        assert values[3] == 0


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("form", ["gaussian", "power_law"])
def test_forces_are_differences_of_the_energy(form, dimension):
    config, exact = random_sites(12, dimension, rng=2), SDModel(1.4, 0.8, hopping=SMOOTH[form])
    labels = exact.evaluate(config)
    assert np.abs(labels.forces).max() > 0.1
    for axis in range(3):
        shift = np.zeros((12, 3))
        shift[5, axis] = 1.0

        def energy(h, shift=shift):
            return exact.evaluate(replace(config, positions=config.positions + h * shift), forces=False).energy

        slope = (8 * (energy(6e-4) - energy(-6e-4)) - (energy(12e-4) - energy(-12e-4))) / (12 * 6e-4)
        assert abs(-slope - labels.forces[5, axis]) < 1e-7


def test_shells_are_steps_and_have_no_forces():
    t = ShellHopping(t=[1.0, -0.3], r=[1.0, 1.5], tolerance=0.1)
    assert t(tensor(0.89, 0.91, 1.09, 1.11, 1.5, 1.59, 1.61)).tolist() == [0, -1, -1, 0, 0.3, 0.3, 0]
    assert 1.6 < t.r_cut < 1.61
    pair = SpinConfiguration([[0, 0, 0], [1.5, 0, 0]], 9 * np.eye(3), False, np.eye(3)[:2])
    exact = SDModel(0.0, mu=0.0, hopping=t)
    assert np.allclose(exact.state(pair).levels, [[-0.3, -0.3, 0.3, 0.3]])
    assert exact.evaluate(pair, forces=False).forces is None
    with pytest.raises(InputError, match=r"shells: .* no forces; evaluate with forces=False"):
        exact.evaluate(pair)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (ExponentialHopping, {"xi": 0.0}, "hopping xi: expected a number > 0, got 0.0"),
        (ExponentialHopping, {"r_on": 2.5}, "0 <= r_on < r_cut"),
        (ExponentialHopping, {"r_on": -0.1}, "0 <= r_on < r_cut"),
        (ExponentialHopping, {"t0": float("nan")}, "hopping t0: expected a finite number, got nan"),
        (ExponentialHopping, {"r_cut": "far"}, "hopping r_cut: expected a finite number"),
        (GaussianHopping, {"sigma": -1.0}, "hopping sigma"),
        (PowerLawHopping, {"r0": 0.0}, "hopping r0"),
        (PowerLawHopping, {"exponent": 0}, "hopping exponent"),
        (ShellHopping, {"t": 1.0}, "shells t: expected a list of numbers, got 1.0"),
        (ShellHopping, {"t": [], "r": []}, "one radius per amplitude"),
        (ShellHopping, {"t": [1.0, 2.0]}, "one radius per amplitude"),
        (ShellHopping, {"t": [1.0, float("inf")], "r": [1.0, 2.0]}, "shells t: expected a finite number"),
        (ShellHopping, {"t": [1.0, 1.0], "r": [1.0, 1.1], "tolerance": 0.06}, "apart"),
        (ShellHopping, {"t": [1.0, 1.0], "r": [2.0, 1.0]}, "ascending"),
        (ShellHopping, {"tolerance": 0.0}, "0 < tolerance < r"),
        (ShellHopping, {"tolerance": 1.0}, "0 < tolerance < r"),
    ],
)
def test_bad_parameters(kind, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        kind(**arguments)
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class LinearHopping:
    """Somebody else's: t(r) = -t0 (1 - r/r_cut)^2."""

    t0: float = 1.0
    r_cut: float = 2.0

    def __call__(self, r):
        return -self.t0 * (1 - r / self.r_cut) ** 2

    def derivative(self, r):
        return 2 * self.t0 / self.r_cut * (1 - r / self.r_cut)


def test_a_form_of_another_package_by_its_registered_name(monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.register("hopping", "linear", LinearHopping)
    kind = registry.get("hopping", "linear")
    node = {"_target_": "mhipnn.electrons.SDModel", "J": 0.0, "mu": 0.0, "temperature": 0.1}
    node["hopping"] = {"_target_": f"{kind.__module__}.{kind.__qualname__}", "t0": 2.0}
    exact = instantiate(node)
    pair = SpinConfiguration([[0, 0, 0], [1.5, 0, 0]], 9 * np.eye(3), False, np.eye(3)[:2])
    # t = -1/8 and dt/dr = 1/2; E = -4 kT ln(2 cosh(t/2kT)), so -dE/dr = 2 tanh(t/2kT) dt/dr
    result = exact.evaluate(pair)
    assert result.energy == pytest.approx(-0.4 * np.log(2 * np.cosh(-0.125 / 0.2)), abs=1e-12)
    assert result.forces[1, 0] == pytest.approx(2 * np.tanh(-0.125 / 0.2) * 0.5, abs=1e-12)


def test_built_in_forms_are_registered():
    for name, kind in {**{name: type(form) for name, form in SMOOTH.items()}, "shells": ShellHopping}.items():
        assert registry.get("hopping", name) is kind


@pytest.mark.parametrize("values", [lambda r: 1.0, lambda r: r[:1], lambda r: r + 0j])
def test_a_form_that_gives_something_else_is_named(values):
    broken = type("Broken", (LinearHopping,), {"__call__": lambda self, r: values(r)})()
    with pytest.raises(InputError, match="hopping Broken: expected a real tensor of shape"):
        SDModel(1.0, 1.0, hopping=broken).evaluate(random_sites(8, rng=0))


@pytest.mark.parametrize("r_cut", [0.0, -1.0, float("inf"), None])
def test_a_form_without_an_end_is_refused(r_cut):
    with pytest.raises(InputError, match="hopping r_cut"):
        SDModel(1.0, 1.0, hopping=LinearHopping(r_cut=r_cut))
