"""Statistics of values of which some are missing (NaN): they are left out, and without any value the result is NaN.

NumPy's functions return the same, with a warning where there is no value. Suppressing it changes a setting of the
whole process, which other threads see.
"""

from __future__ import annotations

import numpy as np


def median(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Median along an axis, as `numpy.nanmedian`, but several times as fast on short rows."""
    if not values.shape[axis]:
        return np.full(values.sum(axis).shape, np.nan)
    ordered, n = np.sort(values, axis=axis), values.shape[axis]
    if np.isnan(ordered.take(-1, axis)).any():  # NaN comes last
        ordered = np.moveaxis(ordered, axis, 0)
        return median_of_sorted(ordered, (~np.isnan(ordered)).sum(axis=0))
    return (ordered.take((n - 1) // 2, axis) + ordered.take(n // 2, axis)) / 2


def median_of_sorted(ordered: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Median along the first axis, which is sorted, and of which the first ``known`` are not NaN."""
    lower, upper = (np.take_along_axis(ordered, np.maximum(at, 0)[None], 0)[0] for at in ((known - 1) // 2, known // 2))
    return (lower + upper) / 2


def mean(values: np.ndarray) -> float:
    """Mean of all, as `numpy.nanmean`."""
    known = values[~np.isnan(values)]
    return known.mean() if len(known) else np.nan


def spread(values: np.ndarray) -> float:
    """Standard deviation of all, as `numpy.nanstd`; NaN for a single value."""
    known = values[~np.isnan(values)]
    return known.std() if len(known) and values.size > 1 else np.nan
