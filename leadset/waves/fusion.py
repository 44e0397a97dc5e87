"""One set of marks per beat out of those of all leads.

Selection rule of the wavedet implementation of Martínez et al. 2004: sort the leads' marks; the global onset is the
earliest that is confirmed by enough others close behind it, the global end the latest confirmed by others close before
it. Peaks are medians. A lead without the mark abstains.
"""

from __future__ import annotations

import numpy as np

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
    fused = np.full((beats, len(MARKS)), np.nan)
    if not beats:
        return fused
    there = ~np.isnan(marks)
    count = there.sum(axis=0)
    needed = np.maximum(QUORUM * there.any(axis=2).sum(axis=0), 1)
    ordered = np.sort(marks, axis=0)  # NaN last
    for column in range(len(MARKS)):
        values, n = ordered[:, :, column], count[:, column]
        enough = n >= needed
        if column in LIMITS:
            direction, delta = LIMITS[column]
            chosen = _confirmed(values, n, direction, delta * fs / 1000, confirmations(leads))
        else:
            chosen = _median(values, n)
        fused[enough, column] = chosen[enough]
    drop_disordered(fused)
    return fused


def lead_median(values: np.ndarray) -> np.ndarray:
    """(beats,) median over the leads of (leads, beats) that are not NaN; many times as fast as `numpy.nanmedian`."""
    return _median(np.sort(values, axis=0), (~np.isnan(values)).sum(axis=0))


def _median(ordered: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(beats,) median of the first ``n`` of each sorted column of (leads, beats)."""
    beats = np.arange(ordered.shape[1])
    low, high = ordered[np.maximum(n - 1, 0) // 2, beats], ordered[np.minimum(n // 2, len(ordered) - 1), beats]
    return (low + high) / 2


def _confirmed(ordered: np.ndarray, n: np.ndarray, direction: int, delta: float, k: int) -> np.ndarray:
    """(beats,) the outermost mark with ``k`` further ones within ``delta`` towards the inside, else the median."""
    leads, beats = ordered.shape
    chosen = _median(ordered, n)
    if k == 0:
        outer = ordered[0] if direction > 0 else ordered[np.maximum(n - 1, 0), np.arange(beats)]
        return np.where(n > 0, outer, np.nan)
    close = ordered[k:] - ordered[:-k] <= delta  # NaN compares False
    if direction > 0:
        at = close.argmax(axis=0)
    else:
        at = leads - 1 - close[::-1].argmax(axis=0)
    return np.where(close.any(axis=0), ordered[at, np.arange(beats)], chosen)
