"""The s-d model at fixed sites: matrices are made once, then solved for any spins, replicas side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..configuration import SpinConfiguration
from ..errors import InputError, NonFiniteError
from ..threads import torch_threads
from .exact import ElectronicState, Ensemble, FixedMu, FixedNumber, forces, solve
from .hamiltonian import along_bonds, assemble, bonds, hopping_matrices
from .species import per_site

if TYPE_CHECKING:
    from .sd_model import SDModel

SMALL_MATRIX = 512
"""Rows 2N up to which a second thread does not speed up the eigensolver."""

DTYPES = {"float64": torch.float64, "float32": torch.float32}


class FrozenSDModel:
    """The s-d energy at fixed sites as a function of spins; see :class:`mhipnn.potential.FrozenPotential`."""

    def __init__(self, model: SDModel, configs: Sequence[SpinConfiguration]) -> None:
        sizes = sorted({config.n_sites for config in configs})
        if len(sizes) != 1:
            raise InputError(f"prepare: expected configurations of one size, got sizes {sizes}")
        self.device = torch.device(model.device)
        self.dtype = DTYPES[str(model.dtype)]
        self.model = model
        self.n_sites = sizes[0]
        self.ensemble = ensemble_of(model, self.n_sites)
        self.bonds = bonds(configs, model.hopping.r_cut, self.device)
        matrices = hopping_matrices(len(configs), self.n_sites, self.bonds, model.hopping)
        if model.onsite is not None:
            matrices.diagonal(dim1=1, dim2=2).add_(per_site("onsite", model.onsite, configs, self.device))
        self.hopping = matrices.to(self.dtype)
        self._finite_hopping = torch.isfinite(self.hopping.sum(-1))
        self.J: float | Tensor
        if isinstance(model.J, Sequence):
            self.J = per_site("J", model.J, configs, self.device).to(self.dtype)
        else:
            self.J = model.J

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """spins (R, N, 3) -> energies (R,), fields B (R, N, 3)."""
        state = self.state(spins)
        return state.energy().to(self.dtype), self.field(state)

    @torch.no_grad()
    def state(self, spins: Tensor) -> ElectronicState:
        """The solved electrons at these spins.

        Raises:
            InputError: spins of another shape.
            NonFiniteError: spins or the electrons' levels are not finite.
        """
        H = self.matrix(spins)
        try:
            with torch_threads(1 if H.shape[-1] <= SMALL_MATRIX else torch.get_num_threads()):
                state = solve(H, self.ensemble)
        except torch.linalg.LinAlgError as error:
            raise NonFiniteError(f"the s-d Hamiltonian was not diagonalized; {_largest_entry(H)}") from error
        if not torch.isfinite(state.energy()).all():
            raise NonFiniteError(f"the electrons' energy is not finite; {_largest_entry(H)}")
        return state

    def matrix(self, spins: Tensor) -> Tensor:
        """H of every replica, (R, 2N, 2N) complex; row 2 i + s is site i with spin s (0 up, 1 down).

        Raises:
            InputError: spins of another shape.
            NonFiniteError: an entry of H is not finite, with its site.
        """
        expected = (len(self.hopping), self.n_sites, 3)
        if tuple(spins.shape) != expected:
            raise InputError(f"spins: expected shape {expected}, got {tuple(spins.shape)}")
        spins = spins.to(self.hopping)
        self._require_finite(spins)
        return assemble(self.hopping, spins, self.J)

    def _require_finite(self, spins: Tensor) -> None:
        """The rows of H, without looking at all of its entries once more."""
        coupling = self.J[..., None] * spins if isinstance(self.J, Tensor) else self.J * spins
        good = torch.isfinite(coupling).all(-1) & self._finite_hopping
        if not bool(good.all()):
            replica, site = (int(index) for index in (~good).nonzero()[0])
            raise NonFiniteError(
                f"the s-d Hamiltonian is not finite at site {site} of replica {replica}: "
                "look at the spin there, and at J and the hopping"
            )

    def field(self, state: ElectronicState) -> Tensor:
        """B_i = J_i <c+_i sigma c_i>, (R, N, 3)."""
        J = self.J[..., None] if isinstance(self.J, Tensor) else self.J
        return J * state.spin_density().to(self.dtype)

    def slopes(self) -> Tensor:
        """dt/dr on every bond, (E,)."""
        return along_bonds(self.model.hopping.derivative, self.model.hopping, self.bonds)

    def forces(self, state: ElectronicState, slopes: Tensor | None = None) -> Tensor:
        """F_i = -dE/dR_i, (R, N, 3) float64; ``slopes`` if they are known already."""
        slopes = self.slopes() if slopes is None else slopes
        return forces((len(self.hopping), self.n_sites), state.bond_order(self.bonds), self.bonds, slopes)

    def spins_of(self, configs: Sequence[SpinConfiguration]) -> Tensor:
        """The spins that the configurations carry, (R, N, 3)."""
        return torch.as_tensor(np.stack([config.spins for config in configs]), dtype=self.dtype, device=self.device)


def ensemble_of(model: SDModel, n_sites: int) -> Ensemble:
    """N_e = filling N; a number that misses an integer by rounding alone (0.29 * 100) is that integer.

    Raises:
        InputError: at k_B T = 0, an N_e that is not a whole number between 1 and 2 N - 1.
    """
    if model.mu is not None:
        return FixedMu(model.temperature, model.mu)
    number = float(model.filling or 0.0) * n_sites
    nearest = round(number)
    whole = nearest > 0 and abs(number - nearest) < 1e-9
    if model.temperature == 0 and not (whole and nearest < 2 * n_sites):
        raise InputError(
            f"temperature 0 needs a whole number of electrons between 1 and {2 * n_sites - 1}, got filling x N = "
            f"{model.filling!r} x {n_sites} = {number:.12g}; change the filling, or take temperature > 0"
        )
    return FixedNumber(model.temperature, float(nearest) if whole else number)


def _largest_entry(H: Tensor) -> str:
    """Where to look when a finite H has no finite energy."""
    size = H.abs().amax(-1)
    replica, row = divmod(int(size.argmax()), size.shape[1])
    return f"its largest entry is {float(size.max()):.3g}, at site {row // 2} of replica {replica}"
