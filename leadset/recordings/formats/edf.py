"""EDF, EDF+ and BDF: Kemp and Olivan, Clin. Neurophysiol. 114(9):1755-1761, 2003; https://www.edfplus.info."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import DAYS_A_YEAR, Contents, Format, Layout, in_time, main_rate
from leadset.recordings.header import voltage_unit
from leadset.recordings.subject import parse_age, parse_sex

_BDF = b"\xffBIOSEMI"
_VERSION = b"0".ljust(8)
# What the reserved field of EDF+ and BDF+ begins with; its patient: a code, a sex, a date of birth, a name, or X.
_PLUS, _SUBFIELDS, _UNKNOWN = ("EDF+", "BDF+"), re.compile(r"\S+ [FMX] (?:\d\d-[A-Z]{3}-\d{4}|X) \S"), "X"
_AGED = re.compile(r"\d\s?(?:y|years?|yrs?)\b", re.IGNORECASE)
_HEADER_BYTES = 256
# Where the first part of a header has its number of records and that of signals; each signal then has labels of 16
# bytes, 200 bytes of other fields, and 8 of its samples in a record.
_RECORDS, _SIGNALS, _LABEL, _BEFORE_SAMPLES = slice(236, 244), slice(252, 256), 16, 216


def _recognises(path: Path, start: bytes) -> bool:
    return start.startswith((_BDF, _VERSION)) and len(start) >= _HEADER_BYTES


def _read(path: Path, layout: Layout | None, lead_names: Mapping[str, str] | None) -> Contents:
    import edfio

    with open(path, "rb") as file:
        is_bdf = file.read(len(_BDF)) == _BDF
    recorded = edfio.read_bdf(path) if is_bdf else edfio.read_edf(path, header_encoding="latin-1")
    # Channels of another rate, or of no voltage where there are voltages, are no leads.
    voltages = [one for one in recorded.signals if voltage_unit(one.physical_dimension) and _has_scale(one)]
    if not voltages:
        units = ", ".join(f"{signal.label} ({signal.physical_dimension})" for signal in recorded.signals)
        raise ReadError(path, units or "no signal", "signals in volts")
    fs = main_rate([(signal.label, signal.sampling_frequency) for signal in voltages], lead_names)
    leads = [signal for signal in voltages if signal.sampling_frequency == fs]
    flags = ("other_rate",) if len(leads) < len(voltages) else ()
    flags += ("other_channel",) if len(voltages) < len(recorded.signals) else ()
    flags += _length_flags(path, recorded.num_data_records)
    scales = [
        (signal.physical_max - signal.physical_min) / (signal.digital_max - signal.digital_min) for signal in leads
    ]
    offsets = [
        _offset(signal.physical_max, scale, signal.digital_max) for signal, scale in zip(leads, scales, strict=True)
    ]
    counts = np.stack([signal.digital for signal in leads])
    if not recorded.is_continuous:
        counts = _with_gaps(path, counts, fs, 3 if is_bdf else 2)
    return Contents(
        counts, float(fs), [signal.label for signal in leads], [signal.physical_dimension for signal in leads], scales,
        offsets, age=_age(recorded), sex=_sex(recorded), patient=_patient(recorded), flags=flags,
    )  # fmt: skip


def _has_scale(signal: object) -> bool:
    """Whether a signal has one; of channels that are not in use, both ends of a range may be zero."""
    return signal.physical_max != signal.physical_min and signal.digital_max != signal.digital_min


def _length_flags(path: Path, records: int) -> tuple[str, ...]:
    """Compares the records in the file with the announced number, which may be -1 for not known."""
    with open(path, "rb") as file:
        announced = int(file.read(_HEADER_BYTES)[_RECORDS])
    if announced in (-1, records):
        return ()
    return ("short_file",) if records < announced else ("long_file",)


def _with_gaps(path: Path, counts: np.ndarray, fs: float, width: int) -> np.ndarray:
    """Counts of an interrupted recording (EDF+D) at their times: each record says when it was begun.

    Args:
        path: the file.
        counts: (leads, samples) of all records, one behind the other.
        fs: sampling rate in Hz.
        width: bytes of a sample.
    """
    onsets = _onsets(path, width)
    length = counts.shape[1] // len(onsets)
    steps = np.round(np.diff(onsets) * fs).astype(int)
    steps[np.abs(steps - length) <= 1] = length  # times are rounded
    joined = in_time(counts, np.cumsum([0, *steps]), [length] * len(onsets))
    if joined is None:
        raise ReadError(path, "an interrupted recording (EDF+D), mostly of gaps", "one whose parts follow each other")
    return joined


def _onsets(path: Path, width: int) -> list[float]:
    """Seconds from the start of the recording to that of each record: the first annotation in it."""
    content = np.fromfile(path, np.uint8)
    head = content[:_HEADER_BYTES].tobytes()
    n_signals = int(head[_SIGNALS])
    fields = content[_HEADER_BYTES : _HEADER_BYTES * (n_signals + 1)].tobytes()
    labels = [fields[i * _LABEL : (i + 1) * _LABEL].strip() for i in range(n_signals)]
    first = n_signals * _BEFORE_SAMPLES
    sizes = [width * int(fields[first + 8 * i : first + 8 * i + 8]) for i in range(n_signals)]
    row = next(i for i, label in enumerate(labels) if label.endswith(b"Annotations"))
    records = content[_HEADER_BYTES * (n_signals + 1) :]
    records = records[: len(records) // sum(sizes) * sum(sizes)].reshape(-1, sum(sizes))
    marks = records[:, sum(sizes[:row]) : sum(sizes[: row + 1])]
    return [float(mark.tobytes().partition(b"\x14")[0]) for mark in marks]


def _age(recorded: object) -> str:
    """Age in years at the recording, where the file says both dates."""
    try:
        days = (recorded.recording.startdate - recorded.patient.birthdate).days
    except (ValueError, TypeError):  # plain EDF has no birth date, and either may be unknown
        return ""
    return f"{days / DAYS_A_YEAR:.1f}"


def _offset(physical_max: float, scale: float, digital_max: int) -> float:
    """Units of the count zero; what is left of eight decimal characters is no offset."""
    counts = physical_max / scale - digital_max
    return 0.0 if abs(counts) < 0.01 else counts * scale


def _sex(recorded: object) -> str:
    try:
        return {"F": "Female", "M": "Male"}.get(recorded.patient.sex, "")
    except ValueError:  # plain EDF says it in no form of its own
        return ""


def _patient(recorded: object) -> str | None:
    """The patient's code, as EDF+ has it; of a plain file, whose field has no form, what names a person in it."""
    text = recorded.local_patient_identification.strip()
    if not text:
        return None
    code = text.split()[0]
    if not recorded.reserved.startswith(_PLUS) and not _SUBFIELDS.match(text):
        is_described = _AGED.search(text) or any(parse_sex(word.strip(",;"))[0] for word in text.split())
        is_code = re.search(r"\d", code) and parse_age(code)[0] is None
        return text if not is_described else code if is_code else None
    return None if code == _UNKNOWN else code


FORMAT = Format("EDF", (".edf", ".bdf", ".rec"), _recognises, _read, "edfio")
