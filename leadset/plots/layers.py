"""Layers over and under a trace: marks of waves, and maps of a recording such as anomaly heat or attributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadset.plots.layouts import Strip
from leadset.plots.paper import Paper
from leadset.waves.delineator import Delineation
from leadset.waves.export import BRACKETS

#: Colours of the waves (Okabe and Ito, distinct to colour-blind eyes).
WAVE_COLOURS = {"P": "#0072B2", "QRS": "#D55E00", "T": "#009E73"}
#: Colours of a map, of high and of low values.
HIGH, LOW = "#6a1fb0", "#0b7a75"
#: How much of the paper the strongest colour hides.
_MOST_OPAQUE = 0.75
_WAVE_PT, _DOT_PT = 1.5, 5.0


@dataclass(frozen=True)
class SignalMap:
    """A value for each sample of some leads, drawn as colour behind their traces.

    Attributes:
        values: (l, t) at a sampling rate of its own; NaN stays white.
        fs: that rate in Hz.
        leads: names of the l leads.
        full: value of the strongest colour, one for all leads or (l,).
        label: what the colour means, for the legend.
        signed: whether low values (below 0) have a colour of their own; otherwise they stay white.
        label_low: what the other colour means.
        start: second of the recording at which the values begin.
    """

    values: np.ndarray
    fs: float
    leads: Sequence[str]
    full: float | np.ndarray
    label: str
    signed: bool = False
    label_low: str = ""
    start: float = 0.0

    def __post_init__(self) -> None:
        """Raises a ValueError where values, rate and names do not belong together."""
        if np.ndim(self.values) != 2 or len(self.values) != len(self.leads) or not self.fs > 0:
            shape = np.shape(self.values)
            raise ValueError(f"map of shape {shape} at {self.fs} Hz for {len(self.leads)} leads: expected (leads, t)")

    def relative(self, lead: str, start: float, stop: float) -> np.ndarray | None:
        """(t,) values of seconds of a lead, from -1 to 1 (or 0 to 1); None where there is none."""
        if lead not in self.leads:
            return None
        row = list(self.leads).index(lead)
        first, last = (max(round((second - self.start) * self.fs), 0) for second in (start, stop))
        cut = np.asarray(self.values[row])[first:last]
        full = float(np.broadcast_to(self.full, len(self.leads))[row])
        if not len(cut) or not full > 0:
            return None
        return np.clip(cut / full, -1.0 if self.signed else 0.0, 1.0)


def draw_map(paper: Paper, layer: SignalMap, strip: Strip, x: float, low: float, high: float, speed: float) -> None:
    """Colours a strip, which begins at ``x`` mm and reaches from ``low`` to ``high`` mm, at ``speed`` mm/s."""
    from matplotlib.colors import to_rgb

    values = layer.relative(strip.lead, strip.start, strip.stop)
    if values is None:
        return
    known = np.nan_to_num(values)
    colours = np.where((known >= 0)[:, None], to_rgb(HIGH), to_rgb(LOW))
    pixels = np.concatenate([colours, _MOST_OPAQUE * np.abs(known)[:, None]], axis=1)
    extent = (x, x + len(values) / layer.fs * speed, low, high)
    image = paper.axes.imshow(pixels[None], extent=extent, aspect="auto", interpolation="nearest", zorder=0.5)
    image.set_clip_on(True)
    paper.axes.set(xlim=(0, paper.width), ylim=(0, paper.height))


def draw_marks(
    paper: Paper, marks: Delineation, row: int, strip: Strip, points: np.ndarray, speed: float
) -> None:
    """Colours P, QRS and T of a strip and sets dots at their peaks.

    Args:
        paper: to draw on.
        marks: of the recording.
        row: of the lead in them.
        strip: what is drawn.
        points: (t, 2) mm of the samples from ``strip.start`` on.
        speed: mm/s.
    """
    if not len(points):
        return
    first = strip.start * marks.fs
    for (wave, colour), (on, peaks, end, _) in zip(WAVE_COLOURS.items(), BRACKETS, strict=True):
        waves = marks.marks[row][:, [on, *peaks, end]]
        if wave == "P":
            waves = np.concatenate([waves, marks.p_only])
        waves = waves[~np.isnan(waves[:, 1])] - first
        onsets, ends = (np.where(np.isnan(limit), waves[:, 1], limit) for limit in (waves[:, 0], waves[:, -1]))
        spans = [
            points[max(int(np.ceil(start)), 0) : int(stop) + 1]
            for start, stop in zip(onsets, ends, strict=True)
            if stop >= 0 and start < len(points)
        ]
        paper.lines([span for span in spans if len(span) > 1], colour, _WAVE_PT, 3)
        at = waves[:, 1:-1].ravel()
        at = at[(at >= 0) & (at < len(points))]  # NaN compares False
        across, up = points[0, 0] + at / marks.fs * speed, points[at.astype(int), 1]
        paper.axes.scatter(across, up, s=_DOT_PT, color=colour, linewidths=0, zorder=3.5)
