"""Detection of recordings and localisation of samples, as Jiang et al. (2023) measure them, and Dice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadset.scoring.metrics import auroc

#: Levels at which a threshold for Dice is looked for: quantiles of the map.
_LEVELS = 1 - np.geomspace(0.002, 0.6, 80)


def detection_auc(abnormal: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of scores (n,) against labels (n,); NaN where one of the two labels is missing."""
    return float(auroc(np.asarray(abnormal, bool)[:, None], np.asarray(scores, float)[:, None])[0])


def pooled(masks: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All scored points of all recordings in one row: labels and errors, without the samples whose map is NaN.

    Args:
        masks: (l, t) or (n, l, t) of each recording, true or 1 where it is abnormal.
        maps: of the same shapes.

    Raises:
        ValueError: a mask is not of the shape of its map.
    """
    for mask, heat in zip(masks, maps, strict=True):
        if np.shape(mask) != np.shape(heat):
            raise ValueError(f"mask of shape {np.shape(mask)}, expected that of its map {np.shape(heat)}")
    known = [~np.isnan(heat) for heat in maps]
    labels = np.concatenate([np.asarray(mask, bool)[k] for mask, k in zip(masks, known, strict=True)])
    return labels, np.concatenate([np.asarray(heat)[k] for heat, k in zip(maps, known, strict=True)])


def localisation_auc(masks: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> float:
    """One area under the ROC curve over all points (recording, lead, sample); arguments as of `pooled`."""
    labels, errors = pooled(masks, maps)
    return detection_auc(labels, errors)


def dice(masks: Sequence[np.ndarray], maps: Sequence[np.ndarray], threshold: float) -> float:
    """Dice coefficient 2|A ∩ B| / (|A| + |B|) of what is marked and what is above the threshold, over all points."""
    labels, errors = pooled(masks, maps)
    above = errors > threshold
    return float(2 * (labels & above).sum() / max(labels.sum() + above.sum(), 1))


def dice_threshold(masks: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> float:
    """The threshold with the largest `dice`, out of 80 quantiles; to be chosen on recordings that are not tested on."""
    labels, errors = pooled(masks, maps)
    positives, everything = np.sort(errors[labels]), np.sort(errors)
    thresholds = everything[np.minimum((_LEVELS * len(everything)).astype(int), len(everything) - 1)]
    hits = len(positives) - np.searchsorted(positives, thresholds, side="right")
    marked = len(everything) - np.searchsorted(everything, thresholds, side="right")
    return float(thresholds[np.argmax(2 * hits / np.maximum(len(positives) + marked, 1))])
