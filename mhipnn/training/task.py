"""One LightningModule for every model and every objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..data.graph import SpinGraph
from ..data.statistics import Statistics
from ..errors import ConfigError, NonFiniteError
from ..nn.checkpoint import CheckpointRecord
from ..nn.energy_model import EnergyModel, Prediction
from .loss import LossTerm, magnetic_sites, sites_per_graph, tangential
from .metrics import Accuracy
from .transfer import blocks_from_the_readout

SPLITS = ("val", "test", "size")
_OBSERVABLES = ("torque", "tangential", "energy")


class SpinTask(LightningModule):
    """Train an energy model on torques, energies, fields and forces; measure it in torques first.

    Args:
        model: the energy model, scaled by ``fit_scale``.
        losses: name -> term; the objective is the sum of weight x term.
        statistics: of the training split, which normalise the terms.
        optimizer: parameters -> optimiser.
        scheduler: (optimiser, total_steps=...) -> schedule stepped after every optimiser step.
        record: what a checkpoint needs to rebuild the model.
        layer_decay: learning rate of a block over that of the next, in (0, 1]: the last block has the optimiser's.
    """

    def __init__(
        self,
        model: EnergyModel,
        losses: Mapping[str, LossTerm],
        statistics: Statistics,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler],
        record: CheckpointRecord,
        layer_decay: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < layer_decay <= 1:
            raise ConfigError(f"layer_decay={layer_decay}: expected a number above 0 and at most 1")
        if not any(term.weight > 0 for term in losses.values()):
            raise ConfigError("loss: every term has weight 0; give at least one a positive weight")
        self.model = model
        self.losses = dict(losses)
        self.statistics = statistics
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.record = record
        self.layer_decay = layer_decay
        self.needs_forces = any(term.needs_forces and term.weight > 0 for term in losses.values())
        self._sums: Tensor | None = None  # of the terms of this epoch, and how many graphs they stand for
        # Not submodules: averaging and clipping would walk through them at every step.
        self._observables = (*_OBSERVABLES, "longitudinal") if model.spin_length else _OBSERVABLES
        self._metrics = {f"{split}_{name}": Accuracy() for split in SPLITS for name in self._observables}

    def training_step(self, graph: SpinGraph, batch_index: int) -> Tensor:
        prediction = self.model(graph, forces=self.needs_forces, differentiable=True)
        values = {name: term(prediction, graph, self.statistics) for name, term in self.losses.items()}
        n_graphs: int | Tensor = graph.num_graphs
        if self.trainer.world_size > 1:
            values, n_graphs = self._weigh(values, graph)
        loss = torch.stack([self.losses[name].weight * value for name, value in values.items()]).sum()
        if not torch.isfinite(loss):
            self._raise_non_finite("train", prediction, graph, batch_index)
        self._remember(values | {"loss": loss}, n_graphs)
        return loss

    def validation_step(self, graph: SpinGraph, batch_index: int) -> None:
        self._measure("val", graph, batch_index)

    def test_step(self, graph: SpinGraph, batch_index: int, dataloader_idx: int = 0) -> None:
        self._measure(("test", "size")[dataloader_idx], graph, batch_index)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self._collect("val"), prog_bar=False, sync_dist=True)  # equal in all processes already

    def on_test_epoch_end(self) -> None:
        for split in ("test", "size"):
            if self._accuracy(split)["torque"].update_called:
                self.log_dict(self._collect(split))

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer()
        scheduler = self.make_scheduler(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _make_optimizer(self) -> Optimizer:
        if self.layer_decay == 1:
            return self.make_optimizer(self.model.parameters())
        optimizer = self.make_optimizer([{"params": block} for block in blocks_from_the_readout(self.model)])
        for distance, group in enumerate(optimizer.param_groups):
            group["lr"] *= self.layer_decay**distance
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mhipnn"] = self.record.to_dict()

    def _weigh(self, values: Mapping[str, Tensor], graph: SpinGraph) -> tuple[dict[str, Tensor], Tensor]:
        r"""Scale the means over this process's batch so that their mean over P processes is that over all batches.

        DDP averages gradients: (1/P) \sum_p w_p <x>_p = \sum_p n_p <x>_p / \sum_p n_p with w_p = n_p / mean(n).
        Also gives the mean number of graphs of a process.
        """
        # Filled on the device, in a precision that counts: a copy from the host would wait for the device.
        sizes = (graph.num_nodes, graph.num_graphs)
        known = [torch.full((), n, dtype=torch.float64, device=graph.spins.device) for n in sizes]
        mine = torch.stack([*known, magnetic_sites(graph).sum().double()])
        mean = self.trainer.strategy.reduce(mine.clone(), reduce_op="mean")
        share = dict(zip(("sites", "graphs", "spins"), mine / mean.clamp(min=1e-9), strict=True))
        weighed = {name: value * share[self.losses[name].mean_over].to(value) for name, value in values.items()}
        return weighed, mean[1]

    def _remember(self, values: Mapping[str, Tensor], n_graphs: int | Tensor) -> None:
        """Sum over the epoch, log with its last batch: Lightning's own bookkeeping costs a fifth of a step."""
        row = n_graphs * torch.stack([*(value.detach() for value in values.values()), torch.ones_like(values["loss"])])
        self._sums = row if self._sums is None else self._sums + row
        if self.trainer.is_last_batch:
            *sums, n_all = self._sums
            means = {f"train/{name}": total / n_all for name, total in zip(values, sums, strict=True)}
            self.log_dict(means, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
            self._sums = None

    def _measure(self, split: str, graph: SpinGraph, batch_index: int) -> None:
        prediction = self.model(graph, differentiable=False)
        if not (torch.isfinite(prediction.field).all() and torch.isfinite(prediction.energy).all()):
            # Early stopping would take NaN for the end of a good training.
            self._raise_non_finite(split, prediction, graph, batch_index)
        magnetic = magnetic_sites(graph)
        spins, field, learned = (x[magnetic].double() for x in (graph.spins, graph.field, prediction.field))
        accuracy = self._accuracy(split)
        accuracy["torque"].update(prediction.torque[magnetic], torch.linalg.cross(spins, field))
        accuracy["tangential"].update(tangential(spins, learned), tangential(spins, field))
        if self.model.spin_length:
            accuracy["longitudinal"].update(_longitudinal(spins, learned), _longitudinal(spins, field))
        sites = sites_per_graph(graph)
        accuracy["energy"].update(prediction.energy / sites, graph.energy / sites)

    def _accuracy(self, split: str) -> dict[str, Accuracy]:
        return {name: self._metrics[f"{split}_{name}"].to(self.device) for name in self._observables}

    def _collect(self, split: str) -> dict[str, Tensor]:
        accuracy = self._accuracy(split)
        values = {name: metric.compute() for name, metric in accuracy.items()}
        for metric in accuracy.values():
            metric.reset()
        along = {f"{split}/longitudinal_r2": values["longitudinal"]["r2"]} if "longitudinal" in values else {}
        return along | {
            f"{split}/torque_r2": values["torque"]["r2"],
            f"{split}/torque_nrmse": values["torque"]["nrmse"],
            f"{split}/tangential_rmse": values["tangential"]["rmse"],
            f"{split}/energy_mae_per_site": values["energy"]["mae"],
            f"{split}/energy_r2": values["energy"]["r2"],
        }

    def _raise_non_finite(self, split: str, prediction: Prediction, graph: SpinGraph, batch_index: int) -> None:
        bad = ~torch.isfinite(prediction.field).all(-1)
        where = "the energy"
        if bad.any():
            site = int(bad.nonzero()[0, 0])
            number = int(graph.batch[site])
            where = f"the field at site {site - int(graph.ptr[number])} of realisation {int(graph.realisation[number])}"
        raise NonFiniteError(
            f"training: {where} ({split} split) is not finite in epoch {self.current_epoch}, batch {batch_index} "
            f"(step {self.global_step}); lower optimizer.lr or trainer.gradient_clip_val"
        )


def _longitudinal(spins: Tensor, field: Tensor) -> Tensor:
    """S_i.B_i / |S_i| of sites with a spin, (N,)."""
    return (spins * field).sum(-1) / spins.norm(dim=-1)
