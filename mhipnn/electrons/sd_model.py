"""The s-d model as a potential: classical spins, electrons solved exactly at each of their states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from ..configuration import Array, SpinConfiguration
from ..errors import InputError, NonFiniteError
from ..potential import Evaluation, torque
from ..threads import torch_threads
from .exact import ElectronicState, Ensemble, FixedMu, FixedNumber, forces, solve
from .hamiltonian import assemble, bonds, hopping_matrix
from .hopping import ExponentialHopping, Hopping

SMALL_MATRIX = 512
"""Rows 2N up to which a second thread does not speed up the eigensolver."""

DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class ElectronicEvaluation(Evaluation):
    """An :class:`Evaluation` with the electrons behind it.

    ``density`` (N,) is the number of electrons on each site, ``mu`` the chemical potential, energy.
    """

    density: Array = field(kw_only=True)
    mu: float = field(kw_only=True)


@dataclass(frozen=True)
class SDModel:
    """H = sum_{i<j} t(r_ij) (c+_i c_j + h.c.) - J sum_i S_i . (c+_i sigma c_i), at electronic temperature kT > 0.

    E is the Helmholtz free energy F = Omega + mu N_e at fixed filling and the grand potential
    Omega = -kT sum_n ln(1 + exp(-(e_n - mu)/kT)) at fixed mu; B_i = -dE/dS_i = J <c+_i sigma c_i> (Hellmann-Feynman).
    One evaluation diagonalizes a complex 2N x 2N matrix.

    Args:
        J: s-d coupling, energy; multiplies sigma, not sigma/2.
        filling: electrons per site, 0 < filling < 2 (half filling 1); N_e = filling N is held fixed.
        temperature: electronic k_B T_e > 0, energy.
        mu: chemical potential, energy; give either filling or mu.
        hopping: t(r) with ``derivative`` and ``r_cut``.
        device: of the diagonalization.
        dtype: "float64" or "float32" (or the torch dtype): of the matrices; levels are filled in float64.

    Raises:
        InputError: a value out of range, neither or both of filling and mu.
    """

    J: float
    filling: float | None = None
    temperature: float = 0.05
    mu: float | None = None
    hopping: Hopping = field(default_factory=ExponentialHopping)
    device: str | torch.device = "cpu"
    dtype: str | torch.dtype = "float64"

    def __post_init__(self) -> None:
        _require_finite("J", self.J)
        _require_finite("temperature", self.temperature)
        if self.temperature <= 0:
            raise InputError(f"temperature: the electrons need k_B T > 0, got {self.temperature!r}")
        if (self.filling is None) == (self.mu is None):
            raise InputError(
                f"SDModel needs exactly one of filling and mu, got filling = {self.filling!r} and mu = {self.mu!r}"
            )
        if self.filling is not None:
            _require_finite("filling", self.filling)
            if not 0 < self.filling < 2:
                raise InputError(f"filling: expected electrons per site between 0 and 2, got {self.filling!r}")
        else:
            _require_finite("mu", self.mu)
        if not all(hasattr(self.hopping, name) for name in ("__call__", "derivative", "r_cut")):
            raise InputError(f"hopping: expected an object like ExponentialHopping(), got {self.hopping!r}")
        name = str(self.dtype).removeprefix("torch.")
        if name not in DTYPES:
            raise InputError(f"dtype: expected one of {', '.join(DTYPES)}, got {self.dtype!r}")
        object.__setattr__(self, "dtype", name)
        object.__setattr__(self, "device", str(self.device))

    def evaluate(self, config: SpinConfiguration, forces: bool = True) -> ElectronicEvaluation:
        """Energy, fields, densities and (if asked) forces of one configuration.

        Raises:
            NonFiniteError: the electrons cannot be solved, with the site.
        """
        frozen = FrozenSDModel(self, [config])
        spins = torch.as_tensor(config.spins, dtype=frozen.dtype, device=frozen.device)[None]
        state = frozen.state(spins)
        local_field = _numpy(self.J * state.spin_density()[0])
        return ElectronicEvaluation(
            energy=float(state.energy()),
            site_energy=_numpy(state.site_energy()[0]),
            field=local_field,
            torque=torque(config.spins, local_field),
            forces=self._forces(config, state) if forces else None,
            density=_numpy(state.density()[0]),
            mu=float(state.mu),
        )

    def prepare(self, configs: Sequence[SpinConfiguration]) -> FrozenSDModel:
        """Freeze the sites of R configurations with N sites each: hopping matrices are made once.

        Raises:
            InputError: no configuration, or different numbers of sites.
        """
        return FrozenSDModel(self, configs)

    def _forces(self, config: SpinConfiguration, state: ElectronicState) -> Array:
        links = bonds(config, self.hopping.r_cut, state.mu.device)
        return _numpy(forces(state.bond_order()[0], links, self.hopping))


class FrozenSDModel:
    """The s-d energy at fixed sites as a function of spins; see :class:`mhipnn.potential.FrozenPotential`."""

    def __init__(self, model: SDModel, configs: Sequence[SpinConfiguration]) -> None:
        sizes = sorted({config.n_sites for config in configs})
        if len(sizes) != 1:
            raise InputError(f"prepare: expected configurations of one size, got sizes {sizes}")
        self.device = torch.device(model.device)
        self.dtype = DTYPES[str(model.dtype)]
        self.J = model.J
        self.n_sites = sizes[0]
        self.ensemble = _ensemble(model, self.n_sites)
        matrices = [
            hopping_matrix(self.n_sites, bonds(config, model.hopping.r_cut, self.device), model.hopping)
            for config in configs
        ]
        self.hopping = torch.stack(matrices).to(self.dtype)

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """spins (R, N, 3) -> energies (R,), fields B (R, N, 3)."""
        state = self.state(spins)
        return state.energy().to(self.dtype), self.J * state.spin_density()

    @torch.no_grad()
    def state(self, spins: Tensor) -> ElectronicState:
        """The solved electrons at these spins.

        Raises:
            InputError: spins of another shape.
            NonFiniteError: spins or the electrons' levels are not finite.
        """
        expected = (len(self.hopping), self.n_sites, 3)
        if tuple(spins.shape) != expected:
            raise InputError(f"spins: expected shape {expected}, got {tuple(spins.shape)}")
        H = assemble(self.hopping, spins.to(self.hopping), self.J)
        _require_finite_matrix(H)
        try:
            with torch_threads(1 if H.shape[-1] <= SMALL_MATRIX else torch.get_num_threads()):
                state = solve(H, self.ensemble)
        except torch.linalg.LinAlgError as error:
            raise NonFiniteError(f"the s-d Hamiltonian was not diagonalized; {_largest_entry(H)}") from error
        if not torch.isfinite(state.energy()).all():
            raise NonFiniteError(f"the electrons' energy is not finite; {_largest_entry(H)}")
        return state


def _ensemble(model: SDModel, n_sites: int) -> Ensemble:
    """N_e = filling N; a number that misses an integer by rounding alone (0.29 * 100) is that integer."""
    if model.mu is not None:
        return FixedMu(model.temperature, model.mu)
    number = float(model.filling or 0.0) * n_sites
    nearest = round(number)
    return FixedNumber(model.temperature, float(nearest) if nearest > 0 and abs(number - nearest) < 1e-9 else number)


def _require_finite_matrix(H: Tensor) -> None:
    bad = ~torch.isfinite(torch.view_as_real(H)).all(-1).all(-1)
    if bad.any():
        replica, row = (int(index) for index in bad.nonzero()[0])
        raise NonFiniteError(
            f"the s-d Hamiltonian is not finite at site {row // 2} of replica {replica}: "
            "look at the spin there, and at J and the hopping"
        )


def _largest_entry(H: Tensor) -> str:
    """Where to look when a finite H has no finite energy."""
    size = H.abs().amax(-1)
    replica, row = divmod(int(size.argmax()), size.shape[1])
    return f"its largest entry is {float(size.max()):.3g}, at site {row // 2} of replica {replica}"


def _require_finite(name: str, value: object) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"{name}: expected a finite number, got {value!r}")


def _numpy(tensor: Tensor) -> Array:
    return np.asarray(tensor.double().cpu().numpy())
