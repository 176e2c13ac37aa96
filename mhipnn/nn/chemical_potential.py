r"""One chemical potential for all sites: what the fixed number of electrons adds to a sum of site terms.

Electrons of one system fill one Fermi sea, so a distant part of it is felt through mu. To second order in the deviation
delta of mu from its typical value, with n_i electrons on site i there, filling f and densities of states c_i > 0,

.. math:: E = \max_\delta \sum_i [a_i - (n_i - f) \delta - \tfrac{1}{2} c_i \delta^2]
            = \sum_i a_i + \frac{(\sum_i b_i)^2}{2 \sum_i c_i}, \quad b_i = n_i - f, \quad
            \delta = -\frac{\sum_i b_i}{\sum_i c_i}.

A network reads a_i, b_i and c_i from the features of a site; all of it is dimensionless. The energy of a system that is
repeated is that of its copies, as it must be; two different systems that are joined exchange electrons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from .neighbourhood import Neighbourhood


def shared_terms(readings: Tensor, neighbours: Neighbourhood) -> Tensor:
    """Readings (N, 2) of b_i and c_i = softplus(1 + .) -> terms -delta b_i / 2, (N, 1), whose sum is B^2 / 2C."""
    b = readings[:, 0]
    return (-0.5 * shift(b, softplus(1 + readings[:, 1]), neighbours) * b)[:, None]


def shift(b: Tensor, c: Tensor, neighbours: Neighbourhood) -> Tensor:
    """delta of the graph of every site: b (N,), c (N,) -> (N,)."""
    if neighbours.batch is None:
        return -(b.sum() / c.sum()).expand_as(b)
    zero = b.new_zeros(neighbours.n_graphs)
    total = [zero.index_add(0, neighbours.batch, values) for values in (b, c)]
    return -(total[0] / total[1]).index_select(0, neighbours.batch)


class CompiledCharges:
    """:func:`shared_terms` and its gradient by the features of every block, for fields at frozen sites on a CPU.

    Args:
        charges: the readings of every block; their parameters are copied.
        neighbours: the frozen geometry.
    """

    def __init__(self, charges: Sequence[nn.Linear], neighbours: Neighbourhood) -> None:
        self._weights = [layer.weight.detach().clone() for layer in charges]
        self._bias = sum((layer.bias.detach() for layer in charges[1:]), charges[0].bias.detach().clone())
        self._neighbours = neighbours

    def __call__(self, features: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Features of every block, (N, F) each -> terms (N,), and the gradient of their sum by the features."""
        blocks = zip(features, self._weights, strict=True)
        readings = self._bias + sum(linear(torch.from_numpy(z), weight) for z, weight in blocks)
        b, raised = readings[:, 0], 1 + readings[:, 1]
        delta = shift(b, softplus(raised), self._neighbours)
        of_readings = torch.stack([-delta, -0.5 * delta.square() * raised.sigmoid()], 1)
        return (-0.5 * delta * b).numpy(), [(of_readings @ weight).numpy() for weight in self._weights]
