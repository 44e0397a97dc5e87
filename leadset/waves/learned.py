"""The learned method: the network's heat maps say where marks are, the wavelet rules name the peaks.

Beats are peaks of the R heat averaged over the leads. Around each beat every mark is sought in its heat map: the
centroid of the heat about its maximum is the position, the sum of it the confidence that the mark exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter1d

from leadset.waves import network
from leadset.waves.envelope import Envelope, without_noise
from leadset.waves.fiducials import P_RULE, T_RULE, by_row, empty_marks, name_peaks, peaks_between
from leadset.waves.marks import MARKS, P1, P2, PEND, PON, QRSEND, QRSON, T1, T2, TEND, TON, Q, R, S, drop_disordered
from leadset.waves.p_waves import is_p
from leadset.waves.search import gather, ms
from leadset.waves.wavelet import GRID_RATE, Transform


def cells(duration: float) -> int:
    """Milliseconds as cells of the heat maps."""
    return round(duration * GRID_RATE / (1000 * network.HEAT_CELL))


#: Mean R heat over the leads that makes a beat, also where a higher one is hardly farther than the refractory period,
#: and that period.
BEAT_HEAT, CLOSE_HEAT, REFRACTORY = 0.15, 0.3, cells(176)
#: The heat of one certain mark, summed over cells (a Gaussian of 14 ms).
FULL_HEAT = 14 * np.sqrt(2 * np.pi) / (1000 * network.HEAT_CELL / GRID_RATE)
#: Cells about the maximum whose centroid is the position, for each heat map. Where heat has two peaks, as it has where
#: the experts who drew the marks do not agree, the mean of them errs less than the choice of one.
ABOUT: tuple[int, ...] = (4, 3, 4, 3, 2, 3, 5, 3, 5)
WIDEST = max(ABOUT)
#: Confidence, averaged over a wave's three marks, from which it exists.
QRS_CONFIDENCE, T_CONFIDENCE = 0.15, 0.2
#: A P or T wave moves the signal from the line between its onset and its end by this many mV at least.
SMALLEST_WAVE = 0.004
#: Points of a wave at which that is looked at.
MOVE_POINTS = 13
#: A peak of the slopes is used if it, or the second peak of the wave, lies this near to the peak of the heat.
PEAK_REACH = ms(60)
ONSET, PEAK, END = 0, 1, 2
#: First channel of each wave.
P_HEAT, QRS_HEAT, T_HEAT = 0, 3, 6
#: Columns of the marks of both waves.
P_AND_T = np.array([(PON, P1, P2, PEND), (TON, T1, T2, TEND)])


@dataclass(frozen=True)
class _Heat:
    """Heat maps (9, leads, t) seen from ``rows`` (n,), the lead of each pair of lead and beat."""

    maps: np.ndarray
    rows: np.ndarray

    def seek(self, channels: Sequence[int], start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (grid samples) and confidences, (k, n) each, of the marks of k channels.

        ``start`` and ``stop`` (k, n) are the first and last cell where each may lie.
        """
        shape, maps = np.shape(start), self.maps.reshape(-1, self.maps.shape[2])
        rows = np.add.outer(np.array(channels) * self.maps.shape[1], self.rows).ravel()
        start, stop = np.round(start).astype(int).ravel(), np.round(stop).astype(int).ravel()
        length = max(int((stop - start).max()) + 1, 1)
        window = gather(maps, rows, start, length)
        window *= np.arange(length) <= (stop - start)[:, None]
        at = start + window.argmax(axis=1)
        near = gather(maps, rows, at - WIDEST, 2 * WIDEST + 1).reshape(*shape, -1)
        offset = np.arange(-WIDEST, WIDEST + 1, dtype=np.float32)
        counted = (np.abs(offset) <= np.array(ABOUT)[channels, None]).astype(np.float32)
        total = np.einsum("knc,kc->kn", near, counted)
        centre = at.reshape(shape) + np.einsum("knc,kc->kn", near, counted * offset) / np.maximum(total, 1e-9)
        confidence = np.where((stop >= start).reshape(shape), total / FULL_HEAT, 0)
        return (centre + 0.5) * network.HEAT_CELL - 0.5, confidence


def learned_marks(grid: Transform, envelope: Envelope, usable: np.ndarray,
                  weights: Path = network.WEIGHTS) -> np.ndarray:
    """Marks by the network with the shipped or other weights; else arguments and result as of `rules.rule_marks`."""
    marks = np.full((len(usable), 0, len(MARKS)), np.nan)
    if not usable.any():
        return marks
    grid, envelope = grid.of(usable), envelope.of(usable)
    leads, samples = grid.signal.shape
    maps = _maps(grid, envelope, weights)
    beats, sure = find_beats(maps[QRS_HEAT + PEAK].mean(axis=0))
    beats = without_noise(envelope, beats * network.HEAT_CELL, sure) // network.HEAT_CELL
    if not len(beats):
        return marks
    heat = _Heat(maps, np.repeat(np.arange(leads), len(beats)))
    fill = lambda values: np.tile(values, leads)  # noqa: E731
    beat = fill(beats)
    following, preceding = fill(np.append(beats[1:], samples // network.HEAT_CELL)), fill(np.append(0, beats[:-1]))
    found = empty_marks(len(heat.rows))
    _qrs(heat, grid, beat, preceding, following, found)
    _p_and_t_waves(heat, grid, beat, preceding, following, leads, found)
    drop_disordered(found)
    marks = np.full((len(usable), len(beats), len(MARKS)), np.nan)
    marks[usable] = found.reshape(leads, len(beats), len(MARKS))
    return marks


def sure_beats(grid: Transform, envelope: Envelope) -> tuple[np.ndarray, np.ndarray]:
    """Beats (n,) of the legible leads in grid samples, to a cell, and the confidence of each."""
    maps = _maps(grid.of(envelope.legible), envelope.of(envelope.legible), network.WEIGHTS)
    beats, sure = find_beats(maps[QRS_HEAT + PEAK].mean(axis=0))
    return (beats + 0.5) * network.HEAT_CELL - 0.5, sure


def _maps(grid: Transform, envelope: Envelope, weights: Path) -> np.ndarray:
    return heat_maps(network.logits(grid.scales, envelope, network.load_weights(weights)))


def heat_maps(logits: np.ndarray) -> np.ndarray:
    """Heat maps (9, leads, t) from 0 to 1 of the network's output (leads, t, 12)."""
    maps = np.ascontiguousarray(np.moveaxis(logits[:, :, : len(network.HEAT)], 2, 0))
    with np.errstate(over="ignore"):  # the reciprocal of infinity is 0
        np.exp(np.negative(maps, out=maps), out=maps)
    maps += 1
    return np.reciprocal(maps, out=maps)


def find_beats(heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells (beats,) of the beats in the R heat (t,) common to all leads, and their confidences."""
    from scipy.signal import find_peaks

    mass = np.convolve(heat, np.ones(2 * ABOUT[QRS_HEAT + PEAK] + 1) / FULL_HEAT, "same")
    beats = find_peaks(np.pad(mass, 1), height=BEAT_HEAT, distance=REFRACTORY + 1)[0] - 1
    # At 300 beats a minute the flank of a beat reaches into the refractory period of the next.
    beats = beats[(mass[beats] >= CLOSE_HEAT) | (mass == maximum_filter1d(mass, 2 * REFRACTORY + 1))[beats]]
    return beats, mass[beats]


def _qrs(heat: _Heat, grid: Transform, beat: np.ndarray, preceding: np.ndarray, following: np.ndarray,
         marks: np.ndarray) -> None:
    first, last = np.maximum(beat - cells(200), preceding + 1), np.minimum(beat + cells(260), following - 1)
    (on, _, end), sure = heat.seek([QRS_HEAT + ONSET, QRS_HEAT + PEAK, QRS_HEAT + END],
                                   np.stack([first, beat - cells(100), beat]),
                                   np.stack([beat, beat + cells(100), last]))
    name_peaks(grid.scales, grid.signal, heat.rows, (beat * network.HEAT_CELL).astype(int), marks)
    marks[:, QRSON], marks[:, QRSEND] = on, end
    for column in (Q, S):
        marks[(marks[:, column] <= on) | (marks[:, column] >= end), column] = np.nan
    outside = (marks[:, R] <= on) | (marks[:, R] >= end)
    marks[outside, R] = np.clip((beat + 0.5) * network.HEAT_CELL - 0.5, on + 1, end - 1)[outside]
    marks[(sure.sum(axis=0) < 3 * QRS_CONFIDENCE) | (end <= on + 2)] = np.nan


def _p_and_t_waves(heat: _Heat, grid: Transform, beat: np.ndarray, preceding: np.ndarray, following: np.ndarray,
                   leads: int, marks: np.ndarray) -> None:
    """Fills both waves: seeks their peaks, then onset and end around these. A peak that does not lie between them is no
    peak: it is sought once more, after the onset or before the end. The slopes refine peaks that are near and say
    whether there are two."""
    first = np.stack([np.maximum(beat - cells(480), preceding + cells(120)), beat + cells(80)])
    last = np.stack([beat - cells(30), np.minimum(beat + cells(700), following - cells(60))])
    waves = _seek_waves(heat, beat, following, first, last)
    early, late = waves[ONSET] >= waves[PEAK], waves[END] <= waves[PEAK]
    if (early | late).any():
        first = np.where(early, np.minimum(waves[ONSET] // network.HEAT_CELL + 1, last), first)
        last = np.where(late, np.maximum(waves[END] // network.HEAT_CELL - 1, first), last)
        again = _seek_waves(heat, beat, following, first, last)
        ordered = (again[ONSET] < again[PEAK]) & (again[PEAK] < again[END])
        waves = np.where((early | late) & ordered, again, waves)
    (p_on, t_on), peak, (p_end, t_end), (sure_p, sure_t) = waves
    by_lead = lambda values: values.reshape(leads, -1)  # noqa: E731
    supposed = is_p(by_lead(sure_p), by_lead(peak[0]), by_lead(beat)[0] * network.HEAT_CELL)
    there = np.stack([supposed.ravel(), sure_t >= T_CONFIDENCE]) & ~np.isnan(marks[:, R])
    on, end = np.stack([p_on, np.fmax(t_on, marks[:, QRSEND])]), np.stack([np.fmin(p_end, marks[:, QRSON]), t_end])
    there[there] = _moves(grid.signal, np.tile(heat.rows, (2, 1))[there], on[there], end[there])
    wave, pair = np.nonzero(there)
    if not len(wave):
        return
    on, peak, end = on[there], peak[there], end[there]
    one, two = peaks_between(grid.scales, heat.rows[pair], on, end, by_row((P_RULE, T_RULE), wave))
    stray = ~(np.fmin(np.abs(one - peak), np.abs(two - peak)) <= PEAK_REACH)
    one, two = np.where(stray, peak, one), np.where(stray, np.nan, two)
    marks[pair[:, None], P_AND_T[wave]] = np.stack([on, one, two, end], axis=1)


def _seek_waves(heat: _Heat, beat: np.ndarray, following: np.ndarray, first: np.ndarray,
                last: np.ndarray) -> np.ndarray:
    """(4, 2, n) onset, peak and end of P and T, and the mean confidence of the three.

    ``first`` and ``last`` (2, n) are the cells between which the peak of each lies.
    """
    peak, sure = heat.seek([P_HEAT + PEAK, T_HEAT + PEAK], first, last)
    p, t = peak / network.HEAT_CELL
    limits, sure_limits = heat.seek(
        [P_HEAT + ONSET, T_HEAT + ONSET, P_HEAT + END, T_HEAT + END],
        np.stack([p - cells(180), np.maximum(t - cells(340), beat + cells(30)), p, t]),
        np.stack([p, t, np.minimum(p + cells(180), beat), np.minimum(t + cells(340), following)]))
    return np.stack([limits[:2], peak, limits[2:], (sure_limits[:2] + sure + sure_limits[2:]) / 3])


def _moves(signal: np.ndarray, rows: np.ndarray, on: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(n,) whether the signal leaves the line between onset and end of each wave, so that there is a wave at all."""
    share = np.linspace(0, 1, MOVE_POINTS)
    at = on[:, None] + share * (end - on)[:, None]
    values = signal[rows[:, None], np.clip(np.rint(at), 0, signal.shape[1] - 1).astype(int)]
    away = values - values[:, :1] - share * (values[:, -1:] - values[:, :1])
    return np.ptp(away, axis=1) >= SMALLEST_WAVE
