"""A picture of where a recording is abnormal: heat under the trace of each lead, and the marks of its waves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leadset.plots.waves import COLOURS
from leadset.utils.files import write_atomically
from leadset.waves.delineator import Delineation
from leadset.waves.marks import PEND, PON, QRSEND, QRSON, TEND, TON

_LIMITS = {"P": (PON, PEND), "QRS": (QRSON, QRSEND), "T": (TON, TEND)}
_SECONDS, _LEAD_HEIGHT = 10.0, 0.9
#: The darkest heat: this many times the error that one in a hundred samples of normal recordings exceeds.
_DARKEST = 4.0


def plot_map(
    signal_mv: np.ndarray,
    fs: float,
    leads: Sequence[str],
    heat: np.ndarray,
    high: Sequence[float],
    marks: Delineation,
    target: Path,
    *,
    heat_fs: float,
    title: str = "",
) -> None:
    """Draws the first 10 s of a recording; the format is that of ``target``'s ending.

    Args:
        signal_mv: (l, t) in mV.
        fs: its sampling rate in Hz.
        leads: names of its l leads.
        heat: (l, t') map of the same leads; NaN stays white.
        high: (l,) of the map in normal recordings, the unit of the heat.
        marks: of the signal.
        target: file to write.
        heat_fs: sampling rate of the map in Hz.
        title: above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = signal_mv[:, : round(_SECONDS * fs)]
    time = np.arange(shown.shape[1]) / fs
    relative = heat[:, : round(_SECONDS * heat_fs)] / np.asarray(high)[:, None]
    figure = Figure(figsize=(14, 1 + _LEAD_HEIGHT * len(leads)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(leads), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name, row, lead_heat, lead_marks in zip(axes, leads, shown, relative, marks.marks, strict=True):
        low, top = np.nanmin(row, initial=-0.1), np.nanmax(row, initial=0.1)
        extent = (0, len(lead_heat) / heat_fs, low, top)
        image = axis.imshow(lead_heat[None], cmap="Reds", vmin=0, vmax=_DARKEST, extent=extent, aspect="auto")
        axis.plot(time, row, color="0.15", linewidth=0.7)
        for wave, (on, end) in _LIMITS.items():
            spans = lead_marks[:, [on, end]] / fs
            spans = spans[~np.isnan(spans).any(axis=1)]
            axis.hlines(np.full(len(spans), low), *spans.T, color=COLOURS[wave], linewidth=2.5)
        axis.set(xlim=(0, time[-1] if len(time) > 1 else 1), ylim=(low - 0.05 * (top - low), top))
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=7)
    axes[-1].set_xlabel("time (s), amplitude in mV")
    bar = figure.colorbar(image, ax=list(axes), shrink=0.5, pad=0.01)
    bar.set_label("error, 99th percentile of normal recordings = 1", fontsize=8)
    handles = [Line2D([], [], color=colour, linewidth=2, label=wave) for wave, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    with write_atomically(target, "wb") as file:
        figure.savefig(file, dpi=110, format=target.suffix[1:] or "png")
