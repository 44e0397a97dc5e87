"""Architectures, one file each; `layers` holds what several of them share."""

from __future__ import annotations

from importlib import import_module

__all__ = [
    "count_parameters",
    "create_model",
    "create_network",
    "list_models",
    "model_entry",
    "model_options",
    "register_model",
]


def __getattr__(name: str):
    # Imported when first used: extra inputs are computed without PyTorch.
    if name in __all__:
        return getattr(import_module("leadset.models.registry"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
