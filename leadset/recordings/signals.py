"""Samples on disk to counts, and counts to millivolts.

Memory is only ever reserved by the size of a file, never by a number that a header announces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.header import Header, SignalSpec
from leadset.recordings.matlab import check_rows, read_matrix
from leadset.recordings.storage import DECODERS, FLAC_BITS, INVALID, NO_FORMAT, OFFSET_BINARY, is_gzip, read_flac
from leadset.signals import LARGEST_HEART_MV

_LARGEST_FLOAT32_INTEGER = 1 << 24
# Counts from which on a format is at the end of its 16 bits: an amplifier at its end, or a mark for a missing sample.
_END_OF_RANGE = dict.fromkeys((NO_FORMAT, 16, 61, 160, 516), (1 << 15) - 1)


def read_counts(header: Header, folder: str | Path) -> np.ndarray:
    """Counts (signals, samples) of a recording of one segment, in file order: int16, or int32 where a format needs it.

    All samples that the files hold of the header's signals, more or fewer than announced, of several files as many as
    the shortest has; skewed signals are moved back, and what they lack at their end is invalid. Samples of one file
    without skew are laid out as in it.

    Raises:
        ReadError: a signal file is missing, empty, damaged, of another number of signals, or in an unknown format.
    """
    folder = Path(folder)
    groups = [(file, tuple(signals)) for file, signals in groupby(header.stored, key=lambda signal: signal.file)]
    if len({file for file, _ in groups}) < len(groups):
        raise ReadError(folder / header.name, "a file named on lines apart", "one block of signal lines for each file")
    blocks = []
    for file, signals in groups:
        if not any(signal in header.signals for signal in signals):
            continue
        path = folder / file
        if not path.is_file():
            packed = path.with_name(f"{path.name}.gz")
            found = f"only {packed.name}, which is compressed" if packed.is_file() else "no such file"
            raise ReadError(path, found, f"the signal of {header.name}")
        try:
            frames = _read_frames(path, signals, header)
        except OSError as error:
            raise ReadError(path, str(error), "a readable file") from error
        if len(frames) == 0:
            raise ReadError(path, "no whole sample", _announced(header))
        blocks.append(_leads_of(frames, signals, header.signals))
    if len(blocks) == 1:
        return blocks[0]
    shortest = min(block.shape[1] for block in blocks)
    return np.concatenate([block[:, :shortest] for block in blocks])


def counts_of_matrix(matrix: np.ndarray, header: Header, source: str | Path) -> np.ndarray:
    """Counts (signals, samples) in file order from the matrix of a MATLAB file that a header belongs to.

    Raises:
        ReadError: it has another number of rows, or samples that its format cannot hold.
    """
    if matrix.ndim != 2 or matrix.dtype.kind not in "iuf":
        content = f"{matrix.dtype} samples of shape {matrix.shape}"
        raise ReadError(source, content, f"numbers ({len(header.stored)}, samples)")
    frames = _frames_of_matrix(matrix, header.stored, source)
    return _leads_of(frames, header.stored, header.signals)


def to_millivolts(raw: np.ndarray, header: Header) -> np.ndarray:
    """Counts (leads, samples) in file order to float32 millivolts of the same shape; invalid samples become NaN.

    So does what float32 cannot hold.

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
    with np.errstate(over="ignore"):
        signal_mv = _scaled(raw, baseline, gain, wide)
    if raw.dtype.kind == "f" or not _is_narrow(baseline):
        signal_mv[np.isinf(signal_mv)] = np.nan
    _blank_invalid(signal_mv, raw, signals)
    return signal_mv


def _scaled(raw: np.ndarray, baseline: np.ndarray, gain: np.ndarray, wide: bool) -> np.ndarray:
    """(counts - baseline) / gain in float32, computed in float64 where counts are wide."""
    if wide or not _is_narrow(baseline):
        return ((raw - baseline) / gain).astype(np.float32)
    signal_mv = np.empty(raw.shape, dtype=np.float32)
    np.copyto(signal_mv, raw)
    if baseline.any():
        signal_mv -= baseline.astype(np.float32)
    signal_mv /= gain.astype(np.float32)
    return signal_mv


def _is_narrow(baseline: np.ndarray) -> bool:
    """Whether differences of 16-bit counts to it are exact in float32."""
    return not (baseline % 1).any() and np.abs(baseline).max() < _LARGEST_FLOAT32_INTEGER / 2


def in_format(raw: np.ndarray, header: Header, form: int = 16) -> np.ndarray:
    """Counts (leads, samples) as a format holds them: "no valid sample" is another count there than in other formats.

    int16 where they fit, but int32 for the formats that need it.
    """
    wide = INVALID[form] < INVALID[16]
    counts = raw.astype(np.result_type(raw.dtype, np.int32)) if wide else raw.copy()
    for row, signal in zip(counts, header.signals, strict=True):
        row[row == INVALID.get(signal.format)] = INVALID[form]
    return counts if wide else narrow_counts(counts)


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


def starts_otherwise(raw: np.ndarray, header: Header) -> bool:
    """Whether counts (leads, samples) begin with others than a header states, in which the initial values are given.

    Of a single lead this says little: where recordings were cut, headers kept the value of the uncut one.
    """
    if header.segments or header.counts is not None or raw.dtype.kind not in "iu" or len(header.signals) < 2:
        return False
    stated = [signal.initial for signal in header.signals]
    plain = all(signal.format != 8 and not signal.skew for signal in header.signals)
    return plain and None not in stated and any(stated) and raw[:, 0].tolist() != stated


def _read_frames(path: Path, signals: tuple[SignalSpec, ...], header: Header) -> np.ndarray:
    """Frames (frames, samples per frame) of the signals that share one file."""
    first = signals[0]
    if path.suffix.casefold() == ".mat":
        width = sum(signal.samples_per_frame for signal in signals)
        return _frames_of_matrix(read_matrix(path, width), signals, path)
    if len({signal.format for signal in signals}) > 1:
        formats = ", ".join(dict.fromkeys(str(signal.format) for signal in signals))
        raise ReadError(path, f"formats {formats}", "one format for the signals of one file")
    if first.format in FLAC_BITS:
        return _frames_of_flac(path, signals)
    if first.format not in DECODERS:
        known = " ".join(map(str, sorted({*DECODERS, *FLAC_BITS})))
        raise ReadError(path, f"format {first.format}", f"{_announced(header)} in one of the formats {known}")
    decoder = DECODERS[first.format]
    if is_gzip(path):
        raise ReadError(path, "a file compressed by gzip", f"{_announced(header)}, unpacked")
    offset = min(first.byte_offset, path.stat().st_size)
    samples = decoder.decode(np.fromfile(path, dtype=np.uint8, offset=offset))
    width = sum(signal.samples_per_frame for signal in signals)
    if header.n_samples is not None and decoder.block > 1:
        announced = header.n_samples // header.signals[0].samples_per_frame * width
        if announced < samples.size < announced + decoder.block:  # the rest of a block is no sample
            samples = samples[:announced]
    n_frames, rest = divmod(samples.size, width)
    if rest and header.n_samples is None and decoder.block == 1:
        raise ReadError(path, f"{samples.size} samples", f"a multiple of {width} leads")
    frames = samples[: n_frames * width].reshape(n_frames, width)
    return _sum_differences(frames, signals, path) if first.format == 8 else frames


def _frames_of_flac(path: Path, signals: tuple[SignalSpec, ...]) -> np.ndarray:
    first = signals[0]
    per_frame = first.samples_per_frame
    if any(signal.samples_per_frame != per_frame for signal in signals):
        raise ReadError(path, "signals of several rates", "one rate for the channels of a FLAC file")
    samples = read_flac(path, first.format, first.byte_offset, len(signals))
    n_frames = len(samples) // per_frame
    frames = samples[: n_frames * per_frame].reshape(n_frames, per_frame, len(signals)).swapaxes(1, 2)
    return frames.reshape(n_frames, -1)


def _frames_of_matrix(matrix: np.ndarray, signals: Sequence[SignalSpec], source: str | Path) -> np.ndarray:
    """Frames from a MATLAB matrix (samples per frame, frames); the header's format says what its numbers mean."""
    check_rows(source, matrix.shape, sum(signal.samples_per_frame for signal in signals))
    zeros = np.repeat(
        [OFFSET_BINARY.get(signal.format, 0) for signal in signals], [signal.samples_per_frame for signal in signals]
    )
    if zeros.any():
        low, high = matrix.min(axis=1, initial=0), matrix.max(axis=1, initial=0)
        if ((zeros > 0) & ((low < 0) | (high >= 2 * zeros))).any():
            sample_range = f"samples of {low.min():g} to {high.max():g}"
            raise ReadError(source, sample_range, f"0 to {2 * zeros.max() - 1}, as formats 80 and 160 hold them")
        matrix = matrix.astype(np.result_type(matrix.dtype, np.int32)) - zeros[:, None]
    return (matrix if matrix.dtype == np.int16 else narrow_counts(matrix)).T


def _sum_differences(frames: np.ndarray, signals: Sequence[SignalSpec], path: Path) -> np.ndarray:
    """Format 8: differences to counts; the first one is that to the header's initial value, or else to its zero."""
    counts, column = np.empty(frames.shape, dtype=np.int32), 0
    for signal in signals:
        columns = slice(column, column := column + signal.samples_per_frame)
        initial = signal.adc_zero if signal.initial is None else signal.initial
        if not INVALID[32] <= initial < -INVALID[32]:
            raise ReadError(path, f"initial value {initial} of {signal.lead}", "a number of 32 bits")
        summed = np.cumsum(frames[:, columns].reshape(-1), dtype=np.int32) + np.int32(initial)
        counts[:, columns] = summed.reshape(len(frames), signal.samples_per_frame)
    return counts


def _leads_of(frames: np.ndarray, signals: Sequence[SignalSpec], kept: Sequence[SignalSpec]) -> np.ndarray:
    """Counts (signals, samples) of the signals to keep out of those of the frames, skew taken back."""
    if all(signal.samples_per_frame == 1 and signal.skew == 0 and signal in kept for signal in signals):
        return frames.T
    rows, column = [], 0
    for signal in signals:
        columns = slice(column, column := column + signal.samples_per_frame)
        if signal not in kept:
            continue
        row = frames[:, columns].reshape(-1)
        skew = min(signal.skew * signal.samples_per_frame, row.size)
        if skew:
            # A format that is not known here has no invalid sample of its own.
            fill = INVALID.get(signal.format, INVALID[16])
            row = np.concatenate([row[skew:], np.full(skew, fill, dtype=row.dtype)])
        rows.append(row)
    return np.stack(rows)


def narrow_counts(raw: np.ndarray) -> np.ndarray:
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
    """Puts NaN where a count stands for "no valid sample", or for a voltage at the end of 16 bits that no heart has."""
    if raw.size == 0:
        return
    invalid = max((INVALID[signal.format] for signal in signals if signal.format in INVALID), default=None)
    end = min((_END_OF_RANGE[signal.format] for signal in signals if signal.format in _END_OF_RANGE), default=None)
    # Two passes over the whole array spare most recordings those over each lead; NaN counts go through them.
    lowest, highest = raw.min(), raw.max()
    if invalid is not None and not lowest > invalid:
        for row, counts, signal in zip(signal_mv, raw, signals, strict=True):
            row[counts == INVALID.get(signal.format)] = np.nan
    if end is not None and not (lowest > -end and highest < end):
        for row, counts, signal in zip(signal_mv, raw, signals, strict=True):
            if signal.format in _END_OF_RANGE:
                # Devices that say nothing of missing samples mark them by the lowest count.
                at_end = (counts == end) | (counts == -end) | (counts == -end - 1)
                row[at_end & (np.abs(row) > LARGEST_HEART_MV)] = np.nan


def _reach(raw: np.ndarray) -> float:
    """Largest absolute finite value."""
    return float(np.max(np.abs(raw.astype(np.float64)), where=np.isfinite(raw), initial=0.0))


def _announced(header: Header) -> str:
    return f"{header.n_samples or 'some'} samples of {len(header.signals)} leads"
