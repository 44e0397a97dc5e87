"""Detecting and localising what is not normal, after training on normal recordings only. Knows no training.

The way of a recording: windows and heartbeats (`windows`), what is hidden of them (`masks`), restoration
(`leadset.models.cross_restoration`), errors and scores (`scores`), what they say of it (`features`), how that differs
from recordings known to be normal (`reference`). `detector` keeps the result in a folder, `metrics` judges it, `arrays`
reads the file format of the paper's authors. In an entry `answers` scores recordings and `head` makes classes of their
features; `attributes` are what a network may be asked for besides.
"""

from __future__ import annotations

from leadset.anomaly.detector import Detector
from leadset.anomaly.features import feature_names
from leadset.anomaly.scores import AnomalyScore, Scoring

__all__ = ["AnomalyScore", "Detector", "Scoring", "feature_names"]
