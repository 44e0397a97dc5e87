"""Recordings of the same heartbeats, whatever happened to them since: rate, cut, filter, gain, sign, rounding.

Two recordings of one patient at one time have the same intervals between beats, to a few milliseconds, and the same
shape between them. Intervals and the shape of the typical beat find the candidates among any number of recordings; the
correlation of the samples decides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, find_peaks
from scipy.spatial import cKDTree

from leadset.preprocess.resampling import resample
from leadset.utils.filtering import ZeroPhaseFilter

#: Rate at which recordings are compared, and the band that all filters of this field leave as it was, in Hz.
FS, BAND = 250, (4.0, 20.0)
#: Recordings are compared where at least so many intervals between heartbeats agree ...
RUN = 4
#: ... to this many seconds: beats of a 100-Hz copy are found within 1 ms or two of those of the original.
TOLERANCE_S = 0.003
#: Of longer recordings so many seconds are compared.
LONGEST_S = 120.0
#: Share of the intervals in the overlap of two recordings that must agree.
AGREEING_SHARE = 0.25
#: Median correlation over the leads, in the overlap, from which on two recordings are the same.
SAME_CORRELATION = 0.98
#: Where the typical beats of two recordings correlate less, they are not compared: among regular rhythms, very many
#: pairs have equal intervals.
SIMILAR_BEATS = 0.97
#: Alignment by beats is improved by up to so many samples.
_SHIFTS = range(-5, 6)
# A peak of the steepness counts as a beat from this share of a high one on; beats are this far apart.
_BEAT_SHARE, _REFRACTORY_S, _MERGE_S, _TYPICAL_S = 0.4, 0.25, 0.08, 2.0
# Samples at either end of an overlap, where the filter saw what was beyond in one recording only.
_EDGE = FS // 2
# The typical beat: so many samples around the peak of each lead, of which every fourth tells all that the band leaves.
# That peak is looked for so far from where the beat was found, and beats are looked at as far as it takes.
_AROUND, _SEEK = round(0.4 * FS), round(0.1 * FS)
_PLACES = np.arange(-_AROUND, _AROUND + 1, 4)
_WIDE = _AROUND + _SEEK + 1
# A complex, and how far it may lie from where its steepness peaked, in samples.
_COMPLEX, _REACH = round(0.08 * FS), round(0.06 * FS)
_QUERIES_AT_A_TIME, _PAIRS_AT_A_TIME = 5_000, 2_000


class Heartbeats(NamedTuple):
    """Times (n,) in seconds of the heartbeats of a recording, and the shape (l, k) int8 of the median one."""

    times: np.ndarray
    shape: np.ndarray


#: Of a recording without any.
NO_HEARTBEATS = Heartbeats(np.zeros(0), np.zeros((0, 0), dtype=np.int8))


@lru_cache(maxsize=1)
def _band_pass() -> ZeroPhaseFilter:
    return ZeroPhaseFilter(butter(2, BAND, "bandpass", fs=FS, output="sos"))


def beginning(signal: np.ndarray, fs: float) -> np.ndarray:
    """What is compared of a recording (l, t): its first `LONGEST_S`, so that memory stays small."""
    return signal[:, : round(LONGEST_S * fs)]


def comparable(signal_mv: np.ndarray, fs: float) -> np.ndarray:
    """A recording (l, t) as it is compared: (l, t') float32 at `FS`, in `BAND`, each lead in units of its own SD.

    Leads without a signal are zero.
    """
    known = np.nan_to_num(np.asarray(beginning(signal_mv, fs), dtype=np.float32), posinf=0, neginf=0)
    at_rate = resample(known, fs, FS)
    filtered = _band_pass()(at_rate, min(FS, at_rate.shape[1] - 1))
    spread = filtered.std(axis=1, keepdims=True)
    return np.divide(filtered, spread, out=np.zeros_like(filtered), where=spread > 1e-6).astype(np.float32)


def beat_times(comparable_signal: np.ndarray) -> np.ndarray:
    """Times (n,) in seconds of the heartbeats of a `comparable` recording: peaks of its steepness over all leads."""
    if comparable_signal.shape[1] < FS:
        return np.zeros(0)
    slopes = np.gradient(comparable_signal, axis=1)
    steepness = np.sqrt(uniform_filter1d((slopes**2).sum(axis=0), round(_MERGE_S * FS)))
    high = maximum_filter1d(steepness, round(_TYPICAL_S * FS))
    typical = uniform_filter1d(high, round(_TYPICAL_S * FS))
    peaks, _ = find_peaks(steepness, height=np.maximum(_BEAT_SHARE * typical, 1e-6), distance=round(_REFRACTORY_S * FS))
    peaks = peaks[(peaks > 0) & (peaks < len(steepness) - 1)]
    return _aligned(comparable_signal, peaks) / FS


def _aligned(comparable_signal: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Places of beats, in samples, where they match the median one best: the same in any lead, but for a constant."""
    places = peaks.astype(float)
    reach = _COMPLEX + _REACH
    inside = (peaks >= reach) & (peaks < comparable_signal.shape[1] - reach)
    if inside.sum() < 2:
        return places
    around = comparable_signal[:, peaks[inside, None] + np.arange(-reach, reach + 1)]
    median = _middle(around[:, :, _REACH:-_REACH])
    windows = np.lib.stride_tricks.sliding_window_view(around, median.shape[1], axis=2)
    match = np.einsum("lbsw,lw->bs", windows, median)
    best = match.argmax(axis=1).clip(1, 2 * _REACH - 1)
    places[inside] += best - _REACH + _vertex(*(match[np.arange(len(best)), best + i] for i in (-1, 0, 1)))
    return places


def _vertex(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where a parabola through three neighbours is highest, between -0.5 and 0.5 from the one in the middle."""
    bend = before - 2 * at + after
    offset = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=np.abs(bend) > 1e-12)
    return offset.clip(-0.5, 0.5)


def heartbeats(comparable_signal: np.ndarray) -> Heartbeats:
    """What is kept of a `comparable` recording until all others are known."""
    times = beat_times(comparable_signal)
    at = np.rint(times * FS).astype(int)
    at = at[(at >= _WIDE) & (at < comparable_signal.shape[1] - _WIDE)]
    shape = np.zeros((len(comparable_signal), len(_PLACES)), dtype=np.int8)
    if len(at):
        beats = comparable_signal[:, at[:, None] + np.arange(-_WIDE, _WIDE + 1)]
        shape[:] = [_around_peak(median) for median in _middle(beats)]
    return Heartbeats(times, shape)


def _middle(beats: np.ndarray) -> np.ndarray:
    """The median (l, t) of beats (l, n, t), of an even number the upper one."""
    return np.sort(beats, axis=1)[:, beats.shape[1] // 2]


def _around_peak(beat: np.ndarray) -> np.ndarray:
    """A typical beat of one lead (2 * _WIDE + 1,) at `_PLACES` around its peak, from -127 to 127.

    Where a beat is found depends on all leads of a recording; a copy with fewer of them has the same peak in each.
    """
    size = np.abs(beat)
    peak = _WIDE - _SEEK + int(size[_WIDE - _SEEK : _WIDE + _SEEK + 1].argmax())
    exact = peak + float(_vertex(*size[peak - 1 : peak + 2, None])[0])
    shape = np.interp(exact + _PLACES, np.arange(len(beat)), beat)
    shape -= shape.mean()
    largest = np.abs(shape).max()
    return np.rint(127 * shape / largest) if largest > 0 else shape


def _alike(ones: Sequence[Heartbeats], others: Sequence[Heartbeats]) -> np.ndarray:
    """Whether the typical beats of pairs of recordings (n,) have about the same shape."""
    a, b = (np.stack([one.shape for one in some]).astype(np.float32) for some in (ones, others))
    energy = np.sqrt((a**2).sum(axis=2) * (b**2).sum(axis=2))
    with np.errstate(invalid="ignore"):
        agreement = np.abs((a * b).sum(axis=2)) / np.where(energy > 0, energy, np.nan)
    known = np.isfinite(agreement).any(axis=1)
    alike = np.zeros(len(a), dtype=bool)
    alike[known] = np.nanmedian(agreement[known], axis=1) >= SIMILAR_BEATS
    return alike


def _candidates(beats: Sequence[Heartbeats]) -> Iterator[tuple[int, int, int]]:
    """Pairs (i, j) of recordings with equal runs of intervals and similar beats, and how many beats later j began.

    In order of i and j. Regular hearts have many namesakes: what there is of them is looked at part by part, so that
    memory does not grow with their number.
    """
    intervals = [np.diff(one.times) for one in beats]
    numbers = np.array([max(0, len(rr) - RUN + 1) for rr in intervals], dtype=int)
    if not numbers.any():
        return
    owner, first = np.repeat(np.arange(len(beats)), numbers), np.cumsum(numbers) - numbers
    place = np.arange(len(owner)) - first[owner]
    runs = np.concatenate([
        np.lib.stride_tricks.sliding_window_view(rr, RUN) for rr in intervals if len(rr) >= RUN
    ])
    tree, lengths = cKDTree(runs), np.array([len(rr) for rr in intervals])
    # Parts end with a recording, so that all that speaks for a pair is in one of them.
    part_of = first // _QUERIES_AT_A_TIME
    for start, end in itertools.pairwise([*np.flatnonzero(np.diff(part_of, prepend=-1)), len(beats)]):
        queries = np.arange(first[start], first[end - 1] + numbers[end - 1])
        if not len(queries):
            continue
        near = tree.query_ball_point(runs[queries], TOLERANCE_S, p=np.inf)
        a, b = np.repeat(queries, [len(n) for n in near]), np.concatenate(near).astype(int)
        a, b = (indices[owner[a] < owner[b]] for indices in (a, b))
        found = np.stack([owner[a], owner[b], place[a] - place[b]])
        i, j, shift = _often(found, lengths)
        for some in range(0, len(i), _PAIRS_AT_A_TIME):
            part = slice(some, some + _PAIRS_AT_A_TIME)
            alike = _alike([beats[k] for k in i[part]], [beats[k] for k in j[part]])
            yield from zip(*(values[part][alike].tolist() for values in (i, j, shift)), strict=True)


def _often(found: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The columns (i, j, shift) that come as often as `AGREEING_SHARE` asks, once each and sorted."""
    if not found.size:
        return found
    least = found.min(axis=1, keepdims=True)
    ranges = (found.max(axis=1, keepdims=True) - least + 1)[:, 0]
    keys, counts = np.unique(np.ravel_multi_index(found - least, ranges), return_counts=True)
    i, j, shift = np.stack(np.unravel_index(keys, ranges)) + least
    overlap = np.minimum(lengths[i] - np.maximum(shift, 0), lengths[j] - np.maximum(-shift, 0))
    return np.stack([i, j, shift])[:, counts >= np.maximum(1, AGREEING_SHARE * (overlap - RUN + 1))]


def _delay(beats: Sequence[Heartbeats], i: int, j: int, shift: int) -> float:
    """How many seconds after recording i recording j began, whose beats are so many places behind."""
    one, other = beats[i].times[max(shift, 0) :], beats[j].times[max(-shift, 0) :]
    n = min(len(one), len(other))
    return float(np.median(one[:n] - other[:n]))


def correlation(one: np.ndarray, other: np.ndarray, delay_s: float) -> float:
    """Median over the leads of the correlation, without sign, of two `comparable` recordings (l, t) in their overlap.

    Args:
        one, other: recordings with the same l leads in the same order.
        delay_s: by how many seconds the other began later.
    """
    best = -1.0
    for extra in _SHIFTS:
        shift = round(delay_s * FS) + extra
        a, b = one[:, max(shift, 0) :], other[:, max(-shift, 0) :]
        length = min(a.shape[1], b.shape[1])
        if length < FS + 2 * _EDGE:
            continue
        a, b = a[:, _EDGE : length - _EDGE], b[:, _EDGE : length - _EDGE]
        energy = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
        alive = energy > 0
        if alive.any():
            best = max(best, float(np.median(np.abs((a * b).sum(axis=1)[alive]) / energy[alive])))
    return best


def same_recordings(beats: Sequence[Heartbeats], load: Callable[[int], np.ndarray]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of recordings that are of the same heartbeats, as they are or by way of others; each j once.

    At least five heartbeats in common are needed.

    Args:
        beats: `heartbeats` of each recording.
        load: the `comparable` samples of recording i; asked for candidates only.
    """
    pairs, kept = [], lru_cache(maxsize=64)(load)
    leader = list(range(len(beats)))  # of each recording, an earlier one that it belongs to, or itself

    def first(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    for i, j, shift in _candidates(beats):
        one, other = sorted((first(i), first(j)))
        # Of many copies, all pairs would take a time that grows with the square of their number.
        if one != other and correlation(kept(i), kept(j), _delay(beats, i, j, shift)) >= SAME_CORRELATION:
            leader[other] = one
            pairs.append((one, other))
    return pairs
