"""Accuracy of the models under one harness: tracks x models x seeds, learning curves, cutoffs, ablations.

    python tools/benchmark_accuracy.py                    # all studies, quick: some minutes, and it measures nothing
    python tools/benchmark_accuracy.py models --size full --kondo-square kondo_square.npz --budget 480
    python tools/benchmark_accuracy.py models --size full --tracks sd_disorder --seeds 0 1 2
    python tools/benchmark_accuracy.py learning_curve cutoff --size full --tracks sd_disorder_metal --epochs 6
    python tools/benchmark_accuracy.py models --size full --models mhip 'wide: model=mhip_ts model.n_features=48'
    python tools/benchmark_accuracy.py --size full --only-table

Every training is one `mhipnn.train` with overrides; what is trained stands in tools/accuracy_studies.py. Trainings come
one after the other. Each that is finished leaves a row, `<output>/rows/<key>.json`, with its numbers, commit and
machine; the key is a hash of its overrides, so a training that several studies ask for is made once. The same command
again skips what is there, and goes on with a training that was interrupted. Rows do not see a change of the defaults in
conf/: that is told, and a row that is removed together with `<output>/runs/<model>/<key>` is made again.

Tables (`table.md`) and figures of a study are in `<output>/<study>/`. What the columns mean: docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from accuracy_figures import FIGURES
from accuracy_rows import Place, Row, Run, digest_of, train
from accuracy_studies import EXTERNAL, SIZES, Overrides, Training, registered_models, studies
from accuracy_tables import Entry, Grid, gather, grids
from benchmarking import wide_console
from rich.console import Console

from mhipnn.analysis.style import save
from mhipnn.errors import suggest
from mhipnn.explain import MISTAKES
from mhipnn.run_folder import write_atomically

Plan = Mapping[str, list[Training]]


class Budget:
    """Minutes in which trainings may start."""

    def __init__(self, minutes: float) -> None:
        self._end = time.perf_counter() + 60 * minutes

    @property
    def spent(self) -> bool:
        return time.perf_counter() >= self._end


def train_all(plan: Plan, place: Place, run: Run, budget: Budget, console: Console) -> list[Training]:
    """Train what has no row yet; the trainings that a mistake stopped are told and given back."""
    distinct = {place.row_file(training): training for trainings in plan.values() for training in trainings}
    todo = [training for training in distinct.values() if not _has_row(training, place, console)]
    console.print(f"{len(distinct)} trainings, {len(distinct) - len(todo)} of them finished")
    if place.external is None and (without := [t for t in todo if t.overrides["data"] == EXTERNAL]):
        console.print(f"{len(without)} on {EXTERNAL} are left out: give its labels with --kondo-square FILE")
        todo = [training for training in todo if training not in without]
    failed: list[Training] = []
    for number, training in enumerate(todo):
        if budget.spent:
            console.print(f"the budget is spent; the same command makes the {len(todo) - number} that are left:")
            for left in todo[number:]:
                console.print(f"  {left}")
            break
        console.rule(f"{number + 1} of {len(todo)}: {training}", align="left")
        start = time.perf_counter()
        try:
            row = train(training, place, run)
        except MISTAKES as error:
            console.print(f"error: {' '.join(str(error).split())}", markup=False)
            failed.append(training)
            continue
        accuracy = row["metrics"].get("test/torque_r2")
        console.print(f"{training}: test torque R2 {accuracy}, {time.perf_counter() - start:.0f} s in all")
    return failed


def _has_row(training: Training, place: Place, console: Console) -> bool:
    row = place.row(training)
    if row is not None and row["configuration"] != digest_of(place.configuration(training)):
        console.print(
            f"{training}: made with other defaults (commit {row['commit']}); to make it again, remove "
            f"{place.row_file(training)} and {place.run_folder(training)}"
        )
    return row is not None


def report(
    study: str, title: str, command: str, entries: Sequence[Entry], rivals: Sequence[Entry], folder: Path,
    console: Console,
) -> None:  # fmt: skip
    """Print and write the tables of a study, draw its figure; ``rivals`` may hold the best baseline."""
    if not any(entry.rows for entry in entries):
        console.print(f"{study}: no row yet")
        return
    made = grids(study, title, entries, rivals)
    folder.mkdir(parents=True, exist_ok=True)
    for grid in made:
        console.print(grid.rich())
    write_atomically(folder / "table.md", page(title, command, made, [row for entry in entries for row in entry.rows]))
    figure = save(FIGURES[study]([entry for entry in entries if entry.rows]), folder / f"{study}.png")
    console.print(f"{folder / 'table.md'}, {figure}", soft_wrap=True)


def page(title: str, command: str, made: Sequence[Grid], rows: Sequence[Row]) -> str:
    """The tables as Markdown, under what made them and where."""
    where = sorted({_where(row) for row in rows})
    return "\n\n".join([f"# {title}", f"`{command}`", "\n".join(where), *(grid.markdown() for grid in made)]) + "\n"


def _where(row: Row) -> str:
    return f"- commit {row['commit']}, {row['device']}, {row['threads']} thread(s), torch {row['torch']}"


# ------------------------------------------------------------------ command line


def _models(texts: Sequence[str] | None) -> dict[str, Overrides] | None:
    """Registered names, or variants: `label: model=name key=value ...`."""
    if texts is None:
        return None
    known, chosen = registered_models(), {}
    for text in texts:
        name, _, settings = text.partition(":")
        variant = _overrides(shlex.split(settings)) if settings.strip() else {"model": name}
        if variant.get("model") not in known:
            advice = suggest(str(variant.get("model")), list(known))
            raise argparse.ArgumentTypeError(f"{text!r} names no registered model; {advice}")
        chosen[name] = variant
    return chosen


def _overrides(texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise argparse.ArgumentTypeError(f"expected key=value, got {text!r}")
    return dict(text.split("=", 1) for text in texts)


def _epochs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of epochs; give a whole number >= 1")
    return int(text)


def options() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = list(studies(SIZES["full"]))
    made.add_argument("studies", nargs="*", metavar="STUDY", help=f"of {', '.join(known)} (default: all)")
    made.add_argument("--size", choices=SIZES, default="quick", help="default quick")
    made.add_argument("--tracks", nargs="+", choices=SIZES["full"].tracks, help="default: those of the study")
    made.add_argument("--models", nargs="+", help="registered names or 'label: model=name key=value ...'")
    made.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the trainings (default 0)")
    made.add_argument("--epochs", type=_epochs, help="of a training on all labels (default: those of the size)")
    made.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="more overrides of every training")
    made.add_argument("--budget", type=float, default=float("inf"), help="minutes after which no training starts")
    made.add_argument("--only-table", action="store_true", help="draw tables and figures from the rows that are there")
    made.add_argument("--output", type=Path, default=Path("outputs/benchmarks/accuracy"))
    made.add_argument("--data-root", type=Path, default=Path("datasets"), help="folder of all datasets")
    made.add_argument("--kondo-square", type=Path, metavar="FILE", help=f"labels of the track {EXTERNAL}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 if a training failed."""
    from mhipnn.training.run import run

    parser, console = options(), wide_console()
    if not console.is_terminal:
        console.width = 200
    args = parser.parse_args(arguments)
    size = SIZES[args.size] if args.epochs is None else SIZES[args.size].shortened(args.epochs)
    known = studies(size)
    try:
        models, given = _models(args.models), _overrides(args.set)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    for name in args.studies:
        if name not in known:
            parser.error(f"unknown study {name!r}; {suggest(name, list(known))}")
    chosen = {name: known[name] for name in args.studies or known}
    plan = {name: study.trainings(size, args.seeds, args.tracks, models, given) for name, study in chosen.items()}
    place = Place(args.output, args.data_root, args.kondo_square)
    failed = [] if args.only_table else train_all(plan, place, run, Budget(args.budget), console)
    command = shlex.join(["python", "tools/benchmark_accuracy.py", *(sys.argv[1:] if arguments is None else arguments)])
    trials = gather(known["trials"].trainings(size, args.seeds, args.tracks, None, given), place)
    for name, trainings in plan.items():
        title = f"{chosen[name].title} ({args.size})"
        rivals = [entry for entry in trials if entry.rows and name == "models"]
        report(name, title, command, gather(trainings, place), rivals, args.output / name, console)
    for training in failed:
        console.print(f"failed: {training}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        sys.exit(130)
