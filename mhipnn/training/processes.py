"""Several processes that train one model: the first starts the others, or torchrun or srun did, and all end together.

The first leads: it owns the run's folder, the labels, the logger, the screen, the test and the report. The others
follow: they take their share of every batch, say nothing, and end when the fit does. A follower that the first starts
(`mhipnn.training.follower`) is given the configuration of this one run, so that sweeps and scripts work as with one
process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from torch import distributed

from ..data.pool import available_cpus
from ..errors import ConfigError
from .children import Child

READY = "ready"
_PATIENCE = 15.0  # seconds to learn who died after a connection was lost, or to lose it after somebody died
_GRACE = 30.0  # seconds to leave what has been interrupted
_CHANGED = ("MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS")  # by Lightning, in the environment of this process


class LocalProcesses(LightningEnvironment):
    """Processes of this machine that the first one starts; what tells them apart is in no variable of its own."""

    @property
    def creates_processes_externally(self) -> bool:
        return True  # not Lightning

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        if self._main_port == -1:
            self._main_port = find_free_network_port()
        return self._main_port

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return 0

    def teardown(self) -> None:
        pass


def environment() -> ClusterEnvironment | None:
    """Ours, or None for Lightning to find out, where torchrun, srun or a leader has started this process."""
    started = "LOCAL_RANK" in os.environ or any(e.detect() for e in (TorchElasticEnvironment, SLURMEnvironment))
    return None if started else LocalProcesses()


def follows(cfg: DictConfig) -> bool:
    """Whether this process is one of several that train together and not the first of them."""
    return isinstance(cfg.trainer.get("strategy"), DictConfig) and rank_zero_only.rank > 0  # type: ignore[attr-defined]


def shares(trainer: Trainer) -> bool:
    """Whether a trainer is one of several, or of as many as there turned out to be: perhaps of one."""
    return isinstance(trainer.strategy, ParallelStrategy)


@contextmanager
def together(trainer: Trainer, cfg: DictConfig) -> Iterator[None]:
    """Fit in this block, in the first process; nothing happens if it is the only one.

    Raises:
        UserError: whatever a follower was refused; KeyboardInterrupt if it was interrupted.
        RuntimeError: a follower died.
    """
    if not shares(trainer):
        yield
        return
    with _environment_kept():
        try:
            if isinstance(trainer.strategy.cluster_environment, LocalProcesses):  # type: ignore[attr-defined]
                with _Followers(trainer, cfg):
                    yield
            else:
                yield
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()


class _Followers:
    """The processes that this one started: waited for if the block ends, ended if it fails."""

    def __init__(self, trainer: Trainer, cfg: DictConfig) -> None:
        world = trainer.strategy.cluster_environment  # type: ignore[attr-defined]
        if trainer.num_nodes > 1:
            raise ConfigError("trainer.num_nodes: several machines need torchrun or srun to start the command on each")
        self._cfg = cfg
        self._variables = {
            "MASTER_ADDR": world.main_address,
            "MASTER_PORT": str(world.main_port),
            "WORLD_SIZE": str(trainer.world_size),
            "NODE_RANK": "0",
        }
        self._n = trainer.world_size
        self._followers: list[Follower] = []
        self._left = threading.Event()
        self._interrupted = False

    def __enter__(self) -> None:
        threads = {"OMP_NUM_THREADS": str(max(1, available_cpus() // self._n))}
        variables = threads | os.environ | self._variables
        try:
            self._followers += [Follower(rank, self._cfg, variables) for rank in range(1, self._n)]
            for follower in self._followers:
                follower.await_ready()
        except BaseException:
            self._end()
            raise
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._left.set()
        try:
            if error is None:
                distributed.destroy_process_group()  # of all at the same time: NCCL waits in it
                for follower in self._followers:
                    follower.wait()
            elif (self._interrupted or isinstance(error, RuntimeError)) and (
                cause := self._first_failure()
            ) is not None:
                raise cause from error
        finally:
            self._end()

    def _first_failure(self) -> BaseException | None:
        """Why the connection to a follower was lost, if it was; it may take a moment to end."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            for follower in self._followers:
                if follower.failed():
                    return follower.failure()
            time.sleep(0.05)
        return None

    def _watch(self) -> None:
        """Whatever this process is busy with when another one dies, it cannot go on.

        On a GPU it may be waiting for a collective that cannot end, nor be interrupted.
        """
        while not self._left.wait(1.0):
            dead = [follower for follower in self._followers if follower.failed()]
            if not dead or self._left.wait(_PATIENCE):
                continue
            self._interrupted = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # also wakes it from a sleep
            if not self._left.wait(_GRACE):
                print(f"error: {dead[0].failure()}", file=sys.stderr, flush=True)
                self._end()
                os._exit(1)

    def _end(self) -> None:
        for follower in self._followers:
            follower.end()


class Follower(Child):
    """One process of `mhipnn.training.follower`."""

    def __init__(self, rank: int, cfg: DictConfig, variables: Mapping[str, str]) -> None:
        name = f"process {rank} of this training"
        super().__init__("mhipnn.training.follower", name, cfg, {**variables, "LOCAL_RANK": str(rank)})

    def await_ready(self) -> None:
        """Return when it is about to join; a mistake found until then is raised here."""
        line = self.told()
        if line != READY:
            self._process.wait()
            raise self.failure(line)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Lightning divides the threads by the processes, and leaves variables; the test that follows is not divided."""
    before = {name: os.environ.get(name) for name in _CHANGED}
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
