"""``leadset sheet RECORD… -o FOLDER``: draw recordings on ECG paper, with marks, measurements and diagnoses.

One file per recording, at its true size: a millimetre on the sheet is a millimetre in print.

Examples:
    leadset sheet data/A0001.hea --diagnoses
    leadset sheet data -o sheets --format pdf --marks
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from leadset.commands._data import add_records, find_records
from leadset.config import load_lead_names
from leadset.plots import LAYOUTS, SheetOptions, draw_measured_sheet, findings_of, save_sheet
from leadset.plots.paper import require_matplotlib
from leadset.plots.sheet import FORMATS, GAINS, SPEEDS
from leadset.recordings import ReadError
from leadset.recordings.names import distinct_names
from leadset.signals import explain_flag
from leadset.utils.files import folder_to_write

GROUP = "look at recordings and answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_records(parser)
    parser.add_argument("-o", "--output", type=folder_to_write, default=Path(), metavar="FOLDER", help="default: here")
    parser.add_argument("--layout", choices=LAYOUTS, default=next(iter(LAYOUTS)),
                        help="columns of leads, or one lead line by line (default: %(default)s)")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    parser.add_argument("--speed", type=int, choices=SPEEDS, default=SPEEDS[0], help="mm/s (default: %(default)s)")
    parser.add_argument("--gain", type=int, choices=GAINS, default=GAINS[0], help="mm/mV (default: %(default)s)")
    parser.add_argument("--lead", help="of the rhythm strip, or the strip (default: II, else the first of I, V1, V5)")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="first second shown (default: 0)")
    parser.add_argument("--seconds", type=float, metavar="S", help="shown (default: 10, of a strip 60)")
    parser.add_argument("--marks", action="store_true", help="colour P, QRS and T waves")
    parser.add_argument("--diagnoses", action="store_true", help="list what the entry predicts")
    parser.add_argument("--entry", metavar="MODEL", help="folder of the entry that --diagnoses asks (default: the one "
                                                         "that ships)")


def run(arguments: argparse.Namespace) -> int:
    """Draws the recordings; returns 1 if one could not be drawn, which is reported, else 0."""
    if arguments.entry and not arguments.diagnoses:
        arguments.call.usage_error("--entry is asked for --diagnoses, which was not given")
    require_matplotlib()
    lead_names = load_lead_names(arguments.call.folder)
    chosen = {name: getattr(arguments, name) for name in ("layout", "speed", "gain", "lead", "start", "seconds")}
    options = SheetOptions(**chosen)
    entry = None
    if arguments.diagnoses:
        from leadset.entry import load_entry

        entry = load_entry(arguments.entry, lead_names=lead_names)
    records = find_records(arguments.records, arguments)
    paths = records.paths
    failed = 0
    for path, name in tqdm(list(zip(paths, distinct_names(paths), strict=True)), unit="sheet", leave=False):
        try:
            recording = records.read(path, lead_names)
            for flag in recording.flags:
                tqdm.write(f"{path}: {explain_flag(flag)}", file=sys.stderr)
            answer = None if entry is None else findings_of(entry.predict(recording), entry.space)
            figure = draw_measured_sheet(recording, options, show_marks=arguments.marks, answer=answer)
        except (ReadError, OSError, ValueError) as error:
            failed += 1
            tqdm.write(f"skipped {path}: {error}", file=sys.stderr)
            continue
        save_sheet(figure, arguments.output / f"{name}.{arguments.format}")
    print(f"{len(paths) - failed} of {len(paths)} recordings drawn in {arguments.output.resolve()}")
    return 1 if failed else 0
