"""What is wrong with a lead, and a signal that can be analysed all the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Names of what may be wrong with a lead.
FLAGS: tuple[str, ...] = ("missing samples", "flat", "clipped", "noisy")
#: Peak-to-peak range in mV under which a lead is flat.
FLAT_RANGE = 0.02
#: A lead with a larger share of missing samples abstains.
MOST_MISSING = 0.5


@dataclass(frozen=True)
class Repaired:
    """Attributes: ``signal`` (leads, samples) finite; ``missing`` (leads, samples) samples that were not there;
    ``usable`` (leads,) False for leads that abstain; ``quality`` (leads,); ``flags`` per lead."""

    signal: np.ndarray
    missing: np.ndarray
    usable: np.ndarray
    quality: np.ndarray
    flags: tuple[frozenset[str], ...]


def repair(signal: np.ndarray, fs: float) -> Repaired:
    """Bridges missing samples by straight lines and finds leads that cannot be used."""
    missing = ~np.isfinite(signal)
    if missing.any():
        signal = signal.copy()
        for row, gaps in zip(signal, missing, strict=True):
            there = np.nonzero(~gaps)[0]
            row[gaps] = np.interp(np.nonzero(gaps)[0], there, row[there]) if len(there) else 0
    usable = (missing.mean(axis=1) <= MOST_MISSING) & (np.ptp(signal, axis=1) > FLAT_RANGE)
    return Repaired(signal, missing, usable, usable.astype(float), tuple(frozenset() for _ in usable))
