"""The members of an ensemble trained side by side, each in a process and a run folder of its own."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import torch
from omegaconf import DictConfig

from ...data.pool import available_cpus
from ...errors import UserError
from ..children import Child
from .member import EPOCH
from .settings import Settings, member_config, member_folder

Report = Callable[[float], None]
"""Called with the share of one training that has been done since the last call."""


def train_members(
    cfg: DictConfig, settings: Settings, folder: Path, device: torch.device, report: Report = lambda done: None
) -> list[Path]:
    """Train the members that are not finished, each of them on from where it stopped.

    Args:
        cfg: of the ensemble.
        settings: of it, checked.
        folder: of the ensemble; a member is finished when its run folder has its metrics.json.
        device: where they run.
        report: see `Report`.

    Returns:
        Their checkpoints.

    Raises:
        UserError: what the training of a member was refused, or a number that is not finite, with the member's number.
        RuntimeError: a member died. In either case the others end as well, and go on at the next call.
    """
    folders = [member_folder(folder, number) for number in range(settings.members)]
    missing = [number for number, path in enumerate(folders) if not (path / "metrics.json").is_file()]
    report(float(settings.members - len(missing)))
    if missing:
        jobs = [(number, member_config(cfg, settings, number, folder)) for number in missing]
        n_slots = min(settings.side_by_side or _default_slots(device), len(jobs))
        _Trainings(jobs, _environments(n_slots, device, cfg.trainer.devices), report).run()
    return [path / "checkpoints" / "best.ckpt" for path in folders]


class _Trainings:
    """Jobs for a few slots: each slot takes the next one until none is left."""

    def __init__(
        self, jobs: Sequence[tuple[int, DictConfig]], environments: Sequence[Mapping[str, str]], report: Report
    ) -> None:
        self._jobs, self._environments, self._report = deque(jobs), environments, report
        self._children: list[Child] = []
        self._lock = threading.Lock()

    def run(self) -> None:
        with ThreadPoolExecutor(len(self._environments)) as threads:
            slots = [threads.submit(self._work, environment) for environment in self._environments]
            try:
                for slot in as_completed(slots):
                    slot.result()
            except BaseException:  # Ctrl-C, or one that failed
                with self._lock:
                    self._jobs.clear()
                    for child in self._children:
                        child.kill()
                raise

    def _work(self, environment: Mapping[str, str]) -> None:
        while (started := self._start(environment)) is not None:
            number, cfg, child = started
            try:
                self._follow(child, int(cfg.trainer.max_epochs))
            except UserError as error:
                raise type(error)(f"member {number}: {error}") from error
            finally:
                child.end()

    def _start(self, environment: Mapping[str, str]) -> tuple[int, DictConfig, Child] | None:
        with self._lock:
            if not self._jobs:
                return None
            number, cfg = self._jobs.popleft()
            child = Child("mhipnn.training.ensemble.member", f"the training of member {number}", cfg, environment)
            self._children.append(child)
        return number, cfg, child

    def _follow(self, child: Child, epochs: int) -> None:
        """Wait for the end of a training; epochs that an earlier call trained, or that it stops short of, count too."""
        done, last = 0.0, ""
        while told := child.told():
            last = "" if told == EPOCH else told
            if told == EPOCH and epochs > 0 and done < 1:
                self._report(1 / epochs)
                done += 1 / epochs
        child.wait(last)
        self._report(1 - done)


def _default_slots(device: torch.device) -> int:
    """One a GPU, whose memory is hard to share, or one a core: several trainings of one thread beat one of several."""
    return torch.cuda.device_count() if device.type == "cuda" else available_cpus()


def _environments(n_slots: int, device: torch.device, devices: object) -> list[dict[str, str]]:
    """The variables of the processes of each slot: its share of the cores, and its GPU if any may be taken."""
    shared = {"OMP_NUM_THREADS": str(max(1, available_cpus() // n_slots)), **os.environ}
    if device.type != "cuda" or devices != 1:
        return [shared] * n_slots
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = given.split(",") if given else [str(number) for number in range(torch.cuda.device_count())]
    return [shared | {"CUDA_VISIBLE_DEVICES": cards[slot % len(cards)]} for slot in range(n_slots)]
