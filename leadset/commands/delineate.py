"""``leadset delineate RECORD… [--plot] [-o marks.csv]``: mark the P, QRS and T waves of recordings.

Examples:
    leadset delineate data/A0001.hea --plot
    leadset delineate data -o marks.csv --measurements intervals.csv
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from leadset.commands._data import add_records, find_records
from leadset.config import load_lead_names
from leadset.plots import draw_measured_sheet, save_sheet
from leadset.recordings import ReadError, Recording
from leadset.recordings.names import distinct_names
from leadset.signals import explain_flag
from leadset.utils.files import write_atomically
from leadset.waves import measure
from leadset.waves.delineator import METHODS, Delineation, delineate
from leadset.waves.export import ANNOTATOR, CSV_COLUMNS, csv_rows, write_annotations

GROUP = "look at recordings and answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_records(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        help=f"CSV file to write, and beside it a WFDB annotation file NAME.{ANNOTATOR} of each "
                             "recording (default: marks to standard output, no annotations)")
    parser.add_argument("--measurements", type=Path, metavar="FILE",
                        help="CSV file to write, a row for each recording: rate (1/min), intervals and QTc (ms), axes "
                             "(degrees), variability (ms), and why some are missing")
    parser.add_argument("--plot", action="store_true",
                        help="draw each recording as NAME_marks.png, beside the output or else in the current folder")
    parser.add_argument("--method", choices=METHODS, default=next(iter(METHODS)), help="default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """Delineates the recordings; a bad one is reported and skipped, and so is a file beside the marks that cannot be
    made. Returns 1 if there was any of these, else 0."""
    records = find_records(arguments.records, arguments)
    paths = records.paths
    names, lead_names = distinct_names(paths), load_lead_names(arguments.call.folder)
    folder = arguments.output.parent if arguments.output else Path()
    skipped = incomplete = 0
    measured: list[dict[str, str]] = []
    with write_atomically(arguments.output) if arguments.output else nullcontext(sys.stdout) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(CSV_COLUMNS)
        for path, name in zip(paths, names, strict=True):
            try:
                recording = records.read(path, lead_names)
                for flag in recording.flags:
                    print(f"{path}: {explain_flag(flag)}", file=sys.stderr)
                delineation = delineate(recording.signal, recording.fs, arguments.method)
            except (ReadError, OSError, ValueError) as error:
                skipped += 1
                print(f"skipped {path}: {error}", file=sys.stderr)
                continue
            table.writerows(csv_rows(name, recording.leads, delineation))
            incomplete += _write_beside(path, name, folder, recording, delineation, arguments)
            if arguments.measurements:
                measured.append({"recording": name, **_measured(recording, delineation)})
    if arguments.measurements:
        with write_atomically(arguments.measurements) as file:
            table = csv.DictWriter(file, list(next(iter(measured), {"recording": ""})), lineterminator="\n")
            table.writeheader()
            table.writerows(measured)
    print(f"{len(paths) - skipped} recordings delineated, {skipped} skipped", file=sys.stderr)
    if incomplete:
        print(f"{incomplete} recordings without annotations or picture: see above", file=sys.stderr)
    return 1 if skipped or incomplete else 0


def _write_beside(path: Path, name: str, folder: Path, recording: Recording, delineation: Delineation,
                  arguments: argparse.Namespace) -> bool:
    """Writes annotations and picture as asked for; whether one of them failed, which is reported."""
    failed = False
    if arguments.output and len(delineation.fused):
        failed |= _reported(path, "annotations", write_annotations, delineation, name, folder)
    if arguments.plot:
        failed |= _reported(path, "picture", _draw, recording, delineation, folder / f"{name}_marks.png")
    return failed


def _measured(recording: Recording, delineation: Delineation) -> dict[str, str]:
    """The measurements of a recording by name, and what is missing."""
    found = measure(recording.signal, recording.fs, recording.leads, delineation=delineation, age=recording.age,
                    sex=recording.sex)  # fmt: skip
    return {**found.texts(), "missing": found.missing()}


def _draw(recording: Recording, delineation: Delineation, target: Path) -> None:
    save_sheet(draw_measured_sheet(recording, marks=delineation), target)


def _reported(path: Path, what: str, make: Callable[..., object], *arguments: object) -> bool:
    """Whether ``make(*arguments)`` failed; whatever the reason, the marks stay."""
    try:
        make(*arguments)
    except Exception as error:
        print(f"no {what} of {path}: {type(error).__name__}: {error}", file=sys.stderr)
        return True
    return False
