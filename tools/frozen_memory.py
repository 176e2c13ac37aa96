"""Peak memory of one field evaluation at frozen sites, in a process of its own: the peak of a process never falls.

    python tools/frozen_memory.py 100000

Prints two numbers in GiB: the peak resident set of this process, and how much of it came after the start, when all was
imported and a small system had been evaluated. Both include the making of the neighbour list and of all that is kept.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
from pathlib import Path

import torch
from benchmarking import positive, threads
from hydra.utils import instantiate
from systems import random_system

from mhipnn.config import compose_config
from mhipnn.nn.network_potential import NetworkPotential


def in_fresh_process(n_sites: int, n_threads: int) -> tuple[float, float]:
    """(peak, growth) in GiB."""
    command = [sys.executable, __file__, str(n_sites), "--threads", str(n_threads)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    peak, growth = (float(number) for number in printed.split()[-2:])
    return peak, growth


def peak_resident_set() -> float:
    """Of this process so far, GiB."""
    try:  # getrusage also remembers the peak of the process that started this one
        kib = int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])  # type: ignore[index]
    except (OSError, TypeError):
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    return kib / 2**20


def evaluate(learned: NetworkPotential, n_sites: int) -> None:
    config = random_system(n_sites)
    frozen = learned.prepare([config])
    spins = torch.from_numpy(config.spins)[None].to(frozen.device, frozen.dtype)
    del config
    for _ in range(2):  # what is allocated once and kept, and what a later evaluation may add
        frozen(spins)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("n_sites", type=positive)
    options.add_argument("--threads", type=positive, default=1)
    args = options.parse_args()
    with threads(args.threads):
        learned = NetworkPotential(instantiate(compose_config("train").model))
        evaluate(learned, 200)
        start = peak_resident_set()
        evaluate(learned, args.n_sites)
        peak = peak_resident_set()
    print(f"{peak:.3f} {peak - start:.3f}")


if __name__ == "__main__":
    main()
