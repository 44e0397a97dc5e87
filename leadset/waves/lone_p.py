"""P waves that no complex follows: of blocked beats, found by their likeness to one another and to the conducted ones.

Searched are pauses between the end of a T wave, or where it would be, and the next P wave or complex. A lone P wave has
the shape of the recording's other P waves in all leads together (normalised correlation on one scale of the wavelet
transform) and about their size. Where no complex has a P wave, as in complete block, the most frequent shape found in
the pauses of a regular rhythm stands for it.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from leadset.utils.nan_statistics import median
from leadset.waves.marks import P1, P2, PEND, PON, QRSON, TEND, R
from leadset.waves.rhythm import rhythm_change
from leadset.waves.search import gather, local_maxima, ms
from leadset.waves.wavelet import Transform

#: Scale that is compared; how far beyond the limits of the P wave; half of the shortest P wave.
SCALE, MARGIN, HALF = 2, ms(16), ms(44)
#: Fewest P waves that a template is made of.
FEWEST = 3
#: Least correlation with the template, in one to three leads and in more, and size relative to it.
LIKE_OF_FEW, LIKE, SIZES = 0.9, 0.75, (0.45, 2.2)
#: Where a T wave ends that was not found, after R; shortest pause that is searched; what is left free before the next
#: wave; least distance of two P waves.
T_ENDS, SHORTEST_PAUSE, FREE, APART = ms(360), ms(400), ms(40), ms(280)
#: A blocked beat makes a pause: the RR interval with its P wave is so many times the median of the others, unless this
#: share of the searched pauses has one.
LONGER, MOST = 1.3, 0.6
#: Median change of the RR interval, relative to it, of a rhythm that is not regular.
IRREGULAR = 0.08
#: Standard deviation of the distance from the complex before that waves of their own rhythm have.
DISSOCIATED = ms(60)


def find_lone_p(grid: Transform, marks: np.ndarray) -> np.ndarray:
    """Onset, first and second peak and end (n, 4) of lone P waves in grid samples, common to all leads.

    Args:
        grid: the recording and its wavelet scales.
        marks: (leads, beats, 13) in grid samples.
    """
    usable = np.flatnonzero(~np.isnan(marks[:, :, R]).all(axis=1))
    if not len(usable):
        return np.empty((0, 4))
    marks = marks[usable]
    interval, start, stop = _pauses(marks, grid.signal.shape[1])
    known = _known_p(grid.scales, usable, marks, start, stop) if len(start) else None
    if known is None:
        return np.empty((0, 4))
    at, limits, before, after = known
    w = grid.scales[SCALE][usable]
    pieces = gather(w, np.repeat(np.arange(len(w)), len(at)), np.tile(at, len(w)) - before, before + after + 1)
    template = median(pieces.reshape(len(w), len(at), -1), axis=1)
    like = LIKE if len(usable) > 3 else LIKE_OF_FEW
    inner = np.maximum(start, before), np.minimum(stop, w.shape[1] - after - 1)
    candidates = [_alike(w, template, before, like, *pause) for pause in zip(*inner, strict=True)]
    places = _in_pauses(candidates, interval, median(marks[:, :, R], axis=0))
    return places[:, None] + limits


def _pauses(marks: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of the beat that ends each pause, first and last sample (n,) where the peak of a lone P wave may lie; none
    where all pauses between beats are short."""
    p_on, qrs_on, r, t_end = median(marks[:, :, [PON, QRSON, R, TEND]], axis=0).T
    ends = np.where(np.isnan(t_end), r + T_ENDS, t_end)
    begins = np.fmin(np.fmin(p_on, qrs_on), r - FREE) - FREE
    start, stop = np.append(0, ends), np.append(begins, samples)
    long = np.flatnonzero(stop - start >= SHORTEST_PAUSE)
    if not ((long > 0) & (long < len(r))).any():
        long = long[:0]
    return long, np.ceil(start[long]).astype(int) + HALF, np.floor(stop[long]).astype(int) - HALF


def _known_p(scales: np.ndarray, usable: np.ndarray, marks: np.ndarray, start: np.ndarray, stop: np.ndarray
             ) -> tuple[np.ndarray, np.ndarray, int, int] | None:
    """Peaks (n,) of the P waves that are known, their four marks from the peak, and what the template has before and
    after it; None where too few are known."""
    waves = median(marks, axis=0)
    waves = waves[~np.isnan(waves[:, P1])]
    room = np.inf
    if len(waves) >= FEWEST:
        room = np.nanmedian(waves[:, QRSON] - waves[:, P1]) - MARGIN  # the complex is no part of the P wave
        waves = waves[:, [PON, P1, P2, PEND]]
    else:
        waves = _seeds(scales[SCALE][usable], median(marks[:, :, R], axis=0), start, stop)
    if len(waves) < FEWEST:
        return None
    limits = median(waves - waves[:, 1:2], axis=0)
    before, after = int(np.ceil(-limits[0])) + MARGIN, int(min(limits[3] + MARGIN, room))
    return (np.rint(waves[:, 1]).astype(int), limits, before, after) if after >= MARGIN else None


def _seeds(w: np.ndarray, r: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Onset, peak, missing second peak and end (n, 4) of what stands out most in each pause of a regular rhythm, unless
    it follows the complexes at one distance: then it is a U wave, or the P wave of the next beat."""
    if rhythm_change(r).max() >= IRREGULAR:
        return np.empty((0, 4))
    energy = uniform_filter1d((w**2).sum(axis=0), 2 * HALF + 1)
    pauses = [(first, last) for first, last in zip(start, stop, strict=True) if first < last]
    at = np.array([first + energy[first:last].argmax() for first, last in pauses], dtype=int)
    at = at[(at > r[0]) & (local_maxima(energy[None])[0][at])] if len(at) else at
    after = at - r[np.searchsorted(r, at) - 1] if len(at) else at
    if len(at) < FEWEST or np.std(after) < DISSOCIATED:
        return np.empty((0, 4))
    return np.stack([at - HALF, at, np.full(len(at), np.nan), at + HALF], axis=1).astype(float)


def _alike(w: np.ndarray, template: np.ndarray, before: int, least: float, start: int, stop: int) -> np.ndarray:
    """Places (n,) from ``start`` to ``stop`` where ``w`` (leads, t) is like the template (leads, values)."""
    if stop - start < ms(16):
        return np.empty(0)
    piece = w[:, start - before : stop - before + template.shape[1]]
    windows = np.lib.stride_tricks.sliding_window_view(piece, template.shape[1], axis=1)
    product, energy = np.einsum("lpm,lm->p", windows, template), np.einsum("lpm,lpm->p", windows, windows)
    power = max(np.sum(template**2), 1e-12)
    like, size = product / np.sqrt(np.maximum(energy * power, 1e-12)), product / power
    possible = local_maxima(like[None])[0] & (like >= least) & (size >= SIZES[0]) & (size <= SIZES[1])
    chosen: list[int] = []
    for place in sorted(np.flatnonzero(possible), key=lambda place: -like[place]):
        if all(abs(place - other) >= APART for other in chosen):
            chosen.append(int(place))
    return start + np.sort(chosen).astype(float)


def _in_pauses(candidates: list[np.ndarray], interval: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Those of the places found in each pause (n,) where a blocked beat can be; ``interval`` numbers the beat after."""
    rr = np.diff(r)
    with_p = np.array([len(places) > 0 for places in candidates])
    inner = (interval > 0) & (interval < len(r))
    others = np.delete(rr, interval[inner & with_p] - 1)
    often = with_p[inner].mean() >= MOST if inner.any() else False
    kept = [np.empty(0)]
    for places, after, edge in zip(candidates, interval, ~inner, strict=True):
        if edge or often or not len(others) or rr[after - 1] >= LONGER * np.median(others):
            kept.append(places)
    return np.concatenate(kept)
