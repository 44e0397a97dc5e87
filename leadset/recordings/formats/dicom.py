"""DICOM waveforms: PS3.3 C.10.9 (Waveform Module), lead names by PS3.16 CID 3001."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import DAYS_A_YEAR, Contents, Format, Layout
from leadset.recordings.formats.lead_codes import lead_of_code

# A file begins with a preamble and a mark; elements of this group follow, the class of what it stores among them.
_PREAMBLE, _MARK, _META, _STORED = 128, b"DICM", b"\x02\0", b"\x02\0"
# Kinds of value whose length has four bytes, behind two that are reserved.
_LONG = (b"OB", b"UN")
# SOP classes of waveform storage begin so; images and reports, which may refer to one, have others.
_WAVEFORMS = b"1.2.840.10008.5.1.4.1.1.9."
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_TYPES = {(8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2", (32, "SL"): "i4", (32, "UL"): "u4"}
# Elements that say when it was recorded, the surest first.
_RECORDED = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "StudyDate")
_DERIVED = ("MEDIAN", "AVERAGE", "REPRESENTATIVE")


def _recognises(path: Path, start: bytes) -> bool:
    return start.startswith(_MARK, _PREAMBLE) and _stored_class(start).startswith(_WAVEFORMS)


def _stored_class(start: bytes) -> bytes:
    """The Media Storage SOP Class UID out of a file's meta information; empty where that says none."""
    at = _PREAMBLE + len(_MARK)
    while start.startswith(_META, at):
        value, size = (at + 12, 4) if start[at + 4 : at + 6] in _LONG else (at + 8, 2)
        end = value + int.from_bytes(start[value - size : value], "little")
        if start.startswith(_STORED, at + 2):
            return start[value:end]
        at = end
    return b""


def _read(path: Path, layout: Layout | None, lead_names: Mapping[str, str] | None) -> Contents:
    from pydicom import dcmread

    content = path.read_bytes()
    if _DEFLATED in content:
        raise ReadError(path, "deflated DICOM", "a transfer syntax without compression")
    # From memory: of a file, as many bytes as a length in it announces would be reserved.
    data = dcmread(io.BytesIO(content))
    syntax = data.file_meta.TransferSyntaxUID
    groups = [group for group in data.get("WaveformSequence", ()) if not _is_derived(group)]
    if not groups:
        raise ReadError(path, "no rhythm waveform", "a waveform that was recorded")
    parts = _belonging_together(groups)
    flags = ("first_of_several",) if len(parts) < len(groups) else ()
    channels = [channel for group in parts for channel in group.ChannelDefinitionSequence]
    counts = _joined(path, parts, "<" if syntax.is_little_endian else ">")
    group = parts[0]
    scales = [_scale(channel) for channel in channels]
    sex = str(data.get("PatientSex", "") or "")
    return Contents(
        counts, float(group.SamplingFrequency), [_lead(channel, i) for i, channel in enumerate(channels)],
        [unit for unit, _, _ in scales], [resolution for _, resolution, _ in scales],
        [offset for _, _, offset in scales], age=_age(data), sex=sex,
        patient=str(data.get("PatientID", "") or "") or None, flags=flags,
    )  # fmt: skip


def _is_derived(group: Any) -> bool:
    label = str(group.get("MultiplexGroupLabel", "")).upper()
    return group.get("WaveformOriginality") == "DERIVED" or any(word in label for word in _DERIVED)


def _belonging_together(groups: list) -> list:
    """The largest group, and those of its rate with other leads, as of an ECG that shows them one after the other."""
    largest = max(groups, key=lambda g: (int(g.NumberOfWaveformChannels), int(g.NumberOfWaveformSamples)))
    parts, leads = [largest], _leads(largest)
    for group in groups:
        if group is not largest and group.SamplingFrequency == largest.SamplingFrequency and not leads & _leads(group):
            parts.append(group)
            leads |= _leads(group)
    ends = [_start(group) + int(group.NumberOfWaveformSamples) for group in parts]
    possible = all(_start(group) >= 0 for group in parts)
    # Gaps beyond what is recorded would only take memory.
    return parts if possible and max(ends) <= sum(int(group.NumberOfWaveformSamples) for group in parts) else [largest]


def _leads(group: Any) -> set[str]:
    return {_lead(channel, i) for i, channel in enumerate(group.ChannelDefinitionSequence)}


def _start(group: Any) -> int:
    """The first sample of a group, counted from the start of the recording; the file has milliseconds."""
    return round(float(group.get("MultiplexGroupTimeOffset") or 0) * float(group.SamplingFrequency) / 1000)


def _joined(path: Path, groups: list, order: str) -> np.ndarray:
    """Counts (leads, samples) of groups, missing where a group has none."""
    counts = [_counts(path, group, order) for group in groups]
    described = [len(group.ChannelDefinitionSequence) for group in groups]
    if described != [len(part) for part in counts]:
        raise ReadError(path, f"{sum(described)} channels described", f"{sum(map(len, counts))} as the waveform has")
    starts = [_start(group) + _skew(channel, group) for group in groups for channel in group.ChannelDefinitionSequence]
    rows = [row for part in counts for row in part]
    starts = [start - min(starts) for start in starts]
    if len(groups) == 1 and not any(starts):
        return counts[0]
    length = max(start + len(row) for start, row in zip(starts, rows, strict=True))
    if length > sum(part.shape[1] for part in counts) + max(part.shape[1] for part in counts):
        raise ReadError(path, f"leads of {length} samples, most of them gaps", "leads that belong together")
    joined = np.full((len(rows), length), np.nan)
    for known, start, row in zip(joined, starts, rows, strict=True):
        known[start : start + len(row)] = row
    return joined


def _skew(channel: Any, group: Any) -> int:
    """Samples by which a channel begins later than its group."""
    seconds = float(channel.get("ChannelTimeSkew") or 0)
    return round(float(channel.get("ChannelSampleSkew") or 0) + seconds * float(group.SamplingFrequency))


def _counts(path: Path, group: Any, order: str) -> np.ndarray:
    """Counts (leads, samples); the padding value is a missing sample."""
    bits, kind = int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation)
    if (bits, kind) not in _TYPES:
        known = ", ".join(f"{b} {k}" for b, k in _TYPES)
        raise ReadError(path, f"waveform samples of {bits} bits, {kind}", f"one of {known}")
    dtype = np.dtype(order + _TYPES[bits, kind])
    shape = int(group.NumberOfWaveformSamples), int(group.NumberOfWaveformChannels)
    data = bytes(group.WaveformData)
    if min(shape) < 1 or shape[0] * shape[1] * dtype.itemsize > len(data):
        raise ReadError(path, f"{len(data)} bytes of waveform", f"{shape[0]} samples of {shape[1]} channels")
    counts = np.frombuffer(data, dtype, shape[0] * shape[1]).reshape(shape).T
    padding = group.get("WaveformPaddingValue")
    if padding is None:
        return counts
    value = padding if isinstance(padding, (int, float)) else np.frombuffer(bytes(padding), dtype, 1)[0]
    return np.where(counts == value, np.nan, counts) if (counts == value).any() else counts


def _lead(channel: Any, index: int) -> str:
    sources = channel.get("ChannelSourceSequence") or ()
    for source in sources:
        lead = lead_of_code(str(source.get("CodeValue", "") or source.get("LongCodeValue", "")))
        if lead:
            return lead
    meaning = str(sources[0].get("CodeMeaning", "")) if sources else ""
    return meaning or str(channel.get("ChannelLabel", "")) or f"channel {index + 1}"


def _scale(channel: Any) -> tuple[str, float, float]:
    """Unit, units of a count, units of the count zero: value = count · sensitivity · correction + baseline.

    Without a sensitivity there is no unit: a count is a count.
    """
    units, sensitivity = channel.get("ChannelSensitivityUnitsSequence"), channel.get("ChannelSensitivity")
    unit = str(units[0].CodeValue) if units and sensitivity is not None else ""
    resolution = float(1 if sensitivity is None else sensitivity)
    correction = channel.get("ChannelSensitivityCorrectionFactor")
    return unit, resolution * float(1 if correction is None else correction), float(channel.get("ChannelBaseline") or 0)


def _age(data: Any) -> str:
    """``042Y`` with all its zeros; without it, years from birth to recording, where the file says both, or the text."""
    text = str(data.get("PatientAge", "") or "")
    if text[:-1].isdigit() and text[-1] in "DWMY":
        return f"{int(text[:-1]):03d}{text[-1]}"
    born, recorded = (_date(data, keys) for keys in (("PatientBirthDate",), _RECORDED))
    return f"{(recorded - born).days / DAYS_A_YEAR:.1f}" if born and recorded else text


def _date(data: Any, keys: Iterable[str]) -> datetime | None:
    """The date that the first of these elements has, ``YYYYMMDD`` and perhaps a time."""
    for key in keys:
        with suppress(ValueError):
            return datetime.strptime(str(data.get(key, "") or "")[:8], "%Y%m%d")
    return None


FORMAT = Format("DICOM waveform", (".dcm", ".dicom"), _recognises, _read, "pydicom")
