"""Recordings on disk: reading both dialects of header, finding them in nested folders, auditing and packing them."""

from __future__ import annotations

from leadset.recordings.errors import ReadError
from leadset.recordings.find import Found, find_recordings, survey
from leadset.recordings.formats import Layout, list_formats
from leadset.recordings.header import Header, SignalSpec, parse_header
from leadset.recordings.reader import (
    Recording,
    header_path,
    read_header,
    read_recording,
    recording_from_parts,
)
from leadset.recordings.segments import read_raw
from leadset.recordings.signals import signal_hash, to_millivolts

__all__ = [
    "Found",
    "Header",
    "Layout",
    "ReadError",
    "Recording",
    "SignalSpec",
    "find_recordings",
    "header_path",
    "list_formats",
    "parse_header",
    "read_header",
    "read_raw",
    "read_recording",
    "recording_from_parts",
    "signal_hash",
    "survey",
    "to_millivolts",
]
