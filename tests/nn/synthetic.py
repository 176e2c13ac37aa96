"""Systems whose energy is written down, and a short training on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from mhipnn import Evaluation, SpinConfiguration
from mhipnn.data.batching import join
from mhipnn.data.graph import SpinGraph, spin_graph
from mhipnn.data.labelled import collect
from mhipnn.data.statistics import fit_statistics
from mhipnn.nn.energy_model import EnergyModel
from mhipnn.structures import neighbour_list
from mhipnn.training import loss

CUTOFF = 2.0
Law = Callable[[SpinConfiguration], Evaluation]


def pair_energy(
    exchange: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], a: float = 0, b: float = 0
) -> Law:
    """E = sum_i (a |S_i|^2 + b |S_i|^4) - sum_{i<j} J(r, species of i, species of j) S_i.S_j up to CUTOFF."""

    def evaluate(config: SpinConfiguration) -> Evaluation:
        edges = neighbour_list(config.positions, config.cell, config.pbc, CUTOFF)
        j, i, S = edges.source, edges.receiver, config.spins
        r = np.linalg.norm(config.positions[j] - config.positions[i] + edges.offset, axis=-1)
        J = exchange(r, config.species[i], config.species[j]) * np.cos(np.pi * r / (2 * CUTOFF)) ** 2
        square = (S**2).sum(-1)
        site_energy, from_neighbours = a * square + b * square**2, np.zeros_like(S)
        np.add.at(from_neighbours, i, J[:, None] * S[j])
        site_energy -= 0.5 * (S * from_neighbours).sum(-1)
        field = from_neighbours - (2 * a + 4 * b * square)[:, None] * S
        return Evaluation(float(site_energy.sum()), site_energy, field, np.cross(S, field))

    return evaluate


def graphs_of(law: Law, configs: Sequence[SpinConfiguration]) -> tuple[list[SpinGraph], object]:
    """Labelled graphs in float64 and their statistics."""
    labels = [law(config) for config in configs]
    graphs = [
        spin_graph(config, CUTOFF, torch.float64, label.energy, label.field)
        for config, label in zip(configs, labels, strict=True)
    ]
    records = [(config, label, 0, -1.0) for config, label in zip(configs, labels, strict=True)]
    return graphs, fit_statistics(collect(records), [graph.edge_index.shape[1] for graph in graphs])


def learn(
    model: EnergyModel, law: Law, configs: Sequence[SpinConfiguration], terms: Sequence[loss.LossTerm],
    steps: int = 150, rate: float = 1e-2,
) -> None:  # fmt: skip
    """Adam with a cosine schedule on batches of eight."""
    graphs, statistics = graphs_of(law, configs)
    model.in_precision(torch.float64).fit_scale(statistics)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    shuffled = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = join([graphs[n] for n in torch.randperm(len(graphs), generator=shuffled)[:8].tolist()])
        prediction = model(batch)
        optimizer.zero_grad()
        sum(term.weight * term(prediction, batch, statistics) for term in terms).backward()
        optimizer.step()
        schedule.step()
    model.eval()


def r_squared(model: EnergyModel, law: Law, configs: Sequence[SpinConfiguration]) -> dict[str, float]:
    """Of the torque, and of the field along each spin."""
    batch = join(graphs_of(law, configs)[0])
    learned = model(batch, differentiable=False).field
    pairs = {
        "torque": [torch.linalg.cross(batch.spins, field) for field in (batch.field, learned)],
        "longitudinal": [(batch.spins * field).sum(-1) / batch.spins.norm(dim=-1) for field in (batch.field, learned)],
    }
    return {
        name: float(1 - (exact - guess).square().sum() / (exact - exact.mean()).square().sum())
        for name, (exact, guess) in pairs.items()
    }
