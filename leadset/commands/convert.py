"""``leadset convert RECORD… OUT``: write recordings of any format that is read as WFDB files.

DICOM waveforms, HL7 aECG, GE MUSE and Philips XML, SCP-ECG, EDF, ISHNE, MFER and arrays (CSV, NPY, NPZ). What a table
or a data set says of age, sex and diagnoses goes into the headers.

Examples:
    leadset convert hospital wfdb
    leadset convert recordings.csv wfdb --data-option labels=rhythm
    leadset convert ecg.npy wfdb --fs 500 --leads I,II,V2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from leadset.commands._data import add_records, find_records
from leadset.config import load_lead_names
from leadset.recordings import Layout
from leadset.recordings.convert import convert_recording, copies_of
from leadset.recordings.dataset import DataSet
from leadset.recordings.names import stem_of
from leadset.recordings.reader import described_in
from leadset.signals import explain_flag
from leadset.utils.files import folder_to_write

GROUP = "prepare data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_records(parser)
    parser.add_argument(
        "output", type=folder_to_write, metavar="OUT",
        help="folder for the copies, laid out like folders and data sets given",
    )
    parser.add_argument("--fs", type=float, metavar="HZ", help="of arrays without a JSON file: sampling rate")
    parser.add_argument("--unit", default="mV", help="of these arrays: unit of their numbers (default: %(default)s)")
    parser.add_argument("--leads", metavar="I,II,…", help="of these arrays: leads in their order")


def run(arguments: argparse.Namespace) -> int:
    """Converts; returns 0, or 1 if a recording failed, which does not keep the others from being written."""
    if (arguments.fs is None) != (arguments.leads is None):
        arguments.call.usage_error("--fs and --leads describe arrays together: found one of them")
    names = load_lead_names(arguments.call.folder)
    layout = None
    if arguments.fs is not None:
        layout = Layout(arguments.fs, arguments.unit, tuple(arguments.leads.split(",")))
    records = find_records(arguments.records, arguments)
    folders: dict[Path, Path] = {}
    failures: list[Exception] = []
    for path in records.paths:
        data = records.sets.get(path)
        with _told(arguments, failures):
            source = path if data else described_in(path)
            folders[source] = _folder(arguments, source, data)
    total = len(folders) + len(failures)
    for source, target in copies_of(folders).items():
        with _told(arguments, failures):
            flags = convert_recording(source, target, names, layout, records.sets.get(source))
            if target.stem != stem_of(source):
                print(f"{source}: written as {target}", file=sys.stderr)
            for flag in flags:
                print(f"{source}: {explain_flag(flag)}", file=sys.stderr)
    print(f"{total - len(failures)} of {total} recordings written to {arguments.output}")
    return 1 if failures else 0


@contextmanager
def _told(arguments: argparse.Namespace, failures: list[Exception]) -> Iterator[None]:
    """Says what kept a recording from being written, and adds it to the failures."""
    try:
        yield
    except (OSError, ValueError) as error:
        print(f"{arguments.call.name}: {error}", file=sys.stderr)
        failures.append(error)


def _folder(arguments: argparse.Namespace, source: Path, data: DataSet | None) -> Path:
    """Where the copy of a recording goes.

    Raises:
        ValueError: to the folder of the recording itself, which it would replace.
    """
    folder = arguments.output / _place(source, data, arguments.records)
    if source.parent.resolve() == folder.resolve():
        raise ValueError(f"{source}: its own folder is where the copy would go, expected another one")
    return folder


def _place(source: Path, data: DataSet | None, named: Iterable[str]) -> Path:
    """Where a recording lies in the data set or folder that was named; nowhere below where it was named itself."""
    folders = [data.folder] if data else [Path(word) for word in named if Path(word).is_dir()]
    inside = next((folder for folder in folders if source.is_relative_to(folder)), source.parent)
    return source.parent.relative_to(inside)
