"""One recording in millivolts, from its files or from what the organisers' driver hands over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.header import Header, parse_header
from leadset.recordings.signals import read_raw, to_millivolts

# Longest header that is looked at; real ones have a few kilobytes.
_LONGEST_HEADER = 1 << 20


@dataclass
class Recording:
    """A recording as read: nothing repaired, filtered or resampled.

    Attributes:
        name: record name.
        signal: (leads, samples) float32 in millivolts; invalid samples are NaN.
        fs: sampling rate in Hz.
        leads: distinct lead names in standard spelling, in file order, one for each row of ``signal``.
        age: years or None. sex: ``"female"``, ``"male"`` or None. codes: distinct SNOMED CT codes.
        flags: out of `leadset.recordings.errors.FLAGS`.
        patient: who it was recorded from, where the header says so.
        path: the header file, None for a recording that comes from no file.
    """

    name: str
    signal: np.ndarray
    fs: float
    leads: tuple[str, ...]
    age: float | None = None
    sex: str | None = None
    codes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    patient: str | None = None
    path: Path | None = None

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.signal.shape[1] / self.fs


def read_recording(path: str | Path) -> Recording:
    """Reads a recording given its header, its signal file, or their common stem.

    Raises:
        ReadError: the header or a signal file is missing, damaged, or contradicts the other; the message names the
            file, the line, what was found and what was expected.
    """
    path = header_path(path)
    header = read_header(path)
    return assemble(header, read_raw(header, path.parent), path, path)


def recording_from_parts(header_text: str, raw: np.ndarray, source: str = "recording") -> Recording:
    """The same `Recording` from the header's text and its counts (leads, samples), as ``run_model`` receives them.

    Raises:
        ReadError: the text is no header, or the array has another number of leads or no samples.
    """
    return assemble(parse_header(header_text, source), np.asarray(raw), source, None)


def read_header(path: str | Path) -> Header:
    """Reads a header file in UTF-8 or Latin-1.

    Raises:
        ReadError: no such file, or it is not a header (see `parse_header`).
    """
    return parse_header(read_header_text(path), path)


def read_header_text(path: str | Path) -> str:
    """The text of a header file in UTF-8 or Latin-1.

    Raises:
        ReadError: no such file, or one that is too long to be a header.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ReadError(path, "no such file", "a header")
        if path.stat().st_size > _LONGEST_HEADER:
            raise ReadError(path, f"more than {_LONGEST_HEADER} bytes", "a header of a few lines")
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError as error:
        raise ReadError(path, str(error), "a readable header") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def header_path(path: str | Path) -> Path:
    """The header that belongs to a header, a signal file or a stem; it need not exist."""
    path = Path(path)
    if path.suffix.casefold() == ".hea":
        return path
    # A stem may hold a dot, so only what is a signal file loses its ending.
    is_signal = path.suffix.casefold() in (".mat", ".dat") or path.is_file()
    return path.with_suffix(".hea") if is_signal else path.with_name(f"{path.name}.hea")


def assemble(header: Header, raw: np.ndarray, source: str | Path, path: Path | None) -> Recording:
    """A `Recording` from a header and its counts (leads, samples): millivolts, one row for each distinct lead.

    Args:
        header: the header.
        raw: counts in file order.
        source: what messages call the recording.
        path: the header's file, if there is one.

    Raises:
        ReadError: see `recording_from_parts`.
    """
    flags = (*header.flags, *length_flags(header, raw, source))
    signal_mv = to_millivolts(raw, header)
    leads = tuple(dict.fromkeys(header.leads))
    if len(leads) < len(header.leads):
        signal_mv = signal_mv[[header.leads.index(lead) for lead in leads]]
    subject = {"age": header.age, "sex": header.sex, "codes": header.codes, "patient": header.patient}
    return Recording(header.name, signal_mv, header.fs, leads, **subject, flags=flags, path=path)


def length_flags(header: Header, raw: np.ndarray, source: str | Path) -> tuple[str, ...]:
    """Compares samples with the announced number.

    Raises:
        ReadError: no sample, or a stump of less than a second.
    """
    n_samples = raw.shape[-1] if raw.ndim else 0
    announced = header.n_samples or n_samples
    if n_samples == 0 or (n_samples < announced and n_samples < header.fs):
        raise ReadError(source, f"{n_samples} samples", f"{announced or 'some'}, or at least one second of them")
    if n_samples == announced:
        return ()
    return ("short_file",) if n_samples < announced else ("long_file",)
