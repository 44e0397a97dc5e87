"""``leadset export [MODEL] --onnx FOLDER``: write an entry as ONNX files, which answer without PyTorch.

There is a file for each lead set. `leadset predict RECORD… --onnx FOLDER` answers with them.

Examples:
    leadset export --onnx onnx
    leadset export model --onnx onnx --leads 12,2
"""

from __future__ import annotations

import argparse
from pathlib import Path

from leadset.config import load_lead_names
from leadset.leads import resolve_leads

GROUP = "submit, share, serve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("entry", nargs="?", metavar="MODEL", help="folder of a trained entry (default: the one that "
                                                                  "ships)")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FOLDER", help="folder for the files")
    parser.add_argument("--leads", nargs="+", metavar="SETS",
                        help="lead sets: sizes with commas between (12,2) or the names of one (II,V5); several may"
                             " follow each other (default: all trained)")
    parser.add_argument("--int8", action="store_true", help="weights in 8 bits: smaller files, other probabilities")


def run(arguments: argparse.Namespace) -> int:
    """Exports; returns 0."""
    from leadset.commands.train import lead_sets_of
    from leadset.deploy.export import export_entry
    from leadset.entry import load_entry

    entry = load_entry(arguments.entry, "cpu", load_lead_names(arguments.call.folder))
    lead_sets = arguments.leads and [resolve_leads(one) for words in arguments.leads for one in lead_sets_of(words)]
    export_entry(entry, arguments.onnx, lead_sets, arguments.int8, _report)
    return 0


def _report(path: Path, about: object) -> None:
    print(f"{path}: {', '.join(about.networks)}; {path.stat().st_size / 1e6:.1f} MB")
    for name, reason in about.left_out.items():
        print(f"  left out: {name} ({reason})")
