"""Recordings of the same heartbeats, whatever happened to them since: rate, cut, filter, gain, rounding.

Two recordings of one heart at one time have the same intervals between beats, to a few milliseconds, and the same shape
between them. Intervals find the candidates among any number of recordings; the correlation of the samples decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt
from scipy.spatial import cKDTree

from leadset.preprocess.resampling import resample

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
#: Alignment by beats is improved by up to so many samples.
_SHIFTS = range(-5, 6)
# A peak of the steepness counts as a beat from this share of a high one on; beats are this far apart.
_BEAT_SHARE, _REFRACTORY_S, _MERGE_S, _TYPICAL_S = 0.4, 0.25, 0.08, 2.0
# Samples at either end of an overlap, where the filter saw what was beyond in one recording only.
_EDGE = FS // 2
_QUERIES_AT_A_TIME = 20_000


@lru_cache(maxsize=1)
def _band_pass() -> np.ndarray:
    return butter(2, BAND, "bandpass", fs=FS, output="sos")


def beginning(signal: np.ndarray, fs: float) -> np.ndarray:
    """What is compared of a recording (l, t): its first `LONGEST_S`, so that memory stays small."""
    return signal[:, : round(LONGEST_S * fs)]


def comparable(signal_mv: np.ndarray, fs: float) -> np.ndarray:
    """A recording (l, t) as it is compared: (l, t') float32 at `FS`, in `BAND`, each lead in units of its own SD.

    Leads without a signal are zero.
    """
    known = np.nan_to_num(np.asarray(beginning(signal_mv, fs), dtype=np.float32), posinf=0, neginf=0)
    at_rate = resample(known, fs, FS)
    filtered = sosfiltfilt(_band_pass(), at_rate, axis=1, padlen=min(FS, at_rate.shape[1] - 1))
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
    before, at, after = (np.log(np.maximum(steepness[peaks + i], 1e-9)) for i in (-1, 0, 1))
    bend = before - 2 * at + after
    offset = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=np.abs(bend) > 1e-12)
    return (peaks + np.clip(offset, -0.5, 0.5)) / FS


def _candidates(beats: Sequence[np.ndarray]) -> list[tuple[int, int, float]]:
    """Pairs (i, j) of recordings with equal runs of intervals, and by how many seconds j began after i."""
    intervals = [np.diff(times) for times in beats]
    if not any(len(rr) >= RUN for rr in intervals):
        return []
    owner = np.concatenate([np.full(max(0, len(rr) - RUN + 1), i) for i, rr in enumerate(intervals)]).astype(int)
    place = np.concatenate([np.arange(max(0, len(rr) - RUN + 1)) for rr in intervals])
    runs = np.concatenate([
        np.lib.stride_tricks.sliding_window_view(rr, RUN) for rr in intervals if len(rr) >= RUN
    ])
    tree, votes = cKDTree(runs), {}
    for first in range(0, len(runs), _QUERIES_AT_A_TIME):
        part = runs[first : first + _QUERIES_AT_A_TIME]
        near = tree.query_ball_point(part, TOLERANCE_S, p=np.inf)
        a = np.repeat(np.arange(first, first + len(part)), [len(n) for n in near])
        b = np.concatenate(near).astype(int)
        keep = owner[a] < owner[b]
        keys, counts = np.unique(
            np.stack([owner[a[keep]], owner[b[keep]], place[a[keep]] - place[b[keep]]]), axis=1, return_counts=True
        )
        for key, count in zip(map(tuple, keys.T.tolist()), counts.tolist(), strict=True):
            votes[key] = votes.get(key, 0) + count
    candidates = []
    for (i, j, shift), count in votes.items():
        overlap = min(len(intervals[i]) - max(shift, 0), len(intervals[j]) - max(-shift, 0))
        if count >= max(1, AGREEING_SHARE * (overlap - RUN + 1)):
            delay = beats[i][max(shift, 0) :][: overlap + 1] - beats[j][max(-shift, 0) :][: overlap + 1]
            candidates.append((i, j, float(np.median(delay))))
    return candidates


def correlation(one: np.ndarray, other: np.ndarray, delay_s: float) -> float:
    """Median over the leads of the correlation of two `comparable` recordings (l, t) in their overlap.

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
            best = max(best, float(np.median((a * b).sum(axis=1)[alive] / energy[alive])))
    return best


def same_recordings(beats: Sequence[np.ndarray], load: Callable[[int], np.ndarray]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of recordings of the same heartbeats.

    At least five heartbeats in common are needed.

    Args:
        beats: `beat_times` of each recording.
        load: the `comparable` samples of recording i; asked for candidates only.
    """
    pairs, kept = [], lru_cache(maxsize=64)(load)
    for i, j, delay in sorted(_candidates(beats)):
        if (not pairs or pairs[-1] != (i, j)) and correlation(kept(i), kept(j), delay) >= SAME_CORRELATION:
            pairs.append((i, j))
    return pairs
