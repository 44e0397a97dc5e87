"""Detecting and localising anomalies: the restoring network against plain ways, on simulated and on real recordings.

    python benchmarks/anomaly.py [DATA] [--minutes 60] [--width 32] [--output benchmarks/anomaly.csv]

Simulated: all train on the same normal recordings of one seed. Normal and abnormal recordings of a second seed choose
the number a method detects by, the map it localises by and the threshold of Dice; those of a third, sealed seed are
tested on once. Every abnormal recording has one local anomaly with its exact mask; the normal ones are others.

Real, where DATA holds Challenge recordings: sinus rhythm alone against the rest, five folds. The network that learned
from simulated recordings goes on learning from the normal recordings of the other four. No abnormal one is learned or
chosen from, so every number to detect by is reported. Intervals are bootstrapped over patients.

``--minutes`` bounds the training of each of the two networks (with masks, without); a fold takes a tenth of it.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from anomaly_baselines import BASELINES, Found, Prepared
from scipy.stats import rankdata
from tqdm import tqdm

from leadset.anomaly import Detector, FitSettings, fit_detector
from leadset.anomaly.detector import TRANSFORM
from leadset.anomaly.metrics import detection_auc, dice, dice_threshold, localisation_auc
from leadset.anomaly.normals import FEWEST, plain_sinus_rhythm
from leadset.anomaly.scores import RANKS
from leadset.classes import label_space
from leadset.files import write_atomically
from leadset.leads import LEADS
from leadset.preprocess import prepare
from leadset.recordings import find_recordings
from leadset.recordings.store import Store, build_store
from leadset.scoring.intervals import bootstrap
from leadset.simulate import simulate, simulate_anomalies
from leadset.training.split import related_groups, stratified_parts

COLUMNS = ("data", "method", "measure", "of", "n", "value", "low", "high")
TRAIN_SEED, CHOICE_SEED, SEALED_SEED = 101, 202, 404
OURS, UNMASKED = "cross-restoration", "cross-restoration without masks"
FOLDS = 5
# Recordings that only say what normal ones score; for small sets those of training do.
REFERENCE = 100
_FEWEST_OF_CLASS = 5

Method = Callable[[Prepared], Found]


def main() -> None:
    """Runs the benchmark and writes its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of real recordings")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--train", type=int, default=4000, help="simulated normal recordings to learn from")
    parser.add_argument("--test", type=int, default=400, help="abnormal recordings to test on, and as many normal ones")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/anomaly.csv"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = list(run(arguments, Path(scratch)))
    with write_atomically(arguments.output) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(rows)


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[tuple]:
    """Rows of the table, printed as they come."""
    normals = prepared(simulate(arguments.train, TRAIN_SEED, labels="NSR", marks=False).signals)
    options = {"width": arguments.width}
    settings = {"steps": 10**6, "batch_size": arguments.batch_size, "learning_rate": arguments.learning_rate}
    networks = {
        name: train(normals, options, scratch / masking, masking=masking, minutes=arguments.minutes, **settings)
        for name, masking in ((OURS, "full"), (UNMASKED, "none"))
    }
    methods: dict[str, Method] = {name: detector_method(network) for name, network in networks.items()}
    for name, baseline in BASELINES.items():
        methods[name] = baseline(networks[OURS].model.input_spec)
        methods[name].fit(normals)
    choice, sealed = (Simulated(seed, arguments.test) for seed in (CHOICE_SEED, SEALED_SEED))
    for name, method in methods.items():
        yield from shown(simulated_rows(name, method, choice, sealed))
    if arguments.data:
        settings["minutes"] = arguments.minutes / 10
        yield from shown(real_rows(arguments.data, networks, methods, settings, scratch))


def shown(rows: Iterable[tuple]) -> Iterator[tuple]:
    """The same rows, printed."""
    for row in rows:
        print(*row, sep=", ", flush=True)
        yield row


def prepared(signals: np.ndarray) -> list[Prepared]:
    """Recordings (n, 12, t) in mV at 500 Hz, prepared as the network wants them."""
    found = (prepare(signal, 500, LEADS, TRANSFORM) for signal in signals)
    return [(p.samples, p.statistics) for p in found]


def train(recordings: Sequence[Prepared], options: dict, folder: Path, initial=None, **settings) -> Detector:
    """A detector trained on these recordings, but for a few that are the reference where there are enough."""
    everything = np.arange(len(recordings))
    learned, held_out = np.split(everything, [max(len(everything) - REFERENCE, FEWEST)])
    return fit_detector(recordings, learned, held_out, LEADS, folder, FitSettings(**settings), options, initial, 1)


def detector_method(detector: Detector) -> Method:
    """The detector as a function of a prepared recording."""

    def method(recording: Prepared) -> Found:
        found = detector.score_prepared(*recording)
        statistics = {name: getattr(found, name) for name in RANKS} | {"surprise": detector.surprise(found)}
        return Found(statistics, {"map": found.map, "deviation": found.deviation})

    return method


# --- simulated -------------------------------------------------------------------------------------------------------


class Simulated:
    """Abnormal recordings with masks, and as many other normal ones."""

    def __init__(self, seed: int, n: int) -> None:
        made = simulate_anomalies(n, seed)
        self.kinds, self.masks = np.array(made.kinds), made.masks
        self.abnormal = prepared(made.signals)
        self.normal = prepared(simulate_anomalies(n, seed, start=n).clean)


def simulated_rows(name: str, method: Method, choice: Simulated, sealed: Simulated) -> list[tuple]:
    """The rows of a method: detection, localisation, Dice, for all anomalies and for each kind."""
    chosen_on, tested_on = (
        [[method(r) for r in tqdm(recordings, desc=name, leave=False)] for recordings in (part.normal, part.abnormal)]
        for part in (choice, sealed)
    )
    statistic = max(chosen_on[0][0].statistics, key=lambda key: auc_between(*chosen_on, key))
    best = max(chosen_on[0][0].maps, key=lambda key: localisation_auc(choice.masks, maps_of(chosen_on[1], key)))
    threshold = dice_threshold(choice.masks, maps_of(chosen_on[1], best))
    rows = []
    for kind in ("all", *np.unique(sealed.kinds)):
        those = np.flatnonzero((sealed.kinds == kind) | (kind == "all"))
        abnormal = [tested_on[1][i] for i in those]
        masks, maps = sealed.masks[those], maps_of(abnormal, best)
        for measure, value in (
            (f"detection AUC by {statistic}", auc_between(tested_on[0], abnormal, statistic)),
            (f"localisation AUC by {best}", localisation_auc(masks, maps)),
            (f"Dice of {best} at the chosen threshold", dice(masks, maps, threshold)),
        ):
            rows.append(("simulated", name, measure, kind, len(those), f"{value:.4f}", "", ""))
    return rows


def maps_of(found: Sequence[Found], key: str) -> list[np.ndarray]:
    """One of the maps of each recording."""
    return [f.maps[key] for f in found]


def auc_between(normal: Sequence[Found], abnormal: Sequence[Found], statistic: str) -> float:
    """Detection AUC of a statistic."""
    labels = np.arange(len(normal) + len(abnormal)) >= len(normal)
    return detection_auc(labels, [found.statistics[statistic] for found in (*normal, *abnormal)])


# --- real ------------------------------------------------------------------------------------------------------------


def real_rows(
    folder: Path, networks: dict[str, Detector], methods: dict[str, Method], settings: dict, scratch: Path
) -> Iterator[tuple]:
    """Detection of real recordings, five-fold."""
    store = build_store(find_recordings(folder), TRANSFORM, scratch / "store", n_jobs=1)
    normal = np.zeros(len(store), bool)
    normal[plain_sinus_rhythm(store)] = True
    groups = related_groups([r.digest for r in store.recordings], [r.patient for r in store.recordings])
    fold = stratified_parts(normal[:, None], groups, [1 / FOLDS] * FOLDS, seed=0)
    for name, method in methods.items():
        places: dict[str, np.ndarray] = {}
        for k in range(FOLDS):
            learned = [tuple(map(np.asarray, store[i])) for i in np.flatnonzero(normal & (fold != k))]
            if name in networks:
                method = detector_method(_continued(networks[name], learned, settings, scratch / f"{name}-{k}"))
            else:
                method.fit(learned)
            test_on = np.flatnonzero(fold == k)
            found = [method(store[i]) for i in tqdm(test_on, desc=f"{name}, fold {k}", leave=False)]
            for key in found[0].statistics:  # folds have scales of their own: places within the fold are comparable
                values = rankdata([f.statistics[key] for f in found]) / len(found)
                places.setdefault(key, np.zeros(len(store)))[test_on] = values
        for key, scores in places.items():
            yield from _class_rows(name, key, scores, normal, groups, store)


def _continued(detector: Detector, recordings: list[Prepared], settings: dict, folder: Path) -> Detector:
    return train(
        recordings, detector.model.options, folder, detector.model.state_dict(),
        masking=detector.scoring.masking, **{**settings, "learning_rate": settings["learning_rate"] / 4},
    )  # fmt: skip


def _class_rows(
    name: str, statistic: str, scores: np.ndarray, normal: np.ndarray, groups: np.ndarray, store: Store
) -> Iterator[tuple]:
    space = label_space()
    labels = np.array([space.encode(recording.codes) for recording in store.recordings])
    wanted = [("all", ~normal), *((d.abbreviation, labels[:, i] & ~normal) for i, d in enumerate(space.classes))]
    for title, positive in wanted:
        if positive.sum() < _FEWEST_OF_CLASS:
            continue
        chosen = np.flatnonzero(normal | positive)
        found = bootstrap(
            lambda counts, chosen=chosen, positive=positive: detection_auc(
                np.repeat(positive[chosen], counts), np.repeat(scores[chosen], counts)
            ),
            len(chosen), groups[chosen], n=500,
        )  # fmt: skip
        numbers = (f"{value:.4f}" for value in (found.value, found.low, found.high))
        yield ("real", name, f"detection AUC by {statistic}, {FOLDS} folds", title, int(positive.sum()), *numbers)


if __name__ == "__main__":
    main()
