"""How a network decides on few validation recordings: ways to choose a decision rule, cross-validated.

    python benchmarks/decisions.py DATA WORK             # after benchmarks/crossval.py DATA WORK; minutes
    python benchmarks/decisions.py DATA WORK TUNING      # TUNING: where `leadset.training.shipped.tuning` worked

In each fold of its k-fold run, a rule is fitted to the answers of a network to validation recordings, and judged on the
test part: either those of the tuned entry of the fold, a fifth of the training part, or all of the training part, which
only networks may use that did not learn from it. A tuned network may use its answers before it was tuned for the rest.
In TUNING, more networks were tuned by folds, and what they answer is known of recordings that they did not learn from
alone; there a fifth is drawn. Writes decisions.csv: the Challenge metric over all folds.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

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
from leadset.training.decision.ensemble import (
    UNJUDGED,
    Choice,
    Known,
    ValidationOutputs,
    ValidationTargets,
    choose,
    fit_ensemble,
    gain_of_validation_alone,
)
from leadset.training.decision.thresholds import fit_thresholds
from leadset.training.shipped.entry import load_answered
from leadset.training.split import stratified_parts

HERE = Path(__file__).parent
UNTUNED = ("resnet34", "crnn_pqrst", "resunet_lc", "s4d", "mvms_net", "cnn_heartmaasters", "star")
#: The entry of networks that were tuned in each fold, and these; those that were tuned by folds before they shipped.
ENTRY, TUNED = "tuned", ("resnet34", "crnn_pqrst")
TUNED_BEFORE = ("resnet34", "crnn_pqrst", "s4d", "cnn_heartmaasters", "mvms_net")
SIZES, PARTS, SEED, DRAWS = (12, 2), 5, 2021, 2
FIFTH, ALL, JOINED = (
    "a fifth of the training part", "all of the training part", "a fifth, the rest as answered before tuning",
)  # fmt: skip
COLUMNS = ("network", "leads", "validation", "recordings", "way", "challenge_metric")
MEAN_OF_UNTUNED, MEAN_OF_TUNED = "mean of untuned networks", "mean of tuned networks"
#: The way that training takes.
DEFAULT = "calibrated, beyond noise"


class Asked(NamedTuple):
    """What a rule of a fold is fitted to and judged by.

    Attributes:
        fitted: (n, k) answers to all recordings, of which those that are chosen are fitted to.
        chosen: indices of these.
        judged: (n,) bool, those that cross-fitting judges by.
        answers: (n, k) of the network, of which those of the test part are decided.
    """

    fitted: np.ndarray
    chosen: np.ndarray
    judged: np.ndarray
    answers: np.ndarray


def tuned_answers(division: CrossValidation, network: str, size: int, fold: str) -> np.ndarray:
    """Answers (n, k) to all recordings by a network that was tuned in a fold; asked once, and kept beside it."""
    data, folder = division.setting.data, division.setting.out / FOLDS_FOLDER / f"{ENTRY}-{fold}"
    if not (folder / f"all-{network}-{size}.npy").is_file():
        entry = load_entry(folder, "cpu", every_network=True)
        recordings = with_leads(data, division.setting.cohort.paths, LEAD_SETS[size], entry)
        answers = list(entry.predict(recordings))
        for name in TUNED:
            np.save(folder / f"all-{name}-{size}.npy", np.stack([answer.by_model[name][1] for answer in answers]))
    return np.load(folder / f"all-{network}-{size}.npy")


def untuned_answers(division: CrossValidation, network: str, size: int) -> np.ndarray:
    """Answers (n, k) of a network that learned from simulation alone."""
    return np.load(division.setting.out / WORK_FOLDER / f"untuned-{network}-{size}.npy")


def validated(division: CrossValidation, fold: Fold) -> np.ndarray:
    """Indices of the recordings that the tuned entry of a fold was validated on."""
    with open(division.setting.out / FOLDS_FOLDER / f"{ENTRY}-{fold.name}" / "split.csv", encoding="utf-8") as file:
        names = {row["recording"] for row in csv.DictReader(file) if row["part"] == "validation"}
    return np.array([i for i in fold.train if Path(division.setting.cohort.paths[i]).stem in names])


def decided(asked: Asked, test: np.ndarray, division: CrossValidation) -> dict[str, np.ndarray]:
    """Decisions (n, k) on the test part by each way that is fitted to the chosen recordings."""
    cohort, space, chosen = division.setting.cohort, division.setting.space, asked.chosen
    p, targets, judged = asked.fitted[chosen], cohort.targets[chosen].copy(), asked.judged[chosen]
    targets[:, np.isnan(targets).all(axis=0)] = 0
    targets = ValidationTargets(np.column_stack([np.ones(len(chosen)), targets]), cohort.labels[chosen], np.empty(0))
    parts = np.full(len(chosen), UNJUDGED)
    own = chosen[judged]
    parts[judged] = stratified_parts(cohort.labels[own], cohort.groups[own], [1] * PARTS, SEED)
    known = Known([ValidationOutputs(p, False)], targets, parts)
    if not judged.all() and gain_of_validation_alone(known, [p], space)["low"] > 0:
        known = known.validation()
    p, (_, targets, parts) = known.networks[0].answers, known
    now = choose([p], targets, parts, space)
    scores = now.report["challenge_metric"]
    ways = {
        "calibrated, thresholds": Choice(),
        "calibrated, expected score": Choice(by_expected_score=True),
        "calibrated, the larger score": Choice(by_expected_score=scores["expected_score"] > scores["thresholds"]),
        DEFAULT: now,
    }
    decisions = {"thresholds": fit_thresholds(p, targets.labels, space)(asked.answers[test])}
    for way, choice in ways.items():
        ensemble = fit_ensemble([p], targets, space, {}, choice)
        decisions[way] = ensemble.rule(ensemble.join([asked.answers[test]]))
    return decisions


def asked_in(
    part: str, fold: Fold, answers: np.ndarray, before: np.ndarray | None, validation: np.ndarray
) -> Asked:
    """What is fitted to in a fold, of answers (n, k), those before the tuning, and indices of the validation part."""
    judged = np.zeros(len(answers), dtype=bool)
    if part == JOINED:
        judged[validation] = True
        return Asked(np.where(judged[:, None], answers, before), fold.train, judged, answers)
    chosen = validation if part == FIFTH else fold.train
    judged[chosen] = True
    return Asked(answers, chosen, judged, answers)


def rows_of(
    division: CrossValidation, network: str, size: int, part: str, asked: Callable[[Fold], Asked]
) -> Iterator[dict]:
    """A row for each way to decide."""
    cohort, together, n = division.setting.cohort, {}, []
    for fold in division.folds:
        here = asked(fold)
        n.append(len(here.chosen))
        for way, decisions in decided(here, fold.test, division).items():
            together.setdefault(way, np.zeros(cohort.labels.shape, dtype=bool))[fold.test] = decisions
    metric = ChallengeMetric(cohort.labels, division.setting.space)
    for way, decisions in together.items():
        numbers = (round(float(np.mean(n))), way, f"{metric(decisions):.4f}")
        yield dict(zip(COLUMNS, (network, size, part, *numbers), strict=True))


def tuned_here(division: CrossValidation) -> Iterator[dict]:
    """Rows of the networks that were tuned in each fold."""
    for network, size, part in product(TUNED, SIZES, (FIFTH, JOINED)):
        before = untuned_answers(division, network, size)

        def asked(fold: Fold, network=network, size=size, part=part, before=before) -> Asked:
            answers = tuned_answers(division, network, size, fold.name)
            return asked_in(part, fold, answers, before, validated(division, fold))

        yield from rows_of(division, f"{network}, tuned", size, part, asked)


def untuned(division: CrossValidation) -> Iterator[dict]:
    """Rows of the networks that learned from simulation alone."""
    for network, size, part in tqdm(list(product(UNTUNED, SIZES, (FIFTH, ALL))), leave=False):
        answers = untuned_answers(division, network, size)

        def asked(fold: Fold, part=part, answers=answers) -> Asked:
            return asked_in(part, fold, answers, None, validated(division, fold))

        yield from rows_of(division, network, size, part, asked)


def tuned_before(division: CrossValidation, data: Path, tuning: Path) -> Iterator[dict]:
    """Rows of the networks that were tuned by folds before they shipped."""
    known = load_answered(data, tuning, TUNED_BEFORE)
    place = {Path(name).name: i for i, name in enumerate(known.names)}
    order = [place[Path(path).stem] for path in division.setting.cohort.paths]
    for network, size, draw, part in tqdm(list(product(TUNED_BEFORE, SIZES, range(DRAWS), (FIFTH, JOINED, ALL)))):
        name = str(size)
        answers = known.by_network[network][name][order]
        before = untuned_answers(division, network, size)

        def asked(fold: Fold, draw=draw, part=part, answers=answers, before=before) -> Asked:
            drawn = np.random.default_rng([SEED, draw]).permutation(fold.train)[: round(len(fold.train) / PARTS)]
            return asked_in(part, fold, answers, before, np.sort(drawn))

        yield from rows_of(division, f"{network}, tuned by folds, draw {draw + 1}", size, part, asked)


def means(rows: Sequence[dict], title: str, chosen: Callable[[str], bool]) -> Iterator[dict]:
    """Means over networks, lead sets and draws."""
    rows = [row for row in rows if chosen(row["network"])]
    for part, way in dict.fromkeys((row["validation"], row["way"]) for row in rows):
        same = [row for row in rows if (row["validation"], row["way"]) == (part, way)]
        mean = np.mean([float(row["challenge_metric"]) for row in same])
        values = (title, "12 and 2", part, same[0]["recordings"], way, f"{mean:.4f}")
        yield dict(zip(COLUMNS, values, strict=True))


def run(data: Path, work: Path, tuning: Path | None) -> Iterator[dict]:
    """All rows; those of means over networks and lead sets last."""
    config = load_config(folder=None)
    folder = open_dataset(data / "challenge" / "training")
    division = plan(folder, work / "kfold", KFold(config.folds, config.seed), config)
    rows = [*tuned_here(division), *untuned(division)]
    rows += tuned_before(division, data, tuning) if tuning else ()
    yield from rows
    yield from means(rows, MEAN_OF_UNTUNED, lambda network: network in UNTUNED)
    yield from means(rows, MEAN_OF_TUNED, lambda network: "by folds" in network)


def main() -> None:
    """Runs and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("tuning", type=Path, nargs="?")
    arguments = parser.parse_args()
    write_table(HERE / "decisions.csv", COLUMNS, run(arguments.data, arguments.work, arguments.tuning))


if __name__ == "__main__":
    main()
