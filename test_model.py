#!/usr/bin/env python
"""Answers recordings with a trained entry: python test_model.py MODEL DATA OUTPUTS [options]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from leadset.challenge import test_entry


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 failed (with --strict: any recording failed), 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Write one file of labels and probabilities per recording.")
    parser.add_argument("model", help="folder of a trained entry")
    parser.add_argument("data", help="folder of recordings (.hea with their signals), nested or not")
    parser.add_argument("outputs", help="folder for the answers, one .csv per recording")
    parser.add_argument("--per-model", action="store_true", help="also write each architecture's own answers")
    parser.add_argument("--details", action="store_true", help="also write details.csv: abnormality and quality flags")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if any recording failed")
    arguments = parser.parse_args(argv)
    try:
        report = test_entry(
            arguments.model, arguments.data, arguments.outputs, arguments.per_model, arguments.details
        )
    except (OSError, ValueError) as error:
        print(f"test_model: {error}", file=sys.stderr)
        return 1
    for name, reason in report.failures:
        print(f"  {name}: {reason}", file=sys.stderr)
    print(f"{report.written} answers written; {len(report.failures)} recordings failed")
    return 1 if arguments.strict and report.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
