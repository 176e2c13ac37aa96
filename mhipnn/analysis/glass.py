"""Spin-glass order: overlaps of a system with itself at other times, and of two copies with the same disorder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import InputError
from .correlations import MeanAndError, mean_and_error

_SITE_ARRAYS = ("positions", "cell", "pbc", "species", "moments")


def edwards_anderson(spins: Array) -> Array:
    """q_EA = (1/N) sum_i |<S_i>|^2, the mean being that over the instants given.

    n independent instants of a paramagnet give 1/n, the bias. A rotation of the whole system (which costs no energy
    without anisotropy) lowers it: :func:`overlap_tensor` is free of that.

    Args:
        spins: (T, ..., N, 3).

    Returns:
        (...), one number a realisation.
    """
    return (spins.mean(0) ** 2).sum(-1).mean(-1)


def overlap_tensor(first: Array, second: Array) -> Array:
    """q^ab = (1/N) sum_i S_i^a S'_i^b of two states on the same sites, (..., N, 3) each -> (..., 3, 3)."""
    return np.einsum("...na,...nb->...ab", first, second) / first.shape[-2]


def overlap_square(first: Array, second: Array) -> Array:
    """q^2 = sum_ab (q^ab)^2, the same for all rotations of either state as a whole, (..., N, 3) each -> (...).

    A collinear state with itself has 1, a state whose moments fill a plane 1/2, all directions 1/3; two independent
    random states have the mean 1/N exactly.
    """
    return (overlap_tensor(first, second) ** 2).sum((-2, -1))


def common_disorder(configs: Sequence[SpinConfiguration]) -> list[list[int]]:
    """Replicas that share sites, species and moments, in groups of two or more, in the order of their first member."""
    groups: dict[bytes, list[int]] = {}
    for number, config in enumerate(configs):
        key = b"".join(np.ascontiguousarray(getattr(config, name)).tobytes() for name in _SITE_ARRAYS)
        groups.setdefault(key, []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def spin_glass_susceptibility(spins: Array, groups: Sequence[Sequence[int]]) -> MeanAndError:
    """chi_SG = N <q^2> over the pairs of replicas with the same disorder; 1 exactly at infinite temperature.

    The mean over the pairs of a group is one sample, and the standard error that of the samples: pairs of one group
    share its disorder. It grows as N where there is glass order.

    Args:
        spins: (..., R, N, 3).
        groups: of :func:`common_disorder`.

    Raises:
        InputError: no group.
    """
    if not groups:
        raise InputError(
            "chi_SG: no two replicas share their disorder; simulate the same sites with two noise histories or more"
        )
    n = spins.shape[-2]
    samples = []
    for group in groups:
        pairs = [(a, b) for k, a in enumerate(group) for b in group[k + 1 :]]
        samples.append(np.mean([overlap_square(spins[..., a, :, :], spins[..., b, :, :]) for a, b in pairs], axis=0))
    return mean_and_error(n * np.stack(samples, axis=-1), axis=-1)
