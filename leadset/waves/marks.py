"""The thirteen marks of a beat and the order they come in."""

from __future__ import annotations

import numpy as np

#: Onsets, peaks and ends of a beat; P and T may have a second peak.
MARKS: tuple[str, ...] = (
    "Pon", "P1", "P2", "Pend", "QRSon", "Q", "R", "S", "QRSend", "Ton", "T1", "T2", "Tend",
)
PON, P1, P2, PEND, QRSON, Q, R, S, QRSEND, TON, T1, T2, TEND = range(len(MARKS))

#: Marks of one wave: columns from (incl.) to (excl.).
WAVES: dict[str, slice] = {"P": slice(PON, QRSON), "QRS": slice(QRSON, TON), "T": slice(TON, TEND + 1)}


def drop_disordered(marks: np.ndarray) -> None:
    """Sets waves missing, in place, that are out of order (n, 13): a P or T wave, or the Q or S wave of a complex.

    A P wave has to end before the complex begins and to begin before it ends; a T wave likewise follows the complex.
    """
    with np.errstate(invalid="ignore"):
        marks[marks[:, Q] <= marks[:, QRSON], Q] = np.nan
        marks[marks[:, Q] >= marks[:, R], Q] = np.nan
        marks[marks[:, S] <= marks[:, R], S] = np.nan
        marks[marks[:, S] >= marks[:, QRSEND], S] = np.nan
        for wave, on, end in (("P", PON, PEND), ("T", TON, TEND)):
            peaks = marks[:, on + 1 : end]
            wrong = ~(marks[:, on] < marks[:, end]) | (peaks[:, 1] <= peaks[:, 0]) | np.isnan(peaks[:, 0])
            wrong |= ((peaks < marks[:, [on]]) | (peaks > marks[:, [end]])).any(axis=1)
            wrong |= marks[:, PEND] > marks[:, QRSON] if wave == "P" else marks[:, TON] < marks[:, QRSEND]
            marks[wrong, WAVES[wave]] = np.nan
