"""Statistics of values of which some are missing: NaN is left out, and of nothing the answer is NaN.

NumPy's own say the same with a warning, and to silence it changes a setting of the whole process, which threads share.
"""

from __future__ import annotations

import numpy as np


def median(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Median along an axis, as `numpy.nanmedian`."""
    count = np.expand_dims((~np.isnan(values)).sum(axis), axis)
    if not values.shape[axis]:
        return np.full(count.squeeze(axis).shape, np.nan)
    ordered = np.sort(values, axis=axis)  # NaN comes last
    lower, upper = (np.take_along_axis(ordered, np.maximum(at, 0), axis) for at in ((count - 1) // 2, count // 2))
    return ((lower + upper) / 2).squeeze(axis)


def mean(values: np.ndarray) -> float:
    """Mean of all, as `numpy.nanmean`."""
    known = values[~np.isnan(values)]
    return known.mean() if len(known) else np.nan


def spread(values: np.ndarray) -> float:
    """Standard deviation of all, as `numpy.nanstd`; a single value, known or not, has none."""
    known = values[~np.isnan(values)]
    return known.std() if len(known) and values.size > 1 else np.nan
