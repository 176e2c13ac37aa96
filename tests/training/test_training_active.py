"""Active learning: what is chosen and how it is labelled; how training goes on, also after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, composed_once, datamodule
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn import SDModel, load_potential
from mhipnn.config import compose_config
from mhipnn.data.launchers.processes import Processes
from mhipnn.data.readers import read_files
from mhipnn.data.realisations import sites_of
from mhipnn.data.states import label_states
from mhipnn.dynamics.quench import Quench
from mhipnn.dynamics.sampling import QuenchSnapshots
from mhipnn.errors import ConfigError, NonFiniteError
from mhipnn.training.active import accuracy, loop
from mhipnn.training.active.acquisition import Committee, Exact, Random, choose
from mhipnn.training.active.pool import quench_states, random_states, torques_of
from mhipnn.training.active.run import run
from mhipnn.training.active.settings import Settings

QUENCH = Quench(duration=1.0, time_step=0.25, temperature=0.05, record_every=2)
FEW = [
    "start=4", "rounds=2", "members=2", "labels_per_round=4", "per_realisation=1", "epochs_per_round=1",
    "trainer.max_epochs=2", "pool.realisations=5", "pool.times=[0.5,1.0]", "rollout.n_realisations=2",
    "dynamics.duration=1.0", "dynamics.record_every=2", "arms.snapshots=null",
]  # fmt: skip


# Choice


def test_disagreement_of_a_committee_by_hand():
    """Two members, two candidates of one site: torques +-x differ from their mean by 1 in one of three components."""
    torques = np.zeros((2, 2, 1, 3))
    torques[:, 0, 0, 0] = 1.0, -1.0
    torques[:, 1, 0, :] = [0.0, 5.0, 2.0], [0.0, 5.0, 5.0]
    scores = Committee()(torques, None, np.random.default_rng(0))
    np.testing.assert_allclose(scores, [np.sqrt(1 / 3), np.sqrt(1.5**2 / 3)], rtol=1e-14)
    np.testing.assert_allclose(Committee()(10 * torques, None, np.random.default_rng(0)), 10 * scores, rtol=1e-14)


def test_equal_members_agree():
    torques = np.repeat(np.random.default_rng(0).normal(size=(1, 6, 4, 3)), 3, axis=0)
    np.testing.assert_allclose(Committee()(torques, None, np.random.default_rng(0)), 0, atol=1e-15)


def test_exact_error_by_hand():
    torques = np.zeros((2, 1, 2, 3))
    torques[:, 0, 0, 0] = 1.0, 3.0  # mean 2, exact -1: 3 in one of six components
    exact = np.zeros((1, 2, 3))
    exact[0, 0, 0] = -1.0
    np.testing.assert_allclose(Exact()(torques, exact, np.random.default_rng(0)), [np.sqrt(9 / 6)], rtol=1e-14)


def test_random_scores_come_from_the_generator_alone():
    one, two = np.zeros((2, 9, 1, 3)), np.ones((3, 9, 1, 3))
    scores = Random()(one, None, np.random.default_rng(3))
    np.testing.assert_array_equal(scores, Random()(two, None, np.random.default_rng(3)))
    assert len(set(scores)) == 9
    assert (scores != Random()(one, None, np.random.default_rng(4))).all()


def test_the_highest_are_chosen_but_few_of_one_realisation():
    scores = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 6.0])
    realisations = [0, 0, 0, 1, 2, 3]
    assert choose(scores, realisations, 4, 1).tolist() == [0, 3, 5, 4]
    assert choose(scores, realisations, 4, 2).tolist() == [0, 1, 3, 5]
    assert choose(scores, realisations, 3, 9).tolist() == [0, 1, 2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30), st.integers(1, 4))
def test_choice_never_exceeds_the_limit_and_leaves_nothing_better(candidates, limit):
    realisations, scores = (np.array(column) for column in zip(*candidates, strict=True))
    chosen = choose(scores.astype(float), realisations, 5, limit)
    counts = np.bincount(realisations[chosen], minlength=5)
    assert (counts <= limit).all()
    assert len(set(chosen.tolist())) == len(chosen)
    assert len(chosen) == min(5, sum(min(limit, n) for n in np.bincount(realisations)))
    for index in set(range(len(scores))) - set(chosen.tolist()):
        if counts[realisations[index]] < limit:
            assert scores[index] <= scores[chosen].min()


# Candidates and labels


@pytest.fixture(scope="module")
def data(labels):
    return datamodule(compose_config("active", ["data=sd_tiny", f"data.root={labels}", "data.cutoff=2.2"]))


def test_sites_are_those_that_labelling_draws(data):
    labelled = data.labelled("train")
    for index in range(len(labelled)):
        sites = sites_of(data.definition, "train", int(labelled.realisation[index]))
        np.testing.assert_array_equal(sites.positions, labelled.configuration(index).positions)


class Reversed:
    """The exact potential with fields of the wrong sign: torques are off by twice their length, wherever it goes."""

    def __init__(self, exact, sign: float = -1.0) -> None:
        self.exact, self.sign, self.prepared = exact, sign, []
        self.model = None

    def prepare(self, configs):
        self.prepared.append(len(configs))
        frozen = self.exact.prepare(configs)

        def evaluate(spins):
            energies, fields = frozen(spins)
            return energies, self.sign * fields

        evaluate.device, evaluate.dtype = frozen.device, frozen.dtype
        return evaluate


def test_quenches_are_shared_by_the_networks_and_are_those_of_one_replica_alone(data):
    snapshots = QuenchSnapshots([0.5, 1.0], QUENCH)
    drivers = [Reversed(data.potential(), 1.0), Reversed(data.potential())]
    states = quench_states(data.definition, [20, 21, 22], snapshots, 2, drivers, seed=5)
    assert [driver.prepared for driver in drivers] == [[4], [2]]
    assert [state.realisation for state in states] == [20] * 4 + [21] * 4 + [22] * 4
    assert sorted(state.time for state in states) == [0.5] * 6 + [1.0] * 6
    (alone,) = (s for s in quench_states(data.definition, [21], snapshots, 1, drivers[1:], 5) if s.time == 1.0)
    together = [state.config.spins for state in states if (state.realisation, state.time) == (21, 1.0)]
    assert min(np.abs(spins - alone.config.spins).max() for spins in together) < 1e-12
    for state in states:
        np.testing.assert_allclose(np.linalg.norm(state.config.spins, axis=1), 1, atol=1e-14)
        np.testing.assert_array_equal(
            state.config.positions, sites_of(data.definition, "train", state.realisation).positions
        )
    again = quench_states(data.definition, [20, 21, 22], snapshots, 2, drivers, seed=5)
    other = quench_states(data.definition, [20, 21, 22], snapshots, 2, drivers, seed=6)
    for state, same, changed in zip(states, again, other, strict=True):
        np.testing.assert_array_equal(state.config.spins, same.config.spins)
        assert np.abs(state.config.spins - changed.config.spins).max() > 0.1


def test_random_states_have_seen_no_dynamics(data):
    states = random_states(data.definition, [20, 21], 3, seed=5)
    assert [state.realisation for state in states] == [20] * 3 + [21] * 3
    assert {state.time for state in states} == {-1.0}
    assert abs(np.mean([state.config.spins for state in states])) < 0.2
    assert len({state.config.spins.tobytes() for state in states}) == 6


def test_labels_are_those_of_the_electrons(data):
    model = SDModel(J=3.0, filling=1.0, temperature=0.05)
    states = random_states(data.definition, [20, 21], 1, seed=0)
    labelled = label_states(data.definition, states, Processes(1))
    assert labelled.realisation.tolist() == [20, 21]
    for index, state in enumerate(states):
        exact = model.evaluate(state.config)
        assert labelled.energy[index] == exact.energy
        np.testing.assert_array_equal(labelled.field[labelled.sites(index)], exact.field)
        np.testing.assert_array_equal(labelled.forces[labelled.sites(index)], exact.forces)
        np.testing.assert_array_equal(labelled.spins[labelled.sites(index)], state.config.spins)
    torques = torques_of(model, [state.config for state in states], batch=1)
    for index, state in enumerate(states):
        np.testing.assert_allclose(torques[index], model.evaluate(state.config).torque, atol=1e-12)


class Backwards:
    """A launcher whose results come in the opposite order."""

    n_workers = 1

    def run(self, function, jobs):
        for job in reversed(jobs):
            yield job, function(job)


def test_the_order_in_which_labels_come_does_not_matter(data):
    states = random_states(data.definition, [20, 21, 22], 1, seed=0)
    one, other = (label_states(data.definition, states, launcher) for launcher in (Processes(1), Backwards()))
    np.testing.assert_array_equal(one.field, other.field)
    np.testing.assert_array_equal(one.energy, other.energy)


def test_a_label_that_is_not_finite_is_refused(data, monkeypatch):
    states = random_states(data.definition, [23], 1, seed=0)
    bad = data.potential().evaluate(states[0].config)
    bad.field[3] = np.nan
    monkeypatch.setattr("mhipnn.data.states._potential", lambda node: type("P", (), {"evaluate": lambda *a, **k: bad}))
    with pytest.raises(NonFiniteError, match=r"field at site 3 is not finite in train realisation 23"):
        label_states(data.definition, states, Processes(1))


# Measures


def test_fields_of_the_wrong_sign_are_off_by_two_everywhere(data, tmp_path, monkeypatch):
    summary = {"torque_nrmse": 0.5, "torque_r2": 0.25}
    monkeypatch.setattr(accuracy, "predict", lambda *a: type("P", (), {"summary": lambda self: summary})())
    yardstick = accuracy.Yardstick(data, QUENCH, 2, tmp_path / "exact.npz")
    perfect = yardstick.measure(Reversed(data.potential(), 1.0))
    wrong = yardstick.measure(Reversed(data.potential()))
    for path in ("rollout", "exact_path"):
        assert perfect[f"{path}_torque_nrmse"] < 1e-10
        assert perfect[f"{path}_torque_r2"] == pytest.approx(1, abs=1e-10)
        assert wrong[f"{path}_torque_nrmse"] == pytest.approx(2, rel=1e-10)
    assert (wrong["test_torque_nrmse"], wrong["test_torque_r2"]) == (0.5, 0.25)
    before = (tmp_path / "exact.npz").read_bytes()
    again = accuracy.Yardstick(data, QUENCH, 2, tmp_path / "exact.npz")
    assert (tmp_path / "exact.npz").read_bytes() == before
    np.testing.assert_array_equal(again.torques, yardstick.torques)
    half = yardstick.measure(Reversed(data.potential(), 0.5))  # another path, the same relative error
    assert half["rollout_torque_nrmse"] == pytest.approx(0.5, rel=1e-10)


# The rounds


@pytest.fixture(scope="module")
def learn(labels):
    """learn(output_root, *overrides) -> (metrics, folder)."""

    def go(output_root: Path, *overrides: str):
        given = [
            "data=sd_tiny",
            f"data.root={labels}",
            f"output_root={output_root}",
            *SMALL,
            *FEW,
            "+data.progress=false",
        ]
        metrics = run(composed_once("active", [*given, "data.dtype=float64", "trainer.accelerator=cpu", *overrides]))
        (folder,) = (path.parent for path in Path(output_root).glob("sd_tiny/active/*/metrics.json"))
        return metrics, folder

    return go


@pytest.fixture(scope="module")
def learned(learn, tmp_path_factory):
    return learn(tmp_path_factory.mktemp("active"))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_run_leaves_datasets_networks_numbers_and_a_figure(learned, data, capsys):
    metrics, folder = learned
    start = 4 + 2  # random spins of realisations 0..3, and two snapshots of realisation 0
    rows = [line.split(",") for line in (folder / "active_learning.csv").read_text().splitlines()]
    assert [row[:3] for row in rows[1:]] == [
        ["start", "0", str(start)],
        *([arm, str(number), str(start + 4 * number)] for arm in ("active", "random") for number in (1, 2)),
    ]
    assert json.loads((folder / "metrics.json").read_text())["active/labels"] == start + 8 == metrics["random/labels"]
    assert (folder / "figures" / "active_learning.png").stat().st_size > 10_000
    held_out = {sites.positions.tobytes() for split in ("val", "test") for sites in data.configurations(split)}
    for arm in ("active", "random"):
        contents = read_files(str(folder / f"labels-{arm}.npz"), None, {}, None)
        counts = {split: int((contents.split == split).sum()) for split in ("train", "val", "test", "size")}
        assert counts == {"train": start + 8, "val": 4, "test": 4, "size": 1}
        seen: set[int] = set()
        for number in (1, 2):
            picks = read_files(str(folder / "labels" / f"{arm}-{number}.npz"), None, {}, None).labelled
            fresh = range(4 + 5 * (number - 1), 4 + 5 * number)
            assert set(picks.realisation) <= set(fresh)
            assert len(set(picks.realisation)) == len(picks) == 4  # per_realisation=1
            assert not seen & set(picks.realisation.tolist())
            seen |= set(picks.realisation.tolist())
            assert set(picks.time) <= ({0.5, 1.0} if arm == "active" else {-1.0})
            for index in range(4):
                config = picks.configuration(index)
                assert config.positions.tobytes() not in held_out
                exact = SDModel(J=3.0, filling=1.0, temperature=0.05).evaluate(config)
                np.testing.assert_array_equal(picks.field[picks.sites(index)], exact.field)
        how = json.loads((folder / "labels" / f"{arm}-2.json").read_text())
        assert (how["candidates"], how["exact_evaluations"]) == (10, 4)
        assert how["scores"] == sorted(how["scores"], reverse=True)
    network = load_potential(folder / "checkpoints" / "active-2-member-1.ckpt")
    assert network.metadata["dataset"]["name"] == "sd_tiny"


def test_members_differ_and_arms_share_the_start(learned):
    _, folder = learned
    members = [weights(folder / "checkpoints" / f"start-member-{member}.ckpt") for member in (0, 1)]
    assert any(not torch.equal(value, members[1][name]) for name, value in members[0].items())
    assert len(list((folder / "checkpoints").glob("*.ckpt"))) == 2 * (1 + 2 * 2)


def test_later_rounds_go_on_from_the_last_weights(learn, learned, tmp_path, monkeypatch):
    """Where later rounds make no step (rate 0), nothing moves; else weights do, but neither scale nor offset."""
    train = loop.train_member

    def stand_still(cfg, data, path, seed, epochs, last, on_epoch):
        if last is not None:
            cfg = cfg.copy()
            cfg.optimizer.lr = 0.0
        train(cfg, data, path, seed, epochs, last, on_epoch)

    monkeypatch.setattr(loop, "train_member", stand_still)
    _, still = learn(tmp_path, "rounds=1")
    _, moved = learned
    for member in (0, 1):
        before, after = (weights(still / "checkpoints" / f"{n}-member-{member}.ckpt") for n in ("start", "active-1"))
        assert all(torch.equal(value, after[name]) for name, value in before.items())
        before, after = (weights(moved / "checkpoints" / f"{n}-member-{member}.ckpt") for n in ("start", "active-2"))
        assert any(not torch.equal(value, after[name]) for name, value in before.items())
        for name in ("model.scale", "model.offset"):
            assert torch.equal(before[name], after[name])
            assert float(before[name]) not in (0.0, 1.0)


class StopError(Exception):
    pass


@pytest.mark.parametrize(("function", "calls"), [("train_member", 1), ("train_member", 5), ("write_labels", 1)])
def test_an_interrupted_run_ends_like_an_undisturbed_one(learn, learned, tmp_path, monkeypatch, function, calls):
    metrics, whole = learned
    original, seen = getattr(loop, function), []

    def stop(*args, **kwargs):
        seen.append(args)
        if len(seen) > calls:
            raise StopError
        return original(*args, **kwargs)

    monkeypatch.setattr(loop, function, stop)
    with pytest.raises(StopError):
        learn(tmp_path)
    done = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.suffix in (".ckpt", ".npz")}
    assert len(done) >= calls
    monkeypatch.setattr(loop, function, original)
    resumed, folder = learn(tmp_path)
    for path, modified in done.items():
        assert path.stat().st_mtime_ns == modified, path
    for path in sorted(whole.rglob("*.npz")):
        name = path.relative_to(whole)
        with np.load(path) as one, np.load(folder / name) as other:
            for key in one.files:
                np.testing.assert_array_equal(one[key], other[key], err_msg=f"{name} {key}")
    for path in sorted(whole.rglob("*.ckpt")):
        other = weights(folder / path.relative_to(whole))
        assert all(torch.equal(value, other[name]) for name, value in weights(path).items()), path
    for name, value in metrics.items():
        if not name.startswith("seconds/"):
            assert resumed[name] == pytest.approx(value, rel=1e-12), name


def test_exact_acquisition_counts_what_it_costs(learn, tmp_path):
    _, folder = learn(tmp_path, "arms.random=null", "arms.active.acquisition=exact", "rounds=1", "members=1")
    how = json.loads((folder / "labels" / "active-1.json").read_text())
    assert (how["candidates"], how["exact_evaluations"]) == (10, 10)
    assert how["scores"] == sorted(how["scores"], reverse=True)
    picks = read_files(str(folder / "labels" / "active-1.npz"), None, {}, None).labelled
    network = load_potential(folder / "checkpoints" / "start-member-0.ckpt")
    for index, score in enumerate(how["scores"]):
        config = picks.configuration(index)
        error = network.evaluate(config).torque - SDModel(J=3.0, filling=1.0, temperature=0.05).evaluate(config).torque
        assert score == pytest.approx(np.sqrt((error**2).mean()), rel=1e-6)


# Mistakes


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("start=0", "start=0"),
        ("rounds=0", "rounds=0"),
        ("members=0", "members=0"),
        ("members=1", "members=1: acquisition 'committee' of arm 'active' compares 2 networks"),
        ("labels_per_round=6", "labels_per_round=6: the pool of a round gives 5 at most"),
        ("labels_per_round=1.5", "labels_per_round=1.5: expected a whole number"),
        ("per_realisation=0", "per_realisation=0"),
        ("epochs_per_round=0", "epochs_per_round=0"),
        ("trainer.max_epochs=-1", "trainer.max_epochs=-1"),
        ("seed=-1", "seed=-1"),
        ("pool.realisations=0", "pool.realisations=0"),
        ("pool.replicas=true", "pool.replicas=True"),
        ("pool.times=[]", "pool.times"),
        ("pool.times=[2.0]", "beyond the quench's duration"),
        ("pool.times=[a]", "pool.times"),
        ("rollout.n_realisations=0", "rollout.n_realisations=0"),
        ("arms.active.states=quensh", "did you mean 'quench'"),
        ("arms.active.acquisition=comittee", "did you mean 'committee'"),
        ("arms={active:null,random:null}", "arms: none is left"),
        ("+arms.start={states:quench,acquisition:random}", "'start'"),
        ("+arms.more={states:quench}", "arms.more: expected {states: ..., acquisition: ...}"),
        ("+arms.more=quench", "arms.more"),
    ],
)
def test_refuses(override, says):
    cfg = compose_config("active", ["data=sd_tiny", *FEW, *([override] if not override.startswith("arms={") else [])])
    if override.startswith("arms={"):
        cfg.arms = {"active": None, "random": None}
    with pytest.raises(ConfigError) as caught:
        Settings.of(cfg)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_demonstration(tmp_path, labels):
    """The command as it is documented, with fewer rounds: active labels are worth more than random ones."""
    overrides = ["data=sd_tiny", f"data.root={labels}", f"output_root={tmp_path}", "rounds=1", "+data.progress=false"]
    metrics = run(compose_config("active", overrides))
    (folder,) = (tmp_path / "sd_tiny" / "active").iterdir()
    for name in ("figures/active_learning.png", "active_learning.csv", "labels-active.npz", "labels-random.npz"):
        assert (folder / name).stat().st_size > 0
    worse = metrics["random/rollout_torque_nrmse"] - metrics["active/rollout_torque_nrmse"]
    assert worse > 0
