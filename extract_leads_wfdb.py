#!/usr/bin/env python
"""Copies recordings with some leads: python extract_leads_wfdb.py -i INPUT -o OUTPUT -l I II V2 (`leadset extract`)."""

from __future__ import annotations

from collections.abc import Sequence

from leadset.cli import run_script


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 if any recording failed, 2 wrong usage."""
    return run_script("extract", __file__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
