"""How gradients of several processes become one: Lightning's DDP for networks that are small and often evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, distributed, nn


class JointGradients(DDPStrategy):
    """DDP that averages all gradients at once after the backward pass.

    Torch's wrapper hides communication behind the backward pass of large networks. These networks have some 10^4
    parameters, one message; in return nothing follows the twice differentiated graph in search of parameters that an
    objective does not reach, and processes may validate unequal numbers of batches.
    """

    def configure_ddp(self) -> None:
        assert self.lightning_module is not None
        parameters = self._parameters()
        values = torch.cat([p.detach().flatten() for p in parameters])
        distributed.broadcast(values, 0)
        for parameter, value in _apart(parameters, values):
            parameter.data.copy_(value)
        for buffer in self.lightning_module.buffers():  # also what came with the weights of another training
            distributed.broadcast(buffer, 0)

    def post_backward(self, closure_loss: Tensor) -> None:
        parameters = self._parameters()
        # Zero, not None, for what the objective does not reach: another process may have reached it.
        joint = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        distributed.all_reduce(joint)
        joint /= distributed.get_world_size()
        for parameter, gradient in _apart(parameters, joint):
            parameter.grad = gradient

    def _parameters(self) -> list[nn.Parameter]:
        assert self.lightning_module is not None
        return [p for p in self.lightning_module.parameters() if p.requires_grad]


def _apart(parameters: list[nn.Parameter], joined: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Each parameter with its part of a vector, as a view."""
    for parameter, part in zip(parameters, joined.split([p.numel() for p in parameters]), strict=True):
        yield parameter, part.view_as(parameter)
