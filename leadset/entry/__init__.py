"""A trained entry: the model folder, its networks, how their answers are joined and decided, one recording or many."""

from __future__ import annotations

from leadset.entry.prediction import Answer, Entry, load_entry

__all__ = ["Answer", "Entry", "load_entry"]
