"""The mHIP-NN in eager PyTorch: what its kernels are compared with.

Everything from positions at every evaluation, the sum over neighbours as batched products of padded, gathered arrays,
all gradients by autograd through them. This is how the package itself evaluated networks before it had kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, silu

from mhipnn.data.graph import SpinGraph
from mhipnn.nn.energy_model import Prediction, sum_by_graph
from mhipnn.nn.interaction import Interaction, OnSite
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.sensitivity import Sensitivity


class PlainMHIP(nn.Module):
    """The same function of the same parameters as ``model``, which it shares."""

    def __init__(self, model: MHIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, graph: SpinGraph, forces: bool = False, differentiable: bool = False) -> Prediction:
        """As ``EnergyModel.forward``."""
        spins = graph.spins.detach().requires_grad_()
        positions = graph.positions.detach().requires_grad_(forces)
        with torch.enable_grad():
            terms = self._terms(graph, spins, positions)
            learned = self.model.scale * terms.sum(-1)
            inputs = [spins, positions] if forces else [spins]
            gradients = torch.autograd.grad(
                learned.sum(), inputs, create_graph=differentiable, allow_unused=True, materialize_grads=True
            )
        if not differentiable:
            terms, learned = terms.detach(), learned.detach()
        site_energy = learned.double() + self.model.offset
        return Prediction(
            energy=sum_by_graph(site_energy, graph),
            site_energy=site_energy,
            field=-gradients[0],
            torque=torch.linalg.cross(graph.spins, -gradients[0]),
            forces=-gradients[1] if forces else None,
            terms=terms,
        )

    def _terms(self, graph: SpinGraph, spins: Tensor, positions: Tensor) -> Tensor:
        model = self.model
        index, mask, distance = _padded(graph, positions)
        dots = (_gathered(spins, index) * spins[:, None]).sum(-1)
        polynomials = _legendre(dots, model.l_max)
        features, terms = one_hot(graph.species, model.n_species).to(spins.dtype), []
        for sensitivity, interaction, onsite, readout in zip(
            model.sensitivities, model.interactions, model.onsite, model.readouts, strict=True
        ):
            weights = _sensitivities(sensitivity, distance) * mask[..., None]
            features = _interact(interaction, weights, polynomials, features, index)
            for layer in onsite:
                features = _refine(layer, features)
            terms.append(readout(features))
        return torch.cat(terms, dim=-1)


def _padded(graph: SpinGraph, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbour, 1 or 0 for filled or empty, and distance (1 in empty slots), each (N, K)."""
    source, receiver = graph.edge_index
    n_sites = len(positions)
    counts = torch.bincount(receiver, minlength=n_sites)
    slots = int(counts.max())
    first = counts.cumsum(0) - counts
    place = receiver * slots + torch.arange(len(source), device=source.device) - first[receiver]
    length = (positions[source] - positions[receiver] + graph.edge_offset).norm(dim=-1)
    index = source.new_zeros(n_sites * slots).index_copy(0, place, source)
    mask = positions.new_zeros(n_sites * slots).index_fill(0, place, 1.0)
    distance = positions.new_ones(n_sites * slots).index_copy(0, place, length)
    return index.view(n_sites, slots), mask.view(n_sites, slots), distance.view(n_sites, slots)


def _gathered(values: Tensor, index: Tensor) -> Tensor:
    return values.index_select(0, index.reshape(-1)).view(*index.shape, -1)


def _sensitivities(sensitivity: Sensitivity, distance: Tensor) -> Tensor:
    """(N, K) -> (N, K, n_nu)."""
    u = (1 / distance[..., None] - sensitivity.inverse_centre) / sensitivity.width
    envelope = torch.cos(0.5 * torch.pi / sensitivity.cutoff * distance) ** 2 * (distance < sensitivity.cutoff)
    return torch.exp(-0.5 * u**2) * envelope[..., None]


def _legendre(x: Tensor, l_max: int) -> Tensor:
    """(N, K) -> (N, K, l_max + 1)."""
    values = [torch.ones_like(x), x]
    for degree in range(1, l_max):
        values.append(((2 * degree + 1) * x * values[degree] - degree * values[degree - 1]) / (degree + 1))
    return torch.stack(values[: l_max + 1], dim=-1)


def _interact(interaction: Interaction, s: Tensor, P: Tensor, features: Tensor, index: Tensor) -> Tensor:
    """The polynomials join whichever is smaller, the sensitivities or the features."""
    z = _gathered(features, index)
    if z.shape[-1] < s.shape[-1]:
        summed = torch.bmm(s.transpose(1, 2), torch.einsum("ikl,ika->ikla", P, z).flatten(2))
    else:
        summed = torch.bmm(torch.einsum("ikn,ikl->iknl", s, P).flatten(2).transpose(1, 2), z)
    return silu(interaction.message(summed.flatten(1)) + interaction.self_interaction(features))


def _refine(layer: OnSite, features: Tensor) -> Tensor:
    return features + layer.project(silu(layer.expand(features)))
