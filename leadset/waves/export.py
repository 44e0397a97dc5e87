"""Marks in files: CSV rows and WFDB annotations."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from leadset.waves.delineator import Delineation
from leadset.waves.marks import MARKS, P1, P2, PEND, PON, QRSEND, QRSON, T1, T2, TEND, TON, R

#: Header of the CSV: positions are samples, counted from 0, fractions included; an empty field is a missing mark. Beats
#: count from 0; the lead ``all`` holds the marks common to all leads, at last, without a number of a beat, those of P
#: waves that no complex follows.
CSV_COLUMNS: tuple[str, ...] = ("recording", "fs", "lead", "beat", *MARKS, "quality")
#: Name of the annotator: the extension of the annotation files.
ANNOTATOR = "pqrst"
#: (onset, peaks, end, symbol) of a wave in WFDB's waveform annotations, as LUDB and the QT Database use them.
BRACKETS = ((PON, (P1, P2), PEND, "p"), (QRSON, (R,), QRSEND, "N"), (TON, (T1, T2), TEND, "t"))


def csv_rows(name: str, leads: Sequence[str], delineation: Delineation) -> Iterator[list[str]]:
    """Rows of one recording under `CSV_COLUMNS`: every lead and beat, the common marks, then the lone P waves."""
    tables = [*zip(leads, delineation.marks, delineation.beat_quality, strict=True),
              ("all", delineation.fused, np.full(len(delineation.fused), delineation.recording_quality))]
    for lead, marks, qualities in tables:
        for beat, (row, quality) in enumerate(zip(marks, qualities, strict=True)):
            yield [name, f"{delineation.fs:g}", lead, str(beat), *_positions(row), f"{quality:.3f}"]
    for wave in delineation.p_only:
        row = np.concatenate([wave, np.full(len(MARKS) - len(wave), np.nan)])
        yield [name, f"{delineation.fs:g}", "all", "", *_positions(row), f"{delineation.recording_quality:.3f}"]


def _positions(row: np.ndarray) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.1f}" for value in row]


def write_annotations(delineation: Delineation, name: str, folder: Path) -> Path:
    """Writes ``<name>.pqrst``: WFDB annotations ``( p )``, ``( N )``, ``( t )``, with a lead's number as their channel;
    P waves that no complex follows are in channel 0.

    Raises:
        ValueError: there is no mark to write.
    """
    import wfdb

    entries = sorted(
        (round(float(row[column])), lead, symbol)
        for lead, rows, brackets in (*((n, beats, BRACKETS) for n, beats in enumerate(delineation.marks)),
                                     (0, delineation.p_only, BRACKETS[:1]))
        for row in rows for on, peaks, end, letter in brackets
        for column, symbol in ((on, "("), *((peak, letter) for peak in peaks), (end, ")"))
        if not np.isnan(row[column])
    )
    if not entries:
        raise ValueError(f"{name}: no wave was found, so there is nothing to annotate")
    samples, channels, symbols = zip(*entries, strict=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        # wfdb reads annotations of any name, and writes those of some names only.
        wfdb.wrann("marks", ANNOTATOR, np.array(samples), list(symbols), chan=np.array(channels), fs=delineation.fs,
                   write_dir=scratch)
        target = folder / f"{name}.{ANNOTATOR}"
        os.replace(Path(scratch) / f"marks.{ANNOTATOR}", target)
    return target
