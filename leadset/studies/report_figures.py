"""The figures of a report's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from leadset.plots.report import (
    calibration_figure,
    curves_figure,
    distribution_figure,
    intervals_figure,
    matrix_figure,
    ranks_figure,
)
from leadset.studies import tables
from leadset.studies.compared import FREQUENT, frequent
from leadset.studies.page import Page
from leadset.studies.ranking import LEVEL, Ranking
from leadset.studies.report_ranking import drawn
from leadset.studies.results import Results
from leadset.studies.tables import Line

# Models whose calibration is drawn: more lines than colours cannot be told apart.
_CALIBRATED = 8


def add_figures(
    page: Page, results: Results, made: Mapping[str, Sequence[Line]], ranked: Sequence[Ranking]
) -> None:
    """Adds the sections that are figures.

    Args:
        page: of the report.
        results: of the cross-validation.
        made: the tables by name.
        ranked: the rankings.
    """
    page.section("Comparison")
    panels: dict[str, list[tuple[str, float, float, float]]] = {}
    for line in made["scores"]:
        values = (line[f"challenge_metric{end}"] for end in ("", "_low", "_high"))
        panels.setdefault(line["leads"], []).append((line["model"], *values))
    page.figure(intervals_figure(panels, "Challenge metric"), "Challenge metric with 95 % intervals over patients.")
    for leads in results.lead_sets:
        caption = f"Distribution over classes, {leads} leads; a dot is a class."
        page.figure(_distributions(made["classes"], leads), caption)
    for one in drawn(ranked):
        figure = ranks_figure(one.models, one.mean_ranks.tolist(), one.groups(), f"mean rank over {one.n} {one.blocks}")
        told = f"models on a bar are not told apart at {LEVEL}"
        page.figure(figure, f"Ranks by AUROC over {one.n} {one.blocks}, {one.leads} leads; {told}.")
    page.section("Curves")
    if any(len(seeds) > 1 for seeds in results.seeds.values()):
        page.text("Of the answers after training with the first seed of each model.", note=True)
    often = np.flatnonzero(frequent(results))
    names = [results.space.abbreviations[k] for k in often]
    for leads in results.lead_sets:
        row = tables.reference(results, leads)
        if len(often):
            curves = curves_figure(results.evidence[:, often], results.probabilities[row][:, often], names)
            page.figure(curves, f"{row.model}, {leads} leads: the classes with {FREQUENT} recordings or more.")
        best = [line["model"] for line in made["scores"] if line["leads"] == leads][:_CALIBRATED]
        by_model = {other.model: results.probabilities[other] for other in results.of_leads(leads)}
        calibration = calibration_figure(results.evidence, {model: by_model[model] for model in best})
        what = "all pairs of recording and class, in tenths of the range and, to the right, of the pairs"
        few = f"; the {_CALIBRATED} models of highest Challenge metric" if len(by_model) > _CALIBRATED else ""
        page.figure(calibration, f"{leads} leads: {what}{few}.")
    page.section("Confusion")
    there = np.flatnonzero(results.evidence.any(axis=0))
    present = [results.space.abbreviations[k] for k in there]
    for leads in results.lead_sets:
        row = tables.reference(results, leads)
        shares = tables.confusion(results, row)[np.ix_(there, there)]
        what = "of the recordings with the class of a row, the share that is decided to have that of a column"
        caption = f"{row.model}, {leads} leads: {what}."
        page.figure(matrix_figure(shares, present, "decided", "labelled"), caption)
    together = tables.cooccurrence(results)[np.ix_(there, there)].astype(float)
    caption = "Number of recordings that have both classes."
    page.figure(matrix_figure(together, present, "and", "labelled", counts=True), caption)


def _distributions(lines: Sequence[Line], leads: str) -> str:
    by_score: dict[str, dict[str, np.ndarray]] = {}
    for score, title in (("f1", "F1"), ("auprc", "AUPRC")):
        by_model: dict[str, list[float]] = {}
        for line in lines:
            if line["leads"] == leads and line["recordings"]:
                by_model.setdefault(line["model"], []).append(line[score])
        by_score[title] = {model: np.array(values) for model, values in by_model.items()}
    return distribution_figure(by_score)
