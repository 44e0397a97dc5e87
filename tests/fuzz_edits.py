"""Damage for fuzzing: edits of a file's bytes, numbers, words, lines and JSON, also inside what is compressed.

An edit is four numbers, so that a search can draw, repeat and shrink it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

_NUMBER = re.compile(rb"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(rb"[^\s,;=<>\"'/()]+")
_INTEGERS = (0, 1, -1, 2, 3, 127, 128, 255, 256, 32767, -32768, 65535, 1 << 24, 2**31 - 1, -(2**31), 2**32 - 1, 2**40,
             2**63 - 1, -(2**63))  # fmt: skip
_NUMBERS = (b"0", b"-1", b"1", b"2", b"1e308", b"-1e308", b"1e-320", b"nan", b"inf", b"-inf", b"9" * 20, b"9" * 400,
            b"0.1", b"65536", b"2147483648", b"1000000000", b"\xd9\xa3", b"")  # fmt: skip
_WORDS = (b"", b"~", b"..", b"../../x", b"/", b"\0", b"%s", b"NaN", b"None", b"true", b"[]", b"{}", b'"', b"<", b"&",
          b"A" * 5000, b"\xff\xfe", "\N{SNOWMAN}".encode(), b"-", b"#", b",", b"[" * 3000, b"x" * 300)  # fmt: skip
_LEAVES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**70, 1e308, -0.5, float("nan"), float("inf"), "", "x", "../x", "\0", [], {},
    [[]], [None], [1e9] * 30, {"x": []}, "9" * 30, 10**9, 1e-300,
)  # fmt: skip


class Edit(NamedTuple):
    """One edit: its kind, where in the file (share of 2^16), how many bytes or which choice, and a value."""

    kind: int
    place: int
    amount: int
    value: int


PLACES = 1 << 16
MOST = Edit(9, PLACES - 1, 400, 1 << 20)


def edited(name: str, content: bytes, edits: Sequence[Edit], other: bytes = b"") -> bytes:
    """A file with some edits; of some formats they act on what is inside, which is then packed again.

    Args:
        name: of the file: its ending says the format.
        content: of the file.
        edits: in this order; those of an odd value go inside where there is an inside.
        other: a file to copy pieces of.
    """
    for edit in edits:
        inside = _inside(name, content, edit) if edit.value % 2 else None
        if inside is None:
            content = _EDITS[edit.kind](content, edit, other)
        else:
            part, rewrap = inside
            content = rewrap(_EDITS[edit.kind](part, edit, other))
    return content


def _at(content: bytes, edit: Edit) -> int:
    return len(content) * edit.place // PLACES


def _set_byte(content: bytes, edit: Edit, other: bytes) -> bytes:
    at = _at(content, edit)
    return content[:at] + bytes([edit.value % 256]) + content[at + 1 :]


def _set_integer(content: bytes, edit: Edit, other: bytes) -> bytes:
    at, width = _at(content, edit), 1 << edit.amount % 4
    at -= at % width if edit.amount % 8 < 4 else 0
    number = _INTEGERS[edit.value % len(_INTEGERS)] % (1 << 8 * width)
    order = "little" if edit.amount % 3 else "big"
    return content[:at] + number.to_bytes(width, order) + content[at + width :]


def _delete(content: bytes, edit: Edit, other: bytes) -> bytes:
    at = _at(content, edit)
    return content[:at] + content[at + 1 + edit.amount :]


def _insert(content: bytes, edit: Edit, other: bytes) -> bytes:
    at = _at(content, edit)
    return content[:at] + bytes([edit.value % 256]) * (1 + edit.amount) + content[at:]


def _truncate(content: bytes, edit: Edit, other: bytes) -> bytes:
    return content[: _at(content, edit)]


def _repeat(content: bytes, edit: Edit, other: bytes) -> bytes:
    at = _at(content, edit)
    piece = content[at : at + 1 + edit.amount]
    return content[:at] + piece * (2 + edit.value % 5) + content[at:]


def _splice(content: bytes, edit: Edit, other: bytes) -> bytes:
    at, source = _at(content, edit), len(other) * (edit.value % PLACES) // PLACES
    return content[:at] + other[source : source + 1 + edit.amount] + content[at + 1 + edit.amount :]


def _replace(content: bytes, edit: Edit, found: re.Pattern[bytes], texts: Sequence[bytes]) -> bytes:
    """The first match behind the place becomes another text."""
    match = found.search(content, _at(content, edit)) or found.search(content)
    if match is None:
        return content
    return content[: match.start()] + texts[edit.value % len(texts)] + content[match.end() :]


def _set_number(content: bytes, edit: Edit, other: bytes) -> bytes:
    return _replace(content, edit, _NUMBER, _NUMBERS)


def _set_word(content: bytes, edit: Edit, other: bytes) -> bytes:
    return _replace(content, edit, _WORD, _WORDS)


def _lines_or_json(content: bytes, edit: Edit, other: bytes) -> bytes:
    """Of JSON a value becomes another; of anything else a line is moved, doubled or dropped."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        lines = content.splitlines(keepends=True) or [b""]
        at, to = len(lines) * edit.place // PLACES, edit.value % len(lines)
        line = lines.pop(at)
        lines[to:to] = [line] * (edit.amount % 4)
        return b"".join(lines)
    places: list[tuple[Any, Any]] = []
    _places(values, places)
    if not places:
        return json.dumps(_LEAVES[edit.value % len(_LEAVES)]).encode()
    holder, key = places[len(places) * edit.place // PLACES]
    if edit.amount % 8 == 0:
        del holder[key]
    else:
        holder[key] = _LEAVES[edit.value // 2 % len(_LEAVES)]
    return json.dumps(values).encode()


def _places(values: Any, places: list[tuple[Any, Any]]) -> None:
    """Every value of a JSON document, as what holds it and its key; of long lists, the first ones."""
    items = values.items() if isinstance(values, dict) else enumerate(values[:30]) if isinstance(values, list) else ()
    for key, value in list(items):
        places.append((values, key))
        _places(value, places)


_EDITS: tuple[Callable[[bytes, Edit, bytes], bytes], ...] = (
    _set_byte, _set_integer, _delete, _insert, _truncate, _repeat, _splice, _set_number, _set_word, _lines_or_json,
)  # fmt: skip
assert len(_EDITS) == MOST.kind + 1


# --- What is inside ------------------------------------------------------------------------------------------------

_Inside = tuple[bytes, Callable[[bytes], bytes]]
_MAT5_HEADER = 128


def _inside(name: str, content: bytes, edit: Edit) -> _Inside | None:
    """A part of a file that is packed, and what packs it again; None where there is none."""
    try:
        if content.startswith(b"PK"):
            return _inside_zip(content, edit)
        if name.endswith(".safetensors"):
            (length,) = struct.unpack_from("<Q", content)
            rest = content[8 + length :]
            return content[8 : 8 + length], lambda part: struct.pack("<Q", len(part)) + part + rest
        if name.endswith(".mat") and content[_MAT5_HEADER : _MAT5_HEADER + 2] == b"\x0f\0":
            head = content[:_MAT5_HEADER]
            return zlib.decompress(content[_MAT5_HEADER + 8 :]), lambda part: head + _compressed(part)
    except (struct.error, zlib.error, zipfile.BadZipFile, ValueError, OSError, KeyError, NotImplementedError,
            EOFError, RuntimeError):  # fmt: skip
        pass
    return None


def _compressed(part: bytes) -> bytes:
    packed = zlib.compress(part)
    return struct.pack("<II", 15, len(packed)) + packed


def _inside_zip(content: bytes, edit: Edit) -> _Inside:
    """One file of an archive; a list of digests, where there is one, is brought up to date."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {item.filename: archive.read(item) for item in archive.infolist()}
    names = list(files)
    name = names[edit.amount % len(names)]

    def rewrap(part: bytes) -> bytes:
        changed = {**files, name: part}
        if "digests.json" in files and name != "digests.json":
            about = {"sha256": hashlib.sha256(part).hexdigest(), "bytes": len(part)}
            with suppress(ValueError, LookupError, TypeError, RecursionError):
                digests = json.loads(files["digests.json"])
                digests["files"][name] = about
                changed["digests.json"] = json.dumps(digests).encode()
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            for own, one in changed.items():
                archive.writestr(own, one)
        return written.getvalue()

    return files[name], rewrap
