"""Samples on disk to counts, and counts to millivolts.

Memory is only ever reserved by the size of a file, never by a number that a header announces.
"""

from __future__ import annotations

import hashlib
import struct
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.header import Header, SignalSpec

# Formats read here: 16-bit little-endian and big-endian, and two 12-bit samples in three bytes.
_SAMPLE_TYPES = {16: np.dtype("<i2"), 61: np.dtype(">i2")}
_PACKED_12_BIT = 212
# The count that WFDB formats keep for "no valid sample".
_INVALID_SAMPLE = {16: -32768, 24: -(1 << 23), 32: -(1 << 31), 61: -32768, 80: -128, 160: -32768,
                   212: -2048, 310: -512, 311: -512, 516: -32768, 524: -(1 << 23)}  # fmt: skip

# MATLAB v4: type (30 = little-endian, int16, full matrix), rows, columns, imaginary flag, length of the name with its
# final zero; then the name.
MAT4 = struct.Struct("<5i4s")
MAT4_INT16 = 30
_LARGEST_FLOAT32_INTEGER = 1 << 24
# A signal file's name on its way through wfdb.
_SIGNAL_FILE = "signals.dat"


def read_raw(header: Header, folder: str | Path) -> np.ndarray:
    """Counts (leads, samples) in file order: int16, or int32 where a format needs it.

    All samples that the file holds, more or fewer than announced. The array is laid out sample after sample, as in
    the file.

    Raises:
        ReadError: a signal file is missing, empty, damaged, or of another number of leads.
    """
    folder = Path(folder)
    groups = [(file, tuple(signals)) for file, signals in groupby(header.signals, key=lambda signal: signal.file)]
    if len({file for file, _ in groups}) < len(groups):
        raise ReadError(folder / header.name, "a file named on lines apart", "one block of signal lines for each file")
    blocks = []
    for file, signals in groups:
        path = folder / file
        if not path.is_file():
            raise ReadError(path, "no such file", f"the signal of {header.name}")
        try:
            raw = _read_group(path, signals, header)
        except OSError as error:
            raise ReadError(path, str(error), "a readable file") from error
        if raw.shape[1] == 0:
            raise ReadError(path, "no whole sample", _announced(header))
        blocks.append(raw)
    if len(blocks) == 1:
        return blocks[0]
    shortest = min(block.shape[1] for block in blocks)
    return np.concatenate([block[:, :shortest] for block in blocks])


def to_millivolts(raw: np.ndarray, header: Header) -> np.ndarray:
    """Counts (leads, samples) in file order to float32 millivolts of the same shape; invalid samples become NaN.

    Equal counts give equal millivolts whatever integer or float type they come in.

    Raises:
        ReadError: ``raw`` has not one row for each signal of the header.
    """
    signals = header.signals
    if raw.ndim != 2 or len(raw) != len(signals) or raw.dtype.kind not in "iuf":
        raise ReadError(header.name, f"{raw.dtype} samples of shape {raw.shape}", f"numbers ({len(signals)}, samples)")
    baseline = np.array([[signal.baseline] for signal in signals])
    gain = np.array([[signal.counts_per_mv] for signal in signals])
    # Differences below 2^24 are exact in float32, which is every 16-bit file; wider ones take the detour.
    wide = raw.dtype.itemsize > 2 and raw.size > 0 and _reach(raw) + np.abs(baseline).max() >= _LARGEST_FLOAT32_INTEGER
    if wide or (baseline % 1).any() or np.abs(baseline).max() >= _LARGEST_FLOAT32_INTEGER / 2:
        signal_mv = ((raw - baseline) / gain).astype(np.float32)
    else:
        signal_mv = np.empty(raw.shape, dtype=np.float32)
        np.copyto(signal_mv, raw)
        if baseline.any():
            signal_mv -= baseline.astype(np.float32)
        signal_mv /= gain.astype(np.float32)
    _blank_invalid(signal_mv, raw, signals)
    return signal_mv


def in_format_16(raw: np.ndarray, header: Header) -> np.ndarray:
    """Counts (leads, samples) as format 16 holds them: "no valid sample" is another count there than in other formats.

    int16 where they fit.
    """
    counts = raw.copy()
    for row, signal in zip(counts, header.signals, strict=True):
        row[row == _INVALID_SAMPLE.get(signal.format)] = _INVALID_SAMPLE[16]
    return _narrow(counts)


def signal_hash(raw: np.ndarray) -> str:
    """A short digest of counts (leads, samples); equal for equal counts, whatever their integer type and layout."""
    samples = np.ascontiguousarray(raw.T)
    narrow = samples.astype("<i2", copy=False) if samples.dtype.itemsize <= 2 else samples.astype("<i2")
    if samples.dtype.itemsize > 2 and not np.array_equal(narrow, samples):
        narrow = samples.astype("<i8" if samples.dtype.kind in "iu" else "<f8")
    digest = hashlib.blake2b(repr(raw.shape).encode(), digest_size=16)
    digest.update(narrow.data)
    return digest.hexdigest()


def checksum_mismatches(raw: np.ndarray, header: Header) -> tuple[str, ...]:
    """Leads whose counts (leads, samples) do not add up to the header's checksum modulo 2^16; zero means none given."""
    sums = raw.sum(axis=1, dtype=np.int64)
    return tuple(
        signal.lead
        for signal, total in zip(header.signals, sums.tolist(), strict=True)
        if signal.checksum and (total - signal.checksum) % (1 << 16)
    )


def _read_group(path: Path, signals: tuple[SignalSpec, ...], header: Header) -> np.ndarray:
    """Counts (leads, samples) of the signals that share one file."""
    first = signals[0]
    if path.suffix.casefold() == ".mat":
        return _read_mat(path, len(signals))
    plain = all(s.samples_per_frame == 1 and s.skew == 0 and s.format == first.format for s in signals)
    if plain and first.format in _SAMPLE_TYPES:
        samples = np.fromfile(path, dtype=_SAMPLE_TYPES[first.format], offset=first.byte_offset)
    elif plain and first.format == _PACKED_12_BIT:
        samples = _unpack_12_bit(np.fromfile(path, dtype=np.uint8, offset=first.byte_offset))
    else:
        return _read_with_wfdb(path, signals, header)
    n_frames, rest = divmod(samples.size, len(signals))
    if rest and header.n_samples is None and first.format in _SAMPLE_TYPES:
        raise ReadError(path, f"{samples.size} samples", f"a multiple of {len(signals)} leads")
    frames = samples[: n_frames * len(signals)].reshape(n_frames, len(signals))
    return frames.astype(np.int16, copy=False).T


def _read_mat(path: Path, n_leads: int) -> np.ndarray:
    """``val`` (leads, samples) of a MATLAB file: int16 v4 directly, anything else through scipy."""
    with open(path, "rb", buffering=0) as file:
        content = file.read()
    if len(content) < MAT4.size:
        raise ReadError(path, f"{len(content)} bytes", "a MATLAB file")
    kind, rows, columns, imaginary, name_length, name = MAT4.unpack_from(content)
    if (kind, imaginary, name_length, name) != (MAT4_INT16, 0, 4, b"val\0"):
        return _load_mat(path, n_leads)
    if rows != n_leads:
        raise ReadError(path, f"{rows} rows", f"{n_leads}, one for each signal line of the header")
    n_samples = min((len(content) - MAT4.size) // (2 * rows), max(columns, 0))
    return np.frombuffer(content, "<i2", n_samples * rows, MAT4.size).reshape(n_samples, rows).T


def _load_mat(path: Path, n_leads: int) -> np.ndarray:
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["val"])
    except Exception as error:  # scipy meets damaged files with errors of many kinds
        raise ReadError(path, f"no MATLAB file that can be read ({error})", "a matrix `val`") from error
    raw = content.get("val")
    if raw is None:
        raise ReadError(path, "no matrix of this name", "a matrix `val`")
    if not isinstance(raw, np.ndarray) or raw.ndim != 2 or len(raw) != n_leads or raw.dtype.kind not in "iuf":
        raise ReadError(path, f"`val` of shape {raw.shape}, {raw.dtype}", f"numbers ({n_leads}, samples)")
    return _narrow(raw)


def _unpack_12_bit(packed: np.ndarray) -> np.ndarray:
    """Format 212: bytes to int16 samples; two samples share three bytes, the middle one holding both upper halves."""
    triples = packed[: packed.size // 3 * 3].reshape(-1, 3).astype(np.int16)
    middle = triples[:, 1]
    samples = np.stack([triples[:, 0] | (middle & 0x0F) << 8, triples[:, 2] | (middle & 0xF0) << 4], axis=1).reshape(-1)
    if packed.size % 3 == 2:  # an odd number of samples ends in two bytes
        samples = np.append(samples, np.int16(packed[-2]) | (np.int16(packed[-1]) & 0x0F) << 8)
    return (samples ^ 0x800) - 0x800  # sign of a 12-bit number


def _read_with_wfdb(path: Path, signals: tuple[SignalSpec, ...], header: Header) -> np.ndarray:
    """Counts of the rarer formats, several samples per frame, and skewed signals."""
    import wfdb

    # No WFDB format takes less than a bit per sample: whatever announces more would only reserve memory.
    if (header.n_samples or 0) * len(signals) > 8 * path.stat().st_size:
        raise ReadError(path, f"{path.stat().st_size} bytes", _announced(header))
    # wfdb understands strict headers alone, and finds them by the record name, which may be that of another file: it
    # gets one that says what was understood of this one.
    lines = [f"signals {len(signals)} {header.fs} {header.n_samples or ''}", *map(_signal_line, signals)]
    try:
        with TemporaryDirectory() as scratch:
            Path(scratch, _SIGNAL_FILE).symlink_to(path.resolve())
            Path(scratch, "signals.hea").write_text("\n".join([*lines, ""]))
            record = wfdb.rdrecord(str(Path(scratch, "signals")), physical=False)
    except Exception as error:  # wfdb meets damaged files with errors of many kinds
        expected = f"{_announced(header)} in format {signals[0].format}"
        raise ReadError(path, f"what wfdb cannot read ({error})", expected) from error
    return _narrow(record.d_signal.T)


def _signal_line(signal: SignalSpec) -> str:
    """What counts depend on, in the form that wfdb reads."""
    form = f"{signal.format}x{signal.samples_per_frame}:{signal.skew}+{signal.byte_offset}"
    return f"{_SIGNAL_FILE} {form} 200/mV 0 0 {signal.initial or 0} 0 0 lead"


def _narrow(raw: np.ndarray) -> np.ndarray:
    """The same numbers as int16 or int32 where they are integers that fit."""
    if np.isfinite(raw).all():
        for dtype in (np.int16, np.int32):
            limits = np.iinfo(dtype)
            if limits.min <= raw.min(initial=0) and raw.max(initial=0) <= limits.max:
                narrowed = raw.astype(dtype)
                if np.array_equal(narrowed, raw):
                    return narrowed
    return raw


def _blank_invalid(signal_mv: np.ndarray, raw: np.ndarray, signals: tuple[SignalSpec, ...]) -> None:
    """Puts NaN where a count stands for "no valid sample"."""
    invalid = [_INVALID_SAMPLE.get(signal.format) for signal in signals]
    highest = max((count for count in invalid if count is not None), default=None)
    # One pass over the whole array spares most recordings the passes over each lead; NaN counts go through it.
    if highest is None or raw.size == 0 or raw.min() > highest:
        return
    for row, counts, count in zip(signal_mv, raw, invalid, strict=True):
        if count is not None:
            row[counts == count] = np.nan


def _reach(raw: np.ndarray) -> float:
    """Largest absolute finite value."""
    return float(np.max(np.abs(raw.astype(np.float64)), where=np.isfinite(raw), initial=0.0))


def _announced(header: Header) -> str:
    return f"{header.n_samples or 'some'} samples of {len(header.signals)} leads"
