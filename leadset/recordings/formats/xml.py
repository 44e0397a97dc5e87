"""Formats in XML: told apart by their root element."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

_ROOT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)")
#: The largest file that is read: ten times what an hour of text takes would be no ECG of a device.
MOST_BYTES = 64 << 20


def root_names(start: bytes) -> list[str]:
    """Names of the first elements of a document, in lower case, without their name spaces."""
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = start.decode("utf-16" if wide else "utf-8", errors="ignore")
    return [match[1].casefold() for match in _ROOT.finditer(text)]


def has_root(name: str) -> Callable[[Path, bytes], bool]:
    """What recognises documents with that root element."""

    def recognises(path: Path, start: bytes) -> bool:
        begins = start.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")[:1] == b"<"
        return begins and name in root_names(start)[:1]

    return recognises
