"""The units of a dataset: model Hamiltonians count in t0 and mean spacings, other data keep their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import DatasetError, suggest

SPELLING = "energy=eV, length=Angstrom"


@dataclass(frozen=True)
class Units:
    """What numbers count in: fields are energy/moment, forces energy/length, times hbar/energy.

    Args:
        energy, length: names of the units, such as eV and Angstrom.
        moment: of the spins, such as mu_B; "1" for dimensionless spins.

    Raises:
        DatasetError: an empty name, or one that its one-line spelling cannot hold.
    """

    energy: str
    length: str
    moment: str = "1"

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            bad = not isinstance(value, str) or not value.strip() or any(c in value for c in ",=\"'\\\n\r")
            if bad or value != value.strip():
                raise DatasetError(f"units: {name} = {value!r} is not a unit; give a plain word, such as {SPELLING}")

    @classmethod
    def parse(cls, text: str) -> Units:
        """Inverse of ``str``: "energy=t0, length=mean spacing"; raises DatasetError."""
        pairs = [part.partition("=") for part in text.split(",")]
        if any(separator != "=" for _, separator, _ in pairs):
            raise DatasetError(f"units: cannot read {text!r}; the spelling is {SPELLING!r}")
        return cls.of({name.strip(): value.strip() for name, _, value in pairs})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Units:
        """From a table of names; raises DatasetError for one that is unknown or missing."""
        known = ("energy", "length", "moment")
        for name in values:
            if name not in known:
                raise DatasetError(f"units: unknown entry {name!r}; {suggest(str(name), known)}")
        given = {name: value for name, value in values.items() if value is not None}
        missing = [name for name in ("energy", "length") if name not in given]
        if missing:
            raise DatasetError(f"units: no {' and no '.join(missing)}; give both energy and length, as in {SPELLING}")
        return cls(**given)

    def __str__(self) -> str:
        moment = "" if self.moment == "1" else f", moment={self.moment}"
        return f"energy={self.energy}, length={self.length}{moment}"

    def to_dict(self) -> dict[str, str]:
        """For the record of a checkpoint."""
        values = {"energy": self.energy, "length": self.length, "time": f"hbar/{self.energy}"}
        return values if self.moment == "1" else values | {"moment": self.moment}


MODEL_UNITS = Units("t0", "mean spacing")
