"""Graphs and their collation, against batches put together by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from mhipnn import SpinConfiguration
from mhipnn.data.batching import join
from mhipnn.data.graph import SpinGraph, spin_graph
from mhipnn.errors import InputError
from mhipnn.keys import KEYS
from mhipnn.structures import random_sites

OPEN, PERIODIC = (False,) * 3, (True, True, False)


def configuration(positions, pbc=OPEN, length=10.0, seed=0):
    positions = np.asarray(positions, float)
    spins = np.random.default_rng(seed).normal(size=positions.shape)
    spins /= np.linalg.norm(spins, axis=1, keepdims=True)
    return SpinConfiguration(positions, np.diag([length, length, 1.0]), pbc, spins, species=np.arange(len(positions)))


def labelled_graph(config, cutoff=1.5, energy=1.0, **more):
    n = config.n_sites
    field, forces = np.arange(3.0 * n).reshape(n, 3), -np.ones((n, 3))
    return spin_graph(config, cutoff, energy=energy, field=field, forces=forces, **more)


TRIMER = configuration([[0, 0, 0], [1, 0, 0], [0, 0, 5]])  # a pair and an isolated site
SINGLE = configuration([[2, 3, 0]])
RING = configuration([[0.2, 0, 0], [1.8, 0, 0]], PERIODIC, 2.0)


def test_edges_of_a_pair_and_an_isolated_site():
    graph = labelled_graph(TRIMER, realisation=7, time=2.5)
    assert graph.edge_index.tolist() == [[1, 0], [0, 1]]  # sources, receivers; sorted by receiver
    assert graph.edge_offset.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert graph.num_nodes == 3
    assert (graph.realisation.item(), graph.time.item()) == (7, 2.5)


def test_edge_vectors_point_from_receiver_to_source_image():
    graph = labelled_graph(RING, cutoff=0.5)
    source, receiver = graph.edge_index
    vectors = graph.positions[source] - graph.positions[receiver] + graph.edge_offset
    assert receiver.tolist() == [0, 1]
    torch.testing.assert_close(vectors, torch.tensor([[-0.4, 0, 0], [0.4, 0, 0]]))


def test_batch_equals_one_made_by_hand():
    graphs = [
        labelled_graph(TRIMER, energy=1.0),
        labelled_graph(SINGLE, energy=2.0),
        labelled_graph(TRIMER, energy=3.0),
    ]
    batch = Batch.from_data_list(graphs)
    assert isinstance(batch, SpinGraph)
    assert batch.edge_index.tolist() == [[1, 0, 5, 4], [0, 1, 4, 5]]
    assert batch.batch.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert batch.ptr.tolist() == [0, 3, 4, 7]
    assert batch.energy.tolist() == [1, 2, 3]
    assert batch.species.tolist() == [0, 1, 2, 0, 0, 1, 2]  # site values are not offset
    assert batch.num_nodes == 7
    assert batch.num_graphs == 3
    torch.testing.assert_close(batch.spins, torch.cat([graph.spins for graph in graphs]))
    torch.testing.assert_close(batch.cell, torch.cat([graph.cell for graph in graphs]))
    for graph, back in zip(graphs, batch.to_data_list(), strict=True):
        for key in KEYS:
            assert torch.equal(graph[key], back[key]), key


def test_every_key_of_the_table_has_its_shape_and_collates_by_its_level():
    graphs = [labelled_graph(config) for config in (TRIMER, SINGLE, RING)]
    assert set(graphs[0].keys()) == {*KEYS, "num_nodes"}
    batch = next(iter(DataLoader(graphs, batch_size=3)))
    sizes = {"N": 6, "E": sum(graph.edge_index.shape[1] for graph in graphs)}
    for name, key in KEYS.items():
        shape = [sizes[n] if isinstance(n, str) else n for n in key.shape]
        if key.level == "graph":
            shape[0] *= 3
        assert list(batch[name].shape) == shape, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types(dtype):
    graph = labelled_graph(RING, energy=-1 / 3, dtype=dtype)
    assert graph.energy.dtype == torch.float64
    assert graph.energy.item() == -1 / 3
    assert {graph[name].dtype for name in ("positions", "spins", "moments", "field", "forces", "edge_offset")} == {
        dtype
    }
    assert {graph[name].dtype for name in ("species", "edge_index", "realisation")} == {torch.int64}
    assert graph.pbc.dtype == torch.bool


def test_one_site_and_no_edges():
    graph = labelled_graph(SINGLE)
    assert graph.edge_index.shape == (2, 0)
    assert graph.edge_index.dtype == torch.int64
    assert graph.edge_offset.shape == (0, 3)
    batch = Batch.from_data_list([graph, graph])
    assert batch.edge_index.shape == (2, 0)
    assert batch.batch.tolist() == [0, 1]


def test_a_cell_smaller_than_the_cutoff_keeps_every_image():
    graph = labelled_graph(configuration([[0.3, 0.1, 0]], PERIODIC, 1.0), cutoff=1.1)
    assert graph.edge_index.tolist() == [[0] * 4, [0] * 4]
    assert sorted(map(tuple, graph.edge_offset.tolist())) == [(-1, 0, 0), (0, -1, 0), (0, 1, 0), (1, 0, 0)]


def test_labels_are_optional():
    assert not {"energy", "field", "forces"} & set(spin_graph(TRIMER, 1.5).keys())


@pytest.mark.parametrize("name", ["pair_index", "my_batch", "speces"])
def test_unknown_keys_are_refused(name):
    graph = labelled_graph(TRIMER)
    graph[name] = torch.zeros(3)
    with pytest.raises(InputError, match=f"unknown key '{name}'"):
        Batch.from_data_list([graph, graph])


def test_labels_of_the_wrong_shape_are_refused():
    with pytest.raises(InputError, match=r"field: expected shape \(3, 3\)"):
        spin_graph(TRIMER, 1.5, field=np.zeros((2, 3)))


def test_join_is_the_batch_of_pyg_and_comes_apart_again():
    configs = [random_sites(n, 2, rng=n) for n in (9, 30, 1)]
    graphs = [
        spin_graph(config, 2.2, energy=float(i), field=config.spins, forces=config.spins, realisation=i)
        for i, config in enumerate(configs)
    ]
    joined, expected = join(graphs), Batch.from_data_list(graphs)
    assert joined.num_graphs == expected.num_graphs == 3
    assert set(joined.keys()) == set(expected.keys())
    for key in expected.keys():  # noqa: SIM118
        assert torch.equal(torch.as_tensor(joined[key]), torch.as_tensor(expected[key])), key
    for graph, back in zip(graphs, joined.to_data_list(), strict=True):
        assert graph.num_nodes == back.num_nodes
        for key in graph.keys():  # noqa: SIM118
            assert torch.equal(torch.as_tensor(graph[key]), torch.as_tensor(back[key])), key
