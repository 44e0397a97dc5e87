#!/usr/bin/env python
"""Trains an entry: python train_model.py DATA MODEL"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from team_code import training_code


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 nothing could be trained, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(description="Train every architecture on every lead set.")
    parser.add_argument("data", help="folder of recordings with labels (.hea with their signals), nested or not")
    parser.add_argument("model", help="folder for the trained entry; an interrupted run in it goes on")
    arguments = parser.parse_args(argv)
    try:
        training_code(arguments.data, arguments.model)
    except (OSError, ValueError) as error:
        print(f"train_model: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print("Done.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
