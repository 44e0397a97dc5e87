"""``leadset convert RECORD… OUT``: write recordings of any format that is read as WFDB files.

DICOM waveforms, HL7 aECG, GE MUSE and Philips XML, SCP-ECG, EDF, ISHNE, MFER and arrays (CSV, NPY, NPZ).

Examples:
    leadset convert hospital wfdb
    leadset convert ecg.npy wfdb --fs 500 --leads I,II,V2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from leadset.config import load_lead_names
from leadset.recordings import Layout, find_recordings
from leadset.recordings.convert import convert_recording, wfdb_name
from leadset.signals import explain_flag

GROUP = "prepare data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("recordings", nargs="+", type=Path, metavar="RECORD", help="files, or folders of them")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for the copies, laid out like folders given")
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
    done: dict[Path, Path] = {}
    pairs = list(_targets(arguments.recordings, arguments.output))
    for source, folder in pairs:
        try:
            if source.parent.resolve() == folder.resolve():
                raise ValueError(f"{source}: its own folder is where the copy would go, expected another one")
            target = folder / wfdb_name(source.stem)
            if target in done:
                raise ValueError(f"{source}: found {done[target]} of the same name, expected distinct names")
            _, flags = convert_recording(source, folder, names, layout)
        except (OSError, ValueError) as error:
            print(f"{arguments.call.name}: {error}", file=sys.stderr)
            continue
        done[target] = source
        for flag in flags:
            print(f"{source}: {explain_flag(flag)}", file=sys.stderr)
    print(f"{len(done)} of {len(pairs)} recordings written to {arguments.output}")
    return 0 if len(done) == len(pairs) else 1


def _targets(given: Iterable[Path], output: Path) -> Iterable[tuple[Path, Path]]:
    """Each recording with the folder that its copy goes to."""
    for path in given:
        if not path.is_dir():
            yield path, output
            continue
        for found in find_recordings(path):
            yield found, output / found.parent.relative_to(path)
