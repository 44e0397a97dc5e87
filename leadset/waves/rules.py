"""The wavelet method: beats common to all leads, then the rules of `fiducials` in every lead."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from leadset.waves.consensus import draw_together, drop_solitary_p, look_again
from leadset.waves.envelope import Envelope, without_noise
from leadset.waves.fiducials import (
    P_RULE,
    T_RULE,
    WaveRule,
    delineate_p,
    delineate_qrs,
    delineate_t,
    empty_marks,
    find_wave,
)
from leadset.waves.marks import MARKS, P1, PEND, PON, T1, TEND, TON, R, drop_disordered
from leadset.waves.qrs import find_beats
from leadset.waves.wavelet import Transform


def rule_marks(grid: Transform, envelope: Envelope, usable: np.ndarray) -> np.ndarray:
    """Marks by the wavelet rules.

    Args:
        grid: the recording and its wavelet scales.
        envelope: slopes of the recording.
        usable: (leads,) False for leads that get no marks.

    Returns:
        (leads, beats, 13) in grid samples, NaN = missing.
    """
    leads, samples = grid.signal.shape
    beats = without_noise(envelope.of(usable), find_beats(envelope.common, envelope.sparse))
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
    for (on, peak, end), rule in (((TON, T1, TEND), T_RULE), ((PON, P1, PEND), P_RULE)):
        look_again(marks, on, peak, end, partial(_find_between, grid.scales, rule))
    drop_solitary_p(marks, beats)
    draw_together(marks)
    drop_disordered(marks)
    return marks


def _find_between(scales: np.ndarray, rule: WaveRule, lead: np.ndarray, start: np.ndarray,
                  stop: np.ndarray) -> np.ndarray:
    """A wave within windows in which other leads have it, however low it is."""
    return find_wave(scales, lead, start, stop, start, stop, replace(rule, detection=0))
