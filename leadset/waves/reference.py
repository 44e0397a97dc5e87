"""Reference ranges of measurements by age and sex, as published (`reference_ranges.toml` names the sources)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("reference_ranges.toml")
#: From which age on the ranges of adults are taken; also those for an unknown age.
ADULT_YEARS = 16


@dataclass(frozen=True)
class Range:
    """Lowest and highest value of a reference range, and the key of its source in `sources`."""

    low: float
    high: float
    source: str


@cache
def _table() -> dict:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def sources() -> dict[str, str]:
    """Citations of the published ranges by their keys."""
    return dict(_table()["sources"])


def reference_ranges(age: float | None, sex: str | None) -> dict[str, Range]:
    """Ranges of those measurements that have one for this person.

    Where several published bands fit, that of the fewest years is taken. For an unknown sex the range reaches from the
    lower of the two limits to the higher one. For an unknown age it is that of adults; whoever shows it says so.

    Args:
        age: years, None where it is unknown.
        sex: ``"female"``, ``"male"`` or None.

    Returns:
        Ranges by the names of `leadset.waves.measure`; none below the age of 11 days, for which none is published here.
    """
    years = ADULT_YEARS if age is None else age
    found: dict[str, Range] = {}
    for one in (sex,) if sex else ("female", "male"):
        for name, band in _closest(years, one).items():
            other = found.setdefault(name, band)
            wider = band if band.high > other.high else other
            found[name] = Range(min(band.low, other.low), max(band.high, other.high), wider.source)
    return found


def _closest(years: float, sex: str) -> dict[str, Range]:
    """Ranges of a person: of each measurement those of the fewest years around that age, of that sex if there are some.
    """
    fitting = [
        band for band in _table()["bands"]
        if band["years"][0] <= years < band["years"][1] and band.get("sex", sex) == sex
    ]  # fmt: skip
    found = {}
    for band in sorted(fitting, key=lambda band: (band["years"][0] - band["years"][1], "sex" in band)):
        found |= {name: Range(low, high, band["source"]) for name, (low, high) in band["limits"].items()}
    return found
