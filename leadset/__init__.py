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

_LAZY = {
    "Recording": "leadset.recordings",
    "read_recording": "leadset.recordings",
    "delineate": "leadset.waves",
    "list_models": "leadset.models",
    "create_model": "leadset.models",
    "load_entry": "leadset.entry",
}

__all__ = ["CLASSES", "LEAD_SETS", "scoring", *_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name == "scoring":
        return import_module("leadset.scoring")
    raise AttributeError(f"module 'leadset' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
