"""Energies with closed forms, written out by hand."""

from __future__ import annotations

import numpy as np
import torch


class Frozen:
    device = torch.device("cpu")

    def __init__(self, function, dtype=torch.float64):
        self.function, self.dtype, self.calls = function, dtype, 0

    def __call__(self, spins):
        self.calls += 1
        return self.function(spins)


class Toy:
    """A potential from a function spins -> (energies, fields)."""

    def __init__(self, function, dtype=torch.float64):
        self.function, self.dtype = function, dtype

    def prepare(self, configs):
        return Frozen(self.function, self.dtype)


def zero():
    return Toy(lambda spins: (torch.zeros(len(spins), dtype=spins.dtype), torch.zeros_like(spins)))


def zeeman(b):
    """E = -sum_i b.S_i."""

    def function(spins):
        vector = torch.tensor(b, dtype=spins.dtype)
        return -(spins @ vector).sum(1), vector.expand_as(spins)

    return Toy(function)


def heisenberg(coupling):
    """E = -1/2 sum_ij K_ij S_i.S_j with symmetric K and zero diagonal."""

    def function(spins):
        field = torch.einsum("ij,rja->ria", torch.as_tensor(coupling, dtype=spins.dtype), spins)
        return -0.5 * (spins * field).sum((1, 2)), field

    return Toy(function)


def random_coupling(n, seed=0):
    matrix = np.random.default_rng(seed).normal(size=(n, n)) / np.sqrt(n)
    matrix = matrix + matrix.T
    np.fill_diagonal(matrix, 0)
    return matrix
