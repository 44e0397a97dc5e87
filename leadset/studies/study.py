"""Published studies repeated: their recipe and the kit's on one division, beside the table of the paper.

A study is a file of ``published/NAME.toml``: the data set and its task, the protocol, what the published recipe is in
keys of the configuration, ablations as options of the network, the table of the paper with its source, and what is done
otherwise here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from leadset.config import Config, Setting
from leadset.scoring import accuracy, f_measure, macro
from leadset.scoring.by_class import CLASS_SCORES, class_counts, hamming_loss
from leadset.scoring.metrics import areas, challenge_metric
from leadset.studies import STUDY_FOLDER, study_names
from leadset.studies.anomaly_study import AnomalyStudy
from leadset.studies.answers import Row
from leadset.studies.compared import over_seeds
from leadset.studies.comparison import KIT, PUBLISHED, Paper, write_comparison
from leadset.studies.entrants import Entrant, Trained
from leadset.studies.results import Results

#: The kind of study that `leadset.studies.anomaly_study` repeats, as files name it.
_ANOMALY = "anomaly"
_DRAWS = 200
# The option of an ablation that names another network.
_OTHER = "architecture"
# Thresholds among which the STAR study's F1 is the largest.
_GRID = np.linspace(0, 1, 10)


@dataclass(frozen=True)
class Study:
    """A published study.

    Attributes:
        name: of its file.
        title, citation: of the publication.
        data, task: the importer and its task; empty: its default one.
        fetch: where the data set is to be had.
        model: the architecture.
        leads: lead sets, as the configuration has them.
        protocol: its name and what it is to be made with.
        folds: of a k-fold protocol.
        differences: what is done otherwise here, a sentence each.
        published: the published recipe, by keys of the configuration.
        ablations: options of the network, by name; ``architecture`` among them takes another network instead.
        paper: its table, as of `leadset.studies.comparison.Paper`.
    """

    name: str
    title: str
    citation: str
    data: str
    fetch: str
    model: str
    leads: list[str]
    protocol: dict[str, Any]
    differences: list[str]
    published: dict[str, Any]
    ablations: dict[str, dict[str, Any]]
    paper: dict[str, Any]
    task: str = ""
    folds: int = 5

    def settings(self, recipe: str) -> Iterator[Setting]:
        """What a recipe says of the configuration."""
        source = f"study {self.name}"
        yield Setting(source, "architectures", [self.model])
        yield Setting(source, "lead_sets", self.leads)
        yield Setting(source, "folds", self.folds)
        for key, value in (self.published if recipe == PUBLISHED else {}).items():
            yield Setting(source, key, value)


@cache
def list_studies() -> dict[str, Study | AnomalyStudy]:
    """The studies by name.

    Raises:
        ValueError: a file is none of a study.
    """
    return {name: _read(STUDY_FOLDER / f"{name}.toml") for name in study_names()}


def _read(path: Path) -> Study | AnomalyStudy:
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
        kind = AnomalyStudy if values.pop("kind", "") == _ANOMALY else Study
        return kind(name=path.stem, **values)
    except (tomllib.TOMLDecodeError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: not the file of a study: {error}") from None


def study_entrants(study: Study, configs: Mapping[str, Config], ablations: Iterable[str] = ()) -> list[Entrant]:
    """Who takes part: both recipes, and ablations with the recipe of the kit.

    Args:
        study: which.
        configs: by recipe.
        ablations: names of the study's ablations.

    Raises:
        ValueError: the study has no such ablation.
    """
    names = {PUBLISHED: "published", KIT: "kit"}
    entrants: list[Entrant] = [Trained(names[recipe], recipe, config) for recipe, config in configs.items()]
    for name in ablations:
        if name not in study.ablations:
            known = ", ".join(study.ablations) or "none"
            raise ValueError(f"study {study.name}: found ablation {name!r}, expected one of {known}")
        entrants.append(Trained(name.replace(" ", "_"), name, _ablated(study, configs[KIT], study.ablations[name])))
    return entrants


def _ablated(study: Study, config: Config, options: Mapping[str, Any]) -> Config:
    """The configuration with other options of the network; where no weights have them, it starts from nothing."""
    if _OTHER in options:
        return replace(config, architectures=(options[_OTHER],))
    presets = {
        name: {**by_model, study.model: {**by_model.get(study.model, {}), **options}}
        for name, by_model in config.presets.items()
    }
    return replace(config, presets=presets)


# --- the metrics of papers -------------------------------------------------------------------------------------------


def sample_f(labels: np.ndarray, decisions: np.ndarray) -> float:
    """Harmonic mean of precision averaged over recordings with a decision and recall averaged over all, as STAR has it.

    Labels and decisions are (n, k) bool.
    """
    right, decided = (labels & decisions).sum(axis=1), decisions.sum(axis=1)
    if not right.any():
        return 0.0
    precision = (right[decided > 0] / decided[decided > 0]).mean()
    recall = (right / np.maximum(labels.sum(axis=1), 1)).mean()
    return float(2 * precision * recall / (precision + recall))


def sample_f_max(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The largest `sample_f` over ten thresholds, which it takes from the very labels: an oracle."""
    return max(sample_f(labels, probabilities >= threshold) for threshold in _GRID)


def _of_classes(name: str) -> Callable[..., float]:
    """The mean over classes of one of `CLASS_SCORES`."""
    return lambda y, b, p, space: macro(CLASS_SCORES[name](class_counts(y, b)))


#: By name: title, and the metric of labels, decisions and probabilities, (n, k) each, and of their label space.
METRICS: dict[str, tuple[str, Callable[..., float]]] = {
    "auroc": ("AUROC", lambda y, b, p, space: macro(areas(y, p)[0])),
    "auprc": ("AUPRC", lambda y, b, p, space: macro(areas(y, p)[1])),
    "accuracy": ("accuracy, all classes right", lambda y, b, p, space: accuracy(y, b)),
    "class_accuracy": ("accuracy by class", _of_classes("class_accuracy")),
    "specificity": ("specificity", _of_classes("specificity")),
    "hamming_loss": ("Hamming loss", lambda y, b, p, space: hamming_loss(y, b)),
    "f1": ("F1", lambda y, b, p, space: macro(f_measure(y, b))),
    "sample_f": ("F1 by recording", lambda y, b, p, space: sample_f(y, b)),
    "sample_f_max": ("F1 by recording, oracle", lambda y, b, p, space: sample_f_max(y, p)),
    "challenge_metric": ("Challenge metric", lambda y, b, p, space: challenge_metric(y, b, space)),
}
# What is shown of ours beside each metric of a paper that knows the labels.
_HONEST = {"sample_f_max": "sample_f"}


# --- the comparison --------------------------------------------------------------------------------------------------


def compare(study: Study, results: Results, out: Path, simulated: bool) -> Path:
    """Writes the paper's table beside ours, as CSV and as a page; returns the page's path.

    Args:
        study: which.
        results: of its entrants.
        out: folder to write to.
        simulated: whether they are of stand-ins, which the page then says.
    """
    ours = {tuple(row): _scores(study, results, row) for row in results.rows}
    several = any(len(seeds) > 1 for seeds in results.seeds.values())
    drawn = "patients and seeds, of means over seeds" if several else "patients"
    notes = [
        f"{len(results.labels)} test recordings, percent, 95 % bootstrap intervals over {drawn}.",
        "leadset report writes every other score of these answers beside this page.",
    ]
    titles = {name: title for name, (title, _) in METRICS.items()}
    return write_comparison(study, Paper(**study.paper), ours, titles, notes, out, simulated)


def _scores(study: Study, results: Results, row: Row) -> dict[str, tuple[float, float, float]]:
    """By metric of the paper, and of the honest one beside an oracle: mean over seeds and interval, in percent."""
    wanted = []
    for metric in study.paper["columns"].values():
        wanted += [metric] + ([_HONEST[metric]] if metric in _HONEST else [])
    scores = {}
    for name in wanted:
        metric = partial(METRICS[name][1], space=results.space)
        interval = over_seeds(results, row, metric, _DRAWS)
        scores[name] = tuple(100 * float(value) for value in (interval.value, interval.low, interval.high))
    return scores
