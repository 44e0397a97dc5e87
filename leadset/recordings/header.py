"""The text of a ``.hea`` file, in both dialects of the Challenge and in general WFDB form.

Source: WFDB header format, ``header(5)`` of the WFDB Applications Guide. Where circulating files depart from it (record
name with an extension, day-month-name dates, missing fields) the reader bends; where a guess could be wrong by a factor
(rate, gain, number of signals that is no number) it refuses.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from leadset.leads import is_known_lead, names_beside, signed_lead
from leadset.recordings.errors import ReadError
from leadset.recordings.subject import parse_comments
from leadset.signals import HIGHEST_RATE, LOWEST_RATE

DEFAULT_GAIN = 200.0  # counts per unit (WFDB)
DEFAULT_RATE = 250.0  # Hz (WFDB)
NOTHING = "~"  # in the place of a file or a segment: nothing was recorded (WFDB)

# Outside these bounds a value is damage, and float32 millivolts would overflow.
_GAINS = (1e-6, 1e12)
_LARGEST_BASELINE = 2.0**31

#: Voltages: how many of a unit make a millivolt.
_PER_MILLIVOLT: dict[str, float] = {"mV": 1.0, "uV": 1e3, "nV": 1e6, "V": 1e-3}
# Case-folded, with the prefix apart: mV, millivolts, uV/bit, microvolt, V.
_VOLTAGE = re.compile(r"(.*?)[ _-]?v(?:olts?)?(?:[/ ](?:bit|lsb|count|unit|adu?|step)s?)?")
# The micro sign folds to a Greek mu.
_MU = "\N{GREEK SMALL LETTER MU}"
_PREFIXES: dict[str, str] = {
    "": "V", "m": "mV", "milli": "mV", "n": "nV", "nano": "nV", "u": "uV", "micro": "uV", _MU: "uV"
}
_FORMAT = re.compile(r"(\d{1,4})(?:x([1-9]\d{0,5}))?(?::(\d{1,9}))?(?:\+(\d{1,15}))?")
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf)"
_GAIN = re.compile(rf"({_NUMBER})(?:\(({_NUMBER})\))?(?:/(\S+))?", re.IGNORECASE)
# Each of the five integers (resolution, zero, initial, checksum, block size) may be missing; what is left is the lead.
_INTEGER = rf"(?:\s+({_NUMBER}|unknown)(?!\S))?"
_SIGNAL = re.compile(rf"(\S+)\s+(\S+)(?:\s+(\S+){_INTEGER * 5}(?:\s+(.+))?)?", re.IGNORECASE)
# `1000 /mV`, `1000(0) / mV`, `1000 mV 16`: the gain of a signal line, in several words.
_SPLIT_GAIN = re.compile(
    r"^([^#\s]\S*\s+\S+\s+[\d.e+()-]+)(?:\s*/\s*(?=[^\W\d]?v)|\s+(?=[^\W\d]v\s+[\d-]))", re.IGNORECASE
)
_FREQUENCY = re.compile(rf"({_NUMBER})(?:hz)?(?:/.*)?", re.IGNORECASE)
# No other character ends a line: in another encoding it is a letter or a full stop. DOS marks the end of a file.
_LINE_END, _FILE_END = re.compile(r"\r\n?|\n"), " \t\r\n\0\x1a"
_EXTENSION = re.compile(r"\.(?:mat|dat|hea)$", re.IGNORECASE)


class SignalSpec(NamedTuple):
    """One signal line.

    Attributes:
        file: name of the signal file, inside the header's folder.
        format: WFDB storage format (16: 16-bit little-endian).
        samples_per_frame, skew, byte_offset: as in the format field; 1, 0, 0 where not given.
        gain: counts per unit; never zero, negative where the lead was recorded upside down (``-aVR``).
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
        return self.gain * _PER_MILLIVOLT.get(self.unit, 1.0)


class Segment(NamedTuple):
    """A part of a recording: how many frames it has, and its header; None where nothing was recorded."""

    n_frames: int
    header: Header | None


@dataclass(frozen=True)
class Header:
    """A header; ``leads`` and ``signals`` in file order, duplicates included.

    Attributes:
        name: record name without file extension.
        fs: sampling rate of the leads in Hz: frames per second times their samples per frame.
        n_samples: announced samples per signal, None where not given.
        signals: the signals that are read: those of the leads' rate, without channels of no voltage.
        comments: comment lines without ``#``.
        age: years. sex: ``"female"``, ``"male"`` or None. codes: distinct SNOMED CT codes in order.
        patient: what a comment ``# Patient: …`` says.
        flags: out of `leadset.signals.FLAGS`.
        dialect: ``"2021"`` (until 2021), ``"current"`` (today's download), ``"mixed"``, ``"wfdb"`` (no Challenge file),
            or the name of another format (`leadset.recordings.formats`).
        stored: all signals of the files.
        segments: the parts of a multi-segment recording; empty for any other.
        counts: (leads, samples) of a recording in another format, which is read as a whole; None for WFDB.
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
    stored: tuple[SignalSpec, ...] = ()
    segments: tuple[Segment, ...] = ()
    counts: np.ndarray | None = field(default=None, repr=False, compare=False)

    @property
    def leads(self) -> tuple[str, ...]:
        """Lead names in file order."""
        return tuple(signal.lead for signal in self.signals)


class RecordLine(NamedTuple):
    """The first line of a header: name, segments (0: of a single one), signals, frames per second, frames, flags.

    Time and date are ignored; ``n_frames`` is None where it is not given.
    """

    name: str
    n_segments: int
    n_signals: int
    frame_rate: float
    n_frames: int | None
    flags: tuple[str, ...]


def parse_header(
    text: str, source: str | Path = "header", lead_names: Mapping[str, str] | None = None, layout: bool = False
) -> Header:
    """Reads the text of a header.

    Args:
        text: of the file.
        source: the file's name, for messages.
        lead_names: what names of leads stand for that `leadset.leads.signed_lead` does not understand.
        layout: it only says which signals the segments of a recording have.

    Raises:
        ReadError: the text is not a header of a single-segment recording with as many signal lines as it announces.
    """
    lines, comments = split_lines(text, source)
    record = parse_record_line(lines[0], source)
    if record.n_segments:
        kind = f"a multi-segment header ({record.n_segments} segments)"
        raise ReadError(source, kind, "a single recording", lines[0][0])
    if len(lines) - 1 != record.n_signals:
        present, expected = f"{len(lines) - 1} signal lines", f"{record.n_signals} as the record line says"
        if len(lines) == record.n_signals and "sample_count_unreadable" in record.flags:
            present += f" and a record line {lines[0][1]!r} that runs into one"
        raise ReadError(source, present, expected, lines[0][0])
    written = (match[9] or "" for _, line in lines[1:] if (match := _SIGNAL.fullmatch(line)))
    names = names_beside(written, lead_names)
    parsed = [_parse_signal_line(line, i, source, number, names, layout) for i, (number, line) in enumerate(lines[1:])]
    stored = tuple(signal for signal, _ in parsed)
    candidates = without_other_channels(stored)
    per_frame = _samples_per_frame(candidates)
    signals = tuple(signal for signal in candidates if signal.samples_per_frame == per_frame)
    flags = {*record.flags, *(flag for signal, flags in parsed if signal in signals for flag in flags)}
    left_out = [signal for signal in stored if signal not in signals]
    flags |= {"other_channel" if signal.samples_per_frame == per_frame else "other_rate" for signal in left_out}
    if len({signal.lead for signal in signals}) < len(signals):
        flags.add("duplicate_lead")
    fs = record.frame_rate * per_frame
    check_rate(fs, source, lines[0])
    subject = parse_comments(comments)
    return Header(
        record.name, fs, record.n_frames and record.n_frames * per_frame, signals,
        tuple(comment.strip() for comment in comments), subject.age, subject.sex, subject.codes, subject.patient,
        tuple(sorted({*flags, *subject.flags})), _dialect(lines[1:], comments), stored,
    )  # fmt: skip


def split_lines(text: str, source: str | Path) -> tuple[list[tuple[int, str]], list[str]]:
    """The numbered lines of a header, of which there is at least one, and its comments without their ``#``."""
    lines: list[tuple[int, str]] = []
    comments: list[str] = []
    for number, line in enumerate(header_lines(text), 1):
        line = _SPLIT_GAIN.sub(r"\1/", line.strip(), count=1)
        if line.startswith("#"):
            comments.append(line[1:])
        elif line:
            lines.append((number, line))
    if not lines:
        raise ReadError(source, "no record line", "name, number of signals, sampling rate, number of samples")
    return lines, comments


def header_lines(text: str) -> list[str]:
    """The lines of a header's text."""
    return _LINE_END.split(text.removeprefix("\ufeff").rstrip(_FILE_END))


def parse_record_line(numbered: tuple[int, str], source: str | Path) -> RecordLine:
    """Reads the first line of a header.

    Raises:
        ReadError: no name, a name with a path, or no number of signals.
    """
    number, line = numbered
    name, *fields = line.split()
    flags = []
    stem, slash, segments = name.partition("/")
    n_segments = int(segments) if segments.isascii() and segments.isdigit() and len(segments) < 10 else 0
    if (slash and not n_segments) or "\\" in name or not name.isprintable():
        raise ReadError(source, f"record name {name!r}", "a name without a path", number)
    if _EXTENSION.search(stem):
        stem = _EXTENSION.sub("", stem)
        flags.append("record_name_extension")
    if not stem.strip("."):
        raise ReadError(source, f"record name {name!r}", "a name", number)
    n_signals = _integer(fields[0]) if fields else None
    if not n_signals or n_signals < 1:
        raise ReadError(source, f"number of signals {' '.join(fields[:1]) or 'missing'}", "a number above 0", number)
    frame_rate = DEFAULT_RATE
    if len(fields) > 1:
        match = _FREQUENCY.fullmatch(fields[1])
        frame_rate = float(match[1]) if match else math.nan
        if not 0 < frame_rate <= HIGHEST_RATE:
            check_rate(math.nan, source, numbered)
    else:
        flags.append("default_rate")
    n_frames = None
    if len(fields) > 2:
        n_frames = _integer(fields[2])
        if n_frames is None or n_frames < 0:
            flags.append("sample_count_unreadable")
            n_frames = None
    return RecordLine(stem, n_segments, n_signals, frame_rate, n_frames or None, tuple(flags))


def check_rate(fs: float, source: str | Path, record_line: tuple[int, str] | None = None) -> None:
    """Raises a `ReadError` where a sampling rate is none of an ECG; it names the record line of a header."""
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        if record_line is None:
            raise ReadError(source, f"sampling rate {fs:g}", f"{LOWEST_RATE} to {HIGHEST_RATE} Hz")
        number, line = record_line
        written = line.split()[2]
        rate = written if not math.isfinite(fs) or written == f"{fs:g}" else f"{written} a frame, {fs:g} Hz"
        raise ReadError(source, f"sampling rate {rate}", f"{LOWEST_RATE} to {HIGHEST_RATE} Hz", number)


def without_other_channels(signals: Sequence[SignalSpec]) -> tuple[SignalSpec, ...]:
    """Signals without those of a pressure or the like, where others are voltages: neither their unit nor their name is
    that of a lead."""
    leads = tuple(signal for signal in signals if signal.unit in _PER_MILLIVOLT or is_known_lead(signal.lead))
    return leads if any(signal.unit in _PER_MILLIVOLT for signal in leads) else tuple(signals)


def _samples_per_frame(signals: Sequence[SignalSpec]) -> int:
    """How many samples of a frame most leads have, out of those with a known name or else all; of two the larger."""
    leads = [signal for signal in signals if is_known_lead(signal.lead)] or signals
    counts = Counter(signal.samples_per_frame for signal in leads)
    return max(counts, key=lambda per_frame: (counts[per_frame], per_frame))


def _parse_signal_line(
    line: str, index: int, source: str | Path, number: int, lead_names: Mapping[str, str] | None, layout: bool
) -> tuple[SignalSpec, tuple[str, ...]]:
    """One signal line: file, format, gain, up to five integers, and the rest, which is the lead name."""
    match = _SIGNAL.fullmatch(line)
    if match is None:
        raise ReadError(source, f"signal line {line!r}", "file name, format, gain, integers, lead name", number)
    file, form, scale, resolution, zero, initial, checksum, _, name = match.groups()
    if not stays_in_folder(file) and not (layout and file == NOTHING):
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
    lead, sign = signed_lead(name or f"signal {index + 1}", lead_names)
    spec = SignalSpec(
        file, *format_fields, sign * gain, float(adc_zero) if baseline is None else baseline, unit,
        _integer(resolution), adc_zero, _integer(initial), _integer(checksum), lead,
    )
    return spec, flags


@lru_cache(maxsize=1024)
def stays_in_folder(file: str) -> bool:
    """Whether a file name is relative and leads nowhere above; ``~``, a signal without samples, is no file."""
    path = PurePosixPath(file)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in file or not file.isprintable()
    return not unsafe and file != NOTHING


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
    unit, unit_flags = _parse_unit(match[3] or "mV")
    return gain, None if math.isnan(baseline) else baseline, unit, (*flags, *unit_flags)


def _parse_unit(text: str) -> tuple[str, tuple[str, ...]]:
    """A unit in its usual spelling, with flags; what is no voltage stays as it is."""
    match = _VOLTAGE.fullmatch(text.casefold())
    prefix = match[1].strip() if match else None
    if prefix and prefix[-1] == _MU:  # a wrong encoding puts letters before it
        prefix = _MU
    if prefix in _PREFIXES:
        return _PREFIXES[prefix], ()
    # Where an encoding has lost a sign, that was the micro sign: no other prefix is out of the alphabet.
    if prefix and not any(character.isascii() and character.isalnum() for character in prefix):
        return "uV", ("garbled_unit",)
    return text, ("unknown_unit",)


def voltage_unit(text: str) -> str | None:
    """A voltage in its usual spelling (``"uV"``); None for what is no voltage."""
    unit, _ = _parse_unit(text.strip())
    return unit if unit in _PER_MILLIVOLT else None


def _integer(text: str | None) -> int | None:
    """An integer of at most 18 digits, also from ``5000.0``; None for anything else."""
    if text is None or "_" in text:  # Python reads 5_000 as 5000, WFDB does not
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
