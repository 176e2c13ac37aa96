"""A small configuration tree for tests of the command line, independent of the one that ships."""

from __future__ import annotations

import gc
import os
import shutil

import pytest

from mhipnn import config

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: workers share the cores
# What torch and lightning import is walked through again and again: a tenth of the time.
gc.set_threshold(20_000, 20, 20)

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


# Files that start processes, train or let Triton interpret, the longest first: two workers then end together.
LONG = [
    "test_training_commands.py",
    "test_training_ensemble.py",
    "test_data_labelling.py",
    "test_nn_gpu_message.py",
    "test_training_ddp.py",
    "test_training_tuning.py",
    "test_docs.py",
    "test_cli_simulate.py",
    "test_training_active.py",
    "test_cli_bad_values.py",
    "test_data_launchers.py",
    "test_tools_benchmark_accuracy.py",
    "test_model_contract.py",
    "test_nn_compiled_tensors.py",
    "test_nn_kernels.py",
    "test_analysis_analyze.py",
    "test_electrons_kpm.py",
    "test_data_tracks.py",
]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


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


@pytest.fixture(scope="module")
def plain_figures():
    """Figures are drawn and written, but their parts are not moved apart: half of the time of a short run's report.

    For tests of whole runs. How figures look is tested in tests/analysis, and runs in other processes lay theirs out.
    """
    from matplotlib.figure import Figure

    save = Figure.savefig

    def without_layout(self, *args, **kwargs):
        self.set_layout_engine("none")
        save(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", without_layout)
        yield
