"""How regular the rhythm is around every beat."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.ndimage import median_filter

#: Beats on either side that are looked at.
NEIGHBOURS = 15


def rhythm_change(beat: np.ndarray) -> np.ndarray:
    """(beats,) median change from one RR interval to the next over the median interval, of the beats around each."""
    if len(beat) < 4:
        return np.zeros(len(beat))
    intervals = np.diff(beat).astype(float)
    changes = np.abs(np.diff(intervals))
    if len(beat) <= 2 * NEIGHBOURS:
        return np.full(len(beat), np.median(changes) / np.median(intervals))
    around = partial(median_filter, size=2 * NEIGHBOURS - 1, mode="mirror")
    return np.pad(around(changes) / around(intervals)[1:], 1, mode="edge")
