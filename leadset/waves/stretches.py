"""Leads that are known for a part of the recording only: paper ECGs, late or cut leads, long gaps.

Such a lead is delineated where it is known, together with the leads that are known there, and judged by that stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadset.signals import MIN_SD_MV, runs
from leadset.utils.nan_statistics import median
from leadset.waves.marks import MARKS, R

#: Seconds of a gap that cuts a lead into stretches, of the shortest stretch that is delineated, and within which the
#: stretches of leads begin and end together.
LONG_GAP, SHORTEST, TOGETHER = 1.5, 1.0, 0.1
#: Seconds of rest that no heart has between its beats in a lead; looked for in blocks of a quarter of that.
REST, _BLOCKS = 2.0, 4
#: Beats of different stretches nearer than so many seconds are one.
SAME_BEAT = 0.1


@dataclass(frozen=True)
class Stretch:
    """Leads ``own`` whose known stretch reaches from ``start`` to ``stop``, and others ``beside`` known there, too."""

    own: tuple[int, ...]
    beside: tuple[int, ...]
    start: int
    stop: int

    @property
    def rows(self) -> list[int]:
        """Own leads, then those beside."""
        return [*self.own, *self.beside]


def at_rest(signal: np.ndarray, fs: float) -> np.ndarray:
    """(leads, samples) True where a lead rests for two seconds: nothing was recorded, whatever the file says.

    A prepared recording is at rest where samples were missing.
    """
    samples = signal.shape[1]
    block = max(round(REST * fs / _BLOCKS), 1)
    rest = np.zeros(signal.shape, dtype=bool)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        ranges = [np.ptp(row[: samples // block * block].reshape(-1, block), axis=1) for row in signal]
    still = np.array(ranges) < 2 * MIN_SD_MV  # False where a sample is NaN
    for row in np.flatnonzero(still.any(axis=1) & ~still.all(axis=1)):
        for first, last in zip(*runs(still[row]), strict=True):
            if last - first >= _BLOCKS:
                rest[row, first * block : last * block] = True
    return rest


def find_stretches(missing: np.ndarray, fs: float) -> list[Stretch]:
    """Stretches of leads by their (leads, samples) missing samples; leads without long gap, or without any signal, make
    the first, from start to end."""
    samples = missing.shape[1]
    whole, parts = [], {}
    for lead, gaps in enumerate(missing):
        known = _between_long_gaps(gaps, fs)
        if not len(known) or known[0, 1] - known[0, 0] == samples:
            whole.append(lead)
            continue
        for start, stop in known:
            key = round(start / (TOGETHER * fs)), round(stop / (TOGETHER * fs))
            parts.setdefault(key, []).append((lead, int(start), int(stop)))
    stretches = [Stretch(tuple(whole), (), 0, samples)] if whole or not parts else []
    everywhere = [(lead, start, stop) for group in parts.values() for lead, start, stop in group]
    everywhere += [(lead, 0, samples) for lead in whole]
    for group in parts.values():
        own = tuple(lead for lead, _, _ in group)
        start, stop = max(start for _, start, _ in group), min(stop for _, _, stop in group)
        beside = tuple(sorted(lead for lead, a, b in everywhere if lead not in own and a <= start and stop <= b))
        stretches.append(Stretch(own, beside, start, stop))
    return stretches


def _between_long_gaps(missing: np.ndarray, fs: float) -> np.ndarray:
    """(n, 2) stretches of (samples,) between gaps of `LONG_GAP`, if `SHORTEST` or longer."""
    if not missing.any():
        return np.array([[0, len(missing)]])
    gaps = [(start, stop) for start, stop in zip(*runs(missing), strict=True) if stop - start >= LONG_GAP * fs]
    bounds = np.array([0, *(edge for gap in gaps for edge in gap), len(missing)]).reshape(-1, 2)
    return bounds[(bounds[:, 1] - bounds[:, 0] >= SHORTEST * fs) & (bounds[:, 1] > bounds[:, 0])]


def join_beats(leads: int, fs: float, parts: Sequence[tuple[Sequence[int], np.ndarray, np.ndarray]]
               ) -> tuple[np.ndarray, np.ndarray]:
    """Marks (leads, beats, 13) and beat quality (leads, beats) of a recording out of those of its stretches.

    Args:
        leads: of the recording.
        fs: sampling rate in Hz.
        parts: per stretch its rows, marks (rows, beats, 13) in samples of the recording, beat quality (rows, beats).
    """
    positions = [median(marks[:, :, R], axis=0) for _, marks, _ in parts]
    order = np.argsort(np.concatenate(positions), kind="stable")
    at = np.concatenate(positions)[order]
    number = np.empty(len(at), dtype=int)
    number[order] = np.cumsum(np.diff(at, prepend=-np.inf) > SAME_BEAT * fs) - 1
    beats = int(number.max(initial=-1)) + 1
    joined, quality = np.full((leads, beats, len(MARKS)), np.nan), np.zeros((leads, beats))
    first = 0
    for rows, marks, qualities in parts:
        places = number[first : first + marks.shape[1]]
        first += marks.shape[1]
        joined[np.ix_(rows, places)], quality[np.ix_(rows, places)] = marks, qualities
    return joined, quality
