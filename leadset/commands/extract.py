"""``leadset extract -i INPUT -o OUTPUT -l LEADS``: copy recordings with some of their leads.

The copies lie in folders laid out like those of the input.

Examples:
    leadset extract -i data -o data_two -l I,II
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from leadset.config import load_lead_names
from leadset.leads import canonical_lead
from leadset.recordings import find_recordings
from leadset.recordings.extract import extract_leads
from leadset.signals import explain_flag
from leadset.utils.files import folder_to_write

GROUP = "prepare data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb, by the names that the organisers' script gives them."""
    parser.add_argument("-i", "--input_directory", type=Path, required=True, help="folder of recordings")
    parser.add_argument("-o", "--output_directory", type=folder_to_write, required=True, help="folder for the copies")
    parser.add_argument("-l", "--leads", nargs="+", required=True,
                        help="lead names, in the order wanted, with commas or blanks between")
    parser.add_argument("-k", "--key", default="val", help="name of the matrix in the .mat files (default: val)")


def run(arguments: argparse.Namespace) -> int:
    """Extracts a folder; returns 0, or 1 if a recording failed, which does not keep the others from being written."""
    names = load_lead_names(arguments.call.folder)
    words = [word.strip() for words in arguments.leads for word in words.split(",")]
    leads = [canonical_lead(word, names) for word in words if word]
    if not leads:
        arguments.call.usage_error("found no lead, expected names such as I,II")
    if len(set(leads)) < len(leads):
        arguments.call.usage_error(f"a lead is named twice: {' '.join(leads)}")
    source, target = arguments.input_directory, arguments.output_directory
    if target.resolve() == source.resolve():
        arguments.call.usage_error(f"{target} is the folder of the input, which is never changed")
    header_files = find_recordings(source)
    failed = 0
    for header_file in header_files:
        try:
            target_file = target / header_file.relative_to(source)
            flags = extract_leads(header_file, target_file, leads, arguments.key, names)
        except (OSError, ValueError) as error:
            failed += 1
            print(f"{arguments.call.name}: {error}", file=sys.stderr)
        else:
            for flag in flags:
                print(f"{header_file}: {explain_flag(flag)}", file=sys.stderr)
    print(f"{len(header_files) - failed} of {len(header_files)} recordings written to {target}")
    return 1 if failed else 0
