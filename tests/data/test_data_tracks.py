"""Each track of the design: generated or loaded, trained on, and out and in again through files, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from file_samples import kondo_like, train
from hydra.utils import instantiate

from mhipnn.config import compose_config
from mhipnn.data import FileDataModule
from mhipnn.generate import run

pytestmark = pytest.mark.usefixtures("plain_figures")

GENERATED = ["sd_disorder", "sd_disorder_metal", "sd_disorder_3d", "sd_double_exchange"]
TRACKS = [*GENERATED, "kondo_square"]
FEW = [
    "data.structure.n_sites=8", "data.splits={train:4,val:1,test:1}", "data.samplers.quench.every=4",
    "data.samplers.quench.quench.duration=1", "data.samplers.quench.times=[1]", "data.size_split.realisations=1",
    "data.size_split.samplers.quench=null", "data.n_workers=1", "+data.progress=false",
]  # fmt: skip
ROLLOUT = ["dynamics.duration=0.5", "callbacks.llg_rollout.n_realisations=1"]


def small(name: str, root: Path) -> list[str]:
    """The overrides that make a few labels of a track, or a file like the published one."""
    if name in GENERATED:
        return [f"data={name}", f"data.root={root}", *FEW]
    kondo_like(root / "k.npz", n_train=10)
    return ["data=kondo_square", f"data.path={root}/k.npz"]


@pytest.fixture(scope="module", params=TRACKS)
def track(request, tmp_path_factory):
    return small(request.param, tmp_path_factory.mktemp(request.param))


def goes_out_and_comes_back(track: list[str], path: Path) -> None:
    """Every split of the track, every array of it and the units are those that are read from what was exported."""
    written = run(compose_config("generate", [*track, f"export={path}"]))
    made = instantiate(compose_config("generate", track).data)
    back = FileDataModule(path)
    assert back.split_names == made.split_names
    assert back.units == made.units
    for split in made.split_names:
        for name, value in vars(made.labelled(split)).items():
            there = getattr(back.labelled(split), name)
            assert (value is None) == (there is None), name
            assert value is None or value.dtype == there.dtype
            np.testing.assert_array_equal(there, value, err_msg=f"{split} {name}")
    said = run(compose_config("generate", ["data=files", f"data.path={path}"]))
    for split, row in written["splits"].items():
        assert said["splits"][split] | {"mebibytes": 0} == row | {"mebibytes": 0}


@pytest.mark.parametrize("ending", ["npz", "xyz"])
def test_a_track_goes_out_and_comes_back_bit_for_bit(track, tmp_path, ending):
    goes_out_and_comes_back(track, tmp_path / f"labels.{ending}")


def test_a_track_trains(track, tmp_path):
    metrics, _ = train(tmp_path, *track, *ROLLOUT)
    assert {"test/torque_r2", "test/energy_mae_per_site"} <= set(metrics)
    generated = "data=kondo_square" not in track
    assert generated == ("size/torque_r2" in metrics) == any(name.startswith("rollout/") for name in metrics)
    assert np.isfinite([value for name, value in metrics.items() if not name.startswith("rollout/")]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACKS)
def test_a_track_in_full_size(name, tmp_path):
    """Its own sites, samplers and larger systems, on a few realisations; the published file where it is named."""
    if name in GENERATED:
        few = ["data.splits={train:8,val:2,test:2}", "data.size_split.realisations=1", "+data.progress=false"]
        track = [f"data={name}", f"data.root={tmp_path}/datasets", *few]
    elif path := os.environ.get("MHIPNN_KONDO_SQUARE"):
        track = ["data=kondo_square", f"data.path={path}"]
    else:
        pytest.skip("set MHIPNN_KONDO_SQUARE to the path of kondo_square.npz")
    for ending in ("npz", "xyz"):
        goes_out_and_comes_back(track, tmp_path / f"labels.{ending}")
    metrics, _ = train(tmp_path, *track, *ROLLOUT)
    assert 0 < metrics["test/torque_nrmse"] < 1.5
