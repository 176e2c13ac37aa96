"""Loss terms, metrics and the schedule against formulas in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import datamodule
from hydra.utils import instantiate
from torch_geometric.data import Batch

from mhipnn.config import compose_config
from mhipnn.errors import ConfigError
from mhipnn.nn.energy_model import Prediction
from mhipnn.training import loss
from mhipnn.training.metrics import Accuracy
from mhipnn.training.schedule import warmup_cosine


@pytest.fixture(scope="module")
def data(labels):
    module = datamodule(compose_config("train", ["data=sd_tiny", f"data.root={labels}", "data.dtype=float64"]))
    module.setup()
    return module


@pytest.fixture(scope="module")
def batch(data):
    """Graphs of two sizes, so that a division by the wrong number of sites shows."""
    return Batch.from_data_list([*data.graphs("train")[:3], data.graphs("size")[0]])


def prediction(batch, seed=0, terms=3) -> Prediction:
    rng = np.random.default_rng(seed)
    n = batch.num_nodes
    field, forces = (torch.from_numpy(rng.normal(size=(n, 3))) for _ in range(2))
    return Prediction(
        energy=torch.from_numpy(rng.normal(size=batch.num_graphs)),
        site_energy=torch.zeros(n),
        field=field,
        torque=torch.linalg.cross(batch.spins, field),
        forces=forces,
        terms=torch.from_numpy(rng.normal(size=(n, terms))),
    )


def test_terms_are_their_formulas(data, batch):
    p, s = prediction(batch), data.statistics
    spins, field, forces = (getattr(batch, name).numpy() for name in ("spins", "field", "forces"))
    torque = np.cross(spins, field)
    sites = np.bincount(batch.batch.numpy())
    energy = (p.energy.numpy() - batch.energy.numpy()) / sites
    assert len(set(sites)) == 2
    expected = {
        loss.Torque: np.mean((p.torque.numpy() - torque) ** 2) / s.torque_rms**2,
        loss.Field: np.mean((p.field.numpy() - field) ** 2) / s.field_rms**2,
        loss.Forces: np.mean((p.forces.numpy() - forces) ** 2) / s.forces_rms**2,
        loss.Energy: np.mean(energy**2) / s.energy_per_site_std**2,
    }
    for term, value in expected.items():
        assert float(term()(p, batch, s)) == pytest.approx(value, rel=1e-12), term
    squares = p.terms.numpy() ** 2
    ratio = [squares[:, n] / (squares[:, n] + squares[:, n - 1]) for n in (1, 2)]
    assert float(loss.Hierarchicality()(p, batch, s)) == pytest.approx(np.mean(ratio[0] + ratio[1]), rel=1e-9)


def test_hierarchicality_of_one_term_and_of_zeros(data, batch):
    for terms in (prediction(batch, terms=1).terms, torch.zeros(batch.num_nodes, 2)):
        assert float(loss.Hierarchicality()(prediction(batch)._replace(terms=terms), batch, data.statistics)) == 0


def test_scales_make_a_silent_model_cost_one(data):
    """Predicting zero (for energies: their mean) costs 1 a term over the training split."""
    whole = Batch.from_data_list(data.graphs("train"))
    zero = torch.zeros(whole.num_nodes, 3, dtype=torch.float64)
    mean = data.statistics.energy_per_site_mean * loss.sites_per_graph(whole)
    silent = Prediction(mean, zero[:, 0], zero, zero, zero, zero)
    for term in (loss.Torque(), loss.Field(), loss.Forces(), loss.Energy()):
        assert float(term(silent, whole, data.statistics)) == pytest.approx(1.0, rel=1e-10), term
    exact = Prediction(
        whole.energy, zero[:, 0], whole.field, torch.linalg.cross(whole.spins, whole.field), whole.forces, zero
    )
    for term in (loss.Torque(), loss.Field(), loss.Forces(), loss.Energy()):
        assert float(term(exact, whole, data.statistics)) == 0, term


def test_forces_term_needs_forces(data, batch):
    with pytest.raises(ConfigError, match="forces"):
        loss.Forces()(prediction(batch)._replace(forces=None), batch, data.statistics)


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_weights_are_not_negative(weight):
    with pytest.raises(ConfigError, match="loss weight"):
        loss.Torque(weight)


def test_sites_of_a_graph_alone(data):
    graph = data.graphs("train")[0]
    assert loss.sites_per_graph(graph).tolist() == [graph.num_nodes]


# ---------------------------------------------------------------------- metrics


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_accuracy_is_its_formula_whatever_the_batches(parts):
    rng = np.random.default_rng(0)
    y = rng.normal(loc=2.0, size=(50, 3))
    guess = y + 0.3 * rng.normal(size=y.shape)
    metric = Accuracy()
    for chunk in np.array_split(np.arange(50), parts):
        metric.update(torch.from_numpy(guess[chunk]).float(), torch.from_numpy(y[chunk]).float())
    error = guess - y
    expected = {
        "r2": 1 - (error**2).sum() / ((y - y.mean()) ** 2).sum(),
        "nrmse": np.sqrt((error**2).mean() / (y**2).mean()),
        "rmse": np.sqrt((error**2).mean()),
        "mae": np.abs(error).mean(),
    }
    values = metric.compute()
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        assert float(values[name]) == pytest.approx(value, rel=1e-5), name


def test_accuracy_of_the_truth_and_of_the_mean():
    y = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).double() + 1
    for guess, r2 in ((y, 1.0), (y.mean().expand_as(y), 0.0)):
        metric = Accuracy()
        metric.update(guess, y)
        assert float(metric.compute()["r2"]) == pytest.approx(r2, abs=1e-12)


# ---------------------------------------------------------------------- schedule


def rates(total: int, steps: int | None = None, **options) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    scheduler = warmup_cosine(optimizer, total, **options)
    values = []
    for _ in range(steps or total + 1):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def test_schedule_warms_up_and_ends_at_its_fraction():
    values = rates(100, warmup_fraction=0.1, final_fraction=0.05)
    assert values[0] == pytest.approx(0.2 / 11)
    np.testing.assert_allclose(np.diff(values[:10]), 0.2 / 11)
    assert values[10] == max(values) == pytest.approx(0.2)
    assert values[55] == pytest.approx(0.2 * (0.05 + 0.95 * 0.5))  # half-way down the cosine
    assert values[100] == pytest.approx(0.2 * 0.05)
    assert (np.diff(values[10:]) < 0).all()
    assert rates(10, steps=20, final_fraction=0.1)[-1] == pytest.approx(0.02)  # it stays there
    assert rates(10, warmup_fraction=0.0)[0] == pytest.approx(0.2)


@pytest.mark.parametrize("bad", [{"warmup_fraction": 1.0}, {"warmup_fraction": -0.1}, {"final_fraction": 1.5}])
def test_schedule_refuses(bad):
    with pytest.raises(ConfigError, match=r"must lie in \[0, 1"):
        rates(10, **bad)


def test_every_term_of_the_configuration_is_built(labels):
    cfg = compose_config("train", ["data=sd_tiny", "loss=[torque,energy,field,forces,hierarchicality]"])
    built = {name: instantiate(node) for name, node in cfg.loss.items()}
    assert {name: type(term).__name__.lower() for name, term in built.items()} == {name: name for name in built}
    assert len(built) == 5
