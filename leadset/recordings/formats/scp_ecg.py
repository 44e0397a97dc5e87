"""SCP-ECG: EN 1064 / ISO 11073-91064, with its Huffman tables, differences and reference beats."""

from __future__ import annotations

from pathlib import Path

from leadset.recordings.formats.contents import Format
from leadset.recordings.formats.kit import LIBRARY, reader

_SIGN = b"SCPECG"
_MOST_BYTES = 16 << 20


def _recognises(path: Path, start: bytes) -> bool:
    # Section 0 begins after six bytes; its header ends with the sign, which versions before 1.3 do not require.
    return start[16:22] == _SIGN or (path.suffix.casefold() == ".scp" and start[8:10] == b"\0\0" and len(start) > 32)


FORMAT = Format("SCP-ECG", (".scp", ".ecg"), _recognises, reader("scp_ecg", "SCPECGParser"), LIBRARY, _MOST_BYTES)
