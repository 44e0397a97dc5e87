"""Which shipped networks answer best together: cross-fitted scores of entries of one, two and three of them.

    python benchmarks/shipped_entry.py DATA [--output benchmarks/shipped_entry.csv]

DATA holds the recordings that calibration, weights and thresholds are fitted on, in five folds; the networks learned
from simulation alone.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tables import write_table

from leadset.models.shipped import FOLDER
from leadset.training.shipped_entry import build

CANDIDATES = (("resnet34",), ("resnet34", "crnn_pqrst"), ("resnet34", "crnn_pqrst", "mvms_net"))
COLUMNS = ("networks", "leads", "recordings", "classes", "auroc", "challenge_metric")


def rows(data: Path) -> Iterator[dict]:
    """A row for each candidate and lead set."""
    for networks in CANDIDATES:
        with TemporaryDirectory() as folder:
            for name in networks:
                shutil.copy(FOLDER / f"{name}.safetensors", folder)
            for leads, scores in build(data, Path(folder), networks).items():
                yield {
                    "networks": " ".join(networks), "leads": leads, "recordings": scores["recordings"],
                    "classes": len(scores["classes"]), "auroc": f"{scores['auroc']:.3f}",
                    "challenge_metric": f"{scores['challenge_metric']:.3f}",
                }  # fmt: skip


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    write_table(arguments.output, COLUMNS, list(rows(arguments.data)))


if __name__ == "__main__":
    main()
