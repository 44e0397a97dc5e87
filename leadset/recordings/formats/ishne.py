"""ISHNE Holter files: Badilini, Ann. Noninvasive Electrocardiol. 3(3):263-266, 1998."""

from __future__ import annotations

from pathlib import Path

from leadset.recordings.formats.contents import Format
from leadset.recordings.formats.kit import LIBRARY, reader


def _recognises(path: Path, start: bytes) -> bool:
    return start.startswith(b"ISHNE1.0")


_read = reader("ishne_holter", "ISHNEHolterParser", announced=lambda said: said.get("ecg_size"))

FORMAT = Format("ISHNE", (".ecg", ".ishne"), _recognises, _read, LIBRARY)
