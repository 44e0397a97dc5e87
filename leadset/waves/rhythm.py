"""How regular the rhythm is around every beat."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

#: Beats on either side that are looked at.
NEIGHBOURS = 15
#: A change of the RR interval by a larger share counts as this in the mean, so that one pause is not all that counts.
LARGEST_CHANGE = 0.3
#: An RR interval shorter than this share of the median ends in a premature beat.
EARLY = 0.85


def rhythm_change(beat: np.ndarray) -> np.ndarray:
    """(beats,) median change from one RR interval to the next over the median interval, of the beats around each."""
    if len(beat) < 4:
        return np.zeros(len(beat))
    changes, median = _changes(beat)
    if len(beat) <= 2 * NEIGHBOURS:
        return np.full(len(beat), np.median(changes) / median[0])
    around = partial(median_filter, size=2 * NEIGHBOURS - 1, mode="mirror")
    return np.pad(around(changes) / median[1:], 1, mode="edge")


def irregularity(beat: np.ndarray) -> np.ndarray:
    """(beats,) mean change from one RR interval to the next over the median interval, of the beats around each.

    A few pauses or premature beats, which the median of `rhythm_change` leaves out, count here.
    """
    if len(beat) < 4:
        return np.zeros(len(beat))
    changes, median = _changes(beat)
    changes = np.minimum(changes / median[1:], LARGEST_CHANGE)
    if len(beat) <= 2 * NEIGHBOURS:
        return np.full(len(beat), changes.mean())
    return np.pad(mean_around(changes), 1, mode="edge")


def premature(beat: np.ndarray) -> np.ndarray:
    """(beats,) whether the RR interval before each is short beside those around it."""
    if len(beat) < 4:
        return np.zeros(len(beat), dtype=bool)
    return np.append(False, np.diff(beat) < EARLY * _changes(beat)[1])


def mean_around(values: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """Mean over the values (n,) around each, or those of them that are counted (n,); 0 where there is none."""
    counted = np.ones(len(values)) if counted is None else counted.astype(float)
    size = 2 * NEIGHBOURS + 1
    total, count = (uniform_filter1d(row, size, mode="constant") * size for row in (values * counted, counted))
    return total / np.maximum(count, 1)


def _changes(beat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute changes (beats - 2,) from one RR interval to the next; median of the intervals around each (beats - 1,).
    """
    intervals = np.diff(beat).astype(float)
    if len(beat) <= 2 * NEIGHBOURS:
        median = np.full(len(intervals), np.median(intervals))
    else:
        median = median_filter(intervals, size=2 * NEIGHBOURS - 1, mode="mirror")
    return np.abs(np.diff(intervals)), median
