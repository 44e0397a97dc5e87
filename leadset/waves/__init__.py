"""Wavelet transform, PQRST delineation, the features and measurements from the marks, and signal quality."""

from __future__ import annotations

from leadset.waves.assessment import Quality, assess
from leadset.waves.delineator import METHODS, Delineation, delineate
from leadset.waves.features import BEAT_FEATURES, LEAD_FEATURES, RECORD_FEATURES, Feature, Features, extract_features
from leadset.waves.marks import MARKS
from leadset.waves.measurements import QTC_FORMULAS, Measurement, Measurements, measure

__all__ = [
    "BEAT_FEATURES", "LEAD_FEATURES", "MARKS", "METHODS", "QTC_FORMULAS", "RECORD_FEATURES", "Delineation", "Feature",
    "Features", "Measurement", "Measurements", "Quality", "assess", "delineate", "extract_features", "measure",
]
