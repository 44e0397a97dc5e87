"""Does `make weights` rebuild what ships: how long does it take, and are its weights as good?

    make -j2 weights DATA=RECORDINGS PRETRAINED=REBUILT
    python benchmarks/shipped_entry.py RECORDINGS weights/tuning --output REBUILT/shipped_entry.csv
    python benchmarks/rebuilt.py REBUILT [--output benchmarks/rebuilt.csv]

Processors round differently: after thousands of steps no weight is the same. What must stay is how well they answer.
``shipped`` and ``rebuilt`` are the mean area under the ROC curve of eleven classes on recordings of the Challenge from
which neither learned: of networks as in `benchmarks/universal.csv`, of the entry as in `benchmarks/shipped_entry.csv`.
``low`` and ``high`` are the 95 % interval of the shipped ones over recordings. ``core_hours`` is what the training of
these weights took on one core: on simulated recordings, then the tuning of the file that ships. Answers, folds and
tables come on top.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

from tables import write_table

from leadset.models.shipped import SIMULATED, load_shipped, shipped_networks
from leadset.training.shipped.entry import NETWORKS

COLUMNS = ("network", "weights", "core_hours", "leads", "shipped", "low", "high", "rebuilt", "difference")
LEADS = ("12", "2")


def areas(folder: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """Rows of the mean of eleven classes by network, weights and leads; the area is in ``auroc``."""
    found = {}
    for row in _rows(folder / "universal.csv"):
        if (row["data"], row["class"]) == ("challenge", "mean of eleven"):
            found[row["network"], row["weights"], row["leads"]] = row
    for row in _rows(folder / "shipped_entry.csv"):
        if row["networks"].split() == sorted(NETWORKS):
            found["entry", "tuned", row["leads"]] = {**row, "auroc": row["eleven"]}
    return found


def _rows(table: Path) -> list[dict[str, str]]:
    with open(table, newline="") as file:
        return list(csv.DictReader(file))


def rows(rebuilt: Path) -> Iterator[dict[str, str]]:
    """A row for each network, weights and lead set, then for the entry, and the hours of all networks."""
    before, after = areas(Path(__file__).parent), areas(rebuilt)
    hours: dict[tuple[str, str], float] = {}
    for network in shipped_networks(SIMULATED, "classifier"):
        about = load_shipped(network, folder=rebuilt).pretrained
        hours |= {(network, "simulated"): about["core_hours"], (network, "tuned"): about["tuning_core_hours"]}
    for network, weights in (*hours, ("entry", "tuned")):
        for leads in LEADS:
            here, there = (table[network, weights, leads] for table in (before, after))
            yield {
                "network": network, "weights": weights, "core_hours": hours.get((network, weights), ""),
                "leads": leads, "shipped": here["auroc"], "low": here["low"], "high": here["high"],
                "rebuilt": there["auroc"], "difference": f"{float(there['auroc']) - float(here['auroc']):+.3f}",
            }  # fmt: skip
    for weights in ("simulated", "tuned"):
        total = sum(taken for (_, kind), taken in hours.items() if kind == weights)
        yield dict.fromkeys(COLUMNS, "") | {"network": "all", "weights": weights, "core_hours": f"{total:.2f}"}


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rebuilt", type=Path, help="folder of the weights and tables that `make weights` wrote")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    write_table(arguments.output, COLUMNS, rows(arguments.rebuilt))


if __name__ == "__main__":
    main()
