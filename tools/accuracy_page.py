"""The tables and the figure of docs/accuracy.md, made from rows of tools/benchmark_accuracy.py.

    python tools/accuracy_page.py                                       # tables again from docs/results/accuracy.jsonl
    python tools/accuracy_page.py outputs/benchmarks/accuracy/rows ...  # take over the rows of these folders first

docs/results/accuracy.jsonl holds what the page shows: of every training its overrides, numbers, commit and machine, a
line each. A row with the overrides of one that is there replaces it. On the page a table stands between
`<!-- table: NAME -->` and `<!-- end -->`; what is in it stands below.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from accuracy_figures import models as draw_models
from accuracy_rows import Row
from accuracy_tables import COST, NOTHING, Column, Entry
from matplotlib.figure import Figure

from mhipnn.analysis.style import save
from mhipnn.errors import InputError
from mhipnn.explain import MISTAKES
from mhipnn.run_folder import write_atomically

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, RESULTS = DOCS / "accuracy.md", DOCS / "results" / "accuracy.jsonl"
FIGURE = DOCS / "figures" / "accuracy_models.png"
KEPT = ("overrides", "configuration", "metrics", "finished", "commit", "mhipnn", "torch", "device", "threads")
PAIRS = ("heisenberg", "heisenberg_biquadratic")
BASELINES = ("bp", *PAIRS)
EPOCHS = {"sd_disorder_3d": "8", "kondo_square": "20"}
CUTOFFS = {"sd_disorder_3d": "2.6", "kondo_square": "3.2"}
TRACKS = ("sd_disorder", "sd_disorder_metal", "sd_disorder_3d", "sd_double_exchange", "kondo_square")
NO_ROLLOUT = "callbacks.llg_rollout=null"

R2, SIZE, NRMSE = "test/torque_r2", "size/torque_r2", "test/torque_nrmse"
MODELS: tuple[Column, ...] = (
    ("R² test", R2, ".4f"),
    ("NRMSE test", NRMSE, ".4f"),
    ("R² size", SIZE, ".4f"),
    ("energy MAE/site (t0)", "test/energy_mae_per_site", ".5f"),
    ("R² rollout", "rollout/torque_r2", ".4f"),
    ("C(r,t) share", "rollout/within_2_errors", ".3f"),
    ("parameters", "parameters", ",.0f"),
    ("fit (s)", "fit/seconds", ".0f"),
)
STATES: tuple[Column, ...] = tuple(
    (name, f"state/{name}/torque_nrmse", ".3f") for name in ("random", "t = 1", "t = 4", "t = 12", "t = 30")
)


class Rows:
    """Finished trainings by their overrides."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = {_key(row["overrides"]): row for row in sorted(rows, key=lambda row: row["finished"])}

    @classmethod
    def read(cls, path: Path) -> Rows:
        return cls(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())

    def write(self, path: Path) -> None:
        lines = (json.dumps({name: row[name] for name in KEPT}) + "\n" for _, row in sorted(self.rows.items()))
        write_atomically(path, "".join(lines))

    def of(self, settings: str, seeds: Sequence[int] = (0,)) -> Entry:
        """The rows of one training, written as ``key=value ...``; raises InputError if a seed is missing."""
        wanted = dict(text.split("=", 1) for text in shlex.split(settings))
        found = [self.rows.get(_key({**wanted, "seed": str(seed)})) for seed in seeds]
        if None in found:
            raise InputError(f"no row of '{settings}', seeds {list(seeds)}: train it, and give the folder of its rows")
        return Entry({}, wanted["model"], len(seeds), [row for row in found if row is not None])


def full(track: str, settings: str) -> str:
    """The overrides of a training of the study ``models``."""
    cutoff = f"model.cutoff={CUTOFFS[track]} " if track in CUTOFFS else ""
    epochs = "" if "trainer.max_epochs" in settings else f" trainer.max_epochs={EPOCHS.get(track, '14')}"
    return f"data={track} {cutoff}{settings}{epochs}"


MHIP = "model=mhip_eq"
KONDO = f"{MHIP} model.n_interactions=3"
# What a search found for sd_disorder_metal, with more decay and a larger weight of the energy.
FOUND = f"{KONDO} model.bond_rank=3 optimizer.lr=0.017 optimizer.weight_decay=0.1 loss.energy.weight=0.01"
LINES: tuple[tuple[str, str, str, tuple[int, ...]], ...] = (
    # track, what the page calls it, its settings, seeds
    ("sd_disorder", "`mhip_eq`, seeds 0 to 2", MHIP, (0, 1, 2)),
    ("sd_disorder_metal", "`mhip_eq`", MHIP, (0,)),
    ("sd_disorder_metal", "as found, cutoff 2.75", f"{FOUND} model.cutoff=2.75", (0,)),
    ("sd_disorder_3d", "`mhip_eq`", MHIP, (0,)),
    ("sd_double_exchange", "`mhip_eq`", MHIP, (0,)),
    ("sd_double_exchange", "the same with `shared_mu=true`", f"{MHIP} model.shared_mu=true", (0,)),
    ("sd_double_exchange", "as found, `shared_mu=true`", f"{FOUND} model.shared_mu=true", (0,)),
    ("kondo_square", "3 layers", KONDO, (0,)),
    ("kondo_square", "3 layers, weight decay 0.1, 14 epochs",
     f"{KONDO} optimizer.weight_decay=0.1 trainer.max_epochs=14", (0,)),
    ("kondo_square", "3 layers, weight decay 0.1, `shared_mu=true`",
     f"{KONDO} model.shared_mu=true optimizer.weight_decay=0.1", (0,)),
)  # fmt: skip


def entries_of(rows: Rows, track: str) -> dict[str, Entry]:
    """The models of a track by what the page calls them, baselines last."""
    entries = {name: rows.of(full(track, settings), seeds) for of, name, settings, seeds in LINES if of == track}
    ran = [name for name in BASELINES if _ran(rows, track, name)]
    return entries | {f"`{name}`": rows.of(full(track, f"model={name}")) for name in ran}


def models(rows: Rows) -> str:
    lines = []
    for track in TRACKS:
        entries = entries_of(rows, track)
        best = min(trial.mean(NRMSE) or 1 for name in BASELINES for trial in trials_of(rows, track, name))
        for name, entry in entries.items():
            ratio = f"{((entry.mean(NRMSE) or 0) / best) ** 2:.3f}"
            lines.append([track, name, *cells(entry, MODELS[:6]), ratio, *cells(entry, MODELS[6:7])])
    return table(["track", "model", *headings(MODELS[:6]), "MSE/baseline", *headings(MODELS[6:7])], lines, 2)


def cost(rows: Rows) -> str:
    lines = [
        [track, name, *cells(entry, COST[1:])] for track in TRACKS for name, entry in entries_of(rows, track).items()
    ]
    return table(["track", "model", *headings(COST[1:])], lines, 2)


def spin_states(rows: Rows) -> str:
    lines = [
        [track, name, *cells(entry, STATES)]
        for track in TRACKS
        for name, entry in entries_of(rows, track).items()
        if entry.model not in PAIRS and entry.values(STATES[-1][1])
    ]
    return table(["track", "model", *headings(STATES)], lines, 2)


def trials_of(rows: Rows, track: str, name: str) -> list[Entry]:
    """A baseline as it is, with rate 3e-3, with cutoff 3.5."""
    settings = full(track, f"model={name} {NO_ROLLOUT}")
    farther = re.sub(r"model\.cutoff=\S+ ", "", settings) + " model.cutoff=3.5"
    return [rows.of(one) for one in (settings, f"{settings} optimizer.lr=3e-3", farther)]


def trials(rows: Rows) -> str:
    lines = []
    for track in TRACKS:
        line = [track]
        for name in (*PAIRS, "bp"):
            values = [entry.mean(R2) or 0 for entry in trials_of(rows, track, name)]
            line.append(", ".join(f"**{v:.4f}**" if v == max(values) else f"{v:.4f}" for v in values))
        lines.append(line)
    return table(["track", "`heisenberg`", "`heisenberg_biquadratic`", "`bp`"], lines, 1)


SHORT: tuple[Column, ...] = (
    ("R² test", R2, ".4f"), ("R² size", SIZE, ".4f"), ("NRMSE test", NRMSE, ".4f"), ("parameters", "parameters", ",.0f")
)  # fmt: skip


def ladder(rows: Rows) -> str:
    steps = {
        "`mhip`: invariants of pairs": "model=mhip",
        "`mhip_ts`, `bond_rank=0`: and sums of neighbours' spins": "model=mhip_ts model.bond_rank=0",
        "`bond_rank=1`: and their directions": "model=mhip_ts model.bond_rank=1",
        "`bond_rank=2`": "model=mhip_ts",
        "`bond_rank=3`": "model=mhip_ts model.bond_rank=3",
        "`mhip_eq`: and spin vectors that sites carry": MHIP,
    }
    track = f"data=sd_double_exchange trainer.max_epochs=5 {NO_ROLLOUT}"
    lines = [[name, *cells(rows.of(f"{track} {settings}"), SHORT)] for name, settings in steps.items()]
    return table(["model", *headings(SHORT)], lines, 1)


def learning(rows: Rows) -> str:
    epochs = {25: 154, 50: 77, 100: 38, 200: 19, 400: 10, 640: 6}
    common = f"data=sd_disorder_metal {MHIP} {NO_ROLLOUT} callbacks.early_stopping=null"
    entries = [rows.of(f"{common} data.splits.train={n} trainer.max_epochs={e}") for n, e in epochs.items()]
    lines = [[name, *(cells(entry, [(name, key, ".4f")])[0] for entry in entries)] for name, key, _ in SHORT[:2]]
    return table(["realisations", *map(str, epochs)], lines, 1)


def cutoffs(rows: Rows) -> str:
    common = f"data=sd_disorder_metal model=mhip_ts trainer.max_epochs=3 {NO_ROLLOUT}"
    lines = []
    for layers in (1, 2, 3):
        ran = (2.0, 3.0, 4.0, 5.0) if layers == 1 else (2.0, 3.0, 4.0)
        entries = [rows.of(f"{common} model.cutoff={cutoff} model.n_interactions={layers}") for cutoff in ran]
        found = [cells(entry, SHORT[:1])[0] for entry in entries]
        lines.append([str(layers), *found, *[NOTHING] * (4 - len(found))])
    return table(["layers", "cutoff 2", "3", "4", "5"], lines, 1)


CHANGES = {
    "base": "model=mhip_ts",
    **{f"l_max = {order}": f"model=mhip_ts model.l_max={order}" for order in (0, 1, 3)},
    "mhip": "model=mhip",
    "mhip_eq": MHIP,
    "4 vectors": "model=mhip_ts model.n_vectors=4",
    **{f"bond rank {rank}": f"model=mhip_ts model.bond_rank={rank}" for rank in (0, 1, 3)},
    "1 layer": "model=mhip_ts model.n_interactions=1",
    "3 layers": "model=mhip_ts model.n_interactions=3",
    **{f"width {width}": f"model=mhip_ts model.n_features={width}" for width in (12, 48)},
    **{f"cutoff {cutoff}": f"model=mhip_ts model.cutoff={cutoff}" for cutoff in (2.5, 3.5)},
    "no hierarchicality loss": "model=mhip_ts loss.hierarchicality=null",
    "no averaging of weights": "model=mhip_ts callbacks.averaging=null",
    "no energy loss": "model=mhip_ts loss.energy=null",
    "energy weight 0.2": "model=mhip_ts loss.energy.weight=0.2",
}


def ablation(rows: Rows) -> str:
    track = f"data=sd_disorder trainer.max_epochs=5 {NO_ROLLOUT}"
    entries = {name: rows.of(f"{track} {settings}") for name, settings in CHANGES.items()}
    base = entries["base"].mean(NRMSE) or 1
    lines = []
    for name, entry in entries.items():
        ratio = f"{(entry.mean(NRMSE) or 0) / base:.2f}"
        lines.append([name, *cells(entry, SHORT[:2]), ratio, *cells(entry, MODELS[6:])])
    return table(["changed", *headings(SHORT[:2]), "NRMSE/base", *headings(MODELS[6:])], lines, 1)


TABLES: Mapping[str, Callable[[Rows], str]] = {
    "models": models, "cost": cost, "trials": trials, "spin states": spin_states, "ladder": ladder,
    "learning": learning, "cutoffs": cutoffs, "ablation": ablation,
}  # fmt: skip


def figure(rows: Rows) -> Figure:
    """Torque R^2 of the models on every track; a model counts as one whatever its number of layers."""
    entries = []
    for track in TRACKS:
        for settings, seeds in [(settings, seeds) for of, _, settings, seeds in LINES if of == track]:
            name = "mhip_eq, as found" if FOUND in settings else "mhip_eq"
            name += ", shared_mu" if "shared_mu" in settings else ""
            entries.append(replace(rows.of(full(track, settings), seeds), labels={"track": track, "model": name}))
        entries += [
            replace(entry, labels={"track": track, "model": name})
            for name in BASELINES
            for entry in trials_of(rows, track, name)[:1]
        ]
    return draw_models(entries)


def cells(entry: Entry, columns: Sequence[Column]) -> list[str]:
    return [entry.cell(name, style) for _, name, style in columns]


def headings(columns: Sequence[Column]) -> list[str]:
    return [heading for heading, _, _ in columns]


def table(columns: Sequence[str], lines: Sequence[Sequence[str]], n_labels: int) -> str:
    rules = ["---" if number < n_labels else "---:" for number in range(len(columns))]
    return "\n".join(f"| {' | '.join(one)} |" for one in (columns, rules, *lines))


def page(text: str, rows: Rows) -> str:
    """The page with every table made anew; raises InputError for a table that nobody knows."""

    def made(match: re.Match[str]) -> str:
        if match[1] not in TABLES:
            raise InputError(f"{PAGE.name}: no table {match[1]!r}; there are {', '.join(TABLES)}")
        return f"<!-- table: {match[1]} -->\n\n{TABLES[match[1]](rows)}\n\n<!-- end -->"

    return re.sub(r"<!-- table: ([^>]+?) -->.*?<!-- end -->", made, text, flags=re.DOTALL)


def _ran(rows: Rows, track: str, name: str) -> bool:
    wanted = dict(text.split("=", 1) for text in full(track, f"model={name}").split())
    return _key({**wanted, "seed": "0"}) in rows.rows


def _key(overrides: Mapping[str, str]) -> str:
    return json.dumps(sorted(overrides.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="of rows that are taken over")
    args = parser.parse_args(arguments)
    known = Rows.read(RESULTS).rows.values() if RESULTS.is_file() else []
    new = [json.loads(path.read_text(encoding="utf-8")) for folder in args.folders for path in folder.glob("*.json")]
    rows = Rows([*known, *new])
    RESULTS.parent.mkdir(exist_ok=True)
    rows.write(RESULTS)
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8"), rows))
    print(f"{len(rows.rows)} rows in {RESULTS}, tables in {PAGE}, {save(figure(rows), FIGURE)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MISTAKES as error:
        sys.exit(f"accuracy_page: {error}")
