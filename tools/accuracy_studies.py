"""What tools/benchmark_accuracy.py trains: sizes, studies and the axes that they run over, as tables of overrides."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mhipnn import registry

Overrides = Mapping[str, str]
Axis = Mapping[str | float, Overrides]

BASELINES = ("heisenberg", "heisenberg_biquadratic", "bp")
EXTERNAL = "kondo_square"
"""The track whose labels come from a file that is given."""


@dataclass(frozen=True)
class Training:
    """One training: what its table calls it, its seed, and the overrides of ``conf/train.yaml`` that make it."""

    labels: Mapping[str, str | float]
    seed: int
    overrides: Overrides

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in (*self.labels.items(), ("seed", self.seed)))


@dataclass(frozen=True)
class Size:
    """How large a study is.

    Args:
        tracks: name -> overrides of every training on it.
        tried: tracks of the study ``trials``.
        scanned: tracks of the studies ``learning_curve`` and ``cutoff``.
        epochs, realisations: of a training on all labels.
        learning: numbers of training realisations of the learning curves.
        cutoffs, layers: of the study ``cutoff``.
        common: overrides of all trainings.
    """

    tracks: Mapping[str, Overrides]
    tried: tuple[str, ...]
    scanned: tuple[str, ...]
    epochs: int
    realisations: int
    learning: Sequence[int]
    cutoffs: Sequence[float]
    layers: Sequence[int]
    common: Overrides = field(default_factory=dict)

    def shortened(self, epochs: int) -> Size:
        """The same with so many epochs of all labels on every track; learning curves keep their equal steps."""
        tracks = {
            name: {key: value for key, value in overrides.items() if key != "trainer.max_epochs"}
            for name, overrides in self.tracks.items()
        }
        return replace(self, epochs=epochs, tracks=tracks)


_TINY_SYSTEMS = {
    "data.n_workers": "1",  # to start processes would take longer than the labels
    "data.structure.n_sites": "36",
    "data.samplers.quench.every": "4",
    "data.samplers.quench.times": "[0.5,1.0]",
    "data.samplers.quench.quench.duration": "1.0",
    "data.splits.train": "48",
    "data.splits.val": "8",
    "data.splits.test": "8",
    "data.size_split.realisations": "2",
    "data.size_split.samplers.random.n": "1",
    "data.size_split.samplers.quench": "null",
}

SIZES: Mapping[str, Size] = {
    # Does everything run, and in the expected order? It measures nothing.
    "quick": Size(
        tracks={
            "sd_disorder": _TINY_SYSTEMS,
            "sd_disorder_metal": _TINY_SYSTEMS,
            "sd_disorder_3d": {**_TINY_SYSTEMS, "data.structure.n_sites": "27"},
            "sd_double_exchange": _TINY_SYSTEMS,
        },
        tried=("sd_disorder",),
        scanned=("sd_disorder",),
        epochs=4,
        realisations=48,
        learning=(12, 48),
        cutoffs=(2.0, 3.0),
        layers=(1, 2),
        common={"dynamics.duration": "4.0", "callbacks.llg_rollout.n_realisations": "4"},
    ),
    "full": Size(
        tracks={
            "sd_disorder": {},
            "sd_disorder_metal": {},
            "sd_disorder_3d": {"model.cutoff": "2.6", "trainer.max_epochs": "8"},  # 74 neighbours
            "sd_double_exchange": {},
            EXTERNAL: {"model.cutoff": "3.2", "trainer.max_epochs": "20"},  # 28 neighbours, 90 configurations
        },
        tried=("sd_disorder", "sd_disorder_metal", "sd_disorder_3d", "sd_double_exchange", EXTERNAL),
        scanned=("sd_disorder", "sd_disorder_metal", "sd_double_exchange"),
        epochs=14,
        realisations=640,
        learning=(25, 50, 100, 200, 400, 640),
        cutoffs=(2.0, 3.0, 4.0, 5.0),
        layers=(1, 2, 3),
    ),
}


@dataclass(frozen=True)
class Study:
    """The product of tracks, models and axes.

    Args:
        title: of its table.
        tracks: of the size's, those that it runs over; None for all.
        models: label -> overrides that choose the model; None for every registered one.
        axes: label of a column -> value -> overrides.
        overrides: of all its trainings; those of models and axes come later and win.
    """

    title: str
    tracks: tuple[str, ...] | None = None
    models: Mapping[str, Overrides] | None = None
    axes: Mapping[str, Axis] = field(default_factory=dict)
    overrides: Overrides = field(default_factory=dict)

    def trainings(
        self,
        size: Size,
        seeds: Sequence[int] = (0,),
        tracks: Sequence[str] | None = None,
        models: Mapping[str, Overrides] | None = None,
        given: Overrides | None = None,
    ) -> list[Training]:
        """All of the first seed, then all of the next.

        ``tracks`` picks some, ``models`` stands in for the study's own and ``given`` wins over everything. A study with
        a model of its own takes variants of that model only, and keeps its own if there is none.
        """
        own = size.tracks if self.tracks is None else self.tracks
        chosen = [track for track in size.tracks if track in own and (tracks is None or track in tracks)]
        return [
            Training(
                {"track": track, "model": model, **values},
                seed,
                {
                    **size.common, "data": track, "trainer.max_epochs": str(size.epochs), **size.tracks[track],
                    **self.overrides, **choice, **changes, **(given or {}), "seed": str(seed),
                },
            )
            for seed in seeds
            for track in chosen
            for model, choice in self._models(models).items()
            for values, changes in self._points()
        ]  # fmt: skip

    def _models(self, given: Mapping[str, Overrides] | None) -> Mapping[str, Overrides]:
        if self.models is None:
            return registered_models() if given is None else given
        own = {choice["model"] for choice in self.models.values()}
        return {label: choice for label, choice in (given or {}).items() if choice["model"] in own} or self.models

    def _points(self) -> Iterator[tuple[dict[str, str | float], dict[str, str]]]:
        for point in itertools.product(*(axis.items() for axis in self.axes.values())):
            changes: dict[str, str] = {}
            for _, overrides in point:
                changes |= overrides
            yield dict(zip(self.axes, (value for value, _ in point), strict=True)), changes


_NO_ROLLOUT = {"callbacks.llg_rollout": "null"}

TRIALS: Axis = {
    "as it is": {},
    "rate 3e-3": {"optimizer.lr": "3e-3"},
    "cutoff 3.5": {"model.cutoff": "3.5"},
}
"""Settings that every model has; the best of them is what a baseline counts for."""

BASE = "base"
ABLATION: Axis = {
    BASE: {},
    "l_max = 0": {"model.l_max": "0"},
    "l_max = 2": {"model.l_max": "2"},
    "l_max = 3": {"model.l_max": "3"},
    "mhip": {"model": "mhip"},
    "mhip_eq": {"model": "mhip_eq"},
    "4 vectors": {"model.n_vectors": "4"},
    "16 vectors": {"model.n_vectors": "16"},
    "vectors and tensors": {"model.spin_rank": "2"},
    "bond rank 0": {"model.bond_rank": "0"},
    "bond rank 1": {"model.bond_rank": "1"},
    "bond rank 3": {"model.bond_rank": "3"},
    "1 layer": {"model.n_interactions": "1"},
    "3 layers": {"model.n_interactions": "3"},
    "no on-site layers": {"model.n_onsite": "0"},
    "width 12": {"model.n_features": "12"},
    "width 48": {"model.n_features": "48"},
    "8 sensitivities": {"model.n_sensitivities": "8"},
    "20 sensitivities": {"model.n_sensitivities": "20"},
    "cutoff 2.5": {"model.cutoff": "2.5"},
    "cutoff 3.5": {"model.cutoff": "3.5"},
    "hierarchicality loss": {"loss": "[torque,energy,hierarchicality]"},
    "no averaging of weights": {"callbacks.averaging": "null"},
    "averaging 0.999": {"callbacks.averaging.multi_avg_fn.decay": "0.999"},
    "rate 4e-3": {"optimizer.lr": "4e-3"},
    "rate 16e-3": {"optimizer.lr": "16e-3"},
    "batches of 2": {"data.batch_size": "2"},
    "batches of 8": {"data.batch_size": "8"},
    "weight decay 1e-4": {"optimizer.weight_decay": "1e-4"},
    "weight decay 1e-2": {"optimizer.weight_decay": "1e-2"},
    "no energy loss": {"loss.energy": "null"},
    "energy weight 0.2": {"loss.energy.weight": "0.2"},
}
"""One ingredient of ``mhip_ts`` changed at a time."""


def studies(size: Size) -> dict[str, Study]:
    """The studies by name."""
    labelled = tuple(track for track in size.tracks if track != EXTERNAL)
    mhip_ts = {"mhip_ts": {"model": "mhip_ts"}}
    return {
        "models": Study("Models on every track"),
        "trials": Study(
            "Baselines, each with the same trials",
            tracks=size.tried,
            models={name: {"model": name} for name in BASELINES},
            axes={"trial": TRIALS},
            overrides=_NO_ROLLOUT,
        ),
        "learning_curve": Study(
            "Error against the number of training realisations, at equal numbers of steps",
            tracks=size.scanned,
            axes={
                "realisations": {
                    n: {
                        "data.splits.train": str(n),
                        "trainer.max_epochs": str(round(size.epochs * size.realisations / n)),
                    }
                    for n in size.learning
                }
            },
            overrides={**_NO_ROLLOUT, "callbacks.early_stopping": "null"},  # patience counts epochs
        ),
        "cutoff": Study(
            "Error against cutoff and number of interaction layers",
            tracks=size.scanned,
            models=mhip_ts,
            axes={
                "cutoff": {r: {"model.cutoff": str(r)} for r in size.cutoffs},
                "layers": {n: {"model.n_interactions": str(n)} for n in size.layers},
            },
            overrides=_NO_ROLLOUT,
        ),
        "ablation": Study(
            "One ingredient changed at a time",
            tracks=("sd_disorder",),
            models=mhip_ts,
            axes={"changed": ABLATION},
            overrides=_NO_ROLLOUT,
        ),
        "spin_state": Study("Error by spin state", tracks=labelled),
    }


def registered_models() -> dict[str, Overrides]:
    """Every model that ``model=`` knows, those of plugins too."""
    registry.load_plugins()
    return {entry.name: {"model": entry.name} for entry in registry.entries() if entry.kind == "model"}
