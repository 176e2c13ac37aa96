"""A third-party model, really installed: listed, composed, and trained for one epoch by its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from environments import CHECKOUT, Environment, dependencies

TOY = Path(__file__).parents[1] / "plugin_toy"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    root = tmp_path_factory.mktemp("plugin")
    shutil.copytree(TOY, root / "source", ignore=shutil.ignore_patterns("__pycache__"))
    environment = Environment(root / "venv", [*dependencies(), str(CHECKOUT)])
    environment.install(root / "source")
    return environment


def test_the_plugin_is_listed_and_composes(environment, tmp_path):
    listed = environment.run("-m", "mhipnn.train", "--info", "plugins", cwd=tmp_path)
    row = next(line for line in listed.splitlines() if " toy " in line)
    assert "mhipnn-plugin-" in row
    page = environment.run("-m", "mhipnn.train", "--help", cwd=tmp_path)
    assert "toy" in next(line for line in page.splitlines() if line.startswith("model: "))
    job = environment.run("-m", "mhipnn.train", "--cfg", "job", "model=toy", "model.decay=2", cwd=tmp_path)
    assert "_target_: mhipnn_plugin_toy_model.Toy" in job
    assert "decay: 2" in job


@pytest.mark.slow
def test_one_epoch_of_somebody_elses_model(environment, tmp_path):
    environment.run("-m", "mhipnn.train", "model=toy", "data=sd_tiny", "trainer=tiny", cwd=tmp_path)
    metrics = list((tmp_path / "outputs" / "sd_tiny" / "toy").glob("*/metrics.json"))
    assert len(metrics) == 1
    assert json.loads(metrics[0].read_text())
    code = (
        "import sys; from mhipnn import load_potential; "
        "assert type(load_potential(sys.argv[1]).model).__name__ == 'Toy'"
    )
    environment.run("-c", code, str(metrics[0].parent / "checkpoints" / "best.ckpt"), cwd=tmp_path)
