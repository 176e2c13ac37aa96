"""Which code runs a sum over neighbours: chosen by device and precision."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from . import cpu_message, reference


def on_cpu(tensor: Tensor) -> bool:
    """Whether the kernels for CPUs take this tensor."""
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64)


def message_kernels(tensor: Tensor) -> ModuleType:
    """A module with ``message_sum`` and ``adjoint`` as described in ``reference``."""
    return cpu_message if on_cpu(tensor) else reference
