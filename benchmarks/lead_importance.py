"""Which leads the shipped ResNet-34 needs: its macro AUROC on one lead, without one, and on two, on real recordings.

    python benchmarks/lead_importance.py DATA [--output benchmarks/lead_importance.csv]

DATA holds twelve-lead recordings with labels. The committed table was written with an entry whose network had learned
from simulated recordings alone; it should not have learned from DATA.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tables import write_table
from tqdm import tqdm

import leadset
from leadset.commands.leads import read_inputs
from leadset.explain.importance import COLUMNS, STUDIES, rank_leads, table_rows
from leadset.recordings.importers import open_dataset

NETWORK = "resnet34"


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--entry", type=Path, help="folder of an entry (default: the one that ships)")
    arguments = parser.parse_args()
    entry = leadset.load_entry(arguments.entry)
    inputs, labels = read_inputs(entry, open_dataset(str(arguments.data)))
    with tqdm(total=sum(map(len, STUDIES.values())), unit="lead set") as bar:
        scores = list(rank_leads(entry, inputs, labels, networks=(NETWORK,), progress=bar.update))
    write_table(arguments.output, COLUMNS, table_rows(scores))


if __name__ == "__main__":
    main()
