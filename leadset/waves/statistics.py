"""Statistics of a lead and of its wavelet coefficients: the features of Zhang et al. (iScience 24(4):102373, 2021).

Eight statistics of the signal, and of each of five sets of coefficients of a Daubechies-10 transform to level four
their entropy and the same eight: 53 a lead, 636 on twelve leads. The authors' entropy is that of the counts of equal
values; as hardly two coefficients are equal, it tells the length of the recording and nothing else. Here it is that of
the coefficients' shares of the energy, as a share of the largest it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from math import comb

import numpy as np

from leadset.utils.memory import row_blocks

STATISTICS: tuple[str, ...] = ("p5", "p25", "p75", "p95", "median", "mean", "sd", "variance")
#: Sets of coefficients, coarse to fine.
COEFFICIENTS: tuple[str, ...] = ("cA4", "cD4", "cD3", "cD2", "cD1")
_PERCENTILES = (5, 25, 75, 95, 50)
_VANISHING, _LEVELS = 10, 4
#: Values that are computed with at once: half an hour of a lead at 500 Hz has fewer.
_MOST_AT_ONCE = 2**20


def statistic_names(leads: Sequence[str]) -> list[str]:
    """Names of `lead_statistics`, such as ``"V1_cD2_entropy"``."""
    of_lead = [f"signal_{name}" for name in STATISTICS]
    of_lead += [f"{band}_{name}" for band in COEFFICIENTS for name in ("entropy", *STATISTICS)]
    return [f"{lead}_{name}" for lead in leads for name in of_lead]


def lead_statistics(leads_mv: Iterable[np.ndarray]) -> np.ndarray:
    """Features (53 · l,) float32 of a signal in millivolts, ordered as `statistic_names`.

    Args:
        leads_mv: (l, t), or its leads (t,) one after the other: only the one that is looked at has to be in memory.

    Raises:
        ValueError: a lead is no row of samples, or there is none.
    """
    parts = [_of_lead(np.asarray(lead)) for lead in leads_mv]
    if not parts:
        raise ValueError("found no lead, expected one or more")
    return np.concatenate(parts).astype(np.float32)


def _of_lead(signal: np.ndarray) -> np.ndarray:
    """Features (53,) of a lead (t,)."""
    if signal.ndim != 1 or not signal.size:
        raise ValueError(f"found a lead of shape {signal.shape}, expected (samples,) with some")
    bands = _bands(signal[None])
    of_bands = [np.concatenate([energy_entropy(band), *_statistics(band)]) for band in bands]
    return np.concatenate([*_statistics(signal[None].astype(np.float64)), *of_bands[::-1]])


def _statistics(values: np.ndarray) -> np.ndarray:
    """`STATISTICS` (8, l) of each row of float64 values, which are put into another order."""
    n = values.shape[1]
    mean = _total(values, lambda part: part) / n
    spread = np.sqrt(_total(values, lambda part: (part - mean[:, None]) ** 2) / n)
    percentiles = np.transpose([np.percentile(row, _PERCENTILES, overwrite_input=True) for row in values])
    return np.stack([*percentiles, mean, spread, spread**2])


def _total(values: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(l,) sum of a function of values (l, n), which is computed piece by piece."""
    rows, n = values.shape
    return np.sum([of(values[:, part]).sum(axis=1) for part in row_blocks(n, rows, _MOST_AT_ONCE)], axis=0)


def energy_entropy(coefficients: np.ndarray) -> np.ndarray:
    """Entropy (l,) of the shares of the energy (l, n), from 0 (one coefficient has it all) to 1 (all have as much)."""
    total = _total(coefficients, np.square)[:, None]

    def terms(part: np.ndarray) -> np.ndarray:
        share = np.divide(part**2, total, out=np.zeros_like(part), where=total > 0)
        return share * np.log(share, out=np.zeros_like(share), where=share > 0)

    return -_total(coefficients, terms) / np.log(max(2, coefficients.shape[1]))


def decompose(signal: np.ndarray) -> list[np.ndarray]:
    """Coefficients (l, n) of each of `COEFFICIENTS` of a signal (l, t), continued by its mirror image at the ends."""
    return list(_bands(signal))[::-1]


def _bands(signal: np.ndarray) -> Iterator[np.ndarray]:
    """Those of `decompose` from fine to coarse, each as soon as it is known."""
    low = daubechies(_VANISHING)
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    approximation = signal
    for _ in range(_LEVELS):
        yield _halved(approximation, high)
        approximation = _halved(approximation, low)
    yield approximation


def _halved(signal: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """A signal (l, t) through a filter, every second sample, piece by piece."""
    (rows, n), ends = signal.shape, len(taps) - 1
    out = np.empty((rows, (n + ends) // 2))
    for part in row_blocks(out.shape[1], rows, _MOST_AT_ONCE):
        first, last = 2 * part.start + 1 - ends, 2 * min(part.stop, out.shape[1])
        inside = signal[:, max(first, 0) : last].astype(np.float64)
        padded = np.pad(inside, ((0, 0), (max(-first, 0), max(last - n, 0))), mode="symmetric")
        out[:, part] = np.lib.stride_tricks.sliding_window_view(padded, len(taps), axis=1)[:, ::2] @ taps
    return out


@cache
def daubechies(vanishing: int) -> np.ndarray:
    """Low-pass filter (2 n,) of the extremal-phase wavelet with n vanishing moments (Daubechies, 1988).

    The spectral factor, with all zeros inside the unit circle, of the shortest half-band filter.
    """
    half = [comb(vanishing - 1 + k, k) for k in range(vanishing)]
    zeros = np.ones(vanishing, dtype=complex) * -1
    # P(y) with y = (2 - z - 1/z) / 4: each of its zeros is a pair of zeros in z.
    for y in np.roots(half[::-1]):
        pair = np.roots([1, 4 * y - 2, 1])
        zeros = np.append(zeros, pair[np.argmin(np.abs(pair))])
    taps = np.real(np.poly(zeros))
    return taps * np.sqrt(2) / taps.sum()
