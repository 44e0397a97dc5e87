"""``leadset predict MODEL DATA OUTPUTS``: write one file of labels and probabilities per recording."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("model", help="folder of a trained entry")
    parser.add_argument("data", help="folder of recordings (.hea with their signals), nested or not")
    parser.add_argument("outputs", help="folder for the answers, one .csv per recording")
    parser.add_argument("--per-model", action="store_true", help="also write each architecture's own answers")
    parser.add_argument("--details", action="store_true", help="also write details.csv: abnormality and quality flags")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if any recording failed")


def run(arguments: argparse.Namespace) -> int:
    """Predicts a folder; returns 0, or with ``--strict`` 1 if a recording failed."""
    from leadset.challenge import test_entry

    report = test_entry(
        arguments.model, arguments.data, arguments.outputs, per_model=arguments.per_model, details=arguments.details
    )
    for name, reason in report.failures:
        print(f"  {name}: {reason}", file=sys.stderr)
    print(f"{report.written} answers written; {len(report.failures)} recordings failed")
    return 1 if arguments.strict and report.failures else 0
