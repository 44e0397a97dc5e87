"""Which learning rate lets each universal network learn fastest from simulation?

    OMP_NUM_THREADS=1 python benchmarks/learning_rates.py [--networks NAME …] [--rates RATE …] [--steps STEPS]
        [--dropout SHARE] [--output benchmarks/learning_rates.csv]

Copies of a network start from the same weights and learn side by side from the same simulated recordings, each at a
rate of its own, which rises for 300 steps and then stays (`leadset.training.shipped.universal`). Labels are what is
simulated. ``loss`` is the mean over the last 100 steps; no recording comes twice, so that it is one of unseen ones.
Batches are half as large as those that weights which ship learn from, where these are larger than 64. Rows that are
there are replaced.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tables import write_table
from tqdm import tqdm

from leadset.training.shipped.universal import (
    RECIPES,
    Recipe,
    adamw,
    fast_bfloat16,
    simulated_batch,
    train_step,
    trapezoid,
)
from leadset.utils.memory import keep_freed_memory

#: Times the rate of the recipe.
TIMES = (1.0, 4.0)
LARGEST_BATCH = 64
LAST = 100
COLUMNS = ("network", "dropout", "batch_size", "steps", "learning_rate", "loss")


def losses(recipe: Recipe, rates: list[float], steps: int) -> list[float]:
    """The mean loss of the last steps at each rate."""
    networks = [recipe.untrained().train() for _ in rates]
    optimizers = [adamw(network, 0.0, recipe.weight_decay) for network in networks]
    spec, bfloat16, found = networks[0].input_spec, fast_bfloat16(), []
    for step in tqdm(range(steps), recipe.network, unit="step"):
        batch, of_step = simulated_batch(step, recipe, spec), []
        for network, optimizer, rate in zip(networks, optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * trapezoid(step, recipe.steps)
            torch.manual_seed(step)  # the same dropout
            of_step.append(float(train_step(network, optimizer, batch, bfloat16)))
        found.append(of_step)
    return np.mean(found[-LAST:], axis=0).tolist()


def main() -> None:
    """Writes the table, network by network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--rates", nargs="+", type=float, help="by default that of the recipe and four times that")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--dropout", type=float, help="of networks that have the option; by default the recipe's")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    table = {}
    if arguments.output.exists():
        with arguments.output.open() as file:
            table = {tuple(row[name] for name in COLUMNS[:-1]): row for row in csv.DictReader(file)}
    for name in arguments.networks:
        recipe = RECIPES[name]
        options = recipe.options if arguments.dropout is None else recipe.options | {"dropout": arguments.dropout}
        rates = arguments.rates or [times * recipe.learning_rate for times in TIMES]
        # The rate falls at the end of a training, which is far away; all labels are what is simulated.
        recipe = replace(
            recipe, options=options, batch_size=min(LARGEST_BATCH, recipe.batch_size), steps=4 * arguments.steps,
            plain_steps=4 * arguments.steps,
        )  # fmt: skip
        for rate, loss in zip(rates, losses(recipe, rates, arguments.steps), strict=True):
            values = name, options.get("dropout", ""), recipe.batch_size, arguments.steps, f"{rate:g}", f"{loss:.4f}"
            row = dict(zip(COLUMNS, map(str, values), strict=True))
            table[tuple(row[column] for column in COLUMNS[:-1])] = row
        write_table(arguments.output, COLUMNS, table.values())


if __name__ == "__main__":
    main()
