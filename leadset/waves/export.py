"""Marks on paper: CSV rows, WFDB annotations, and a plot of all leads."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from leadset.waves.delineator import Delineation
from leadset.waves.marks import MARKS, P1, P2, PEND, PON, QRSEND, QRSON, T1, T2, TEND, TON, R

#: Header of the CSV: positions are samples, counted from 0, fractions included; an empty field is a missing mark. Beats
#: count from 0; the lead ``all`` holds the marks common to all leads.
CSV_COLUMNS: tuple[str, ...] = ("recording", "fs", "lead", "beat", *MARKS, "quality")
#: Name of the annotator: the extension of the annotation files.
ANNOTATOR = "pqrst"
#: (onset, peaks, end, symbol) of a wave in WFDB's waveform annotations, as LUDB and the QT Database use them.
_BRACKETS = ((PON, (P1, P2), PEND, "p"), (QRSON, (R,), QRSEND, "N"), (TON, (T1, T2), TEND, "t"))
#: Colours of the waves in plots (Okabe and Ito, distinct to colour-blind eyes).
COLOURS = {"P": "#0072B2", "QRS": "#D55E00", "T": "#009E73"}
#: Seconds to a line of a plot and inches of a lead's height.
_PLOT_SECONDS, _LEAD_HEIGHT = 10.0, 0.9


def csv_rows(name: str, leads: Sequence[str], found: Delineation) -> Iterator[list[str]]:
    """Rows of one recording under `CSV_COLUMNS`: every lead and beat, then the common marks."""
    tables = [*zip(leads, found.marks, found.beat_quality, strict=True),
              ("all", found.fused, np.full(len(found.fused), found.recording_quality))]
    for lead, marks, qualities in tables:
        for beat, (row, quality) in enumerate(zip(marks, qualities, strict=True)):
            positions = ["" if np.isnan(value) else f"{value:.1f}" for value in row]
            yield [name, f"{found.fs:g}", lead, str(beat), *positions, f"{quality:.3f}"]


def write_annotations(found: Delineation, name: str, folder: Path) -> Path:
    """Writes ``<name>.pqrst``: WFDB annotations ``( p )``, ``( N )``, ``( t )``, with a lead's number as their channel.

    Raises:
        ValueError: there is no mark to write.
    """
    import wfdb

    entries = sorted(
        (round(float(row[column])), lead, symbol)
        for lead, beats in enumerate(found.marks) for row in beats
        for on, peaks, end, letter in _BRACKETS
        for column, symbol in ((on, "("), *((peak, letter) for peak in peaks), (end, ")"))
        if not np.isnan(row[column])
    )
    if not entries:
        raise ValueError(f"{name}: no wave was found, so there is nothing to annotate")
    samples, channels, symbols = zip(*entries, strict=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        # wfdb reads annotations of any name, and writes those of some names only.
        wfdb.wrann("marks", ANNOTATOR, np.array(samples), list(symbols), chan=np.array(channels), fs=found.fs,
                   write_dir=scratch)
        target = folder / f"{name}.{ANNOTATOR}"
        os.replace(Path(scratch) / f"marks.{ANNOTATOR}", target)
    return target


def plot(signal_mv: np.ndarray, leads: Sequence[str], found: Delineation, target: Path, title: str = "") -> None:
    """Draws all leads, one below the other, with P, QRS and T coloured; the format is that of ``target``'s ending.

    Recordings longer than 10 s are drawn up to there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = min(signal_mv.shape[1], round(_PLOT_SECONDS * found.fs))
    time = np.arange(shown) / found.fs
    figure = Figure(figsize=(14, 1 + _LEAD_HEIGHT * len(leads)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(leads), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name, row, beats, quality in zip(axes, leads, signal_mv, found.marks, found.quality, strict=True):
        axis.plot(time, row[:shown], color="0.35", linewidth=0.7)
        for colour, (on, peaks, end, _) in zip(COLOURS.values(), _BRACKETS, strict=True):
            _draw_wave(axis, row[:shown], found.fs, beats[:, on], beats[:, end], beats[:, peaks], colour)
        axis.set_ylabel(f"{name}\nq {quality:.2f}", rotation=0, ha="right", va="center", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=7)
    axes[-1].set_xlabel("time (s), amplitude in mV")
    handles = [Line2D([], [], color=colour, linewidth=2, label=wave) for wave, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    scratch = target.with_name(f".{target.name}")
    figure.savefig(scratch, dpi=110, format=target.suffix[1:] or "png")
    os.replace(scratch, target)


def _draw_wave(axis, row, fs, onsets, ends, peaks, colour) -> None:
    for start, stop in zip(onsets, ends, strict=True):
        if stop < len(row):
            inside = np.arange(int(np.ceil(start)), int(stop) + 1)
            axis.plot(inside / fs, row[inside], color=colour, linewidth=1.6)
    at = peaks[(peaks >= 0) & (peaks < len(row))]  # NaN compares False
    axis.plot(at / fs, row[at.round().astype(int).clip(max=len(row) - 1)], ".", color=colour, markersize=4)

