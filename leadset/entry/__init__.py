"""A trained entry: the model folder, its networks, how their answers are joined and decided, one recording or many."""

from __future__ import annotations

from importlib import import_module

# Imported when first used: what answers without PyTorch shares modules of this package.
_LAZY = {
    "Answer": "leadset.entry.answer",
    "Embedding": "leadset.entry.answer",
    "Entry": "leadset.entry.prediction",
    "load_entry": "leadset.entry.prediction",
    "network_inputs": "leadset.entry.inputs",
}

__all__ = ["Answer", "Embedding", "Entry", "load_entry", "network_inputs"]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
