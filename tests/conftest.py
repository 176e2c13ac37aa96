"""A small configuration tree for tests of the command line, independent of the one that ships."""

from __future__ import annotations

import os
import shutil

import pytest

from mhipnn import config

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: workers share the cores

FILES = {
    "train.yaml": """
defaults:
  - common
  - model: small
  - data: near
  - loss: [first]
  - dynamics: quench
  - _self_
  - optional experiment: null
seed: 0
resume: true
rate: 0.1
layers: [1, 2]
run_dir: null
""",
    "model/small.yaml": "n_features: 8\nlabel: some\nnested: {depth: 1}\n",
    "model/large.yaml": "n_features: 64\nextra: 1\n",
    "data/near.yaml": "root: ${output_root}/labels\n",
    "loss/first.yaml": "first: {weight: 1.0}\n",
    "loss/second.yaml": "second: {weight: 1.0}\n",
    "dynamics/quench.yaml": "defaults:\n  - integrator: euler\n  - _self_\ntime_step: 0.1\n",
    "dynamics/integrator/euler.yaml": "name: euler\n",
    "experiment/sweep.yaml": """# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      model.n_features: 1,2
""",
    "needs.yaml": "defaults: [common, _self_]\ncheckpoint: ???\n",
}


@pytest.fixture
def scratch_conf(tmp_path, monkeypatch):
    """`mhipnn.config` reads this tree: the shipped common.yaml, two models, one of everything else."""
    tree = tmp_path / "conf"
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(config.conf_dir() / "common.yaml", tree)
    monkeypatch.setattr(config, "conf_dir", lambda: tree)
    return tree
