"""Leadset: a submission kit for ECG classification on 12, 6, 4, 3 and 2 leads.

The public names are listed in ``__all__``; what needs a heavy import is imported on first use.
"""

from __future__ import annotations

import os
from importlib import import_module

from leadset.classes import CHALLENGE, label_space
from leadset.leads import LEAD_SETS

__version__ = "0.2.0"

# Read when PyTorch is imported. Its threads would otherwise spin while they wait for each other, which makes small
# networks several times slower on a machine that has anything else to do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

#: The 26 scored classes, in weight-table order.
CLASSES: tuple[str, ...] = label_space(CHALLENGE).keys

# Public names with the module that each is in; then the modules that are public themselves.
_LAZY = {
    "Recording": "leadset.recordings",
    "read_recording": "leadset.recordings",
    "open_dataset": "leadset.recordings.importers",
    "delineate": "leadset.waves",
    "list_models": "leadset.models",
    "create_model": "leadset.models",
    "load_entry": "leadset.entry",
}
_MODULES = ("adapters", "entry", "explain", "scoring", "waves")

__all__ = ["CLASSES", "LEAD_SETS", *_MODULES, *_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _MODULES:
        return import_module(f"leadset.{name}")
    raise AttributeError(f"module 'leadset' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
