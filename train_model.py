#!/usr/bin/env python
"""Trains an entry: python train_model.py DATA MODEL (`leadset train`, with the `leadset.toml` beside this file)."""

from __future__ import annotations

from collections.abc import Sequence

from leadset.cli import run_script


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 nothing could be trained, 2 wrong usage, 130 interrupted."""
    return run_script("train", __file__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
