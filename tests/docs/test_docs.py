"""What README, CONTRIBUTING and docs/ say is so: code runs, commands compose, links exist, names are all there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from mhipnn import registry
from mhipnn.config import compose_config, conf_dir
from mhipnn.nn.checkpoint import CheckpointRecord
from mhipnn.nn.mhip import MHIP

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {path: path.read_text(encoding="utf-8") for path in PAGES}
README = TEXT[ROOT / "README.md"]
CONTRIBUTING = TEXT[ROOT / "CONTRIBUTING.md"]
MAIN_JOB = "python -m pip install -e . && python -m mhipnn.train model=mhip data=sd_disorder"
TEST_JOB = "python -m pip install -e '.[dev]' && python -m pytest"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, tuple[str, ...]]]:
    """(name, arguments) of every call of a command, in code blocks and between backticks."""
    found = set()
    for text in TEXT.values():
        for name, rest in re.findall(r"python -m mhipnn\.(\w+)([^\n`|]*)", text):
            arguments = tuple(shlex.split(rest, comments=True))
            if not any(argument.startswith("--config-dir") for argument in arguments):  # its folder stands on the page
                found.add((name, arguments))
    return sorted(found)


def overrides(arguments: tuple[str, ...]) -> list[str]:
    """The settings among the arguments, the first value of each that a sweep runs over."""
    settings = [argument for argument in arguments if "=" in argument or argument.startswith("~")]
    chosen = []
    for setting, parsed in zip(settings, OverridesParser.create().parse_overrides(settings), strict=True):
        swept = "-m" in arguments and parsed.is_sweep_override()
        chosen.append(f"{parsed.key_or_group}={next(iter(parsed.sweep_string_iterator()))}" if swept else setting)
    return chosen


def headings(text: str) -> set[str]:
    """Anchors as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def checkpoint_here(tmp_path, monkeypatch):
    """An untrained network as best.ckpt in the working directory."""
    arguments = {"cutoff": 2.5, "n_features": 4, "n_sensitivities": 4}
    state = {f"model.{name}": value for name, value in MHIP(**arguments).state_dict().items()}
    record = CheckpointRecord("mhip", arguments)
    torch.save({"mhipnn": record.to_dict(), "state_dict": state}, tmp_path / "best.ckpt")
    monkeypatch.chdir(tmp_path)


def test_the_two_commands_stand_in_the_readme_as_they_are_run():
    lines = [line for block in blocks(README, "bash") for line in block.splitlines()]
    assert lines.count(MAIN_JOB) == 1
    assert lines.count(TEST_JOB) == 1
    script = (ROOT / ".ci" / "run").read_text()
    assert TEST_JOB in script.splitlines()
    tiny = re.search(r"python -m mhipnn\.train [^\n)]*", script)
    assert tiny is not None
    assert tiny[0] in lines


@pytest.mark.parametrize(("name", "arguments"), commands(), ids=lambda part: str(part))
def test_every_command_composes(name, arguments):
    assert {argument for argument in arguments if argument.startswith("-")} <= {"-m", "--help", "--info", "--cfg"}
    compose_config(name, overrides(arguments))


def test_the_walk_over_the_pages_finds_the_commands():
    assert ("train", ("model=mhip", "data=sd_disorder")) in commands()
    known = {"train", "generate", "evaluate", "simulate", "analyze", "active", "ensemble"}
    assert {name for name, _ in commands()} == known
    assert overrides(("-m", "model=mhip,heisenberg", "loss=[torque,energy]")) == ["model=mhip", "loss=[torque,energy]"]
    with pytest.raises(Exception, match="n_featurs"):
        compose_config("train", ["model.n_featurs=3"])


def test_the_python_of_the_readme_runs(checkpoint_here, one_thread, capsys):
    (block,) = blocks(README, "python")
    assert len(block.splitlines()) < 15
    small = block.replace("random_sites(100,", "random_sites(12,")
    assert small != block
    names: dict = {}
    exec(compile(small, "README.md", "exec"), names)
    assert names["now"].torque.shape == names["now"].forces.shape == (12, 3)
    assert names["trajectory"].times[-1] == 5.0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("page", ["data", "configuration", "energies"])
def test_the_python_of_the_pages_runs(page, tmp_path, monkeypatch, one_thread, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(TEXT[ROOT / "docs" / f"{page}.md"], "python")
    exec(compile(block, f"{page}.md", "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_and_figures_exist(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT[path]):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.is_file(), target
        if anchor:
            assert anchor in headings(linked.read_text(encoding="utf-8")), target


def test_every_registered_name_and_every_choice_is_in_the_docs():
    text = TEXT[ROOT / "docs" / "configuration.md"]
    for entry in registry.entries():
        if entry.package == "mhipnn":
            assert f"`{entry.name}`" in text, entry
    choices = [(path.parent.relative_to(conf_dir()).as_posix(), path.stem) for path in conf_dir().rglob("*/*.yaml")]
    choices += [(group, entry.name) for entry in registry.entries() if (group := registry.GROUPS[entry.kind])
                and entry.config and entry.package == "mhipnn"]  # fmt: skip
    for group, name in choices:
        row = next((line for line in text.splitlines() if line.startswith(f"| `{group}` | ")), "")
        assert f"`{name}`" in row, f"{group}={name}"


def test_every_track_and_every_option_of_the_model_is_in_the_docs():
    data, model = (TEXT[ROOT / "docs" / f"{page}.md"] for page in ("data", "model"))
    for path in (conf_dir() / "data").glob("*.yaml"):
        assert f"| `{path.stem}`" in data
    options = [str(key) for key in OmegaConf.load(conf_dir() / "model" / "mhip.yaml") if key != "_target_"]
    assert re.findall(r"^\| `(\w+)` \|", model.partition("| option |")[2].partition("\n\n")[0], re.M) == options


def test_the_map_names_every_module_and_package():
    page = CONTRIBUTING.partition("## Map")[2].partition("**Imports")[0]
    for path in (ROOT / "mhipnn").iterdir():
        if path.suffix == ".py" and path.name != "__init__.py":
            assert path.name in page
        elif (path / "__init__.py").is_file():
            assert f"  {path.name}/ " in page


CHECK_PLUGIN = """
import sys
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from mhipnn import SpinConfiguration, registry
from mhipnn.config import compose_config

mine = {(e.kind, e.name): e.package for e in registry.entries() if e.package != "mhipnn"}
assert set(mine.values()) == {"mhipnn-mine"} and len(mine) == 4, mine
cfg = compose_config("train", [
    "model=biquadratic", "data=sd_stretched", "loss=[torque_huber,energy]", "dynamics/integrator=midpoint",
    "model.n_sensitivities=5", "data.structure.n_sites=16", "data.structure.strain=0.2", "data.cutoff=2.5",
    "loss.torque_huber.weight=2",
])
assert cfg.model.n_sensitivities == 5 and instantiate(cfg.loss.torque_huber).weight == 2
data = instantiate(cfg.data)
sites = instantiate(data.definition.structure).sample(np.random.default_rng(0))
assert np.allclose(np.diag(sites.cell), [4.8, 4 / 1.2, 1])

class Free:
    device, dtype = torch.device("cpu"), torch.float64
    def prepare(self, configs):
        return self
    def __call__(self, spins):
        return torch.zeros(len(spins), dtype=spins.dtype), torch.zeros_like(spins)

spin = SpinConfiguration(np.zeros((1, 3)), np.eye(3), False, [[1.0, 0, 0]])
errors = []
for time_step in (0.1, 0.05):
    quench = instantiate(cfg.dynamics, duration=2, time_step=time_step, damping=0, temperature=0,
                         external_field=[0, 0, 1.0], record_every=1)
    end = quench.run(Free(), [spin], [0]).spins[-1, 0, 0]
    errors.append(abs(np.arctan2(end[1], end[0]) - 2.0))  # counter-clockwise by gamma B t
assert errors[0] < 0.01 and 3.5 < errors[0] / errors[1] < 4.5, errors
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests"]))  # the contract that the model inherits
"""


def test_the_plugin_of_contributing_works(tmp_path):
    """Its files as printed, with the metadata that an installation would leave, in a process of its own."""
    for block in [*blocks(CONTRIBUTING, "python"), *blocks(CONTRIBUTING, "toml")]:
        path = tmp_path / block.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(block)
    points = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["entry-points"]
    ((group, ((name, module),)),) = ((group, values.items()) for group, values in points.items())
    installed = tmp_path / "mhipnn_mine-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mhipnn-mine\nVersion: 0.1\n")
    (installed / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    env = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-c", CHECK_PLUGIN]
    done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
