"""Whether a complex leaves the baseline where it was: heartbeats do; steps, pulse curves and discharges do not."""

from __future__ import annotations

import numpy as np

from leadset.utils.nan_statistics import median
from leadset.waves.search import gather

#: Seconds before and behind R at which the baseline is compared, and over how many.
REACH, SPAN = 0.16, 0.06


def baseline_moves(signal: np.ndarray, fs: float, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(n,) by how much the baseline moves at each place, as a share of the range there.

    Args:
        signal: (leads, t) in mV, finite.
        fs: its sampling rate in Hz.
        rows, at: (n,) lead and sample of each R peak.
    """
    reach, span = round(REACH * fs), round(SPAN * fs)
    around = gather(signal, rows, at - reach, 2 * reach + 1)
    moves = np.abs(median(around[:, -span:]) - median(around[:, :span]))
    return moves / np.maximum(np.ptp(around, axis=1), 1e-9)
