"""`.ci/run` runs what the README tells people to run."""

from __future__ import annotations

import os
import subprocess

from environments import CHECKOUT

TEST_COMMAND = "python -m pip install -e '.[dev]' && python -m pytest"


def test_the_readme_and_ci_have_the_same_test_command():
    assert TEST_COMMAND in (CHECKOUT / "README.md").read_text().splitlines()
    assert TEST_COMMAND in (CHECKOUT / ".ci" / "run").read_text().splitlines()


def test_ci_is_a_strict_executable_script():
    script = CHECKOUT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)
