"""How regular the rhythm is around every beat."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

#: Beats on either side that are looked at.
NEIGHBOURS = 15
#: A change of the RR interval by a larger share counts as this in the mean, so that one pause is not all that counts.
LARGEST_CHANGE = 0.3
#: Two RR intervals whose sum differs from the median by no more than this share of it are one: between them is no beat.
ONE_INTERVAL = 0.15
#: An RR interval shorter than this share of the median ends in a premature beat.
EARLY = 0.85


def rhythm_change(beat: np.ndarray) -> np.ndarray:
    """(beats,) median change from one RR interval to the next over the median interval, of the beats around each."""
    if len(beat) < 4:
        return np.zeros(len(beat))
    changes, medians = np.abs(np.diff(np.diff(beat).astype(float))), _median_around(beat)
    if len(beat) <= 2 * NEIGHBOURS:
        return np.full(len(beat), np.median(changes) / medians[0])
    return np.pad(median_filter(changes, size=2 * NEIGHBOURS - 1, mode="mirror") / medians[1:], 1, mode="edge")


def irregularity(beat: np.ndarray) -> np.ndarray:
    """(beats,) mean change from one RR interval to the next over the median interval, of the beats around each.

    A few pauses or premature beats, which the median of `rhythm_change` leaves out, count here; a beat that noise hides
    or makes up does not.
    """
    if len(beat) < 4:
        return np.zeros(len(beat))
    ratios, ends = _in_medians(beat)
    changes, counted = np.zeros(len(beat)), np.zeros(len(beat), dtype=bool)
    changes[ends[1:]], counted[ends[1:]] = np.minimum(np.abs(np.diff(ratios)), LARGEST_CHANGE), True
    if len(beat) <= 2 * NEIGHBOURS:
        return np.full(len(beat), changes.sum() / max(counted.sum(), 1))
    return mean_around(changes, counted)


def premature(beat: np.ndarray) -> np.ndarray:
    """(beats,) whether the RR interval before each is short beside those around it."""
    if len(beat) < 4:
        return np.zeros(len(beat), dtype=bool)
    return np.append(False, np.diff(beat) < EARLY * _median_around(beat))


def mean_around(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over those of the values (n,) around each that are counted (n,); 0 where none is."""
    size = 2 * NEIGHBOURS + 1
    rows = values * counted, counted.astype(float)
    total, count = (uniform_filter1d(row, size, mode="constant") * size for row in rows)
    return total / np.maximum(count, 1)


def _in_medians(beat: np.ndarray) -> tuple[list[float], list[int]]:
    """RR intervals in units of the median around each, and the beats that end them; two about a made-up beat are one,
    and one with hidden beats is a part of itself."""
    intervals, medians = np.diff(beat).astype(float), _median_around(beat)
    ratios, ends, at = [], [], 0
    while at < len(intervals):
        ratio, parts = intervals[at] / medians[at], 1
        if at + 1 < len(intervals) and abs(ratio + intervals[at + 1] / medians[at] - 1) <= ONE_INTERVAL:
            ratio, parts = ratio + intervals[at + 1] / medians[at], 2
        at += parts
        ratios.append(ratio / max(round(ratio), 1))
        ends.append(at)
    return ratios, ends


def _median_around(beat: np.ndarray) -> np.ndarray:
    """(beats - 1,) median of the RR intervals around each."""
    intervals = np.diff(beat).astype(float)
    if len(beat) <= 2 * NEIGHBOURS:
        return np.full(len(intervals), np.median(intervals))
    return median_filter(intervals, size=2 * NEIGHBOURS - 1, mode="mirror")
