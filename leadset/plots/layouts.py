"""Which part of which lead lies where on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leadset.leads import LEADS

#: name: columns of the twelve leads, and whether a rhythm strip lies below them. ``"strip"`` is one lead, line by line.
LAYOUTS: dict[str, tuple[int, bool]] = {"3x4": (4, True), "6x2": (2, False), "12x1": (1, False), "strip": (0, True)}
#: Leads that a rhythm strip is taken from, the first that is there; the recording's first lead otherwise.
RHYTHM_LEADS = ("II", "I", "V1", "V5")
#: With up to so many of the twelve leads, each lead has a row of its own instead of a place among empty ones.
FEW_LEADS = 6
#: Seconds of a row, and the fewest seconds of a column in which consecutive columns show consecutive seconds.
ROW_SECONDS, SHORTEST_COLUMN = 10.0, 1.25
#: Seconds of a single strip that is drawn line by line, unless others are asked for.
STRIP_SECONDS = 60.0


#: What fits on a sheet: seconds of rows side by side or of a strip line by line, and rows. More would be a picture that
#: no memory holds.
MOST_SECONDS, MOST_STRIP_SECONDS, MOST_ROWS = 60.0, 600.0, 100


@dataclass(frozen=True)
class Strip:
    """A stretch of one lead.

    Attributes:
        lead: its name; it may be absent from the recording.
        offset: where it begins, in seconds of paper from the start of its row.
        start, stop: seconds of the recording.
    """

    lead: str
    offset: float
    start: float
    stop: float


@dataclass(frozen=True)
class Plan:
    """Rows of strips, from top to bottom.

    Attributes:
        rows: strips of each row.
        title: what the layout is called on the sheet.
        start, stop: seconds of the recording that are shown.
        same_seconds: whether all columns show the same seconds, as there are too few for each its own.
    """

    rows: tuple[tuple[Strip, ...], ...]
    title: str
    start: float
    stop: float
    same_seconds: bool = False

    @property
    def seconds(self) -> float:
        """Length of the longest row."""
        return max(strip.offset + strip.stop - strip.start for row in self.rows for strip in row)


def rhythm_lead(leads: Sequence[str]) -> str:
    """The lead of the rhythm strip."""
    return next((lead for lead in RHYTHM_LEADS if lead in leads), leads[0])


def plan_rows(
    leads: Sequence[str], duration: float, layout: str, *, lead: str | None = None, start: float = 0.0,
    seconds: float | None = None, line_seconds: float = ROW_SECONDS,
) -> Plan:  # fmt: skip
    """Where everything lies.

    Args:
        leads: of the recording.
        duration: of the recording in seconds.
        layout: out of `LAYOUTS`.
        lead: of the rhythm strip, or the single strip.
        start: first second shown.
        seconds: how many are shown; by default 10, of a single strip 60.
        line_seconds: of a line of a single strip.

    Raises:
        ValueError: no such layout, no such lead, seconds outside the recording, or more than fits.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    if lead is not None and lead not in leads:
        raise ValueError(f"no lead {lead!r} in the recording: expected one of {', '.join(leads)}")
    if not 0 <= start < duration or (seconds is not None and not seconds > 0):
        raise ValueError(f"{seconds or 'some'} seconds from {start:g} s on: the recording has {duration:g} s")
    most = MOST_STRIP_SECONDS if layout == "strip" else MOST_SECONDS
    if (seconds or 0) > most or len(leads) > MOST_ROWS:
        raise ValueError(f"{seconds or 'some'} s of {len(leads)} leads: a sheet ({layout}) has room for {most:g} s and "
                         f"{MOST_ROWS} leads")
    lead = lead or rhythm_lead(leads)
    if layout == "strip":
        stop = min(start + (seconds or STRIP_SECONDS), duration)
        count = max(1, round((stop - start) / line_seconds + 0.4999))
        starts = [start + k * line_seconds for k in range(count)]
        rows = tuple((Strip(lead, 0.0, first, min(first + line_seconds, stop)),) for first in starts)
        return Plan(rows, f"strip of {lead}", start, stop)
    stop = min(start + (seconds or ROW_SECONDS), duration)
    standard = [name for name in LEADS if name in leads]
    others = [name for name in leads if name not in LEADS]
    if len(standard) <= FEW_LEADS:
        rows = tuple((Strip(name, 0.0, start, stop),) for name in [*standard, *others])
        return Plan(rows, f"{len(rows)} × 1", start, stop)
    return _grid(layout, [*others, *([lead] if LAYOUTS[layout][1] else [])], start, stop)


def _grid(layout: str, full_rows: Sequence[str], start: float, stop: float) -> Plan:
    """All twelve leads in columns, and rows of full length below them."""
    columns = LAYOUTS[layout][0]
    width = (stop - start) / columns
    same = columns > 1 and width < SHORTEST_COLUMN
    if same:
        width = min(stop - start, ROW_SECONDS / columns)
    height = len(LEADS) // columns
    rows = []
    for row in range(height):
        begin = [start if same else start + column * width for column in range(columns)]
        names = LEADS[row::height]
        rows.append(tuple(Strip(names[c], c * width, begin[c], begin[c] + width) for c in range(columns)))
    rows += [(Strip(name, 0.0, start, stop),) for name in full_rows]
    return Plan(tuple(rows), layout.replace("x", " × "), start, stop, same)
