"""Writing a recording as the Challenge publishes them: a header and a MATLAB v4 file of 16-bit counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leadset.recordings.header import Header, SignalSpec
from leadset.recordings.matlab import MAT4, MAT4_INT16
from leadset.utils.files import write_atomically


def write_recording(path: str | Path, header: Header, raw: np.ndarray, start: str = "") -> None:
    """Writes ``path`` (``.hea``) and the ``.mat`` file beside it, which is complete before the header is there.

    Record name and file names come from ``path``; number of samples, initial values and checksums from ``raw``; rate,
    gains, units, leads, comments and dialect (``"2021"``, or today's for any other) from ``header``. Comments of a
    header in both dialects begin as those of 2021 do: some of the organisers' programs see nothing behind ``# Dx``.

    Args:
        raw: (leads, samples) int16 counts, one row for each signal of ``header``.
        start: time and date for the record line, ``HH:MM:SS DD/MM/YYYY``.

    Raises:
        ValueError: ``raw`` is of another type or shape, or has no samples; a blank in the name, where a header's field
            would end.
    """
    path = Path(path)
    if len(path.stem.split()) != 1:
        raise ValueError(f"{path}: found the record name {path.stem!r}, expected one without blanks")
    if raw.dtype != np.int16 or raw.ndim != 2 or len(raw) != len(header.signals) or raw.shape[1] == 0:
        given, expected = f"{raw.dtype} samples of shape {raw.shape}", f"int16 samples ({len(header.signals)}, samples)"
        raise ValueError(f"{path}: found {given}, expected {expected}")
    old = header.dialect == "2021"
    record_line = f"{path.stem} {len(raw)} {_plain(header.fs)} {raw.shape[1]} {start}".rstrip()
    signal_lines = [_signal_line(path.stem, *signal, old) for signal in zip(header.signals, raw, strict=True)]
    sign = "#" if old or header.dialect == "mixed" else "# "
    comments = [f"{sign}{comment}" for comment in header.comments]
    with write_atomically(path.with_suffix(".mat"), "wb") as file:
        file.write(MAT4.pack(MAT4_INT16, *raw.shape, 0, 4, b"val\0"))
        file.write(np.ascontiguousarray(raw.T, dtype="<i2").tobytes())
    with write_atomically(path) as file:
        file.write("\n".join([record_line, *signal_lines, *comments, ""]))


def _signal_line(name: str, signal: SignalSpec, counts: np.ndarray, old: bool) -> str:
    """File, format, gain, resolution, zero, initial value, checksum, block size, lead."""
    if old and signal.baseline == signal.adc_zero:
        form, gain = f"16+{MAT4.size}", f"{_plain(signal.gain)}/{signal.unit}"
    else:
        # The brackets of the WFDB form hold an integer.
        form, gain = f"16x1+{MAT4.size}", f"{signal.gain!r}({round(signal.baseline)})/{signal.unit}"
    checksum = (int(counts.sum(dtype=np.int64)) + 0x8000) % 0x10000 - 0x8000  # the sum's low 16 bits, signed
    return f"{name}.mat {form} {gain} 16 {signal.adc_zero} {counts[0]} {checksum} 0 {signal.lead}"


def _plain(value: float) -> str:
    """A number without the ``.0`` of a whole one."""
    return str(int(value)) if value.is_integer() else repr(value)
