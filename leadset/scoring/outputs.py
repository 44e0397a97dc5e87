"""Output files of the Challenge: ``#recording id``, class codes, 0/1 labels, probabilities, one line each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leadset.classes import LabelSpace
from leadset.utils.files import write_atomically

_YES = frozenset({b"True", b"true", b"T", b"t"})


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
    recordings has its folder in front, relative to ``folder``.
    """
    stems: dict[str, list[str]] = {}
    for header in map(str, headers):
        stems.setdefault(os.path.splitext(os.path.basename(header))[0], []).append(header)
    names = {
        stem if len(paths) == 1 else os.path.join(os.path.relpath(os.path.dirname(path), folder), stem): path
        for stem, paths in stems.items()
        for path in paths
    }
    return dict(sorted(names.items()))


class Tables:
    """The lines of output files, before anything is known of their classes; rows are those of ``paths``.

    Attributes:
        paths: the files.
        unreadable: rows without three lines of equal length, such as an empty answer.

    Raises:
        OSError: a file cannot be read.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths, self.unreadable = paths, []
        # By class line: rows, and their labels and probabilities by column.
        self._alike: dict[bytes, tuple[list[int], list[list[bool]], list[list[float]]]] = {}
        for row, path in enumerate(paths):
            lines = _read_lines(path)
            if len(lines) < 3:
                self.unreadable.append(row)
                continue
            labels, probabilities = lines[1].split(b","), lines[2].split(b",")
            if not lines[0].count(b",") + 1 == len(labels) == len(probabilities):
                self.unreadable.append(row)
                continue
            rows, label_rows, probability_rows = self._alike.setdefault(lines[0], ([], [], []))
            rows.append(row)
            label_rows.append([_decision(label) for label in labels])
            probability_rows.append(_numbers(probabilities))

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


def _read_lines(path: str | Path) -> list[bytes]:
    """Lines that are neither blank nor comments (the recording id is one)."""
    with open(path, "rb", buffering=0) as file:
        lines = file.readall().splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith(b"#")]


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


def codes_of(column: str) -> frozenset[str]:
    """The codes of a column."""
    return frozenset(map(str.strip, column.split("|")))


def classes_of(column: str, space: LabelSpace) -> set[int]:
    """The classes that share a code with a column."""
    return {space.index[code] for code in codes_of(column) if code in space.index}


@lru_cache(maxsize=1024)
def _decision(label: bytes) -> bool:
    return label.strip() in _YES or _number(label) == 1.0


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
