#!/usr/bin/env python
"""Answers recordings with a trained entry: python test_model.py MODEL DATA OUTPUTS (`leadset predict`)."""

from __future__ import annotations

from collections.abc import Sequence

from leadset.cli import run_script


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 failed (with --strict: any recording failed), 2 wrong usage."""
    return run_script("predict", __file__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
