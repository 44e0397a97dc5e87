"""The scores of the Challenge on arrays: labels and decisions (n, k) bool, scalars (n, k), n recordings, k classes.

Source: Reyna et al., *Will Two Do? Varying Dimensions in Electrocardiography*, CinC 48, 2021, and the evaluation that
belongs to it. Values are added up in the order in which that evaluation adds them, so that three decimals agree with
it even where a score lies halfway between two of them.

``counts`` (n,) says how often each recording occurs, which is how `leadset.scoring.intervals` writes resampled sets.
"""

from __future__ import annotations

import numpy as np

from leadset.classes import LabelSpace


def as_matrix(values: np.ndarray, n_classes: int | None = None, *, like: np.ndarray | None = None) -> np.ndarray:
    """``values`` as an array, checked to be (n, k).

    Raises:
        ValueError: other dimensions, no recording, other than ``n_classes`` columns, or not the shape of ``like``.
    """
    values = np.asarray(values)
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"found an array of shape {values.shape}, expected (recordings, classes), not empty")
    if n_classes is not None and values.shape[1] != n_classes:
        raise ValueError(f"found {values.shape[1]} columns, expected {n_classes} classes")
    if like is not None and values.shape != like.shape:
        raise ValueError(f"found an array of shape {values.shape}, expected that of the labels {like.shape}")
    return values


def macro(values: np.ndarray) -> float:
    """Mean over the classes that have a value; NaN if none has."""
    values = np.asarray(values, dtype=float)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


class Ranking:
    """The scalars of each class in descending order: sorted once, then the areas of any resampling without a sort.

    A scalar that is not finite counts as 0, as it does in an output file.

    Raises:
        ValueError: labels and scalars are not matrices of one shape.
    """

    def __init__(self, labels: np.ndarray, scalars: np.ndarray) -> None:
        labels = as_matrix(labels).astype(bool)
        scalars = np.nan_to_num(as_matrix(scalars, like=labels).astype(float), posinf=0.0, neginf=0.0)
        self._classes = [_rank(labels[:, k], np.ascontiguousarray(scalars[:, k])) for k in range(labels.shape[1])]

    def areas(self, counts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and AUPRC (k,), by the trapezoidal and the step rule over all distinct scalars.

        Both are NaN for a class without positives; AUROC is NaN, AUPRC is not, for a class without negatives.
        """
        areas = np.array([_areas(*ranked, counts) for ranked in self._classes])
        return areas[:, 0], areas[:, 1]


def _rank(positive: np.ndarray, scalars: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recordings by descending scalar, which of them are positive, and the last place of each run of equal scalars."""
    order = np.argsort(-scalars)
    ranked = scalars[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return order, positive[order], last


def _areas(order: np.ndarray, positive: np.ndarray, last: np.ndarray, counts: np.ndarray | None) -> tuple[float, float]:
    if counts is None:
        tp, decided = np.cumsum(positive)[last], last + 1
    else:
        weights = counts[order]
        tp, decided = np.cumsum(weights * positive)[last], np.cumsum(weights)[last]
    n_positive, n_negative = tp[-1], decided[-1] - tp[-1]
    if n_positive == 0:
        return np.nan, np.nan
    tpr = tp / n_positive
    gain = np.diff(tpr, prepend=0.0)
    # A scalar that was not drawn gains nothing, whatever its precision, so that its 0/0 may be taken as 0.
    auprc = _running_sum(gain * (tp / np.maximum(decided, 1)))
    if n_negative == 0:
        return np.nan, auprc
    tnr = (n_negative - (decided - tp)) / n_negative
    return _running_sum(0.5 * gain * (tnr + np.append(1.0, tnr[:-1]))), auprc


def _running_sum(terms: np.ndarray) -> float:
    """Sum from first to last (`numpy.sum` adds in pairs, which rounds differently)."""
    return np.cumsum(terms)[-1]


def auroc(labels: np.ndarray, scalars: np.ndarray) -> np.ndarray:
    """Area under the receiver operating characteristic (k,); see `Ranking.areas`."""
    return Ranking(labels, scalars).areas()[0]


def auprc(labels: np.ndarray, scalars: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve (k,); see `Ranking.areas`."""
    return Ranking(labels, scalars).areas()[1]


def accuracy(labels: np.ndarray, decisions: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Share of the recordings whose decisions all agree with the labels."""
    labels = as_matrix(labels).astype(bool)
    right = (labels == as_matrix(decisions, like=labels).astype(bool)).all(axis=1)
    return float(np.average(right, weights=counts))


def f_measure(labels: np.ndarray, decisions: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """F-measure 2TP / (2TP + FP + FN) of each class (k,); NaN for one that is neither labelled nor decided."""
    labels = as_matrix(labels).astype(bool)
    decisions = as_matrix(decisions, like=labels).astype(bool)
    if counts is None:
        twice_tp = 2.0 * (labels & decisions).sum(axis=0)
        denominator = labels.sum(axis=0) + decisions.sum(axis=0)
    else:
        twice_tp = 2.0 * (counts @ (labels & decisions))
        denominator = counts @ labels + counts @ decisions
    return np.divide(twice_tp, denominator, out=np.full(labels.shape[1], np.nan), where=denominator > 0)


def challenge_metric(labels: np.ndarray, decisions: np.ndarray, space: LabelSpace) -> float:
    """The Challenge metric: 1 for the labels themselves, 0 for always answering ``space.normal``.

    A recording with labels y and decisions b earns the sum of the weights over all pairs in y × b, divided by
    max(1, |y ∪ b|). To score many decisions for the same labels, use `leadset.scoring.ChallengeMetric`.
    """
    labels = as_matrix(labels, len(space)).astype(bool)
    decisions = as_matrix(decisions, like=labels).astype(bool)
    normal = np.zeros_like(labels)
    normal[:, space.normal_index] = True
    observed, correct, inactive = (_reward(labels, b, space.weights) for b in (decisions, labels, normal))
    return (observed - inactive) / (correct - inactive) if correct != inactive else 0.0


def _reward(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> float:
    """Weights times the confusion matrix, to which `numpy.bincount` adds pair after pair in the recordings' order."""
    n_classes = labels.shape[1]
    recording, labelled = np.nonzero(labels)
    pair, decided = np.nonzero(decisions[recording])
    share = 1.0 / np.maximum((labels | decisions).sum(axis=1), 1)
    confusion = np.bincount(labelled[pair] * n_classes + decided, share[recording[pair]], minlength=n_classes**2)
    return float(np.sum(weights * confusion.reshape(n_classes, n_classes)))
