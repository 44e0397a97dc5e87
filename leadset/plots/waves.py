"""A picture of the marks of all leads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leadset.waves.delineator import Delineation
from leadset.waves.export import BRACKETS

#: Colours of the waves in plots (Okabe and Ito, distinct to colour-blind eyes).
COLOURS = {"P": "#0072B2", "QRS": "#D55E00", "T": "#009E73"}
#: Seconds to a line of a plot and inches of a lead's height.
_PLOT_SECONDS, _LEAD_HEIGHT = 10.0, 0.9


def plot_marks(
    signal_mv: np.ndarray, leads: Sequence[str], delineation: Delineation, target: Path, title: str = ""
) -> None:
    """Draws all leads, one below the other, with P, QRS and T coloured; the format is that of ``target``'s ending.

    Recordings longer than 10 s are drawn up to there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = min(signal_mv.shape[1], round(_PLOT_SECONDS * delineation.fs))
    time = np.arange(shown) / delineation.fs
    figure = Figure(figsize=(14, 1 + _LEAD_HEIGHT * len(leads)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(leads), 1, sharex=True, squeeze=False)[:, 0]
    by_lead = zip(axes, leads, signal_mv, delineation.marks, delineation.quality, strict=True)
    for axis, name, row, beats, quality in by_lead:
        axis.plot(time, row[:shown], color="0.35", linewidth=0.7)
        for colour, (on, peaks, end, _) in zip(COLOURS.values(), BRACKETS, strict=True):
            _draw_wave(axis, row[:shown], delineation.fs, beats[:, on], beats[:, end], beats[:, peaks], colour)
        lone = (delineation.p_only[:, at] for at in (0, 3, [1, 2]))
        _draw_wave(axis, row[:shown], delineation.fs, *lone, COLOURS["P"])
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
    there = ~np.isnan(peaks[:, 0])
    limits = [np.where(np.isnan(limit), peaks[:, 0], limit)[there] for limit in (onsets, ends)]  # from R if cut off
    for start, stop in zip(*limits, strict=True):
        if stop < len(row):
            inside = np.arange(int(np.ceil(start)), int(stop) + 1)
            axis.plot(inside / fs, row[inside], color=colour, linewidth=1.6)
    at = peaks[(peaks >= 0) & (peaks < len(row))]  # NaN compares False
    axis.plot(at / fs, row[at.round().astype(int).clip(max=len(row) - 1)], ".", color=colour, markersize=4)

