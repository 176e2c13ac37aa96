"""Imports run one way through the package; importing it changes nothing outside it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mhipnn

PACKAGE = Path(mhipnn.__file__).parent
# Left to right: a module may import from its own column and from those left of it.
COLUMNS = (
    ("errors", "threads", "atomic", "compilation"),
    ("configuration", "potential", "keys", "builtins", "registry", "explain", "config", "vocabulary") + ("run_folder",),
    ("structures",),
    ("electrons",),
    ("data",),
    ("nn",),
    ("dynamics",),
    ("analysis",),
    ("training",),
    ("testing",),
    ("train", "generate", "evaluate", "simulate", "analyze", "active", "ensemble"),
)
RANK = {name: rank for rank, column in enumerate(COLUMNS) for name in column}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


def imported_columns(path: Path, source: str | None = None) -> list[tuple[int, str]]:
    """(line, first name below mhipnn) of every import of the package, wherever in the file it stands."""
    relative = path.relative_to(PACKAGE)
    package = ("mhipnn", *relative.parent.parts)
    found = []
    for node in ast.walk(ast.parse(path.read_text() if source is None else source)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *([node.module] if node.module else [])))
            targets = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [(node.lineno, t.split(".")[1]) for t in targets if t.startswith("mhipnn.")]
    return found


def violations(path: Path, source: str | None = None) -> list[str]:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in RANK, f"{own} has no place in the map: add it to COLUMNS and to the design"
    return [
        f"{path.relative_to(PACKAGE)}:{line} imports {name}, which is to the right of {own}"
        for line, name in imported_columns(path, source)
        if name in RANK and RANK[name] > RANK[own]
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    assert not violations(path)


@pytest.mark.parametrize(
    "line",
    [
        "from ..training import task",
        "from mhipnn.training.task import Task",
        "import mhipnn.training.task",
        "from .. import training",
        "def f():\n    from ..training.task import Task",
        "if TYPE_CHECKING:\n    from ..training import task",
    ],
)
def test_the_walk_sees_every_way_to_import(line):
    assert violations(PACKAGE / "electrons" / "exact.py", line)
    assert not violations(PACKAGE / "training" / "task.py", line)


def test_importing_changes_no_global_state():
    """No torch with the bare package; with every module, nothing of what users set is different."""
    code = """
import sys, warnings
import mhipnn
assert not {"torch", "lightning", "hydra", "numpy"} & set(sys.modules), "import mhipnn is not light"
import locale, os, logging, random, numpy, torch, matplotlib

def state():
    return (
        torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().sum().item(),
        torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(),
        str(numpy.random.get_state()[1][:8]), str(numpy.geterr()), random.getstate()[1][:4],
        os.getcwd(), sorted(os.environ.items()), logging.getLogger().level, len(logging.getLogger().handlers),
        matplotlib.rcParams["figure.dpi"], locale.setlocale(locale.LC_ALL), warnings.showwarning,
    )

with warnings.catch_warnings():
    import lightning, torch_geometric, hydra
    filters = list(warnings.filters)
    before = state()
    import importlib, pkgutil
    for module in pkgutil.walk_packages(mhipnn.__path__, "mhipnn."):
        importlib.import_module(module.name)
    assert state() == before, [pair for pair in zip(before, state()) if pair[0] != pair[1]]
    added = [f for f in warnings.filters if f not in filters]
    assert not any("mhipnn" in str(f) for f in added), added
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
