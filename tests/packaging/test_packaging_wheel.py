"""The wheel alone: built from the checkout and from the sdist, installed away from it, trained from another folder."""

from __future__ import annotations

import sys
import zipfile

import pytest
from environments import CHECKOUT, Environment, checked, dependencies, offline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """(from the checkout, from the sdist)"""
    out = tmp_path_factory.mktemp("dist")
    isolation = ["--no-isolation"] if offline() else []
    checked(sys.executable, "-m", "build", *isolation, "--wheel", "--outdir", str(out / "direct"), str(CHECKOUT))
    checked(sys.executable, "-m", "build", *isolation, "--outdir", str(out / "sdist"), str(CHECKOUT))
    return next((out / "direct").glob("*.whl")), next((out / "sdist").glob("*.whl"))


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return sorted(name for name in archive.namelist() if ".dist-info/" not in name)


def test_the_wheel_holds_every_configuration_and_module(wheels):
    held = names(wheels[0])
    assert names(wheels[1]) == held
    conf = {f"mhipnn/conf/{path.relative_to(CHECKOUT / 'conf')}" for path in (CHECKOUT / "conf").rglob("*.yaml")}
    code = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "mhipnn").rglob("*.py")}
    assert conf | code <= set(held)
    assert "mhipnn/py.typed" in held


def test_a_tiny_training_from_the_installed_wheel(wheels, tmp_path):
    environment = Environment(tmp_path / "venv", dependencies())
    environment.install(wheels[1])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = environment.run("-c", "from mhipnn import config; print(config.conf_dir())", cwd=elsewhere).strip()
    assert where == str(environment.site_packages / "mhipnn" / "conf")
    environment.run("-m", "mhipnn.train", "model=mhip", "data=sd_tiny", "trainer=tiny", cwd=elsewhere)
    run = next((elsewhere / "outputs" / "sd_tiny" / "mhip").iterdir())
    for name in ("metrics.json", "config.yaml", "checkpoints/best.ckpt"):
        assert (run / name).is_file()
