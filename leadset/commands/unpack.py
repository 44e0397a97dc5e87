"""``leadset unpack FILE.zip FOLDER``: make a model folder of a packed entry, after checking every file in it.

Examples:
    leadset unpack entry.zip model
"""

from __future__ import annotations

import argparse
from pathlib import Path

from leadset.utils.files import folder_to_write

GROUP = "submit, share, serve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("package", type=Path, metavar="FILE.zip", help="as `leadset pack` wrote it")
    parser.add_argument("folder", type=folder_to_write, metavar="FOLDER", help="made if missing; it must be empty")


def run(arguments: argparse.Namespace) -> int:
    """Unpacks; returns 0."""
    from leadset.entry import load_entry
    from leadset.entry.package import unpack

    if arguments.folder.exists() and any(arguments.folder.iterdir()):
        raise ValueError(f"{arguments.folder}: found files in it, expected an empty folder or none")
    names = unpack(arguments.package, arguments.folder)
    print(f"{len(names)} files in {arguments.folder}: {load_entry(arguments.folder, 'cpu')!r}")
    return 0
