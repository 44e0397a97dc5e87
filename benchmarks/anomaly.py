"""Detecting and localising anomalies: the reconstruction model against plain ways, on simulated and on real recordings.

    python benchmarks/anomaly.py [DATA] [--networks FOLDER] [--minutes 60] [--output benchmarks/anomaly.csv]

Simulated: all train on normal recordings of one seed. Normal and abnormal recordings of a second seed choose the
number a method detects by, the map it localises by and the threshold of Dice; those of a third, sealed seed are tested
on once. Every abnormal recording has one local anomaly with its exact mask; the normal ones are others.

Real, where DATA holds Challenge recordings: sinus rhythm alone against the rest, five folds. The networks stay as they
learned from simulated recordings; what is normal is learned from the normal recordings of the other four folds, by
every method. No abnormal one is learned or chosen from: each method detects by the number that best separates simulated
diagnoses of the second seed from simulated sinus rhythm, and every other number is reported too. How many of the normal
recordings of each source are taken for abnormal is counted. One number learns from abnormal ones, those of the other
four folds: the calibrated abnormality, by the same head as in an entry, on the features of our method and on those of
the isolation forest. Intervals are bootstrapped over recordings; real ones that are duplicates or, where headers say
so, of one patient are drawn together.

With ``--networks`` the two networks (with masks, without) are kept in that folder and, once they are there, taken from
it instead of being trained; ``--minutes`` bounds the training of each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from anomaly_baselines import BASELINES, Found, Prepared
from scipy.stats import rankdata
from tables import write_table
from tqdm import tqdm

from leadset.anomaly import AnomalyScore, Detector, feature_names
from leadset.anomaly.detector import DETECTOR_FILE, TRANSFORM
from leadset.anomaly.features import FAMILIES, LASTING
from leadset.anomaly.head import cross_fit
from leadset.anomaly.metrics import detection_auc, dice, dice_threshold, localisation_auc
from leadset.anomaly.reference import fit_families, largest_deviation
from leadset.anomaly.score import MAPS, RANKS
from leadset.classes import label_space
from leadset.entry.networks import on_threads
from leadset.leads import LEADS
from leadset.models.cross_restoration import RECORD_SAMPLES
from leadset.preprocess import InputSpec, prepare
from leadset.recordings import find_recordings
from leadset.scoring.intervals import Interval, bootstrap
from leadset.simulate import simulate, simulate_anomalies
from leadset.store.groups import patient_groups
from leadset.store.packed import Store, build_store
from leadset.training.detector import fit_detector, untrained_model
from leadset.training.normals import plain_sinus_rhythm
from leadset.training.split import stratified_parts
from leadset.training.tasks.restoration_settings import RestorationSettings

COLUMNS = ("data", "method", "measure", "of", "n", "value", "low", "high")
SPACE = label_space("challenge2021")
TRAIN_SEED, CHOICE_SEED, SEALED_SEED = 101, 202, 404
#: Recordings of the training seed that say what is normal and are never trained on; those the baselines learn from.
REFERENCE, BASELINE_NORMALS = 200, 400
OURS, UNMASKED = "cross-restoration", "cross-restoration without masks"
DEVIATION, LASTING_DEVIATION = "deviation score", "lasting deviation score"
NETWORK_ALONE, WITHOUT_NETWORK = f"{DEVIATION}, network alone", f"{DEVIATION}, without the network"
#: The probability of anything but plain sinus rhythm by a head that learned from recordings of both kinds.
CALIBRATED = "calibrated abnormality"
# What the network says of a recording; all other groups of features are known without it.
_NETWORK_GROUPS = ("record outlier", "beat outlier", "typical", "parts")
FOLDS, DRAWS, TIMED = 5, 500, 10
#: Simulated recordings with diagnoses, and as many with sinus rhythm alone, by which the number is chosen that detects
#: real ones; standard deviations beyond the normal ones from which a recording counts as an alarm.
DIAGNOSED, ALARM = 200, 2.0
#: What baselines look at: the window of the networks.
WINDOW = InputSpec(TRANSFORM, RECORD_SAMPLES, "range")
_FEWEST_OF_CLASS = 5


class Method(Protocol):
    """A way to find anomalies: a recording is observed once, whatever normal recordings it is compared with."""

    def observe(self, recording: Prepared) -> Any:
        """What the method looks at in a recording."""

    def fit(self, normals: Sequence[Any]) -> None:
        """Learns what is normal from what was seen of normal recordings."""

    def judge(self, seen: Any) -> Found:
        """How abnormal a recording is, and where."""

    def vector(self, seen: Any) -> np.ndarray | None:
        """Features (d,) that a head could be fitted on, if the method has any."""


class Restoration:
    """The detector, with the deviation score by all groups of its features and by some of them."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def observe(self, recording: Prepared) -> AnomalyScore:
        return self.detector.score_prepared(*recording)

    def fit(self, normals: Sequence[AnomalyScore]) -> None:
        features, names = np.stack([seen.features for seen in normals]), feature_names(LEADS)
        plain = {group for groups in FAMILIES.values() for group in groups} - set(_NETWORK_GROUPS)
        chosen = {DEVIATION: None, NETWORK_ALONE: _NETWORK_GROUPS, WITHOUT_NETWORK: plain}
        self.families = {name: fit_families(features, names, only) for name, only in chosen.items()}

    def judge(self, seen: AnomalyScore) -> Found:
        statistics = {name: getattr(seen, name) for name in RANKS}
        statistics |= {name: largest_deviation(families, seen.features) for name, families in self.families.items()}
        statistics[LASTING_DEVIATION] = largest_deviation(self.families[DEVIATION], seen.features, LASTING)
        for name, family in self.families[DEVIATION].items():
            statistics[f"{DEVIATION}, {name} alone"] = family.deviation(seen.features)
        return Found(statistics, {name: getattr(seen, name) for name in MAPS})

    def vector(self, seen: AnomalyScore) -> np.ndarray:
        return seen.features


def main() -> None:
    """Runs the benchmark and writes its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of real recordings")
    parser.add_argument("--networks", type=Path, help="folder to keep the trained networks in, and to take them from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--width", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--train", type=int, default=3100, help="simulated normal recordings to learn from")
    parser.add_argument("--choose", type=int, default=60, help="abnormal recordings to choose by, and normal ones")
    parser.add_argument("--test", type=int, default=150, help="abnormal recordings to test on, and normal ones")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/anomaly.csv"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = list(run(arguments, Path(scratch)))
    write_table(arguments.output, COLUMNS, (dict(zip(COLUMNS, row, strict=True)) for row in rows))


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[tuple]:
    """Rows of the table, printed as they come."""
    folder = arguments.networks or scratch / "networks"
    store = build_store(find_recordings(arguments.data), TRANSFORM, scratch / "store", 1) if arguments.data else None
    choice, sealed = Simulated(CHOICE_SEED, arguments.choose), Simulated(SEALED_SEED, arguments.test)
    for name in (OURS, *BASELINES, UNMASKED):
        if name in BASELINES:
            method, normals = BASELINES[name](WINDOW), normal_recordings(BASELINE_NORMALS)
        else:
            masking = "none" if name == UNMASKED else "full"
            method = Restoration(network(folder / masking, arguments, masking))
            normals = normal_recordings(REFERENCE, arguments.train)
        method.fit([method.observe(r) for r in tqdm(normals, desc=f"{name}, normal", leave=False)])
        yield from shown(simulated_rows(name, method, choice, sealed))
        yield from shown(timing_rows(name, method, normals[:TIMED]))
        if store is not None:
            well, ill = judged_diagnoses(name, method)
            yield from shown(diagnosis_rows(name, well, ill))
            yield from shown(real_rows(name, method, store, best_statistic(well, ill)))


def shown(rows: Iterable[tuple]) -> Iterator[tuple]:
    """The same rows, printed."""
    for row in rows:
        print(*row, sep=", ", flush=True)
        yield row


def prepared(signals: np.ndarray) -> list[Prepared]:
    """Recordings (n, 12, t) in mV at 500 Hz, prepared as the network wants them."""
    found = (prepare(signal, 500, LEADS, TRANSFORM) for signal in signals)
    return [(p.samples, p.statistics) for p in found]


def normal_recordings(n: int, start: int = 0) -> list[Prepared]:
    """Normal recordings ``start`` to ``start + n - 1`` of the training seed."""
    return prepared(simulate(n, TRAIN_SEED, labels="NSR", start=start, marks=False).signals)


def network(folder: Path, arguments: argparse.Namespace, masking: str) -> Detector:
    """The detector of a folder; trained first if it is not there."""
    if (folder / DETECTOR_FILE).is_file():
        return Detector.load(folder)
    settings = RestorationSettings(
        masking=masking, minutes=arguments.minutes, steps=10**6, batch_size=arguments.batch_size,
        learning_rate=arguments.lr,
    )  # fmt: skip
    recordings = normal_recordings(arguments.train + REFERENCE)
    learned, held_out = np.split(np.arange(len(recordings)), [arguments.train])
    model = untrained_model(LEADS, settings.seed, width=arguments.width)
    return fit_detector(recordings, learned, held_out, model, folder, settings=settings, workers=1)


# --- simulated -------------------------------------------------------------------------------------------------------


class Simulated:
    """Abnormal recordings with masks, and as many other normal ones."""

    def __init__(self, seed: int, n: int) -> None:
        made = simulate_anomalies(n, seed)
        self.kinds, self.masks = np.array(made.kinds), made.masks
        self.abnormal = prepared(made.signals)
        self.normal = prepared(simulate_anomalies(n, seed, start=n).clean)

    def judged(self, method: Method, name: str) -> tuple[list[Found], list[Found]]:
        """What a method finds in the normal and in the abnormal ones."""
        return tuple(
            [method.judge(method.observe(r)) for r in tqdm(recordings, desc=name, leave=False)]
            for recordings in (self.normal, self.abnormal)
        )


def simulated_rows(name: str, method: Method, choice: Simulated, sealed: Simulated) -> Iterator[tuple]:
    """Detection by every number, then by the chosen one, localisation and Dice, for all anomalies and for each kind."""
    chosen_on, (normal, abnormal) = choice.judged(method, name), sealed.judged(method, name)
    statistics = list(normal[0].statistics)
    for statistic in statistics:
        found = interval_between(normal, abnormal, statistic)
        yield ("simulated", name, f"detection AUC by {statistic}", "all", len(abnormal), *numbers(found))
    statistic = best_statistic(*chosen_on)
    best = max(chosen_on[0][0].maps, key=lambda key: localisation_auc(choice.masks, maps_of(chosen_on[1], key)))
    threshold = dice_threshold(choice.masks, maps_of(chosen_on[1], best))
    yield ("simulated", name, f"chosen detection AUC: {statistic}", "all", len(abnormal),
           *numbers(interval_between(normal, abnormal, statistic)))  # fmt: skip
    for kind in ("all", *np.unique(sealed.kinds)):
        those = np.flatnonzero((sealed.kinds == kind) | (kind == "all"))
        of_kind = [abnormal[i] for i in those]
        masks, maps = sealed.masks[those], maps_of(of_kind, best)
        measures = {
            f"localisation AUC by {best}": localisation_auc(masks, maps),
            f"Dice of {best} at the chosen threshold": dice(masks, maps, threshold),
        }
        if kind != "all":
            measures = {f"detection AUC by {statistic}": auc_between(normal, of_kind, statistic)} | measures
        for measure, value in measures.items():
            yield ("simulated", name, measure, kind, len(those), f"{value:.4f}", "", "")


def best_statistic(normal: Sequence[Found], abnormal: Sequence[Found]) -> str:
    """The number that separates these best; parts of the deviation score are reported, never chosen."""
    candidates = [key for key in normal[0].statistics if not key.startswith(f"{DEVIATION}, ")]
    return max(candidates, key=lambda key: auc_between(normal, abnormal, key))


def maps_of(found: Sequence[Found], key: str) -> list[np.ndarray]:
    """One of the maps of each recording."""
    return [f.maps[key] for f in found]


def auc_between(normal: Sequence[Found], abnormal: Sequence[Found], statistic: str) -> float:
    """Detection AUC of a statistic."""
    return float(interval_between(normal, abnormal, statistic, draws=1).value)


def interval_between(
    normal: Sequence[Found], abnormal: Sequence[Found], statistic: str, draws: int = DRAWS
) -> Interval:
    """The same with its interval over recordings."""
    labels = np.arange(len(normal) + len(abnormal)) >= len(normal)
    scores = np.array([found.statistics[statistic] for found in (*normal, *abnormal)])
    return auc_interval(labels, scores, np.arange(len(labels)), draws)


def auc_interval(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray, draws: int = DRAWS) -> Interval:
    """Detection AUC with its interval over groups."""
    return bootstrap(
        lambda counts: detection_auc(np.repeat(labels, counts), np.repeat(scores, counts)),
        len(labels), groups, n=draws,
    )  # fmt: skip


def numbers(found: Interval) -> tuple[str, ...]:
    """Value and interval as text."""
    return tuple(f"{value:.4f}" for value in (found.value, found.low, found.high))


def timing_rows(name: str, method: Method, recordings: Sequence[Prepared]) -> Iterator[tuple]:
    """Milliseconds of one thread for a recording: processor time, which other work on the machine hardly changes."""
    seconds = []
    with on_threads(1):
        for recording in recordings:
            started = time.process_time()
            method.judge(method.observe(recording))
            seconds.append(time.process_time() - started)
    value = f"{1000 * np.median(seconds):.1f}"
    yield ("simulated", name, "processor ms a recording, one thread", "normal", len(recordings), value, "", "")


# --- real ------------------------------------------------------------------------------------------------------------


def judged_diagnoses(name: str, method: Method) -> tuple[list[Found], list[Found]]:
    """What a method that knows simulated normal recordings finds in other such ones, and in simulated diagnoses."""
    made = simulate(DIAGNOSED, CHOICE_SEED, marks=False)
    ill = [not SPACE.is_plain_normal(codes) for codes in made.codes]
    well = simulate(DIAGNOSED, CHOICE_SEED, labels="NSR", start=DIAGNOSED, marks=False)
    return tuple(
        [method.judge(method.observe(r)) for r in tqdm(prepared(signals), desc=f"{name}, diagnoses", leave=False)]
        for signals in (well.signals, made.signals[ill])
    )


def diagnosis_rows(name: str, well: Sequence[Found], ill: Sequence[Found]) -> Iterator[tuple]:
    """Detection of simulated diagnoses by every number."""
    for statistic in well[0].statistics:
        found = interval_between(well, ill, statistic)
        yield ("simulated diagnoses", name, f"detection AUC by {statistic}", "all", len(ill), *numbers(found))


def real_rows(name: str, method: Method, store: Store, chosen: str) -> Iterator[tuple]:
    """Detection of real recordings, five-fold; ``chosen`` is the number to detect by."""
    normal = np.zeros(len(store), bool)
    normal[plain_sinus_rhythm(store, SPACE)] = True
    groups = patient_groups(store)
    fold = stratified_parts(normal[:, None], groups, [1 / FOLDS] * FOLDS, seed=0)
    seen = [method.observe(tuple(map(np.asarray, store[i]))) for i in tqdm(range(len(store)), desc=name, leave=False)]
    vectors = [method.vector(s) for s in seen]
    # The shares move all probabilities of a fold alike, and with them no place within it.
    abnormality = (
        cross_fit(np.stack(vectors), ~normal[:, None], [1 - normal.mean()], fold)[:, 0]
        if vectors[0] is not None else None
    )  # fmt: skip
    places: dict[str, np.ndarray] = {}
    alarm = np.zeros(len(store), bool)
    for k in range(FOLDS):
        method.fit([seen[i] for i in np.flatnonzero(normal & (fold != k))])
        test_on = np.flatnonzero(fold == k)
        found = [method.judge(seen[i]) for i in test_on]
        values = {key: np.array([f.statistics[key] for f in found]) for key in found[0].statistics}
        alarm[test_on] = values[chosen] > ALARM
        if abnormality is not None:
            values[CALIBRATED] = abnormality[test_on]
        for key, of_fold in values.items():  # folds have scales of their own: places within the fold are comparable
            places.setdefault(key, np.zeros(len(store)))[test_on] = rankdata(of_fold) / len(found)
    for key, scores in places.items():
        yield from _class_rows(name, key, scores, normal, groups, store)
    found = auc_interval(~normal, places[chosen], groups)
    yield ("real", name, f"chosen detection AUC: {chosen}, {FOLDS} folds", "all", int((~normal).sum()), *numbers(found))
    if chosen in (DEVIATION, LASTING_DEVIATION):  # in standard deviations of normal recordings; other numbers are not
        sources = np.array([recording.source for recording in store.recordings])
        for source in ("all", *np.unique(sources[normal])):
            those = normal & ((sources == source) | (source == "all"))
            yield ("real", name, f"false alarms: {chosen} above {ALARM:g}", source, int(those.sum()),
                   f"{alarm[those].mean():.4f}", "", "")  # fmt: skip


def _class_rows(
    name: str, statistic: str, scores: np.ndarray, normal: np.ndarray, groups: np.ndarray, store: Store
) -> Iterator[tuple]:
    labels = np.array([SPACE.encode(recording.codes) for recording in store.recordings])
    wanted = [("all", ~normal), *((d.abbreviation, labels[:, i] & ~normal) for i, d in enumerate(SPACE.classes))]
    for title, positive in wanted:
        if positive.sum() < _FEWEST_OF_CLASS:
            continue
        chosen = np.flatnonzero(normal | positive)
        found = auc_interval(positive[chosen], scores[chosen], groups[chosen])
        yield ("real", name, f"detection AUC by {statistic}, {FOLDS} folds", title, int(positive.sum()),
               *numbers(found))  # fmt: skip


if __name__ == "__main__":
    main()
