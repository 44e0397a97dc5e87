"""Wavelet transform, PQRST delineation and the features computed from the marks."""

from __future__ import annotations

from leadset.waves.delineator import METHODS, Delineation, delineate
from leadset.waves.marks import MARKS

__all__ = ["MARKS", "METHODS", "Delineation", "delineate"]
