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

    For an unknown sex the range reaches from the lower of the two limits to the higher one. For an unknown age it is
    that of adults; whoever shows it says so.

    Args:
        age: years, None where it is unknown.
        sex: ``"female"``, ``"male"`` or None.

    Returns:
        Ranges by the names of `leadset.waves.measure`; none below the age of 11 days, for which none is published here.
    """
    years = ADULT_YEARS if age is None else age
    found: dict[str, Range] = {}
    for band in _table()["bands"]:
        first, end = band["years"]
        if not first <= years < end or (sex and band.get("sex", sex) != sex):
            continue
        for name, (low, high) in band["limits"].items():
            other = found.get(name)
            if other is not None:
                low, high = min(low, other.low), max(high, other.high)
            found[name] = Range(low, high, band["source"])
    return found
