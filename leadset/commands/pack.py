"""``leadset pack MODEL -o FILE.zip``: make one file of a trained entry, to be given to others.

It holds what `entry.json` names and the card, with digests. It stands for a model folder in `leadset predict` and other
verbs that ask an entry, and `leadset unpack FILE.zip FOLDER` makes a folder of it.

Examples:
    leadset pack model -o entry.zip
"""

from __future__ import annotations

import argparse
from pathlib import Path

GROUP = "submit, share, serve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("entry", type=Path, metavar="MODEL", help="folder of a trained entry")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.zip",
                        help="file to write")


def run(arguments: argparse.Namespace) -> int:
    """Packs; returns 0."""
    from leadset.entry.package import ENDING, pack

    if arguments.output.suffix != ENDING:
        arguments.call.usage_error(f"found {arguments.output}, expected a name that ends in {ENDING}")
    names = pack(arguments.entry, arguments.output)
    print(f"{len(names)} files, {arguments.output.stat().st_size / 1e6:.1f} MB in {arguments.output}")
    return 0
