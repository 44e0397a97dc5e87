"""Leads that are known for a part of a recording only: each part is delineated by itself, and the beats are joined.

A paper ECG shows each lead for 2.5 s. Bridged by a line, or at rest where nothing was recorded, such a lead would look
like one without a heartbeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from leadset.signals import LONGEST_BRIDGE_S, MIN_KNOWN_S, MIN_KNOWN_SHARE, MIN_SD_MV, known, runs
from leadset.waves.marks import MARKS, R

# Where a lead rests for so long, nothing was recorded; looked for in blocks of a quarter of that.
_REST_S, _BLOCKS = 2.0, 4
# Beats of two stretches this close are one.
_SAME_BEAT_S = 0.15


class Stretch(NamedTuple):
    """Samples ``start`` to ``stop`` of a recording, in which the leads of these rows are known."""

    start: int
    stop: int
    rows: tuple[int, ...]


class Joined(NamedTuple):
    """What the stretches of a recording say together, as in `leadset.waves.Delineation`; covered: (leads,) bool."""

    marks: np.ndarray
    quality: np.ndarray
    beat_quality: np.ndarray
    covered: np.ndarray


def known_stretches(signal: np.ndarray, fs: float) -> list[Stretch]:
    """The stretches to delineate one by one; none where every lead is known for most of the recording, or hardly ever.

    Args:
        signal: (leads, samples) in mV.
        fs: sampling rate in Hz.
    """
    there = known(signal) & ~_at_rest(signal, fs)
    mostly = there.mean(axis=1) >= MIN_KNOWN_SHARE
    found: list[Stretch] = []
    for row in np.flatnonzero(~mostly):
        gap_starts, gap_ends = runs(~there[row])
        long = gap_ends - gap_starts > LONGEST_BRIDGE_S * fs
        bridged = np.ones(signal.shape[1], dtype=bool)
        for start, stop in zip(gap_starts[long], gap_ends[long], strict=True):
            bridged[start:stop] = False
        for start, stop in zip(*runs(bridged), strict=True):
            if stop - start >= MIN_KNOWN_S * fs:
                _add(found, Stretch(int(start), int(stop), (int(row),)), _REST_S / _BLOCKS * fs)
    if found and mostly.any():
        found.append(Stretch(0, signal.shape[1], tuple(np.flatnonzero(mostly).tolist())))
    return found


def _add(found: list[Stretch], new: Stretch, tolerance: float) -> None:
    """Adds a stretch of one lead; leads that are known at about the same time are delineated together."""
    for i, other in enumerate(found):
        if abs(other.start - new.start) <= tolerance and abs(other.stop - new.stop) <= tolerance:
            found[i] = Stretch(max(other.start, new.start), min(other.stop, new.stop), other.rows + new.rows)
            return
    found.append(new)


def _at_rest(signal: np.ndarray, fs: float) -> np.ndarray:
    """(leads, samples) True where a lead changes for seconds by less than one without a heartbeat does."""
    leads, samples = signal.shape
    block = max(round(_REST_S * fs / _BLOCKS), 1)
    blocks = signal[:, : samples // block * block].reshape(leads, -1, block)
    rest = np.zeros(signal.shape, dtype=bool)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        still = blocks.max(axis=2) - blocks.min(axis=2) < 2 * MIN_SD_MV  # False where a sample is NaN
    for row in np.flatnonzero(still.any(axis=1)):
        for first, last in zip(*runs(still[row]), strict=True):
            if last - first >= _BLOCKS:
                rest[row, first * block : last * block] = True
    return rest


def join_stretches(stretches: Sequence[Stretch], found: Sequence, leads: int, fs: float) -> Joined:
    """Joins the delineations of stretches.

    Args:
        stretches: see `known_stretches`.
        found: the `Delineation` of each.
        leads: number of leads of the recording.
        fs: sampling rate in Hz.
    """
    beats = sorted(
        (r + part.start, which, beat)
        for which, (part, one) in enumerate(zip(stretches, found, strict=True))
        for beat, r in enumerate(one.fused[:, R]) if not np.isnan(r)
    )  # fmt: skip
    at, first = [], -np.inf
    for r, _, _ in beats:
        if r - first > _SAME_BEAT_S * fs:
            first = r
        at.append(first)
    columns = np.unique(at, return_inverse=True)[1] if at else np.zeros(0, dtype=int)
    n_beats = len(set(at))
    marks, sharpness = np.full((leads, n_beats, len(MARKS)), np.nan), np.zeros((leads, n_beats))
    for (_, which, beat), column in zip(beats, columns, strict=True):
        rows = list(stretches[which].rows)
        marks[rows, column] = found[which].marks[:, beat] + stretches[which].start
        sharpness[rows, column] = found[which].beat_quality[:, beat]
    weights, quality = np.zeros(leads), np.zeros(leads)
    for part, one in zip(stretches, found, strict=True):
        weights[list(part.rows)] += part.stop - part.start
        quality[list(part.rows)] += one.quality * (part.stop - part.start)
    covered = weights > 0
    return Joined(marks, np.divide(quality, weights, out=quality, where=covered), sharpness, covered)
