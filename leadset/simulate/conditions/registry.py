"""The list of conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leadset.classes import label_space
from leadset.simulate.draws import Draws
from leadset.simulate.heart import Heart

#: Changes the hearts of the rows that have a diagnosis, in place. It must draw for all rows, whether they have it or
#: not (see `leadset.simulate.draws.Draws`), and may change only its own.
Change = Callable[[Heart, np.ndarray, Draws], None]


@dataclass(frozen=True)
class Condition:
    """A diagnosis that can be simulated.

    Attributes:
        abbreviation: its short name.
        codes: SNOMED CT codes it is written as.
        counts: recordings with each code in the public Challenge data.
        mean_age: of the patients, in years.
        change: what it does to a heart.
    """

    abbreviation: str
    codes: tuple[str, ...]
    counts: tuple[int, ...]
    mean_age: float
    change: Change


#: Every condition by its abbreviation, in the order in which they are applied.
CONDITIONS: dict[str, Condition] = {}

#: Frequent codes of the public data that are no class of a label space by themselves.
_OTHER_CODES = {"VEB": ("164884008",), "LVH": ("164873001",), "LVHV": ("55827005",), "NSSTTA": ("428750005",)}


def condition(abbreviation: str, counts: tuple[int, ...], mean_age: float = 60.0) -> Callable[[Change], Change]:
    """Registers a change as the condition of a class of the two label spaces, or of one of `_OTHER_CODES`."""

    def register(change: Change) -> Change:
        codes = _codes(abbreviation)
        if len(codes) != len(counts):
            raise ValueError(f"{abbreviation} has {len(codes)} codes, but {len(counts)} counts")
        CONDITIONS[abbreviation] = Condition(abbreviation, codes, counts, mean_age, change)
        return change

    return register


def _codes(abbreviation: str) -> tuple[str, ...]:
    known = dict(_OTHER_CODES)
    for space in ("cpsc2018", "challenge2021"):
        known |= {diagnosis.abbreviation: diagnosis.codes for diagnosis in label_space(space).classes}
    return known[abbreviation]
