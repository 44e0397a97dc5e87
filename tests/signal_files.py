"""Signal files written from the description of their formats, and what `wfdb` reads in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import wfdb

from leadset.recordings import read_header, read_raw, to_millivolts
from leadset.recordings.storage import INVALID

LOWEST = {form: max(count, -(1 << 20)) for form, count in INVALID.items()}


def encode(form: int, frames: np.ndarray, per_frame: list[int]) -> bytes:
    """Counts (frames, samples per frame) as a file holds them, written from the description of the formats."""
    flat = frames.reshape(-1)
    if form == 8:
        columns = np.split(frames, np.cumsum(per_frame)[:-1], axis=1)
        steps = [np.diff(column.reshape(-1), prepend=0).reshape(column.shape) for column in columns]
        return np.concatenate(steps, axis=1).astype("<i1").tobytes()
    if form in (16, 32, 61):
        return flat.astype({16: "<i2", 32: "<i4", 61: ">i2"}[form]).tobytes()
    if form in (80, 160):
        return (flat + INVALID[form] * -1).astype({80: "<u1", 160: "<u2"}[form]).tobytes()
    if form == 24:
        return flat.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    bits = [int(count) & (0xFFF if form == 212 else 0x3FF) for count in flat]
    content = bytearray()
    if form == 212:
        for a, b in zip(bits[::2], [*bits[1::2], 0], strict=False):
            content += bytes([a & 0xFF, a >> 8 | b >> 8 << 4, b & 0xFF])
        return bytes(content[: -1 if len(bits) % 2 else None])
    for i in range(0, len(bits), 3):
        a, b, c = [*bits[i : i + 3], 0, 0][:3]
        block = a << 1 | (c & 0x1F) << 11 | b << 17 | c >> 5 << 27 if form == 310 else a | b << 10 | c << 20
        content += block.to_bytes(4, "little")
    return bytes(content)


def write_signals(path: Path, form: int, frames: np.ndarray, per_frame: list[int], offset: int) -> None:
    """A signal file, with ``offset`` bytes (FLAC: samples) in front that are none of the recording's."""
    if form < 500:
        path.write_bytes(bytes(offset) + encode(form, frames, per_frame))
        return
    channels = frames.reshape(len(frames), len(per_frame), -1).swapaxes(1, 2).reshape(-1, len(per_frame))
    channels = np.concatenate([np.zeros((offset, len(per_frame)), int), channels])
    shift, subtype = {508: (24, "PCM_S8"), 516: (16, "PCM_16"), 524: (8, "PCM_24")}[form]
    soundfile.write(path, (channels << shift).astype(np.int32), 250, subtype=subtype, format="FLAC")


def assert_agrees_with_wfdb(path: Path) -> int:
    """Counts and millivolts of the signals that are read are those of `wfdb`; returns how many there were."""
    header = read_header(path)
    raw = read_raw(header, path.parent)
    signal_mv = to_millivolts(raw, header)
    several = any(signal.samples_per_frame > 1 for signal in header.stored)
    digital = wfdb.rdrecord(str(path.with_suffix("")), physical=False, smooth_frames=not several)
    physical = wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=not several)
    counts = digital.e_d_signal if several else digital.d_signal.T
    values = physical.e_p_signal if several else physical.p_signal.T
    kept = [i for i, signal in enumerate(header.stored) if signal in header.signals]
    assert len(raw) == len(kept)
    for row, row_mv, signal, i in zip(raw, signal_mv, header.signals, kept, strict=True):
        # With several samples a frame, wfdb marks fewer samples behind a skewed signal's end than it lacks.
        beyond = signal.skew * signal.samples_per_frame
        end = len(counts[i]) - beyond
        np.testing.assert_array_equal(row[:end], counts[i][:end])
        assert (row[end:] == INVALID[signal.format]).all()
        expected = values[i] * abs(signal.gain / signal.counts_per_mv)
        np.testing.assert_allclose(row_mv[:end], expected[:end], rtol=4e-7, atol=1e-12)
        assert np.isnan(row_mv[end:]).all()
        assert len(row) == len(counts[i])
    return len(kept)
