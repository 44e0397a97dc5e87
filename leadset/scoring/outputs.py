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
        found = f"{len(codes)} codes, {len(labels)} labels, {len(probabilities)} probabilities"
        raise ValueError(f"{path}: found {found}, expected as many of each")
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


def read_outputs(paths: Sequence[str | Path], space: LabelSpace) -> Answers:
    """Reads output files into the classes of ``space``, row after row in the order of ``paths``.

    A column belongs to every class it shares a code with; a class is decided if any of its columns is, its scalar is
    their mean, and both are 0 where it has none. A label is positive if it is a number equal to 1 or a word for true;
    a probability that is no finite number counts as 0. A file without three lines of equal length, such as
    an empty answer, or without any of the classes answers nothing.

    Raises:
        OSError: a file cannot be read.
    """
    decisions = np.zeros((len(paths), len(space)), dtype=bool)
    scalars = np.zeros((len(paths), len(space)))
    unanswered = []
    alike: dict[bytes, tuple[list[int], list[list[bool]], list[list[float]]]] = {}
    for row, path in enumerate(paths):
        lines = _read_lines(path)
        if len(lines) < 3:
            unanswered.append(row)
            continue
        labels, probabilities = lines[1].split(b","), lines[2].split(b",")
        if not lines[0].count(b",") + 1 == len(labels) == len(probabilities):
            unanswered.append(row)
            continue
        rows, label_rows, probability_rows = alike.setdefault(lines[0], ([], [], []))
        rows.append(row)
        label_rows.append([_decision(label) for label in labels])
        probability_rows.append(_numbers(probabilities))
    for class_line, (rows, label_rows, probability_rows) in alike.items():
        if not any(_classes(codes, space) for codes in _columns(class_line)):
            unanswered += rows
            continue
        answer = _gather(class_line, np.array(label_rows), np.array(probability_rows), space)
        decisions[rows], scalars[rows] = answer
    return Answers(decisions, scalars, tuple(str(paths[row]) for row in sorted(unanswered)))


def _read_lines(path: str | Path) -> list[bytes]:
    """Lines that are neither blank nor comments (the recording id is one)."""
    with open(path, "rb", buffering=0) as file:
        lines = file.readall().splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith(b"#")]


def _gather(
    class_line: bytes, labels: np.ndarray, probabilities: np.ndarray, space: LabelSpace
) -> tuple[np.ndarray, np.ndarray]:
    """Columns (n, columns) of files that share a class line to classes (n, k)."""
    probabilities[~np.isfinite(probabilities)] = 0.0
    decisions = np.zeros((len(labels), len(space)), dtype=bool)
    totals = np.zeros((len(labels), len(space)))
    n_columns = np.zeros(len(space), dtype=int)
    for column, codes in enumerate(_columns(class_line)):
        for k in _classes(codes, space):
            decisions[:, k] |= labels[:, column]
            totals[:, k] += probabilities[:, column]
            n_columns[k] += 1
    return decisions, totals / np.maximum(n_columns, 1)


def _columns(class_line: bytes) -> list[str]:
    return class_line.decode("ascii", "replace").split(",")


def _classes(codes: str, space: LabelSpace) -> set[int]:
    """The classes that share a code with a column."""
    return {space.index[code] for code in map(str.strip, codes.split("|")) if code in space.index}


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
