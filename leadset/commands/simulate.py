"""``leadset simulate OUT -n 400``: write a Challenge-style folder of simulated recordings.

Examples:
    leadset simulate data -n 60
    leadset simulate data -n 400 --seed 1 --labels AF,NSR --faults 0.1
"""

from __future__ import annotations

import argparse

from leadset.simulate.av_block import AV_BLOCKS
from leadset.simulate.mixture import NAMES
from leadset.simulate.write import write_dataset
from leadset.utils.files import folder_to_write

GROUP = "prepare data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("out", metavar="OUT", type=folder_to_write, help="folder to write; it must be empty or missing")
    parser.add_argument("-n", type=int, required=True, metavar="N", help="number of recordings")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same writes the same bytes (default: 0)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of each recording (default: 10)")
    parser.add_argument(
        "--fs", type=int, metavar="HZ", help="sampling rate (default: what each source's recorder has)"
    )
    parser.add_argument(
        "--labels", metavar="NAMES",
        help=f"main diagnoses to draw from, with commas between, out of {' '.join(NAMES)} (default: all), and"
        f" {' '.join(AV_BLOCKS)}",
    )
    parser.add_argument(
        "--faults", type=float, default=0.0, metavar="SHARE",
        help="share of recordings with swapped electrodes or unplugged leads (default: 0)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="write into a folder that is not empty")


def run(arguments: argparse.Namespace) -> int:
    """Writes the recordings; returns the exit status."""
    from tqdm import tqdm

    if arguments.out.is_dir() and any(arguments.out.iterdir()) and not arguments.force:
        raise ValueError(f"{arguments.out} is not empty: name another folder, or add --force to write into it")
    written = write_dataset(
        arguments.out,
        arguments.n,
        seed=arguments.seed,
        seconds=arguments.seconds,
        fs=arguments.fs,
        labels=arguments.labels,
        faults=arguments.faults,
    )
    sources = {path.parent.parent.name for path in tqdm(written, total=arguments.n, unit="rec", desc="simulate")}
    print(f"{arguments.n} recordings of {len(sources)} sources in {arguments.out}")
    return 0
