"""ECG paper: a figure whose axes count millimetres, so that whatever is drawn has its true size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

MM_PER_INCH, _POINTS_PER_INCH = 25.4, 72
#: A4, landscape.
A4_MM = (297.0, 210.0)
#: Colours of the paper and its ink.
PAPER, FINE, COARSE, INK, FAINT, ALARM = "#fffafa", "#f7d4d4", "#ec9c9c", "#111111", "#555555", "#b00020"
_FINE_PT, _COARSE_PT = 0.3, 0.6
_ELLIPSIS = "…"


def require_matplotlib() -> None:
    """Raises a ValueError that says how to get matplotlib, where it is missing."""
    if find_spec("matplotlib") is None:
        raise ValueError("drawing needs matplotlib: pip install leadset[plots]")


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width in millimetres of a line in a size in points."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    width, _, _ = RendererAgg(1, 1, _POINTS_PER_INCH).get_text_width_height_descent(text, font, False)
    return width / _POINTS_PER_INCH * MM_PER_INCH


@cache
def _drawable(character: str) -> bool:
    """Whether the font has a sign for a character."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return character.isprintable() and bool(get_font(findfont(FontProperties())).get_char_index(ord(character)))


def drawable(text: str) -> str:
    """A text of which the characters that the font lacks are question marks; what is not printable is left out."""
    return "".join(one if _drawable(one) else "?" for one in text if one.isprintable())


def fitted(text: str, size: float, bold: bool, width: float) -> str:
    """A line that is at most so many millimetres wide; what is wider ends in an ellipsis."""
    text = drawable(text)
    if text_width(text, size, bold) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if text_width(text[:middle] + _ELLIPSIS, size, bold) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + _ELLIPSIS


class Paper:
    """A blank sheet; ``axes`` has its origin at the lower left corner and counts millimetres.

    Args:
        width, height: millimetres.
    """

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH), facecolor=PAPER)
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()

    def grid(self, left: float, bottom: float, right: float, top: float) -> None:
        """Lines every millimetre, stronger ones every five, counted from the lower left corner."""
        for step, colour, width, order in ((1, FINE, _FINE_PT, 0.1), (5, COARSE, _COARSE_PT, 0.2)):
            upright = [[(x, bottom), (x, top)] for x in np.arange(left, right + 1e-6, step)]
            level = [[(left, y), (right, y)] for y in np.arange(bottom, top + 1e-6, step)]
            self.lines(upright + level, colour, width, order)

    def lines(self, segments: Sequence, colour: str, width: float, order: float) -> None:
        """Lines through points in millimetres, of a width in points."""
        from matplotlib.collections import LineCollection

        if len(segments):
            collection = LineCollection(segments, colors=colour, linewidths=width, capstyle="round", joinstyle="round")
            collection.set_zorder(order)
            self.axes.add_collection(collection, autolim=False)

    def text(
        self, x: float, y: float, text: str, size: float = 7.0, *, width: float | None = None, colour: str = INK,
        bold: bool = False, right: bool = False, centre: bool = False, halo: bool = False,
    ) -> Text | None:  # fmt: skip
        """Writes one line, its baseline at ``y``; what is wider than ``width`` millimetres ends in an ellipsis."""
        text = drawable(text)
        if width is not None:
            text = fitted(text, size, bold, width)
        if not text:
            return None
        return self.axes.text(
            x, y, text, fontsize=size, color=colour, fontweight="bold" if bold else "normal", parse_math=False,
            ha="right" if right else "center" if centre else "left", va="baseline", zorder=5,
            bbox={"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 0.6} if halo else None,
        )  # fmt: skip
