"""One set of marks per beat out of those of all leads.

Selection rule of the wavedet implementation of Martínez et al. 2004: sort the leads' marks; the global onset is the
earliest that is confirmed by enough others close behind it, the global end the latest confirmed by others close before
it. Peaks are medians. A lead without the mark does not count.
"""

from __future__ import annotations

import numpy as np

from leadset.utils.nan_statistics import median_of_sorted
from leadset.waves.marks import MARKS, PEND, PON, QRSEND, QRSON, TEND, TON, drop_disordered

#: mark: (direction of the wave's inside, milliseconds within which others confirm)
LIMITS: dict[int, tuple[int, float]] = {
    PON: (1, 4), PEND: (-1, 4), QRSON: (1, 12), QRSEND: (-1, 10), TON: (1, 12), TEND: (-1, 12),
}
#: A wave is kept when at least this share of the leads with a complex shows it.
QUORUM = 1 / 3


def confirmations(leads: int) -> int:
    """Number of other leads that must confirm a limit."""
    return 3 if leads >= 7 else 2 if leads >= 4 else 1 if leads == 3 else 0


def fuse(marks: np.ndarray, fs: float) -> np.ndarray:
    """(beats, 13) marks common to all leads from (leads, beats, 13), both in samples at ``fs`` Hz."""
    leads, beats, _ = marks.shape
    if not beats:
        return np.full((0, len(MARKS)), np.nan)
    there = ~np.isnan(marks)
    count = there.sum(axis=0)
    needed = np.maximum(QUORUM * there.any(axis=2).sum(axis=0), 1)
    ordered = np.sort(marks, axis=0)  # NaN last
    fused = median_of_sorted(ordered, count)
    for direction in (1, -1):
        columns = [column for column, (inside, _) in LIMITS.items() if inside == direction]
        delta = np.array([LIMITS[column][1] for column in columns]) * fs / 1000
        outermost = _outermost(ordered[:, :, columns], direction, delta, confirmations(leads))
        fused[:, columns] = np.where(np.isnan(outermost), fused[:, columns], outermost)
    fused[count < needed[:, None]] = np.nan
    drop_disordered(fused)
    return fused


def _outermost(ordered: np.ndarray, direction: int, delta: np.ndarray, k: int) -> np.ndarray:
    """(beats, m) the outermost of the sorted marks (leads, beats, m) with ``k`` further ones within ``delta`` (m,)
    towards the inside, NaN where none has."""
    leads = len(ordered)
    close = ordered[k:] - ordered[: leads - k] <= delta  # NaN compares False
    at = close.argmax(axis=0) if direction > 0 else leads - 1 - close[::-1].argmax(axis=0)
    return np.where(close.any(axis=0), np.take_along_axis(ordered, at[None], axis=0)[0], np.nan)
