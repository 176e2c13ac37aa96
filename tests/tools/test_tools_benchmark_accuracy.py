"""The accuracy benchmark trains what is missing and nothing twice, and its tables and figures say what rows hold."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path

import accuracy_figures
import accuracy_rows
import accuracy_studies
import accuracy_tables
import benchmark_accuracy
import numpy as np
import pytest
from accuracy_rows import Place, key_of, seconds_to, times_of
from accuracy_studies import ABLATION, BASELINES, SIZES, Study, Training, studies
from accuracy_tables import Entry, gather, grids
from omegaconf import DictConfig, OmegaConf

from mhipnn import registry
from mhipnn.analysis.style import save
from mhipnn.errors import NonFiniteError
from mhipnn.training.predictions import Predictions

QUICK = SIZES["quick"]


# ------------------------------------------------------------------ studies


def test_every_override_is_one_that_the_command_knows(tmp_path):
    place = Place(tmp_path / "it's out", external=tmp_path / "labels.npz")
    plans = [study.trainings(size) for size in SIZES.values() for study in studies(size).values()]
    seen: set[str] = set()
    for training in (training for plan in plans for training in plan):
        keys = {*training.overrides, *(f"{group}={training.overrides[group]}" for group in ("data", "model"))}
        if keys <= seen:  # numbers alone are new
            continue
        seen |= keys
        cfg = place.configuration(training)
        assert cfg.run_dir == str(place.run_folder(training))
        assert cfg.data.name == training.labels["track"]
        assert cfg.seed == 0
        assert "logger" not in cfg
    assert {"data=kondo_square", "model=mhip_ts", "model.n_vectors", "callbacks.averaging"} <= seen


def test_a_study_is_the_product_of_its_axes():
    study = Study("", ("b", "a"), {"m": {"model": "m", "x": "0"}}, {"n": {1: {"x": "1"}, 2: {}}}, {"x": "2", "y": "3"})
    size = accuracy_studies.Size({"a": {"t": "4"}, "b": {}, "c": {}}, (), (), 7, 1, (), (), (), {"y": "5", "z": "6"})
    made = study.trainings(size, seeds=(0, 1), given={"z": "8"})
    assert [(t.seed, *t.labels.values()) for t in made] == [
        (seed, track, "m", n) for seed in (0, 1) for track in "ab" for n in (1, 2)
    ]
    common = {"data": "a", "model": "m", "trainer.max_epochs": "7", "y": "3", "z": "8", "t": "4", "seed": "0"}
    assert made[0].overrides == common | {"x": "1"}
    assert made[1].overrides == common | {"x": "0"}
    assert {t.labels["track"] for t in study.trainings(size, tracks=["b", "c"])} == {"b"}


def test_models_are_those_that_are_registered_or_given():
    study = studies(QUICK)["models"]
    registered = {entry.name for entry in registry.entries() if entry.kind == "model"}
    assert {t.labels["model"] for t in study.trainings(QUICK)} == registered
    wide = benchmark_accuracy._models(["mhip", "wide: model=mhip_ts model.n_features=48"])
    made = study.trainings(QUICK, tracks=["sd_disorder"], models=wide)
    assert [t.labels["model"] for t in made] == ["mhip", "wide"]
    assert made[1].overrides["model.n_features"] == "48"
    # A study about one model takes the variants of that model only.
    assert {t.labels["model"] for t in studies(QUICK)["ablation"].trainings(QUICK, models=wide)} == {"wide"}
    heisenberg = benchmark_accuracy._models(["heisenberg"])
    assert {t.labels["model"] for t in studies(QUICK)["cutoff"].trainings(QUICK, models=heisenberg)} == {"mhip_ts"}


@pytest.mark.parametrize(("size", "epochs"), [(SIZES["full"], 14), (SIZES["full"].shortened(6), 6)])
def test_learning_curves_take_equal_numbers_of_steps(size, epochs):
    made = studies(size)["learning_curve"].trainings(size, tracks=["sd_disorder"], models={"mhip": {"model": "mhip"}})
    assert [t.overrides["data.splits.train"] for t in made] == ["25", "50", "100", "200", "400", "640"]
    passes = [int(t.overrides["data.splits.train"]) * int(t.overrides["trainer.max_epochs"]) for t in made]
    assert passes == pytest.approx([epochs * 640] * 6, rel=0.05)


def test_a_shortened_size_is_short_on_every_track():
    size = SIZES["full"].shortened(6)
    made = studies(size)["trials"].trainings(size)
    assert {t.overrides["trainer.max_epochs"] for t in made} == {"6"}
    assert size.tracks["sd_disorder_3d"]["model.cutoff"] == "2.6"


def test_every_baseline_has_the_same_trials():
    made = studies(QUICK)["trials"].trainings(QUICK, tracks=["sd_disorder"])
    trials = {name: [t.labels["trial"] for t in made if t.labels["model"] == name] for name in BASELINES}
    assert list(trials.values()) == [list(accuracy_studies.TRIALS)] * len(BASELINES)


def test_an_ablation_changes_one_ingredient():
    made = studies(QUICK)["ablation"].trainings(QUICK)
    base, *changed = (t.overrides for t in made)
    assert len({key_of(overrides) for overrides in (base, *changed)}) == len(ABLATION)
    for overrides in changed:
        assert len(set(overrides.items()) - set(base.items())) == 1


def test_keys_are_of_overrides_whatever_their_order():
    assert key_of({"a": "1", "b": "2"}) == key_of({"b": "2", "a": "1"})
    assert key_of({"a": "1", "b": "2"}) != key_of({"a": "2", "b": "1"})


# ------------------------------------------------------------------ training what is missing


class FakeRun:
    """Stands in for a training: leaves metrics.json, or raises at the given calls."""

    def __init__(self, raises: dict[int, BaseException] | None = None) -> None:
        self.raises = raises or {}
        self.models: list[str] = []

    def __call__(self, cfg: DictConfig) -> dict[str, float]:
        self.models.append(f"{cfg.data.name} {cfg.model._target_.rpartition('.')[2]} {cfg.seed}")
        folder = Path(cfg.run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        if len(self.models) in self.raises:
            raise self.raises[len(self.models)]
        metrics = {"test/torque_r2": 0.9, "test/torque_nrmse": 0.3, "parameters": 10, "size/torque_r2": float("nan")}
        (folder / "metrics.json").write_text(json.dumps(metrics | {"size/torque_r2": None}))
        return metrics


MEASURED = {"fit/seconds": 3.0, "field/microseconds_per_spin": 5.0}
ARGS = ["--tracks", "sd_disorder", "--models", "mhip", "heisenberg", "mhip_ts"]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """bench(run, *more arguments, of=studies) -> exit code; what the harness itself measures is invented."""
    monkeypatch.setattr(accuracy_rows, "measure", lambda cfg, folder: (MEASURED, [{"epoch": 0, "seconds": 3.0}]))

    def go(run: FakeRun, *more: str, of: tuple[str, ...] = ("models",)) -> int:
        monkeypatch.setattr("mhipnn.training.run.run", run)
        return benchmark_accuracy.main([*of, *ARGS, "--output", str(tmp_path / "out"), *more])

    return go


def test_an_interrupted_benchmark_goes_on_and_a_finished_one_does_nothing(bench, tmp_path, capsys):
    first = FakeRun({2: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        bench(first)
    assert len(list((tmp_path / "out" / "rows").glob("*.json"))) == 1
    second, third = FakeRun(), FakeRun()
    assert bench(second) == 0
    assert [*first.models[:1], *second.models] == [f"sd_disorder {name} 0" for name in ("MHIP", "Heisenberg", "MHIPTS")]
    assert bench(third) == 0
    assert third.models == []
    assert "3 trainings, 3 of them finished" in capsys.readouterr().out
    assert bench(third, "--seeds", "0", "1") == 0
    assert third.models == [f"sd_disorder {name} 1" for name in ("MHIP", "Heisenberg", "MHIPTS")]


def test_a_training_that_lacks_its_row_only_is_not_repeated(bench, tmp_path):
    assert bench(FakeRun()) == 0
    rows = sorted((tmp_path / "out" / "rows").glob("*.json"))
    before = json.loads(rows[0].read_text())
    rows[0].unlink()
    again = FakeRun()
    assert bench(again) == 0
    assert again.models == []
    assert json.loads(rows[0].read_text())["metrics"] == before["metrics"]


def test_a_training_that_fails_is_told_and_the_others_are_made(bench, capsys):
    assert bench(FakeRun({1: NonFiniteError("the field\nis not finite")})) == 1
    told = capsys.readouterr().out
    assert "error: the field is not finite" in told
    assert "failed: track sd_disorder, model mhip, seed 0" in told
    again = FakeRun()
    assert bench(again) == 0
    assert again.models == ["sd_disorder MHIP 0"]


def test_bugs_keep_their_tracebacks(bench):
    with pytest.raises(ZeroDivisionError):
        bench(FakeRun({1: ZeroDivisionError()}))


def test_a_spent_budget_starts_nothing_and_says_what_is_left(bench, capsys):
    run = FakeRun()
    assert bench(run, "--budget", "0") == 0
    assert run.models == []
    told = capsys.readouterr().out
    assert "makes the 3 that are left" in told
    assert "track sd_disorder, model heisenberg, seed 0" in told
    assert "models: no row yet" in told


def test_only_tables_are_drawn_from_the_rows_that_are_there(bench, tmp_path, rows):
    with pytest.raises(KeyboardInterrupt):
        bench(FakeRun({3: KeyboardInterrupt()}))
    rows()
    run = FakeRun()
    assert bench(run, "--only-table") == 0
    assert run.models == []
    assert [row[:2] for row in rows()] == [["sd_disorder", "mhip"], ["sd_disorder", "heisenberg"]] * 2
    folder = tmp_path / "out" / "models"
    assert (folder / "models.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "table.md").read_text()
    assert "| sd_disorder | mhip | 1 | 0.9000 |" in page
    assert "tools/benchmark_accuracy.py models --tracks sd_disorder" in page
    assert "thread(s), torch" in page


def test_studies_share_their_trainings(bench):
    run = FakeRun()
    assert bench(run, of=("models", "spin_state")) == 0
    assert len(run.models) == 3


def test_a_row_says_what_made_it(bench, tmp_path):
    assert bench(FakeRun(), "--set", "optimizer.lr=0.001") == 0
    row = json.loads(next((tmp_path / "out" / "rows").glob("*.json")).read_text())
    assert row["metrics"] == {
        "test/torque_r2": 0.9, "test/torque_nrmse": 0.3, "parameters": 10, "size/torque_r2": None, **MEASURED,
    }  # fmt: skip
    assert row["overrides"]["optimizer.lr"] == "0.001"
    assert row["overrides"]["data"] == row["labels"]["track"] == "sd_disorder"
    assert row["threads"] >= 1
    assert {"commit", "torch", "mhipnn", "device", "finished", "configuration"} <= set(row)


def test_the_commit_is_that_of_the_checkout_or_none(monkeypatch):
    def without_git(*args, **kwargs):
        raise FileNotFoundError("git")

    found = accuracy_rows.commit()
    if found is not None:
        call = ["git", "-C", str(Path(accuracy_rows.__file__).parent), "rev-parse", "HEAD"]
        assert subprocess.run(call, capture_output=True, text=True).stdout.startswith(found.removesuffix("-dirty"))
    monkeypatch.setattr(subprocess, "run", without_git)
    assert accuracy_rows.commit() is None


def test_changed_defaults_are_told(bench, tmp_path, capsys):
    assert bench(FakeRun()) == 0
    assert "other defaults" not in capsys.readouterr().out
    path = next((tmp_path / "out" / "rows").glob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"configuration": "0"}))
    assert bench(FakeRun()) == 0
    told = capsys.readouterr().out
    assert told.count("made with other defaults") == 1
    assert str(path) in told.replace("\n", "")


def test_the_digest_sees_defaults_and_not_places(tmp_path):
    training = studies(QUICK)["models"].trainings(QUICK)[0]
    here, there = (Place(tmp_path / name, tmp_path / name).configuration(training) for name in "ab")
    assert accuracy_rows.digest_of(here) == accuracy_rows.digest_of(there)
    OmegaConf.update(there, "optimizer.weight_decay", 0.5)
    assert accuracy_rows.digest_of(here) != accuracy_rows.digest_of(there)


def test_the_external_track_needs_its_file(bench, capsys):
    run = FakeRun()
    assert bench(run, "--size", "full", "--tracks", "kondo_square") == 0
    assert run.models == []
    assert "3 on kondo_square are left out: give its labels with --kondo-square FILE" in capsys.readouterr().out
    assert bench(run, "--size", "full", "--tracks", "kondo_square", "--kondo-square", "labels.npz") == 0
    assert run.models[0] == "kondo_square MHIP 0"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["modls"], "did you mean 'models'"),
        (["models", "--models", "mhipp"], "did you mean 'mhip'"),
        (["models", "--models", "wide: model.n_features=3"], "names no registered model"),
        (["models", "--set", "optimizer.lr"], "expected key=value"),
        (["models", "--size", "huge"], "invalid choice"),
    ],
)
def test_mistakes_at_the_command_line(arguments, told, capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark_accuracy.main(arguments)
    assert told in capsys.readouterr().err


# ------------------------------------------------------------------ numbers


def test_time_to_a_level_is_that_of_the_first_epoch_that_reaches_it():
    history = [{"seconds": 2.0}]
    history += [{"seconds": s, "val/torque_r2": r2} for s, r2 in ((3.0, float("nan")), (5.0, 0.9), (9.0, 0.985))]
    history += [{"seconds": 11.0, "val/torque_r2": 0.97}]
    assert [seconds_to(level, history) for level in (0.9, 0.95, 0.98, 0.99)] == [5.0, 9.0, 9.0, None]
    times = times_of(history)
    assert times["fit/seconds"] == 11.0
    assert times["fit/seconds_per_epoch"] == 2.0  # the median of 2, 1, 2, 4, 2
    assert times["fit/seconds_to_0.95"] == 9.0


def test_errors_by_state_are_those_of_the_configurations_in_it():
    rng = np.random.default_rng(0)
    time, sizes = np.array([-1.0, 30.0, -1.0, 4.0]), np.array([2, 3, 4, 5])
    exact = rng.normal(size=(14, 3))
    wrong = exact * np.repeat([1.5, 1.1, 1.5, 0.6], sizes)[:, None]
    nothing = np.zeros(4)
    errors = accuracy_rows.errors_by_state(
        Predictions(nothing, nothing, exact, wrong, np.concatenate([[0], np.cumsum(sizes)]), nothing, time)
    )
    assert errors["state/random/torque_nrmse"] == pytest.approx(0.5)
    assert errors["state/t = 30/torque_nrmse"] == pytest.approx(0.1)
    assert errors["state/t = 4/torque_nrmse"] == pytest.approx(0.4)
    late, early = exact[2:5], exact[9:]
    both = np.sqrt((0.01 * (late**2).sum() + 0.16 * (early**2).sum()) / ((late**2).sum() + (early**2).sum()))
    assert errors["state/quench/torque_nrmse"] == pytest.approx(both)
    assert errors["state/t = 30/torque_rmse"] == pytest.approx(np.sqrt(0.01 * (late**2).mean()))


def entry(model: str, nrmse: list[float], track: str = "sd_disorder", **labels: object) -> Entry:
    """Invented rows, one a seed."""
    rows = []
    for value in nrmse:
        metrics = {
            "test/torque_nrmse": value, "test/torque_r2": 1 - value**2, "size/torque_r2": 1 - 1.2 * value**2,
            "state/random/torque_nrmse": value / 2, "state/t = 30/torque_nrmse": 2 * value,
            "state/t = 4/torque_nrmse": value, "fit/seconds_to_0.9": 7.0 if value < 0.2 else None,
        }  # fmt: skip
        rows.append({"metrics": metrics})
    return Entry({"track": track, "model": model, **labels}, model, len(rows), rows)


def columns(grid: accuracy_tables.Grid) -> dict[str, list[str]]:
    return dict(zip(grid.columns, map(list, zip(*grid.rows, strict=True)), strict=True))


def test_cells_are_means_with_the_deviation_of_the_seeds_in_the_last_digits():
    values = [0.1, 0.11, 0.15]
    deviation = round(1e4 * statistics.stdev(values))
    assert deviation == 265
    assert entry("mhip", values).cell("test/torque_nrmse", ".4f") == "0.1200(265)"
    assert entry("mhip", [0.1]).cell("test/torque_nrmse", ".4f") == "0.1000"
    assert entry("mhip", [0.1]).cell("absent", ".4f") == accuracy_tables.NOTHING
    assert entry("mhip", [0.1, 0.3]).cell("fit/seconds_to_0.9", ".0f") == accuracy_tables.NOTHING  # one never did


def test_models_are_compared_with_the_best_baseline_of_their_track():
    entries = [entry("mhip", [0.1]), entry("heisenberg", [0.4]), entry("bp", [0.2]), entry("mhip", [0.3], "metal")]
    accuracy, cost = grids("models", "Models", entries)
    assert columns(accuracy)["MSE/baseline"] == ["0.250", "4.000", "1.000", accuracy_tables.NOTHING]
    assert "to 0.9 (s)" in columns(cost)
    assert "to 0.99 (s)" not in columns(cost)  # nobody came there
    better = [entry("heisenberg", [0.1], trial="cutoff 3.5"), entry("bp", [0.05], "elsewhere", trial="as it is")]
    against_trials = columns(grids("models", "Models", entries, better)[0])
    assert against_trials["MSE/baseline"] == ["1.000", "16.000", "4.000", accuracy_tables.NOTHING]
    assert len(against_trials["model"]) == 4
    lines = accuracy.markdown().splitlines()
    assert lines[0].startswith("**Models")
    assert lines[3].startswith("| --- | --- | ---: |")
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_an_ablation_is_compared_with_its_own_base():
    entries = [entry("mhip_ts", [0.1], track, changed="l_max = 1") for track in ("a", "b")]
    entries += [entry("mhip_ts", [0.08], "a", changed="base"), entry("mhip_ts", [0.2], "b", changed="base")]
    assert columns(grids("ablation", "", entries)[0])["NRMSE/base"] == ["1.250", "0.500", "1.000", "1.000"]


def test_spin_states_are_columns_in_the_order_of_time():
    _, by_state, _ = grids("spin_state", "", [entry("mhip", [0.1])])
    assert by_state.columns[-3:] == ["random", "t = 4", "t = 30"]
    assert by_state.rows[0][-3:] == ["0.0500", "0.1000", "0.2000"]


def test_seeds_are_gathered_and_those_to_come_are_counted(tmp_path):
    place = Place(tmp_path)
    trainings = [Training({"track": "a", "model": "m"}, seed, {"model": "m", "seed": str(seed)}) for seed in (0, 1, 2)]
    for training in trainings[:2]:
        path = place.row_file(training)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"metrics": {"test/torque_r2": 0.5 + 0.1 * training.seed}}))
    (gathered,) = gather(trainings, place)
    assert gathered.values("test/torque_r2") == [0.5, 0.6]
    assert columns(grids("models", "", [gathered])[0])["seeds"] == ["2 of 3"]


# ------------------------------------------------------------------ figures


def points_of(ax) -> list[list[float]]:
    return [container[0].get_xydata().tolist() for container in ax.containers]


def test_learning_curves_are_doubly_logarithmic(tmp_path):
    entries = [entry(m, [e / n, 3 * e / n], realisations=n) for m, e in (("mhip", 1), ("bp", 2)) for n in (100, 25)]
    figure = accuracy_figures.learning_curve(entries)
    (ax,) = figure.axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert points_of(ax) == [[[25, 0.08], [100, 0.02]], [[25, 0.16], [100, 0.04]]]
    assert "NRMSE" in ax.get_ylabel()
    assert "realisations" in ax.get_xlabel()
    save(figure, tmp_path / "figure.png")


def test_the_axis_of_r2_holds_the_rest_and_is_labelled_with_r2(tmp_path):
    entries = [entry("mhip", [0.1]), entry("heisenberg", [0.5]), entry("mhip", [0.2], "metal")]
    figure = accuracy_figures.models(entries)
    (ax,) = figure.axes
    save(figure, tmp_path / "figure.png")
    heights = [y for points in points_of(ax) for _, y in points]
    assert heights == pytest.approx([0.01, 0.04, 0.012, 0.048, 0.25, 0.3])
    assert ax.yaxis_inverted()
    ticks = dict(zip((tick.get_text() for tick in ax.get_yticklabels()), ax.get_yticks(), strict=True))
    assert ticks["0.99"] == pytest.approx(0.01)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["sd_disorder", "metal"]


@pytest.mark.parametrize("name", accuracy_figures.FIGURES)
def test_figures_of_a_single_row(name, tmp_path):
    single = entry("mhip_ts", [0.5], realisations=25, cutoff=3.0, layers=1, changed="base")
    single.rows[0]["metrics"].pop("size/torque_r2")
    assert save(accuracy_figures.FIGURES[name]([single]), tmp_path / "figure.png").stat().st_size > 5000


def test_the_other_figures_hold_their_numbers(tmp_path):
    by_cutoff = [entry("mhip_ts", [1 / (r + n)], cutoff=r, layers=n) for r in (2.0, 4.0) for n in (1, 2)]
    figure = accuracy_figures.cutoff(by_cutoff)
    assert points_of(figure.axes[0])[0] == [[2.0, pytest.approx(1 / 3)], [4.0, pytest.approx(1 / 5)]]
    save(figure, tmp_path / "cutoff.png")
    figure = accuracy_figures.ablation(
        [entry("mhip_ts", [0.1], changed="base"), entry("mhip_ts", [0.15], changed="l_max = 1")]
    )
    assert points_of(figure.axes[0]) == [[[pytest.approx(1.5), 0]]]
    save(figure, tmp_path / "ablation.png")
    figure = accuracy_figures.spin_state([entry("mhip", [0.1])])
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([0.05, 0.1, 0.2])
    save(figure, tmp_path / "spin_state.png")


# ------------------------------------------------------------------ the real thing

SMALLEST = [
    "data.structure.n_sites=16", "data.splits.train=8", "data.splits.val=2", "data.splits.test=2",
    "data.size_split.realisations=1", "data.n_workers=1", "trainer.max_epochs=3", "dynamics.duration=1.0",
]  # fmt: skip


@pytest.mark.slow
def test_the_smallest_size_trains_is_interrupted_and_goes_on(tmp_path, monkeypatch, rows):
    from mhipnn.training.history import History

    args = ["models", "spin_state", "--tracks", "sd_disorder", "--models", "mhip_ts", "heisenberg", "--set", *SMALLEST]
    args += ["--output", str(tmp_path / "out"), "--data-root", str(tmp_path / "datasets")]
    remember, calls = History.on_train_epoch_end, []

    def interrupted(self, trainer, pl_module):
        remember(self, trainer, pl_module)
        calls.append(trainer.current_epoch)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_epoch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            benchmark_accuracy.main(args)
    assert not (tmp_path / "out" / "rows").exists()
    rows()
    assert benchmark_accuracy.main(args) == 0
    assert [row[:3] for row in rows() if row[0] == "sd_disorder"] == [
        ["sd_disorder", model, "1"] for _ in range(5) for model in ("mhip_ts", "heisenberg")
    ]  # tables of accuracy and cost in both studies, and one by state
    for path in (tmp_path / "out" / "rows").glob("*.json"):
        row = json.loads(path.read_text())
        metrics = row["metrics"]
        assert [epoch["epoch"] for epoch in row["history"]] == [0, 1, 2]
        assert metrics["fit/seconds"] == row["history"][-1]["seconds"] > metrics["fit/seconds_per_epoch"] > 0
        assert metrics["field/microseconds_per_spin"] > 0
        assert metrics["rollout/torque_r2"] <= 1
        # The whole split is made of its states: the run's own number lies between theirs.
        states = sorted(metrics[f"state/{state}/torque_nrmse"] for state in ("random", "quench"))
        assert states[0] <= metrics["test/torque_nrmse"] * (1 + 1e-6)
        assert metrics["test/torque_nrmse"] <= states[1] * (1 + 1e-6)
