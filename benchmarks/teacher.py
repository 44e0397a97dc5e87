"""What helped universal networks, and what did not: tuning on real recordings, its rate, and which weights answer.

    python benchmarks/teacher.py DATA WORK [--output benchmarks/teacher.csv]

DATA and WORK are those of `leadset.training.shipped.tuning` with ``--readout last --readout average --readout
half-way`` (without, only the weights that ship answer); a tuning that has some of its folds is compared too. A row is
a way to make the weights: ``start`` (simulation alone), or a variant of the tuning with one of its readouts (the last
weights, their moving average, or half-way between the first and the last). All rows of a network and a variant are
about the same recordings: those of the folds that were done, each answered by a network that did not see it. Mean
AUROC of eleven classes of the Challenge (12, 2 and 1 leads), of the classes of PTB-XL and LUDB with at least eight
positives (12 leads), and of atrial fibrillation in the Challenge 2017; ``gain`` is that of the first number over
``start``, with its 95 % interval over patients.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tables import write_table
from universal import CLASSES, SPACE

from leadset.models.shipped import SIMULATED, shipped_networks
from leadset.preprocess import Transform
from leadset.scoring.intervals import bootstrap
from leadset.scoring.metrics import Ranking
from leadset.training.shipped.real_sources import FOLDS, RealData, load_real_data
from leadset.training.shipped.tuning import READOUTS, START, VARIANTS, Job
from leadset.training.steps.partial_labels import known_auroc

FEWEST = 8
ELEVEN = np.isin(SPACE.abbreviations, CLASSES)
COLUMNS = (
    "network", "variant", "readout", "folds", "recordings", "challenge_12", "challenge_2", "challenge_1", "ptbxl_12",
    "ludb_12", "af_2017", "gain", "low", "high",
)  # fmt: skip
Answers = dict[str, np.ndarray]


def of_folds(work: Path, network: str, variant: str, folds: list[int]) -> tuple[np.ndarray, dict[str, Answers]]:
    """Indices of the recordings of some folds, and what each way says of them, by lead set."""
    parts = []
    for fold in folds:
        with np.load(work / f"{Job(network, variant, str(fold)).stem}.npz") as kept:
            parts.append({key: kept[key] for key in kept.files if key != "progress"})
    chosen = np.concatenate([part["chosen"] for part in parts])
    ways: dict[str, Answers] = {}
    for key in set(parts[0]) - {"chosen"}:
        readout, leads = key.split("/")
        ways.setdefault(readout, {})[leads] = np.concatenate([part[key] for part in parts])
    with np.load(work / f"{network}-{START}.npz") as kept:
        ways[START] = {key.split("/")[1]: kept[key][chosen] for key in kept.files if "/" in key}
    return chosen, ways


def mean_area(answers: np.ndarray, targets: np.ndarray, classes: np.ndarray) -> float:
    """Mean AUROC of some classes where they are known."""
    return float(np.nanmean(known_auroc(targets[:, classes], answers[:, classes])))


def mean_of_sources(found: Answers, targets: np.ndarray, sources: np.ndarray) -> dict[str, float]:
    """Mean AUROC by source and number of leads, as columns of the table."""
    challenge, values = sources == "challenge", {}
    for leads in ("12", "2", "1"):
        known = np.nan_to_num(targets[challenge])
        values[f"challenge_{leads}"] = mean_area(found[leads][challenge], known, ELEVEN)
    for source, leads, key in (("ptbxl", "12", "ptbxl_12"), ("ludb", "12", "ludb_12"), ("af_2017", "1", "af_2017")):
        here = sources == source
        enough = (targets[here] == 1).sum(axis=0) >= FEWEST
        if source == "af_2017":
            enough = np.array(SPACE.abbreviations) == "AF"
        values[key] = mean_area(found[leads][here], targets[here], enough)
    return values


def rows(work: Path, network: str, variant: str, real: RealData) -> Iterator[dict]:
    """Rows of one network and one variant; none where no fold was done."""
    folds = [fold for fold in range(FOLDS) if (work / f"{Job(network, variant, str(fold)).stem}.npz").exists()]
    if not folds:
        return
    chosen, ways = of_folds(work, network, variant, folds)
    targets, sources = real.targets[chosen], real.sources[chosen]
    challenge = sources == "challenge"
    evidence = np.nan_to_num(targets[challenge])[:, ELEVEN] > 0
    rankings = {way: Ranking(evidence, found["12"][challenge][:, ELEVEN]) for way, found in ways.items()}
    for way in (way for way in (START, *READOUTS) if way in ways):
        values = mean_of_sources(ways[way], targets, sources)

        def gain(counts: np.ndarray, way: str = way) -> float:
            return float(np.nanmean(rankings[way].areas(counts)[0]) - np.nanmean(rankings[START].areas(counts)[0]))

        interval = bootstrap(gain, int(challenge.sum()), real.groups[chosen][challenge])
        values |= {"gain": interval.value, "low": interval.low, "high": interval.high}
        yield {
            "network": network, "variant": variant, "readout": way, "folds": len(folds), "recordings": len(chosen),
            **{name: f"{value:.3f}" for name, value in values.items()},
        }  # fmt: skip


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    real, table = load_real_data(arguments.data, arguments.work, [Transform(100)]), []
    for network in shipped_networks(SIMULATED, "classifier"):
        for variant in VARIANTS:
            table += rows(arguments.work, network, variant, real)
    write_table(arguments.output, COLUMNS, table)


if __name__ == "__main__":
    main()
