"""Corrections of marks in leads that disagree with the other leads of the same beat.

One heart makes the waves of all leads. With fewer than three leads nothing is corrected.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leadset.utils.nan_statistics import median
from leadset.waves.marks import P1, PEND, PON, QRSEND, QRSON, TEND, TON, WAVES, R
from leadset.waves.search import ms

#: Fewest leads among which a disagreement can be settled.
FEWEST = 3
#: A P wave needs this share of all leads of its beat and of the two beats before and after to have a P wave within
#: so many grid samples of its own time before R; among few leads, of which one may show none, a smaller share.
P_SUPPORT, P_SUPPORT_OF_FEW, P_AGREEMENT, NEIGHBOURS = 0.45, 0.25, ms(36), 2
#: Farthest that an onset or end may lie from the median of the leads, in grid samples.
LIMIT_REACH: dict[int, int] = {PON: ms(16), PEND: ms(16), QRSON: ms(16), QRSEND: ms(20), TON: ms(40), TEND: ms(32)}
#: A peak this far from the median of the leads is sought again, within this margin around the other leads' limits.
STRAY, MARGIN = ms(60), ms(16)


def look_again(marks: np.ndarray, on: int, peak: int, end: int, find: Callable[..., np.ndarray]) -> None:
    """Seeks a wave again, in place, between the other leads' limits, in leads that lack it or have it elsewhere.

    Args:
        marks: (leads, beats, 13).
        on, peak, end: columns of the wave; a second peak lies between ``peak`` and ``end``.
        find: ``find(lead, start, stop)`` gives (n, 4) onset, peaks and end within windows (n,).
    """
    peaks = marks[:, :, peak]
    middle = median(peaks, axis=0)
    count = (~np.isnan(peaks)).sum(axis=0)
    common = (count >= FEWEST) & (2 * count >= (~np.isnan(marks[:, :, R])).sum(axis=0))
    stray = ~(np.abs(peaks - middle) <= STRAY) & common & ~np.isnan(marks[:, :, R])
    lead, beat = np.nonzero(stray)
    if not len(lead):
        return
    start, stop = median(marks[:, :, on], axis=0)[beat] - MARGIN, median(marks[:, :, end], axis=0)[beat] + MARGIN
    wave = find(lead, start, stop)
    better = np.abs(wave[:, 1] - middle[beat]) <= STRAY
    marks[lead[better], beat[better], on : end + 1] = wave[better]


def draw_together(marks: np.ndarray) -> None:
    """Moves limits, in place, that lie far from the median of all leads of the beat to within reach of it."""
    for column, reach in LIMIT_REACH.items():
        values = marks[:, :, column]
        some = (~np.isnan(values)).sum(axis=0) >= FEWEST
        middle = median(values[:, some], axis=0)
        values[:, some] = np.clip(values[:, some], middle - reach, middle + reach)


def drop_solitary_p(marks: np.ndarray, centre: np.ndarray) -> None:
    """Removes P waves, in place, if too few other leads and nearby beats have one at that time before the complex.

    Fibrillatory and flutter waves, noise and ends of T waves come at any time.
    """
    leads, beats, _ = marks.shape
    ahead = centre - marks[:, :, P1]
    padded = np.pad(ahead, ((0, 0), (NEIGHBOURS, NEIGHBOURS)), constant_values=np.nan)
    nearby = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1, axis=1)
    possible = np.pad(~np.isnan(marks[:, :, R]), ((0, 0), (NEIGHBOURS, NEIGHBOURS)))
    votes = np.lib.stride_tricks.sliding_window_view(possible, 2 * NEIGHBOURS + 1, axis=1).sum(axis=(0, 2)) - 1
    agree = np.zeros((leads, beats))
    for lead in range(leads):
        agree[lead] = (np.abs(nearby - ahead[lead, :, None]) <= P_AGREEMENT).sum(axis=(0, 2)) - 1
    support = P_SUPPORT if leads >= FEWEST else P_SUPPORT_OF_FEW
    marks[agree < support * votes, WAVES["P"]] = np.nan
