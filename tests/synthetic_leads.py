"""Leads made of Gaussian bumps, whose marks are known, and what must hold of all marks."""

from __future__ import annotations

import numpy as np

from leadset.preprocess import Prepared
from leadset.waves.marks import P1, PEND, PON, T1, TEND, TON, R

#: Methods that mark every wave.
METHODS = ("learned", "wavelet")
#: Amplitude in mV, offset from R in s, standard deviation in s of the bumps of each kind of complex.
COMPLEXES = {
    "qRs": [(-0.1, -0.032, 0.008), (1.0, 0.0, 0.011), (-0.2, 0.034, 0.009)],
    "R": [(1.0, 0.0, 0.012)],
    "QS": [(-1.0, 0.0, 0.014)],
}


def synthetic(fs: float, kind: str = "qRs", rr: float = 0.8, beats: int = 12, seconds: float = 10.0, first: float = 0.6,
              noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A lead in mV made of Gaussian bumps, and its R peaks in seconds."""
    t = np.arange(round(seconds * fs)) / fs
    r = first + rr * np.arange(beats)
    bumps = [(0.12, -0.17, 0.02), (0.3, 0.28, 0.04), *COMPLEXES[kind]]
    signal = np.zeros(len(t))
    for a, offset, sd in bumps:
        for at in r + offset:
            near = slice(*np.searchsorted(t, (at - 8 * sd, at + 8 * sd)))
            signal[near] += a * np.exp(-0.5 * ((t[near] - at) / sd) ** 2)
    return signal + noise * np.random.default_rng(0).standard_normal(len(t)), r


def assert_ordered(marks: np.ndarray) -> None:
    """Marks (..., 13) are in order, and no wave is there in part."""
    for row in marks.reshape(-1, 13):
        seen = row[~np.isnan(row)]
        assert (np.diff(seen) >= 0).all(), row
        for on, peak, end in ((PON, P1, PEND), (TON, T1, TEND)):  # a wave is there as a whole or not at all
            assert np.isnan(row[[on, peak, end]]).all() or not np.isnan(row[[on, peak, end]]).any()
        assert np.isnan(row).all() or not np.isnan(row[R])


def in_millivolts(prepared: Prepared) -> np.ndarray:
    """Samples (leads, t) of a prepared recording."""
    return prepared.samples * prepared.statistics[0][:, None]
