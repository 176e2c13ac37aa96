"""The Huber loss of torques and the tangential field, against closed forms."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from scipy.spatial.transform import Rotation
from torch_geometric.data import Batch

from mhipnn import SpinConfiguration
from mhipnn.config import compose_config
from mhipnn.data.graph import spin_graph
from mhipnn.data.statistics import Statistics
from mhipnn.errors import ConfigError
from mhipnn.nn.energy_model import Prediction
from mhipnn.training import loss

ONES = {field.name: 1.0 for field in fields(Statistics)}
STATISTICS = Statistics(**ONES | {"torque_rms": 0.5, "tangential_rms": 0.4})


def graph_of(spins, field):
    """Sites in a row with these spins and exact fields, as a batch of one."""
    n = len(spins)
    positions = np.stack([np.arange(n), np.zeros(n), np.zeros(n)], 1) * 1.0
    graph = spin_graph(SpinConfiguration(positions, np.eye(3) * 2 * n, False, spins), cutoff=1.5, dtype=torch.float64)
    graph.field = torch.as_tensor(np.asarray(field, float))
    return Batch.from_data_list([graph])


def predicted(graph, field):
    field = torch.as_tensor(np.asarray(field, float))
    torque = torch.linalg.cross(graph.spins, field)
    return Prediction(torch.zeros(1), field[:, 0], field, torque, None, field[:, :1])


def random_case(seed=0, n=6, unit=True):
    rng = np.random.default_rng(seed)
    spins = rng.normal(size=(n, 3))
    if unit:
        spins /= np.linalg.norm(spins, axis=1, keepdims=True)
    return spins, rng.normal(size=(n, 3)), rng.normal(size=(n, 3))


@pytest.mark.parametrize(
    ("error", "cost"),
    [
        (0.0, 0.0),
        (0.25, 0.25**2 / 3 / 0.5**2),  # below delta a square, of one component in three
        (np.sqrt(3) * 0.5 * 0.8, 0.64),  # at delta
        (np.sqrt(3) * 0.5 * 3.0, 2 * 0.8 * 3.0 - 0.64),  # beyond it a straight line
    ],
)
def test_huber_of_one_torque(error, cost):
    graph = graph_of([[0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]])
    # z x (B x) = B y: the torque is off by B.
    assert float(
        loss.TorqueHuber(delta=0.8)(predicted(graph, [[error, 0.0, 7.0]]), graph, STATISTICS)
    ) == pytest.approx(cost, abs=1e-14)


def test_huber_with_a_large_delta_is_the_mean_square_and_with_a_small_one_the_mean_length():
    spins, exact, field = random_case()
    graph = graph_of(spins, exact)
    prediction = predicted(graph, field)
    square = float(loss.Torque()(prediction, graph, STATISTICS))
    assert float(loss.TorqueHuber(delta=1e3)(prediction, graph, STATISTICS)) == pytest.approx(square, rel=1e-14)
    length = np.linalg.norm(np.cross(spins, field - exact), axis=1).mean() / np.sqrt(3) / 0.5
    small = 1e-6
    value = float(loss.TorqueHuber(delta=small)(prediction, graph, STATISTICS))
    assert value / (2 * small) == pytest.approx(length, rel=1e-5)


def test_huber_prefers_no_direction_in_spin_space():
    spins, exact, field = random_case(1)
    turn = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix().T
    values = []
    for matrix in (np.eye(3), turn):
        graph = graph_of(spins @ matrix, exact @ matrix)
        values.append(float(loss.TorqueHuber(delta=0.7)(predicted(graph, field @ matrix), graph, STATISTICS)))
    assert values[0] == pytest.approx(values[1], rel=1e-13)


def test_the_slope_of_huber_is_finite_at_zero_and_bounded_far_away():
    graph = graph_of([[0.0, 0.0, 1.0]] * 2, [[0.0, 0.0, 0.0]] * 2)
    for size, slope in ((0.0, 0.0), (50.0, 2 * 0.8 / (np.sqrt(3) * 0.5) / 2)):  # the last 2: a mean of two sites
        field = torch.tensor([[size, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
        prediction = predicted(graph, field.detach())._replace(torque=torch.linalg.cross(graph.spins, field))
        loss.TorqueHuber(delta=0.8)(prediction, graph, STATISTICS).backward()
        np.testing.assert_allclose(field.grad, [[slope, 0, 0], [0, 0, 0]], atol=1e-14)


def test_tangential_sees_no_radial_error_and_is_the_torque_for_unit_spins():
    spins, exact, field = random_case(2)
    graph = graph_of(spins, exact)
    same = Statistics(**ONES | {"torque_rms": 0.5, "tangential_rms": 0.5})
    value = float(loss.Tangential()(predicted(graph, field), graph, same))
    assert value == pytest.approx(float(loss.Torque()(predicted(graph, field), graph, same)), rel=1e-13)
    radial = exact + 3.0 * spins
    assert float(loss.Tangential()(predicted(graph, radial), graph, STATISTICS)) == pytest.approx(0, abs=1e-28)


def test_tangential_does_not_count_long_spins_more():
    graph = graph_of([[0.0, 0.0, 4.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]] * 2)
    value = loss.Tangential()(predicted(graph, [[0.3, 0.4, 9.0], [0.0, 0.0, 1.0]]), graph, STATISTICS)
    assert float(value) == pytest.approx(0.25 / 3 / 0.4**2)  # of the site with a spin, whatever its length


def test_they_are_choices_of_the_command_line():
    cfg = compose_config(
        "train", ["loss=[huber,tangential,energy]", "loss.huber.delta=0.5", "loss.tangential.weight=2"]
    )
    huber, tangential = instantiate(cfg.loss.huber), instantiate(cfg.loss.tangential)
    assert (huber.delta, huber.weight, tangential.weight) == (0.5, 1.0, 2.0)
    with pytest.raises(ConfigError, match="delta > 0"):
        loss.TorqueHuber(delta=0.0)
