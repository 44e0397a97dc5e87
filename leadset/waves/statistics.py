"""Statistics of a lead and of its wavelet coefficients: the features of Zhang et al. (iScience 24(4):102373, 2021).

Eight statistics of the signal, and of each of five sets of coefficients of a Daubechies-10 transform to level four
their entropy and the same eight: 53 a lead, 636 on twelve leads. The authors' entropy is that of the counts of equal
values; as hardly two coefficients are equal, it tells the length of the recording and nothing else. Here it is that of
the coefficients' shares of the energy, as a share of the largest it can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import comb

import numpy as np

STATISTICS: tuple[str, ...] = ("p5", "p25", "p75", "p95", "median", "mean", "sd", "variance")
#: Sets of coefficients, coarse to fine.
COEFFICIENTS: tuple[str, ...] = ("cA4", "cD4", "cD3", "cD2", "cD1")
_PERCENTILES = (5, 25, 75, 95, 50)
_VANISHING, _LEVELS = 10, 4


def statistic_names(leads: Sequence[str]) -> list[str]:
    """Names of `lead_statistics`, such as ``"V1_cD2_entropy"``."""
    of_lead = [f"signal_{name}" for name in STATISTICS]
    of_lead += [f"{band}_{name}" for band in COEFFICIENTS for name in ("entropy", *STATISTICS)]
    return [f"{lead}_{name}" for lead in leads for name in of_lead]


def lead_statistics(signal_mv: np.ndarray) -> np.ndarray:
    """Features (53 · l,) float32 of a signal (l, t) in millivolts, ordered as `statistic_names`.

    Raises:
        ValueError: not two dimensions, or no samples.
    """
    signal = np.asarray(signal_mv, dtype=np.float64)
    if signal.ndim != 2 or not signal.size:
        raise ValueError(f"found a signal of shape {signal.shape}, expected (leads, samples) with some of each")
    parts = [_statistics(signal)]
    for coefficients in decompose(signal):
        parts += [energy_entropy(coefficients)[None], _statistics(coefficients)]
    return np.concatenate(parts).T.ravel().astype(np.float32)


def _statistics(values: np.ndarray) -> np.ndarray:
    """`STATISTICS` (8, l) of each row."""
    spread = values.std(axis=1)
    return np.stack([*np.percentile(values, _PERCENTILES, axis=1), values.mean(axis=1), spread, spread**2])


def energy_entropy(coefficients: np.ndarray) -> np.ndarray:
    """Entropy (l,) of the shares of the energy (l, n), from 0 (one coefficient has it all) to 1 (all have as much)."""
    energy = coefficients**2
    total = energy.sum(axis=1, keepdims=True)
    share = np.divide(energy, total, out=np.zeros_like(energy), where=total > 0)
    logarithm = np.log(share, out=np.zeros_like(share), where=share > 0)
    return -(share * logarithm).sum(axis=1) / np.log(max(2, coefficients.shape[1]))


def decompose(signal: np.ndarray) -> list[np.ndarray]:
    """Coefficients (l, n) of each of `COEFFICIENTS` of a signal (l, t), continued by its mirror image at the ends."""
    low = daubechies(_VANISHING)
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    approximation, details = signal, []
    for _ in range(_LEVELS):
        ends = len(low) - 1
        extended = np.pad(approximation, ((0, 0), (ends, ends)), mode="symmetric")
        pieces = np.lib.stride_tricks.sliding_window_view(extended, len(low), axis=1)[:, 1::2]
        details.append(pieces @ high)
        approximation = pieces @ low
    return [approximation, *details[::-1]]


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
