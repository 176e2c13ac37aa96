"""hippynn 0.1.3 as a peer: its kernels, and its HIP-NN with the weights of one of ours. Never a dependency.

pip install hippynn==0.1.3
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import one_hot

from mhipnn.data.graph import SpinGraph
from mhipnn.nn.energy_model import sum_by_graph
from mhipnn.nn.mhip import MHIP

HINT = "hippynn is not installed, its rows are left out: pip install hippynn==0.1.3"
GPU_KERNELS = ("triton", "cupy", "numba", "pytorch")
CPU_KERNELS = ("numba", "pytorch")


def available(names: list[str] | None, device: torch.device, console: Console) -> list[str]:
    """The names asked for, or those that suit the device; none, with a hint, where hippynn is not installed."""
    if names == []:
        return []
    if load() is None:
        console.print(HINT)
        return []
    return names or list(GPU_KERNELS if device.type == "cuda" else CPU_KERNELS)


def load() -> ModuleType | None:
    """hippynn, or None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import hippynn
        except ImportError:
            return None
    # Both to its advantage: no search for short distances at every step, and no falling back from compiled kernels to
    # eager ones after eight of the variants (with and without gradients, widths) that a training step calls.
    hippynn.settings.WARN_LOW_DISTANCES = False
    torch._dynamo.config.recompile_limit = 64
    return hippynn


def kernels(name: str) -> Any:
    """Its ``envsum_impl``, ``sensesum_impl`` and ``featsum_impl``, and ``envsum`` for autograd.

    Args:
        name: numba, pytorch (compiled by torch.compile), sparse; with CUDA also triton and, if installed, cupy.

    Raises:
        KeyError: not registered on this machine.
    """
    from hippynn import custom_kernels
    from hippynn.custom_kernels.registry import MessagePassingKernels

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        custom_kernels.populate_custom_kernel_availability()
    return MessagePassingKernels._registered_implementations[name]


class HippynnNetwork(nn.Module):
    """Energies of hippynn's ``Hipnn`` that equal those of a non-magnetic ``MHIP`` (l_max = 0) to rounding.

    Its layers are taken as they are, with the weights of ``model``, but for one thing: ``Hipnn`` puts a residual layer
    (two more products) around the interaction too, MHIP the activation alone. The former is taken out here, so that the
    work is the same; as shipped, hippynn does more of it. The readout is one linear layer a block, like ours, and the
    list of pairs is given. Distances come from the positions in this module.

    Args:
        model: non-magnetic.
        kernel: name as in ``kernels``.
    """

    def __init__(self, model: MHIP, kernel: str) -> None:
        super().__init__()
        from hippynn.networks.hipnn import Hipnn

        if model.l_max:
            raise ValueError(f"hippynn knows no spins: expected l_max = 0, got {model.l_max}")
        self.n_species = model.n_species
        self.envsum = kernels(kernel).envsum
        n_features = model.readouts[0].in_features
        self.network = Hipnn(
            n_features=n_features,
            n_sensitivities=len(model.sensitivities[0].width),
            dist_soft_min=0.75,
            dist_soft_max=model.cutoff,
            dist_hard_max=model.cutoff,
            n_atom_layers=len(model.onsite[0]),
            n_interaction_layers=len(model.interactions),
            possible_species=list(range(model.n_species + 1)),
            activation=nn.SiLU,
        )
        self.readouts = nn.ModuleList(nn.Linear(n_features, 1) for _ in model.readouts)
        self.to(next(model.parameters()))  # before the weights come, which else would be rounded
        self._copy_weights(model)

    def _copy_weights(self, model: MHIP) -> None:
        for block, sensitivity, interaction, onsite in zip(
            self.network.blocks, model.sensitivities, model.interactions, model.onsite, strict=True
        ):
            block[0] = _Activated(block[0].base_layer, self.network.activation)
            layer = block[0].base_layer
            layer.sensitivity.mu.data[0] = 1 / sensitivity.inverse_centre.data
            layer.sensitivity.sigma.data[0] = 1 / sensitivity.width.data
            weight = interaction.message.weight.data  # (out, (nu, in)); theirs is (nu, out, in)
            layer.int_weights.data = weight.view(layer.nf_out, layer.n_dist, layer.nf_in).transpose(0, 1).contiguous()
            layer.selfint.load_state_dict(interaction.self_interaction.state_dict())
            for theirs, ours in zip(block[1:], onsite, strict=True):
                theirs.base_layer.load_state_dict(ours.expand.state_dict())
                theirs.res_layer.load_state_dict(ours.project.state_dict())
        for theirs, ours in zip(self.readouts, model.readouts, strict=True):
            theirs.load_state_dict(ours.state_dict())

    def forward(self, graph: SpinGraph, differentiable: bool) -> tuple[Tensor, Tensor]:
        """Energies (G,) and forces (N, 3); ``differentiable`` for a loss on them."""
        from hippynn import custom_kernels

        custom_kernels.envsum = self.envsum  # what its layers look up; the others follow from it by autograd
        positions = graph.positions.detach().requires_grad_()
        source, receiver = graph.edge_index
        distance = (positions[source] - positions[receiver] + graph.edge_offset).norm(dim=-1)
        species = one_hot(graph.species, self.n_species)
        features = self.network(species, receiver, source, distance)[1:]
        site_energy = torch.cat([readout(z) for readout, z in zip(self.readouts, features, strict=True)], -1).sum(-1)
        (gradient,) = torch.autograd.grad(site_energy.sum(), positions, create_graph=differentiable)
        if not differentiable:
            site_energy = site_energy.detach()
        return sum_by_graph(site_energy, graph), -gradient


class _Activated(nn.Module):
    def __init__(self, base_layer: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.base_layer, self.activation = base_layer, activation

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.activation(self.base_layer(*inputs))
