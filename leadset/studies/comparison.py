"""The table of a paper beside ours, as a page and as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from leadset.studies.page import Page, number, with_interval
from leadset.utils.files import write_atomically

TABLE_FILE, PAGE_FILE, STAND_IN = "study.csv", "study.html", "stand_in"
#: The two recipes of a study.
PUBLISHED, KIT = "published recipe", "recipe of the kit"

#: Scores of ours by model and lead set: value, and the ends of its interval, by metric, in percent.
Ours = Mapping[tuple[str, str], Mapping[str, tuple[float, float, float]]]


class Publication(Protocol):
    """What a page says of a study: its title, its citation, and a sentence for each thing that is done otherwise."""

    title: str
    citation: str
    differences: list[str]


@dataclass(frozen=True)
class Paper:
    """The table of a paper.

    Attributes:
        source: where its numbers are from.
        columns: our metric by column.
        rows: by model and column: value, and its deviation where one is given, in percent.
        leads: lead sets of the rows that are not of twelve leads.
    """

    source: str
    columns: dict[str, str]
    rows: dict[str, dict[str, list[float]]]
    leads: dict[str, str] = field(default_factory=dict)

    def leads_of(self, model: str) -> str:
        """The lead set of a row."""
        return self.leads.get(model, "12")


def write_comparison(
    study: Publication, paper: Paper, ours: Ours, titles: Mapping[str, str], notes: Sequence[str], out: Path,
    simulated: bool,
) -> Path:  # fmt: skip
    """Writes the paper's table beside ours, as CSV and as a page; returns the page's path.

    Args:
        study: its title, citation and differences.
        paper: its table.
        ours: our scores.
        titles: of the metrics.
        notes: what ours are, a sentence each.
        out: folder to write to.
        simulated: whether they are of stand-ins, which page and table then say.
    """
    _write_table(out / TABLE_FILE, paper, ours, simulated)
    page = Page(study.title)
    page.text(study.citation, note=True)
    if simulated:
        page.text(
            "SIMULATED STAND-INS: the recordings are simulated, with other classes than those of the study. This page "
            "shows that the study runs; its numbers say nothing about the paper's."
        )
    page.section("Ours")
    for note in notes:
        page.text(note, note=True)
    metrics = [metric for metric in titles if any(metric in row for row in ours.values())]
    page.table(["model", "leads", *(titles[metric] for metric in metrics)], [
        [number(model), number(leads), *(_shown(scores.get(metric)) for metric in metrics)]
        for (model, leads), scores in ours.items()
    ])  # fmt: skip
    page.section("The paper's")
    page.text(f"Source: {paper.source}.", note=True)
    if paper.rows:
        head = ["model", "leads", *(f"{name} ({titles[metric]})" for name, metric in paper.columns.items())]
        page.table(head, [
            [number(model), number(paper.leads_of(model)), *(_published(values.get(c)) for c in paper.columns)]
            for model, values in paper.rows.items()
        ])  # fmt: skip
    page.section("What is done otherwise here")
    for sentence in study.differences:
        page.text(sentence)
    with write_atomically(out / PAGE_FILE) as file:
        file.write(page.html())
    return out / PAGE_FILE


def _shown(score: tuple[float, float, float] | None) -> str:
    return "–" if score is None else with_interval(*score, digits=2)


def _published(values: list[float] | None) -> str:
    if values is None:
        return "–"
    return f"{values[0]:.2f}" + (f"<small>± {values[1]:.2f}</small>" if len(values) > 1 else "")


def _write_table(path: Path, paper: Paper, ours: Ours, simulated: bool) -> None:
    source = "simulated stand-ins" if simulated else "this run"
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["model", "leads", "metric", "percent", "low_or_minus", "high_or_plus", "source"])
        for (model, leads), scores in ours.items():
            for metric, (value, low, high) in scores.items():
                writer.writerow([model, leads, metric, *(f"{v:.2f}" for v in (value, low, high)), source])
        for model, values in paper.rows.items():
            for column, metric in paper.columns.items():
                if column in values:
                    value, *deviation = values[column]
                    ends = [f"{value - deviation[0]:.2f}", f"{value + deviation[0]:.2f}"] if deviation else ["", ""]
                    writer.writerow([model, paper.leads_of(model), metric, value, *ends, paper.source])
