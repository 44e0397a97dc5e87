"""The text of a ``.hea`` file, in both dialects of the Challenge and in general WFDB form.

Source: WFDB header format, ``header(5)`` of the WFDB Applications Guide. Where circulating files depart from it (record
name with an extension, day-month-name dates, missing fields) the reader bends; where a guess could be wrong by a factor
(rate, gain, number of signals that is no number) it refuses.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from leadset.leads import canonical_lead
from leadset.recordings.errors import ReadError
from leadset.recordings.subject import parse_comments
from leadset.signals import HIGHEST_RATE, LOWEST_RATE

DEFAULT_GAIN = 200.0  # counts per unit (WFDB)
DEFAULT_RATE = 250.0  # Hz (WFDB)

# Outside these bounds a value is damage, and float32 millivolts would overflow.
_GAINS = (1e-6, 1e12)
_LARGEST_BASELINE = 2.0**31

#: Units met in headers, case-folded (the micro sign folds to a Greek mu): their usual spelling and how many make a mV.
_UNITS: dict[str, tuple[str, float]] = {
    "mv": ("mV", 1.0), "uv": ("uV", 1e3), "\N{GREEK SMALL LETTER MU}v": ("uV", 1e3), "nv": ("nV", 1e6), "v": ("V", 1e-3)
}
_FORMAT = re.compile(r"(\d{1,4})(?:x([1-9]\d{0,5}))?(?::(\d{1,9}))?(?:\+(\d{1,15}))?")
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf)"
_GAIN = re.compile(rf"({_NUMBER})(?:\(({_NUMBER})\))?(?:/(\S+))?", re.IGNORECASE)
# Each of the five integers (resolution, zero, initial, checksum, block size) may be missing; what is left is the lead.
_INTEGER = rf"(?:\s+({_NUMBER}|unknown)(?!\S))?"
_SIGNAL = re.compile(rf"(\S+)\s+(\S+)(?:\s+(\S+){_INTEGER * 5}(?:\s+(.+))?)?", re.IGNORECASE)
_FREQUENCY = re.compile(rf"({_NUMBER})(?:/.*)?", re.IGNORECASE)
_EXTENSION = re.compile(r"\.(?:mat|dat|hea)$", re.IGNORECASE)


class SignalSpec(NamedTuple):
    """One signal line.

    Attributes:
        file: name of the signal file, inside the header's folder.
        format: WFDB storage format (16: 16-bit little-endian).
        samples_per_frame, skew, byte_offset: as in the format field; 1, 0, 0 where not given.
        gain: counts per unit; never zero.
        baseline: count that stands for zero.
        unit: ``"mV"``, ``"uV"``, ``"V"``, ``"nV"``, or as in the file where it is no voltage.
        adc_resolution, adc_zero, initial, checksum: as in the file; None where missing (``adc_zero``: 0).
        lead: lead name in standard spelling.
    """

    file: str
    format: int
    samples_per_frame: int
    skew: int
    byte_offset: int
    gain: float
    baseline: float
    unit: str
    adc_resolution: int | None
    adc_zero: int
    initial: int | None
    checksum: int | None
    lead: str

    @property
    def counts_per_mv(self) -> float:
        """Gain in counts per millivolt; a unit that is no voltage counts as mV."""
        return self.gain * _UNITS.get(self.unit.casefold(), ("", 1.0))[1]


@dataclass(frozen=True)
class Header:
    """A header; ``leads`` and ``signals`` in file order, duplicates included.

    Attributes:
        name: record name without file extension.
        fs: sampling rate in Hz.
        n_samples: announced samples per signal, None where not given.
        comments: comment lines without ``#``.
        age: years. sex: ``"female"``, ``"male"`` or None. codes: distinct SNOMED CT codes in order.
        patient: what a comment ``# Patient: …`` says.
        flags: out of `leadset.signals.FLAGS`.
        dialect: ``"2021"`` (until 2021), ``"current"`` (today's download), ``"mixed"``, ``"wfdb"`` (no Challenge file).
    """

    name: str
    fs: float
    n_samples: int | None
    signals: tuple[SignalSpec, ...]
    comments: tuple[str, ...]
    age: float | None
    sex: str | None
    codes: tuple[str, ...]
    patient: str | None
    flags: tuple[str, ...]
    dialect: str

    @property
    def leads(self) -> tuple[str, ...]:
        """Lead names in file order."""
        return tuple(signal.lead for signal in self.signals)


def parse_header(text: str, source: str | Path = "header") -> Header:
    """Reads the text of a header; ``source`` is the file name for messages.

    Raises:
        ReadError: the text is not a header of a single-segment recording with as many signal lines as it announces.
    """
    lines: list[tuple[int, str]] = []
    comments: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.strip()
        if line.startswith("#"):
            comments.append(line[1:])
        elif line:
            lines.append((number, line))
    if not lines:
        raise ReadError(source, "no record line", "name, number of signals, sampling rate, number of samples")
    name, n_signals, fs, n_samples, record_flags = _parse_record_line(lines[0], source)
    if len(lines) - 1 != n_signals:
        raise ReadError(source, f"{len(lines) - 1} signal lines", f"{n_signals} as the record line says", lines[0][0])
    signals, signal_flags = [], set()
    for index, (number, line) in enumerate(lines[1:]):
        signal, flags = _parse_signal_line(line, index, source, number)
        signals.append(signal)
        signal_flags.update(flags)
    if len({signal.lead for signal in signals}) < n_signals:
        signal_flags.add("duplicate_lead")
    subject = parse_comments(comments)
    return Header(
        name, fs, n_samples, tuple(signals), tuple(comment.strip() for comment in comments),
        subject.age, subject.sex, subject.codes, subject.patient,
        tuple(sorted({*record_flags, *signal_flags, *subject.flags})), _dialect(lines[1:], comments),
    )


def _parse_record_line(
    numbered: tuple[int, str], source: str | Path
) -> tuple[str, int, float, int | None, tuple[str, ...]]:
    """Name, number of signals, rate, samples (None: not given), flags; time and date are ignored."""
    number, line = numbered
    name, *fields = line.split()
    flags = []
    stem, slash, segments = name.partition("/")
    if slash and segments.isdigit():
        raise ReadError(source, f"a multi-segment header ({segments} segments)", "a single recording", number)
    if slash or "\\" in name or not name.isprintable():
        raise ReadError(source, f"record name {name!r}", "a name without a path", number)
    if _EXTENSION.search(stem):
        stem = _EXTENSION.sub("", stem)
        flags.append("record_name_extension")
    if not stem.strip("."):
        raise ReadError(source, f"record name {name!r}", "a name", number)
    n_signals = _integer(fields[0]) if fields else None
    if not n_signals or n_signals < 1:
        raise ReadError(source, f"number of signals {' '.join(fields[:1]) or 'missing'}", "a number above 0", number)
    fs = DEFAULT_RATE
    if len(fields) > 1:
        match = _FREQUENCY.fullmatch(fields[1])
        fs = float(match[1]) if match else math.nan
        if not LOWEST_RATE <= fs <= HIGHEST_RATE:
            expected = f"{LOWEST_RATE} to {HIGHEST_RATE} Hz"
            raise ReadError(source, f"sampling rate {fields[1]}", expected, number)
    else:
        flags.append("default_rate")
    n_samples = None
    if len(fields) > 2:
        n_samples = _integer(fields[2])
        if n_samples is None or n_samples < 0:
            flags.append("sample_count_unreadable")
            n_samples = None
    return stem, n_signals, fs, n_samples or None, tuple(flags)


def _parse_signal_line(
    line: str, index: int, source: str | Path, number: int
) -> tuple[SignalSpec, tuple[str, ...]]:
    """One signal line: file, format, gain, up to five integers, and the rest, which is the lead name."""
    match = _SIGNAL.fullmatch(line)
    if match is None:
        raise ReadError(source, f"signal line {line!r}", "file name, format, gain, integers, lead name", number)
    file, form, scale, resolution, zero, initial, checksum, _, name = match.groups()
    if not _stays_in_folder(file):
        raise ReadError(source, f"signal file {file!r}", "a file in the folder of the header", number)
    format_fields = _parse_format(form)
    if format_fields is None:
        raise ReadError(source, f"format {form}", "a WFDB format such as 16 or 16x1+24", number)
    gain_fields = _parse_gain(scale or "0")
    if gain_fields is None:
        expected = f"a gain of {_GAINS[0]:g} to {_GAINS[1]:g}, such as 1000/mV or 1000.0(0)/mV"
        raise ReadError(source, f"gain {scale}", expected, number)
    gain, baseline, unit, flags = gain_fields
    adc_zero = _integer(zero) or 0
    spec = SignalSpec(
        file, *format_fields, gain, float(adc_zero) if baseline is None else baseline, unit, _integer(resolution),
        adc_zero, _integer(initial), _integer(checksum), canonical_lead(name or f"signal {index + 1}"),
    )
    return spec, flags


@lru_cache(maxsize=1024)
def _stays_in_folder(file: str) -> bool:
    """Whether a file name is relative and leads nowhere above; ``~``, a signal without samples, is no file."""
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in file and file != "~" and file.isprintable()


@lru_cache(maxsize=1024)
def _parse_format(text: str) -> tuple[int, int, int, int] | None:
    """Format, samples per frame, skew, byte offset from ``16x1:0+24``; None if it is none."""
    match = _FORMAT.fullmatch(text)
    if match is None:
        return None
    form, per_frame, skew, offset = match.groups()
    return int(form), int(per_frame or 1), int(skew or 0), int(offset or 0)


@lru_cache(maxsize=1024)
def _parse_gain(text: str) -> tuple[float, float | None, str, tuple[str, ...]] | None:
    """Gain, baseline (None: not given or not finite), unit and flags from ``1000.0(0)/mV``; None if it is none."""
    match = _GAIN.fullmatch(text)
    if match is None:
        return None
    gain, flags = float(match[1]), []
    if gain == 0 or not math.isfinite(gain):
        gain = DEFAULT_GAIN
        flags.append("default_gain")
    baseline = float(match[2] or "nan")
    if not _GAINS[0] <= abs(gain) <= _GAINS[1] or abs(baseline) > _LARGEST_BASELINE:
        return None
    unit = match[3] or "mV"
    if unit.casefold() not in _UNITS:
        flags.append("unknown_unit")
    else:
        unit = _UNITS[unit.casefold()][0]
    return gain, None if math.isnan(baseline) else baseline, unit, tuple(flags)


def _integer(text: str | None) -> int | None:
    """An integer of at most 18 digits, also from ``5000.0``; None for anything else."""
    if text is None:
        return None
    if len(text) < 19:
        try:
            return int(text)
        except ValueError:
            pass
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if abs(value) < 1e18 and value == int(value) else None


def _dialect(signal_lines: list[tuple[int, str]], comments: list[str]) -> str:
    """Which of the two dialects of the Challenge the text is written in, judged by comments and signal lines."""
    keys = [comment for comment in comments if comment.lstrip().casefold().startswith(("age:", "sex:", "dx:"))]
    if not any("dx" in key.casefold() for key in keys):
        return "wfdb"
    signs = {"current" if key[0].isspace() else "2021" for key in keys}
    signs |= {"current" if "x" in line.split(None, 2)[1] else "2021" for _, line in signal_lines}
    return signs.pop() if len(signs) == 1 else "mixed"
