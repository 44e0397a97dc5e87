"""The variables of MATLAB files of versions 4 to 7, read without trust: files are uploaded by strangers.

Source: MAT-File Format, MathWorks, R2024b. `scipy.io.loadmat` reads the same, but takes types and sizes out of the file
for granted: a file with one damaged byte can end the process. Here every size is compared with what is left of the file
before anything is read, and what is packed is unpacked up to a limit.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.storage import most_unpacked


class Variable(NamedTuple):
    """A variable: its size, what it holds, and its value.

    Attributes:
        shape: its dimensions.
        kind: ``"int16"``, ``"char"``, ``"struct of a, b"`` and the like.
        value: numbers (shape) of an array of real numbers, a text, or the variables in a single struct; None of
            anything else.
    """

    shape: tuple[int, ...]
    kind: str
    value: np.ndarray | str | Mapping[str, Variable] | None = None


class _Damaged(ValueError):
    """Something in the file is not as the format has it."""


_HEADER_5 = 128
# Types of elements that hold numbers.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_MATRIX, _PACKED = 14, 15
# Classes of matrices.
_STRUCT, _CHAR = 2, 4
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "float64", 7: "float32", 8: "int8",
            9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64",
            16: "function", 17: "opaque"}  # fmt: skip
_NUMERIC = range(6, 16)
_COMPLEX = 0x0800
_MOST_DIMENSIONS, _MOST_FIELDS = 32, 1000
# Version 4: numbers by the tens of the type, kind by its ones.
_HEADER_4 = struct.Struct("5i")
_NUMBERS_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_KINDS_4 = ("full", "char", "sparse")


def read_variables(path: Path, content: bytes) -> dict[str, Variable]:
    """All variables of a file of version 4 to 7, by name.

    Args:
        path: for messages.
        content: of the file.

    Raises:
        ReadError: it is none, is damaged, or unpacks to more than `leadset.recordings.storage.most_unpacked`.
    """
    try:
        if 0 in content[:4]:
            return dict(_variables_4(content))
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128], "")
        if not order:
            raise _Damaged("neither the header of version 4 nor that of version 5")
        return dict(_variables_5(content, order))
    except _Damaged as error:
        raise ReadError(path, f"no MATLAB file that can be read ({error})", "one of MATLAB") from error


# --- Version 4 -----------------------------------------------------------------------------------------------------


def _variables_4(content: bytes) -> Iterator[tuple[str, Variable]]:
    at = 0
    while at < len(content):
        if len(content) - at < _HEADER_4.size:
            raise _Damaged("a header that is cut off")
        order = next((o for o in "<>" if 0 <= struct.unpack_from(f"{o}i", content, at)[0] < 5000), "<")
        kind, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", content, at)
        machine, zero, number, form = (kind // 10**k % 10 for k in (3, 2, 1, 0))
        known = 0 <= kind < 5000 and zero == 0 and number < len(_NUMBERS_4) and form < len(_KINDS_4)
        if not known or machine != "<>".index(order) or imaginary not in (0, 1):
            raise _Damaged(f"type {kind}")
        dtype = np.dtype(order + _NUMBERS_4[number])
        start = at + _HEADER_4.size + length
        size = rows * columns * dtype.itemsize * (1 + imaginary)
        if min(rows, columns, length - 1) < 0 or start + size > len(content):
            raise _Damaged(f"a matrix of {rows} x {columns}, and {len(content) - at} bytes are left")
        name = content[at + _HEADER_4.size : start].split(b"\0")[0].decode("latin-1")
        at = start + size
        if form or imaginary:
            yield name, Variable((rows, columns), _KINDS_4[form] if form else "complex")
        else:
            values = np.frombuffer(content, dtype, rows * columns, start).reshape(columns, rows).T
            yield name, Variable((rows, columns), dtype.name, _native(values))


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


# --- Version 5 to 7 ------------------------------------------------------------------------------------------------


class _Element(NamedTuple):
    """A piece of a file: its type, its bytes, and where the next one begins."""

    type: int
    data: memoryview
    after: int


def _element(content: memoryview, at: int, order: str) -> _Element:
    if len(content) - at < 8:
        raise _Damaged("an element that is cut off")
    kind, size = struct.unpack_from(f"{order}2I", content, at)
    if kind >> 16:  # a small one has both in four bytes
        kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if size > 4:
            raise _Damaged(f"a small element of {size} bytes")
    else:
        start = at + 8
        after = start + size + (0 if kind == _PACKED else -size % 8)
    if start + size > len(content):
        raise _Damaged(f"an element of {size} bytes, and {len(content) - start} are left")
    return _Element(kind, content[start : start + size], after)


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
    at = 0
    while at < len(content):
        element = _element(content, at, order)
        yield element
        at = element.after


def _variables_5(content: bytes, order: str) -> Iterator[tuple[str, Variable]]:
    most = left = most_unpacked(len(content))
    for element in _elements(memoryview(content)[_HEADER_5:], order):
        if element.type == _PACKED:
            unpacker = zlib.decompressobj()
            try:
                unpacked = unpacker.decompress(element.data, left + 1)
            except zlib.error as error:
                raise _Damaged(str(error)) from None
            if len(unpacked) > left:
                raise _Damaged(f"{len(content)} bytes that unpack to more than {most}")
            left -= len(unpacked)
            element = _element(memoryview(unpacked), 0, order)
        if element.type != _MATRIX:
            raise _Damaged(f"an element of type {element.type}")
        name, variable = _variable(element.data, order)
        yield name, variable


def _variable(data: memoryview, order: str, inside: bool = False) -> tuple[str, Variable]:
    """Name and variable of a matrix; structs in structs are not looked into."""
    parts = _elements(data, order)
    try:
        flags, dimensions, named = next(parts), next(parts), next(parts)
        if flags.type != 6 or len(flags.data) != 8 or dimensions.type != 5 or len(dimensions.data) % 4:
            raise _Damaged("a matrix without flags or dimensions")
        (flag,) = struct.unpack_from(f"{order}I", flags.data)
        shape = tuple(np.frombuffer(dimensions.data, f"{order}i4").tolist())
        if not 2 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
            raise _Damaged(f"dimensions {shape[:5]}")
        name, kind = bytes(named.data).decode("latin-1"), _CLASSES.get(flag & 0xFF, f"class {flag & 0xFF}")
        if flag & 0xFF in _NUMERIC and not flag & _COMPLEX:
            return name, Variable(shape, kind, _numbers(next(parts), shape, order))
        if flag & 0xFF == _CHAR:
            return name, Variable(shape, kind, _text(next(parts), shape, order))
        if flag & 0xFF == _STRUCT:
            fields = _field_names(next(parts), next(parts), order)
            kind = f"struct of {', '.join(fields)}"
            if prod(shape) == 1 and not inside:
                values = [_variable(part.data, order, inside=True)[1] for part in parts]
                if len(values) != len(fields):
                    raise _Damaged(f"a struct of {len(fields)} fields with {len(values)} values")
                return name, Variable(shape, kind, dict(zip(fields, values, strict=True)))
        return name, Variable(shape, f"complex {kind}" if flag & _COMPLEX else kind)
    except StopIteration:
        raise _Damaged("a matrix that is cut off") from None


def _numbers(part: _Element, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Numbers as they are stored, which may be in fewer bytes than the matrix's class has."""
    if part.type not in _NUMBERS:
        raise _Damaged(f"numbers of type {part.type}")
    dtype = np.dtype(order + _NUMBERS[part.type])
    if prod(shape) * dtype.itemsize != len(part.data):
        raise _Damaged(f"{len(part.data)} bytes for {' x '.join(map(str, shape))} numbers of {dtype.itemsize}")
    return _native(np.frombuffer(part.data, dtype).reshape(shape[::-1]).T)


def _text(part: _Element, shape: tuple[int, ...], order: str) -> str | None:
    """The text of a single line."""
    if part.type not in _TEXTS or shape[0] != 1:
        return None
    coding = _TEXTS[part.type]
    return bytes(part.data).decode(f"{coding}-{'le' if order == '<' else 'be'}" if coding == "utf-16" else coding,
                                   errors="replace")  # fmt: skip


def _field_names(length: _Element, names: _Element, order: str) -> list[str]:
    if len(length.data) != 4 or length.type != 5:
        raise _Damaged("a struct without the length of its fields' names")
    (each,) = struct.unpack_from(f"{order}i", length.data)
    text = bytes(names.data)
    if each < 1 or len(text) % each or len(text) // each > _MOST_FIELDS:
        raise _Damaged(f"names of fields of {each} bytes in {len(text)}")
    return [text[at : at + each].split(b"\0")[0].decode("latin-1") for at in range(0, len(text), each)]
