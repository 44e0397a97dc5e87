"""Recordings with a beat only now and then: asystole with an escape beat, extreme bradycardia.

Most of such a lead is silent, so that a typical stretch tells the height of the noise, not that of a complex. A complex
is what stands far out of silence, is brief, is followed by a T wave, and leaves the baseline where it was, as steps and
the discharge of an electrode do not.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d

from leadset.utils.nan_statistics import median
from leadset.waves.baseline import baseline_moves
from leadset.waves.marks import T1, R
from leadset.waves.search import gather, ms
from leadset.waves.wavelet import GRID_RATE

#: The largest slopes are so many times the background; they and those of this share of them are complexes.
STANDS_OUT, HIGH = 5.0, 0.25
#: Largest share of the time in which the slopes exceed half of the largest: some three complexes in ten seconds.
BRIEF = 0.05
#: What is farther than this from a complex is silent: slopes below so many times the background. Silence lasts for so
#: large a share of the time at least, and what is neither for so small a one (beside real beats in silence 0.012 in 98
#: of 100 leads; in recordings of moving electrodes 0.028 and more).
FAR, SILENT, SILENT_SHARE, BETWEEN_SHARE = ms(500), 2.5, 0.5, 0.015
#: A beat has slopes of this share of those of a complex, comes back to the baseline, and has a T wave, in so large a
#: share of the leads.
LOWEST, LEAD_SHARE = 0.25, 0.5
#: Share of the range about R by which the baseline moves at most.
MOST_MOVED = 0.5
#: Reach of a complex.
_REACH = ms(100)


def sparse_height(slopes: np.ndarray, blocks: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(leads,) height of a complex in leads with a beat now and then; NaN for others.

    Args:
        slopes: (leads, t) slope envelope.
        blocks: (leads, blocks) its maxima in blocks.
        background: (leads, blocks) median slope, a running median over blocks.
    """
    out = np.full(len(slopes), np.nan)
    for lead, (row, floor, largest) in enumerate(zip(slopes, np.median(background, axis=1), blocks.max(axis=1),
                                                     strict=True)):
        if largest <= STANDS_OUT * floor or np.count_nonzero(row > largest / 2) >= BRIEF * len(row):
            continue
        least = max(HIGH * largest, STANDS_OUT * floor)
        away, loud = ~maximum_filter1d(row >= least, 2 * FAR + 1), row > SILENT * floor
        if (away & ~loud).mean() >= SILENT_SHARE and (away & loud).mean() <= BETWEEN_SHARE:
            out[lead] = np.median(blocks[lead, blocks[lead] >= least])
    return out


def are_complexes(signal: np.ndarray, slopes: np.ndarray, marks: np.ndarray, with_t: bool) -> np.ndarray:
    """(beats,) which beats of a sparse recording are complexes of the heart.

    Args:
        signal: (leads, t) on the grid, in mV.
        slopes: (leads, t) slope envelope, in units of a complex.
        marks: (leads, beats, 13) on the grid.
        with_t: whether T waves were sought.
    """
    seen = ~np.isnan(marks[:, :, R])
    if not seen.any():
        return seen.any(axis=0)
    leads = np.flatnonzero(seen.any(axis=1))
    place = np.nan_to_num(median(marks[:, :, R], axis=0)).round().astype(int)
    rows, at, shape = np.repeat(leads, len(place)), np.tile(place, len(leads)), (len(leads), len(place))
    high = gather(slopes, rows, at - _REACH, 2 * _REACH + 1).max(axis=1).reshape(shape) >= LOWEST
    back = baseline_moves(signal, GRID_RATE, rows, at).reshape(shape) <= MOST_MOVED
    complexes = seen.any(axis=0) & (high.mean(axis=0) >= LEAD_SHARE) & (back.mean(axis=0) >= LEAD_SHARE)
    if with_t:
        complexes &= (seen & ~np.isnan(marks[:, :, T1])).sum(axis=0) >= LEAD_SHARE * seen.sum(axis=0)
    return complexes
