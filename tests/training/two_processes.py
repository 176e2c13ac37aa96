"""What the second process of a test runs; it imports nothing of pytest's, whose `conftest` may be another there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback
from torch.utils.data import DataLoader

from mhipnn.config import compose_config
from mhipnn.configuration import SpinConfiguration
from mhipnn.data.batching import join
from mhipnn.data.graph import SpinGraph, spin_graph
from mhipnn.data.statistics import Statistics
from mhipnn.errors import NonFiniteError
from mhipnn.nn.checkpoint import CheckpointRecord
from mhipnn.nn.mhip import MHIP
from mhipnn.structures import random_sites
from mhipnn.training.task import SpinTask

SHARES = [[9, 14], [25]]  # sites of the graphs of each process: other numbers of sites, and of graphs
TERMS = ("torque", "field", "energy", "forces", "hierarchicality")


def ragged(sizes: list[int]) -> list[SpinGraph]:
    graphs = []
    for n in sizes:
        rng = np.random.default_rng(n)
        config: SpinConfiguration = random_sites(n, 2, rng=n)
        config = config.with_spins(np.where(np.arange(n)[:, None] < n // 5, 0, config.spins))  # some carry no spin
        field, forces = rng.normal(size=(2, n, 3))
        labels = {"energy": rng.normal() * n, "field": field, "forces": forces, "realisation": n}
        graphs.append(spin_graph(config, 2.2, dtype=torch.float64, **labels))
    return graphs


class Step(Callback):
    """The gradient that the optimiser is given, the weights that it makes of it, and what was logged."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        self.gradient = {name: p.grad.clone() for name, p in pl_module.named_parameters()}

    def on_train_end(self, trainer, pl_module) -> None:
        self.weights = {name: p.detach().clone() for name, p in pl_module.named_parameters()}
        self.logged = {name: float(value) for name, value in trainer.callback_metrics.items()}


def one_step(graphs: list[SpinGraph], choice: str, devices: int) -> dict[str, dict]:
    torch.manual_seed(1)  # the first weights are those of the first process, whatever the others start from
    settings = [f"trainer={choice}", f"trainer.devices={devices}", "trainer.accelerator=cpu", "trainer.max_epochs=1"]
    if choice == "ddp":
        settings.append("trainer.strategy.timeout.hours=0.02")  # should the other process never come
    cfg = compose_config("train", [f"loss=[{','.join(TERMS)}]", "loss.energy.weight=0.7", *settings])
    if os.environ.get("LOCAL_RANK", "0") == "0":
        torch.manual_seed(0)
    model = MHIP(2.2, n_features=6, n_sensitivities=5, n_onsite=1).in_precision(torch.float64)
    task = SpinTask(
        model,
        {name: instantiate(node) for name, node in cfg.loss.items()},
        Statistics(*np.linspace(0.5, 1.5, 12)),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        lambda optimizer, total_steps: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        CheckpointRecord("mhip", {}),
    )
    step = Step()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = instantiate(cfg.trainer, callbacks=[step], **quiet)
    trainer.fit(task, DataLoader([join(graphs)], batch_size=None))
    return {"gradient": step.gradient, "weights": step.weights, "logged": step.logged}


def world(rank: int, port: int) -> dict[str, str]:
    """What torchrun would say."""
    place = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in place.items()} | {"OMP_NUM_THREADS": "1"}


def second_of_two(port: int, file: Path) -> None:
    os.environ.update(world(1, port))
    torch.set_num_threads(1)
    torch.save(one_step(ragged(SHARES[1]), "ddp", 2), file)


class Fail(Callback):
    """One process fails in its second epoch, as long as ``flag`` is no file."""

    def __init__(self, rank: int, how: str, flag: str) -> None:
        self.rank, self.how, self.flag = rank, how, Path(flag)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if self.how == "killed alone" and trainer.global_rank == 0 and trainer.current_epoch == 1:
            time.sleep(120)  # busy with something else
        if trainer.current_epoch < 1 or trainer.global_rank != self.rank or self.flag.exists():
            return
        if self.how == "mistake":
            raise NonFiniteError("a field that is not finite")
        if self.how == "bug":
            raise ZeroDivisionError("a bug")
        os.kill(os.getpid(), signal.SIGINT if self.how == "interrupted" else signal.SIGKILL)
        time.sleep(60)
