"""A small run in several processes, of which one fails: run by `test_distributed.py`.

    torchrun --nproc-per-node 2 tests/shared_run.py DATA MODEL STEP
"""

from __future__ import annotations

import os
import sys

from configurations import tiny_config

from leadset.config import Config
from leadset.training import trainer
from leadset.training.run import train_entry

STEPS = 8
LEADS = {"2": ("I", "II"), "II-V5": ("II", "V5")}


def small_config() -> Config:
    """One small network on each of two lead sets."""
    return tiny_config(
        architectures=("resnet34",), lead_sets=tuple(LEADS.values()), min_steps=STEPS, batch_size=9,
        presets={"tiny": {"resnet34": {"width": 4, "rate": 50, "blocks": [1, 1, 1, 1]}}},
    )  # fmt: skip


def failing_after(steps: int) -> None:
    """Lets the second process raise an error after some steps of the second network."""
    step, taken = trainer.train_step, iter(range(10**9))
    # Measuring takes three steps of each network.
    last = 2 * 3 + STEPS + steps

    def failing(*args):
        if next(taken) == last and os.environ["RANK"] == "1":
            raise ValueError("this process cannot go on")
        return step(*args)

    trainer.train_step, trainer.SAVE_EVERY_S = failing, 0.0


if __name__ == "__main__":
    failing_after(int(sys.argv[3]))
    train_entry(sys.argv[1], sys.argv[2], small_config())
