"""How regular the rhythm is around every beat."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

#: Beats on either side that are looked at.
NEIGHBOURS = 15
#: A change of the RR interval by a larger share counts as this in the mean: one pause is not all that counts.
LARGEST_CHANGE = 0.3
#: Two RR intervals whose sum differs from the median by no more than this share of it are one: between them is no beat.
ONE_INTERVAL = 0.15
#: An RR interval shorter than this share of the median ends in a premature beat.
EARLY = 0.85
#: Changes between RR intervals without premature beats that are enough to tell how regular a rhythm is.
FEWEST = 3


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

    Left out are the intervals about premature beats, between which a sinus rhythm is regular, if `FEWEST` changes are
    left; and beats that noise hides or makes up.
    """
    if len(beat) < 4:
        return np.zeros(len(beat))
    ratios, ends = _in_medians(beat)
    early = ratios < EARLY
    about = early | np.append(False, early[:-1])
    changes, counted, undisturbed = np.zeros(len(beat)), np.zeros(len(beat), bool), np.zeros(len(beat), bool)
    changes[ends[1:]], counted[ends[1:]] = np.minimum(np.abs(np.diff(ratios)), LARGEST_CHANGE), True
    undisturbed[ends[1:]] = ~(about[1:] | about[:-1])
    mean = mean_around(changes, undisturbed, FEWEST)
    return np.where(np.isnan(mean), mean_around(changes, counted), mean)


def premature(beat: np.ndarray) -> np.ndarray:
    """(beats,) whether the RR interval before each is short beside those around it."""
    if len(beat) < 4:
        return np.zeros(len(beat), dtype=bool)
    return np.append(False, np.diff(beat) < EARLY * _median_around(beat))


def mean_around(values: np.ndarray, counted: np.ndarray, fewest: int = 1) -> np.ndarray:
    """Mean over those of the values (n,) around each, or of few in all, that are counted (n,); NaN where fewer are."""
    size = 2 * (NEIGHBOURS if len(values) > 2 * NEIGHBOURS else len(values)) + 1
    rows = values * counted, counted.astype(float)
    total, count = (uniform_filter1d(row, size, mode="constant") * size for row in rows)
    return np.where(count > fewest - 0.5, total / np.maximum(count, 1), np.nan)


def _in_medians(beat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    return np.array(ratios), np.array(ends)


def _median_around(beat: np.ndarray) -> np.ndarray:
    """(beats - 1,) median of the RR intervals around each."""
    intervals = np.diff(beat).astype(float)
    if len(beat) <= 2 * NEIGHBOURS:
        return np.full(len(intervals), np.median(intervals))
    return median_filter(intervals, size=2 * NEIGHBOURS - 1, mode="mirror")
