"""A rehearsal of ``make weights``: the same commands, with everything that takes long scaled by one factor.

``--scale 0.01`` of each command scales optimiser steps, simulated recordings, and recordings of each source. What comes
out proves that the chain holds, and answers badly; so it is never written where the weights are that ship.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from leadset.models.shipped import FOLDER

#: Of each source at least so many recordings: five for each of five folds.
FEWEST = 25
One = TypeVar("One")


def add_scale(parser: argparse.ArgumentParser) -> None:
    """The option ``--scale``."""
    parser.add_argument("--scale", type=_share, default=1.0, help="rehearses: share of all that takes long")


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected a number above 0 and up to 1")
    return value


def scaled(number: int, scale: float, fewest: int = 1) -> int:
    """A share of a number, but no less than ``fewest`` nor more than the number."""
    return min(number, max(fewest, round(scale * number)))


def some_of(items: Sequence[One], scale: float) -> list[One]:
    """A share of some items, at least `FEWEST` if there are as many, evenly spaced."""
    wanted = scaled(len(items), scale, FEWEST)
    return [items[i] for i in np.linspace(0, len(items) - 1, wanted).round().astype(int)]


def check_target(folder: Path | None, scale: float) -> None:
    """Makes sure that a rehearsal overwrites nothing that ships.

    Raises:
        ValueError: it would.
    """
    if folder is not None and scale != 1 and folder.resolve().is_relative_to(FOLDER.resolve()):
        raise ValueError(f"{folder}: found --scale {scale:g}, expected a rehearsal to write elsewhere")
