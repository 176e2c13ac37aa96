"""A search for settings: what it may choose, what it stops early, how it goes on, what it leaves."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from conftest import QUIET, SMALL, composed_once
from hydra.errors import ConfigCompositionException
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from mhipnn import train as command
from mhipnn.config import compose_config, conf_dir
from mhipnn.errors import ConfigError, NonFiniteError
from mhipnn.training.tuning.space import Setting, search_space

optuna = pytest.importorskip("optuna")

from mhipnn.training import run as training  # noqa: E402
from mhipnn.training.tuning import report  # noqa: E402
from mhipnn.training.tuning import run as tuning  # noqa: E402

SPACE = ["tune.space={model:{n_features:[4,5,6],n_hidden:[8]},optimizer:{lr:{low:1e-3,high:1e-2,log:true}}}"]


def config(root, *overrides):
    fixed = [
        "experiment=tune",
        "data=sd_tiny",
        "data.root=unused",
        f"output_root={root}",
        *SMALL,
        *QUIET[:2],
        "~logger",
    ]
    return composed_once("train", [*fixed, "tune.space=null", *SPACE, *overrides])


def score(cfg, epoch):
    """Learning curves that do not cross: few features are bad from the start, a rate of 5e-3 is best."""
    return cfg.model.n_features / 10 - abs(cfg.optimizer.lr - 5e-3) + 0.01 * epoch


class Trainings:
    """In place of trainings: five epochs of ``score``, with a folder; may be interrupted or diverge at one of them."""

    def __init__(self, interrupt_at=None, error=None):
        self.begun, self.epochs = [], 0
        self.interrupt_at, self.error = interrupt_at, error

    def __call__(self, cfg, callbacks):
        from pathlib import Path

        (callback,) = callbacks
        folder = Path(cfg.run_dir)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        assert not (folder / "metrics.json").exists()
        self.begun.append((folder.name, cfg.model.n_features, cfg.optimizer.lr))
        done = folder / "epochs"
        for epoch in range(int(done.read_text()) if done.exists() else 0, 5):
            if self.epochs == self.interrupt_at:
                raise self.error
            self.epochs += 1
            trainer = type("T", (), {})()
            trainer.callback_metrics, trainer.current_epoch = {"val/torque_r2": torch.tensor(score(cfg, epoch))}, epoch
            done.write_text(str(epoch + 1))
            callback.on_validation_end(trainer, None)
        metrics = {"val/torque_r2": score(cfg, 4), "seconds/fit": 1.0, "parameters": 7}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "checkpoints" / "best.ckpt").write_text(folder.name)
        return metrics


def study(monkeypatch, cfg, trainings):
    monkeypatch.setattr(training, "run", trainings)
    return tuning.run(cfg)


def rows(root):
    with (root / "sd_tiny" / "tune-mhip" / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def curves(root):
    """The objective by epoch of every trial that counts, as Optuna keeps it."""
    path = root / "sd_tiny" / "tune-mhip" / "study.journal"
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    trials = optuna.load_study(storage=storage, study_name="tune").get_trials()
    return [trial.intermediate_values for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]


def test_the_best_is_found_and_the_rest_is_stopped_early(monkeypatch, tmp_path):
    trainings = Trainings()
    result = study(monkeypatch, config(tmp_path, "tune.n_trials=24"), trainings)
    table = rows(tmp_path)
    assert [int(row["trial"]) for row in table] == list(range(1, 25))
    stopped = [row for row in table if row["state"] == "stopped"]
    assert len(stopped) >= 5
    assert all(3 <= int(row["epochs"]) < 5 for row in stopped)  # two epochs of grace, and the one that decides
    assert {row["epochs"] for row in table if row["state"] == "complete"} == {"5"}
    assert trainings.epochs == sum(int(row["epochs"]) for row in table) < 24 * 5
    best = max((row for row in table if row["state"] == "complete"), key=lambda row: float(row["val/torque_r2"]))
    assert result["val/torque_r2"] == float(best["val/torque_r2"]) > 0.6  # six features, a rate near the best
    assert best["model.n_features"] == "6"
    assert "model.n_hidden" not in table[0]  # of bp, not of mhip
    folder = tmp_path / "sd_tiny" / "tune-mhip"
    assert (folder / "checkpoints" / "best.ckpt").read_text() == f"{int(best['trial']):04d}"
    assert (folder / "figures" / "tuning.png").stat().st_size > 10_000
    values = [float(row["val/torque_r2"]) for row in stopped]
    assert max(values) < result["val/torque_r2"]


def test_the_best_settings_are_an_experiment(monkeypatch, tmp_path):
    study(monkeypatch, config(tmp_path, "tune.n_trials=3", "model.l_max=1"), Trainings())
    folder = tmp_path / "sd_tiny" / "tune-mhip"
    best = max(rows(tmp_path), key=lambda row: float(row["val/torque_r2"]))
    cfg = compose_config("train", ["experiment=best", f"hydra.searchpath=[file://{folder}]", "model.n_onsite=3"])
    assert cfg.model.n_features == int(best["model.n_features"])
    assert cfg.optimizer.lr == float(best["optimizer.lr"])
    assert cfg.model.l_max == 1  # given on the command line of the study
    assert cfg.model.cutoff == 2.2
    assert cfg.model.n_onsite == 3
    assert "tune" not in cfg
    assert cfg.trainer.max_epochs == compose_config("train").trainer.max_epochs  # short trials, full trainings


@pytest.mark.parametrize("interrupt_at", [0, 13])
def test_an_interrupted_study_ends_as_one_that_was_not(monkeypatch, tmp_path, interrupt_at):
    whole, first, second = Trainings(), Trainings(interrupt_at, KeyboardInterrupt()), Trainings()
    study(monkeypatch, config(tmp_path / "whole", "tune.n_trials=9"), whole)
    with pytest.raises(KeyboardInterrupt):
        study(monkeypatch, config(tmp_path / "parts", "tune.n_trials=9"), first)
    study(monkeypatch, config(tmp_path / "parts", "tune.n_trials=9"), second)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert first.epochs + second.epochs == whole.epochs  # nothing was trained twice
    assert second.begun[0] == first.begun[-1]
    assert curves(tmp_path / "parts") == curves(tmp_path / "whole")  # the pruner still knows the first epochs


def test_more_trials_go_on_with_a_study_that_has_ended(monkeypatch, tmp_path):
    first, second = Trainings(), Trainings()
    study(monkeypatch, config(tmp_path / "parts", "tune.n_trials=3"), first)
    again = study(monkeypatch, config(tmp_path / "parts", "tune.n_trials=8"), second)
    assert (len(first.begun), len(second.begun)) == (3, 5)
    whole = study(monkeypatch, config(tmp_path / "whole", "tune.n_trials=8"), Trainings())
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert again == whole
    with pytest.raises(ConfigError, match="another configuration"):
        study(monkeypatch, config(tmp_path / "parts", "trainer.max_epochs=9"), Trainings())


def test_a_training_that_ended_just_before_the_interruption_is_not_repeated(monkeypatch, tmp_path):
    class Killed(Trainings):
        def __call__(self, cfg, callbacks):
            super().__call__(cfg, callbacks)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(monkeypatch, config(tmp_path, "tune.n_trials=1"), Killed())
    left = Trainings()
    result = study(monkeypatch, config(tmp_path, "tune.n_trials=1"), left)
    assert left.begun == []
    (row,) = rows(tmp_path)
    assert float(row["val/torque_r2"]) == result["val/torque_r2"]


def test_a_trial_that_diverges_counts_and_a_mistake_ends_the_study(monkeypatch, tmp_path):
    study(monkeypatch, config(tmp_path, "tune.n_trials=2"), Once(7, NonFiniteError("too large a rate")))
    assert [(row["state"], row["epochs"]) for row in rows(tmp_path)] == [("complete", "5"), ("diverged", "2")]
    with pytest.raises(ConfigError, match="no such thing"):
        study(monkeypatch, config(tmp_path, "tune.n_trials=4"), Once(3, ConfigError("no such thing")))
    study(monkeypatch, config(tmp_path, "tune.n_trials=4"), Trainings())
    assert [row["state"] for row in rows(tmp_path)] == ["complete", "diverged", "complete", "complete"]


def test_a_study_in_which_everything_diverges_says_so(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="no trial was trained to its end"):
        study(monkeypatch, config(tmp_path, "tune.n_trials=2"), Trainings(0, NonFiniteError("too large a rate")))


class Once(Trainings):
    """Fails at one epoch, and not again."""

    def __call__(self, cfg, callbacks):
        try:
            return super().__call__(cfg, callbacks)
        except type(self.error):
            self.interrupt_at = None
            raise


class Epochs(Callback):
    """In real trainings: the epochs that were begun; optionally an interruption."""

    def __init__(self, stop_at=None):
        self.begun, self.stop_at = 0, stop_at

    def on_train_epoch_start(self, trainer, pl_module):
        if self.begun == self.stop_at:
            raise KeyboardInterrupt
        self.begun += 1


def real(monkeypatch, labels, root, *overrides, stop_at=None):
    counted = Epochs(stop_at)
    with monkeypatch.context() as patch:
        make = training._callbacks
        patch.setattr(training, "_callbacks", lambda cfg, folder: [counted, *make(cfg, folder)])
        more = [f"data.root={labels}", "+data.progress=false", "trainer.max_epochs=3", "data.dtype=float64"]
        try:
            metrics = command.run(config(root, *more, *overrides))
        except KeyboardInterrupt:
            metrics = None
    return metrics, counted


def test_real_trainings_are_searched_interrupted_and_gone_on_with(monkeypatch, labels, tmp_path):
    pruner = ["tune.pruner.n_startup_trials=1", "tune.pruner.n_warmup_steps=0", "tune.n_trials=4"]
    whole, all_epochs = real(monkeypatch, labels, tmp_path / "whole", *pruner)
    table = rows(tmp_path / "whole")
    assert len(table) == 4
    assert all_epochs.begun == sum(int(row["epochs"]) for row in table)
    for row in table:
        folder = tmp_path / "whole" / "sd_tiny" / "tune-mhip" / "trials" / f"{int(row['trial']):04d}"
        cfg = OmegaConf.load(folder / "config.yaml")
        assert cfg.model.n_features == int(row["model.n_features"])
        assert cfg.optimizer.lr == float(row["optimizer.lr"])
        assert (folder / "metrics.json").exists() == (row["state"] == "complete")
        if row["state"] == "complete":
            assert json.loads((folder / "metrics.json").read_text())["val/torque_r2"] == float(row["val/torque_r2"])
    nothing, before = real(monkeypatch, labels, tmp_path / "parts", *pruner, stop_at=2)
    assert nothing is None
    again, after = real(monkeypatch, labels, tmp_path / "parts", *pruner)
    assert before.begun + after.begun == all_epochs.begun  # the trial went on from its last epoch
    assert again["val/torque_r2"] == pytest.approx(whole["val/torque_r2"], abs=1e-10)
    for one, other in zip(rows(tmp_path / "parts"), table, strict=True):
        assert {k: v for k, v in one.items() if k not in ("seconds", "val/torque_r2")} == {
            k: v for k, v in other.items() if k not in ("seconds", "val/torque_r2")
        }
        assert float(one["val/torque_r2"]) == pytest.approx(float(other["val/torque_r2"]), abs=1e-10)


# ------------------------------------------------------------------ what may be searched


def test_the_space_of_the_file_serves_every_model_of_the_family():
    searched = {
        model: {setting.key for setting in search_space(compose_config("train", ["experiment=tune", f"model={model}"]))}
        for model in ("mhip", "mhip_ts", "mhip_eq", "bp", "heisenberg")
    }
    common = {"model.cutoff", "optimizer.lr", "loss.energy.weight"}
    network = {"model.n_features", "model.n_interactions", "model.n_sensitivities"}
    assert searched["mhip"] == common | network
    tensors = {"model.n_vectors", "model.bond_rank"}
    assert searched["mhip_ts"] == common | network | tensors
    assert searched["mhip_eq"] == common | network | tensors | {"model.n_carried"}
    assert searched["bp"] == common | {"model.n_radial", "model.n_hidden"}
    assert searched["heisenberg"] == common | {"model.n_sensitivities"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+tune.space.model.n_featurs=[1,2]", "'model.n_featurs'; did you mean 'n_features'"),
        ("+tune.space.optimizer.momentum=[0.9]", "no setting 'optimizer.momentum'"),
        ("tune.space.model.cutoff=3", "expected a list of values"),
        ("+tune.space.model.l_max={low:3,hgh:4}", "expected a list of values"),
        ("tune.space.model.cutoff={low:4,high:3}", "numbers low < high"),
        ("tune.space.optimizer.lr={low:0,high:3,log:true}", "log=true also needs low > 0"),
        ("tune.space=null", "tune.space"),
        ("tune.n_trials=0", "tune.n_trials=0: expected a number of trials"),
        ("trainer=ddp", "one process"),
    ],
)
def test_mistakes_in_the_space_are_told_in_one_line(tmp_path, override, message):
    cfg = compose_config("train", ["experiment=tune", "data=sd_tiny", f"output_root={tmp_path}", override])
    with pytest.raises(ConfigError) as caught:
        command.run(cfg)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_line_takes_settings_out_changes_and_adds_them():
    given = "tune.space.model.cutoff=null tune.space.optimizer.lr.high=1e-2 +tune.space.model.l_max=[1,2]"
    settings = {s.key: s for s in search_space(compose_config("train", ["experiment=tune", *given.split()]))}
    assert "model.cutoff" not in settings
    assert settings["optimizer.lr"] == Setting("optimizer.lr", low=1e-3, high=1e-2, log=True)
    assert settings["model.l_max"].choices == (1, 2)


def test_numbers_are_drawn_as_the_range_says():
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(sampler=sampler)
    ranges = {"a": {"low": 1, "high": 3}, "b": {"low": 2.5, "high": 3.0, "step": 0.25}, "c": [True, None, "x"],
              "d": {"low": 1e-4, "high": 1.0, "log": True}}  # fmt: skip
    drawn = [[Setting.of(key, node).draw(trial) for key, node in ranges.items()]
             for trial in (study.ask() for _ in range(200))]  # fmt: skip
    a, b, c, d = zip(*drawn, strict=True)
    assert set(a) == {1, 2, 3}
    assert all(type(value) is int for value in a)
    assert set(b) == {2.5, 2.75, 3.0}
    assert set(c) == {True, None, "x"}
    assert 70 < sum(value < 1e-2 for value in d) < 130


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"mhipnn\[hpo\]"):
        command.run(compose_config("train", ["experiment=tune"]))


def test_no_study_no_keys_of_a_study():
    assert "tune" not in compose_config("train")
    with pytest.raises(ConfigCompositionException):
        compose_config("train", ["tune.n_trials=3"])
    assert (conf_dir() / "experiment" / "tune.yaml").is_file()


def test_the_figure_shows_one_panel_a_setting_and_the_best_so_far():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    settings = [Setting("x", low=0.0, high=1.0), Setting("y", choices=("a", "b"))]
    for value in (0.5, 0.2, None, 0.9):
        trial = study.ask()
        for setting in settings:
            setting.draw(trial)
        trial.report(0.1 if value is None else value, 0)
        study.tell(trial, value, state=None if value is not None else optuna.trial.TrialState.PRUNED)
    figure = report.draw(study.get_trials(), settings)
    assert [ax.get_xlabel() for ax in figure.axes] == ["trial", "x", "y"]
    step, complete, stopped = figure.axes[0].lines[:3]
    assert list(step.get_ydata()) == [0.5, 0.5, 0.5, 0.9]
    assert list(complete.get_ydata()) == [0.5, 0.2, 0.9]
    assert list(stopped.get_ydata()) == [0.1]
