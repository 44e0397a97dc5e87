"""The storage formats of WFDB signal files: bytes to counts.

Source: ``signal(5)`` of the WFDB Applications Guide. Memory is reserved by the size of a file, never by a number that a
header announces.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leadset.recordings.errors import ReadError

#: The count that each format keeps for "no valid sample". Format 8, which holds differences, has none: the lowest count
#: stands for the samples that a skew asks for behind the end of the file.
INVALID: dict[int, int] = {
    8: -(1 << 31), 16: -(1 << 15), 24: -(1 << 23), 32: -(1 << 31), 61: -(1 << 15), 80: -(1 << 7), 160: -(1 << 15),
    212: -(1 << 11), 310: -(1 << 9), 311: -(1 << 9), 508: -(1 << 7), 516: -(1 << 15), 524: -(1 << 23),
}  # fmt: skip
#: The format of counts that come from no WFDB file.
NO_FORMAT = 0
#: Formats of unsigned numbers, and which of them stands for the count zero.
OFFSET_BINARY: dict[int, int] = {80: 1 << 7, 160: 1 << 15}
#: Bits of the FLAC formats.
FLAC_BITS: dict[int, int] = {508: 8, 516: 16, 524: 24}
# What is packed may unpack to so many times the size of its file, or to so many bytes where that is more: enough for
# three quarters of an hour of twelve leads, however well they can be packed.
_TIMES_UNPACKED, _ALWAYS_UNPACKED = 10, 64 << 20
# Gzip (RFC 1952): how its files begin, bytes that are looked at, and what makes zlib expect its header.
_GZIP, _GZIP_START, _GZIP_WINDOW = b"\x1f\x8b\x08", 1 << 10, 31
# Samples of a FLAC stream that are decoded at once.
_FLAC_BLOCK = 1 << 20


def most_unpacked(size: int) -> int:
    """Bytes to which a file of so many bytes may unpack."""
    return max(_TIMES_UNPACKED * size, _ALWAYS_UNPACKED)


def check_unpacked(path: Path, size: int, unpacked: int) -> None:
    """Raises a `ReadError` where a file of ``size`` bytes announces more than `most_unpacked`."""
    if unpacked > most_unpacked(size):
        raise ReadError(path, f"{size} bytes that unpack to {unpacked}", f"at most {most_unpacked(size)}")


def _plain(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    def decode(data: np.ndarray) -> np.ndarray:
        whole = data.size // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize
        return data[:whole].view(dtype).astype(np.dtype(dtype).newbyteorder("="), copy=False)

    return decode


def _offset_binary(dtype: str, zero: int) -> Callable[[np.ndarray], np.ndarray]:
    def decode(data: np.ndarray) -> np.ndarray:
        return (_plain(dtype)(data).astype(np.int32) - zero).astype(np.int16)

    return decode


def _decode_24(data: np.ndarray) -> np.ndarray:
    low, middle, high = data[: data.size // 3 * 3].reshape(-1, 3).T.astype(np.int32)
    return low | middle << 8 | high.astype(np.int8).astype(np.int32) << 16


def _decode_212(data: np.ndarray) -> np.ndarray:
    """Two 12-bit samples in three bytes, the middle one with both upper halves; two bytes at the end hold one more."""
    triples = data[: data.size // 3 * 3].reshape(-1, 3).astype(np.int16)
    middle = triples[:, 1]
    samples = np.stack([triples[:, 0] | (middle & 0x0F) << 8, triples[:, 2] | (middle & 0xF0) << 4], axis=1).reshape(-1)
    if data.size % 3 == 2:
        samples = np.append(samples, np.int16(data[-2]) | (np.int16(data[-1]) & 0x0F) << 8)
    return (samples ^ 0x800) - 0x800  # sign of a 12-bit number


def _decode_310(data: np.ndarray) -> np.ndarray:
    """Three 10-bit samples in two words: one in each, above its lowest bit, and the third in the five bits on top."""
    first, second = _words(data, 2).T
    samples = np.stack([first >> 1 & 0x3FF, second >> 1 & 0x3FF, first >> 11 | second >> 11 << 5], axis=1)
    return _signed_10_bit(samples, data.size, (2, 4))


def _decode_311(data: np.ndarray) -> np.ndarray:
    """Three 10-bit samples in four bytes, the first one in the lowest bits."""
    first, second = _words(data, 2).T
    samples = np.stack([first & 0x3FF, first >> 10 | (second & 0x0F) << 6, second >> 4 & 0x3FF], axis=1)
    return _signed_10_bit(samples, data.size, (2, 3))


def _words(data: np.ndarray, per_block: int) -> np.ndarray:
    """Bytes, filled up with zeros to whole blocks, as 16-bit words (blocks, words)."""
    return np.pad(data, (0, -data.size % (2 * per_block))).view("<u2").astype(np.uint16).reshape(-1, per_block)


def _signed_10_bit(samples: np.ndarray, n_bytes: int, needed: tuple[int, int]) -> np.ndarray:
    """Blocks of three samples to one row; of a last block cut off, those that have all ``needed`` bytes."""
    lacking = sum(n_bytes % 4 < bytes_needed for bytes_needed in (*needed, 4)) if n_bytes % 4 else 0
    flat = samples.reshape(-1).astype(np.int16)
    return (flat[: flat.size - lacking] ^ 0x200) - 0x200


def is_gzip(path: Path) -> bool:
    """Whether a file unpacks as one of gzip: its first bytes alone might be samples."""
    with open(path, "rb") as file:
        start = file.read(_GZIP_START)
    if not start.startswith(_GZIP):
        return False
    try:
        zlib.decompressobj(wbits=_GZIP_WINDOW).decompress(start, _GZIP_START)
    except zlib.error:
        return False
    return True


class Decoder(NamedTuple):
    """How a format is read.

    Attributes:
        decode: bytes (uint8) to samples, one after the other.
        block: samples that share bytes: a file may hold up to one less than that behind its last sample.
    """

    decode: Callable[[np.ndarray], np.ndarray]
    block: int = 1


#: The formats that are not compressed.
DECODERS: dict[int, Decoder] = {
    8: Decoder(_plain("<i1")),  # differences
    16: Decoder(_plain("<i2")),
    24: Decoder(_decode_24),
    32: Decoder(_plain("<i4")),
    61: Decoder(_plain(">i2")),
    80: Decoder(_offset_binary("<u1", OFFSET_BINARY[80])),
    160: Decoder(_offset_binary("<u2", OFFSET_BINARY[160])),
    212: Decoder(_decode_212, 2),
    310: Decoder(_decode_310, 3),
    311: Decoder(_decode_311, 3),
}


def read_flac(path: Path, form: int, offset: int, n_signals: int) -> np.ndarray:
    """All samples (samples, signals) of a FLAC file from sample ``offset`` on, int16 or int32.

    Raises:
        ReadError: it is no FLAC file, or has another number of channels or more bits than its format says.
    """
    import soundfile

    expected = f"FLAC of {n_signals} channels and at most {FLAC_BITS[form]} bits, as format {form} says"
    try:
        with open(path, "rb") as file, soundfile.SoundFile(file) as flac:
            bits = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}.get(flac.subtype, 99)
            if flac.format != "FLAC" or flac.channels != n_signals or bits > FLAC_BITS[form]:
                content = f"{flac.format} of {flac.channels} channels, {flac.subtype}"
                raise ReadError(path, content, expected)
            dtype = "int32" if bits == 24 else "int16"
            blocks = [np.empty((0, n_signals), dtype)]
            if offset < flac.frames:
                flac.seek(offset)
                while len(block := flac.read(min(_FLAC_BLOCK, flac.frames - flac.tell()), dtype, always_2d=True)):
                    blocks.append(block)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ReadError(path, f"what cannot be decoded ({error})", expected) from error
    samples = np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
    # Samples come at the upper end of their type.
    return samples if bits == 16 else samples >> 8
