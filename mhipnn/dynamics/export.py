"""Trajectories for other programs: extended XYZ (OVITO, ASE) and XML VTK (ParaView)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import quoteattr

import numpy as np

from ..atomic import atomic_path
from ..configuration import Array, SpinConfiguration
from ..errors import InputError
from .frames import Trajectory
from .trajectory import TrajectoryReader

Source = Trajectory | TrajectoryReader | str | Path


def write_extxyz(
    path: str | Path, trajectory: Source, replica: int = 0, symbols: Sequence[str] = (), every: int = 1
) -> Path:
    """One frame of the file for each instant of one replica, frame by frame, in bounded memory.

    Columns: ``species``, ``pos``, ``spins`` (three numbers), ``moments``, ``species_index``; in the comment ``time``,
    ``energy`` and ``step_of_trajectory``, the number of the recorded instant. OVITO shows ``spins`` as vectors.

    Args:
        path: an existing file is replaced, once the new one is whole.
        trajectory: a trajectory, a reader, or the path of its file.
        replica: its number.
        symbols: the element that stands for species 0, 1, ...; default X for each.
        every: write every so many recorded instants.

    Raises:
        InputError: no such replica, too few symbols, a file that cannot be written.
        DatasetError: the trajectory cannot be read.
    """
    path = Path(path)
    with _writing(path), atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        for number, time, energy, spins, config in _instants(trajectory, replica, every):
            _write_frame(file, number, time, energy, spins, config, symbols)
    return path


def write_vtk(path: str | Path, trajectory: Source, replica: int = 0, every: int = 1) -> Path:
    """A ParaView collection ``NAME.pvd`` and one point cloud ``NAME_0000.vtp`` for each instant of one replica.

    Point data: ``spin`` (three numbers; *Glyph* draws arrows), ``moment``, ``species``. Times are those of the run.

    Args:
        path: of the collection; ends in .pvd.
        trajectory, replica, every: as in :func:`write_extxyz`.

    Raises:
        InputError: another ending, no such replica, a file that cannot be written.
        DatasetError: the trajectory cannot be read.
    """
    path = Path(path)
    if path.suffix != ".pvd":
        raise InputError(f"{path}: a collection for ParaView ends in .pvd")
    entries = []
    with _writing(path):
        for number, time, _, spins, config in _instants(trajectory, replica, every):
            name = f"{path.stem}_{number:06d}.vtp"
            with atomic_path(path.with_name(name)) as partial:
                partial.write_text(_point_cloud(config, spins), encoding="utf-8")
            entries.append(f'    <DataSet timestep="{time:.17g}" group="" part="0" file={quoteattr(name)}/>\n')
        with atomic_path(path) as partial:
            partial.write_text(_vtk("Collection", "  <Collection>\n" + "".join(entries) + "  </Collection>\n"))
    return path


def _instants(source: Source, replica: int, every: int) -> Iterator[tuple[int, float, float, Array, SpinConfiguration]]:
    """(number, time, energy, spins (N, 3), sites) of one replica."""
    if isinstance(source, str | Path):
        with TrajectoryReader(source) as reader:
            yield from _instants(reader, replica, every)
        return
    if not (0 <= replica < source.n_replicas and int(replica) == replica):
        raise InputError(
            f"export: replica {replica} of {source.n_replicas}; give one from 0 to {source.n_replicas - 1}"
        )
    if every < 1 or int(every) != every:
        raise InputError(f"export: every={every}; give a whole number >= 1")
    config = source.configs[replica]
    for number in range(0, len(source.times), every):
        spins = source.spins(number)[replica] if isinstance(source, TrajectoryReader) else source.spins[number, replica]
        yield number, float(source.times[number]), float(source.energies[number, replica]), spins, config


def _write_frame(
    file: TextIO,
    number: int,
    time: float,
    energy: float,
    spins: Array,
    config: SpinConfiguration,
    symbols: Sequence[str],
) -> None:
    if symbols and len(symbols) <= config.species.max():
        raise InputError(f"export: {len(symbols)} symbols for {config.species.max() + 1} species; give one for each")
    pbc = " ".join("T" if periodic else "F" for periodic in config.pbc)
    comment = (
        f'Lattice="{" ".join(f"{value:.17g}" for value in config.cell.ravel())}" '
        "Properties=species:S:1:pos:R:3:spins:R:3:moments:R:1:species_index:I:1 "
        f'time={time:.17g} energy={energy:.17g} step_of_trajectory={number} pbc="{pbc}"'
    )
    rows = np.concatenate([config.positions, spins, config.moments[:, None]], axis=1).tolist()
    file.write(f"{config.n_sites}\n{comment}\n")
    for kind, row in zip(config.species.tolist(), rows, strict=True):
        file.write(f"{symbols[kind] if symbols else 'X'} " + " ".join(f"{value:.17g}" for value in row) + f" {kind}\n")


def _point_cloud(config: SpinConfiguration, spins: Array) -> str:
    n = config.n_sites
    arrays = _array("spin", spins) + _array("moment", config.moments) + _array("species", config.species)
    vertices = _array("connectivity", np.arange(n)) + _array("offsets", np.arange(1, n + 1))
    return _vtk(
        "PolyData",
        f'  <PolyData>\n    <Piece NumberOfPoints="{n}" NumberOfVerts="{n}" NumberOfLines="0" NumberOfStrips="0" '
        f'NumberOfPolys="0">\n<PointData Vectors="spin">\n{arrays}</PointData>\n'
        f"<Points>\n{_array('points', config.positions)}</Points>\n<Verts>\n{vertices}</Verts>\n"
        "    </Piece>\n  </PolyData>\n",
    )


def _vtk(kind: str, body: str) -> str:
    head = f'<VTKFile type="{kind}" version="1.0" byte_order="LittleEndian" header_type="UInt64">'
    return f'<?xml version="1.0"?>\n{head}\n{body}</VTKFile>\n'


def _array(name: str, values: np.ndarray) -> str:
    kind = "Int64" if values.dtype.kind in "iu" else "Float64"
    width = 1 if values.ndim == 1 else values.shape[1]
    text = " ".join(map(repr, values.ravel().tolist()))
    return f'<DataArray type="{kind}" Name="{name}" NumberOfComponents="{width}" format="ascii">{text}</DataArray>\n'


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Whatever goes wrong on the disk as one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"export: {path} cannot be written: {error.strerror or error}") from error
