"""Published studies repeated: their recipe and the kit's on one division, beside the table of the paper.

A study is a file of ``published/NAME.toml``: the data set and its task, the protocol, what the published recipe is in
keys of the configuration, ablations as options of the network, the table of the paper with its source, and what is done
otherwise here.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from leadset.config import Config, Setting
from leadset.scoring import f_measure, macro
from leadset.scoring.by_class import CLASS_SCORES, class_counts
from leadset.scoring.intervals import bootstrap, over
from leadset.scoring.metrics import areas
from leadset.studies.answers import Row
from leadset.studies.entrants import Entrant, Trained
from leadset.studies.page import Page, number, with_interval
from leadset.studies.results import Results
from leadset.utils.files import write_atomically

_FOLDER = Path(__file__).with_name("published")
TABLE_FILE, PAGE_FILE, STAND_IN = "study.csv", "study.html", "stand_in"
#: The two recipes of a study.
PUBLISHED, KIT = "published recipe", "recipe of the kit"
_DRAWS, _SEED = 200, 2021
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
        ablations: options of the network, by name.
        paper: source, columns (with our metric) and rows of the paper's table, in percent.
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
def list_studies() -> dict[str, Study]:
    """The studies by name.

    Raises:
        ValueError: a file is none of a study.
    """
    return {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}


def _read(path: Path) -> Study:
    try:
        with open(path, "rb") as file:
            return Study(name=path.stem, **tomllib.load(file))
    except (tomllib.TOMLDecodeError, TypeError) as error:
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


#: By name: title, and the metric of labels, decisions and probabilities, (n, k) each.
METRICS = {
    "auroc": ("AUROC", lambda y, b, p: macro(areas(y, p)[0])),
    "class_accuracy": ("accuracy by class", lambda y, b, p: macro(CLASS_SCORES["class_accuracy"](class_counts(y, b)))),
    "f1": ("F1", lambda y, b, p: macro(f_measure(y, b))),
    "sample_f": ("F1 by recording", lambda y, b, p: sample_f(y, b)),
    "sample_f_max": ("F1 by recording, oracle", lambda y, b, p: sample_f_max(y, p)),
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
    ours = {row: _scores(study, results, row) for row in results.rows}
    metrics = list(dict.fromkeys(metric for row in ours.values() for metric in row))
    _write_table(out / TABLE_FILE, study, ours, simulated)
    page = Page(study.title)
    page.text(study.citation, note=True)
    if simulated:
        page.text(
            "SIMULATED STAND-INS: the recordings are simulated, with other classes than those of the study. This page "
            "shows that the study runs; its numbers say nothing about the paper's."
        )
    page.section("Ours")
    page.text(f"{len(results.labels)} test recordings, percent, 95 % bootstrap intervals over hearts.", note=True)
    head = ["model", "leads", *(METRICS[metric][0] for metric in metrics)]
    cells = [
        [number(row.model), number(row.leads), *(with_interval(*scores[m], digits=2) for m in metrics)]
        for row, scores in ours.items()
    ]
    page.table(head, cells)
    page.section("The paper's")
    columns = study.paper["columns"]
    page.text(f"Source: {study.paper['source']}.", note=True)
    head = ["model", *(f"{name} ({METRICS[metric][0]})" for name, metric in columns.items())]
    rows = study.paper["rows"].items()
    page.table(head, [[number(model), *(_published(values.get(c)) for c in columns)] for model, values in rows])
    page.section("What is done otherwise here")
    for sentence in study.differences:
        page.text(sentence)
    page.text("leadset report writes every other score of these answers beside this page.", note=True)
    with write_atomically(out / PAGE_FILE) as file:
        file.write(page.html())
    return out / PAGE_FILE


def _scores(study: Study, results: Results, row: Row) -> dict[str, tuple[float, float, float]]:
    """By metric of the paper, and of the honest one beside an oracle: value and interval, in percent."""
    arrays = results.labels, results.decided[row], results.probabilities[row]
    wanted = []
    for metric in study.paper["columns"].values():
        wanted += [metric] + ([_HONEST[metric]] if metric in _HONEST else [])
    scores = {}
    for name in wanted:
        interval = bootstrap(over(METRICS[name][1], *arrays), len(arrays[0]), results.groups, _DRAWS, _SEED)
        scores[name] = tuple(100 * float(value) for value in (interval.value, interval.low, interval.high))
    return scores


def _published(values: list[float] | None) -> str:
    if values is None:
        return "–"
    return f"{values[0]:.2f}" + (f"<small>± {values[1]:.2f}</small>" if len(values) > 1 else "")


def _write_table(path: Path, study: Study, ours: Mapping[Row, dict], simulated: bool) -> None:
    source = "simulated stand-ins" if simulated else "this run"
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["model", "leads", "metric", "percent", "low_or_minus", "high_or_plus", "source"])
        for row, scores in ours.items():
            for metric, (value, low, high) in scores.items():
                writer.writerow([*row, metric, *(f"{v:.2f}" for v in (value, low, high)), source])
        for model, values in study.paper["rows"].items():
            for column, metric in study.paper["columns"].items():
                value, *deviation = values.get(column, [""])
                ends = [f"{value - deviation[0]:.2f}", f"{value + deviation[0]:.2f}"] if deviation else ["", ""]
                writer.writerow([model, "12", metric, value, *ends, study.paper["source"]])
