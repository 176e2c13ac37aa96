"""The two sweep files name settings that exist, with values that compose."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from mhipnn.config import compose_config, conf_dir

WANDB_SWEEP = Path(__file__).parents[2] / "tools" / "wandb_sweep.yaml"


def wandb_values(parameter):
    """The ends of what the sweep may choose."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter.get("values") or [parameter["min"], parameter["max"]]


def test_the_hydra_sweep():
    params = yaml.safe_load((conf_dir() / "experiment" / "sweep.yaml").read_text())["hydra"]["sweeper"]["params"]
    assert set(params) == {"model.n_features", "optimizer.lr"}
    for values in itertools.product(*(str(value).split(",") for value in params.values())):
        overrides = [f"{key}={value}" for key, value in zip(params, values, strict=True)]
        cfg = compose_config("train", ["experiment=sweep", *overrides])
        assert cfg.optimizer.lr == float(values[1])


def test_the_wandb_sweep():
    sweep = yaml.safe_load(WANDB_SWEEP.read_text())
    assert sweep["program"] == "mhipnn.train"
    assert sweep["command"][-3:] == ["-m", "${program}", "${args_no_hyphens}"]
    for pick in (0, -1):
        values = {key: wandb_values(parameter)[pick] for key, parameter in sweep["parameters"].items()}
        cfg = compose_config("train", [f"{key}={value}" for key, value in values.items()])
        for key, value in values.items():
            if "." in key:
                assert OmegaConf.select(cfg, key) == pytest.approx(value)


def test_wandb_itself_writes_these_overrides():
    launch = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    sweep = yaml.safe_load(WANDB_SWEEP.read_text())
    args = {key: {"value": wandb_values(parameter)[0]} for key, parameter in sweep["parameters"].items()}
    overrides = launch.create_sweep_command_args({"args": args})["args_no_hyphens"]
    assert "model=mhip" in overrides
    compose_config("train", overrides)
