#!/usr/bin/env python
"""Scores outputs: python evaluate_model.py LABELS OUTPUTS [SCORES.csv [CLASS_SCORES.csv]] (`leadset evaluate`)."""

from __future__ import annotations

from collections.abc import Sequence

from leadset.cli import run_script


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 failed with a message, 2 wrong usage."""
    return run_script("evaluate", __file__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
