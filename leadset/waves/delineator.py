"""`delineate`: the marks of all waves of a recording, whatever its rate, length, leads and state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leadset.signals import HIGHEST_RATE, LOWEST_RATE
from leadset.utils.memory import reuse_temporary_arrays
from leadset.utils.nan_statistics import median
from leadset.waves.envelope import Envelope, block_peaks, measure
from leadset.waves.fusion import fuse
from leadset.waves.learned import learned_marks
from leadset.waves.lone_p import find_lone_p
from leadset.waves.marks import R, drop_disordered
from leadset.waves.pacing import without_pacing
from leadset.waves.quality import (
    BRIDGED,
    CLIPPED_SHARE,
    FLAGS,
    NOISY,
    Repaired,
    badness,
    beat_quality,
    find_missing,
    known_share,
    long_gaps,
    measurements,
    repair,
)
from leadset.waves.rules import rule_marks
from leadset.waves.sparse import are_complexes
from leadset.waves.spikes import without_spikes
from leadset.waves.stretches import Stretch, at_rest, find_stretches, join_beats
from leadset.waves.wavelet import Transform, transform


def _pan_tompkins_marks(grid: Transform, envelope: Envelope, usable: np.ndarray) -> np.ndarray:
    """`leadset.waves.pan_tompkins`, imported when asked for: `scipy.signal` takes half a second to load."""
    from leadset.waves.pan_tompkins import pan_tompkins_marks

    return pan_tompkins_marks(grid, envelope, usable)


#: name: function of a transform, its envelope and the (leads,) usable mask giving (leads, beats, 13) marks on the grid.
METHODS = {"learned": learned_marks, "wavelet": rule_marks, "pan_tompkins": _pan_tompkins_marks}
#: The methods that find R peaks and no other marks.
R_ALONE = ("pan_tompkins",)
# Leads of the largest maps of body surface potentials.
_MOST_LEADS = 256
#: Seconds of a recording that are analysed at a time, so that thresholds follow changes, and the overlap of excerpts.
EXCERPT, OVERLAP = 240.0, 4.0
#: Seconds within which two lone P waves of different stretches or excerpts are one.
P_APART = 0.1
#: A lead without a rhythm: what is added to its log odds of being bad, and the least that these then are.
ILLEGIBLE, ILLEGIBLE_AT_LEAST = 4.0, 1.0
#: A mark this close (ms) to a longer gap in the input is dropped; an R peak only within the gap.
GUARD = 20


@dataclass(frozen=True)
class _Marked:
    """Marks (leads, beats, 13), lone P waves (p, 4), beat quality (leads, beats), quality (leads,), flags of leads."""

    marks: np.ndarray
    p_only: np.ndarray
    beats: np.ndarray
    quality: np.ndarray
    flags: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Delineation:
    """Marks of a recording, in samples of the input (fractions included); NaN is a missing mark.

    Attributes:
        fs: sampling rate in Hz that positions refer to.
        marks: (leads, beats, 13) in the order of `leadset.waves.MARKS`; the beats are common to all leads.
        p_only: (p, 4) Pon P1 P2 Pend of P waves that no complex follows (blocked beats, the end of a recording), common
            to all leads; they are in neither ``marks`` nor ``fused``.
        quality: (leads,) from 0 (unreadable) to 1 (clean).
        beat_quality: (leads, beats) the same for each beat, 0 where the complex is missing.
        flags: per lead the names of what is wrong with it, out of `leadset.waves.quality.FLAGS`.
        method: name of the method.
    """

    fs: float
    marks: np.ndarray
    p_only: np.ndarray
    quality: np.ndarray
    beat_quality: np.ndarray
    flags: tuple[frozenset[str], ...]
    method: str

    @cached_property
    def fused(self) -> np.ndarray:
        """(beats, 13) one set of marks for all leads."""
        return fuse(self.marks, self.fs)

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


def delineate(
    signal_mv: np.ndarray, fs: float, method: str = "learned", progress: Callable[[float], object] = lambda _: None
) -> Delineation:
    """P, QRS and T waves of every lead and beat.

    A numeric signal never raises an error: marks that cannot be found are missing, and the quality is low.

    Args:
        signal_mv: (leads, samples) or (samples,) in millivolts; NaN and infinity mark missing samples.
        fs: sampling rate in Hz.
        method: ``"learned"``, a small network on the wavelet transform; ``"wavelet"``, the rules of Martínez et al.; or
            ``"pan_tompkins"``, which finds R peaks alone, to compare with.
        progress: is told what share of the recording has been looked at since the last call.

    Returns:
        The marks, see `Delineation`.

    Raises:
        ValueError: not a one- or two-dimensional array of numbers, no samples, more rows than maps of the whole chest
            have leads, as where it is turned, a senseless rate, an unknown method.

    Example:
        >>> found = leadset.delineate(recording.signal, recording.fs)
        >>> found.marks.shape, found.fused.shape               # in the order of leadset.waves.MARKS
        ((12, 11, 13), (11, 13))
        >>> r_peaks = found.fused[:, 6]                        # in samples, NaN where missing
    """
    signal = np.ascontiguousarray(signal_mv, dtype=np.float32)  # by lead, however it came
    if signal.ndim == 1:
        signal = signal[None]
    if signal.ndim != 2 or not signal.size or len(signal) > _MOST_LEADS:
        raise ValueError(f"expected a signal of shape (leads, samples), got shape {np.shape(signal_mv)}")
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        raise ValueError(f"sampling rate {fs} Hz: expected {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: expected one of {', '.join(METHODS)}")
    reuse_temporary_arrays()
    missing = find_missing(signal)
    stretches = find_stretches(missing | at_rest(signal, fs), fs)
    if len(stretches) == 1 and stretches[0].stop - stretches[0].start == signal.shape[1]:
        marked = _delineate_stretch(repair(signal, missing), fs, method, progress)
    else:
        marked = _delineate_stretches(signal, missing, fs, method, stretches, progress)
    return Delineation(float(fs), marked.marks, marked.p_only, marked.quality, marked.quality[:, None] * marked.beats,
                       marked.flags, method)


def _delineate_stretch(repaired: Repaired, fs: float, method: str, progress: Callable[[float], object]) -> _Marked:
    """Marks of leads that are known from start to end, but for gaps."""
    marks, p_only, beats, odds = _all_excerpts(repaired, fs, method, progress)
    _drop_unseen(marks, repaired, fs)
    whole = ~np.isnan(marks[:, :, R]).all(axis=0)  # a complex that is cut off is no beat
    marks, beats = marks[:, whole], beats[:, whole]
    quality = _quality(repaired, odds)
    if marks.shape[1] and repaired.gaps.any():
        share = known_share(repaired, marks[:, :, R], fs)
        quality, beats = quality * share.mean(axis=1), beats * share
    return _Marked(marks, p_only, beats, quality, _flags(repaired, quality))


def _delineate_stretches(signal: np.ndarray, missing: np.ndarray, fs: float, method: str,
                         stretches: list[Stretch], progress: Callable[[float], object]) -> _Marked:
    """The same of leads of which some are known here and there: each stretch by itself, then all beats together."""
    parts, p_only = [], [np.empty((0, 4))]
    length, quality = np.zeros(len(signal)), np.zeros(len(signal))
    named: list[list[frozenset[str]]] = [[] for _ in signal]
    total = sum(stretch.stop - stretch.start for stretch in stretches)
    for stretch in stretches:
        part = np.s_[stretch.rows, stretch.start : stretch.stop]
        own, duration = len(stretch.own), stretch.stop - stretch.start
        scaled = _scaled(progress, duration / total)
        marked = _delineate_stretch(repair(signal[part], missing[part]), fs, method, scaled)
        seen = ~np.isnan(marked.marks[:own, :, R]).all(axis=0)
        p_only.append(marked.p_only + stretch.start)
        parts.append((stretch.own, marked.marks[:own, seen] + stretch.start, marked.beats[:own, seen]))
        for lead, value, names in zip(stretch.own, marked.quality[:own], marked.flags[:own], strict=True):
            length[lead] += duration
            quality[lead] += value * duration
            named[lead].append(names | ({"missing samples"} if duration < signal.shape[1] else set()))
    flags = tuple(frozenset.union(*names) - ({"flat"} - frozenset.intersection(*names)) for names in named)
    marks, beats = join_beats(len(signal), fs, parts)
    return _Marked(marks, _distinct(np.concatenate(p_only), P_APART * fs), beats, quality / length, flags)


def _scaled(progress: Callable[[float], object], share: float) -> Callable[[float], object]:
    """What is told the progress of a part that is such a share of all."""
    return lambda done: progress(share * done)


def _flags(repaired: Repaired, quality: np.ndarray) -> tuple[frozenset[str], ...]:
    """Names of what is wrong with each lead."""
    wrong = {"missing samples": repaired.gaps > 0, "flat": repaired.flat,
             "clipped": ~repaired.flat & (repaired.clipped > CLIPPED_SHARE),
             "noisy": ~repaired.flat & (quality < NOISY)}
    return tuple(frozenset(name for name in FLAGS if wrong[name][lead]) for lead in range(len(quality)))


def _all_excerpts(
    repaired: Repaired, fs: float, method: str, progress: Callable[[float], object]
) -> tuple[np.ndarray, ...]:
    """Marks (leads, beats, 13) and lone P waves (p, 4) in input samples, beat quality (leads, beats) and log odds of
    badness (leads,)."""
    samples = repaired.signal.shape[1]
    step, overlap, joint = round(EXCERPT * fs), round(OVERLAP * fs), 0.1 * fs
    starts = range(0, max(samples - step // 2, 1), step)
    marks, lone, beats, odds, positions = [], [], [], [], []
    for start in starts:
        stop = samples if start == starts[-1] else start + step
        first, last = max(start - overlap, 0), min(stop + overlap, samples)
        grid, envelope = _measured(repaired, fs, slice(first, last))
        part, legible = METHODS[method](grid, envelope, envelope.legible), envelope.legible
        if envelope.sparse:
            slopes = envelope.leads / np.maximum(envelope.height[:, :1], 1e-6)
            part = part[:, are_complexes(grid.signal, slopes, part, method not in R_ALONE)]
            legible = legible & bool(part.shape[1])
        quality = beat_quality(grid, envelope, part[:, :, R])
        odds.append(_odds(grid, envelope, legible))
        p_only = np.empty((0, 4)) if method in R_ALONE else grid.to_input(find_lone_p(grid, part)) + first
        lone.append(p_only[(p_only[:, 1] >= start) & (p_only[:, 1] < stop)])
        part = grid.to_input(part) + first
        r = median(part[:, :, R], axis=0)  # every beat has one in some lead
        inside = (r >= (start - joint if start else 0)) & (r < (stop + joint if stop < samples else samples))
        marks.append(part[:, inside])
        beats.append(quality[:, inside])
        positions.append(r[inside])
        progress(1 / len(starts))
    joined, qualities = np.concatenate(marks, axis=1), np.concatenate(beats, axis=1)
    distinct = np.diff(np.concatenate(positions), prepend=-np.inf) > joint  # both excerpts have a beat at a joint
    lone = _distinct(np.concatenate(lone), P_APART * fs)
    lone = lone[(lone[:, 0] >= 0) & (lone[:, 3] <= samples - 1)]
    return joined[:, distinct], lone, qualities[:, distinct], np.mean(odds, axis=0)


def _measured(repaired: Repaired, fs: float, part: slice) -> tuple[Transform, Envelope]:
    """Transform and envelope of a part of the samples."""
    signal = without_pacing(repaired.signal[:, part], fs, repaired.usable)
    grid = transform(without_spikes(signal, fs), fs)
    return grid, measure(grid.scales, repaired.usable)


def _odds(grid: Transform, envelope: Envelope, legible: np.ndarray) -> np.ndarray:
    """Log odds (leads,) that leads are bad, of which some are ``legible`` (leads,)."""
    bad = badness(measurements(grid, envelope))
    return np.where(legible, bad, np.maximum(bad + ILLEGIBLE, ILLEGIBLE_AT_LEAST))


def _quality(repaired: Repaired, odds: np.ndarray) -> np.ndarray:
    """Quality (leads,) of leads, from log odds that they are bad and what was repaired."""
    return repaired.usable * (1 - repaired.gaps) * (1 - repaired.clipped) / (1 + np.exp(odds))


def clarity(signal: np.ndarray, fs: float) -> float:
    """How far complexes stand out of a signal (leads, samples) in mV, from 0 to 1, without looking for any.

    Median over blocks of 1.5 s of the quality that a beat at the steepest place of each would have in the best lead.
    """
    reuse_temporary_arrays()
    repaired = repair(signal)
    grid, envelope = _measured(repaired, fs, slice(None))
    quality = _quality(repaired, _odds(grid, envelope, envelope.legible & (not envelope.sparse)))
    steepest = beat_quality(grid, envelope, block_peaks(envelope.leads))
    return float(np.median((quality[:, None] * steepest).max(axis=0)))


def _distinct(p_only: np.ndarray, apart: float) -> np.ndarray:
    """P waves (p, 4) in order, one of those whose peaks are nearer than ``apart`` samples."""
    ordered = p_only[np.argsort(p_only[:, 1], kind="stable")]
    return ordered[np.diff(ordered[:, 1], prepend=-np.inf) > apart]


def _drop_unseen(marks: np.ndarray, repaired: Repaired, fs: float) -> None:
    """Removes marks, in place, outside the recording or on missing samples, and waves left incomplete by that."""
    leads, samples = repaired.signal.shape
    outside = (marks < 0) | (marks > samples - 1)
    if not (outside.any() or repaired.gaps.any()):
        return
    marks[outside] = np.nan
    if repaired.gaps.any():
        gaps = long_gaps(repaired.missing, round(BRIDGED * fs / 1000))
        guard = round(GUARD * fs / 1000)
        reach = np.cumsum(np.pad(gaps, ((0, 0), (guard + 1, guard))), axis=1)
        near = reach[:, 2 * guard + 1 :] > reach[:, : -2 * guard - 1]
        at, rows = np.nan_to_num(marks).round().astype(int), np.arange(leads)[:, None, None]
        lost = near[rows, at]
        lost[:, :, R] = gaps[rows[:, :, 0], at[:, :, R]]  # without it there would be no beat
        marks[lost] = np.nan
    drop_disordered(marks)
