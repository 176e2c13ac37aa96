"""One table of every tensor that a graph can carry: its level, shape, unit and meaning.

The level alone decides how a tensor collates into a batch (see ``data.graph.SpinGraph``): site and edge
tensors are joined along their first axis, ``edge_index`` along its second with the site count added,
graph tensors get one row a graph.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["graph", "site", "edge"]


class Key(NamedTuple):
    level: Level
    shape: tuple[int | str, ...]
    unit: str
    meaning: str


KEYS: dict[str, Key] = {
    # inputs
    "positions": Key("site", ("N", 3), "length", "R_i"),
    "spins": Key("site", ("N", 3), "1", "S_i"),
    "species": Key("site", ("N",), "1", "integer species of site i"),
    "moments": Key("site", ("N",), "moment", "mu_i >= 0; 0: a vacancy"),
    "cell": Key("graph", (1, 3, 3), "length", "cell vectors, one a row"),
    "pbc": Key("graph", (1, 3), "1", "which cell vectors are periods"),
    "edge_index": Key("edge", (2, "E"), "1", "[source j, receiver i], sorted by receiver"),
    "edge_offset": Key("edge", ("E", 3), "length", "periodic offset: r_ij = R_j - R_i + edge_offset"),
    # labels
    "energy": Key("graph", (1,), "energy", "E"),
    "field": Key("site", ("N", 3), "energy", "B_i = -dE/dS_i"),
    "forces": Key("site", ("N", 3), "energy/length", "F_i = -dE/dR_i"),
    # where a configuration comes from
    "realisation": Key("graph", (1,), "1", "number of the disorder realisation within its split"),
    "time": Key("graph", (1,), "hbar/energy", "time since the quench; -1 for uncorrelated spins"),
}
