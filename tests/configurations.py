"""Configurations of runs that take seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leadset.config import Config, default_config


def tiny_config(**changes: Any) -> Config:
    """`default.toml` with a preset `tiny` to be filled, a few steps in this process and no simulated recordings."""
    config = default_config()
    pretrain = replace(config.pretrain, below=0)
    small = {"preset": "tiny", "epochs": 1, "min_steps": 2, "batch_size": 16, "workers": 1, "pretrain": pretrain}
    return replace(config, **(small | changes))
