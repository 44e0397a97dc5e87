"""From folders or arrays to scores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from leadset import classes
from leadset.classes import CHALLENGE, LabelSpace
from leadset.recordings import find_recordings
from leadset.recordings.dataset import DataSet
from leadset.scoring import metrics
from leadset.scoring.labels import read_labels
from leadset.scoring.outputs import Doubt, Tables, classes_of, output_names
from leadset.scoring.spaces import space_of


@dataclass(frozen=True)
class Scores:
    """The five scores of the Challenge, and three of them by class (k,), NaN where a class has none.

    Attributes:
        unanswered: output files that were empty or unreadable and count as 0 for every class.
        unnamed: class keys that no output file names, which count as 0 for every recording.
        left_out: headers that are no files, such as links that lead nowhere: their recordings are not scored.
        doubts: what output files hold that was probably not meant, by kind; it is scored as the Challenge does it.
    """

    space: LabelSpace
    n_recordings: int
    auroc: float
    auprc: float
    accuracy: float
    f_measure: float
    challenge_metric: float
    class_auroc: np.ndarray
    class_auprc: np.ndarray
    class_f_measure: np.ndarray
    unanswered: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    doubts: Mapping[str, Doubt] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """A data set with its answers: record names, labels and decisions (n, k) bool, scalars (n, k); see `Scores`."""

    space: LabelSpace
    names: tuple[str, ...]
    labels: np.ndarray
    decisions: np.ndarray
    scalars: np.ndarray
    unanswered: tuple[str, ...]
    unnamed: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    doubts: Mapping[str, Doubt] = field(default_factory=dict)


def evaluate(
    label_dir: str | Path | DataSet, output_dir: str | Path, label_space: LabelSpace | str | None = CHALLENGE
) -> Scores:
    """Scores a folder of output files against a folder of headers, exactly as the Challenge does.

    Args:
        label_dir: headers in either dialect, also in folders inside it; or a data set, whose labels then count.
        output_dir: one ``<header file stem>.csv`` for each header (`leadset.scoring.outputs.output_names` where several
            folders hold a stem); further files are ignored.
        label_space: a label space, its name, or the path of its file. None: that of the data set, or one that ships,
            whose classes the output files name; else that of the data set, or the Challenge's.

    Raises:
        OSError: a folder or a file cannot be read, or an output file is missing, which the message names.
        ValueError: no header, no output file, no label at all; output files whose classes are not those of the label
            space, of which the message names both.

    Example:
        >>> scores = leadset.scoring.evaluate("heldout", "outputs")
        >>> scores.auroc, scores.challenge_metric
    """
    answered = load(label_dir, output_dir, label_space)
    scores = score(answered.labels, answered.decisions, answered.scalars, answered.space)
    return replace(scores, unanswered=answered.unanswered, unnamed=answered.unnamed, left_out=answered.left_out,
                   doubts=answered.doubts)  # fmt: skip


def score(labels: np.ndarray, decisions: np.ndarray, scalars: np.ndarray, space: LabelSpace) -> Scores:
    """Scores arrays (n, k); a scalar that is not finite counts as 0, as it would in an output file.

    Raises:
        ValueError: the arrays are not (n, k) with the classes of ``space``.
    """
    labels = metrics.as_matrix(labels, len(space)).astype(bool)
    class_auroc, class_auprc = metrics.areas(labels, scalars)
    class_f_measure = metrics.f_measure(labels, decisions)
    return Scores(
        space=space,
        n_recordings=len(labels),
        auroc=metrics.macro(class_auroc),
        auprc=metrics.macro(class_auprc),
        accuracy=metrics.accuracy(labels, decisions),
        f_measure=metrics.macro(class_f_measure),
        challenge_metric=metrics.challenge_metric(labels, decisions, space),
        class_auroc=class_auroc,
        class_auprc=class_auprc,
        class_f_measure=class_f_measure,
    )


def load(
    label_dir: str | Path | DataSet, output_dir: str | Path, label_space: LabelSpace | str | None = CHALLENGE
) -> Answered:
    """Reads headers and their output files, sorted by record name; arguments and errors as in `evaluate`."""
    space = classes.label_space(label_space) if isinstance(label_space, str) else label_space
    data = label_dir if isinstance(label_dir, DataSet) else None
    folder = data.folder if data else label_dir
    headers = output_names(folder, data.paths if data else find_recordings(folder))
    left_out = tuple(path for path in headers.values() if not os.path.isfile(path))
    headers = {name: path for name, path in headers.items() if path not in left_out}
    if not headers:
        raise ValueError(f"{left_out[0]}: found no file behind any of {len(left_out)} headers, expected labels")
    paths = [os.path.join(output_dir, f"{name}.csv") for name in headers]
    _check_outputs(output_dir, headers, paths)
    tables = Tables(paths)
    space = space_of(tables, space, data.label_space if data else None)
    labels = _labels_of(data, headers.values(), space) if data else read_labels(headers.values(), space)
    named = {k for columns in tables.columns for column in columns for k in classes_of(column, space)}
    unnamed = tuple(key for k, key in enumerate(space.keys) if k not in named)
    return Answered(space, tuple(headers), labels, *tables.answers(space), unnamed, left_out, tables.doubts)


def _check_outputs(output_dir: str | Path, headers: Mapping[str, str], paths: Sequence[str]) -> None:
    """Raises where there is no output file, or not one for each header."""
    there = [os.path.isfile(path) for path in paths]
    if not any(there):
        raise ValueError(f"{output_dir}: found no output file, expected {next(iter(headers))}.csv and the like")
    if not all(there):
        first, n_missing = there.index(False), there.count(False)
        more = f" (and for {n_missing - 1} more headers)" if n_missing > 1 else ""
        header = list(headers.values())[first]
        raise FileNotFoundError(f"{header}: found no output file, expected {paths[first]}{more}")


def _labels_of(data: DataSet, paths: Iterable[str], space: LabelSpace) -> np.ndarray:
    """Labels (n, k) bool by the data set.

    Raises:
        ValueError: its classes are others than those of the outputs.
    """
    if data.label_space is not None and data.label_space.keys != space.keys:
        raise ValueError(f"{data}: labels are classes of {data.label_space.name}, found outputs of {space.name}")
    return np.array([space.encode(data.codes(Path(path))) for path in paths])
