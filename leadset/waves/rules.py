"""The wavelet method: beats common to all leads, then the rules of `fiducials` in every lead."""

from __future__ import annotations

import numpy as np

from leadset.waves.envelope import Envelope
from leadset.waves.fiducials import delineate_p, delineate_qrs, delineate_t, empty_marks
from leadset.waves.marks import MARKS, P1, PEND, PON, QRSEND, QRSON, TEND, TON, WAVES, R, drop_disordered
from leadset.waves.qrs import find_beats
from leadset.waves.search import ms
from leadset.waves.wavelet import Transform

#: A P wave needs this share of all leads of its beat and of the two beats before and after to have a P wave within
#: so many grid samples of its own time before R.
P_SUPPORT, P_AGREEMENT, NEIGHBOURS = 0.3, ms(36), 2
#: Limits lie at most so many grid samples from the median of the leads.
LIMIT_REACH: dict[int, int] = {PON: ms(16), PEND: ms(16), QRSON: ms(16), QRSEND: ms(20), TON: ms(40), TEND: ms(32)}


def rule_marks(grid: Transform, envelope: Envelope, usable: np.ndarray) -> np.ndarray:
    """Marks by the wavelet rules.

    Args:
        grid: the recording and its wavelet scales.
        envelope: slopes of the recording.
        usable: (leads,) False for leads that abstain; they get no marks.

    Returns:
        (leads, beats, 13) in grid samples, NaN = missing.
    """
    leads, samples = grid.signal.shape
    beats = find_beats(envelope.common)
    marks = np.full((leads, len(beats), len(MARKS)), np.nan)
    seen = np.nonzero(usable)[0]
    if not len(beats):
        return marks
    rows, centre = np.repeat(seen, len(beats)), np.tile(beats, len(seen))
    flat = empty_marks(len(rows))
    delineate_qrs(grid.scales, grid.signal, rows, centre, flat)
    r = flat[:, R].reshape(len(seen), -1)
    following = np.pad(r[:, 1:], ((0, 0), (0, 1)), constant_values=samples - 1)
    preceding = np.pad(r[:, :-1], ((0, 0), (1, 0)))
    delineate_t(grid.scales, rows, following.ravel(), (following - r).ravel(), flat)
    ends = flat[:, TEND].reshape(len(seen), -1)
    previous_end = np.pad(ends[:, :-1], ((0, 0), (1, 0)), constant_values=np.nan)
    delineate_p(grid.scales, rows, preceding.ravel(), previous_end.ravel(), flat)
    drop_disordered(flat)
    marks[seen] = flat.reshape(len(seen), len(beats), len(MARKS))
    _drop_solitary_p(marks, beats)
    _draw_together(marks)
    return marks


def _draw_together(marks: np.ndarray) -> None:
    """Moves limits, in place, that lie far from the median of all leads of the beat to within reach of it."""
    for column, reach in LIMIT_REACH.items():
        values = marks[:, :, column]
        some = (~np.isnan(values)).sum(axis=0) >= 3
        middle = np.nanmedian(values[:, some], axis=0)
        values[:, some] = np.clip(values[:, some], middle - reach, middle + reach)


def _drop_solitary_p(marks: np.ndarray, centre: np.ndarray) -> None:
    """Sets P waves missing, in place, whose time before the complex other leads and neighbouring beats do not bear out.

    Waves of a fibrillating or fluttering atrium, noise and ends of T waves come at any time.
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
    marks[agree < P_SUPPORT * votes, WAVES["P"]] = np.nan
