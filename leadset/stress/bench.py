"""The bench that a check works on: the entry, its data, and calls of its two programs."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from leadset.scoring import load, macro
from leadset.scoring.metrics import areas
from leadset.stress.process import Ended, last_line, run_program
from leadset.stress.recordings import copy_recording
from leadset.stress.registry import FailedCheck

#: What the organisers own of an entry.
DRIVERS = ("train_model.py", "test_model.py")
HELPER = "helper_code.py"
#: Such scripts, written after their description.
ORGANISERS = Path(__file__).parent / "drivers"
# Recordings that checks of altered headers and surroundings ask about.
_FEW = 6
# Answers are alike whose labels agree and whose probabilities differ by no more.
_CLOSE = 1e-5
SAME, ALIKE = "same bytes as base", "same answers as base, not the same bytes"
_YES_OR_NO = {"0", "1", "0.0", "1.0", "true", "false"}


@dataclass(frozen=True)
class Around:
    """What surrounds a call, where it is not as usual.

    Attributes:
        prefix: programs in front of the interpreter, as ``unshare -n``.
        environment: variables; None: without it.
        folder: current folder of the programs.
        entry: a copy of the entry that is called in the place of the original.
    """

    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    folder: Path | None = None
    entry: Path | None = None


USUAL = Around()


class Bench:
    """An entry under test.

    Args:
        entry: its folder, with ``train_model.py``, ``test_model.py`` and what these import.
        work: an empty folder for data, models and outputs.
        training, test: headers of the recordings.
        python: the interpreter that runs it.
        drivers: folder of the organisers' scripts; None: those that come with this package.
        environment: variables beside those of this process.
        limit: seconds that one program may take.
    """

    def __init__(
        self, entry: Path, work: Path, training: Sequence[Path], test: Sequence[Path], python: str,
        drivers: Path | None = None, environment: Mapping[str, str] | None = None, limit: float = math.inf,
    ) -> None:  # fmt: skip
        self.entry, self.work, self.python, self.limit = entry, work, python, limit
        self.drivers = drivers or ORGANISERS
        self.environment = {**os.environ, **(environment or {})}
        self.training, self.test = list(training), list(test)
        self.few = self.test[:_FEW]
        self.seconds, self.memory = 0.0, 0
        self._calls = 0

    def forget_usage(self) -> None:
        """Begins to count time and memory anew."""
        self.seconds, self.memory = 0.0, 0

    # --- data ------------------------------------------------------------------------------------------------------

    @cached_property
    def training_folder(self) -> Path:
        """The training recordings, unaltered."""
        return self.folder_of("training", self.training)

    @cached_property
    def test_folder(self) -> Path:
        """The test recordings, unaltered."""
        return self.folder_of("test", self.test)

    @cached_property
    def few_folder(self) -> Path:
        """Some of the test recordings, unaltered."""
        return self.folder_of("few", self.few)

    def folder_of(self, name: str, paths: Iterable[Path]) -> Path:
        """A folder of copies of recordings."""
        folder = self.work / name
        for path in paths:
            copy_recording(path, folder)
        return folder

    def copy_entry(self, folder: Path) -> Path:
        """A copy of the entry, without hidden files, caches, environments of Python and what this test writes."""
        work = self.work.resolve()

        def left_out(parent: str, names: list[str]) -> set[str]:
            paths = {name: Path(parent, name) for name in names}
            return {
                name for name, path in paths.items()
                if name.startswith(".") or name == "__pycache__" or (path / "pyvenv.cfg").is_file()
                or work.is_relative_to(path.resolve())
            }  # fmt: skip

        shutil.copytree(self.entry, folder, symlinks=True, ignore=left_out)
        return folder

    # --- calls -----------------------------------------------------------------------------------------------------

    @cached_property
    def base_model(self) -> Path:
        """The model that learned from the unaltered training recordings."""
        return self.train(self.training_folder, "base")

    @cached_property
    def base_outputs(self) -> Path:
        """What it answers about the unaltered test recordings."""
        return self.answer(self.base_model, self.test_folder, "base")

    def train(self, data: Path, name: str, around: Around = USUAL) -> Path:
        """Calls ``train_model.py``; returns the model folder.

        Raises:
            FailedCheck: it failed.
        """
        model = self.work / "models" / name
        model.mkdir(parents=True)
        self._call("train_model.py", (data, model), around)
        return model

    def answer(self, model: Path, data: Path, name: str, around: Around = USUAL) -> Path:
        """Calls ``test_model.py``; returns the folder of outputs, one complete answer for each recording.

        Raises:
            FailedCheck: it failed, or an answer is missing or senseless.
        """
        outputs = self.work / "outputs" / name
        outputs.mkdir(parents=True)
        self._call("test_model.py", (model, data, outputs), around)
        check_answers(outputs, sorted(data.glob("*.hea")))
        return outputs

    def train_and_answer(self, name: str, around: Around) -> str:
        """Trains and answers in other surroundings; returns whether the answers are those of usual surroundings."""
        model = self.train(self.training_folder, name, around)
        outputs = self.answer(model, self.few_folder, name, around)
        return self.compared(outputs, self.few)

    def compared(self, outputs: Path, paths: Iterable[Path]) -> str:
        """In words, whether answers are those of the base model: to the byte, or to `_CLOSE`."""
        names = [f"{path.stem}.csv" for path in paths]
        pairs = [(outputs / name, self.base_outputs / name) for name in names]
        if all(one.read_bytes() == other.read_bytes() for one, other in pairs):
            return SAME
        other = sum(not _alike(*map(_rows, pair)) for pair in pairs)
        return f"{other} of {len(names)} answers differ from those of base" if other else ALIKE

    def _call(self, script: str, arguments: Sequence[Path], around: Around) -> None:
        entry = around.entry or self.entry
        folder = around.folder or entry
        environment = {**self.environment, **around.environment}
        environment = {name: value for name, value in environment.items() if value is not None}
        program = str(entry / script) if around.folder else script
        places = [os.path.relpath(path, folder) if around.folder else str(path) for path in arguments]
        command = [*around.prefix, self.python, program, *places]
        self._calls += 1
        log = self.work / f"{self._calls:03d}-{script.removesuffix('.py')}.log"
        ended = run_program(command, folder, environment, self.limit, log)
        self._count(ended)
        if ended.status:
            over = f" after {ended.seconds:.0f} s" if ended.seconds >= self.limit else ""
            raise FailedCheck(f"{script} ended with status {ended.status}{over}: {last_line(log)}")

    def _count(self, ended: Ended) -> None:
        self.seconds += ended.seconds
        self.memory = max(self.memory, ended.memory)

    # --- scores ----------------------------------------------------------------------------------------------------

    def ranking(self, outputs: Path) -> tuple[np.ndarray, np.ndarray]:
        """Labels (n, k) of the test recordings and the scalars (n, k) that the outputs give.

        Raises:
            FailedCheck: the outputs name none of the Challenge's classes.
        """
        try:
            answered = load(self.test_folder, outputs, None)
        except ValueError as error:
            raise FailedCheck(str(error)) from error
        return answered.labels, answered.scalars


def mean_auroc(labels: np.ndarray, scalars: np.ndarray) -> float:
    """Mean AUROC over the classes that have both kinds of recordings."""
    return macro(areas(labels, scalars)[0])


def check_answers(outputs: Path, headers: Sequence[Path]) -> None:
    """Checks that there is one complete answer for each recording.

    Raises:
        FailedCheck: one is missing, empty, or has labels that are not 0 or 1 or probabilities outside 0 to 1.
    """
    wrong = [(header.stem, what) for header in headers if (what := _wrong_with(outputs / f"{header.stem}.csv"))]
    if wrong:
        name, what = wrong[0]
        raise FailedCheck(f"{len(wrong)} of {len(headers)} answers are not as they must be; {name}: {what}")


def _wrong_with(path: Path) -> str:
    """What is wrong with an output file; empty: nothing."""
    if not path.is_file():
        return "no output file"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if len(lines) < 4 or not all(line.strip() for line in lines[:4]):
        return "an empty answer"
    classes, labels, probabilities = _rows(path)
    if not len(classes) == len(labels) == len(probabilities):
        return f"{len(classes)} classes, {len(labels)} labels, {len(probabilities)} probabilities"
    if not {label.casefold() for label in labels} <= _YES_OR_NO:
        return f"labels {', '.join(sorted(set(labels))[:3])}"
    try:
        values = np.array(probabilities, dtype=float)
    except ValueError as error:
        return str(error)
    if not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
        return f"probabilities from {values.min()} to {values.max()}"
    return ""


def _rows(path: Path) -> list[list[str]]:
    """Classes, labels and probabilities of an output file."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[1:4]
    return [[entry.strip() for entry in line.split(",")] for line in lines]


def _alike(one: list[list[str]], other: list[list[str]]) -> bool:
    """Whether two complete answers are alike."""
    difference = np.abs(np.array(one[2], dtype=float) - np.array(other[2], dtype=float)) if one[0] == other[0] else 1.0
    return one[:2] == other[:2] and bool(np.max(difference) <= _CLOSE)
