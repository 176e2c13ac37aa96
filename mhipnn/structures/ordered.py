"""Spins canted around an order: ferromagnet, Neel, 120 degrees, spiral."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import InputError, suggest
from ..potential import Potential
from .checks import require_count, require_number, require_vector
from .colouring import close_pairs, two_colouring
from .spins import UNCORRELATED_TIME

ORDERS = ("ferro", "neel", "120", "spiral")


@dataclass(frozen=True)
class OrderedSpins:
    """Sampler of ordered states with a cone of Gaussian angular disorder.

    S_i^0 = e_1 cos(phi_i) + e_2 sin(phi_i), tilted by the angle width |g_i| toward the direction g_i in its tangent
    plane, g_i = (g_1, g_2) standard Gaussian. The angles of the orders:

    * ``ferro``: phi = 0;
    * ``neel``: 0 and pi on the two colours of the neighbour graph, or, with ``q``, by the sign of cos(q.R - phi_0),
      with the phase phi_0 that makes sum_i cos^2 largest (this finds the sublattices of displaced and diluted lattices
      too);
    * ``120``: phi = q.R with 2 pi/3 between all neighbours: the triangular lattice, and its part kagome;
    * ``spiral``: phi = q.R.

    Args:
        order: ``ferro``, ``neel``, ``120`` or ``spiral``.
        width: of the cone, radians, >= 0; <S_i . S_i^0> = 1 - sqrt(2) w D(w/sqrt(2)), D being Dawson's function.
        q: wave vector, 1 to 3 Cartesian components, 1/length; along periods it is rounded to the nearest one that the
            box allows. Needed by ``spiral``, possible for ``neel``.
        axis: three numbers: the direction of collinear moments, the normal e_1 x e_2 of the plane of ``120`` and
            ``spiral``; None: every state is turned at random.
        neighbour_range: pairs below this distance are neighbours (``neel`` without q, ``120``), length; None: 1.1 times
            the smallest distance.
        n: states on each realisation, each with time -1.
        every: use this sampler only for realisations whose number is divisible by it.

    Raises:
        InputError: an unknown order, a number out of range, q missing or of no use; in ``sample``, sites that do not
            allow the order.
    """

    order: str | int
    width: float = 0.1
    q: Sequence[float] | None = None
    axis: Sequence[float] | None = None
    neighbour_range: float | None = None
    n: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", str(self.order))
        if self.order not in ORDERS:
            raise InputError(f"order: unknown {self.order!r}; {suggest(str(self.order), ORDERS)}")
        if require_number("width", self.width, exclusive=False) > 1e3:
            raise InputError(f"width: expected an angle in radians up to 1000, got {self.width!r}")
        if self.q is not None:
            object.__setattr__(self, "q", require_vector("q", self.q, (1, 2, 3)))
        if self.axis is not None:
            object.__setattr__(self, "axis", require_vector("axis", self.axis))
            if not any(self.axis):
                raise InputError("axis: expected a direction, got the zero vector")
        if self.order == "spiral" and self.q is None:
            raise InputError("q: a spiral needs its wave vector q, e.g. q: [0.63, 0, 0] (1/length)")
        if self.order in ("ferro", "120") and self.q is not None:
            raise InputError(f"q: order {self.order} takes none; use order: spiral (or neel) for a wave vector")
        if self.neighbour_range is not None:
            require_number("neighbour_range", self.neighbour_range, exclusive=True)
        for name in ("n", "every"):
            require_count(f"OrderedSpins.{name}", getattr(self, name))

    def sample(
        self, sites: SpinConfiguration, potential: Potential, rng: np.random.Generator
    ) -> list[tuple[float, Array]]:
        angles = self.angles(sites)
        plane = np.stack([np.cos(angles), np.sin(angles)], 1)
        states = []
        for _ in range(self.n):
            frame = _random_frame(rng) if self.axis is None else _frame(np.array(self.axis), self._collinear)
            states.append((UNCORRELATED_TIME, canted(plane @ frame[:2], self.width, rng)))
        return states

    def angles(self, sites: SpinConfiguration) -> Array:
        """phi_i, (N,)."""
        if self.order == "ferro":
            return np.zeros(sites.n_sites)
        if self.order == "120":
            return _triangular_angles(sites, self.neighbour_range)
        if self.q is None:
            return np.where(two_colouring(sites, self.neighbour_range) == 0, 0.0, np.pi)
        phase = sites.positions @ allowed_wave_vector(self.q, sites)
        if self.order == "spiral":
            return phase
        shift = np.angle(np.exp(2j * phase).sum()) / 2
        return np.where(np.cos(phase - shift) >= 0, 0.0, np.pi)

    @property
    def _collinear(self) -> bool:
        return self.order in ("ferro", "neel")


def canted(spins: Array, width: float, rng: np.random.Generator) -> Array:
    """Unit spins tilted by width |g| toward Gaussian g in their tangent planes, (N, 3); width in radians."""
    step = rng.normal(size=spins.shape)
    step = width * (step - spins * (step * spins).sum(1, keepdims=True))
    angle = np.linalg.norm(step, axis=1, keepdims=True)
    tilted = spins * np.cos(angle) + step * np.sinc(angle / np.pi)
    return tilted / np.linalg.norm(tilted, axis=1, keepdims=True)


def allowed_wave_vector(q: Sequence[float], sites: SpinConfiguration) -> Array:
    """The wave vector nearest to q, component by component, with q.a an integer times 2 pi for every period a; (3,)."""
    turns = sites.cell @ np.pad(np.asarray(q, float), (0, 3 - len(q))) / (2 * np.pi)
    return 2 * np.pi * np.linalg.solve(sites.cell, np.where(sites.pbc, np.round(turns), turns))


def _triangular_angles(sites: SpinConfiguration, reach: float | None) -> Array:
    """phi = K.R with |K| = 4 pi/(3 a) along a bond, where this is 120 degree order on every bond."""
    edges = close_pairs(sites, reach)
    advice = (
        "the 120 degree order needs a triangular (or kagome) lattice in a box that fits three sublattices (cells in "
        "multiples of 3); use order: spiral elsewhere"
    )
    if len(edges.source) == 0:
        raise InputError(f"order 120: no site has a neighbour; {advice}")
    bond = sites.positions[edges.source[0]] - sites.positions[edges.receiver[0]] + edges.offset[0]
    angles = sites.positions @ bond * (4 * math.pi / 3 / (bond @ bond))
    cosine = np.cos(angles[edges.source] - angles[edges.receiver])
    wrong = np.abs(cosine + 0.5) > 1e-6
    if wrong.any():
        bad = int(wrong.argmax())
        turn = math.degrees(math.acos(min(1.0, max(-1.0, cosine[bad]))))
        raise InputError(
            f"order 120: neighbours {edges.receiver[bad]} and {edges.source[bad]} would differ by {turn:.0f} degrees; "
            + advice
        )
    return angles


def _random_frame(rng: np.random.Generator) -> Array:
    """A random right-handed orthonormal frame, one vector a row: a quaternion uniform on the sphere."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _frame(axis: Array, first: bool) -> Array:
    """A right-handed frame with the axis as e_1 (first) or as e_3."""
    axis = axis / np.abs(axis).max()  # no underflow in the norm
    axis /= np.linalg.norm(axis)
    other = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    other /= np.linalg.norm(other)
    third = np.cross(axis, other)
    return np.stack([axis, other, third] if first else [other, third, axis])
