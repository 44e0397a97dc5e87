"""MFER: ISO 22077-1, medical waveform format encoding rules."""

from __future__ import annotations

from pathlib import Path

from leadset.recordings.formats.contents import Format
from leadset.recordings.formats.kit import LIBRARY, reader

_ENDINGS = (".mwf", ".mfer", ".mfr")
_PREAMBLE = b"MFR "
_MOST_BYTES = 256 << 20


def _recognises(path: Path, start: bytes) -> bool:
    return start[2:6] == _PREAMBLE or path.suffix.casefold() in _ENDINGS


_read = reader("mfer", "MFERParser", lambda said: next(iter(said.get("sampling_rates", ())), None))

FORMAT = Format("MFER", _ENDINGS, _recognises, _read, LIBRARY, _MOST_BYTES)
