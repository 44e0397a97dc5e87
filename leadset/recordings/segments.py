"""Recordings in several segments: a header that names the headers of its parts, and their samples as one signal.

Source: ``header(5)`` of the WFDB Applications Guide, fixed and variable layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.header import (
    NOTHING,
    Header,
    RecordLine,
    Segment,
    SignalSpec,
    header_lines,
    parse_record_line,
    split_lines,
    stays_in_folder,
    without_other_channels,
)
from leadset.recordings.signals import in_format, read_counts
from leadset.recordings.storage import INVALID
from leadset.recordings.subject import comment_values, parse_comments

# Times the recorded length beyond which a gap is damage of the header, and would only take memory.
_LONGEST_GAP = 1000


def is_multi_segment(text: str) -> bool:
    """Whether the text of a header is one of several segments."""
    first = next((line for line in header_lines(text) if line.strip()[:1] not in ("", "#")), "")
    return "".join(first.split()[:1]).partition("/")[2].isdigit()


def segment_names(text: str, source: str | Path = "header") -> list[tuple[str, int]]:
    """Record names and frames of the segments that a header names; one of 0 frames says which signals the others have.

    Raises:
        ReadError: a segment's name or length is none, or there are more or fewer than the record line says.
    """
    lines, _ = split_lines(text, source)
    n_segments = parse_record_line(lines[0], source).n_segments
    named = []
    for number, line in lines[1:]:
        name, *lengths = line.split()
        length = " ".join(lengths)
        is_name = name == NOTHING or (stays_in_folder(name) and "/" not in name)
        if not is_name or not (length.isascii() and length.isdigit()):
            raise ReadError(source, f"segment {line!r}", "a record name and its number of samples", number)
        named.append((name, int(length[:18])))
    if len(named) != n_segments:
        raise ReadError(source, f"{len(named)} segments", f"{n_segments} as the record line says", lines[0][0])
    return named


def join_headers(text: str, path: Path, read_part: Callable[[Path, bool], Header]) -> Header:
    """The header of a recording in several segments, with every lead that one of them has.

    A lead's gain and baseline are those of the first header that names it, and a layout comes first.

    Args:
        text: of the header.
        path: its file.
        read_part: reads the header of a segment, given its path and whether it is a layout.

    Raises:
        ReadError: it or the header of a segment is damaged, segments are of different rates, or a gap is endless.
    """
    lines, comments = split_lines(text, path)
    record = parse_record_line(lines[0], path)
    named = segment_names(text, path)
    parts = [(n, None if name == NOTHING else read_part(path.with_name(f"{name}.hea"), not n)) for name, n in named]
    layouts = [header for n, header in parts if header is not None and not n]
    segments = tuple(Segment(n, header) for n, header in parts if n)
    recorded = [segment.header for segment in segments if segment.header is not None]
    if not recorded:
        raise ReadError(path, "no segment that was recorded", "one or more")
    rates = sorted({header.fs for header in recorded})
    if len(rates) > 1:
        raise ReadError(path, f"segments of {', '.join(f'{rate:g}' for rate in rates)} Hz", "one rate")
    n_frames = sum(segment.n_frames for segment in segments)
    if n_frames > _LONGEST_GAP * sum(segment.n_frames for segment in segments if segment.header is not None):
        raise ReadError(path, f"{n_frames} samples, hardly any of them recorded", "a recording")
    headers = layouts + recorded
    said = _said(comments, headers)
    subject = parse_comments(said)
    per_frame = recorded[0].signals[0].samples_per_frame
    signals = _joined_signals(headers, recorded, per_frame)
    leads = {signal.lead for signal in signals}
    segments = tuple(_with_leads(segment, leads) for segment in segments)
    return Header(
        record.name, rates[0], n_frames * per_frame, signals, said, subject.age,
        subject.sex, subject.codes, subject.patient,
        _flags(headers, leads, record.flags + subject.flags + _length_flags(record, n_frames)), recorded[0].dialect,
        signals, segments,
    )  # fmt: skip


def _said(own: Sequence[str], headers: Sequence[Header]) -> tuple[str, ...]:
    """The comments of a recording: its own, and those of its segments about what its own do not say."""
    known = comment_values(own).keys()
    more = (c for header in headers for c in header.comments if not known & comment_values([c]).keys())
    return tuple(dict.fromkeys(comment.strip() for comment in (*own, *more)))


def _joined_signals(headers: list[Header], recorded: list[Header], per_frame: int) -> tuple[SignalSpec, ...]:
    """One signal line for each lead, in a format that holds the samples of every segment."""
    wide = any(INVALID.get(signal.format, 0) < INVALID[16] for header in recorded for signal in header.signals)
    signals: dict[str, SignalSpec] = {}
    for header in headers:
        for signal in header.signals:
            signals.setdefault(signal.lead, signal)
    there = {lead for header in recorded for lead in header.leads}
    return without_other_channels(tuple(
        signal._replace(file=NOTHING, format=32 if wide else 16, samples_per_frame=per_frame, skew=0, byte_offset=0,
                        initial=None, checksum=None)
        for lead, signal in signals.items() if lead in there
    ))  # fmt: skip


def _with_leads(segment: Segment, leads: set[str]) -> Segment:
    """A segment without signals of other names, which may be all of them."""
    signals = tuple(signal for signal in (segment.header.signals if segment.header else ()) if signal.lead in leads)
    return segment._replace(header=replace(segment.header, signals=signals) if signals else None)


def _length_flags(record: RecordLine, n_frames: int) -> tuple[str, ...]:
    """Compares the frames of all segments with the number on the record line."""
    announced = record.n_frames or n_frames
    return ("short_file",) if n_frames < announced else ("long_file",) if n_frames > announced else ()


def _flags(headers: list[Header], leads: set[str], own: tuple[str, ...]) -> tuple[str, ...]:
    """The flags of the recording, and of the headers that have some of its leads."""
    left_out = ("other_channel",) if any(set(header.leads) - leads for header in headers) else ()
    there = (flag for header in headers if set(header.leads) & leads for flag in header.flags)
    return tuple(sorted({*own, *left_out, *there}))


def read_raw(header: Header, folder: str | Path) -> np.ndarray:
    """Counts (leads, samples) of a recording of one segment or several, in file order: int16, int32 where needed.

    Of several segments they make one signal; where a segment lacks a lead, or nothing was recorded, its samples are
    invalid, and where its gain is another one, its samples are fractions of the joined header's counts.

    Raises:
        ReadError: see `read_counts`; a segment is shorter than announced.
    """
    if header.counts is not None:
        return header.counts
    if not header.segments:
        return read_counts(header, folder)
    form, per_frame = header.signals[0].format, header.signals[0].samples_per_frame
    rows = {signal.lead: row for row, signal in enumerate(header.signals)}
    joined: np.ndarray | None = None
    start = 0
    for segment in header.segments:
        length = segment.n_frames * per_frame
        if segment.header is not None:
            counts = _counts_of_segment(segment, folder, header, length)
            if joined is None:
                dtype = np.int16 if form == 16 else np.int32
                joined = np.full((len(rows), header.n_samples), INVALID[form], dtype=dtype)
            if counts.dtype.kind == "f" and joined.dtype.kind != "f":
                joined = joined.astype(np.float64)
            for lead, row in zip(segment.header.leads[::-1], counts[::-1], strict=True):  # of two, the first one stays
                joined[rows[lead], start : start + length] = row
        start += length
    return joined


def _counts_of_segment(segment: Segment, folder: str | Path, header: Header, length: int) -> np.ndarray:
    """A segment's counts in the format, gains and baselines of the joined header."""
    own = segment.header
    form = header.signals[0].format
    raw = read_counts(own, folder)
    if raw.shape[1] < length:
        raise ReadError(Path(folder) / own.stored[0].file, f"{raw.shape[1]} samples", f"{length} of this segment")
    counts = in_format(raw[:, :length], own, form)
    wanted = [header.signals[header.leads.index(lead)] for lead in own.leads]
    pairs = list(zip(wanted, own.signals, strict=True))
    scale = np.array([[to.counts_per_mv / signal.counts_per_mv] for to, signal in pairs])
    shift = np.array([[to.baseline] for to, _ in pairs]) - scale * [[signal.baseline] for _, signal in pairs]
    if (scale == 1).all() and not shift.any():
        return counts
    return np.where(counts == INVALID[form], INVALID[form], counts * scale + shift)
