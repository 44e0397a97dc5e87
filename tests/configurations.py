"""Configurations of runs that take seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leadset.config import Config, default_config


def tiny_config(**changes: Any) -> Config:
    """`default.toml` with a preset `tiny` to be filled, a few steps from nothing, in this process, without a bank."""
    config = default_config()
    pretrain = replace(config.pretrain, below=0)
    start = replace(config.start, weights="none")
    small = {"preset": "tiny", "epochs": 1, "min_steps": 2, "batch_size": 16, "workers": 1}
    small |= {"pretrain": pretrain, "start": start}
    return replace(config, **(small | changes))
