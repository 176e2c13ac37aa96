"""The inner loops: for CPUs compiled by numba, for GPUs by Triton, and in PyTorch as reference and fallback."""
