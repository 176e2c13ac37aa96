"""Values that mean nothing in physics, given to the commands as they ship: one line, exit code 1."""

from __future__ import annotations

import sys
import zipfile

import pytest
import torch

from mhipnn import active, generate, simulate


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(command, *args):
        monkeypatch.setattr(sys, "argv", ["mhipnn", *args])
        with pytest.raises(SystemExit) as stop:
            command.main()
        err = capsys.readouterr().err
        assert stop.value.code == 1
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return run


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.potential.filling=3", "filling"),
        ("data.potential.filling=-0.1", "filling"),
        ("data.potential.temperature=-1", "temperature"),
        ("data.potential.temperature=nan", "temperature"),
        ("data.structure.r_min=2", "r_min"),
        ("data.structure.n_sites=0", "n_sites"),
        ("data.structure.dimension=4", "dimension"),
        ("data.splits.train=0", "train"),
        ("data.splits.val=-1", "val"),
        ("data.samplers={random:null,quench:null}", "sampler"),
        ("data.potential.filing=1", "unknown key 'data.potential.filing': did you mean 'data.potential.filling'"),
        ("data=sd_tny", "did you mean 'sd_tiny'"),
        ("data.root=/dev/null/labels", "/dev/null/labels"),
        ("output_root=/dev/null/x", "/dev/null/x"),
    ],
)
def test_generate_refuses(call, override, says):
    data = [] if override.startswith("data=") else ["data=sd_tiny"]
    assert says in call(generate, *data, override)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("potential.filling=3", "filling"),
        ("dynamics.temperature=-1", "temperature"),
        ("dynamics.time_step=0", "time_step"),
        ("system.r_min=2", "r_min"),
        ("replicas=0", "replicas"),
        ("dynamics/integrator=huen", "did you mean 'heun'"),
        ("potential=learned", "checkpoint"),
    ],
)
def test_simulate_refuses(call, override, says):
    assert says in call(simulate, "system.n_sites=16", "dynamics.duration=0.4", override)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("start=0", "start=0: expected a whole number >= 1"),
        ("members=1", "members=1: acquisition 'committee' of arm 'active' compares 2 networks"),
        ("labels_per_round=65", "labels_per_round=65: the pool of a round gives 64 at most"),
        ("per_realisation=two", "per_realisation=two: expected a number"),
        ("arms.active.acquisition=comittee", "did you mean 'committee'"),
        ("arms.active.states=quensh", "did you mean 'quench'"),
        ("pool.times=[100]", "pool.times"),
        ("pool.replica=2", "did you mean 'pool.replicas'"),
        ("trainer.devices=2", "trainer.devices=1"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0"),
        ("dynamics.temperature=-1", "temperature"),
        ("data.potential.filling=3", "filling"),
        ("output_root=/dev/null/x", "/dev/null/x"),
    ],
)
def test_active_refuses(call, override, says):
    assert says in call(active, "data=sd_tiny", "trainer.accelerator=cpu", override)


def test_active_refuses_labels_that_cannot_be_extended(call, tmp_path):
    (tmp_path / "labels.npz").touch()
    assert "an exact potential, such as data=sd_tiny" in call(active, "data=files", "data.path=labels.npz")


@pytest.mark.parametrize("kind", ["missing", "truncated", "foreign", "other version", "import path"])
def test_simulate_refuses_checkpoints(call, tmp_path, kind):
    path = tmp_path / "best.ckpt"
    record = {"model": "mhip", "arguments": {}, "dtype": "float32", "metadata": {}, "format": 1, "version": "0.1.0"}
    if kind == "truncated":
        torch.save({"mhipnn": record}, path)
        path.write_bytes(path.read_bytes()[:200])
    elif kind == "foreign":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("hello", "world")
    elif kind == "other version":
        torch.save({"mhipnn": record | {"format": 99, "version": "9.0"}}, path)
    elif kind == "import path":
        torch.save({"mhipnn": record | {"model": "os.path.join"}}, path)
    err = call(simulate, "system.n_sites=16", "potential=learned", f"checkpoint={path}")
    assert str(path) in err
    assert {"other version": "9.0", "import path": "os.path.join"}.get(kind, "checkpoint") in err


def test_an_argument_that_is_not_listed_wants_a_plus(call):
    says = call(generate, "data=sd_tiny", "data.potential.solver=kpm")
    assert "'data.potential.solver' is not listed in the configuration but is an argument" in says
    assert "write +data.potential.solver=..." in says
    assert "unknown key 'data.potential.slover'" in call(generate, "data=sd_tiny", "data.potential.slover=kpm")
