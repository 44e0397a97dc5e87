"""The one path of a recording: training and `run_model` both go through `prepare` and `cut_window`.

Knows nothing of files or models. A recording in millivolts becomes a `Prepared` one (twelve leads in standard order,
repaired, resampled, filtered, quantised to int16), and windows are cut from that. What the store keeps on disk is
exactly a `Prepared` recording, so that a stored window and a window of a recording just read are the same tensor.
"""

from __future__ import annotations

from leadset.preprocess.filters import FILTERS
from leadset.preprocess.prepare import Prepared, check, prepare, preparing_flags, usable_leads
from leadset.preprocess.resampling import resample
from leadset.preprocess.scaling import SCALINGS
from leadset.preprocess.spec import InputSpec, Transform
from leadset.preprocess.windows import (
    MAX_TEST_WINDOWS,
    cut_window,
    random_start,
    signal_start,
    signal_windows,
    window_starts,
)

__all__ = [
    "FILTERS",
    "MAX_TEST_WINDOWS",
    "SCALINGS",
    "InputSpec",
    "Prepared",
    "Transform",
    "check",
    "cut_window",
    "prepare",
    "preparing_flags",
    "random_start",
    "resample",
    "signal_start",
    "signal_windows",
    "usable_leads",
    "window_starts",
]
