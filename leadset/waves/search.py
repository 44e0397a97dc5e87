"""Window searches on rows of the wavelet transform, for all leads and beats at once.

A search concerns ``n`` windows; ``rows`` (n,) names the lead of each and positions are grid samples. Windows that leave
the recording repeat its first or last sample.
"""

from __future__ import annotations

import numpy as np

from leadset.waves.wavelet import GRID_RATE


def ms(duration: float) -> int:
    """Milliseconds as grid samples."""
    return round(duration * GRID_RATE / 1000)


def gather(w: np.ndarray, rows: np.ndarray, start: np.ndarray, length: int, direction: int = 1) -> np.ndarray:
    """(n, length) samples of ``w`` (leads, t) from ``start`` (n,) onwards, or backwards with ``direction`` -1."""
    if w.shape[1] < length:
        w = np.pad(w, ((0, 0), (0, length - w.shape[1])), mode="edge")
    first = start if direction > 0 else start - (length - 1)
    last = w.shape[1] - length
    within = np.minimum(np.maximum(first, 0), last)
    # Whole windows are copied, which is several times as fast as to look up every sample.
    w = np.ascontiguousarray(w)
    windows = np.ndarray((len(w), last + 1, length), w.dtype, w, 0, (*w.strides, w.strides[1]))[rows, within]
    beyond = np.nonzero(within != first)[0]
    if len(beyond):
        columns = np.clip(first[beyond, None] + np.arange(length), 0, w.shape[1] - 1)
        windows[beyond] = w[rows[beyond, None], columns]
    return windows[:, ::direction]


def first_true(mask: np.ndarray) -> np.ndarray:
    """(n,) column of the first True of each row of (n, m), or -1."""
    first = mask.argmax(axis=1)
    return np.where(mask[np.arange(len(mask)), first], first, -1)


def last_true(mask: np.ndarray) -> np.ndarray:
    """(n,) column of the last True of each row of (n, m), or -1."""
    last = first_true(mask[:, ::-1])
    return np.where(last < 0, -1, mask.shape[1] - 1 - last)


def local_maxima(magnitude: np.ndarray) -> np.ndarray:
    """(n, m) True where a sample exceeds its left and is not below its right neighbour; never at the borders."""
    maxima = np.zeros(magnitude.shape, dtype=bool)
    rising = magnitude[:, 1:] > magnitude[:, :-1]
    np.logical_and(rising[:, :-1], ~rising[:, 1:], out=maxima[:, 1:-1])
    return maxima


def pick(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    """(n,) one value per row of (n, m); column -1 gives 0."""
    return np.where(column < 0, 0, values[np.arange(len(values)), np.maximum(column, 0)])


def limit(w: np.ndarray, rows: np.ndarray, lobe: np.ndarray, fraction: np.ndarray, direction: int,
          cap: int) -> np.ndarray:
    """(n,) where a wave ends, walking outwards from its outermost lobe (modulus maximum).

    It is the nearer of two places: where |w| has fallen below ``fraction`` of its value at the lobe (interpolated), or
    its first local minimum; at most ``cap`` samples away.
    """
    magnitude = np.abs(gather(w, rows, lobe, cap + 2, direction))
    threshold = (fraction * magnitude[:, 0])[:, None]
    below = magnitude < threshold
    minimum = local_maxima(-magnitude)
    below[:, 0] = False
    stop = first_true(below | minimum)
    stop = np.where(stop < 0, cap, np.minimum(stop, cap))
    before, after = pick(magnitude, stop - 1), pick(magnitude, stop)
    crossed = pick(below, stop) & (before > after)
    with np.errstate(divide="ignore", invalid="ignore"):
        back = np.where(crossed, (threshold[:, 0] - after) / (before - after), 0.0)
    return lobe + direction * (stop - np.clip(back, 0, 1))


def zero_crossing(w: np.ndarray, rows: np.ndarray, left: np.ndarray, right: np.ndarray, span: int) -> np.ndarray:
    """(n,) interpolated first sign change of ``w`` from ``left`` to ``right``, at most ``span`` apart, or NaN."""
    values = gather(w, rows, left, span + 1)
    change = (values[:, :-1] * values[:, 1:] <= 0) & (values[:, :-1] != 0)
    change &= np.arange(span, dtype=np.int32) < (right - left).astype(np.int32)[:, None]
    at = first_true(change)
    before, after = pick(values, at), pick(values, at + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(at < 0, np.nan, left + at + before / (before - after))
