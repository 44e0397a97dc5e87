#!/usr/bin/env python
"""Copies the recordings of a folder with some of their leads, in folders laid out alike.

    python extract_leads_wfdb.py -i INPUT -o OUTPUT -l I II V2
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from helper_code import load_header, load_recording
from leadset.leads import canonical_lead
from leadset.recordings import Header, ReadError, find_recordings, parse_header, read_raw
from leadset.recordings.reader import length_flags
from leadset.recordings.signals import in_format
from leadset.recordings.writer import write_recording

_TIME = re.compile(r"\d{1,2}:\d{2}:\d{2}(?:\.\d+)?")
_DATE = re.compile(r"(\d{1,2})[-/](\d{1,2}|[A-Za-z]{3})[-/](\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def extract_leads(header_file: Path, output_file: Path, leads: Sequence[str], key: str = "val") -> None:
    """Writes one recording with ``leads``, in that order.

    Raises:
        ReadError: the recording cannot be read, lacks a lead, or its samples do not fit into 16 bits.
        OSError: a file cannot be written.
    """
    text = load_header(header_file)
    header = parse_header(text, header_file)
    lacking = [lead for lead in leads if lead not in header.leads]
    if lacking:
        raise ReadError(header_file, f"leads {' '.join(header.leads)}", f"{' '.join(lacking)} among them")
    rows = [header.leads.index(lead) for lead in leads]
    raw = in_format(_read_counts(header, header_file.parent, key), header)
    length_flags(header, raw, header_file)
    if raw.dtype != np.int16:
        raise ReadError(header_file, f"samples of type {raw.dtype}", "integers of 16 bits")
    chosen = replace(header, signals=tuple(header.signals[row] for row in rows))
    write_recording(output_file, chosen, raw[rows], start=_start(text))


def _read_counts(header: Header, folder: Path, key: str) -> np.ndarray:
    """Counts (leads, samples); a matrix of another name than ``val`` comes from a MATLAB file."""
    if key == "val":
        return read_raw(header, folder)
    path = folder / header.signals[0].file
    try:
        raw = load_recording(path, key=key)
    except Exception as error:  # scipy meets damaged files with errors of many kinds
        raise ReadError(path, f"{type(error).__name__}: {error}", f"a MATLAB file with a matrix `{key}`") from error
    if raw.ndim != 2 or len(raw) != len(header.signals):
        raise ReadError(path, f"`{key}` of shape {raw.shape}", f"({len(header.signals)}, samples)")
    return raw


def _start(text: str) -> str:
    """Time and date of the record line in the order and form that WFDB readers accept; empty if there is no time."""
    record_line = next(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
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


def main(argv: Sequence[str] | None = None) -> int:
    """Extracts a folder; returns 0, or 1 if a recording failed, which does not keep the others from being written."""
    parser = argparse.ArgumentParser(description="Copy recordings with some of their leads.")
    parser.add_argument("-i", "--input_directory", type=Path, required=True, help="folder of recordings")
    parser.add_argument("-o", "--output_directory", type=Path, required=True, help="folder for the copies")
    parser.add_argument("-l", "--leads", nargs="+", required=True, help="lead names, in the order wanted")
    parser.add_argument("-k", "--key", default="val", help="name of the matrix in the .mat files (default: val)")
    arguments = parser.parse_args(argv)
    leads = [canonical_lead(lead) for lead in arguments.leads]
    if len(set(leads)) < len(leads):
        parser.error(f"a lead is named twice: {' '.join(leads)}")
    source, target = arguments.input_directory, arguments.output_directory
    if target.resolve() == source.resolve():
        parser.error(f"{target} is the folder of the input, which is never changed")
    try:
        header_files = find_recordings(source)
    except (OSError, ValueError) as error:
        print(f"extract_leads_wfdb: {error}", file=sys.stderr)
        return 1
    failed = 0
    for header_file in header_files:
        try:
            extract_leads(header_file, target / header_file.relative_to(source), leads, arguments.key)
        except (OSError, ValueError) as error:
            failed += 1
            print(f"extract_leads_wfdb: {error}", file=sys.stderr)
    print(f"{len(header_files) - failed} of {len(header_files)} recordings written to {target}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
