"""Which code runs a sum over neighbours: chosen by device and precision."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from . import cpu_channels, cpu_gram, cpu_message, reference, reference_channels, reference_gram


def on_cpu(tensor: Tensor) -> bool:
    """Whether the kernels for CPUs take this tensor."""
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64)


def message_kernels(tensor: Tensor) -> ModuleType:
    """A module with ``message_sum`` and ``adjoint`` as described in ``reference``.

    Compiled ones in float32 and float64, on CPUs and, where Triton can be imported, on GPUs; else PyTorch's.
    """
    if on_cpu(tensor):
        return cpu_message
    on_gpu = tensor.device.type == "cuda" and tensor.dtype in (torch.float32, torch.float64)
    return (_gpu_message() if on_gpu else None) or reference


def channel_kernels(tensor: Tensor) -> ModuleType:
    """A module with ``message_sum`` and ``adjoint`` as described in ``reference_channels``."""
    return cpu_channels if on_cpu(tensor) else reference_channels


def gram_kernels(tensor: Tensor) -> ModuleType:
    """A module with ``gram`` and ``adjoint`` as described in ``reference_gram``."""
    return cpu_gram if on_cpu(tensor) else reference_gram


@cache
def _gpu_message() -> ModuleType | None:
    """Imported when first needed: Triton comes with PyTorch for GPUs, and CPUs do without."""
    try:
        from . import gpu_message
    except ImportError:
        return None
    return gpu_message
