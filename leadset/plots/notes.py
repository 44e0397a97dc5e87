"""What is written around the traces: who and what, measurements with their ranges, diagnoses, quality, legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leadset.classes import LabelSpace
from leadset.plots.layers import HIGH, LOW, WAVE_COLOURS, SignalMap
from leadset.plots.paper import ALARM, FAINT, INK, Paper, text_width
from leadset.waves.assessment import Quality
from leadset.waves.measurements import Measurement, Measurements

#: Millimetres: margin of the sheet, height of a line, of the header with and without a box, and of the footer.
MARGIN, LINE, HEADER_WITH_BOX, HEADER, FOOTER = 8.0, 3.7, 41.0, 18.0, 15.0
#: Width of a cell of the box of measurements: of its label and its value, and of the whole cell; and cells in a column.
_LABEL, _VALUE, _CELL, _PER_COLUMN = 26.0, 19.0, 62.0, 5
#: Diagnoses that are listed, and how probable one that was not decided has to be.
_MOST_FINDINGS, _LEAST_SHOWN = 5, 0.05
_ARROWS = {"low": " ↓", "high": " ↑"}


@dataclass(frozen=True)
class Finding:
    """A diagnosis with its probability, and whether it was decided."""

    abbreviation: str
    name: str
    probability: float
    decided: bool


def findings_of(answer: Any, space: LabelSpace) -> tuple[Finding, ...]:
    """The diagnoses of an answer of an entry worth showing: the decided ones, then others by falling probability.

    Args:
        answer: a `leadset.entry.Answer`; one that could not be given has no findings.
        space: of the entry.
    """
    if answer.failed:
        return ()
    found = [
        Finding(one.abbreviation, one.name, float(probability), bool(label))
        for one, probability, label in zip(space.classes, answer.probabilities, answer.labels, strict=True)
        if label or probability >= _LEAST_SHOWN
    ]
    return tuple(sorted(found, key=lambda finding: (not finding.decided, -finding.probability)))


def write_header(
    paper: Paper, title: str, facts: str, measurements: Measurements | None, findings: Sequence[Finding] | None,
    alarm: str,
) -> None:  # fmt: skip
    """Writes title and facts, and below them the box of measurements and the diagnoses.

    Args:
        paper: to write on.
        title: name of the recording.
        facts: age, sex and so on.
        measurements: for the box; None for no box.
        findings: diagnoses, an empty sequence where none could be given; None where none were asked for.
        alarm: why the recording is unusable; empty where it is usable.
    """
    top, right = paper.height - MARGIN, paper.width - MARGIN
    half = (paper.width - 2 * MARGIN) / 2 - 2
    paper.text(MARGIN, top - 3.5, title, 11, width=half if alarm else 2 * half, bold=True)
    paper.text(MARGIN, top - 8.5, facts, 8, width=2 * half)
    if alarm:
        paper.text(right, top - 3.5, f"UNUSABLE: {alarm}", 9, width=half, colour=ALARM, bold=True, right=True)
    first = top - 14.5
    if measurements is not None:
        _write_box(paper, measurements, first)
    if findings is not None:
        _write_findings(paper, findings, first, MARGIN + (3 * _CELL if measurements else 0), right)


def _write_box(paper: Paper, measurements: Measurements, first: float) -> None:
    for at, item in enumerate(measurements.items):
        column, line = divmod(at, _PER_COLUMN)
        _write_measurement(paper, item, MARGIN + column * _CELL, first - line * LINE)
    for at, note in enumerate(measurements.notes, start=len(measurements.items)):  # in the cells that are left
        column, line = divmod(at, _PER_COLUMN)
        paper.text(MARGIN + column * _CELL, first - line * LINE, note, 6, width=_CELL - 2, colour=FAINT)


def _write_measurement(paper: Paper, item: Measurement, x: float, y: float) -> None:
    missing = math.isnan(item.value)
    odd = item.status in _ARROWS
    gap = "" if item.unit == "°" else " "
    paper.text(x, y, item.label, 7.5, width=_LABEL - 1, colour=FAINT)
    if missing:
        paper.text(x + _LABEL, y, f"–  {item.reason}", 6, width=_CELL - _LABEL - 2, colour=FAINT)
        return
    value = f"{item.value:.0f}{gap}{item.unit}{_ARROWS.get(item.status, '')}"
    paper.text(x + _LABEL, y, value, 7.5, width=_VALUE - 1, colour=ALARM if odd else INK, bold=odd)
    paper.text(x + _LABEL + _VALUE, y, item.limits, 6, width=_CELL - _LABEL - _VALUE - 1, colour=FAINT)


def _write_findings(paper: Paper, findings: Sequence[Finding], first: float, x: float, right: float) -> None:
    if not findings:
        paper.text(x, first, "no diagnosis could be given", 7.5, width=right - x, colour=ALARM, bold=True)
    for line, finding in enumerate(findings[:_MOST_FINDINGS]):
        shown = f"{finding.probability:.0%}"
        paper.text(x + 10, first - line * LINE, shown, 7.5, right=True, bold=finding.decided)
        text = f"{finding.abbreviation}  {finding.name.partition(' (')[0]}"
        colour = INK if finding.decided else FAINT
        paper.text(x + 12, first - line * LINE, text, 7.5, width=right - x - 12, colour=colour, bold=finding.decided)


def describe_quality(quality: Quality) -> str:
    """One line: quality as a whole, leads with faults, what is suspected of electrodes."""
    by_reason: dict[str, list[str]] = {}
    for lead, reasons in zip(quality.leads, quality.reasons, strict=True):
        for reason in reasons:
            by_reason.setdefault(reason, []).append(lead)
    parts = [f"quality {quality.overall:.2f}", *(f"{reason}: {' '.join(leads)}" for reason, leads in by_reason.items())]
    if quality.suspicions:
        parts.append(f"suspected: {', '.join(quality.suspicions)}")
    return " · ".join(parts)


def write_footer(paper: Paper, scales: str, remarks: str, waves: bool, maps: Sequence[SignalMap], owner: str) -> None:
    """Writes the scales of the paper, a legend of the layers, remarks, and who drew it.

    Args:
        paper: to write on.
        scales: speed, gain, filter.
        remarks: quality and what else has to be known.
        waves: whether marks are drawn.
        maps: maps that are drawn.
        owner: at the right.
    """
    high, low = FOOTER - 5.5, FOOTER - 10.0
    usable = paper.width - 2 * MARGIN
    owner_width = 72.0
    paper.text(MARGIN, low, remarks, 7, width=usable - owner_width - 3, colour=FAINT)
    paper.text(paper.width - MARGIN, low, owner, 6.5, width=owner_width, colour=FAINT, right=True)
    x = MARGIN + 135
    paper.text(MARGIN, high, scales, 8, width=132)
    entries = [(wave, colour) for wave, colour in WAVE_COLOURS.items()] if waves else []
    for layer in maps:
        entries.append((layer.label, HIGH))
        if layer.signed:
            entries.append((layer.label_low, LOW))
    for number, (label, colour) in enumerate(entries):
        room = (paper.width - MARGIN - x) / (len(entries) - number)
        paper.lines([[(x, high + 0.9), (x + 4, high + 0.9)]], colour, 2.5, 4)
        drawn = paper.text(x + 5.5, high, label, 7, width=min(room - 8, text_width(label, 7) + 1))
        x += 5.5 + (text_width(drawn.get_text(), 7) if drawn else 0) + 4
