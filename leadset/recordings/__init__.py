"""Recordings on disk: reading both dialects of header, finding them in nested folders, auditing and packing them."""

from __future__ import annotations

from leadset.recordings.errors import ReadError
from leadset.recordings.find import find_recordings
from leadset.recordings.header import Header, SignalSpec, parse_header
from leadset.recordings.reader import (
    Recording,
    header_path,
    read_header,
    read_recording,
    recording_from_parts,
)
from leadset.recordings.signals import read_raw, signal_hash, to_millivolts

__all__ = [
    "Header",
    "ReadError",
    "Recording",
    "SignalSpec",
    "find_recordings",
    "header_path",
    "parse_header",
    "read_header",
    "read_raw",
    "read_recording",
    "recording_from_parts",
    "signal_hash",
    "to_millivolts",
]
