"""What verbs that take recordings or a data set have in common: their arguments, and opening them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from leadset.recordings import ReadError, Recording, find_recordings, read_recording
from leadset.recordings.dataset import PATIENT_OF_TEST_FOLD, TEST_FOLD, DataSet
from leadset.recordings.importers import is_data_set, may_be_table, open_dataset


class Records(NamedTuple):
    """Recordings that are named one by one, by folder, or by data set.

    Attributes:
        paths: of their headers, or files of other formats, in the order named.
        sets: the data set of those that one names.
    """

    paths: list[Path]
    sets: Mapping[Path, DataSet]

    def read(self, path: Path, lead_names: Mapping[str, str] | None = None) -> Recording:
        """Reads one of them, with what its data set says of it.

        Raises:
            ReadError: its files are missing or damaged.
        """
        data = self.sets.get(path)
        return read_recording(path, lead_names) if data is None else data.recording(path, lead_names)

    def inputs(self, lead_names: Mapping[str, str] | None = None) -> Iterator[Recording | Path]:
        """What an entry takes: recordings, and the paths of those that cannot be read, of which it says why."""
        for path in self.paths:
            try:
                yield self.read(path, lead_names)
            except (ReadError, OSError):
                yield path


def add_records(parser: argparse.ArgumentParser, nargs: str = "+") -> None:
    """The recordings, and which of a data set to take."""
    parser.add_argument(
        "records", nargs=nargs, metavar="RECORD",
        help="a header, a signal file, their common stem, or a file of another format; a folder of them; or a data set"
        " (recordings.csv, ptbxl:FOLDER)",
    )  # fmt: skip
    add_task(parser)
    add_chosen_folds(parser)


def find_records(named: Iterable[str], arguments: argparse.Namespace) -> Records:
    """The recordings that the arguments of `add_records` name.

    Args:
        named: words that name them.
        arguments: with task, options and folds of the data sets among them.

    Raises:
        OSError, ValueError: as `find_recordings` and `open_dataset`; or these are of a data set, and none is named.
    """
    paths: list[Path] = []
    sets: dict[Path, DataSet] = {}
    for word in named:
        if is_data_set(word) or (arguments.data_option and may_be_table(word)):
            data = open_dataset(word, arguments.task, **dict(arguments.data_option))
            print(data.summary(), file=sys.stderr)
            data = data.part(arguments.fold)
            sets.update(dict.fromkeys(data.paths, data))
            paths += data.paths
        else:
            paths += find_recordings(word) if Path(word).is_dir() else [Path(word)]
    if not sets and (given := options_of_data_sets(arguments)):
        raise ValueError(f"found {given[0]} without a data set, expected one, such as recordings.csv or ptbxl:FOLDER")
    return Records(paths, sets)


def options_of_data_sets(arguments: argparse.Namespace) -> list[str]:
    """Those options of `add_task` and `add_chosen_folds` that were given."""
    return [f"--{name.replace('_', '-')}" for name in ("task", "data_option", "fold") if getattr(arguments, name)]


def add_data(parser: argparse.ArgumentParser) -> None:
    """The data set, its task and options of its importer."""
    parser.add_argument(
        "data", metavar="DATA",
        help="folder of recordings with labels (.hea with their signals), nested or not; IMPORTER:FOLDER for a data set"
        " as published, such as ptbxl:FOLDER; or a table of recordings (CSV or Parquet)",
    )  # fmt: skip
    add_task(parser)


def add_task(parser: argparse.ArgumentParser) -> None:
    """Task and options of a data set that another argument names."""
    group = parser.add_argument_group("of a data set as published, or of a table")
    group.add_argument("--task", metavar="NAME", help="which labels of a data set: ptbxl has super, rhythm and others")
    group.add_argument(
        "--data-option", action="append", default=[], type=_option, metavar="KEY=VALUE",
        help="option of the importer, such as rate=100 (ptbxl) or labels=COLUMN (table); may be repeated",
    )  # fmt: skip


def _option(words: str) -> tuple[str, str]:
    key, sign, value = words.partition("=")
    if not (key.strip() and sign):
        raise argparse.ArgumentTypeError(f"found {words!r}, expected KEY=VALUE")
    return key.strip(), value.strip()


def add_chosen_folds(parser: argparse.ArgumentParser) -> None:
    """Which folds of the data set to take."""
    parser.add_argument_group("folds of the data set").add_argument(
        "--fold", action="append", default=[], metavar="FOLD",
        help="only recordings of this fold of the data set; may be repeated",
    )  # fmt: skip


def open_named(arguments: argparse.Namespace, data: str) -> DataSet | None:
    """The folds that were asked for of a data set; None where a plain folder of recordings is named.

    Raises:
        OSError, ValueError: as `open_dataset`; the data set has no such fold.
    """
    if not (arguments.task or arguments.data_option or arguments.fold) and Path(data).is_dir():
        return None
    opened = open_dataset(data, arguments.task, **dict(arguments.data_option))
    if opened.name:
        print(opened.summary(), file=sys.stderr)
    return opened.part(arguments.fold)


def open_chosen(arguments: argparse.Namespace) -> DataSet:
    """The recordings of the folder, or those of the data set that were asked for.

    Raises:
        OSError, ValueError: as `open_named`.
    """
    return open_named(arguments, arguments.data) or open_dataset(arguments.data)


def open_data(arguments: argparse.Namespace) -> DataSet:
    """The data set that the arguments of `add_data` name; what there is and what is left out is printed.

    Raises:
        OSError, ValueError: as `open_dataset`.
    """
    data = open_dataset(arguments.data, arguments.task, **dict(arguments.data_option))
    if data.name:
        print(data.summary())
    return data


def add_folds(parser: argparse.ArgumentParser) -> None:
    """Which of the data set's folds are validated on and which are kept for testing."""
    group = parser.add_argument_group("folds of the data set")
    group.add_argument(
        "--valid-fold", action="append", default=[], metavar="FOLD",
        help="validate on this fold of the data set instead of a part that is drawn; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--test-fold", action="append", default=[], metavar="FOLD",
        help="keep this fold of the data set for testing: nothing is learnt from it; may be repeated",
    )  # fmt: skip


def chosen_folds(data: DataSet, arguments: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """Paths of the recordings that are held out, with why, and of those that are validated on, as `add_folds` has it.

    Other recordings of patients of the test folds are held out too.

    Raises:
        ValueError: the data set has no such fold, or one is named for both.
    """
    for fold in set(arguments.valid_fold) & set(arguments.test_fold):
        raise ValueError(f"{data}: found fold {fold!r} for both validation and test, expected one of them")
    test = data.in_folds(arguments.test_fold)
    related = data.of_patients_of(test)
    if related:
        print(f"  {len(related)} other recordings of patients of the test folds are left out of the training")
    gone = {**dict.fromkeys(test, TEST_FOLD), **dict.fromkeys(related, PATIENT_OF_TEST_FOLD)}
    return gone, [path for path in data.in_folds(arguments.valid_fold) if path not in gone]
