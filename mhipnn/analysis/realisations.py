"""Replicas with the same disorder are no independent samples of it: which they are, and means over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..configuration import Array, SpinConfiguration
from .glass import common_disorder


def over_copies(values: Array, realisations: Sequence[int], axis: int) -> Array:
    """Means over the replicas of each realisation, (..., R, ...) -> (..., K, ...), in the order of their first replica.

    NaN are not counted; the mean of nothing else is NaN. If all realisations differ, the values themselves.

    Args:
        values: R replicas along ``axis``.
        realisations: (R,), the number of the realisation of each.
    """
    rows = rows_of(realisations)
    if len(rows) == len(realisations):
        return values
    moved = np.moveaxis(np.asarray(values, float), axis, 0)
    known = np.isfinite(moved)
    sums = [np.where(known[own], moved[own], 0.0).sum(0) / np.maximum(known[own].sum(0), 1) for own in rows]
    means = [np.where(known[own].any(0), total, np.nan) for own, total in zip(rows, sums, strict=True)]
    return np.moveaxis(np.stack(means), 0, axis)


def rows_of(realisations: Sequence[int]) -> list[list[int]]:
    """The replicas of each realisation, in the order of their first."""
    rows: dict[int, list[int]] = {}
    for replica, number in enumerate(realisations):
        rows.setdefault(int(number), []).append(replica)
    return list(rows.values())


def recorded_realisations(metadata: Any, configs: Sequence[SpinConfiguration]) -> list[int]:
    """The realisation of every replica of a trajectory: as its metadata say, else by what sites they have.

    Where nothing is said and all have the same sites (a crystal), every replica counts.
    """
    n = len(configs)
    said = metadata.get("realisations") if isinstance(metadata, dict) else None
    if isinstance(said, list) and len(said) >= n and all(isinstance(number, int) for number in said):
        return said[:n]
    numbers = list(range(n))
    groups = common_disorder(configs)
    if [len(group) for group in groups] == [n]:
        return numbers
    for group in groups:
        for replica in group:
            numbers[replica] = group[0]
    return numbers
