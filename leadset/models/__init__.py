"""Architectures, one file each; `layers` holds what several of them share."""

from leadset.models.registry import (
    count_parameters,
    create_model,
    create_network,
    list_models,
    model_entry,
    model_options,
    register_model,
)

__all__ = [
    "count_parameters",
    "create_model",
    "create_network",
    "list_models",
    "model_entry",
    "model_options",
    "register_model",
]
