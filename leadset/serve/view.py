"""What the page shows of a recording: everything that can be known at once, and pictures of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from leadset.anomaly.detector import TRANSFORM
from leadset.entry import Answer, Entry
from leadset.entry.detectors import detector_of
from leadset.explain import METHODS, explain
from leadset.leads import sort_leads
from leadset.plots import SheetOptions, SignalMap, draw_sheet, findings_of
from leadset.plots.attributions import attribution_layer
from leadset.recordings import Recording
from leadset.waves import Delineation, Measurements, Quality, assess, delineate, measure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: Marks of the waves in an interactive drawing: (name, column of `leadset.waves.MARKS`, colour).
_PEAKS = (("P", 1, "#0072B2"), ("R", 6, "#D55E00"), ("T", 10, "#009E73"))
_LINE = "#37474f"
#: Height of an interactive drawing in pixels: of each lead, and of all in one plot.
_ROW_HEIGHT, _OVERLAY_HEIGHT = 110, 480
#: Pixels around a drawing. Where legend, names or numbers need more, the browser draws everything a second time.
_MARGIN = {"l": 50, "r": 50, "t": 45, "b": 70}
#: What is said of a point.
_HOVER = "%{customdata:.2f} mV, %{x:.3f} s"
#: Least distance between the levels of two leads, what is free between their traces, in mV, and the share of samples
#: on either side that gets no room.
_CLOSEST_MV, _GAP_MV, _RARE = 0.8, 0.2, 0.001
#: Most points of a lead that a browser is sent: more than a wide screen has columns, so that the eye misses nothing.
_MOST_POINTS = 6000


@dataclass(frozen=True)
class View:
    """A recording and what the kit says of it; what takes its time is computed when it is first shown.

    Attributes:
        recording: as uploaded.
        entry: answers it.
    """

    recording: Recording
    entry: Entry

    @cached_property
    def marks(self) -> Delineation:
        """The waves."""
        return delineate(self.recording.signal, self.recording.fs)

    @cached_property
    def quality(self) -> Quality:
        """How good the recording is."""
        return assess(self.recording.signal, self.recording.fs, self.recording.leads, self.marks)

    @cached_property
    def measurements(self) -> Measurements:
        """Rate, intervals and axes."""
        one = self.recording
        return measure(one.signal, one.fs, one.leads, delineation=self.marks, quality=self.quality, age=one.age,
                       sex=one.sex)  # fmt: skip

    @cached_property
    def answer(self) -> Answer:
        """The entry's answer on all leads."""
        return self.entry.predict(self.recording)

    @cached_property
    def anomaly(self) -> SignalMap | None:
        """Where it is unlike normal recordings, by the entry's detector or the one that ships; None where that cannot
        score it."""
        try:
            detector = detector_of(self.entry, self.recording.leads)
            score = detector.score(self.recording.signal, self.recording.fs, self.recording.leads)
        except (OSError, ValueError):
            return None
        high = None if detector.reference is None else detector.reference.high["deviation"]
        full = float(np.nanquantile(score.deviation, 0.99)) if high is None else high
        return SignalMap(score.deviation, TRANSFORM.rate, detector.leads, full, "unlike normal recordings")

    def attribution(self, name: str) -> tuple[SignalMap, str]:
        """What a class rests on, as a layer of the sheet, and by which method.

        Args:
            name: abbreviation of the class.

        Raises:
            ValueError: the recording cannot be judged.
        """
        explanation = explain(self.entry, self.recording, [name])
        start, values = min(explanation.maps_by_second(explanation.classes[0]).items())  # that of the seconds shown
        layer = attribution_layer(values, explanation.rate, explanation.leads, name, start)
        return layer, METHODS[explanation.method]

    def answer_on(self, leads: tuple[str, ...]) -> Answer:
        """The entry's answer on some of the leads."""
        return self.entry.predict(reduced(self.recording, leads))

    def sheet(self, kind: str, layout: str = "3x4", **layers: object) -> bytes:
        """A picture on paper, in one of `leadset.plots.sheet.FORMATS`."""
        figure = draw_sheet(
            self.recording, SheetOptions(layout), marks=self.marks if self.quality.usable else None,
            quality=self.quality, measurements=self.measurements,
            answer=findings_of(self.answer, self.entry.space), **layers,
        )  # fmt: skip
        file = io.BytesIO()
        figure.savefig(file, format=kind)
        return file.getvalue()

    def table(self) -> str:
        """Probabilities and decisions as CSV."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["recording", "class", "name", "probability", "decided"])
        rows = zip(self.entry.space.classes, self.answer.probabilities, self.answer.labels, strict=True)
        writer.writerows(
            [self.recording.name, one.abbreviation, one.name, f"{p:.6f}", int(label)] for one, p, label in rows
        )
        return file.getvalue()


def reduced(recording: Recording, leads: tuple[str, ...]) -> Recording:
    """A recording of some of its leads."""
    rows = [recording.leads.index(lead) for lead in leads]
    return replace(recording, signal=recording.signal[rows], leads=leads)


def lead_choices(recording: Recording, entry: Entry) -> list[tuple[str, ...]]:
    """Lead sets that a recording can be answered on: all its leads, and the smaller ones that the entry knows."""
    there = sort_leads(recording.leads)
    smaller = [trained.leads for trained in entry.manifest.sets if set(trained.leads) < set(there)]
    return [recording.leads, *smaller]


def interactive(view: View, leads: tuple[str, ...], overlay: bool, marks: bool, axes: tuple[str, str]) -> Figure:
    """The traces as a drawing that can be zoomed, all at one scale.

    Args:
        view: what is drawn.
        leads: those shown.
        overlay: all in one plot, instead of one below the other.
        marks: whether peaks of P, R and T are marked.
        axes: names of the axes of time and of voltage.
    """
    from plotly.graph_objects import Figure

    recording = view.recording
    rows = [recording.leads.index(lead) for lead in leads]
    points = [thinned(recording.signal[row], recording.fs) for row in rows]
    middles, levels = stacked([one["y"] for one in points])
    shifts = np.zeros(len(rows)) if overlay else levels - middles
    line = {"width": 1} if overlay else {"width": 1, "color": _LINE}
    drawn: list[dict[str, Any]] = [
        {**one, "y": one["y"] + shift, "customdata": one["y"], "name": lead, "mode": "lines", "line": line,
         "showlegend": overlay, "hovertemplate": _HOVER}
        for one, shift, lead in zip(points, shifts.astype(np.float32), leads, strict=True)
    ]  # fmt: skip
    layout = {
        "height": _OVERLAY_HEIGHT if overlay else max(2, len(leads)) * _ROW_HEIGHT, "hovermode": "closest",
        "margin": _MARGIN, "showlegend": overlay or marks,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        "xaxis": {"title": {"text": axes[0]}, "range": (0, recording.seconds)},
    }  # fmt: skip
    if overlay:
        layout["yaxis"] = {"title": {"text": axes[1]}}
    else:
        layout["yaxis"] = {"tickvals": levels, "ticktext": leads, "zeroline": False}
        bar = {"xref": "paper", "x0": 1, "x1": 1, "y0": levels[-1], "y1": levels[-1] + 1}
        layout["shapes"] = [{"type": "line", **bar}]
        layout["annotations"] = [{"text": "1 mV", "xref": "paper", "x": 1, "xanchor": "left", "y": levels[-1] + 0.5,
                                  "showarrow": False}]  # fmt: skip
    return Figure(drawn + (_peaks(view, rows, shifts) if marks else []), layout)


def blank() -> Figure:
    """A drawing without anything, as low as it can be."""
    from plotly.graph_objects import Figure

    none = {"visible": False}
    return Figure(layout={"height": 10, "margin": dict.fromkeys("lrtb", 0), "xaxis": none, "yaxis": none})


def stacked(traces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Middles (l,) of traces, and the levels (l,) at which those lie when the traces are drawn one below the other.

    Levels are as far apart as the traces need; peaks that hardly a sample reaches may cross.
    """
    spans = [trace[np.isfinite(trace)] if np.isfinite(trace).any() else np.zeros(1) for trace in traces]
    low, middles, high = np.array([np.quantile(span, (_RARE, 0.5, 1 - _RARE)) for span in spans]).T
    apart = np.maximum(middles[:-1] - low[:-1] + high[1:] - middles[1:] + _GAP_MV, _CLOSEST_MV)
    return middles, -np.concatenate([[0.0], apart.cumsum()])


def _peaks(view: View, rows: Sequence[int], shifts: np.ndarray) -> list[dict[str, Any]]:
    """Peaks of P, R and T in rows of the recording, which are drawn at so many millivolts more."""
    fs, drawn = view.recording.fs, []
    for name, column, colour in _PEAKS:
        times, heights = [], []
        for row, shift in zip(rows, shifts, strict=True):
            at, signal = view.marks.marks[row, :, column], view.recording.signal[row]
            at = at[np.isfinite(at)]
            times.append(at / fs)
            heights.append(signal[np.clip(np.rint(at).astype(int), 0, len(signal) - 1)] + shift)
        marker = {"color": colour, "size": 6, "symbol": "circle-open"}
        both = {"x": np.concatenate(times), "y": np.concatenate(heights)}
        drawn.append({**both, "mode": "markers", "name": name, "marker": marker, "hoverinfo": "skip"})
    return drawn


def thinned(trace: np.ndarray, fs: float) -> dict[str, Any]:
    """A trace with at most `_MOST_POINTS` points, as a drawing takes it: of each stretch its lowest and its highest."""
    step = -(-len(trace) // (_MOST_POINTS // 2)) if len(trace) > _MOST_POINTS else 1
    if step == 1:
        return {"x0": 0, "dx": 1 / fs, "y": trace.astype(np.float32)}
    whole = len(trace) // step * step
    stretches = np.nan_to_num(trace[:whole]).reshape(-1, step)
    first = np.arange(0, whole, step)
    kept = np.sort(np.concatenate([first + stretches.argmin(1), first + stretches.argmax(1)]))
    return {"x": kept / fs, "y": trace[kept].astype(np.float32)}
