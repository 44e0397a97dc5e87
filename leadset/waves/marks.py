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
    """Sets missing, in place, what is out of order or incomplete in marks (..., 13).

    A complex needs its R (a limit may lie beyond the recording); Q lies between onset and R, S between R and end. A P
    or T wave needs a complex, onset, peak and end; a P wave ends before the complex begins, a T wave begins after it.
    """
    at = lambda column: marks[..., column]  # noqa: E731
    marks[np.isnan(at(R)) | (at(QRSON) >= at(R)) | (at(QRSEND) <= at(R)), WAVES["QRS"]] = np.nan
    marks[~(at(Q) < at(R)) | (at(Q) <= at(QRSON)), Q] = np.nan
    marks[~(at(S) > at(R)) | (at(S) >= at(QRSEND)), S] = np.nan
    for wave, on, peak, end in (("P", PON, P1, PEND), ("T", TON, T1, TEND)):
        second = at(peak + 1)
        wrong = ~((at(on) <= at(peak)) & (at(peak) <= at(end)) & (at(on) < at(end)))
        wrong |= (second <= at(peak)) | (second > at(end))
        inner, outer = (at(PEND), at(QRSON)) if wave == "P" else (at(QRSEND), at(TON))
        wrong |= np.isnan(at(R)) | (inner > outer) | (at(TON) <= at(R) if wave == "T" else at(PEND) >= at(R))
        marks[wrong, WAVES[wave]] = np.nan
