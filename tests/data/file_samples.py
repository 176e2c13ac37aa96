"""Small labelled data, the files that other programs would have written of them, and a short training on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mhipnn.data.labelled import LabelledConfigurations

UNITS_TEXT = "energy=eV, length=Angstrom"


def labelled(sizes=(3, 4, 3, 5, 3, 4), forces=True, unit=True, seed=0) -> LabelledConfigurations:
    """Configurations of these sizes with random labels; every realisation has two configurations."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    n, m = len(sizes), int(offsets[-1])
    spins = rng.normal(size=(m, 3))
    if unit:
        spins /= np.linalg.norm(spins, axis=-1, keepdims=True)
    return LabelledConfigurations(
        offsets=offsets,
        positions=rng.normal(size=(m, 3)) * np.pi,
        spins=spins,
        species=rng.integers(0, 2, m),
        moments=rng.uniform(0.5, 2, m),
        cell=np.eye(3) * 7 + rng.normal(size=(n, 3, 3)) / 3,
        pbc=rng.integers(0, 2, (n, 3)).astype(bool),
        energy=rng.normal(size=n) * 1e3,
        field=rng.normal(size=(m, 3)) * 1e-7,
        forces=rng.normal(size=(m, 3)) / 3 if forces else None,
        realisation=np.arange(n) // 2,
        time=rng.choice([-1.0, 1 / 3], n),
    )


def same(one: LabelledConfigurations, other: LabelledConfigurations) -> None:
    """Equal bit for bit."""
    for name, value in vars(one).items():
        there = getattr(other, name)
        if value is None:
            assert there is None, name
        else:
            assert value.dtype == there.dtype, name
            np.testing.assert_array_equal(value, there, err_msg=name)


def kondo_like(path: Path, n_train=6, n_test=3, side=4) -> dict[str, np.ndarray]:
    """A file in the layout of the published Kondo set, labelled by the model that it was made with."""
    from mhipnn import SDModel, SpinConfiguration
    from mhipnn.electrons.hopping import ExponentialHopping

    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    positions = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], -1).astype(float)
    arrays = {"positions": positions, "cell": np.diag([side, side, 10.0]), "pbc": np.array([True, True, False])}
    model = SDModel(J=3.5, filling=0.875, temperature=1e-4, hopping=ExponentialHopping(r_on=1.1, r_cut=1.3))
    rng = np.random.default_rng(1)
    for split, n in (("train", n_train), ("test", n_test)):
        spins = rng.normal(size=(n, side**2, 3))
        spins = (spins / np.linalg.norm(spins, axis=-1, keepdims=True)).astype(np.float32)
        labels = [
            model.evaluate(SpinConfiguration(positions, arrays["cell"], arrays["pbc"], frame), forces=False)
            for frame in spins
        ]
        arrays[f"spins_{split}"] = spins
        arrays[f"fields_{split}"] = np.stack([label.field for label in labels]).astype(np.float32)
        arrays[f"energy_{split}"] = np.array([label.energy for label in labels])
    np.savez(path, **arrays)
    return arrays


def deepspin(folder: Path, n_sets=2, n_frames=3, n_sites=4, forces=True) -> dict[str, np.ndarray]:
    """A DeePMD system with spins; returns all frames, (C, N, 3)."""
    rng = np.random.default_rng(2)
    folder.mkdir(parents=True)
    (folder / "type.raw").write_text("0\n1\n0\n1\n"[: 2 * n_sites])
    (folder / "type_map.raw").write_text("Fe\nO\n")
    whole: dict[str, list[np.ndarray]] = {}
    for number in range(n_sets):
        inside = folder / f"set.{number:03d}"
        inside.mkdir()
        arrays = {
            name: rng.normal(size=(n_frames, 3 * n_sites))
            for name in ("coord", "spin", "force_mag", "force")[: 3 + forces]
        }
        arrays["energy"] = rng.normal(size=n_frames)
        arrays["box"] = np.tile((np.eye(3) * 6 + 0.1).ravel(), (n_frames, 1))
        for name, array in arrays.items():
            np.save(inside / f"{name}.npy", array)
            whole.setdefault(name, []).append(array)
    return {name: np.concatenate(parts) for name, parts in whole.items()}


SMALL = ["model.n_features=4", "model.n_sensitivities=4", "model.n_onsite=1", "trainer=tiny", "~logger"]
QUIET = ["callbacks.progress=null", "+trainer.enable_progress_bar=false"]


def train(tmp_path: Path, *overrides: str) -> tuple[dict[str, float], Path]:
    """Metrics and folder of one epoch of a small network."""
    from mhipnn.config import compose_config
    from mhipnn.training.run import run

    metrics = run(compose_config("train", [f"output_root={tmp_path}/out", *SMALL, *QUIET, *overrides]))
    (folder,) = (path.parent for path in Path(tmp_path, "out").rglob("metrics.json"))
    return metrics, folder
