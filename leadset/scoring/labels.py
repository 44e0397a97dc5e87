"""The labels of a folder of headers.

Scoring asks for one comment of each header. Parsing whole headers (`leadset.recordings`) would take longer than all the
rest of an evaluation, so that the line is looked up here; what it says is read by the same `parse_codes`. Where it
is not found as usual, the comments are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from leadset.classes import LabelSpace
from leadset.recordings.header import header_lines
from leadset.recordings.reader import decode_header
from leadset.recordings.subject import comment_values, parse_codes

# Another field on the same line.
_NEXT_FIELD = re.compile(rb"[A-Za-z]\s*[:=]")
_DX = re.compile(rb"^[ \t]*#[ \t]*<?[ \t]*Dx[ \t]*>?[ \t]*[:=]([^\r\n]*)", re.MULTILINE | re.IGNORECASE)


def read_labels(paths: Iterable[str | Path], space: LabelSpace) -> np.ndarray:
    """Labels (n, k) bool of headers in either dialect; codes outside ``space`` are ignored.

    Raises:
        OSError: a file cannot be read.
        ValueError: no header has a ``#Dx`` line, so that nothing says what is right.
    """
    paths = list(paths)
    by_header = [_diagnoses(path) for path in paths]
    if not any(by_header):
        found = f"found no '#Dx' line in any of {len(by_header)} headers"
        raise ValueError(f"{paths[0]} and others: {found}, expected labels to score against")
    texts = [b",".join(lines) for lines in by_header]
    rows = {text: space.encode(parse_codes(text.decode("utf-8", "replace"))[0]) for text in set(texts)}
    return np.array([rows[text] for text in texts])


def _diagnoses(path: str | Path) -> list[bytes]:
    """What follows ``#Dx:``, once for each such line."""
    with open(path, "rb", buffering=0) as file:
        content = file.readall()
    usual = _DX.findall(content)
    if usual and not any(_NEXT_FIELD.search(line) for line in usual):
        return usual
    comments = [line.strip()[1:] for line in header_lines(decode_header(content)) if line.strip().startswith("#")]
    return [line.encode() for line in comment_values(comments).get("dx", ())]
