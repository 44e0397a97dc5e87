"""Recordings of any format to WFDB files of 16 bits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

from leadset.recordings.dataset import DataSet, Item
from leadset.recordings.formats import Layout
from leadset.recordings.formats.contents import Contents, header_of
from leadset.recordings.header import Header
from leadset.recordings.names import stem_of
from leadset.recordings.reader import Recording, assemble, read_header, read_recording
from leadset.recordings.segments import read_raw
from leadset.recordings.signals import in_format, to_millivolts
from leadset.recordings.storage import INVALID
from leadset.recordings.subject import comments_of, without_fields
from leadset.recordings.writer import write_recording

_INVALID_16 = INVALID[16]
# Counts to either side of the middle that a lead is spread over, where its own counts cannot be kept.
_REACH = 32_000
# How far from an integer a baseline is one still: a header of WFDB holds integers alone.
_NEARLY = 1e-6


def convert_recording(
    source: Path, target: Path, lead_names: Mapping[str, str] | None = None, layout: Layout | None = None,
    data: DataSet | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """Writes a recording as WFDB; returns the flags of reading it.

    Counts are kept where 16 bits hold them; otherwise each lead is spread over 16 bits, which is finer than 1/64000 of
    its range. Of a source that is not WFDB, age, sex and codes go into the copy, and nothing else about the patient.

    Args:
        source: a recording in any format.
        target: the new header (see `copies_of`); its ``.mat`` file comes beside it.
        lead_names, layout: as for `leadset.recordings.read_recording`.
        data: the data set that it is of, which may read it, and whose facts the copy has.

    Raises:
        ReadError: it cannot be read.
        OSError: a file cannot be written.
    """
    if data and data.read is not read_recording:
        recording = data.recording(source, lead_names)
        header, flags = _header_of(recording, source, data.name), recording.flags
        raw = header.counts
    else:
        header = read_header(source, lead_names, layout)
        raw = read_raw(header, source.parent)
        flags = assemble(header, raw, source, source).flags
    header, raw = in_16_bits(_with_facts(header, data.by_path[str(source)]) if data else header, raw)
    write_recording(target, header, raw)
    return flags


def _header_of(recording: Recording, source: Path, form: str) -> Header:
    """The header of a recording that a data set has read, whose counts are millivolts."""
    n, sex = len(recording.leads), (recording.sex or "").capitalize()
    contents = Contents(
        recording.signal, recording.fs, recording.leads, ["mV"] * n, [1.0] * n, [0.0] * n,
        age="" if recording.age is None else f"{recording.age:g}", sex=sex, codes=",".join(recording.codes),
        patient=recording.patient,
    )  # fmt: skip
    return header_of(contents, source, form, None)


def _with_facts(header: Header, item: Item) -> Header:
    """A header whose comments say what a data set says of age, sex and diagnoses, in place of what they said."""
    kept = without_fields(header.comments, item.age is not None, item.sex is not None, item.codes is not None)
    return replace(header, comments=(*comments_of(item.age, item.sex, item.codes or ()), *kept))


def copies_of(folders: Mapping[Path, Path]) -> dict[Path, Path]:
    """The header of each source's copy: named like the source, as far as the name of a WFDB record can be.

    Of those that would have the same name, one whose own it is has it, or else the first; the others get a running
    number, in the order of their paths. So nothing is lost, and the same sources get the same names again.

    Args:
        folders: of each source, the folder that its copy goes to.
    """
    wanted = {source: folder / wfdb_name(stem_of(source)) for source, folder in sorted(folders.items())}
    first: dict[Path, Path] = {}
    for source in sorted(wanted, key=lambda source: wanted[source].name != stem_of(source)):
        first.setdefault(wanted[source], source)
    numbers = defaultdict(lambda: count(2))
    copies: dict[Path, Path] = {}
    for source, name in wanted.items():
        others = (name.with_name(f"{name.name}-{number}") for number in numbers[name])
        own = name if first[name] == source else next(other for other in others if other not in first)
        copies[source] = own.with_name(f"{own.name}.hea")
    return copies


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
