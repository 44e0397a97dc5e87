"""A published study of an anomaly detector repeated: it learns from normal recordings, detects and localises others.

A study is a file of ``published/NAME.toml`` with ``kind = "anomaly"``: the data set, its test folds, the published
recipe as settings of the training and options of the network, ablations as either, the table of the paper with its
source, and what is done otherwise here. Recordings go through the arrays of the authors
(`leadset.studies.anomaly_arrays`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from leadset.anomaly.arrays import BENCHMARK, BENCHMARK_LABELS, TEST, TEST_LABELS, TRAIN, ArrayRecordings, read_labels
from leadset.anomaly.detector import DETECTOR_FILE, Detector
from leadset.anomaly.metrics import dice_threshold
from leadset.anomaly.score import MAPS, AnomalyScore
from leadset.entry.detectors import DetectorFolder
from leadset.entry.prediction import SHIPPED
from leadset.leads import LEADS
from leadset.models.prediction import lead_rows
from leadset.scoring.intervals import Interval, bootstrap
from leadset.scoring.metrics import Ranking
from leadset.studies.anomaly_arrays import read_table
from leadset.studies.comparison import KIT, PUBLISHED, Paper, write_comparison
from leadset.training.detector import fit_detector, untrained_model
from leadset.training.tasks.restoration_settings import RestorationSettings
from leadset.utils.files import write_atomically

#: The row of the detector that ships.
SHIPPED_ROW = "detector that ships"
DETECTORS_FOLDER, SCORES_FOLDER = "detectors", "scores"
_DRAWS, _SEED = 500, 2021
# Share of normal recordings that is the reference; share of the benchmark that chooses the threshold of Dice; levels
# of a map that its areas are counted by.
_HELD_OUT, _CHOOSING, _LEVELS = 0.15, 0.2, 2000
#: By name: titles of the metrics.
TITLES = {
    "detection_score": "detection AUC, score of the paper",
    "detection_deviation": "detection AUC, deviation score",
    "localisation_map": "localisation AUC, map of the paper",
    "localisation_deviation": "localisation AUC, deviation map",
    "dice_deviation": "Dice, deviation map",
}
_MAPS = {"localisation_map": MAPS[0], "localisation_deviation": MAPS[1]}


@dataclass(frozen=True)
class AnomalyStudy:
    """A published study of the anomaly detector.

    Attributes:
        name: of its file.
        title, citation: of the publication.
        data, task: the importer and its task.
        test: folds to detect in.
        fetch: where the data set is to be had.
        differences: what is done otherwise here, a sentence each.
        published: the published recipe, ``training`` and ``network``.
        ablations: settings of the training or options of the network, by name.
        paper: as of `leadset.studies.comparison.Paper`.
    """

    name: str
    title: str
    citation: str
    data: str
    task: str
    test: list[str]
    fetch: str
    differences: list[str]
    published: dict[str, dict[str, Any]]
    paper: dict[str, Any]
    ablations: dict[str, dict[str, Any]] = field(default_factory=dict)

    def recipes(self, ablations: Iterable[str], chosen: Mapping[str, Any]) -> dict[str, Recipe]:
        """Both recipes, and ablations of the kit's, with what was chosen for all of them.

        Raises:
            ValueError: no such ablation, or something was chosen that is neither a setting nor an option.
        """
        published = _recipe(RestorationSettings(), self.published["training"] | self.published["network"])
        recipes = {PUBLISHED: published, KIT: _recipe(RestorationSettings(), {})}
        for name in ablations:
            if name not in self.ablations:
                known = ", ".join(self.ablations)
                raise ValueError(f"study {self.name}: found ablation {name!r}, expected one of {known}")
            recipes[name] = _recipe(RestorationSettings(), self.ablations[name])
        return {name: _recipe(recipe.settings, recipe.options | dict(chosen)) for name, recipe in recipes.items()}


@dataclass(frozen=True)
class Recipe:
    """How a detector is made: settings of the training, and options of the network."""

    settings: RestorationSettings
    options: dict[str, Any]


def _recipe(settings: RestorationSettings, changes: Mapping[str, Any]) -> Recipe:
    own = {name for name in changes if name in {f.name for f in fields(settings)}}
    options = {key: value for key, value in changes.items() if key not in own}
    return Recipe(replace(settings, **{name: changes[name] for name in own}), options)


def run_anomaly_study(
    study: AnomalyStudy, arrays: Path, out: Path, recipes: Mapping[str, Recipe], simulated: bool
) -> Path:
    """Trains, detects and localises, and writes the paper's table beside ours; returns the path of the page.

    A row that is done is not repeated, and an interrupted training goes on.

    Args:
        study: which.
        arrays: folder of the authors' arrays.
        out: where detectors, scores and tables go.
        recipes: of `AnomalyStudy.recipes`.
        simulated: whether the recordings are stand-ins, which tables and page then say.

    Raises:
        OSError, ValueError: arrays or detectors are missing, damaged, or others than those asked for.
    """
    ours = {}
    for name, recipe in recipes.items():
        detector = _trained(out / DETECTORS_FOLDER / name.replace(" ", "_"), recipe, arrays)
        ours[name] = _scores(detector, arrays, out / SCORES_FOLDER / f"{name.replace(' ', '_')}.json")
    shipped = DetectorFolder(SHIPPED).for_leads(LEADS)
    ours[SHIPPED_ROW] = _scores(shipped, arrays, out / SCORES_FOLDER / f"{SHIPPED}.json")
    notes = [f"{len(ArrayRecordings(arrays / TEST))} recordings to tell apart, percent, 95 % bootstrap intervals."]
    if not (arrays / BENCHMARK).is_file():
        notes.append(f"Nothing was localised: there is no {BENCHMARK} with its {BENCHMARK_LABELS} in {arrays.name}.")
    rows = {(name, "12"): scores for name, scores in ours.items()}
    return write_comparison(study, Paper(**study.paper), rows, TITLES, notes, out, simulated)


def _trained(folder: Path, recipe: Recipe, arrays: Path) -> Detector:
    """The detector of a recipe, trained if it is not there."""
    wanted = asdict(recipe.settings)
    if (folder / DETECTOR_FILE).is_file():
        detector = Detector.load(folder)
        found = {name: detector.training.get(name) for name in wanted}
        if found != wanted or any(detector.model.options.get(k) != v for k, v in recipe.options.items()):
            raise ValueError(f"{folder}: found a detector trained with {found}, {detector.model.options}, expected "
                             f"{wanted}, {recipe.options}; name another folder for it")  # fmt: skip
        return detector
    recordings = ArrayRecordings(arrays / TRAIN)
    held_out = _held_out(arrays, len(recordings), recipe.settings.seed)
    train = np.setdiff1d(np.arange(len(recordings)), held_out)
    model = untrained_model(LEADS, recipe.settings.seed, **recipe.options)
    return fit_detector(recordings, train, held_out, model, folder, settings=recipe.settings)


def _held_out(arrays: Path, n: int, seed: int) -> np.ndarray:
    """Indices of the normal recordings that are the reference: all of some patients."""
    patients = np.array([row.patient or row.recording for row in read_table(arrays) if row.file == TRAIN])
    people = np.unique(patients, return_inverse=True)[1] if len(patients) == n else np.arange(n)
    order = np.random.default_rng(seed).permutation(people.max() + 1)
    return np.flatnonzero(np.isin(people, order[: round(_HELD_OUT * len(order))]))


def _scores(detector: Detector, arrays: Path, file: Path) -> dict[str, tuple[float, float, float]]:
    """By metric: value and interval, in percent; kept in a file."""
    if not file.is_file():
        found = dict(_detection(detector, arrays))
        if (arrays / BENCHMARK).is_file():
            found |= dict(_localisation(detector, arrays))
        plain = {name: [100 * float(v) for v in (one.value, one.low, one.high)] for name, one in found.items()}
        with write_atomically(file) as target:
            json.dump(plain, target, indent=1)
    return {name: tuple(values) for name, values in json.loads(file.read_text(encoding="utf-8")).items()}


def _detection(detector: Detector, arrays: Path) -> Iterator[tuple[str, Interval]]:
    recordings = ArrayRecordings(arrays / TEST)
    labels = read_labels(arrays / TEST_LABELS, len(recordings)) == 1
    scores = list(detector.score_all(recordings, range(len(recordings)), "detect"))
    numbers = {"detection_score": [s.score for s in scores],
               "detection_deviation": [detector.deviation_score(s) for s in scores]}  # fmt: skip
    people = [row.patient or row.recording for row in read_table(arrays) if row.file == TEST]
    groups = people if len(people) == len(labels) else None
    for name, values in numbers.items():
        ranking = Ranking(labels[:, None], np.array(values)[:, None])
        area = partial(_ranked_area, ranking)
        yield name, bootstrap(area, len(labels), groups, _DRAWS, _SEED)


def _ranked_area(ranking: Ranking, counts: np.ndarray) -> float:
    return float(ranking.areas(counts)[0][0])


def _localisation(detector: Detector, arrays: Path) -> Iterator[tuple[str, Interval]]:
    recordings = ArrayRecordings(arrays / BENCHMARK)
    labels = read_labels(arrays / BENCHMARK_LABELS, len(recordings))
    masks = [np.asarray(label).T[lead_rows(detector.leads)] == 1 for label in labels]
    scores: list[AnomalyScore] = list(detector.score_all(recordings, range(len(recordings)), "localise"))
    for name, kind in _MAPS.items():
        positives, negatives = _counted(masks, [getattr(score, kind) for score in scores])
        yield name, bootstrap(lambda n, p=positives, q=negatives: _area(n @ p, n @ q), len(masks), None, _DRAWS, _SEED)
    order = np.random.default_rng(_SEED).permutation(len(masks))
    chosen, tested = np.split(order, [max(1, round(_CHOOSING * len(order)))])
    if len(tested):
        maps = [score.deviation for score in scores]
        threshold = dice_threshold([masks[i] for i in chosen], [maps[i] for i in chosen])
        yield "dice_deviation", _dice([masks[i] for i in tested], [maps[i] for i in tested], threshold)


def _counted(masks: list[np.ndarray], maps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Abnormal and normal points of each recording by level of the map, (n, levels) each; NaN is no point."""
    sample = np.concatenate([heat[~np.isnan(heat)][::37] for heat in maps])
    levels = np.unique(np.quantile(sample, np.linspace(0, 1, _LEVELS)))
    parts = []
    for mask, heat in zip(masks, maps, strict=True):
        known = ~np.isnan(heat)
        level, abnormal = np.searchsorted(levels, heat[known]), mask[known]
        parts.append([np.bincount(level[abnormal == kind], minlength=len(levels) + 1) for kind in (True, False)])
    return tuple(np.array([part[i] for part in parts], dtype=float) for i in (0, 1))


def _area(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Area under the ROC curve from counts by level; points of one level count half."""
    if not (positives.sum() and negatives.sum()):
        return float("nan")
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / (positives.sum() * negatives.sum()))


def _dice(masks: list[np.ndarray], maps: list[np.ndarray], threshold: float) -> Interval:
    """Dice over all points at a threshold, with its interval over recordings."""
    counts = []
    for mask, heat in zip(masks, maps, strict=True):
        known = ~np.isnan(heat)
        above = heat[known] > threshold
        counts.append([2 * (mask[known] & above).sum(), mask[known].sum() + above.sum()])
    both, either = np.array(counts, dtype=float).T
    return bootstrap(lambda n: float(n @ both / max(n @ either, 1)), len(masks), None, _DRAWS, _SEED)
