"""The sheet of a recording: paper-style ECG at its true size, with layers, measurements and diagnoses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import leadset
from leadset.plots.layers import SignalMap, draw_map, draw_marks
from leadset.plots.layouts import ROW_SECONDS, Plan, plan_rows
from leadset.plots.notes import (
    FOOTER,
    HEADER,
    HEADER_WITH_BOX,
    MARGIN,
    Finding,
    describe_quality,
    write_footer,
    write_header,
)
from leadset.plots.paper import A4_MM, Paper, require_matplotlib
from leadset.plots.traces import Trace, draw_pulse, draw_trace, extent, prepare_trace
from leadset.recordings import Recording
from leadset.utils.files import write_atomically
from leadset.waves.assessment import Quality, assess
from leadset.waves.delineator import Delineation, delineate
from leadset.waves.measurements import Measurements, measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Paper speeds in mm/s and gains in mm/mV that a sheet may have; the first is the usual one.
SPEEDS, GAINS = (25, 50), (10, 5, 20)
FORMATS = ("png", "svg", "pdf")
#: Dots per inch of a PNG: eight to a millimetre, so that every line of the grid looks the same.
DPI = 8 * 25.4
#: Millimetres: room of the calibration pulse, and distance of rows.
_PULSE_ROOM, _GAP = 10.0, 1.5
#: So many rows do not fill a page, and have so many millimetres around them.
_FEW_ROWS, _AROUND_FEW = 2, 20.0
_OWNER = f"Leadset {leadset.__version__}: a research tool, not a medical device"


@dataclass(frozen=True)
class SheetOptions:
    """What a sheet shows of a recording, and how large.

    Attributes:
        layout: ``"3x4"`` with a rhythm strip, ``"6x2"``, ``"12x1"``, or ``"strip"``: one lead, line by line. With at
            most six of the twelve leads, each has a row of its own.
        speed: mm/s, out of `SPEEDS`. gain: mm/mV, out of `GAINS`.
        lead: of the rhythm strip or the single strip; by default II, else the first of I, V1, V5.
        start: first second shown.
        seconds: how many are shown; by default 10, of a single strip 60.
        date: when it was recorded, as it shall be written.
    """

    layout: str = "3x4"
    speed: int = SPEEDS[0]
    gain: int = GAINS[0]
    lead: str | None = None
    start: float = 0.0
    seconds: float | None = None
    date: str = ""


def draw_sheet(
    recording: Recording,
    options: SheetOptions | None = None,
    *,
    marks: Delineation | None = None,
    quality: Quality | None = None,
    measurements: Measurements | None = None,
    answer: Sequence[Finding] | None = None,
    heat: SignalMap | None = None,
    attribution: SignalMap | None = None,
) -> Figure:
    """Draws a recording on ECG paper, a millimetre being a millimetre; safe to call from several threads.

    Rows are as high as their traces need, so that none is cut off: the sheet is A4 (landscape), or larger; with one or
    two rows it is lower. Beyond 40 mm from its baseline a trace is cut, which is drawn in red and said at its lead.
    Each strip has its own median at zero.

    Args:
        recording: to draw.
        options: layout, scales and part of the recording; by default those of `SheetOptions`.
        marks: of the recording: P, QRS and T are coloured.
        quality: of the recording: leads with faults say so, and so does a sheet of an unusable recording.
        measurements: for the box above the traces.
        answer: diagnoses, see `leadset.plots.findings_of`; an empty sequence says that none could be given.
        heat: map of what is not normal, drawn behind the traces.
        attribution: map of what a class was decided by, drawn behind the traces.

    Raises:
        ValueError: a choice that is not there; marks, maps or quality of another recording.
    """
    options = options or SheetOptions()
    speed, gain = options.speed, options.gain
    require_matplotlib()
    _check(recording, speed, gain, marks, quality)
    plan = plan_rows(
        recording.leads, recording.seconds, options.layout, lead=options.lead, start=options.start,
        seconds=options.seconds, line_seconds=ROW_SECONDS * SPEEDS[0] / speed,
    )  # fmt: skip
    in_lines = options.layout == "strip"
    rows = [[prepare_trace(recording, strip, quality, speed, gain, in_lines) for strip in row] for row in plan.rows]
    header = HEADER if measurements is None and answer is None else HEADER_WITH_BOX
    paper, left, top = _lay_out([extent(row, gain) for row in rows], plan.seconds * speed, header)
    maps = [layer for layer in (heat, attribution) if layer is not None]
    _draw_rows(paper, rows, left, top, speed, gain, maps, marks, recording.leads)
    alarm = "" if quality is None or quality.usable else quality.unusable_because
    write_header(paper, recording.name, _facts(recording, plan, options.date), measurements, answer, alarm)
    scales = f"{speed} mm/s · {gain} mm/mV · filter: none · median of each strip at 0 mV"
    write_footer(paper, scales, _remarks(plan, quality), marks is not None, maps, _OWNER)
    return paper.figure


def _lay_out(heights: Sequence[tuple[float, float]], length: float, header: float) -> tuple[Paper, float, float]:
    """Paper with its grid, the grid's left end and its top, for rows of such heights in millimetres and a length."""
    needed = sum(up + down + _GAP for up, down in heights)
    page = A4_MM[1] if len(heights) > _FEW_ROWS else header + FOOTER + needed + _AROUND_FEW
    grid_height = 5 * max(np.ceil(needed / 5), (page - header - FOOTER) // 5)
    grid_width = 5 * np.ceil(max(_PULSE_ROOM + length + 3, A4_MM[0] - 2 * MARGIN - 1) / 5)
    paper = Paper(max(A4_MM[0], grid_width + 2 * MARGIN), max(page, header + FOOTER + grid_height))
    left = (paper.width - grid_width) / 2
    paper.grid(left, FOOTER, left + grid_width, FOOTER + grid_height)
    return paper, left, FOOTER + grid_height


def _draw_rows(
    paper: Paper, rows: Sequence[Sequence[Trace]], left: float, top: float, speed: int, gain: int,
    maps: Sequence[SignalMap], marks: Delineation | None, leads: Sequence[str],
) -> None:  # fmt: skip
    """Draws rows from the top of the grid to its bottom, with what lies behind and over them."""
    heights = [extent(row, gain) for row in rows]
    spare = (top - FOOTER - sum(up + down + _GAP for up, down in heights)) / len(rows)
    for row, (up, down) in zip(rows, heights, strict=True):
        baseline = top - spare / 2 - up
        draw_pulse(paper, left + 1, baseline, gain)
        for number, trace in enumerate(row):
            x = left + _PULSE_ROOM + trace.strip.offset * speed
            for layer in maps:
                draw_map(paper, layer, trace.strip, x, baseline - down, baseline + up, speed)
            draw_trace(paper, trace, x, baseline, number > 0)
            if marks is not None and trace.strip.lead in leads:
                points = trace.points + np.array([x, baseline])
                draw_marks(paper, marks, leads.index(trace.strip.lead), trace.strip, points, speed)
        top -= up + down + _GAP + spare


def draw_measured_sheet(
    recording: Recording, options: SheetOptions | None = None, *, marks: Delineation | None = None,
    show_marks: bool = True, **layers: Any,
) -> Figure:  # fmt: skip
    """Draws a sheet with quality, measurements and marks, which are found here.

    Args:
        recording: to draw. options: as of `draw_sheet`.
        marks: of the recording, where it has been delineated.
        show_marks: whether waves are coloured.
        layers: answer and maps, as of `draw_sheet`.

    Raises:
        ValueError: see `draw_sheet`; a sampling rate at which nothing can be found.
    """
    marks = marks or delineate(recording.signal, recording.fs)
    quality = assess(recording.signal, recording.fs, recording.leads, marks)
    measurements = measure(
        recording.signal, recording.fs, recording.leads, delineation=marks, quality=quality, age=recording.age,
        sex=recording.sex,
    )  # fmt: skip
    shown = marks if show_marks and quality.usable else None
    return draw_sheet(recording, options, marks=shown, quality=quality, measurements=measurements, **layers)


def save_sheet(figure: Figure, path: str | Path, dpi: float = DPI) -> None:
    """Writes a sheet in the format of the path's ending, at its true size.

    Args:
        figure: of `draw_sheet`.
        path: ending in .png, .svg or .pdf.
        dpi: of a PNG.

    Raises:
        ValueError: another ending.
        OSError: the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix[1:].casefold()
    if kind not in FORMATS:
        raise ValueError(f"{path}: ending {path.suffix!r}, expected one of {', '.join(f'.{one}' for one in FORMATS)}")
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with write_atomically(path, "wb") as file:
        figure.savefig(file, format=kind, dpi=dpi, metadata=undated)


def _check(
    recording: Recording, speed: int, gain: int, marks: Delineation | None, quality: Quality | None
) -> None:
    for what, value, choices in (("speed", speed, SPEEDS), ("gain", gain, GAINS)):
        if value not in choices:
            raise ValueError(f"{what} {value}: expected one of {', '.join(map(str, sorted(choices)))}")
    leads = len(recording.leads)
    if marks is not None and (len(marks.marks) != leads or marks.fs != recording.fs):
        raise ValueError(f"{leads} leads at {recording.fs:g} Hz, but marks of {len(marks.marks)} at {marks.fs:g} Hz")
    if quality is not None and len(quality.leads) != leads:
        raise ValueError(f"{leads} leads, but the quality of {len(quality.leads)}")


def _facts(recording: Recording, plan: Plan, date: str) -> str:
    age = "age unknown" if recording.age is None else f"{recording.age:g} years"
    shown = f"{plan.start:g}–{plan.stop:g} s of {recording.seconds:.4g} s"
    leads = f"{len(recording.leads)} lead{'s' * (len(recording.leads) != 1)} at {recording.fs:g} Hz"
    parts = [age, recording.sex or "sex unknown", date, leads, shown, plan.title]
    return " · ".join(part for part in parts if part)


def _remarks(plan: Plan, quality: Quality | None) -> str:
    parts = ["all columns show the same seconds"] if plan.same_seconds else []
    return " · ".join([*parts, *([] if quality is None else [describe_quality(quality)])])
