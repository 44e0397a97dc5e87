"""Levels of the waves of the typical beat in every lead: what polarity, axis and progression are judged by."""

from __future__ import annotations

import numpy as np

from leadset.signals import known
from leadset.utils.memory import row_blocks
from leadset.utils.nan_statistics import median
from leadset.waves.delineator import Delineation
from leadset.waves.marks import PEND, PON, QRSEND, QRSON, TEND, TON, R

#: Equal parts of the complex, each of which has a level.
QRS_PARTS = 6
#: Levels of a beat: the P wave, the parts of the complex, the T wave.
LEVELS = 1 + QRS_PARTS + 1
P_LEVEL, QRS_LEVELS, T_LEVEL = 0, slice(1, 1 + QRS_PARTS), 1 + QRS_PARTS
#: Seconds that the level at a mark is averaged over, and that the baseline before the complex lasts.
_AT_MARK, _BASELINE = 0.016, 0.020
#: Share of beats that must have a wave for its level to be there.
_MOST_BEATS = 0.5


def wave_levels(signal_mv: np.ndarray, delineation: Delineation) -> np.ndarray:
    """Levels of the waves of the typical beat.

    Averages between the marks common to all leads are linear in the leads, so that Einthoven's relations and every
    exchange of electrodes hold for levels as for samples; the median over beats leaves noise and single ectopic beats
    out.

    Args:
        signal_mv: (leads, samples) the signal that was delineated, in mV.
        delineation: its marks.

    Returns:
        (leads, 8) mV: the mean of the P wave over the line from its onset to its end; the means of the six equal parts
        of the complex, and of the T wave, over the 20 ms before the complex. NaN where at least half of the beats lack
        the wave.
    """
    fused, fs = delineation.fused, delineation.fs
    levels = np.empty((len(signal_mv), len(fused), LEVELS))
    if not len(fused):
        return np.full((len(signal_mv), LEVELS), np.nan)
    for part in row_blocks(*signal_mv.shape):
        levels[part] = _levels_of_beats(_running_total(signal_mv[part]), fused, fs)
    shown = ~np.isnan(delineation.marks[:, :, R]) | ~partly_shown(delineation)[:, None]
    levels[~shown] = np.nan
    share = (~np.isnan(levels)).sum(axis=1) / shown.sum(axis=1)[:, None]
    return np.where(share > _MOST_BEATS, median(levels, axis=1), np.nan)


def _levels_of_beats(total: np.ndarray, fused: np.ndarray, fs: float) -> np.ndarray:
    """Levels (leads, beats, 8) of waves by common marks (beats, 13), from running totals (leads, samples + 1)."""
    levels = np.full((len(total), len(fused), LEVELS), np.nan)
    onset, end = fused[:, QRSON], fused[:, QRSEND]
    limits = onset[:, None] + (end - onset)[:, None] * np.linspace(0, 1, QRS_PARTS + 1)
    baseline = _mean(total, onset - _BASELINE * fs, onset)
    levels[:, :, QRS_LEVELS] = _mean(total, limits[:, :-1], limits[:, 1:]) - baseline[:, :, None]
    levels[:, :, T_LEVEL] = _mean(total, fused[:, TON], fused[:, TEND]) - baseline
    half = _AT_MARK * fs / 2
    at_ends = [_mean(total, fused[:, mark] - half, fused[:, mark] + half) for mark in (PON, PEND)]
    levels[:, :, P_LEVEL] = _mean(total, fused[:, PON], fused[:, PEND]) - (at_ends[0] + at_ends[1]) / 2
    return levels


def partly_shown(delineation: Delineation) -> np.ndarray:
    """(leads,) whether a lead shows some of the beats, but not most of them, as on paper: it is judged by those."""
    shown = ~np.isnan(delineation.marks[:, :, R])
    return shown.any(axis=1) & (shown.sum(axis=1) <= _MOST_BEATS * shown.shape[1])


def _running_total(signal: np.ndarray) -> np.ndarray:
    """(leads, samples + 1) sum of the samples before each; unknown ones count as the mean of the known ones."""
    there = known(signal)
    total = np.zeros((len(signal), signal.shape[1] + 1))
    if there.all():
        centred = np.subtract(signal, signal.mean(axis=1, keepdims=True, dtype=np.float64), out=total[:, 1:])
    else:
        filled = np.where(there, signal, 0).astype(np.float64)
        centred = np.where(there, filled - filled.sum(axis=1, keepdims=True) / there.sum(axis=1, keepdims=True).clip(1),
                           0)
    np.cumsum(centred, axis=1, out=total[:, 1:])
    return total


def _mean(total: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """(leads, ...) mean of the signal from ``start`` to ``stop`` (...), fractions of samples included; NaN is kept."""
    last = total.shape[1] - 1

    def until(position: np.ndarray) -> np.ndarray:
        inside = np.clip(np.nan_to_num(position), 0, last)
        left = np.minimum(inside.astype(int), last - 1)
        share = inside - left
        return total[:, left] * (1 - share) + total[:, left + 1] * share

    return (until(stop) - until(start)) / np.maximum(stop - start, 1e-6)
