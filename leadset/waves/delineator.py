"""`delineate`: the marks of all waves of a recording, whatever its rate, length, leads and state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.signals import HIGHEST_RATE, LOWEST_RATE, known
from leadset.utils.memory import reuse_temporary_arrays
from leadset.utils.nan_statistics import median
from leadset.waves.envelope import measure
from leadset.waves.fusion import fuse
from leadset.waves.learned import learned_marks
from leadset.waves.marks import R, drop_disordered
from leadset.waves.quality import (
    CLIPPED_SHARE,
    FLAGS,
    NOISY,
    Repaired,
    badness,
    beat_quality,
    measurements,
    repair,
)
from leadset.waves.rules import rule_marks
from leadset.waves.stretches import join_stretches, known_stretches
from leadset.waves.wavelet import transform

#: name: function of a transform, its envelope and the (leads,) usable mask giving (leads, beats, 13) marks on the grid.
METHODS = {"learned": learned_marks, "wavelet": rule_marks}
#: Seconds of a recording that are analysed at a time, so that thresholds follow changes, and the overlap of excerpts.
EXCERPT, OVERLAP = 240.0, 4.0
#: A lead without a rhythm: what is added to its log odds of being bad, and the least that these then are.
ILLEGIBLE, ILLEGIBLE_AT_LEAST = 4.0, 1.0
#: A mark this close (ms) to samples that were missing in the input is dropped.
GUARD = 20


@dataclass(frozen=True)
class Delineation:
    """Marks of a recording, in samples of the input (fractions included); NaN is a missing mark.

    Attributes:
        fs: sampling rate in Hz that positions refer to.
        marks: (leads, beats, 13) in the order of `leadset.waves.MARKS`; the beats are common to all leads.
        fused: (beats, 13) one set of marks for all leads.
        quality: (leads,) from 0 (unreadable) to 1 (clean).
        beat_quality: (leads, beats) the same for each beat, 0 where the complex is missing.
        flags: per lead the names of what is wrong with it, out of `leadset.waves.quality.FLAGS`.
        method: name of the method.
    """

    fs: float
    marks: np.ndarray
    fused: np.ndarray
    quality: np.ndarray
    beat_quality: np.ndarray
    flags: tuple[frozenset[str], ...]
    method: str

    @property
    def present(self) -> np.ndarray:
        """(leads, beats, 13) True where there is a mark."""
        return ~np.isnan(self.marks)

    @property
    def recording_quality(self) -> float:
        """Quality of the recording as a whole: the probability that none of its leads is bad."""
        return float(np.prod(self.quality))

    @property
    def r_peaks(self) -> np.ndarray:
        """(beats,) R peaks in samples, ascending."""
        return self.fused[:, R]


def delineate(signal_mv: np.ndarray, fs: float, method: str = "learned") -> Delineation:
    """P, QRS and T waves of every lead and beat.

    A numeric signal never raises an error: marks that cannot be found are missing, and the quality is low.

    Args:
        signal_mv: (leads, samples) or (samples,) in millivolts; NaN and infinity mark missing samples.
        fs: sampling rate in Hz.
        method: ``"learned"``, a small network on the wavelet transform, or ``"wavelet"``, the rules of Martínez et al.

    Returns:
        The marks, see `Delineation`.

    Raises:
        ValueError: not a one- or two-dimensional array of numbers, no samples, a senseless rate, an unknown method.
    """
    signal = np.ascontiguousarray(signal_mv, dtype=np.float32)  # by lead, however it came
    if signal.ndim == 1:
        signal = signal[None]
    if signal.ndim != 2 or not signal.size:
        raise ValueError(f"expected a signal of shape (leads, samples), got shape {np.shape(signal_mv)}")
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        raise ValueError(f"sampling rate {fs} Hz: expected {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: expected one of {', '.join(METHODS)}")
    reuse_temporary_arrays()
    stretches = known_stretches(signal, fs)
    if not stretches:
        return _delineate_whole(signal, fs, method)
    parts = [_delineate_whole(signal[list(part.rows), part.start : part.stop], fs, method) for part in stretches]
    joined = join_stretches(stretches, parts, len(signal), fs)
    flags = [set() if known(row).all() else {"missing samples"} for row in signal]
    for part, one in zip(stretches, parts, strict=True):
        for row, found in zip(part.rows, one.flags, strict=True):
            flags[row] |= found
    for row in np.flatnonzero(~joined.covered):
        flags[row] = flags[row] or {"flat"}
    return Delineation(float(fs), joined.marks, fuse(joined.marks, fs), joined.quality, joined.beat_quality,
                       tuple(map(frozenset, flags)), method)


def _delineate_whole(signal: np.ndarray, fs: float, method: str) -> Delineation:
    """A recording (leads, samples) whose leads are known from beginning to end, or as good as that."""
    repaired = repair(signal)
    marks, beats, odds = _all_excerpts(repaired, fs, method)
    _drop_unseen(marks, repaired, fs)
    whole = ~np.isnan(marks[:, :, R]).all(axis=0)  # a complex that is cut off is no beat
    marks, beats = marks[:, whole], beats[:, whole]
    quality = repaired.usable * (1 - repaired.gaps) * (1 - repaired.clipped) / (1 + np.exp(odds))
    return Delineation(float(fs), marks, fuse(marks, fs), quality, quality[:, None] * beats,
                       _flags(repaired, quality), method)


def _flags(repaired: Repaired, quality: np.ndarray) -> tuple[frozenset[str], ...]:
    """Names of what is wrong with each lead."""
    wrong = {"missing samples": repaired.gaps > 0, "flat": repaired.flat,
             "clipped": ~repaired.flat & (repaired.clipped > CLIPPED_SHARE),
             "noisy": ~repaired.flat & (quality < NOISY)}
    return tuple(frozenset(name for name in FLAGS if wrong[name][lead]) for lead in range(len(quality)))


def _all_excerpts(repaired: Repaired, fs: float, method: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Marks (leads, beats, 13) in input samples, beat quality (leads, beats) and log odds of badness (leads,)."""
    samples = repaired.signal.shape[1]
    step, overlap, joint = round(EXCERPT * fs), round(OVERLAP * fs), 0.1 * fs
    starts = range(0, max(samples - step // 2, 1), step)
    marks, beats, odds = [], [], []
    for start in starts:
        stop = samples if start == starts[-1] else start + step
        first, last = max(start - overlap, 0), min(stop + overlap, samples)
        grid = transform(repaired.signal[:, first:last], fs)
        envelope = measure(grid.scales, repaired.usable)
        part = METHODS[method](grid, envelope, envelope.legible)
        sharpness = beat_quality(envelope, part[:, :, R])
        bad = badness(measurements(grid, envelope))
        odds.append(np.where(envelope.legible, bad, np.maximum(bad + ILLEGIBLE, ILLEGIBLE_AT_LEAST)))
        part = grid.to_input(part) + first
        r = _beat_positions(part)
        inside = (r >= (start - joint if start else 0)) & (r < (stop + joint if stop < samples else samples))
        marks.append(part[:, inside])
        beats.append(sharpness[:, inside])
    joined, qualities = np.concatenate(marks, axis=1), np.concatenate(beats, axis=1)
    distinct = np.diff(_beat_positions(joined), prepend=-np.inf) > 2 * joint  # both excerpts have a beat at a joint
    return joined[:, distinct], qualities[:, distinct], np.mean(odds, axis=0)


def _beat_positions(marks: np.ndarray) -> np.ndarray:
    """(beats,) median R over the leads that have one; every beat has one in some lead."""
    return median(marks[:, :, R], axis=0)


def _drop_unseen(marks: np.ndarray, repaired: Repaired, fs: float) -> None:
    """Removes marks, in place, outside the recording or on missing samples, and waves left incomplete by that."""
    leads, samples = repaired.signal.shape
    outside = (marks < 0) | (marks > samples - 1)
    if not (outside.any() or repaired.gaps.any()):
        return
    marks[outside] = np.nan
    if repaired.gaps.any():
        guard = round(GUARD * fs / 1000)
        reach = np.cumsum(np.pad(repaired.missing, ((0, 0), (guard + 1, guard))), axis=1)
        lost = reach[:, 2 * guard + 1 :] > reach[:, : -2 * guard - 1]
        at = np.nan_to_num(marks).round().astype(int)
        marks[lost[np.arange(leads)[:, None, None], at]] = np.nan
    drop_disordered(marks)
