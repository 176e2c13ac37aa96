"""The pages that a newcomer sees, of the commands as they ship."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

from mhipnn import registry
from mhipnn.config import compose_config, conf_dir

COMMANDS = {
    "train": ("model", "data", "loss", "optimizer", "scheduler", "trainer", "callbacks", "logger", "dynamics")
    + ("launcher",),
    "generate": ("data", "launcher"),
    "evaluate": ("dynamics",),
    "simulate": ("system", "potential", "dynamics", "audit"),
    "analyze": ("potential",),
    "ensemble": ("model", "data", "loss", "optimizer", "scheduler", "trainer", "callbacks", "logger", "launcher"),
    "active": ("model", "data", "loss", "optimizer", "scheduler", "trainer", "dynamics", "launcher"),
}


def command(name, *args, cwd):
    return subprocess.run(
        [sys.executable, "-m", f"mhipnn.{name}", *args], cwd=cwd, capture_output=True, text=True, timeout=60
    )


HELP = """
import importlib, json, sys
from contextlib import redirect_stdout
from io import StringIO

pages = {}
for name in sys.argv[1:]:
    sys.argv = [f"mhipnn-{name}", "--help"]
    with redirect_stdout(StringIO()) as page:
        try:
            importlib.import_module(f"mhipnn.{name}").main()
        except SystemExit as stop:
            assert not stop.code
    heavy = {"torch", "lightning", "wandb", "torch_geometric", "matplotlib", "scipy"} & set(sys.modules)
    assert not heavy, (name, heavy)
    pages[name] = page.getvalue()
print(json.dumps(pages))
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The seven pages, from a process of their own in an empty folder that stays empty."""
    empty = tmp_path_factory.mktemp("empty")
    call = [sys.executable, "-c", HELP, *COMMANDS]
    done = subprocess.run(call, cwd=empty, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(empty.iterdir())
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does_with_groups_and_three_examples(name, pages):
    assert pages[name].startswith(f"mhipnn.{name}: ")
    assert pages[name].count(f"python -m mhipnn.{name} ") == 3
    assert "--info plugins" in pages[name]
    for group in COMMANDS[name]:
        line = next(line for line in pages[name].splitlines() if line.startswith(f"{group}: "))
        choices = {path.stem for path in (conf_dir() / group).glob("*.yaml")}
        choices |= {entry.name for entry in registry.entries() if registry.GROUPS[entry.kind] == group and entry.config}
        assert choices
        assert choices <= {choice.strip() for choice in line.partition(":")[2].split(",")}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_of_the_help_composes(name, pages):
    for line in pages[name].splitlines():
        _, found, example = line.partition(f"python -m mhipnn.{name} ")
        if found:
            compose_config(name, [part.partition(",")[0] for part in example.split() if part != "-m"])


@pytest.mark.parametrize("name", COMMANDS)
def test_run_is_importable(name):
    module = importlib.import_module(f"mhipnn.{name}")
    assert callable(module.run)


def test_info_plugins_lists_every_name_with_its_package(tmp_path):
    done = command("train", "--info", "plugins", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for entry in registry.entries():
        assert entry.name in done.stdout
        assert entry.kind in done.stdout
    assert "mhipnn" in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_console_script_is_the_module(tmp_path):
    script = os.path.join(os.path.dirname(sys.executable), "mhipnn-evaluate")
    done = subprocess.run([script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "error: checkpoint is not set: add checkpoint=... to the command line\n"
