"""How a network decides on few validation recordings: ways to choose a decision rule, cross-validated.

    python benchmarks/decisions.py DATA WORK             # after benchmarks/crossval.py DATA WORK; minutes

In each fold of its k-fold run, a rule is fitted to the answers of a network to validation recordings, and judged on the
test part: either those of the tuned entry of the fold, a fifth of the training part, or all of the training part, which
only networks may use that did not learn from it. Writes decisions.csv: the Challenge metric over all folds.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tables import write_table
from tqdm import tqdm

from leadset.config import load_config
from leadset.entry import load_entry
from leadset.leads import LEAD_SETS
from leadset.recordings.importers import open_dataset
from leadset.scoring import ChallengeMetric
from leadset.studies.crossval import CrossValidation, plan
from leadset.studies.entrants import FOLDS_FOLDER, WORK_FOLDER, with_leads
from leadset.studies.protocols import Fold, KFold
from leadset.training.ensemble import Choice, ValidationTargets, choose, fit_ensemble
from leadset.training.split import stratified_parts
from leadset.training.thresholds import fit_thresholds

HERE = Path(__file__).parent
UNTUNED = ("resnet34", "crnn_pqrst", "resunet_lc", "s4d", "mvms_net", "cnn_heartmaasters", "star")
TUNED, SIZES, PARTS, SEED = "resnet34", (12, 2), 5, 2021
COLUMNS = ("network", "leads", "validation", "recordings", "way", "challenge_metric")
#: Answers (n, k) of all recordings by the network of a fold.
Answers = Callable[[str], np.ndarray]


def tuned_answers(division: CrossValidation, size: int) -> Answers:
    """Those of the network that was tuned in each fold; asked once, and kept beside it."""
    data, out = division.setting.data, division.setting.out

    def of(fold: str) -> np.ndarray:
        folder = out / FOLDS_FOLDER / f"{TUNED}-{fold}"
        file = folder / f"all-{size}.npy"
        if not file.is_file():
            entry = load_entry(folder, "cpu", every_network=True)
            recordings = with_leads(data, division.setting.cohort.paths, LEAD_SETS[size], entry)
            np.save(file, np.stack([answer.by_model[TUNED][1] for answer in entry.predict(recordings)]))
        return np.load(file)

    return of


def validated(division: CrossValidation, fold: Fold) -> np.ndarray:
    """Indices of the recordings that the tuned entry of a fold was validated on."""
    with open(division.setting.out / FOLDS_FOLDER / f"{TUNED}-{fold.name}" / "split.csv", encoding="utf-8") as file:
        names = {row["recording"] for row in csv.DictReader(file) if row["part"] == "validation"}
    return np.array([i for i in fold.train if Path(division.setting.cohort.paths[i]).stem in names])


def decided(p: np.ndarray, chosen: np.ndarray, test: np.ndarray, division: CrossValidation) -> dict[str, np.ndarray]:
    """Decisions (n, k) on the test part by each way that is fitted to the chosen recordings."""
    cohort, space = division.setting.cohort, division.setting.space
    targets = cohort.targets[chosen].copy()
    targets[:, np.isnan(targets).all(axis=0)] = 0
    known = ValidationTargets(np.column_stack([np.ones(len(chosen)), targets]), cohort.labels[chosen], np.empty(0))
    parts = stratified_parts(cohort.labels[chosen], cohort.groups[chosen], [1] * PARTS, SEED)
    now = choose([p[chosen]], known, parts, space)
    scores = now.report["challenge_metric"]
    ways = {
        "calibrated, thresholds": Choice(),
        "calibrated, expected score": Choice(by_expected_score=True),
        "calibrated, the larger score": Choice(by_expected_score=scores["expected_score"] > scores["thresholds"]),
        "calibrated, beyond noise": now,
    }
    decisions = {"thresholds": fit_thresholds(p[chosen], cohort.labels[chosen], space)(p[test])}
    for way, choice in ways.items():
        ensemble = fit_ensemble([p[chosen]], known, space, {}, choice)
        decisions[way] = ensemble.rule(ensemble.join([p[test]]))
    return decisions


def rows_of(division: CrossValidation, network: str, size: int, few: bool, answers: Answers) -> Iterator[dict]:
    """A row for each way to decide."""
    cohort, together, n = division.setting.cohort, {}, []
    for fold in division.folds:
        chosen = validated(division, fold) if few else fold.train
        n.append(len(chosen))
        for way, decisions in decided(answers(fold.name), chosen, fold.test, division).items():
            together.setdefault(way, np.zeros(cohort.labels.shape, dtype=bool))[fold.test] = decisions
    metric = ChallengeMetric(cohort.labels, division.setting.space)
    for way, decisions in together.items():
        part = "a fifth of the training part" if few else "all of the training part"
        numbers = (round(float(np.mean(n))), way, f"{metric(decisions):.4f}")
        yield dict(zip(COLUMNS, (network, size, part, *numbers), strict=True))


def run(data: Path, work: Path) -> Iterator[dict]:
    """All rows; those of the mean over untuned networks and lead sets last."""
    config, out = load_config(folder=None), work / "kfold"
    folder = open_dataset(data / "challenge" / "training")
    division = plan(folder, out, KFold(config.folds, config.seed), config)
    rows = []
    for size in SIZES:
        rows += rows_of(division, f"{TUNED}, tuned", size, True, tuned_answers(division, size))
    for network in tqdm(UNTUNED, leave=False):
        for size in SIZES:
            answers = np.load(out / WORK_FOLDER / f"untuned-{network}-{size}.npy")
            for few in (True, False):
                rows += rows_of(division, network, size, few, lambda _, answers=answers: answers)
    yield from rows
    for part, way in dict.fromkeys((row["validation"], row["way"]) for row in rows):
        chosen = [row for row in rows if (row["validation"], row["way"]) == (part, way) and row["network"] in UNTUNED]
        mean = np.mean([float(row["challenge_metric"]) for row in chosen])
        values = ("mean of untuned networks", "12 and 2", part, chosen[0]["recordings"], way, f"{mean:.4f}")
        yield dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    """Runs and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    write_table(HERE / "decisions.csv", COLUMNS, run(arguments.data, arguments.work))


if __name__ == "__main__":
    main()
