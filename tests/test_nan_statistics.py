"""Statistics of values of which some are missing, against those of NumPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from leadset.utils import nan_statistics


@pytest.mark.parametrize("shape", ["nothing", "one beat", "no P wave", "some"])
def test_what_is_missing_is_left_out_without_a_warning(shape):
    values = np.random.default_rng(3).normal(size=(4, 7))
    values[np.random.default_rng(4).random(values.shape) < 0.4] = np.nan
    values = {"nothing": values[:, :0], "one beat": values[:, :1], "no P wave": values * np.nan, "some": values}[shape]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = (
            nan_statistics.median(values),
            nan_statistics.median(values, axis=0),
            nan_statistics.mean(values),
            nan_statistics.spread(values),
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = np.nanmedian(values, axis=1), np.nanmedian(values, axis=0), np.nanmean(values), np.nanstd(values)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)
