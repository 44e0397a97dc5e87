"""Strips of a recording as they are drawn: heights in millimetres, what their label says, where they are cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadset.plots.layouts import Strip
from leadset.plots.paper import ALARM, FAINT, INK, Paper, fitted, text_width
from leadset.recordings import Recording
from leadset.signals import MIN_SD_MV, known, runs
from leadset.waves.assessment import Quality

#: Millimetres: length of the calibration pulse, least room above and below a baseline, how far a trace may go from it.
_PULSE, _LEAST_UP, _LEAST_DOWN, _FURTHEST = 5.0, 8.0, 5.0, 40.0
#: Labels: size in points, height and least width in millimetres. Traces: width in points.
_LABEL_PT, _LABEL_HEIGHT, _LEAST_LABEL, _TRACE_PT = 8.0, 3.0, 25.0, 0.8
#: What a lead's fault is called beside its name, where not by its own name.
_PLAIN = {"constant": "flat", "missing": "partly missing"}


@dataclass(frozen=True)
class Trace:
    """A strip ready to be drawn: (t, 2) points in mm from its start and baseline, NaN where nothing is known; its
    label; and heights in mm of its highest and lowest point and of its label."""

    strip: Strip
    points: np.ndarray
    label: str
    high: float
    low: float
    label_at: float
    overflows: bool


def prepare_trace(
    recording: Recording, strip: Strip, quality: Quality | None, speed: int, gain: int, name_start: bool
) -> Trace:
    """Prepares a strip: what it looks like and what is said about it.

    Args:
        recording: that it is of.
        strip: the stretch.
        quality: of the recording, for the faults of leads; without it only flat ones are named.
        speed: mm/s. gain: mm/mV.
        name_start: whether the label says at which second it starts.
    """
    label, points = strip.lead, np.empty((0, 2))
    if name_start:
        label += f"  {strip.start:g} s"
    words = ["not recorded"]
    if strip.lead in recording.leads:
        row = recording.leads.index(strip.lead)
        values = recording.signal[row, round(strip.start * recording.fs) : round(strip.stop * recording.fs)]
        there = known(values)
        level = np.median(values[there]) if there.any() else 0.0
        heights = np.where(there, (np.where(there, values, 0) - level) * gain, np.nan)
        points = np.stack([np.arange(len(values)) / recording.fs * speed, heights], axis=1)
        words = _words(recording.signal[row], there, None if quality is None else quality.reasons[row])
    seen = points[~np.isnan(points[:, 1])]
    overflows = bool(len(seen)) and float(np.abs(seen[:, 1]).max()) > _FURTHEST
    if overflows:
        extreme = seen[np.abs(seen[:, 1]).argmax(), 1] / gain
        words.insert(0, f"cut off: {extreme:.3g} mV")
        points[:, 1] = np.clip(points[:, 1], -_FURTHEST, _FURTHEST)
        seen = points[~np.isnan(points[:, 1])]
    label = fitted("  ".join([label, ", ".join(words)]) if words else label, _LABEL_PT, True, _label_room(strip, speed))
    under = seen[seen[:, 0] < text_width(label, _LABEL_PT, True) + 2, 1]
    high, low = (float(seen[:, 1].max()), float(seen[:, 1].min())) if len(seen) else (0.0, 0.0)
    return Trace(strip, points, label, high, low, max(float(under.max()) if len(under) else 0.0, 4.0) + 1, overflows)


def _words(whole: np.ndarray, there: np.ndarray, reasons: Sequence[str] | None) -> list[str]:
    """What is said beside the name of a lead that is there, of a strip whose samples are partly known."""
    everywhere = known(whole)
    if not everywhere.any():
        return ["no signal"]
    if not there.any():
        return ["not recorded here"]
    if reasons is not None:
        return [_PLAIN.get(reason, reason) for reason in reasons if reason != "missing" or not there.all()]
    return ["flat"] if whole[everywhere].std() < MIN_SD_MV else []


def _label_room(strip: Strip, speed: int) -> float:
    """Millimetres that a label may take, so that it ends before the next strip begins."""
    return max((strip.stop - strip.start) * speed, _LEAST_LABEL) - 4


def extent(row: Sequence[Trace], gain: int) -> tuple[float, float]:
    """Millimetres that a row takes above and below its baseline."""
    tops = [max(trace.high, trace.label_at + _LABEL_HEIGHT) for trace in row]
    return max(_LEAST_UP, gain, *tops), max(_LEAST_DOWN, *(-trace.low for trace in row))


def draw_pulse(paper: Paper, x: float, baseline: float, gain: int) -> None:
    """A millivolt for 5 mm."""
    steps = [(0, 0), (1, 0), (1, gain), (1 + _PULSE, gain), (1 + _PULSE, 0), (2 + _PULSE, 0)]
    paper.lines([[(x + across, baseline + up) for across, up in steps]], INK, _TRACE_PT, 2)


def draw_trace(paper: Paper, trace: Trace, x: float, baseline: float, divided: bool) -> None:
    """Draws a strip with its label; ``divided`` from the one on its left."""
    points = trace.points + np.array([x, baseline])
    pieces = [points[a:b] for a, b in zip(*runs(~np.isnan(trace.points[:, 1])), strict=True) if b - a > 1]
    paper.lines(pieces, INK, _TRACE_PT, 2)
    if trace.overflows:
        cut = np.abs(np.nan_to_num(trace.points[:, 1])) >= _FURTHEST
        ends = zip(*runs(cut), strict=True)
        paper.lines([points[max(a - 1, 0) : b + 1] for a, b in ends], ALARM, 2 * _TRACE_PT, 2.5)
    if divided:
        paper.lines([[(x, baseline - 2), (x, baseline + 2)]], FAINT, _TRACE_PT, 1.5)
    colour = INK if trace.label == trace.strip.lead or len(pieces) else FAINT
    paper.text(x + 1, baseline + trace.label_at, trace.label, _LABEL_PT, colour=colour, bold=True, halo=True)
