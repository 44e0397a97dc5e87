"""Output files of the Challenge: ``#recording id``, class codes, 0/1 labels, probabilities, one line each."""

from __future__ import annotations

import codecs
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leadset.classes import LabelSpace
from leadset.recordings.names import stem_of
from leadset.utils.files import write_atomically

_YES, _NO = frozenset({b"True", b"true", b"T", b"t"}), frozenset({b"False", b"false", b"F", b"f"})

#: What may be in a file that is scored as the Challenge does it, and was probably not meant.
UNEQUAL_LINES = "no three lines of as many entries, and count as none"
NO_DECISIONS = "decisions that are neither 0 nor 1, and count as 0"
NO_NUMBERS = "probabilities that are no finite numbers, and count as 0"
OTHER_RECORDING = "the name of another recording in the first line"
SEVERAL_COLUMNS = "several columns of one code, of which any decides, and the mean is taken of probabilities"


class Doubt(NamedTuple):
    """Something that was probably not meant: in how many files, the first of them, and what was found in it."""

    files: int
    first: str
    found: str


class Answers(NamedTuple):
    """Decisions (n, k) bool, scalars (n, k), and the files that gave none: their lines do not fit, or name no class."""

    decisions: np.ndarray
    scalars: np.ndarray
    unanswered: tuple[str, ...]


def write_output(
    path: str | Path, recording_id: str, codes: Sequence[str], labels: Sequence[int], probabilities: Sequence[float]
) -> None:
    """Writes one output file; an empty answer (three times nothing) is a file of empty lines.

    Args:
        path: the file, which appears complete or not at all.
        recording_id: for the first line; it is not used for scoring.
        codes: class codes, also several joined by ``|``.
        labels: 0/1 decisions, one for each code.
        probabilities: one for each code.

    Raises:
        ValueError: unequal lengths, or a recording id or code that would break the lines.
    """
    codes = [str(code) for code in codes]
    if not len(codes) == len(labels) == len(probabilities):
        lengths = f"{len(codes)} codes, {len(labels)} labels, {len(probabilities)} probabilities"
        raise ValueError(f"{path}: found {lengths}, expected as many of each")
    for text in (str(recording_id), *codes):
        if "\n" in text or "\r" in text or ("," in text and text in codes):
            raise ValueError(f"{path}: found {text!r}, expected a recording id or code without comma and line break")
    rows = (codes, [str(int(label)) for label in labels], [str(float(p)) for p in probabilities])
    with write_atomically(path) as file:
        file.write("\n".join([f"#{recording_id}", *map(",".join, rows), ""]))


def output_names(folder: str | Path, headers: Iterable[str | Path]) -> dict[str, str]:
    """Names, without ``.csv``, of the output files of headers below ``folder``, sorted; each with its header.

    The name is the header's stem, as the Challenge has it; where several folders hold that stem, each of these
    recordings has its folder in front, relative to ``folder``; where one folder holds it several times, as a table may
    name `1.edf` and `1.npy`, each has its ending behind.
    """
    stems: dict[str, list[str]] = {}
    for header in map(str, headers):
        stems.setdefault(stem_of(header), []).append(header)
    names: dict[str, list[str]] = {}
    for stem, paths in stems.items():
        for path in paths:
            inside = stem if len(paths) == 1 else os.path.join(os.path.relpath(os.path.dirname(path), folder), stem)
            names.setdefault(os.path.normpath(inside), []).append(path)
    distinct = {
        name if len(paths) == 1 else name + os.path.splitext(path)[1]: path
        for name, paths in names.items()
        for path in paths
    }
    return dict(sorted(distinct.items()))


class Tables:
    """The lines of output files, before anything is known of their classes; rows are those of ``paths``.

    Attributes:
        paths: the files.
        unreadable: rows without three lines of equal length, such as an empty answer.
        doubts: what was probably not meant, by kind.

    Raises:
        OSError: a file cannot be read.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths: Sequence[str | Path] = paths
        self.unreadable: list[int] = []
        self.doubts: dict[str, Doubt] = {}
        # By class line: rows, and their labels and probabilities by column.
        self._alike: dict[bytes, tuple[list[int], list[list[bool]], list[list[float]]]] = {}
        for row, path in enumerate(paths):
            lines, name = _read_lines(path)
            entries = [line.count(b",") + 1 for line in lines[:3]]
            if len(entries) < 3 or len(set(entries)) > 1:
                self.unreadable.append(row)
                self._doubt(UNEQUAL_LINES, row, f"{', '.join(map(str, entries)) or 'no'} entries")
                continue
            self._take(row, name, *lines[:3])

    def _take(self, row: int, name: str, class_line: bytes, label_line: bytes, probability_line: bytes) -> None:
        labels, probabilities = label_line.split(b","), probability_line.split(b",")
        decisions, numbers = [_decision(label) for label in labels], _numbers(probabilities)
        if None in decisions:
            self._doubt(NO_DECISIONS, row, labels[decisions.index(None)].decode("utf-8", "replace").strip())
        if not all(map(math.isfinite, numbers)):
            wrong = next(i for i, number in enumerate(numbers) if not math.isfinite(number))
            self._doubt(NO_NUMBERS, row, probabilities[wrong].decode("utf-8", "replace").strip())
        own = _stem(str(self.paths[row]))
        if name and own not in (_stem(name), os.path.splitext(_stem(name))[0]):  # files of other formats: `ecg/1.npy`
            self._doubt(OTHER_RECORDING, row, name)
        if repeated := _repeated(class_line):
            self._doubt(SEVERAL_COLUMNS, row, repeated)
        rows, label_rows, probability_rows = self._alike.setdefault(class_line, ([], [], []))
        rows.append(row)
        label_rows.append([bool(decision) for decision in decisions])
        probability_rows.append(numbers)

    def _doubt(self, kind: str, row: int, found: str) -> None:
        files, first, of_first = self.doubts.get(kind, (0, str(self.paths[row]), found))
        self.doubts[kind] = Doubt(files + 1, first, of_first)

    @property
    def columns(self) -> dict[tuple[str, ...], str | Path]:
        """Each distinct row of columns, codes joined by ``|``, with the first file that has it."""
        return {_columns(line): self.paths[rows[0]] for line, (rows, _, _) in self._alike.items()}

    def answers(self, space: LabelSpace) -> Answers:
        """The answers in the classes of ``space``; see `read_outputs`."""
        decisions = np.zeros((len(self.paths), len(space)), dtype=bool)
        scalars = np.zeros((len(self.paths), len(space)))
        unanswered = list(self.unreadable)
        for class_line, (rows, label_rows, probability_rows) in self._alike.items():
            columns = [classes_of(column, space) for column in _columns(class_line)]
            if not any(columns):
                unanswered += rows
                continue
            decisions[rows], scalars[rows] = _gather(columns, np.array(label_rows), np.array(probability_rows), space)
        return Answers(decisions, scalars, tuple(str(self.paths[row]) for row in sorted(unanswered)))


def read_outputs(paths: Sequence[str | Path], space: LabelSpace) -> Answers:
    """Reads output files into the classes of ``space``, row after row in the order of ``paths``.

    A column belongs to every class it shares a code with; a class is decided if any of its columns is, its scalar is
    their mean, and both are 0 where it has none. A label is positive if it is a number equal to 1 or a word for true;
    a probability that is no finite number counts as 0. A file without three lines of equal length, such as
    an empty answer, or without any of the classes answers nothing.

    Raises:
        OSError: a file cannot be read.
    """
    return Tables(paths).answers(space)


def _read_lines(path: str | Path) -> tuple[list[bytes], str]:
    """Lines that are neither blank nor comments, and the first comment, which is the name of the recording."""
    with open(path, "rb", buffering=0) as file:
        lines = [line.strip() for line in file.readall().removeprefix(codecs.BOM_UTF8).splitlines()]
    name = lines[0][1:].decode("utf-8", "replace").strip() if lines and lines[0].startswith(b"#") else ""
    return [line for line in lines if line and not line.startswith(b"#")], name


def _stem(name: str) -> str:
    """The name of a recording without folder and ending, in either of which programs differ."""
    return re.sub(r"\.(?:csv|hea|mat|dat)$", "", re.split(r"[/\\]", name)[-1])


def _gather(
    columns: Sequence[set[int]], labels: np.ndarray, probabilities: np.ndarray, space: LabelSpace
) -> tuple[np.ndarray, np.ndarray]:
    """Columns (n, columns), each with the classes it belongs to, to classes (n, k)."""
    probabilities[~np.isfinite(probabilities)] = 0.0
    decisions = np.zeros((len(labels), len(space)), dtype=bool)
    totals = np.zeros((len(labels), len(space)))
    n_columns = np.zeros(len(space), dtype=int)
    for column, classes in enumerate(columns):
        for k in classes:
            decisions[:, k] |= labels[:, column]
            totals[:, k] += probabilities[:, column]
            n_columns[k] += 1
    return decisions, totals / np.maximum(n_columns, 1)


def _columns(class_line: bytes) -> tuple[str, ...]:
    return tuple(map(str.strip, class_line.decode("utf-8", "replace").split(",")))


@lru_cache(maxsize=1024)
def _repeated(class_line: bytes) -> str:
    """The first code that several columns have; empty: there is none."""
    codes = [code for column in _columns(class_line) for code in codes_of(column)]
    return next((code for code, times in Counter(codes).items() if times > 1), "")


def codes_of(column: str) -> frozenset[str]:
    """The codes of a column."""
    return frozenset(map(str.strip, column.split("|")))


def classes_of(column: str, space: LabelSpace) -> set[int]:
    """The classes that share a code with a column."""
    return {space.index[code] for code in codes_of(column) if code in space.index}


@lru_cache(maxsize=1024)
def _decision(label: bytes) -> bool | None:
    """None: neither yes nor no, which counts as no."""
    label = label.strip()
    if label in _YES or label in _NO:
        return label in _YES
    return {1.0: True, 0.0: False}.get(_number(label))


def _numbers(texts: list[bytes]) -> list[float]:
    try:
        return list(map(float, texts))
    except ValueError:
        return list(map(_number, texts))


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
