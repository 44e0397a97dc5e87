"""What a file of another format says about a recording, and the header that is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np

from leadset.leads import is_known_lead, names_beside, signed_lead, speaks_of_ecg
from leadset.recordings.errors import ReadError
from leadset.recordings.fields import known_patient
from leadset.recordings.header import Header, SignalSpec, check_rate, voltage_unit
from leadset.recordings.names import stem_of
from leadset.recordings.signals import narrow_counts
from leadset.recordings.storage import NO_FORMAT
from leadset.recordings.subject import comments_of, parse_age, parse_codes, parse_sex

_MEBI = 1 << 20
#: By which ages are computed from dates.
DAYS_A_YEAR = 365.25
# Units of a count; outside, a value is damage, and float32 millivolts would overflow.
_RESOLUTIONS = (1e-12, 1e6)


@dataclass(frozen=True)
class Layout:
    """What an array does not say about itself.

    Attributes:
        fs: sampling rate in Hz.
        unit: of its numbers, such as ``"mV"``.
        leads: name of each lead, in the order of the array.
        age, sex, codes: as text, as a header has them; empty where they are not known.
        patient: who it was recorded from.
    """

    fs: float
    unit: str
    leads: tuple[str, ...]
    age: str = ""
    sex: str = ""
    codes: str = ""
    patient: str | None = None


@dataclass(frozen=True)
class Contents:
    """A recording as its file has it: leads (l), samples (t).

    Attributes:
        counts: (l, t), NaN where a sample is missing.
        fs: sampling rate in Hz.
        leads: (l) names as in the file.
        units: (l) of one count times its resolution.
        resolutions: (l) units of a count.
        offsets: (l) units of the count zero.
        age, sex, codes: as text, as a header has them.
        patient: who it was recorded from.
        flags: out of `leadset.signals.FLAGS`.
    """

    counts: np.ndarray
    fs: float
    leads: Sequence[str]
    units: Sequence[str]
    resolutions: Sequence[float]
    offsets: Sequence[float]
    age: str = ""
    sex: str = ""
    codes: str = ""
    patient: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: as messages call it.
        endings: of file names, in lower case, by which folders are searched.
        recognises: whether a file with this path and these first bytes is of the format.
        read: reads a file; with a `Layout` where one is given and the format can use it, and the user's names of leads
            (as `leadset.recordings.read_recording`), by which it tells leads from other channels.
        library: the module that it needs; empty where it needs none.
        most_bytes: the largest file that is read, so that memory stays bounded whatever it holds.
        extra: what to install.
        is_found: whether a file that is recognised counts as a recording when a folder is searched.
    """

    name: str
    endings: tuple[str, ...]
    recognises: Callable[[Path, bytes], bool]
    read: Callable[[Path, Layout | None, Mapping[str, str] | None], Contents]
    library: str = ""
    most_bytes: int = 1024 * _MEBI
    extra: str = "leadset[formats]"
    is_found: Callable[[Path], bool] = lambda path: True

    @property
    def installed(self) -> bool:
        """Whether its library is there."""
        return not self.library or find_spec(self.library) is not None


Rate = TypeVar("Rate")


def in_time(counts: np.ndarray, starts: Sequence[int], lengths: Sequence[int]) -> np.ndarray | None:
    """Counts (leads, samples) of stretches that were recorded with interruptions, which become NaN.

    Args:
        counts: of the stretches, one behind the other.
        starts: of the stretches, in samples; the recording begins with the first one.
        lengths: samples of each.

    Returns:
        None where stretches overlap, or where most of the time nothing was recorded: that would only take memory.
    """
    starts = np.asarray(starts) - starts[0]
    ends = starts + lengths
    if (starts[1:] < ends[:-1]).any() or ends[-1] > 2 * counts.shape[1]:
        return None
    if ends[-1] == counts.shape[1]:
        return counts
    joined = np.full((len(counts), ends[-1]), np.nan, dtype=np.float32 if counts.dtype.itemsize <= 4 else np.float64)
    for start, end, column in zip(starts, ends, np.cumsum(lengths) - lengths, strict=True):
        joined[:, start:end] = counts[:, column : column + end - start]
    return joined


def main_rate(channels: Sequence[tuple[str, Rate]], lead_names: Mapping[str, str] | None = None) -> Rate:
    """The rate of most leads out of channels (name, rate): of those whose name is a lead's, or else speaks of an ECG.

    Recorders of sleep have more channels of EEG beside it.
    """
    here = names_beside((name for name, _ in channels), lead_names)
    rates = [rate for name, rate in channels if is_known_lead(name, here)]
    rates = rates or [rate for name, rate in channels if speaks_of_ecg(name)] or [rate for _, rate in channels]
    return Counter(rates).most_common(1)[0][0]


def header_of(contents: Contents, path: Path, form: str, lead_names: Mapping[str, str] | None) -> Header:
    """The header of a recording whose counts it holds; channels that are no voltages are left out.

    Args:
        contents: of the file.
        path: of the file.
        form: name of its format.
        lead_names: as for `leadset.recordings.read_recording`.

    Raises:
        ReadError: no channel is a voltage, the rate makes no sense, or a scale is zero or not finite.
    """
    units = [voltage_unit(unit) for unit in contents.units]
    rows = [row for row, unit in enumerate(units) if unit is not None]
    if not rows or contents.counts.shape[1] == 0:
        channels = zip(contents.leads, contents.units, strict=True)
        named = ", ".join(f"{lead} ({unit or 'no unit'})" for lead, unit in channels)
        raise ReadError(path, f"{contents.counts.shape[1]} samples of {named or 'no channel'}", "leads in volts")
    check_rate(contents.fs, path)
    here = names_beside(map(str, contents.leads), lead_names)
    signals = [_signal(contents, row, units[row], path, here) for row in rows]
    counts = narrow_counts(np.ascontiguousarray(contents.counts[rows]))
    age, age_flags = parse_age(contents.age)
    sex, sex_flags = parse_sex(contents.sex)
    codes, code_flags = parse_codes(contents.codes)
    left_out = ("other_channel",) if len(rows) < len(units) else ()
    left_out += ("duplicate_lead",) if len({signal.lead for signal in signals}) < len(signals) else ()
    flags = tuple(sorted({*contents.flags, *age_flags, *sex_flags, *code_flags, *left_out}))
    comments = comments_of(age, sex, codes)
    patient = known_patient(contents.patient)
    return Header(
        stem_of(path), contents.fs, counts.shape[1], tuple(signals), comments, age, sex, codes, patient, flags,
        form, tuple(signals), counts=counts,
    )  # fmt: skip


def _signal(
    contents: Contents, row: int, unit: str, path: Path, lead_names: Mapping[str, str] | None
) -> SignalSpec:
    lead, sign = signed_lead(str(contents.leads[row]), lead_names)
    resolution, offset = float(contents.resolutions[row]), float(contents.offsets[row])
    if not (np.isfinite(offset) and _RESOLUTIONS[0] <= abs(resolution) <= _RESOLUTIONS[1]):
        raise ReadError(path, f"{resolution:g} {unit} a count and {offset:g} at zero in {lead}", "a scale")
    return SignalSpec(
        path.name, NO_FORMAT, 1, 0, 0, sign / resolution, -offset / resolution, unit, None, 0, None, None, lead
    )
