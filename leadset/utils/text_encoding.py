"""How a text is encoded: UTF-8, UTF-16 as spreadsheets save it, or Latin-1."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

_BLOCK = 1 << 20
#: What a text is taken as that is nothing else, and what a person has to know of it.
GUESSED = "latin-1"
GUESS = "neither UTF-8 nor UTF-16: read as Latin-1, in which letters beyond ASCII may be others than were meant"


def encoding_of(path: str | Path) -> str:
    """Encoding of a text file, as `text_encoding` has it; the whole file is read.

    Raises:
        OSError: no such file, or it cannot be read.
    """
    with open(path, "rb") as file:
        return text_encoding(takewhile(len, iter(lambda: file.read(_BLOCK), None)))


def text_encoding(blocks: Iterable[bytes], whole: bool = True) -> str:
    """Encoding of a text in consecutive blocks, a name for `open`.

    What is neither UTF-16 nor UTF-8 is taken as Latin-1, in which every text can be read and different ones stay
    different; letters beyond ASCII may then be others than were meant. UTF-16 may lack its mark: every other byte of
    ASCII is zero.

    Args:
        blocks: the first has eight bytes or more, unless the text is shorter.
        whole: whether the text ends with them; otherwise its last letter may be cut off.
    """
    blocks = iter(blocks)
    start = next(blocks, b"")
    name = _by_its_start(start)
    decoder = codecs.getincrementaldecoder(name)()
    try:
        decoder.decode(start, final=False)
        for block in blocks:
            decoder.decode(block, final=False)
        decoder.decode(b"", final=whole)
    except UnicodeDecodeError:
        return GUESSED
    return name


def _by_its_start(start: bytes) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if start[1:8:2] == bytes(4):
        return "utf-16-le"
    return "utf-16-be" if start[:8:2] == bytes(4) else "utf-8-sig"
