"""Scores as the text of the Challenge's two score files: three decimals, no line break at the end."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

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


def notices(scores: Scores) -> list[str]:
    """What to know of the scores besides: classes without an AUROC, output files that answer nothing, or hold what was
    probably not meant, classes that no file names, and recordings that are not scored."""
    texts, known = [], int(np.isfinite(scores.class_auroc).sum())
    if known < len(scores.space):
        text = f"{scores.n_recordings} recordings; AUROC is the mean over {known} of {len(scores.space)} classes"
        texts.append(f"{text}: of the others none of the recordings has them, or all")
    if scores.unanswered:
        text = f"{len(scores.unanswered)} of {scores.n_recordings} outputs are empty, have lines of unequal length or"
        texts.append(f"{text} name none of the classes, and count as none; the first is {scores.unanswered[0]}")
    for kind, doubt in scores.doubts.items():
        text = f"{doubt.files} of {scores.n_recordings} outputs have {kind}"
        texts.append(f"{text}; the first is {doubt.first}: found {doubt.found!r}")
    if scores.unnamed and len(scores.unanswered) < scores.n_recordings:
        text = f"no output names {len(scores.unnamed)} of the {len(scores.space)} classes of label space"
        text = f"{text} {scores.space.name}, which count as 0: {', '.join(scores.unnamed)}"
        texts.append(f"{text}; if they are of another label space: --label-space FILE")
    if scores.left_out:
        text = f"{len(scores.left_out)} headers are no files, and their recordings are not scored"
        texts.append(f"{text}; the first is {scores.left_out[0]}")
    return texts


def _decimals(values: Iterable[float]) -> str:
    return ",".join(f"{value:.3f}" for value in values)
