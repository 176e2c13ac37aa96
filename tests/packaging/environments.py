"""Temporary environments that see this environment's dependencies, but not the checkout unless asked."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


class Environment:
    """A virtual environment in ``root``; ``paths`` are folders that it can import from besides its own."""

    def __init__(self, root: Path, paths: list[str]) -> None:
        self.root = root
        venv.create(root, with_pip=False, symlinks=True)
        self.python = str(root / "bin" / "python")
        (self.site_packages / "outside.pth").write_text("\n".join(paths) + "\n")

    @property
    def site_packages(self) -> Path:
        return next((self.root / "lib").glob("python3*")) / "site-packages"

    def install(self, *what: str | Path) -> None:
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-deps"]
        checked(*pip, *offline(), *map(str, what))

    def run(self, *args: str, cwd: Path) -> str:
        """``python *args`` in ``cwd`` -> stdout; what it says if it fails."""
        return checked(self.python, *args, cwd=cwd)


def offline() -> list[str]:
    """Build with the hatchling that is here; only where there is none does pip fetch one."""
    return ["--no-index", "--no-build-isolation"] if importlib.util.find_spec("hatchling") else []


def checked(*command: str, cwd: Path | None = None) -> str:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    env |= {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=540, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def dependencies() -> list[str]:
    """Where torch and the others are; the path file of an editable mhipnn in it is not followed."""
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
