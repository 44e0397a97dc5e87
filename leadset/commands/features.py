"""``leadset features DATA -o features.csv``: write named features of every recording, for any other program.

A run that was interrupted goes on when it is started again.

Examples:
    leadset features data -o features.csv --leads 12
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from leadset.commands._data import add_data, open_data
from leadset.config import load_lead_names
from leadset.leads import resolve_leads
from leadset.store.feature_table import FEATURE_SETS, csv_rows, feature_table
from leadset.utils.files import write_atomically

GROUP = "submit, share, serve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add_data(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="CSV file, one row a recording; unfinished work is kept beside it")
    described = "; ".join(f"{name}: {chosen.title}" for name, chosen in FEATURE_SETS.items())
    parser.add_argument("--sets", type=lambda words: words.split(","), default=list(FEATURE_SETS), metavar="NAMES",
                        help=f"which, with commas between (default: all). {described}")
    parser.add_argument("--leads", default="12", metavar="SET",
                        help="a lead set's size or lead names with commas (default: 12)")
    parser.add_argument("-j", "--jobs", type=int, default=-1, metavar="N", help="processes (default: one per core)")


def run(arguments: argparse.Namespace) -> int:
    """Writes the table; a bad recording is named and left out. Returns 1 if there was any, else 0."""
    if arguments.jobs == 0:
        arguments.call.usage_error("found --jobs 0, expected 1 or more, or -1 for one per core")
    parts = arguments.output.with_name(f".{arguments.output.name}.parts")
    names = load_lead_names(arguments.call.folder)
    leads = resolve_leads(int(arguments.leads) if arguments.leads.isdigit() else arguments.leads)
    table = feature_table(open_data(arguments), parts, arguments.sets, leads, arguments.jobs, names)
    for failure in table.failures:
        print(f"skipped {failure.message}", file=sys.stderr)
    with write_atomically(arguments.output) as file:
        csv.writer(file, lineterminator="\n").writerows(csv_rows(table))
    print(f"{len(table.records)} recordings, {len(table.names)} features each, in {arguments.output}; "
          f"{len(table.failures)} skipped")
    return 1 if table.failures else 0
