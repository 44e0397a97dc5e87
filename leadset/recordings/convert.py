"""Recordings of any format to WFDB files of 16 bits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from leadset.recordings.formats import Layout
from leadset.recordings.header import Header
from leadset.recordings.reader import assemble, read_header
from leadset.recordings.segments import read_raw
from leadset.recordings.signals import in_format, to_millivolts
from leadset.recordings.storage import INVALID
from leadset.recordings.writer import write_recording

_INVALID_16 = INVALID[16]
# Counts to either side of the middle that a lead is spread over, where its own counts cannot be kept.
_REACH = 32_000
# How far from an integer a baseline is one still: a header of WFDB holds integers alone.
_NEARLY = 1e-6


def convert_recording(
    source: Path, folder: Path, lead_names: Mapping[str, str] | None = None, layout: Layout | None = None
) -> tuple[Path, tuple[str, ...]]:
    """Writes a recording as WFDB; returns its new header and the flags of reading it.

    Counts are kept where 16 bits hold them; otherwise each lead is spread over 16 bits, which is finer than 1/64000 of
    its range. Of a source that is not WFDB, age, sex and codes go into the copy, and nothing else about the patient.

    Args:
        source: a recording in any format.
        folder: for the header, named like the source's, and its ``.mat`` file.
        lead_names, layout: as for `leadset.recordings.read_recording`.

    Raises:
        ReadError: it cannot be read.
        OSError: a file cannot be written.
    """
    header = read_header(source, lead_names, layout)
    raw = read_raw(header, source.parent)
    flags = assemble(header, raw, source, source).flags
    header, raw = in_16_bits(header, raw)
    target = folder / f"{wfdb_name(source.stem)}.hea"
    write_recording(target, header, raw)
    return target, flags


def wfdb_name(name: str) -> str:
    """A name with nothing but what the name of a WFDB record may have."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def in_16_bits(header: Header, raw: np.ndarray) -> tuple[Header, np.ndarray]:
    """A header and its counts (leads, samples) as int16, the same where they fit.

    Args:
        header: of a recording in any format.
        raw: its counts.
    """
    kept = raw if header.counts is not None else in_format(raw, header)
    whole = all(abs(signal.baseline - round(signal.baseline)) < _NEARLY for signal in header.signals)
    # -32768 is a missing sample in WFDB, and a number like others elsewhere.
    free = header.counts is None or not (kept == _INVALID_16).any()
    if kept.dtype == np.int16 and whole and free:
        signals = tuple(
            signal._replace(format=16, baseline=float(round(signal.baseline))) for signal in header.signals
        )
        return replace(header, signals=signals, stored=signals, counts=None), kept
    pairs = [_spread(row) for row in to_millivolts(raw, header).astype(np.float64)]
    signals = tuple(
        signal._replace(format=16, gain=gain, baseline=float(baseline), unit="mV", adc_zero=0)
        for signal, (_, gain, baseline) in zip(header.signals, pairs, strict=True)
    )
    counts = np.stack([row for row, _, _ in pairs])
    return replace(header, signals=signals, stored=signals, counts=None), counts


def _spread(signal_mv: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Millivolts (t,) as int16 counts around the middle of their range, counts per millivolt, and the count of zero."""
    known = np.isfinite(signal_mv)
    low, high = (signal_mv[known].min(), signal_mv[known].max()) if known.any() else (0.0, 0.0)
    middle = (low + high) / 2
    gain = _REACH / (high - middle) if high > low else 1000.0
    # A gain of few digits, which a header shows as it is.
    gain = float(f"{min(gain, 1e6):.6g}")
    baseline = -round(middle * gain)
    counts = np.full(signal_mv.shape, _INVALID_16, dtype=np.int16)
    counts[known] = np.round(signal_mv[known] * gain) + baseline
    return counts, gain, baseline
