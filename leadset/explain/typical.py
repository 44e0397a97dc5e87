"""The typical beat of a recording, and the recording that a heart makes which repeats it in a regular rhythm.

The typical beat is the median of the recording's beats, aligned at their complexes. It is repeated where a regular
rhythm would have beats: premature beats are left out, pauses filled. What a recording departs by from that is its
single beats and its rhythm; what its typical beat departs by from a normal one is the form of its beats.

Shapes: l leads, t samples, b beats, u samples of a beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline

#: Beats that are needed.
FEWEST_BEATS = 3
#: Sampling rate of a typical beat in Hz; how far and in which steps a complex is shifted to lie over the others, in
#: seconds.
_RATE, _SHIFT_S, _STEP_S = 500.0, 0.04, 0.004
#: A beat begins so many seconds before its R peak, or by this share of the beat interval where that is less.
_BEFORE_S, _BEFORE = 0.45, 0.45
#: Seconds around the R peak that are compared: of the complex, to align it, and of the whole beat; and the correlation
#: from which on they are alike.
_COMPLEX_S, _WHOLE_S, _ALIKE = (-0.12, 0.12), (-0.12, 0.4), 0.9
#: A rhythm is regular where intervals are multiples of one interval, up to this share of it, and up to so many of it;
#: and where that holds for this share of the beats.
_IRREGULAR, _LONGEST_PAUSE, _LEAST_REGULAR = 0.15, 8, 0.6
#: Cost of a beat that is filled in, where a beat that is there counts 1.
_FILLED_IN = 0.01
#: Seconds at the end of a beat in which it goes over to the next.
_JOIN_S = 0.08


@dataclass(frozen=True)
class TypicalBeat:
    """The median beat of a recording.

    Attributes:
        wave: (l, u) at 500 Hz, from ``before`` seconds before the R peak on, as long as ``interval``.
        before: seconds.
        interval: seconds from one beat to the next.
        times: (b,) seconds of the beats whose complexes have the form of the typical one, aligned.
    """

    wave: np.ndarray
    before: float
    interval: float
    times: np.ndarray


def find_typical_beat(signals: Mapping[float, np.ndarray], rate: float, r_peaks: np.ndarray) -> TypicalBeat | None:
    """The typical beat of the stretches of a recording, None where there are fewer than three beats.

    Args:
        signals: (l, t) of each stretch, without gaps, by the second at which it begins; in order.
        rate: their sampling rate in Hz.
        r_peaks: (b,) seconds of the recording.
    """
    curves = [
        CubicSpline((np.arange(x.shape[1]) + start * rate) / rate, x, axis=1) for start, x in signals.items()
    ]
    first, last = np.array([(curve.x[0], curve.x[-1]) for curve in curves]).T
    times = r_peaks[np.isfinite(r_peaks) & (r_peaks >= first[0])]
    place = np.searchsorted(first, times, side="right") - 1
    times, place = times[times <= last[place]], place[times <= last[place]]
    near = place[1:] == place[:-1]
    if len(times) < FEWEST_BEATS or not near.any():
        return None
    interval = float(np.median(np.diff(times)[near]))
    before = min(_BEFORE_S, _BEFORE * interval)
    at = np.arange(-before, interval - before, 1 / _RATE)
    whole = (times - before >= first[place]) & (times - before + interval <= last[place])
    if whole.sum() < 2:
        whole[:] = True
    used, complexes, compared = whole, _within(at, _COMPLEX_S), _within(at, _WHOLE_S)
    for _ in range(2):  # the second time with beats of one form, aligned
        median = np.median(_beats(curves, place[used], times[used], at), axis=0)
        shifts = np.arange(-_SHIFT_S, _SHIFT_S + _STEP_S / 2, _STEP_S)
        likeness = [
            _likeness(_beats(curves, place, times + shift, at[complexes]), median[:, complexes]) for shift in shifts
        ]
        same = np.max(likeness, axis=0) > _ALIKE
        times = np.where(same, times + _peaks(np.array(likeness), shifts), times)
        likeness = _likeness(_beats(curves, place, times, at[compared]), median[:, compared])
        alike = whole & same & (likeness > _ALIKE)
        used = alike if alike.sum() >= 2 else used
    if same.sum() < 2:
        same[:] = True
    beats = _beats(curves, place[used], times[used], at)
    level = np.median(beats, axis=2, keepdims=True)
    wave = np.median(beats - level, axis=0) + np.median(level, axis=0)
    wave -= np.linspace(0, 1, len(at)) * (wave[:, -1:] - wave[:, :1])  # ends where it begins
    pairs = same[1:] & same[:-1] & near
    between = np.diff(times)
    return TypicalBeat(wave, before, float(np.median(between[pairs if pairs.any() else near])), times[same])


def _within(at: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return (at > limits[0]) & (at < limits[1])


def _beats(curves: Sequence[CubicSpline], place: np.ndarray, times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(b, l, u) signal of the stretch ``place`` of each of the times, at the seconds ``at`` from it; its first or last
    value beyond its ends."""
    found = []
    for number in np.unique(place):
        curve = curves[number]
        seconds = np.clip(times[place == number, None] + at, curve.x[0], curve.x[-1])
        found.append(np.moveaxis(curve(seconds), 1, 0))
    return np.concatenate(found)


def _likeness(beats: np.ndarray, median: np.ndarray) -> np.ndarray:
    """Correlations (b,) of beats (b, l, u) with one (l, u), over all leads together."""
    beats, median = (x - x.mean(axis=-1, keepdims=True) for x in (beats, median))
    size = np.sqrt((beats**2).sum(axis=(1, 2)) * (median**2).sum())
    return (beats * median).sum(axis=(1, 2)) / np.maximum(size, np.finfo(float).tiny)


def _peaks(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Where values (n, b) at n evenly spaced places have their maxima (b,), by a parabola through the highest three."""
    top = values.argmax(axis=0)
    middle = np.clip(top, 1, len(at) - 2)
    low, mid, high = (np.take_along_axis(values, middle[None] + i, axis=0)[0] for i in (-1, 0, 1))
    bend = np.minimum(low - 2 * mid + high, -np.finfo(float).tiny)
    offset = np.where(top == middle, 0.5 * (low - high) / bend, 0)
    return at[top] + np.clip(offset, -0.5, 0.5) * (at[1] - at[0])


def regular_times(beat: TypicalBeat, seconds: float) -> np.ndarray:
    """Seconds at which a regular rhythm would have beats, from before the start to behind the end of a recording.

    The longest row of beats is taken whose distances are multiples of the beat interval, and its gaps are filled. Where
    that row has too few of the beats, the rhythm is not regular, and beats are spaced evenly by the mean interval.
    """
    if len(beat.times) < 2:
        return _extended([*beat.times.tolist(), 0.0][:1], beat.interval, seconds)
    row = _regular_row(beat)
    interval = beat.interval
    if len(row) < max(2, _LEAST_REGULAR * len(beat.times)):
        interval = float(np.diff(beat.times).mean())
        phase = np.angle(np.exp(2j * np.pi * beat.times / interval).mean()) / (2 * np.pi) * interval
        return np.arange(phase - 2 * interval, seconds + 2 * interval, interval)
    return _extended(_filled(beat.times[row], interval), interval, seconds)


def at_interval(times: np.ndarray, interval: float, seconds: float) -> np.ndarray:
    """Seconds of evenly spaced beats, one of them at the first time that lies within the recording."""
    first = times[np.searchsorted(times, 0.0)]
    return _extended([float(first)], interval, seconds)


def _regular_row(beat: TypicalBeat) -> list[int]:
    """Most beats whose distances are multiples of the interval, few of which have to be filled in."""
    times, best, before = beat.times, np.ones(len(beat.times)), np.full(len(beat.times), -1)
    for j in range(len(times)):
        for i in range(j - 1, -1, -1):
            gap = times[j] - times[i]
            n = round(gap / beat.interval)
            if n > _LONGEST_PAUSE:
                break
            value = best[i] + 1 - _FILLED_IN * (n - 1)
            if n >= 1 and abs(gap / n - beat.interval) <= _IRREGULAR * beat.interval and value > best[j]:
                best[j], before[j] = value, i
    row, last = [], int(best.argmax())
    while last >= 0:
        row.append(last)
        last = before[last]
    return row[::-1]


def _filled(times: np.ndarray, interval: float) -> list[float]:
    found = [float(times[0])]
    for a, b in pairwise(times):
        found += np.linspace(a, b, max(1, round((b - a) / interval)) + 1)[1:].tolist()
    return found


def _extended(times: list[float], interval: float, seconds: float) -> np.ndarray:
    first = np.arange(times[0], -2 * interval, -interval)[:0:-1]
    return np.concatenate([first, times, np.arange(times[-1] + interval, seconds + 2 * interval, interval)])


def repeat_beat(beat: TypicalBeat, times: np.ndarray, rate: float, samples: int, adapted: bool = False,
                first: int = 0) -> np.ndarray:
    """(l, t) signal of a typical beat at these times.

    Args:
        beat: to repeat. times: seconds, from before the start to behind the end.
        rate: of the signal in Hz. samples: its length.
        adapted: shorten what follows the R peak by the root of the interval, as Bazett has it, where the beat comes
            from a slower heart.
        first: sample at which the signal begins.
    """
    at, out = (first + np.arange(samples)) / rate, np.zeros((len(beat.wave), samples))
    within = np.arange(beat.wave.shape[1]) / _RATE - beat.before
    curve = CubicSpline(within, beat.wave, axis=1)
    for time, interval in zip(times, np.diff(times), strict=False):
        before = min(beat.before, _BEFORE * interval) if adapted else beat.before
        shrink = min(1.0, np.sqrt(interval / beat.interval)) if adapted else 1.0
        inside = slice(*np.searchsorted(at, [time - before, time + interval - before]))
        if inside.start == inside.stop:
            continue

        def value(seconds: np.ndarray | float, shrink: float = shrink) -> np.ndarray:
            warped = np.where(np.asarray(seconds) > 0, np.asarray(seconds) / shrink, seconds)
            return curve(np.clip(warped, within[0], within[-1]))

        joined = np.clip((at[inside] - time - interval + before) / _JOIN_S + 1, 0, 1)
        jump = value(-before) - value(interval - before)
        out[:, inside] = value(at[inside] - time) + joined * jump[:, None]
    return out
