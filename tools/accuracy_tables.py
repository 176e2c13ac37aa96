"""Tables of tools/benchmark_accuracy.py: means over seeds with their spread, on the screen and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from accuracy_rows import LEVELS, Place, Row
from accuracy_studies import BASE, BASELINES, Training
from rich import box
from rich.table import Table

NOTHING = "\N{EN DASH}"
_TWO = "\N{SUPERSCRIPT TWO}"

Column = tuple[str, str, str]  # heading, name of the number, format

ACCURACY: tuple[Column, ...] = (
    (f"R{_TWO} test", "test/torque_r2", ".4f"),
    ("NRMSE test", "test/torque_nrmse", ".4f"),
    ("RMSE test", "test/tangential_rmse", ".5f"),
    (f"R{_TWO} size", "size/torque_r2", ".4f"),
    ("NRMSE size", "size/torque_nrmse", ".4f"),
    ("energy MAE/site", "test/energy_mae_per_site", ".5f"),
    (f"R{_TWO} rollout", "rollout/torque_r2", ".4f"),
    ("C(r,t) share", "rollout/within_2_errors", ".3f"),
)
COST: tuple[Column, ...] = (
    ("parameters", "parameters", ",.0f"),
    ("us/spin", "field/microseconds_per_spin", ".1f"),
    ("s/epoch", "fit/seconds_per_epoch", ".2f"),
    ("fit (s)", "fit/seconds", ".0f"),
    *((f"to {level:g} (s)", f"fit/seconds_to_{level:g}", ".0f") for level in LEVELS),
)


@dataclass(frozen=True)
class Entry:
    """What the seeds of one combination of labels left; ``planned`` counts those that are still to come as well."""

    labels: Mapping[str, str | float]
    model: str
    planned: int
    rows: list[Row] = field(default_factory=list)

    def values(self, name: str) -> list[float]:
        """One number a seed; none at all unless every finished seed has one."""
        found = [row["metrics"].get(name) for row in self.rows]
        return [] if None in found else found

    def mean(self, name: str) -> float | None:
        values = self.values(name)
        return statistics.fmean(values) if values else None

    def cell(self, name: str, style: str) -> str:
        """Mean and, in brackets, the standard deviation among the seeds in units of the last digit: 0.9842(12)."""
        values = self.values(name)
        if not values:
            return NOTHING
        mean = format(statistics.fmean(values), style)
        if len(values) == 1 or len(set(values)) == 1:
            return mean
        digits = int(style.partition(".")[2][:-1])
        return f"{mean}({statistics.stdev(values) * 10**digits:.0f})"


@dataclass(frozen=True)
class Grid:
    """A table before it is drawn; ``n_labels`` columns say which row it is."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    n_labels: int

    def rich(self) -> Table:
        made = Table(title=self.title, title_justify="left", box=box.HEAVY_HEAD)
        for number, column in enumerate(self.columns):
            made.add_column(column, justify="left" if number < self.n_labels else "right", no_wrap=True)
        for row in self.rows:
            made.add_row(*row)
        return made

    def markdown(self) -> str:
        rules = ["---" if number < self.n_labels else "---:" for number in range(len(self.columns))]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.columns, rules, *self.rows)]
        return "\n".join([f"**{self.title}**", "", *lines])


def gather(trainings: Sequence[Training], place: Place) -> list[Entry]:
    """The rows that are there, seeds of equal labels together, in the order of the study."""
    entries: dict[tuple[str | float, ...], Entry] = {}
    for training in trainings:
        key = tuple(training.labels.values())
        known = entries.get(key)
        rows = [] if known is None else known.rows
        if (row := place.row(training)) is not None:
            rows = [*rows, row]
        planned = 1 if known is None else known.planned + 1
        entries[key] = Entry(training.labels, training.overrides["model"], planned, rows)
    return list(entries.values())


def grids(study: str, title: str, entries: Sequence[Entry], rivals: Sequence[Entry] = ()) -> list[Grid]:
    """The tables of a study: errors, with their ratio to a reference (among ``rivals`` too), and what they cost."""
    done = [entry for entry in entries if entry.rows]
    accuracy = _grid(f"{title}: torque, and energy (t0)", done, ACCURACY, _EXTRA.get(study), rivals)
    states = [(state, f"state/{state}/torque_nrmse", ".4f") for state in states_of(done)]
    by_state = [_grid("Torque NRMSE on the test split by spin state", done, states)] if study == "spin_state" else []
    return [accuracy, *by_state, _grid("Cost; time of the fit to a validation torque R" + _TWO, done, COST)]


def _grid(
    title: str,
    entries: Sequence[Entry],
    columns: Sequence[Column],
    extra: tuple[str, Callable[[Entry, Sequence[Entry]], str]] | None = None,
    rivals: Sequence[Entry] = (),
) -> Grid:
    names = list(entries[0].labels)
    columns = [column for column in columns if any(entry.values(column[1]) for entry in entries)]
    headings = [*names, "seeds", *(heading for heading, _, _ in columns)]
    rows = []
    for entry in entries:
        of = "" if len(entry.rows) == entry.planned else f" of {entry.planned}"
        cells = [entry.cell(name, style) for _, name, style in columns]
        rows.append([*map(str, entry.labels.values()), f"{len(entry.rows)}{of}", *cells])
    if extra is not None:
        headings.append(extra[0])
        for entry, row in zip(entries, rows, strict=True):
            row.append(extra[1](entry, [*entries, *rivals]))
    return Grid(title, headings, rows, len(names))


def states_of(entries: Sequence[Entry]) -> list[str]:
    """Names of the spin states that rows tell apart: random, and the times along the quench."""
    names = {
        name.split("/")[1] for entry in entries for row in entry.rows for name in row["metrics"] if "state/" in name
    }
    times = sorted((name for name in names if name.startswith("t = ")), key=lambda name: float(name[4:]))
    return [name for name in ("random", "quench") if name in names] + times


# ------------------------------------------------------------------ ratios to a reference


def over_baseline(entry: Entry, entries: Sequence[Entry]) -> str:
    """Mean square error of the torque over that of the best baseline on the same track."""
    rivals = [e.mean("test/torque_nrmse") for e in entries if e.model in BASELINES and _same_track(e, entry)]
    return _ratio(entry.mean("test/torque_nrmse"), min((r for r in rivals if r is not None), default=None), 2)


def over_base(entry: Entry, entries: Sequence[Entry]) -> str:
    """NRMSE of the torque over that of the entry in which nothing is changed."""
    alike = (e for e in entries if _same_track(e, entry) and e.labels["model"] == entry.labels["model"])
    base = next((e.mean("test/torque_nrmse") for e in alike if e.labels["changed"] == BASE), None)
    return _ratio(entry.mean("test/torque_nrmse"), base, 1)


_EXTRA: Mapping[str, tuple[str, Callable[[Entry, Sequence[Entry]], str]]] = {
    "models": ("MSE/baseline", over_baseline),
    "trials": ("MSE/baseline", over_baseline),
    "ablation": ("NRMSE/base", over_base),
}


def _same_track(one: Entry, other: Entry) -> bool:
    return one.labels["track"] == other.labels["track"]


def _ratio(value: float | None, reference: float | None, power: int) -> str:
    return NOTHING if value is None or not reference else f"{(value / reference) ** power:.3f}"
