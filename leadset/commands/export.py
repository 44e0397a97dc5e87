"""``leadset export [MODEL] --onnx FOLDER``: write an entry as ONNX files, which answer without PyTorch.

There is a file for each lead set. `leadset predict RECORD… --onnx FOLDER` answers with them. With ``--int8``
convolutions are computed in 8 bits: files are half as large, answers faster, and what that changes is printed.

Examples:
    leadset export --onnx onnx
    leadset export model --onnx onnx --leads 12,2
    leadset export model --onnx onnx8 --int8 --calibrate data
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from leadset.config import load_lead_names
from leadset.leads import LEADS, resolve_leads
from leadset.utils.files import folder_to_write

if TYPE_CHECKING:
    from leadset.deploy.about import About
    from leadset.recordings import Recording

GROUP = "submit, share, serve"
# Recordings that 8 bits are scaled by, at most.
_RECORDINGS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument(
        "entry", nargs="?", metavar="MODEL", help="folder of a trained entry (default: the one that ships)"
    )
    parser.add_argument("--onnx", type=folder_to_write, required=True, metavar="FOLDER", help="folder for the files")
    parser.add_argument(
        "--leads", nargs="+", metavar="SETS", help="lead sets: sizes with commas between (12,2) or the names of one"
        " (II,V5); several may follow each other (default: all trained)",
    )  # fmt: skip
    parser.add_argument(
        "--int8", action="store_true", help="compute convolutions in 8 bits: faster, smaller files, other probabilities"
    )
    parser.add_argument(
        "--calibrate", type=Path, metavar="DATA", help="recordings by which --int8 scales (default: simulated ones)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Exports; returns 0."""
    from leadset.commands.train import lead_sets_of
    from leadset.deploy.export import export_entry
    from leadset.entry import load_entry

    if arguments.calibrate and not arguments.int8:
        arguments.call.usage_error("found --calibrate without --int8, which it is for")
    entry = load_entry(arguments.entry, "cpu", load_lead_names(arguments.call.folder))
    lead_sets = arguments.leads and [resolve_leads(one) for words in arguments.leads for one in lead_sets_of(words)]
    scaled_by = scaling_recordings(arguments.calibrate, entry.lead_names) if arguments.int8 else ()
    export_entry(entry, arguments.onnx, lead_sets, scaled_by, _report)
    return 0


def scaling_recordings(data: Path | None, lead_names: Mapping[str, str]) -> list[Recording]:
    """Recordings by which 8 bits are scaled: of a folder, evenly spread, or simulated ones.

    What cannot be read is left out and named on standard error.

    Raises:
        OSError, ValueError: no recording in the folder can be read.
    """
    from leadset.recordings import Recording, find_recordings, read_recording
    from leadset.simulate import simulate

    if data is not None:
        found, kept = find_recordings(data), []
        for path in found[:: -(-len(found) // _RECORDINGS)]:
            try:
                kept.append(read_recording(path, lead_names))
            except (OSError, ValueError) as error:
                print(f"left out: {error}", file=sys.stderr)
        if not kept:
            raise ValueError(f"{data}: found no recording that can be read, expected some by which 8 bits are scaled")
        return kept
    made = simulate(_RECORDINGS, marks=False)
    parts = zip(made.signals, made.ages, made.sexes, made.codes, strict=True)
    return [
        Recording(signal, made.fs, LEADS, f"simulated{i}", float(age), sex.lower(), codes)
        for i, (signal, age, sex, codes) in enumerate(parts)
    ]


def _report(path: Path, about: About) -> None:
    print(f"{path}: {', '.join(about.networks)}; {path.stat().st_size / 1e6:.1f} MB")
    for name, reason in about.left_out.items():
        print(f"  left out: {name} ({reason})")
    if "int8" in about.provenance:
        print(f"  8 bits: {_described(about.provenance['int8'])}")


def _described(change: Mapping[str, float]) -> str:
    """What `leadset.deploy.quantise` says of a file in 8 bits."""
    words = (
        f"of {change['recordings']} recordings probabilities change by at most {change['largest_difference']:.2g}, "
        f"{change['other_decisions']} are decided otherwise"
    )
    if not change["classes"]:
        return words
    return f"{words}; mean AUROC of {change['classes']} classes {change['auroc_float32']:.4f} -> {change['auroc']:.4f}"
