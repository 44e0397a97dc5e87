"""Which leads an entry needs: its macro AUROC on one lead, without one, and on two, on real recordings.

    python benchmarks/lead_importance.py DATA [--entry FOLDER] [--models resnet34] [--output FILE]

DATA holds twelve-lead recordings with labels, which the networks should not have learned from. `lead_importance.csv`
was written with an entry whose ResNet-34 had learned from simulated recordings alone, `lead_importance_entry.csv`
(`--studies "all,one lead,without one lead"`) with the entry that ships, which has learned from these recordings too.
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


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--entry", type=Path, help="folder of an entry (default: the one that ships)")
    parser.add_argument("--models", type=lambda words: words.split(","), default=[], help="by default all")
    parser.add_argument("--studies", type=lambda words: words.split(","), default=list(STUDIES))
    arguments = parser.parse_args()
    entry = leadset.load_entry(arguments.entry)
    inputs, labels = read_inputs(entry, open_dataset(str(arguments.data)))
    with tqdm(total=sum(len(STUDIES[study]) for study in arguments.studies), unit="lead set") as bar:
        scores = list(rank_leads(entry, inputs, labels, arguments.studies, arguments.models, bar.update))
    write_table(arguments.output, COLUMNS, table_rows(scores))


if __name__ == "__main__":
    main()
