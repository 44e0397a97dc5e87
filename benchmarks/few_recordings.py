"""What limits decisions of networks that were tuned on few recordings of another label space: PTB-XL's sample.

    OMP_NUM_THREADS=1 python benchmarks/few_recordings.py DATA WORK     # half an hour; what is in WORK is kept

In each of four parts of folds 1 to 8, an entry of two networks is tuned on the other three, as `leadset train` does it:
a fifth of these is its validation part, to which calibration and thresholds are fitted. Rules are fitted to more, too:

- ``heads``: the fifth, and for the rest what heads on the untuned networks' features say, fitted on other recordings;
- ``other parts``: each of the other three parts, as the networks say that were tuned without it;
- ``test part``: the recordings that are judged, the bound that no rule fitted to others reaches but by chance.

``shares of the test part`` changes the odds of each class by how often it occurs there and in training; ``estimated
shares`` does so without looking at labels, by expectation maximisation (Saerens et al., Neural Computation 14, 2002).
Judged by folds 1 to 8 out of fold, and by fold 9, which no entry saw and where classes occur otherwise. Gains are over
the rule that training takes, those of baselines over the networks together, with 95 % intervals of a paired bootstrap
over recordings.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit
from tables import write_table
from tqdm import tqdm

from leadset.anomaly.head import cross_fit
from leadset.classes import LabelSpace
from leadset.config import load_config
from leadset.entry import load_entry
from leadset.entry.decision import DecisionRule, best_label_sets
from leadset.leads import LEAD_SETS
from leadset.models import create_model
from leadset.models.embedding import Embedder
from leadset.models.prediction import mean_features, predict
from leadset.preprocess import prepare
from leadset.recordings.dataset import DataSet
from leadset.recordings.importers import open_dataset
from leadset.scoring import ChallengeMetric, bootstrap, macro
from leadset.scoring.metrics import f_measure
from leadset.studies.answers import FoldAnswers, Row, file_of
from leadset.studies.crossval import cross_validate
from leadset.studies.entrants import FOLDS_FOLDER, Trained, TrainedBaseline, with_leads, without_real_weights
from leadset.studies.protocols import KFold
from leadset.training.decision.calibration import fit_calibration
from leadset.training.decision.ensemble import fit_weights
from leadset.training.decision.thresholds import fit_thresholds
from leadset.training.split import stratified_parts
from leadset.utils.probabilities import log_odds

TASKS, NETWORKS, SIZES = ("rhythm", "super"), ("resnet34", "crnn_pqrst"), (12, 2)
PARTS, HEADS, LAST, SEED = 4, 5, "9", 2021
BASELINES = ("forest_pqrst", "lightgbm_pqrst")
NAME, BOTH = "tuned", "both"
FIFTH, WITH_HEADS, OTHERS, ORACLE = "a fifth", "a fifth and heads", "other parts", "test part"
NOW, ALIKE, HALF, SCORE = "thresholds", "one threshold", "one half", "expected score"
KNOWN_SHARES, ESTIMATED_SHARES = "thresholds, shares of the test part", "thresholds, estimated shares"
COLUMNS = (
    "task", "tested", "recordings", "normal_share", "leads", "network", "fitted_to", "way", "challenge_metric", "gain",
    "gain_low", "gain_high", "f1", "f1_gain", "f1_gain_low", "f1_gain_high",
)  # fmt: skip
_LEAST_SHARE, _ROUNDS = 1e-3, 300


class Task(NamedTuple):
    """Recordings (n,) of a task with what is known of them and what networks say, those of fold 9 last.

    Attributes:
        space: the classes.
        labels: (n, k) bool.
        part: (PARTS, n) what each is to an entry: ``train``, ``validation``, ``test``, or ``last``, those of fold 9.
        said: by network and leads, (PARTS, n, k) probabilities of each entry.
        heads: the same, of heads out of fold; NaN where an entry's training has not the recording.
        folder: of the cross-validation of folds 1 to 8.
    """

    space: LabelSpace
    labels: np.ndarray
    part: np.ndarray
    said: dict[tuple[str, int], np.ndarray]
    heads: dict[tuple[str, int], np.ndarray]
    folder: Path


# --- answers ---------------------------------------------------------------------------------------------------------


def tuned(data: DataSet, work: Path) -> None:
    """Tunes an entry in each part, and trains the baselines."""
    config = without_real_weights(load_config(folder=None))
    config = replace(config, lead_sets=tuple(LEAD_SETS[n] for n in SIZES))
    entrants = [Trained(NAME, NAME, replace(config, architectures=NETWORKS))]
    entrants += [TrainedBaseline(name, name, config) for name in BASELINES]
    cross_validate(data, work, KFold(PARTS, SEED), entrants)


def answers(folder: Path, data: DataSet, paths: list[str]) -> dict[str, np.ndarray]:
    """What the networks of an entry say of recordings, by ``NETWORK-LEADS``; asked once, and kept beside it."""
    file = folder / "few_recordings.npz"
    if not file.is_file():
        entry, said = load_entry(folder, "cpu", every_network=True), {}
        for size in SIZES:
            found = list(entry.predict(with_leads(data, paths, LEAD_SETS[size], entry)))
            said |= {f"{name}-{size}": np.stack([one.by_model[name][1] for one in found]) for name in NETWORKS}
        np.savez(file, **said)
    with np.load(file) as kept:
        return dict(kept)


def features(file: Path, data: DataSet, paths: list[str]) -> dict[str, np.ndarray]:
    """What the untuned networks' last layers see of recordings, by ``NETWORK-LEADS``; kept in a file."""
    if not file.is_file():
        seen = {}
        for name, size in product(NETWORKS, SIZES):
            model = create_model(name, LEAD_SETS[size], pretrained="simulated").eval()
            spec = model.input_spec
            recordings = (data.read(Path(path), None) for path in tqdm(paths, f"{name} {size}", leave=False))
            ready = (prepare(one.signal, one.fs, one.leads, spec.transform) for one in recordings)
            given = ((one.samples, one.statistics) for one in ready)
            asked = predict(Embedder(model).eval(), given, LEAD_SETS[size], spec, finish=mean_features)
            seen[f"{name}-{size}"] = np.stack(list(asked))
        np.savez(file, **seen)
    with np.load(file) as kept:
        return dict(kept)


def load_task(name: str, data_folder: Path, work: Path) -> Task:
    """Everything that rules are fitted to and judged by; tunes what is not tuned yet."""
    whole, out = open_dataset(f"ptbxl:{data_folder}", name), work / name
    first = replace(whole, items=tuple(item for item in whole.items if item.fold != LAST))
    tuned(first, out)
    items = sorted(whole.items, key=lambda item: (item.fold == LAST, item.path))
    paths, labels = [str(item.path) for item in items], np.array([whole.label_space.encode(i.codes) for i in items])
    folders = [out / FOLDS_FOLDER / f"{NAME}-{k + 1}" for k in range(PARTS)]
    part = np.array([[_part_in(folder).get(i.path.stem, "last" if i.fold == LAST else "test") for i in items]
                     for folder in folders])  # fmt: skip
    asked, seen = [answers(folder, whole, paths) for folder in folders], features(out / "features.npz", whole, paths)
    pairs, patients = list(product(NETWORKS, SIZES)), np.array([item.patient for item in items])
    said = {(n, size): np.stack([one[f"{n}-{size}"] for one in asked]).astype(float) for n, size in pairs}
    heads = {(n, size): _heads(seen[f"{n}-{size}"], labels, part, patients) for n, size in pairs}
    return Task(whole.label_space, labels, part, said, heads, out)


def _part_in(folder: Path) -> dict[str, str]:
    with open(folder / "split.csv", encoding="utf-8") as file:
        return {row["recording"]: row["part"] for row in csv.DictReader(file)}


def _heads(seen: np.ndarray, labels: np.ndarray, part: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Probabilities (PARTS, n, k) of heads on features (n, d), of training recordings by heads fitted on the others."""
    found = np.full((len(part), *labels.shape), np.nan)
    targets = np.column_stack([np.ones(len(labels)), labels]).astype(float)
    for k, parts in enumerate(part):
        train = np.flatnonzero(parts == "train")
        folds = stratified_parts(labels[train], patients[train], [1] * HEADS, SEED)
        found[k, train] = cross_fit(seen[train], targets[train], targets[train].mean(axis=0), folds)[:, 1:]
    return found


# --- rules -----------------------------------------------------------------------------------------------------------


def with_shares(p: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) where classes have other shares (k,)."""
    return expit(log_odds(p) + log_odds(now, _LEAST_SHARE) - log_odds(before, _LEAST_SHARE))


def estimated_shares(p: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Shares (k,) that make recordings with these probabilities (n, k) likeliest."""
    shares = before
    for _ in range(_ROUNDS):
        shares = with_shares(p, before, shares).mean(axis=0)
    return shares


class Fitted(NamedTuple):
    """What a rule is fitted to (m,) and decides (n,): probabilities, and labels of the former; shares of training."""

    known: np.ndarray
    labels: np.ndarray
    asked: np.ndarray
    truth: np.ndarray
    shares: np.ndarray


def decided(given: Fitted, space: LabelSpace, every_way: bool) -> dict[str, np.ndarray]:
    """Decisions (n, k) as training decides, or by every way."""
    calibration = fit_calibration(given.known, given.labels.astype(float), {})
    known, asked = calibration(given.known), calibration(given.asked)
    rule = fit_thresholds(known, given.labels, space)
    if not every_way:
        return {NOW: rule(asked)}
    shares = {KNOWN_SHARES: given.truth.mean(axis=0), ESTIMATED_SHARES: estimated_shares(asked, given.shares)}
    return {
        NOW: rule(asked),
        ALIKE: DecisionRule(np.full(len(space), rule.provenance["pooled_threshold"]))(asked),
        HALF: DecisionRule(np.full(len(space), 0.5))(asked),
        SCORE: best_label_sets(asked, space.weights),
        **{way: rule(with_shares(asked, given.shares, now)) for way, now in shares.items()},
    }


def said_by(task: Task, network: str, size: int, k: int, values: dict[tuple[str, int], np.ndarray]) -> np.ndarray:
    """Values (n, k) of a network in a part, or of both, weighted as the validation part has it."""
    if network != BOTH:
        return values[network, size][k]
    valid = task.part[k] == "validation"
    weights = fit_weights([task.said[one, size][k][valid] for one in NETWORKS], task.labels[valid].astype(float))
    return sum(weight * values[one, size][k] for weight, one in zip(weights, NETWORKS, strict=True))


def fitted_to(task: Task, network: str, size: int, k: int, tested: np.ndarray) -> dict[str, Fitted]:
    """What a rule may be fitted to in a part, by name."""
    said = [said_by(task, network, size, i, task.said) for i in range(PARTS)]
    heads = said_by(task, network, size, k, task.heads)
    part, labels = task.part[k], task.labels
    train, valid = np.flatnonzero(part == "train"), np.flatnonzero(part == "validation")
    others = [(i, np.flatnonzero(task.part[i] == "test")) for i in range(PARTS) if i != k]
    known = {
        FIFTH: (said[k][valid], labels[valid]),
        WITH_HEADS: (np.concatenate([said[k][valid], heads[train]]), labels[[*valid, *train]]),
        OTHERS: tuple(np.concatenate(rows) for rows in zip(*((said[i][r], labels[r]) for i, r in others), strict=True)),
        ORACLE: (said[k][tested], labels[tested]),
    }
    about = said[k][tested], labels[tested], labels[[*valid, *train]].mean(axis=0)
    return {name: Fitted(*one, *about) for name, one in known.items()}


def tested_in(task: Task, last: bool) -> list[np.ndarray]:
    """Indices of the recordings that each part tests on."""
    return [np.flatnonzero(part == ("last" if last else "test")) for part in task.part]


def decisions_of(task: Task, network: str, size: int, last: bool) -> dict[tuple[str, str], np.ndarray]:
    """Decisions on the recordings of `tested_in`, one part behind the other, by what is fitted to and way."""
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for k, tested in enumerate(tested_in(task, last)):
        for fitted, given in fitted_to(task, network, size, k, tested).items():
            for way, decisions in decided(given, task.space, fitted == FIFTH).items():
                found.setdefault((fitted, way), []).append(decisions)
    return {key: np.concatenate(decisions) for key, decisions in found.items()}


def decisions_of_baseline(task: Task, name: str, size: int) -> np.ndarray:
    """The same of a baseline as it decides."""
    parts = [FoldAnswers.read(file_of(task.folder, str(k + 1), name)) for k in range(PARTS)]
    for part, tested in zip(parts, tested_in(task, last=False), strict=True):
        np.testing.assert_array_equal(part.tested, tested)
    return np.concatenate([part.by_row[Row(name, str(size))].decisions for part in parts])


def rows_of(task: Task, name: str, size: int, last: bool) -> Iterator[dict]:
    """A row for each network and way to decide; of fold 9 the entries of all parts together."""
    tested, usual = tested_in(task, last), (FIFTH, NOW)
    labels = task.labels[np.concatenate(tested)]
    normal = f"{labels[:, task.space.normal_index].mean():.3f}"
    groups = np.tile(np.arange(len(tested[0])), PARTS) if last else None
    metric = ChallengeMetric(labels, task.space)
    by_network = {network: decisions_of(task, network, size, last) for network in (*NETWORKS, BOTH)}
    if not last:
        both = by_network[BOTH][usual]
        by_network |= {one: {usual: decisions_of_baseline(task, one, size)} for one in BASELINES}
    for network, decisions in by_network.items():
        other = both if network in BASELINES else decisions[usual]
        for key, ours in decisions.items():
            about = (name, "fold 9" if last else "folds 1 to 8", len(np.unique(np.concatenate(tested))), normal)
            scores = _scores(ours, other, labels, metric, groups)
            yield dict(zip(COLUMNS, (*about, size, network, *key, *(f"{v:.4f}" for v in scores)), strict=True))


def _scores(
    ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray, metric: ChallengeMetric, groups: np.ndarray | None
) -> Iterator[float]:
    """Challenge metric and macro F1 of decisions (n, k), each with its gain over others and the interval of that."""
    pairs = [(metric.rewards(one), one) for one in (ours, theirs)]

    def both(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple(np.array([metric.score(r, counts), macro(f_measure(labels, d, counts))]) for r, d in pairs)

    value, _ = both(np.ones(len(labels), dtype=np.int64))
    gain = bootstrap(lambda counts: np.subtract(*both(counts)), len(labels), groups, 300)
    for i in range(2):
        yield from (value[i], gain.value[i], gain.low[i], gain.high[i])


def main() -> None:
    """Runs and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of PTB-XL")
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = []
    for name in TASKS:
        task = load_task(name, arguments.data, arguments.work)
        for last, size in product((False, True), SIZES):
            table += rows_of(task, name, size, last)
    write_table(Path(__file__).with_suffix(".csv"), COLUMNS, table)


if __name__ == "__main__":
    main()
