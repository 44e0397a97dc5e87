"""Filters without phase shift against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from leadset.preprocess import FILTERS
from leadset.utils.filtering import ZeroPhaseFilter

DESIGNS = [butter(2, (5, 15), "bandpass", fs=250, output="sos")]
DESIGNS += [design(500) for design in FILTERS.values() if design is not None]


@pytest.mark.parametrize("sections", DESIGNS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_phase_filters_are_those_of_scipy_to_the_bit(sections: np.ndarray, dtype: type) -> None:
    own = ZeroPhaseFilter(sections)
    for samples, padding in ((1, 0), (2, 1), (700, 500), (2500, 15)):
        signal = np.random.default_rng(samples).standard_normal((3, samples)).astype(dtype)
        expected = sosfiltfilt(sections, signal, axis=1, padtype="odd", padlen=padding)
        filtered = own(signal, padding)
        assert filtered.dtype == expected.dtype and np.array_equal(filtered, expected)
