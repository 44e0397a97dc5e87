"""Detecting and localising what is not normal, after training on normal recordings only. Knows no training.

The way of a recording: windows and heartbeats (`windows`), what is hidden of them (`masks`), restoration
(`leadset.models.cross_restoration`), errors and scores (`scoring`, which makes a `score`), what they say of it
(`features`), how that differs from recordings known to be normal (`reference`). `detector` keeps the result in a
folder, `metrics` judges it, `arrays` reads the file format of the paper's authors. In an entry `answers` scores
recordings and `head` makes classes of their features; `attributes` are what a network may be asked for besides.
"""

from __future__ import annotations

from importlib import import_module

# Imported when first used: the command line offers what `masks`, `score` and `arrays` name, without PyTorch.
_LAZY = {
    "AnomalyScore": "leadset.anomaly.score",
    "Detector": "leadset.anomaly.detector",
    "Scoring": "leadset.anomaly.scoring",
    "feature_names": "leadset.anomaly.features",
}
__all__ = ["AnomalyScore", "Detector", "Scoring", "feature_names"]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
