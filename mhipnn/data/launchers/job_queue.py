"""Workers that are jobs of a cluster's queue (Slurm, PBS), by dask-jobqueue."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, ClassVar

from ...errors import ConfigError
from .base import J, R, checked_workers, require_extra
from .dask_jobs import WORKER_THREADS, quiet, run_on

log = logging.getLogger(__name__)


class JobQueue:
    """Jobs of one node each, with one worker on every core; this process gives out the work and writes the labels.

    The command runs where jobs are submitted, and stays there until the labels are made. Workers come as the queue
    lets them in; one that reaches its walltime, or dies, is asked for again, and what it had in hand is done elsewhere.

    Args:
        n_workers: workers in all, one a core; the jobs that hold them are ``n_workers / cores``.
        cores: of one job.
        memory: of one job, in words ("16GB").
        walltime: of one job, "HH:MM:SS"; a realisation must fit into it.
        partition: or queue; None for the cluster's default.
        account: to charge; None for the user's default.
        directives: more lines for the head of the job's script, without their ``#SBATCH``.
        prologue: shell lines before the worker starts (modules, an environment).
        interface: network interface that nodes reach this process by ("ib0"); None to let Dask choose.
        log_directory: for what jobs print; None for the queue's default.

    Raises:
        ConfigError: dask-jobqueue is not installed, or refuses a value.
        DatasetError: ``n_workers`` or ``cores`` is not an integer >= 1.
    """

    name: ClassVar[str]
    cluster: ClassVar[str]  # of dask_jobqueue
    submit: ClassVar[str]
    patience = 10.0  # seconds between looks at which jobs still have workers
    silence = 600.0  # seconds without a first worker, after which a line asks the user to look

    def __init__(
        self,
        n_workers: int,
        cores: int,
        memory: str,
        walltime: str,
        partition: str | None = None,
        account: str | None = None,
        directives: Sequence[str] = (),
        prologue: Sequence[str] = (),
        interface: str | None = None,
        log_directory: str | None = None,
    ) -> None:
        require_extra(self.name, "distributed", "dask_jobqueue")
        self.n_workers = checked_workers(n_workers)
        self.cores = checked_workers(cores, name="cores")
        _check_memory(self.name, memory)
        self.settings = {
            "queue": partition,
            "account": account,
            "walltime": walltime,
            "memory": memory,
            "cores": cores,
            "processes": cores,
            "job_name": "mhipnn-labels",
            "job_extra_directives": list(directives),
            "job_script_prologue": [f"export {key}={value}" for key, value in WORKER_THREADS.items()] + list(prologue),
            "interface": interface,
            "log_directory": log_directory,
        }

    def job_script(self) -> str:
        """What is submitted, but for the worker's name and the address that it reports to."""
        with self._open() as cluster:
            return cluster.job_script()

    def run(self, function: Callable[[J], R], jobs: Sequence[J]) -> Generator[tuple[J, R], None, None]:
        """See :meth:`Launcher.run`."""
        if shutil.which(self.submit) is None:
            raise ConfigError(
                f"launcher={self.name}: no command {self.submit!r} here; run this where jobs are submitted, "
                "or take launcher=processes"
            )
        n = min(self.n_workers, len(jobs))
        with self._open() as cluster:
            try:
                cluster.sync(_submit, cluster, math.ceil(n / self.cores))
            except RuntimeError as error:
                raise ConfigError(f"launcher={self.name}: {self.submit} refuses: {_last_line(error)}") from error
            with self._replacing(cluster):
                yield from run_on(cluster, function, jobs)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        with quiet():
            cluster_class = getattr(import_module("dask_jobqueue"), self.cluster)
            try:
                cluster = cluster_class(
                    **self.settings, scheduler_options={"dashboard": False, "dashboard_address": ":0"}
                )
            except (ValueError, TypeError) as error:
                raise ConfigError(f"launcher={self.name}: {' '.join(str(error).split())}") from error
            with cluster:
                yield cluster

    @contextmanager
    def _replacing(self, cluster: Any) -> Iterator[None]:
        """Submit another job for each that ends; `cluster.adapt` does not notice where a job holds several workers."""

        async def start() -> asyncio.Task[None]:
            looks = max(1, round(self.silence / self.patience))
            return asyncio.create_task(_replace(cluster, self.patience, looks, self.no_worker_yet()))

        task = cluster.sync(start)
        try:
            yield
        finally:
            cluster.loop.add_callback(task.cancel)

    def no_worker_yet(self) -> str:
        """What is said after `silence` seconds; waiting jobs and those that fail at once look the same from here."""
        where = self.settings["log_directory"] or "where the queue puts it, or in launcher.log_directory=FOLDER"
        return (
            f"launcher={self.name}: no worker has come yet. If jobs named mhipnn-labels have begun, they fail at once: "
            f"see what they print ({where}); if not, they still wait in the queue"
        )


class Slurm(JobQueue):
    """`JobQueue` of Slurm."""

    name, cluster, submit = "slurm", "SLURMCluster", "sbatch"


class PBS(JobQueue):
    """`JobQueue` of PBS."""

    name, cluster, submit = "pbs", "PBSCluster", "qsub"


async def _replace(cluster: Any, patience: float, looks: int, no_worker_yet: str) -> None:
    """A job whose workers came and are gone, at two looks in a row, has ended: forget it and submit another.

    One that fails before its first worker looks like one that waits in the queue; only a person can tell.
    """
    came: set[str] = set()
    gone: set[str] = set()
    seen = False  # a worker, of any job
    while True:
        await asyncio.sleep(patience)
        looks -= 1
        seen = seen or bool(cluster.scheduler.workers)
        if looks == 0 and not seen:
            log.warning(no_worker_yet)
        workers = [str(worker.name) for worker in cluster.scheduler.workers.values()]
        here = {job for job in cluster.workers if any(name == job or name.startswith(f"{job}-") for name in workers)}
        came |= here
        ended = (set(cluster.workers) & came & gone) - here
        gone = came - here
        for job in ended:
            cluster.worker_spec.update(cluster.new_worker_spec())  # first, so that it gets a name of its own
            cluster.worker_spec.pop(job, None)
        came -= ended
        if ended:
            log.warning("jobs of the queue that ended before the labels were made are replaced: %d", len(ended))
            with suppress(RuntimeError):  # refused: the other jobs go on
                await cluster._correct_state()


def _check_memory(launcher: str, memory: str) -> None:
    from dask.utils import parse_bytes

    try:
        parse_bytes(memory)
    except ValueError as error:
        raise ConfigError(f"launcher={launcher}: memory={memory!r} is not an amount; write '16GB'") from error


async def _submit(cluster: Any, n_jobs: int) -> None:
    """Put the first jobs into the queue; `cluster.scale` does so later, and loses what that raises."""
    from distributed import Status

    for _ in range(n_jobs):
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        await cluster._correct_state()
    except RuntimeError:
        for job in cluster.workers.values():
            if job.status == Status.created:
                job.status = Status.failed  # else the cluster cannot be closed
        raise


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
