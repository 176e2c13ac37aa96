"""``python -m mhipnn.analyze trajectory=[...]``: runs of one quench compared, as a table, a report and a figure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...errors import ConfigError
from ...run_folder import write_atomically
from ..analyze_report import shown, write_numbers
from ..jackknife import Estimate
from ..observables.base import instants
from ..selection import frames_bar, make_folder
from ..style import save
from .compare import Comparison, compare_trajectories
from .figure import comparison_sheet
from .numbers import lines, numbers
from .recorded_run import RecordedRun

_OF_ONE = ("observables", "export", "potential", "checkpoint")
"""Settings that mean nothing to several trajectories."""


def run(cfg: DictConfig) -> dict[str, Any]:
    """Compare the trajectories of ``cfg.trajectory`` with the first of them; returns the content of comparison.json.

    Args:
        cfg: as composed from ``conf/analyze.yaml``: ``trajectory`` (a list), ``names``, ``start``, ``stop``,
            ``frames``, ``replicas``, ``output``, ``correlation``.

    Raises:
        UserError: see :func:`.compare.compare_trajectories`; a setting that is for one trajectory.
    """
    for name in _OF_ONE:
        if cfg.get(name) is not None:
            raise ConfigError(f"{name}=... is for one trajectory; a list of them is compared, without it")
    if cfg.names is not None and not OmegaConf.is_list(cfg.names):
        raise ConfigError(f"names={cfg.names}: give a list [A,B,...], one name a trajectory")
    paths = [str(path) for path in cfg.trajectory]
    with frames_bar() as bar:
        result = compare_trajectories(
            paths,
            names=None if cfg.names is None else [str(name) for name in cfg.names],
            start=cfg.start,
            stop=cfg.stop,
            frames=cfg.frames,
            replicas=cfg.replicas,
            r_max=cfg.correlation.r_max,
            bin_width=cfg.correlation.bin_width,
            track=lambda numbers: bar.track(list(numbers), description="frames"),
        )
    drawn = _instants(result, cfg.correlation.n_times)
    folder = Path(cfg.output) if cfg.output else Path(paths[0]).resolve().parent / "comparison"
    make_folder(folder)
    save(comparison_sheet(result, drawn), folder / "comparison.png")
    write_atomically(folder / "comparison.md", report(result, drawn, folder))
    content = write_numbers(folder / "comparison.json", numbers(result))
    _print(result, folder)
    return content


def _instants(result: Comparison, n_times: int) -> list[int]:
    """Even in time up to the last; t = 0, where all are equal, is left out."""
    even = {*instants(result.times, n_times, "correlation.n_times"), len(result.times) - 1}
    return sorted(instant for instant in even if result.times[instant] > 0)


def report(result: Comparison, drawn: list[int], folder: Path) -> str:
    """The numbers as Markdown."""
    runs, reference = [one.run for one in result.runs], result.reference.run
    made = [
        [run.name, run.potential, run.integrator, "-" if run.time_step is None else f"{run.time_step:g}", run.version]
        for run in runs
    ]
    table = [
        [line.quantity + (f" ({line.unit})" if line.unit else ""), *(_text(value) for value in line.values)]
        for line in lines(result)
    ]
    notes = [_note(run, reference) for run in runs[1:]]
    files = "\n".join(f"- {_cell(run.name)}: `{os.path.relpath(run.path.resolve(), folder.resolve())}`" for run in runs)
    panels = "abcd" if any(one.audit is not None for one in result.runs) else "abc"
    audits = sorted({str(one.run.audit) for one in result.runs if one.audit is not None})
    audit = f" ({panels[-1]}) 1 - R^2 of the torques, audited by {' and '.join(audits)} electrons." if audits else ""
    first, last = (chr(ord(panels[-1]) + k) for k in (1, len(drawn)))
    profiles = f"({first})" if first == last else f"({first}) to ({last})"
    return f"""# Runs of one quench

{result.n_replicas} realisations of {result.n_sites} sites, {len(result.times)} frames, t = {result.times[0]:g} to
{result.times[-1]:.6g} hbar/t0: the same sites, first spins and seeds of the noise.
The reference is {_cell(reference.name)}.

{_markdown(["run", "potential", "integrator", "time step (hbar/t0)", "mhipnn"], made)}

{"".join(notes)}
{_markdown(["", *(run.name for run in runs)], table)}

![Runs compared](comparison.png)

(a) Energy per site, mean and standard error over realisations. (b) sqrt(sum |S_i - S'_i|^2/sum |S'_i|^2), S' the
spins of {_cell(reference.name)}: sqrt 2 for unrelated spins. (c) Largest deviation of C(r, t) over r, in standard
errors of the reference.{audit} {profiles} C(r) with standard errors, runs a little apart in r.

Errors are standard errors over realisations; the difference of the energies is taken realisation by realisation.
Bins at t = 0 are not counted.

{files}
"""


def _note(run: RecordedRun, reference: RecordedRun) -> str:
    """What was set otherwise than for the reference."""
    differences = "; ".join(f"`{one}`" for one in run.differences(reference)) or "nothing"
    noise = " A step of another length draws other noise." if run.other_noise(reference) else ""
    return f"- {_cell(run.name)} differs from the reference in {differences}.{noise}\n"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    body = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in body)


def _cell(text: str) -> str:
    """Names come from files."""
    return " ".join(text.split()).replace("|", "\\|")


def _print(result: Comparison, folder: Path) -> None:
    table = Table(
        title=f"{len(result.runs)} runs of {result.n_replicas} x {result.n_sites} spins, {len(result.times)} frames, "
        f"t = {result.times[0]:g} to {result.times[-1]:.6g}",
        title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("quantity", overflow="fold")
    for run in result.runs:
        table.add_column(escape(run.run.name), justify="right", overflow="fold")
    table.add_column("unit")
    for line in lines(result):
        table.add_row(escape(line.quantity), *(escape(_text(value)) for value in line.values), line.unit)
    console = Console()
    console.print(table)
    console.print(f"comparison.md, comparison.json and comparison.png in {folder}", soft_wrap=True, highlight=False)


def _text(value: Estimate | str) -> str:
    return value if isinstance(value, str) else shown(value)
