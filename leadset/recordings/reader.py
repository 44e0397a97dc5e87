"""One recording in millivolts, from its files or from what the organisers' driver hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.foreign import describe_file
from leadset.recordings.formats import Layout, format_of, read_format
from leadset.recordings.header import Header, parse_header
from leadset.recordings.segments import is_multi_segment, join_headers, read_raw
from leadset.recordings.signals import counts_of_matrix, starts_otherwise, to_millivolts
from leadset.utils.text_encoding import text_encoding

# Longest header that is looked at; real ones have a few kilobytes.
_LONGEST_HEADER = 1 << 20
#: Endings of WFDB files, whatever they hold.
WFDB_ENDINGS = (".hea", ".mat", ".dat")


@dataclass
class Recording:
    """A recording as read: nothing repaired, filtered or resampled.

    Attributes:
        signal: (leads, samples) float32 in millivolts; invalid samples are NaN.
        fs: sampling rate in Hz.
        leads: distinct lead names in standard spelling, in file order, one for each row of ``signal``.
        name: record name.
        age: years or None.
        sex: ``"female"``, ``"male"`` or None.
        codes: distinct SNOMED CT codes.
        flags: out of `leadset.signals.FLAGS`.
        patient: who it was recorded from, where the header says so.
        path: the header file, None for a recording that comes from no file.

    Example:
        >>> signal_mv = np.load("ecg.npy")          # (2, 2500)
        >>> recording = leadset.Recording(signal_mv, fs=250, leads=("II", "V5"), age=61, sex="female")
    """

    signal: np.ndarray
    fs: float
    leads: tuple[str, ...]
    name: str = "recording"
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


def read_recording(
    path: str | Path, lead_names: Mapping[str, str] | None = None, layout: Layout | None = None
) -> Recording:
    """Reads a recording given its header, its signal file, or their common stem; or a file of another format.

    Args:
        path: the file; that of the first of several segments is not meant, but that of the header that names them.
        lead_names: what names of leads stand for that `leadset.leads.signed_lead` does not understand.
        layout: rate, unit and leads of an array (CSV, NPY, NPZ); by default what a JSON file beside it says.

    Raises:
        ReadError: the header or a signal file is missing, damaged, or contradicts the other; the message names the
            file, the line, what was found and what was expected.

    Example:
        >>> recording = leadset.read_recording("data/A0001.hea")
        >>> recording.signal.shape, recording.fs, recording.leads[:2], recording.codes
        ((12, 5000), 500.0, ('I', 'II'), ('426783006',))
    """
    path = described_in(path)
    header = read_header(path, lead_names, layout)
    return assemble(header, read_raw(header, path.parent), path, path)


def described_in(path: str | Path) -> Path:
    """The file that `read_header` takes: that of another format, or the header of a signal file or a stem.

    Raises:
        ReadError: it is a file that is neither, and has no header beside it.
    """
    given = Path(path)
    if is_of_another_format(given):
        return given
    path = header_path(given)
    if not path.is_file() and given.is_file():
        raise ReadError(given, describe_file(given), f"a header beside it, {path.name}")
    return path


def _is_signal_of_another(header: Header, path: Path) -> bool:
    """Whether the one signal file of a header belongs to another header beside it, by its name."""
    stems = {Path(file).stem for file in {signal.file for signal in header.stored}}
    another = path.with_name(f"{stems.pop()}.hea") if len(stems) == 1 and not header.segments else path
    return another.stem.casefold() != path.stem.casefold() and another.is_file()


def recording_from_parts(
    header_text: str, raw: np.ndarray, source: str = "recording", lead_names: Mapping[str, str] | None = None
) -> Recording:
    """The same `Recording` from the header's text and the matrix of its MATLAB file, as ``run_model`` receives them.

    Args:
        header_text: of the file.
        raw: (leads, samples) as the file has them; of a recording in another format, its counts.
        source: what messages call the recording.
        lead_names: as for `read_recording`.

    Raises:
        ReadError: the text is no header, or the array has another number of leads or no samples.
    """
    header, raw = parse_header(header_text, source, lead_names), np.asarray(raw)
    if all(signal.file.casefold().endswith(".mat") for signal in header.stored):
        raw = counts_of_matrix(raw, header, source)
    return assemble(header, raw, source, None)


def is_of_another_format(path: Path) -> bool:
    """Whether a file is there that holds a recording in a format other than WFDB (`leadset.recordings.formats`)."""
    return path.suffix.casefold() not in WFDB_ENDINGS and path.is_file() and format_of(path) is not None


def read_header(
    path: str | Path, lead_names: Mapping[str, str] | None = None, layout: Layout | None = None
) -> Header:
    """Reads a header file in UTF-8, UTF-16 or Latin-1; of a recording in several segments, the headers of all.

    Of a recording in another format it is made of what the file says, and holds the counts.

    Args:
        path: the file.
        lead_names, layout: as for `read_recording`.

    Raises:
        ReadError: no such file, or it is not a header (see `parse_header`).
    """
    path = Path(path)
    if path.suffix.casefold() not in WFDB_ENDINGS and (form := format_of(path)):
        return read_format(path, form, lead_names, layout)
    text = read_header_text(path)
    if is_multi_segment(text):
        # A segment has no segments of its own: headers that name each other would never end.
        return join_headers(
            text, path, lambda part, layout: parse_header(read_header_text(part), part, lead_names, layout)
        )
    header = parse_header(text, path, lead_names)
    flags = ("signal_of_another",) if _is_signal_of_another(header, path) else ()
    return replace(header, flags=(*header.flags, *flags))


def read_header_text(path: Path) -> str:
    """The text of a header file.

    Raises:
        ReadError: no such file, or one that is too long or cannot be read.
    """
    try:
        if not path.is_file():
            raise ReadError(path, "no such file", "a header")
        if path.stat().st_size > _LONGEST_HEADER:
            raise ReadError(path, f"more than {_LONGEST_HEADER} bytes", "a header of a few lines")
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError as error:
        raise ReadError(path, str(error), "a readable header") from error
    return decode_header(content)


def decode_header(content: bytes) -> str:
    """The text of a header's bytes: UTF-8, UTF-16 (without its mark, every other byte is zero), Latin-1."""
    return content.decode(text_encoding([content]))


def header_path(path: str | Path) -> Path:
    """The header that belongs to a header, a signal file or a stem; it need not exist."""
    path = Path(path)
    if path.suffix.casefold() == ".hea":
        return path
    # A stem may hold a dot, so only what is a signal file loses its ending.
    is_signal = path.suffix.casefold() in WFDB_ENDINGS or path.is_file()
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
    if raw.dtype.kind == "f" and not header.segments and header.counts is None and (raw[np.isfinite(raw)] % 1).any():
        flags = (*flags, "fractional_counts")
    if starts_otherwise(raw, header):
        flags = (*flags, "other_start")
    signal_mv = to_millivolts(raw, header)
    leads = tuple(dict.fromkeys(header.leads))
    if len(leads) < len(header.leads):
        signal_mv = signal_mv[[header.leads.index(lead) for lead in leads]]
    subject = {"age": header.age, "sex": header.sex, "codes": header.codes, "patient": header.patient}
    return Recording(signal_mv, header.fs, leads, header.name, **subject, flags=flags, path=path)


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
