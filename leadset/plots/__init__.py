"""Pictures: the sheet of a recording and its layers, results of a run. Needs the extra ``plots``."""

from __future__ import annotations

from leadset.plots.layers import SignalMap
from leadset.plots.layouts import LAYOUTS
from leadset.plots.notes import Finding, findings_of
from leadset.plots.sheet import SheetOptions, draw_measured_sheet, draw_sheet, save_sheet

__all__ = [
    "LAYOUTS", "Finding", "SheetOptions", "SignalMap", "draw_measured_sheet", "draw_sheet", "findings_of", "save_sheet",
]  # fmt: skip
