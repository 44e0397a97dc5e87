"""What an answer rests on: attributions of samples, waves, leads and extra inputs, and checks of them."""

from __future__ import annotations

from leadset.explain.explanation import (
    DEFAULT_METHOD,
    METHODS,
    ClassExplanation,
    Explanation,
    UnexplainedError,
    explain,
)
from leadset.explain.segments import WAVES, Segments, find_segments

__all__ = [
    "DEFAULT_METHOD", "METHODS", "WAVES", "ClassExplanation", "Explanation", "Segments", "UnexplainedError", "explain",
    "find_segments",
]
