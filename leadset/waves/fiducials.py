"""QRS limits, T and P waves of every lead and beat by the wavelet rules.

Martínez et al. 2004 (see `wavelet`), with the thresholds of the paper as fractions of a lobe's height. A *lobe* is a
modulus maximum of a scale: the steepest point of a flank. Positions are grid samples, arrays (n,) over all pairs of
lead and beat, ``rows`` names the lead of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from leadset.waves.marks import MARKS, P1, P2, PEND, PON, QRSEND, QRSON, T1, T2, TEND, TON, Q, R, S
from leadset.waves.search import first_true, gather, last_true, limit, local_maxima, ms, pick, zero_crossing

#: Half width of the window around a common beat in which a lead's own complex lies.
QRS_HALF = ms(100)
#: Significance of a further lobe before and after the main pair, and the farthest it may lie from the one before it.
Q_LOBE, S_LOBE, LOBE_REACH = 0.06, 0.09, ms(65)
#: Further lobes looked for on each side (a complex such as qRsR' has two beyond its main pair).
FURTHER_LOBES = 2
#: Onset and end thresholds relative to the outermost lobe, by its sign.
QRS_ONSET = {1: 0.05, -1: 0.07}
QRS_END = {1: 0.125, -1: 0.071}
QRS_CAP = ms(80)


@dataclass(frozen=True)
class WaveRule:
    """How a P or T wave is found in its window.

    Attributes:
        detection: smallest main lobe relative to the RMS of the beat on the same scale.
        side: smallest side lobe relative to the main one; second: the same for the smaller of two side lobes.
        spacing: largest distance of a side lobe from the main one.
        onset, end: threshold of the limits relative to the first and last lobe.
        cap: largest distance of a limit from its lobe.
        smallest: smallest peak-to-peak of the lobes in mV per grid sample, under which nothing is called a wave.
    """

    detection: float
    side: float | np.ndarray
    second: float | np.ndarray
    spacing: int | np.ndarray
    onset: float
    end: float
    cap: int
    smallest: float | np.ndarray


T_RULE = WaveRule(0.15, 1 / 8, 0.45, ms(200), 0.35, 0.45, ms(120), 0.01)
P_RULE = WaveRule(0.02, 1 / 8, 1.0, ms(110), 0.55, 0.75, ms(100), 0.01)


def by_row(rules: Sequence[WaveRule], which: np.ndarray) -> WaveRule:
    """The rule for `peaks_between` whose numbers are those of ``rules[which]``, which (n,) naming one for each wave."""
    of_each = {name: np.array([getattr(rule, name) for rule in rules], dtype=np.float32)[which]
               for name in ("side", "second", "spacing", "smallest")}
    return replace(rules[0], **of_each)


#: Length of the longest T and P windows.
T_LENGTH, P_LENGTH = ms(600), ms(340)
SHORTEST_WINDOW = ms(100)


def delineate_qrs(scales: np.ndarray, signal: np.ndarray, rows: np.ndarray, centre: np.ndarray,
                  marks: np.ndarray) -> None:
    """Fills QRSon, Q, R, S, QRSend of ``marks`` (n, 13); the complex lies around ``centre`` (n,)."""
    w = scales[1]
    lobes = name_peaks(scales, signal, rows, centre, marks)
    first, last = lobes[0], lobes[-1]
    sign_first, sign_last = np.sign(w[rows, _inside(first, w)]), np.sign(w[rows, _inside(last, w)])
    marks[:, QRSON] = limit(w, rows, first, np.where(sign_first > 0, QRS_ONSET[1], QRS_ONSET[-1]), -1, QRS_CAP)
    marks[:, QRSEND] = limit(w, rows, last, np.where(sign_last > 0, QRS_END[1], QRS_END[-1]), 1, QRS_CAP)


def name_peaks(scales: np.ndarray, signal: np.ndarray, rows: np.ndarray, centre: np.ndarray,
               marks: np.ndarray) -> list[np.ndarray]:
    """Fills Q, R, S of ``marks`` (n, 13) and returns the lobes of the complexes, (n,) each, in order of time."""
    w = scales[1]
    start = centre - QRS_HALF
    around = gather(w, rows, start, 2 * QRS_HALF + 1)
    rise, fall = start + around.argmax(axis=1), start + around.argmin(axis=1)
    left, right = np.minimum(rise, fall), np.maximum(rise, fall)
    reference = np.abs(around).max(axis=1)
    lobes = [left, right]
    first, last = left, right
    for _ in range(FURTHER_LOBES):
        earlier, later = _next_lobes(w, rows, first, last, reference)
        lobes = [earlier, *lobes, later]
        first, last = earlier, later
    _name_between(w, signal, rows, np.stack(lobes, axis=1), marks)
    return lobes


def _inside(position: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(position, 0), w.shape[1] - 1)


def _next_lobes(w: np.ndarray, rows: np.ndarray, first: np.ndarray, last: np.ndarray,
                reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest significant lobes of the other sign before ``first`` and after ``last``, or these themselves."""
    length = LOBE_REACH + 2
    values = np.concatenate([gather(w, rows, first, length, -1), gather(w, rows, last, length)])
    magnitude = np.abs(values)
    threshold = np.concatenate([Q_LOBE * reference, S_LOBE * reference])
    lobes = local_maxima(magnitude) & (magnitude > threshold[:, None]) & ((values < 0) != (values[:, :1] < 0))
    before, after = np.maximum(first_true(lobes), 0).reshape(2, -1)
    return first - before, last + after


def _name_between(w: np.ndarray, signal: np.ndarray, rows: np.ndarray, lobes: np.ndarray,
                  marks: np.ndarray) -> None:
    """Names the peaks between lobes: R is the highest positive one (of QS the lowest), Q and S lie beside it."""
    n, m = lobes.shape
    peaks, heights = np.full((n, m - 1), np.nan), np.zeros((n, m - 1))
    complexes, gap = np.nonzero(lobes[:, :-1] < lobes[:, 1:])
    left, right, lead = lobes[complexes, gap], lobes[complexes, gap + 1], rows[complexes]
    rise, fall = w[lead, _inside(left, w)], w[lead, _inside(right, w)]
    peaks[complexes, gap] = _extremum(signal, lead, left, right, rise > 0)
    heights[complexes, gap] = np.sign(rise) * (np.abs(rise) + np.abs(fall))
    everyone = np.arange(n)
    main = np.abs(heights).argmax(axis=1)
    best = heights.argmax(axis=1)
    positive = (heights[everyone, main] > 0) | (heights[everyone, best] > 0.25 * np.abs(heights[everyone, main]))
    centre = np.where(positive, best, main)
    marks[:, R] = peaks[everyone, centre]
    neighbour = lambda step: np.where(  # noqa: E731
        positive & (centre + step >= 0) & (centre + step < m - 1),
        peaks[everyone, np.clip(centre + step, 0, m - 2)], np.nan)
    marks[:, Q], marks[:, S] = neighbour(-1), neighbour(1)


def _extremum(signal: np.ndarray, rows: np.ndarray, left: np.ndarray, right: np.ndarray,
              positive: np.ndarray) -> np.ndarray:
    """Interpolated position of the extremum of the signal between two lobes (parabola through three samples)."""
    span = int((right - left).max(initial=0)) + 1
    values = gather(signal, rows, left, span) * np.where(positive, np.float32(1), np.float32(-1))[:, None]
    values[np.arange(span) > (right - left)[:, None]] = -np.inf
    at = left + values.argmax(axis=1)
    y = gather(signal, rows, at - 1, 3)
    curvature = y[:, 0] - 2 * y[:, 1] + y[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(curvature != 0, 0.5 * (y[:, 0] - y[:, 2]) / curvature, 0)
    return at + np.clip(shift, -0.5, 0.5)


def delineate_t(scales: np.ndarray, rows: np.ndarray, following: np.ndarray, rr: np.ndarray, marks: np.ndarray) -> None:
    """Fills Ton, T1, T2, Tend; ``following`` is the next complex's R and ``rr`` the interval up to it."""
    r = marks[:, R]
    start = np.fmax(np.fmax(r + ms(100), marks[:, S] + ms(50)), marks[:, QRSEND] + 1)
    reach = np.where(rr > ms(1000), np.minimum(0.6 * rr, 1.2 * T_LENGTH), T_LENGTH)
    stop = np.minimum(r + reach, following - np.minimum(0.4 * rr, ms(240)))
    marks[:, [TON, T1, T2, TEND]] = find_wave(scales, rows, start, stop, r, following, T_RULE)


def delineate_p(scales: np.ndarray, rows: np.ndarray, preceding: np.ndarray, previous_end: np.ndarray,
                marks: np.ndarray) -> None:
    """Fills Pon, P1, P2, Pend; ``preceding`` is the previous complex's R, ``previous_end`` the end of its T wave."""
    stop = marks[:, QRSON] - ms(20)
    start = np.fmax(marks[:, QRSON] - P_LENGTH, np.fmax(previous_end, preceding + ms(150)))
    marks[:, [PON, P1, P2, PEND]] = find_wave(scales, rows, start, stop, preceding, marks[:, R], P_RULE)


def find_wave(scales: np.ndarray, rows: np.ndarray, start: np.ndarray, stop: np.ndarray, beat_start: np.ndarray,
              beat_stop: np.ndarray, rule: WaveRule) -> np.ndarray:
    """(n, 4) onset, two peaks, end of the wave in each window; on scale 4, where that shows nothing on scale 5."""
    waves = np.full((len(rows), 4), np.nan)
    todo = np.nonzero(stop - start >= SHORTEST_WINDOW)[0]
    for k in (3, 4):
        if len(todo):
            waves[todo] = _find_on_scale(scales[k], scales[k - 1], rows[todo], start[todo], stop[todo],
                                         beat_start[todo], beat_stop[todo], rule)
            todo = todo[np.isnan(waves[todo, 0])]
    return waves


def _find_on_scale(w, finer, rows, start, stop, beat_start, beat_stop, rule: WaveRule) -> np.ndarray:
    floor = rule.detection * _rms(w, rows, beat_start, beat_stop)
    lobes = _find_lobes(w, rows, start, stop, floor, rule)
    on = limit(w, rows, lobes.first, np.full(len(rows), rule.onset), -1, rule.cap)
    end = limit(w, rows, lobes.last, np.full(len(rows), rule.end), 1, rule.cap)
    one, two = _peaks(finer, w, rows, lobes)
    result = np.stack([on, one, two, end], axis=1)
    result[~lobes.present] = np.nan
    return result


@dataclass(frozen=True)
class _Lobes:
    """Flanks of a wave, (n,) each: the first, the steepest and the last; two of them agree unless it is biphasic."""

    present: np.ndarray
    first: np.ndarray
    main: np.ndarray
    last: np.ndarray
    biphasic: np.ndarray


def _find_lobes(w, rows, start, stop, floor, rule: WaveRule) -> _Lobes:
    """The largest lobe above ``floor`` in each window and the neighbours of the other sign that make it a wave."""
    start = np.ceil(start).astype(int)
    width = stop - start
    values = gather(w, rows, start, int(np.ceil(width.max())) + 1)
    magnitude = np.abs(values)
    column = np.arange(values.shape[1], dtype=np.int32)
    lobe = local_maxima(magnitude) & (column <= np.floor(width).astype(np.int32)[:, None])
    main = (magnitude * lobe).argmax(axis=1)
    everyone = np.arange(len(rows))
    height, falling = magnitude[everyone, main], values[everyone, main] < 0
    side = lobe & ((values < 0) != falling[:, None]) & (magnitude > (rule.side * height)[:, None])
    distance = column - main.astype(np.int32)[:, None]
    side &= np.abs(distance) <= np.asarray(rule.spacing, dtype=np.int32).reshape(-1, 1)
    early = distance < 0
    before, after = last_true(side & early), first_true(side & ~early)
    low, high = pick(magnitude, before), pick(magnitude, after)
    both = (before >= 0) & (after >= 0)
    biphasic = both & (np.minimum(low, high) > rule.second * height)
    keep_before = (before >= 0) & (biphasic | ~both | (low >= high))
    keep_after = (after >= 0) & (biphasic | ~both | (high > low))
    present = lobe[everyone, main] & (height > floor) & (keep_before | keep_after)
    present &= height + np.maximum(low, high) > rule.smallest
    first, last = np.where(keep_before, before, main), np.where(keep_after, after, main)
    return _Lobes(present, start + first, start + main, start + last, biphasic)


def _peaks(finer, w, rows, lobes: _Lobes) -> tuple[np.ndarray, np.ndarray]:
    """First and second peak of a wave; the second only where it is biphasic."""
    early = lobes.first < lobes.main
    left, right = np.where(early, lobes.first, lobes.main), np.where(early, lobes.main, lobes.last)
    double = np.nonzero(lobes.biphasic)[0]
    peaks = _peak(finer, w, np.concatenate([rows, rows[double]]), np.concatenate([left, lobes.main[double]]),
                  np.concatenate([right, lobes.last[double]]))
    one, two = peaks[: len(rows)], np.full(len(rows), np.nan)
    two[double] = peaks[len(rows) :]
    return one, two


def peaks_between(scales: np.ndarray, rows: np.ndarray, on: np.ndarray, end: np.ndarray,
                  rule: WaveRule) -> tuple[np.ndarray, np.ndarray]:
    """First and second peak (n,) of waves whose limits are known; NaN where the slopes show none."""
    margin = ms(24)
    lobes = _find_lobes(scales[3], rows, on - margin, end + margin, 0, rule)
    one, two = (np.where(lobes.present & (peak > on) & (peak < end), peak, np.nan)
                for peak in _peaks(scales[2], scales[3], rows, lobes))
    return np.where(np.isnan(one), two, one), np.where(np.isnan(one), np.nan, two)


def _peak(finer, w, rows, left, right) -> np.ndarray:
    """Zero crossing between two lobes: the finer scale's crossing nearest to the coarser one's."""
    coarse = zero_crossing(w, rows, left, right, max(int((right - left).max(initial=0)), 1))
    around = np.nan_to_num(coarse, nan=0).round().astype(int) - ms(24)
    fine = zero_crossing(finer, rows, around, around + 2 * ms(24), 2 * ms(24))
    return np.where(np.isnan(fine) | np.isnan(coarse), coarse, fine)


def _rms(w: np.ndarray, rows: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """(n,) root mean square of ``w`` from ``start`` to ``stop``."""
    total = np.pad(np.cumsum(w.astype(np.float64) ** 2, axis=1), ((0, 0), (1, 0)))
    a = np.clip(np.nan_to_num(start, nan=0), 0, w.shape[1] - 1).astype(int)
    b = np.maximum(np.clip(np.nan_to_num(stop, nan=0), 0, w.shape[1]).astype(int), a + 1)
    return np.sqrt((total[rows, b] - total[rows, a]) / (b - a))


def empty_marks(n: int) -> np.ndarray:
    """(n, 13) marks, all missing."""
    return np.full((n, len(MARKS)), np.nan)
