"""Launchers: the same labels from all of them, workers that are lost, and what a queue is given."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from labelling_parts import ELECTRONS, SITES, contents, define, part, running, wait_for
from omegaconf import OmegaConf

from mhipnn.config import compose_config
from mhipnn.data import label_dataset
from mhipnn.data.launchers.configured import configured
from mhipnn.data.launchers.dask_local import DaskLocal
from mhipnn.data.launchers.job_queue import PBS, Slurm, _replace
from mhipnn.data.launchers.processes import Processes
from mhipnn.errors import ConfigError, DatasetError, InputError

QUEUE = {"n_workers": 8, "cores": 4, "memory": "6GB", "walltime": "01:30:00"}
EXACT = {"potential": ELECTRONS, "structure": dict(SITES, n_sites=12)}


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """The shards as one process makes them."""
    return contents(label_dataset(define(**EXACT), tmp_path_factory.mktemp("serial"), n_workers=1, progress=False))


def test_dask_on_two_workers_gives_the_serial_labels_bit_for_bit(tmp_path, serial):
    folder = label_dataset(define(**EXACT), tmp_path, progress=False, launcher=DaskLocal(2))
    assert contents(folder) == serial


def test_a_worker_killed_during_the_run_loses_and_duplicates_nothing(tmp_path, monkeypatch):
    """Each worker leaves its number and, at its second job, waits: long enough to be killed in the middle of it."""
    definition = define(samplers={"random": part("MortalSpins")}, size_split=None)
    serial = contents(label_dataset(definition, tmp_path / "serial", n_workers=1, progress=False))
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("MORTAL_SPINS", str(marks))
    seen = []
    launcher = DaskLocal(2)
    original = launcher.run

    def watched(function, jobs):
        for job, result in original(function, jobs):
            seen.extend((one.split, one.realisation) for one in job)
            yield job, result

    monkeypatch.setattr(launcher, "run", watched)
    folder = label_dataset(definition, tmp_path / "killed", progress=False, launcher=launcher)
    killed = [path for path in marks.iterdir() if path.suffix == ".killed"]
    assert len(killed) == 1
    assert int(killed[0].stem) != os.getpid()
    assert contents(folder) == serial
    assert sorted(seen) == sorted([("train", n) for n in range(10)] + [(s, n) for s in ("val", "test") for n in (0, 1)])


def test_errors_of_a_dask_worker_come_back_as_they_are(tmp_path):
    definition = define(samplers={"bad": part("RefusingSpins")}, size_split=None)
    with pytest.raises(InputError, match="these sites cannot be used"):
        label_dataset(definition, tmp_path, progress=False, launcher=DaskLocal(1))


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from mhipnn.data import DatasetDefinition, label_dataset
from mhipnn.data.launchers.dask_local import DaskLocal
if __name__ == "__main__":
    label_dataset(DatasetDefinition.from_json(sys.argv[1], "toy"), sys.argv[2], launcher=DaskLocal(2))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_ctrl_c_ends_dask_workers(tmp_path):
    definition = define(samplers={"random": part("SlowSpins")}, size_split=None)
    script, pids = tmp_path / "label.py", tmp_path / "pids"
    script.write_text(SCRIPT)
    pids.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), definition.to_json(), str(tmp_path / "data")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
        | {"SLOW_SPINS_PIDS": str(pids)},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: len(list(pids.iterdir())) == 2, "not two workers")
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, error = process.communicate(timeout=20)
        assert error.count("Traceback") <= 1
        assert "KeyboardInterrupt" in error
        workers = [int(path.name) for path in pids.iterdir()]
        wait_for(lambda: not any(map(running, workers)), "workers outlived their parent", 20)
    finally:
        process.kill()


def test_the_script_for_slurm():
    launcher = Slurm(**QUEUE, partition="long", account="spins", directives=["--constraint=icelake"],
                     prologue=["module load gcc"], interface=None, log_directory="logs")  # fmt: skip
    script = launcher.job_script()
    lines = script.splitlines()
    assert lines[0].startswith("#!")
    head = {line for line in lines if line.startswith("#SBATCH")}
    wanted = {"-J mhipnn-labels", "-p long", "-A spins", "-n 1", "--cpus-per-task=4", "--mem=6G", "-t 01:30:00"}
    assert {f"#SBATCH {line}" for line in wanted | {"--constraint=icelake"}} <= head
    (worker,) = [line for line in lines if "dask" in line and line.startswith(sys.executable)]
    assert "--nworkers 4" in worker
    assert "--nthreads 1" in worker
    before = lines[: lines.index(worker)]
    assert {"export OMP_NUM_THREADS=1", "export OPENBLAS_NUM_THREADS=1", "export MKL_NUM_THREADS=1"} <= set(before)
    assert "module load gcc" in before
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_script_for_pbs():
    script = PBS(**(QUEUE | {"memory": "8GiB"}), partition="long", account="spins").job_script()
    assert {"#PBS -q long", "#PBS -A spins", "#PBS -l select=1:ncpus=4:mem=8192MB", "#PBS -l walltime=01:30:00"} <= set(
        script.splitlines()
    )


SBATCH = """#!{python}
import subprocess, sys
job = subprocess.Popen(["bash", sys.argv[-1]], start_new_session=True, stdout=subprocess.DEVNULL,
                       stderr=open({log!r}, "a"))
print("Submitted batch job", job.pid)
with open({submitted!r}, "a") as file:
    print(job.pid, file=file)
"""
SCANCEL = """#!{python}
import os, signal, sys
os.killpg(int(sys.argv[-1]), signal.SIGTERM)
"""


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """Commands sbatch and scancel that start jobs at once on this machine; the file lists what was submitted."""
    commands, submitted = tmp_path / "commands", tmp_path / "submitted"
    commands.mkdir()
    for name, text in {"sbatch": SBATCH, "scancel": SCANCEL}.items():
        filled = text.format(python=sys.executable, submitted=str(submitted), log=str(tmp_path / "log"))
        (commands / name).write_text(filled)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, str(Path(__file__).parent)]))
    return submitted


@pytest.mark.slow
def test_a_job_of_the_queue_that_ends_early_is_replaced_and_the_labels_are_the_serial_ones(
    tmp_path, queue, monkeypatch, caplog
):
    definition = define(samplers={"random": part("MortalSpins", whole_job=True)}, size_split=None)
    serial = contents(label_dataset(definition, tmp_path / "serial", n_workers=1, progress=False))
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv("MORTAL_SPINS", str(marks))
    monkeypatch.setenv("TESTS_GROUP", str(os.getpgid(0)))
    launcher = Slurm(**(QUEUE | {"n_workers": 2, "cores": 2}))  # one job that holds both workers
    launcher.patience = 0.5
    folder = label_dataset(definition, tmp_path / "data", progress=False, launcher=launcher)
    assert contents(folder) == serial
    assert len(list(marks.glob("*.killed"))) == 1
    assert "ended before the labels were made are replaced: 1" in caplog.text
    jobs = [int(line) for line in queue.read_text().split()]
    assert len(jobs) == 2
    wait_for(lambda: not any(map(running, jobs)), "jobs outlived the run", 20)


def test_a_queue_that_refuses_or_is_not_there_is_one_error(tmp_path, queue, monkeypatch):
    launcher = Slurm(**(QUEUE | {"n_workers": 1, "cores": 1}))
    sbatch = tmp_path / "commands" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: long' >&2\nexit 1\n")
    with pytest.raises(ConfigError, match=r"launcher=slurm: sbatch refuses: .*invalid partition specified: long"):
        label_dataset(define(), tmp_path / "data", progress=False, launcher=launcher)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no command 'sbatch' here; run this where jobs are submitted"):
        label_dataset(define(), tmp_path / "data", progress=False, launcher=launcher)


@pytest.mark.parametrize("came", [False, True])
def test_jobs_without_a_first_worker_are_one_warning(caplog, came):
    """One that fails at its start might as well wait in the queue: nobody replaces it, the user is asked to look."""
    workers = {"tcp://1": SimpleNamespace(name="0-0")} if came else {}
    cluster = SimpleNamespace(workers={"0": None}, scheduler=SimpleNamespace(workers=workers))
    launcher = Slurm(**QUEUE, log_directory="logs")

    async def watch():
        await asyncio.wait_for(_replace(cluster, 0.01, 3, launcher.no_worker_yet()), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(watch())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (not came)
    assert came or ("launcher=slurm: no worker has come yet" in said[0] and "(logs)" in said[0])


@pytest.mark.parametrize("name", ["processes", "dask_local", "slurm", "pbs"])
def test_each_launcher_is_a_choice_of_the_command(name):
    cfg = compose_config("generate", [f"launcher={name}", "launcher.n_workers=3"])
    launcher = configured(cfg)
    assert type(launcher) is {"processes": Processes, "dask_local": DaskLocal, "slurm": Slurm, "pbs": PBS}[name]
    assert launcher.n_workers == 3


def test_workers_of_the_data_are_those_of_the_default():
    for command in ("generate", "train"):
        cfg = compose_config(command, ["data=sd_tiny"])
        launcher = configured(cfg)
        assert (type(launcher), launcher.n_workers) == (Processes, 1)
    assert configured(compose_config("generate", ["~launcher"])) is None


@pytest.mark.parametrize(
    ("launcher", "missing"),
    [("dask_local", "distributed"), ("slurm", "dask_jobqueue"), ("pbs", "dask_jobqueue")],
)
def test_a_missing_extra_says_what_to_install(launcher, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    needs = f"launcher={launcher} needs {missing.replace('_', '-')}: pip install 'mhipnn\\[cluster\\]'"
    with pytest.raises(ConfigError, match=needs):
        configured(compose_config("generate", [f"launcher={launcher}"]))


@pytest.mark.parametrize(
    ("node", "error", "message"),
    [
        ({"_target_": "mhipnn.data.launchers.processes.Processes", "n_workers": 0}, DatasetError, "or null for one"),
        (dict(QUEUE, _target_="mhipnn.data.launchers.job_queue.Slurm", cores=1.5), DatasetError, "cores must be"),
        (
            dict(QUEUE, _target_="mhipnn.data.launchers.job_queue.Slurm", memory="much"),
            ConfigError,
            "memory='much' is not",
        ),
        ({"_target_": "labelling_parts.NoSpins"}, ConfigError, "NoSpins has no run"),
    ],
)
def test_wrong_settings_are_one_error(node, error, message):
    with pytest.raises(error, match=message) as caught:
        configured(OmegaConf.create({"launcher": node})).job_script()
    assert "\n" not in str(caught.value)
