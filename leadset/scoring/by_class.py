"""Scores of decisions class by class, besides those of the Challenge: from the four counts of each class.

F2 and G2 are those of the Challenge of 2020 (Perez Alday et al., Physiological Measurement 41:124003, 2020) without its
weights of recordings: F2 = 5TP / (5TP + FP + 4FN), G2 = TP / (TP + FP + 2FN).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from leadset.scoring.metrics import as_matrix


class ClassCounts(NamedTuple):
    """True and false positives, false and true negatives of each class, (k,) each."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


def class_counts(labels: np.ndarray, decisions: np.ndarray) -> ClassCounts:
    """The counts of labels and decisions (n, k) bool.

    Raises:
        ValueError: they are not matrices of one shape.
    """
    labels = as_matrix(labels).astype(bool, copy=False)
    decisions = as_matrix(decisions, like=labels).astype(bool, copy=False)
    both = (labels & decisions).sum(axis=0)
    labelled, decided = labels.sum(axis=0), decisions.sum(axis=0)
    return ClassCounts(both, decided - both, labelled - both, len(labels) - labelled - decided + both)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, NaN where there is nothing to share."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


#: By name: a score of each class (k,), NaN where it is not defined.
CLASS_SCORES: dict[str, Callable[[ClassCounts], np.ndarray]] = {
    "f1": lambda c: _share(2.0 * c.tp, 2 * c.tp + c.fp + c.fn),
    "f2": lambda c: _share(5.0 * c.tp, 5 * c.tp + c.fp + 4 * c.fn),
    "g2": lambda c: _share(1.0 * c.tp, c.tp + c.fp + 2 * c.fn),
    "precision": lambda c: _share(1.0 * c.tp, c.tp + c.fp),
    "recall": lambda c: _share(1.0 * c.tp, c.tp + c.fn),
    "specificity": lambda c: _share(1.0 * c.tn, c.tn + c.fp),
    "class_accuracy": lambda c: _share(1.0 * (c.tp + c.tn), sum(c)),
}


def hamming_loss(labels: np.ndarray, decisions: np.ndarray) -> float:
    """Share of all pairs of recording and class that are decided wrongly; labels and decisions (n, k) bool."""
    labels = as_matrix(labels).astype(bool, copy=False)
    return float((labels != as_matrix(decisions, like=labels).astype(bool)).mean())


def confusion_shares(labels: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """Of the recordings with the class of a row, the share (k, k) that the class of a column is decided for.

    Rows of classes without recordings are NaN.
    """
    labels = as_matrix(labels).astype(float)
    together = labels.T @ as_matrix(decisions, like=labels).astype(float)
    totals = labels.sum(axis=0)[:, None]
    return np.divide(together, totals, out=np.full(together.shape, np.nan), where=totals > 0)
