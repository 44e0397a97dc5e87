"""MFER: ISO 22077-1, medical waveform format encoding rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leadset.recordings.formats.contents import Format
from leadset.recordings.formats.kit import LIBRARY, reader

_ENDINGS = (".mwf", ".mfer", ".mfr")
_PREAMBLE = b"MFR "
_MOST_BYTES = 256 << 20
# The type of waveform of an averaged beat (MWF_WFM).
_DOMINANT_BEAT = 9


def _recognises(path: Path, start: bytes) -> bool:
    return start[2:6] == _PREAMBLE or path.suffix.casefold() in _ENDINGS


def _stretches(said: dict[str, Any]) -> list[tuple[int, int]]:
    """Start and length of each frame of the rhythm recording."""
    frames = [frame for frame in said["frames"] if frame["waveform_type"] != _DOMINANT_BEAT]
    return [(frame["pointer"], frame["samples"]) for frame in frames]


_read = reader("mfer", "MFERParser", lambda said: said.get("sampling_rates", ()), stretches=_stretches)

FORMAT = Format("MFER", _ENDINGS, _recognises, _read, LIBRARY, _MOST_BYTES)
