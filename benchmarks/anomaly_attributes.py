"""What a reconstruction model with ``attributes=True`` predicts from its latents: age, sex, rate, intervals, classes.

It learns from simulated recordings and three fifths of the real ones, and is tested on the other two fifths; duplicates
and patients stay together. Attributes are learned from normal recordings alone and predicted for normal and other ones;
heart rate and intervals are compared with those of our own delineation. Beside each mean absolute error stands that of
always predicting the median of the recordings learned from. Intervals are bootstrapped over recordings; duplicates and,
where headers say so, those of one patient are drawn together.

    python benchmarks/anomaly_attributes.py DATA
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from tables import write_table
from tqdm import tqdm

from leadset.anomaly.attributes import Targets, attributes_of, in_units
from leadset.anomaly.detector import TRANSFORM
from leadset.anomaly.metrics import detection_auc
from leadset.classes import label_space
from leadset.leads import LEADS
from leadset.models.cross_restoration import ATTRIBUTES
from leadset.preprocess import prepare
from leadset.recordings import find_recordings
from leadset.scoring.intervals import bootstrap
from leadset.simulate import simulate
from leadset.store.groups import patient_groups
from leadset.store.packed import build_store
from leadset.training.detector import all_r_peaks, fit_detector, untrained_model
from leadset.training.normals import plain_sinus_rhythm
from leadset.training.split import stratified_parts
from leadset.training.tasks.restoration_settings import RestorationSettings
from leadset.utils import nan_statistics

COLUMNS = ("what", "of", "n", "measure", "value", "low", "high", "median_instead")
NORMAL_SEED, OTHER_SEED, SPLIT_SEED = 111, 112, 0
TESTED_SHARE, FEWEST_OF_CLASS = 0.4, 5


def main() -> None:
    """Trains, predicts, writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of real recordings")
    parser.add_argument("--model", type=Path, help="folder to keep the network in; interrupted, it goes on there")
    parser.add_argument("--width", type=int, default=12)
    parser.add_argument("--normal", type=int, default=1000, help="simulated normal recordings")
    parser.add_argument("--other", type=int, default=1000, help="simulated recordings of all classes")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/anomaly_attributes.csv"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = list(run(arguments, Path(scratch)))
    write_table(arguments.output, COLUMNS, rows)


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[dict]:
    """Rows of the table, printed as they come."""
    store = build_store(find_recordings(arguments.data), TRANSFORM, scratch / "store", 1)
    space, groups = label_space("challenge2021"), patient_groups(store)
    normal = np.isin(np.arange(len(store)), plain_sinus_rhythm(store, space))
    tested = stratified_parts(normal[:, None], groups, [1 - TESTED_SHARE, TESTED_SHARE], SPLIT_SEED) == 1

    made = [simulate(arguments.normal, NORMAL_SEED, labels="NSR", marks=False),
            simulate(arguments.other, OTHER_SEED, marks=False)]  # fmt: skip
    simulated = [(p.samples, p.statistics) for part in made for p in (
        prepare(signal, part.fs, LEADS, TRANSFORM) for signal in part.signals)]  # fmt: skip
    recordings = [*(tuple(map(np.asarray, store[i])) for i in range(len(store))), *simulated]
    ages = [*(r.age for r in store.recordings), *(float(age) for part in made for age in part.ages)]
    sexes = [*(r.sex for r in store.recordings), *(sex.lower() for part in made for sex in part.sexes)]
    attributes = np.stack([
        attributes_of(*recording, LEADS, age, sex)
        for recording, age, sex in zip(tqdm(recordings, desc="attributes"), ages, sexes, strict=True)
    ])  # fmt: skip
    codes = [*(r.codes for r in store.recordings), *(those for part in made for those in part.codes)]
    classes = np.stack([space.encode(those) for those in codes])

    learned = np.concatenate([np.flatnonzero(~tested), len(store) + np.arange(len(simulated))])
    sinus = np.concatenate([np.flatnonzero(normal & ~tested), len(store) + np.arange(arguments.normal)])
    targets = Targets(
        torch.from_numpy(attributes), torch.from_numpy(classes.astype(np.float32)), learned,
        all_r_peaks(recordings, LEADS, learned, 1), space.abbreviations,
    )  # fmt: skip
    settings = RestorationSettings(steps=arguments.steps, batch_size=16, learning_rate=2e-3)
    model = untrained_model(LEADS, settings.seed, width=arguments.width, attributes=True, classes=len(space))
    folder = arguments.model or scratch / "model"
    detector = fit_detector(
        recordings, sinus, sinus[:0], model, folder, settings=settings, workers=1, targets=targets
    )  # fmt: skip

    test = np.flatnonzero(tested)
    scores = list(detector.score_all(recordings, test))
    baseline = nan_statistics.median(in_units(attributes[sinus]), axis=0)
    wanted, predicted = in_units(attributes[test]), np.stack([one.attributes for one in scores])
    for title, those in (("normal", normal[test]), ("other", ~normal[test])):
        for column, name in enumerate(ATTRIBUTES):
            known = those & np.isfinite(wanted[:, column])
            pair = predicted[known, column], wanted[known, column]
            yield from shown(agreement(name, title, *pair, float(baseline[column]), groups[test][known]))
    logits = np.stack([one.classes for one in scores])
    for column, diagnosis in enumerate(space.classes):
        positive = classes[test, column].astype(bool)
        if positive.sum() >= FEWEST_OF_CLASS:
            value = interval(lambda rows, t=positive, c=column: detection_auc(t[rows], logits[rows, c]), groups[test])
            yield from shown([dict(zip(COLUMNS, (diagnosis.abbreviation, "all", int(positive.sum()), "AUROC", *value),
                                       strict=False))])  # fmt: skip


def agreement(
    name: str, title: str, predicted: np.ndarray, wanted: np.ndarray, baseline: float, groups: np.ndarray
) -> Iterator[dict]:
    """Error and rank correlation of predicted attributes; the area under the ROC curve for sex."""
    if name == "sex":
        value = interval(lambda rows: detection_auc(wanted[rows] > 0.5, predicted[rows]), groups)
        yield dict(zip(COLUMNS, (name, title, len(predicted), "AUROC", *value), strict=False))
        return
    value = interval(lambda rows: np.abs(predicted - wanted)[rows].mean(), groups)
    instead = f"{np.abs(baseline - wanted).mean():.4g}"
    yield dict(zip(COLUMNS, (name, title, len(predicted), "mean absolute error", *value, instead), strict=True))
    value = interval(lambda rows: spearmanr(predicted[rows], wanted[rows]).statistic, groups)
    yield dict(zip(COLUMNS, (name, title, len(predicted), "rank correlation", *value), strict=False))


def interval(metric: Callable[[np.ndarray], float], groups: np.ndarray) -> list[str]:
    """A metric of rows with its interval over groups, as text."""
    result = bootstrap(lambda counts: metric(np.repeat(np.arange(len(counts)), counts)), len(groups), groups, n=300)
    return [f"{value:.4g}" for value in (result.value, result.low, result.high)]


def shown(rows: Iterable[dict]) -> Iterator[dict]:
    """The same rows, printed."""
    for row in rows:
        print(*row.values(), sep=", ", flush=True)
        yield row


if __name__ == "__main__":
    main()
