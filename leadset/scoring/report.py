"""Scores as the text of the Challenge's two score files: three decimals, no line break at the end."""

from __future__ import annotations

from collections.abc import Iterable

from leadset.scoring.evaluation import Scores


def scores_text(scores: Scores) -> str:
    """``SCORES.csv``: a line of names, a line of values."""
    values = (scores.auroc, scores.auprc, scores.accuracy, scores.f_measure, scores.challenge_metric)
    return "\n".join(["AUROC,AUPRC,Accuracy,F-measure,Challenge metric", _decimals(values)])


def class_scores_text(scores: Scores) -> str:
    """``CLASS_SCORES.csv``: a line of classes, each its codes sorted as text, and a line for each score by class."""
    rows = {
        "Classes": ",".join("|".join(sorted(diagnosis.codes)) for diagnosis in scores.space.classes),
        "AUROC": _decimals(scores.class_auroc),
        "AUPRC": _decimals(scores.class_auprc),
        "F-measure": _decimals(scores.class_f_measure),
    }
    return "\n".join(f"{name},{values}" for name, values in rows.items())


def _decimals(values: Iterable[float]) -> str:
    return ",".join(f"{value:.3f}" for value in values)
