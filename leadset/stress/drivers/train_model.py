"""What the organisers' script of this name does, after the Challenge's description: it calls `training_code`."""

from __future__ import annotations

import sys

from team_code import training_code

if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: train_model.py DATA MODEL")
    training_code(sys.argv[1], sys.argv[2])
    print("Done.")
