"""The page that the Challenge's own drivers import; everything it does is in the package `leadset`."""

from __future__ import annotations

from pathlib import Path

from leadset import challenge
from leadset.challenge import load_model, run_model

__all__ = ["load_model", "run_model", "training_code"]


def training_code(data_directory: str, model_directory: str) -> None:
    """Trains an entry, with the `leadset.toml` beside this file."""
    challenge.training_code(data_directory, model_directory, Path(__file__).resolve().parent)
