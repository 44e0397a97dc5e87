"""Detecting and localising what is not normal, after training on normal recordings only.

The way of a recording: windows and heartbeats (`windows`), what is hidden of them (`masks`), restoration
(`leadset.models.cross_restoration`), errors and scores (`scores`), what they say of it (`features`), how that differs
from recordings known to be normal (`normals`, `reference`). `fit` trains, `detector` keeps the result in a folder,
`metrics` judges it, `arrays` reads the file format of the paper's authors. In an entry `answers` scores recordings and
`head` makes classes of their features; `attributes` are what a network may be asked for besides.
"""

from __future__ import annotations

from leadset.anomaly.detector import Detector, fit_detector
from leadset.anomaly.features import feature_names
from leadset.anomaly.fit import FitSettings
from leadset.anomaly.scores import AnomalyScore, Scoring

__all__ = ["AnomalyScore", "Detector", "FitSettings", "Scoring", "feature_names", "fit_detector"]
