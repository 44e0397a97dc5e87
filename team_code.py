"""The page that the Challenge's own drivers import; everything it does is in the package `leadset`."""

from __future__ import annotations

from leadset.challenge import load_model, run_model, training_code

__all__ = ["load_model", "run_model", "training_code"]
