"""Copying a recording with some of its leads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from leadset.recordings.convert import in_16_bits
from leadset.recordings.errors import ReadError
from leadset.recordings.header import Header, header_lines
from leadset.recordings.reader import length_flags, read_header, read_header_text
from leadset.recordings.segments import read_raw
from leadset.recordings.signals import counts_of_matrix, in_format
from leadset.recordings.writer import write_recording

_TIME = re.compile(r"\d{1,2}:\d{2}:\d{2}(?:\.\d+)?")
_DATE = re.compile(r"(\d{1,2})[-/](\d{1,2}|[A-Za-z]{3})[-/](\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def extract_leads(
    header_file: Path,
    output_file: Path,
    leads: Sequence[str],
    key: str = "val",
    lead_names: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Writes one recording with ``leads``, in that order; returns the flags of reading it.

    Args:
        header_file: of the recording.
        output_file: header to write; its `.mat` file goes beside it.
        leads: lead names in standard spelling.
        key: name of the matrix of counts in a MATLAB file.
        lead_names: as for `leadset.recordings.read_recording`.

    Raises:
        ReadError: the recording cannot be read, lacks a lead, or its samples do not fit into 16 bits.
        OSError: a file cannot be written.
    """
    header = read_header(header_file, lead_names)
    lacking = [lead for lead in leads if lead not in header.leads]
    if lacking:
        raise ReadError(header_file, f"leads {' '.join(header.leads)}", f"{' '.join(lacking)} among them")
    rows = [header.leads.index(lead) for lead in leads]
    if header.counts is None:
        raw, start = in_format(_read_counts(header, header_file.parent, key), header), _start(header_file)
    else:
        (header, raw), start = in_16_bits(header, header.counts), ""
    flags = (*header.flags, *length_flags(header, raw, header_file))
    if raw.dtype != np.int16:
        raise ReadError(header_file, f"samples of type {raw.dtype}", "integers of 16 bits")
    chosen = replace(header, signals=tuple(header.signals[row] for row in rows))
    write_recording(output_file.with_suffix(".hea"), chosen, raw[rows], start)
    return flags


def _read_counts(header: Header, folder: Path, key: str) -> np.ndarray:
    """Counts (leads, samples); a matrix of another name than ``val`` comes from a MATLAB file."""
    if key == "val":
        return read_raw(header, folder)
    from scipy.io import loadmat

    path = folder / header.stored[0].file
    try:
        raw = loadmat(path)[key]
    except Exception as error:  # scipy meets damaged files with errors of many kinds
        raise ReadError(path, f"{type(error).__name__}: {error}", f"a MATLAB file with a matrix `{key}`") from error
    return counts_of_matrix(np.asarray(raw), header, path)


def _start(header_file: Path) -> str:
    """Time and date of the record line in the order and form that WFDB readers accept; empty if there is no time."""
    text = read_header_text(header_file)
    record_line = next(line for line in header_lines(text) if line.strip() and not line.lstrip().startswith("#"))
    fields = record_line.split()[4:]
    time = next((field for field in fields if _TIME.fullmatch(field)), "")
    date = next(filter(None, map(_DATE.fullmatch, fields)), None)
    if not time or date is None:
        return time
    day, month, year = date.groups()
    if not month.isdigit():
        if month.casefold() not in _MONTHS:
            return time
        month = str(_MONTHS.index(month.casefold()) + 1)
    return f"{time} {int(day):02d}/{int(month):02d}/{year}"
