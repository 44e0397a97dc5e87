"""How large a bank of simulated recordings must be: the same number of steps on banks of several sizes.

    python benchmarks/bank_size.py DATA WORK [--output benchmarks/bank_size.csv]

A small ResNet sees as many windows of each bank; the largest is seen once, as a stream of fresh recordings would be.
Judged on simulated recordings that no bank holds and on the real ones below DATA/challenge/training: log loss over all
classes, and the mean area under the ROC curve of the eleven classes of `sim_to_real`. WORK keeps prepared recordings.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sim_to_real import CLASSES, LEARNING_RATE, SEED, SIMULATED_BATCH, SPACE, Experiment, Setting, experiment_parser
from tables import write_table

from leadset.leads import LEADS
from leadset.models import create_model
from leadset.scoring.metrics import auroc, macro
from leadset.training.steps.curriculum import Curriculum, Phase, Pool
from leadset.training.tasks.classification import validation_of
from leadset.training.trainer import RunContext, Trainer

SIZES = (500, 2_500, 10_000)
HELD_OUT = 1_000
NETWORK = Setting("resnet34", {"width": 12, "rate": 100, "blocks": (2, 2, 2, 2)}, SIZES[-1] + HELD_OUT)
COLUMNS = ("bank", "windows", "simulated_loss", "simulated_auroc", "real_loss", "real_auroc")


def main() -> None:
    """Trains one network a size and writes the table."""
    arguments = experiment_parser(Path(__file__), __doc__).parse_args()
    experiment = Experiment(NETWORK, arguments.data / "challenge" / "training", arguments.work)
    held_out, columns = experiment.simulated[SIZES[-1] :], [SPACE.abbreviations.index(name) for name in CLASSES]
    rows = []
    for size in SIZES:
        pool, steps = Pool(experiment.simulated[:size]), SIZES[-1] // SIMULATED_BATCH
        curriculum = Curriculum((Phase("simulated", pool, steps, LEARNING_RATE),))
        task = replace(experiment.task, curriculum=curriculum, batch_size=SIMULATED_BATCH)
        torch.manual_seed(SEED)
        model = create_model(NETWORK.architecture, LEADS, len(SPACE), **NETWORK.options)
        state = arguments.work / f"bank-{size}.state"
        Trainer(model, task, curriculum.steps, RunContext(state, f"bank of {size}")).run()
        state.unlink(missing_ok=True)
        row = {"bank": size, "windows": curriculum.steps * SIMULATED_BATCH}
        for name, members in (("simulated", held_out), ("real", np.arange(len(experiment.real)))):
            labels, answers = experiment.labels[members], replace(task, valid=members).probabilities(model)
            row[f"{name}_loss"] = f"{validation_of(labels, answers).values['valid_loss']:.4f}"
            row[f"{name}_auroc"] = f"{macro(auroc(labels[:, columns], answers[:, columns])):.3f}"
        rows.append(row)
        print("  ".join(f"{column} {row[column]}" for column in COLUMNS), flush=True)
    write_table(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
