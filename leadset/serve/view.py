"""What the page shows of a recording: everything that can be known at once, and pictures of it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from leadset.anomaly.detector import TRANSFORM
from leadset.entry import Answer, Entry
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
        """Where it is unlike normal recordings; None where the entry has no detector, or cannot score it."""
        try:
            detector = self.entry.detector(self.recording.leads)
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
        values = explanation.classes[0].map
        layer = attribution_layer(values, explanation.rate, explanation.leads, name)
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
    """The traces as a drawing that can be zoomed.

    Args:
        view: what is drawn.
        leads: those shown.
        overlay: all in one plot, instead of one below the other.
        marks: whether peaks of P, R and T are marked.
        axes: names of the axes of time and of voltage.
    """
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    recording = view.recording
    rows = 1 if overlay else len(leads)
    figure = make_subplots(rows, 1, shared_xaxes=True, vertical_spacing=0.1 / max(1, rows))
    for i, lead in enumerate(leads):
        trace = recording.signal[recording.leads.index(lead)]
        row = 1 if overlay else i + 1
        line = {"width": 1} if overlay else {"width": 1, "color": _LINE}
        points = thinned(trace, recording.fs)
        figure.add_trace(Scatter(**points, mode="lines", name=lead, line=line, showlegend=overlay), row, 1)
        if marks:
            _add_peaks(figure, view, lead, row, first=i == 0)
        figure.update_yaxes(title_text=axes[1] if overlay else lead, row=row, col=1)
    figure.update_xaxes(title_text=axes[0], row=rows, col=1)
    height = _OVERLAY_HEIGHT if overlay else max(2, len(leads)) * _ROW_HEIGHT
    figure.update_layout(
        height=height, margin={"l": 50, "r": 10, "t": 10, "b": 40}, showlegend=overlay or marks, hovermode="x"
    )
    return figure


def _add_peaks(figure: Figure, view: View, lead: str, row: int, first: bool) -> None:
    from plotly.graph_objects import Scatter

    fs, index = view.recording.fs, view.recording.leads.index(lead)
    signal = view.recording.signal[index]
    for name, column, colour in _PEAKS:
        at = view.marks.marks[index, :, column]
        at = at[np.isfinite(at)]
        heights = signal[np.clip(np.rint(at).astype(int), 0, len(signal) - 1)]
        marker = {"color": colour, "size": 6, "symbol": "circle-open"}
        peaks = Scatter(x=at / fs, y=heights, mode="markers", name=name, marker=marker, legendgroup=name,
                          showlegend=first)  # fmt: skip
        figure.add_trace(peaks, row, 1)


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
