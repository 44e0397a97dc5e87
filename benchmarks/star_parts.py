"""Which parts of STAR learn premature beats: the same training on simulated recordings with one change after the other.

    python benchmarks/star_parts.py [--steps 600] [--output benchmarks/star_parts.csv]

Every row learns from the same recordings of leads I, II, V2 and V5, labelled as simulated, in the same order, each
once, by the optimiser of `leadset.training.shipped.universal`; and answers the same others. A row keeps the changes of
those before it; ResNet-34 is a yardstick. Which changes depart from the paper, docs/models/star.md says. One seed.

- ``loss``: mean over the last fifth of the steps.
- ``mean``: AUROC over all classes that occur; ``PVC``, ``PAC`` and ``SA`` (sinus arrhythmia) alone.
- ``seconds``: processor time of a step on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tables import write_table
from torch import nn

from leadset.classes import CHALLENGE, label_space
from leadset.models import create_model
from leadset.models.prediction import lead_rows
from leadset.models.registry import count_parameters
from leadset.preprocess import InputSpec
from leadset.scoring import auroc
from leadset.training.shipped.universal import (
    GROUP,
    adamw,
    as_batch,
    draw_window,
    fast_bfloat16,
    simulated_group,
    train_step,
    trapezoid,
)
from leadset.training.steps.batches import Batch
from leadset.utils.memory import keep_freed_memory

LEADS = ("I", "II", "V2", "V5")
SPACE = label_space(CHALLENGE)
LEARNED_SEED, ASKED_SEED, ASKED_GROUPS = 4321, 777, 24
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.02
#: What a row changes.
CHANGES: tuple[tuple[str, dict], ...] = (
    ("width 16, cascade", {"width": 16, "cascade": True}),
    ("without dropout", {"dropout": False}),
    ("width 32", {"width": 32}),
    ("peaks", {"peaks": True}),
    ("three blocks", {"blocks": 3}),
    (
        "linear projections and plain head",
        {"attention": "linear", "head": "mlp", "scaled": True, "soft_assignment": True, "pool_kernel": 1},
    ),
    ("shortcut", {"shortcut": True}),
)
SHOWN = ("PVC", "PAC", "SA")
COLUMNS = ("change", "network", "parameters", "steps", "loss", "mean", *SHOWN, "seconds")


def recordings(groups: int, seed: int, spec: InputSpec) -> list[Batch]:
    """Batches of a group each, as simulated."""
    rng, rows, batches = np.random.default_rng(seed), lead_rows(LEADS), []
    for index in range(groups):
        prepared, codes = zip(*simulated_group(index, seed, spec.transform, rng), strict=True)
        windows = [draw_window(one.samples, one.statistics, rows, spec, rng) for one in prepared]
        labels = np.array([SPACE.encode_for_training(one) for one in codes], dtype=np.float32)
        batches.append(as_batch([(window[rows], mask) for window, mask in windows], labels))
    return batches


def learned(model: nn.Module, batches: Sequence[Batch]) -> tuple[float, float]:
    """Trains a network; returns its last loss and the seconds of a step."""
    optimizer, bfloat16, losses = adamw(model.train(), LEARNING_RATE, WEIGHT_DECAY), fast_bfloat16(), []
    started = time.process_time()
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * trapezoid(step, len(batches))
        losses.append(float(train_step(model, optimizer, batch, bfloat16)))
    return float(np.mean(losses[-len(batches) // 5 :])), (time.process_time() - started) / len(batches)


def areas(model: nn.Module, batches: Sequence[Batch]) -> np.ndarray:
    """AUROC by class."""
    with torch.inference_mode():
        answers = [model.eval()(batch.windows, batch.mask) for batch in batches]
    return auroc(torch.cat([batch.labels for batch in batches]).numpy() > 0, torch.cat(answers).numpy())


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, help=f"of {GROUP} recordings")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    spec = create_model("star", LEADS, len(SPACE)).input_spec
    learn, ask = recordings(arguments.steps, LEARNED_SEED, spec), recordings(ASKED_GROUPS, ASKED_SEED, spec)
    options, networks = {}, []
    for change, new in CHANGES:
        options = options | new
        networks.append((change, "star", options))
    networks.append(("", "resnet34", {"width": 16, "rate": 100}))
    table = []
    for change, network, chosen in networks:
        torch.manual_seed(1)
        model = create_model(network, LEADS, len(SPACE), **chosen)
        loss, seconds = learned(model, learn)
        by_class = areas(model, ask)
        shown = {name: f"{by_class[SPACE.abbreviations.index(name)]:.3f}" for name in SHOWN}
        table.append({
            "change": change, "network": network, "parameters": count_parameters(model), "steps": arguments.steps,
            "loss": f"{loss:.4f}", "mean": f"{np.nanmean(by_class):.3f}", **shown, "seconds": f"{seconds:.3f}",
        })  # fmt: skip
        print("  ".join(str(table[-1][column]) for column in COLUMNS), flush=True)
        write_table(arguments.output, COLUMNS, table)


if __name__ == "__main__":
    main()
