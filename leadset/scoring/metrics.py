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
    # Not `nan_statistics.mean`, which adds up in another order than the evaluation of the Challenge.
    values = np.asarray(values, dtype=float)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def areas(labels: np.ndarray, scalars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and AUPRC of each class (k,), by the trapezoidal and the step rule over all distinct scalars.

    Both are NaN for a class without positives; AUROC is NaN, AUPRC is not, for a class without negatives. A scalar
    that is not finite counts as 0, as it does in an output file.

    Raises:
        ValueError: labels and scalars are not matrices of one shape.
    """
    both = np.array([_areas_of_class(y, p) for y, p in zip(*_by_class(labels, scalars), strict=True)])
    return both[:, 0], both[:, 1]


class Ranking:
    """The same areas for resampled data sets: the scalars of each class are sorted once.

    Arguments and errors as in `areas`.
    """

    def __init__(self, labels: np.ndarray, scalars: np.ndarray) -> None:
        self._classes = [_rank(y, p) for y, p in zip(*_by_class(labels, scalars), strict=True)]

    def areas(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and AUPRC (k,) with each recording counted ``counts`` (n,) times."""
        both = np.array([_resampled_areas(*ranked, counts) for ranked in self._classes])
        return both[:, 0], both[:, 1]


def _by_class(labels: np.ndarray, scalars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and finite scalars, checked, as (k, n)."""
    labels = as_matrix(labels).astype(bool, copy=False)
    scalars = as_matrix(scalars, like=labels).astype(float, copy=False)
    finite = np.isfinite(scalars)
    if not finite.all():
        scalars = np.where(finite, scalars, 0.0)
    return np.ascontiguousarray(labels.T), np.ascontiguousarray(scalars.T)


def _areas_of_class(positive: np.ndarray, scalars: np.ndarray) -> tuple[float, float]:
    """The areas only grow at the scalars of positives; counting there spares sorting labels along with scalars."""
    positives, negatives = np.sort(scalars[positive]), np.sort(scalars[~positive])
    first = np.flatnonzero(np.append(True, positives[1:] != positives[:-1]))[: len(positives)]
    tp = len(positives) - first
    fp = len(negatives) - np.searchsorted(negatives, positives[first], side="left")
    fp_above = len(negatives) - np.searchsorted(negatives, positives[first], side="right")
    return _sum_areas(tp[::-1], fp[::-1], fp_above[::-1], len(positives), len(negatives))


def _rank(positive: np.ndarray, scalars: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recordings by descending scalar, which of them are positive, and the last place of each run of equal scalars."""
    order = np.argsort(-scalars)
    ranked = scalars[order]
    return order, positive[order], np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))


def _resampled_areas(
    order: np.ndarray, positive: np.ndarray, last: np.ndarray, counts: np.ndarray
) -> tuple[float, float]:
    weights = counts[order]
    tp = np.cumsum(weights * positive)[last]
    fp = np.cumsum(weights)[last] - tp
    return _sum_areas(tp, fp, np.append(0, fp[:-1]), tp[-1], fp[-1])


def _sum_areas(
    tp: np.ndarray, fp: np.ndarray, fp_above: np.ndarray, n_positive: int, n_negative: int
) -> tuple[float, float]:
    """Areas from the true and false positives at descending scalars, and the false ones strictly above each."""
    if n_positive == 0:
        return np.nan, np.nan
    gain = np.diff(tp / n_positive, prepend=0.0)
    # Where nothing is decided yet nothing is gained either: its precision 0/0 may be taken as 0.
    auprc = _running_sum(gain * (tp / np.maximum(tp + fp, 1)))
    if n_negative == 0:
        return np.nan, auprc
    tnr, tnr_above = (n_negative - fp) / n_negative, (n_negative - fp_above) / n_negative
    return _running_sum(0.5 * gain * (tnr + tnr_above)), auprc


def _running_sum(terms: np.ndarray) -> float:
    """Sum from first to last (`numpy.sum` adds in pairs, which rounds differently)."""
    return np.cumsum(terms)[-1]


def auroc(labels: np.ndarray, scalars: np.ndarray) -> np.ndarray:
    """Area under the receiver operating characteristic (k,); see `areas`."""
    return areas(labels, scalars)[0]


def auprc(labels: np.ndarray, scalars: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve (k,); see `areas`."""
    return areas(labels, scalars)[1]


def accuracy(labels: np.ndarray, decisions: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Share of the recordings whose decisions all agree with the labels."""
    labels = as_matrix(labels).astype(bool, copy=False)
    right = (labels == as_matrix(decisions, like=labels).astype(bool)).all(axis=1)
    return float(np.average(right, weights=counts))


def f_measure(labels: np.ndarray, decisions: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """F-measure 2TP / (2TP + FP + FN) of each class (k,); NaN for one that is neither labelled nor decided."""
    labels = as_matrix(labels).astype(bool, copy=False)
    decisions = as_matrix(decisions, like=labels).astype(bool, copy=False)
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
    labels = as_matrix(labels, len(space)).astype(bool, copy=False)
    decisions = as_matrix(decisions, like=labels).astype(bool, copy=False)
    n = len(labels)
    labelled, decided = _positives(labels), _positives(decisions)
    normal = np.arange(n), np.full(n, space.normal_index)
    n_labelled = np.bincount(labelled[0], minlength=n)
    n_either = np.bincount(_positives(labels | decisions)[0], minlength=n)
    observed = _reward(labelled, decided, n_either, space.weights)
    correct = _reward(labelled, labelled, n_labelled, space.weights)
    inactive = _reward(labelled, normal, n_labelled + ~labels[:, space.normal_index], space.weights)
    return (observed - inactive) / (correct - inactive) if correct != inactive else 0.0


def _reward(
    labelled: tuple[np.ndarray, np.ndarray],
    decided: tuple[np.ndarray, np.ndarray],
    union: np.ndarray,
    weights: np.ndarray,
) -> float:
    """Weights times the confusion matrix, to which `numpy.bincount` adds pair after pair in the recordings' order.

    Args:
        labelled, decided: recording and class of each positive, recording after recording.
        union: (n,) number of classes that are labelled or decided, 1 or more where one is labelled.
    """
    recording, label = labelled
    n_decided = np.bincount(decided[0], minlength=len(union))
    # Each label once for every decision on its recording, and beside it those decisions.
    repeats = n_decided[recording]
    ahead = (np.cumsum(n_decided) - n_decided)[recording] - (np.cumsum(repeats) - repeats)
    pair = np.arange(repeats.sum()) + np.repeat(ahead, repeats)
    cell = np.repeat(label * len(weights), repeats) + decided[1][pair]
    share = np.repeat(1.0 / union[recording], repeats)
    return float(np.sum(weights * np.bincount(cell, share, minlength=weights.size).reshape(weights.shape)))


def _positives(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each true entry, row after row (`numpy.nonzero`, which is slow on matrices)."""
    place = np.flatnonzero(matrix)
    row = place // matrix.shape[1]
    return row, place - row * matrix.shape[1]
