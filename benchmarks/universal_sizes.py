"""What the weights that ship cost: size, multiply-accumulates, hours of training, and what they reach.

    python benchmarks/universal_sizes.py [--output benchmarks/universal_sizes.csv]

``core_hours`` is the training on simulated recordings on one core, simulation included, ``tuning_core_hours`` that on
real ones; both and the numbers of recordings are in the files. AUROC is the mean over eleven classes of the
Challenge's recordings by `benchmarks/universal.csv`, of the weights from simulation alone. ``ms`` is the processor
time of one window of twelve leads on one thread, the median of twenty, and ``ms_2`` that of two leads. The last row
is what `make weights` trains: all networks and the detector, and the tunings, as many for each network as there are
folds and one more.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tables import write_table

from leadset.leads import LEAD_SETS, LEADS
from leadset.models.cost import model_cost
from leadset.models.shipped import FOLDER, SIMULATED, load_shipped, shipped_networks
from leadset.training.shipped.real_sources import FOLDS

COLUMNS = (
    "network", "options", "parameters", "macs_millions", "kilobytes", "recordings", "core_hours", "tuning_core_hours",
    "ms", "ms_2", "eleven_12", "eleven_2",
)  # fmt: skip
ROUNDS = 20


def milliseconds(network: str, leads: tuple[str, ...]) -> float:
    """Processor time of one window."""
    model = load_shipped(network, leads).eval()
    window, taken = torch.randn(1, len(leads), model.input_spec.samples), []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            started = time.process_time()
            model(window)
            taken.append(1000 * (time.process_time() - started))
    return float(np.median(taken))


def together() -> dict:
    """The row of hours of all networks."""
    about = [load_shipped(network).pretrained for network in shipped_networks()]
    tunings = (FOLDS + 1) * sum(one.get("tuning_core_hours", 0) for one in about)
    hours = sum(one["core_hours"] for one in about)
    return {"network": "all", "core_hours": f"{hours:.2f}", "tuning_core_hours": f"{tunings:.3f}"}


def rows() -> Iterator[dict]:
    """A row for each classifier."""
    with open(Path(__file__).with_name("universal.csv"), newline="") as file:
        known = {
            (row["network"], row["leads"]): row["auroc"]
            for row in csv.DictReader(file)
            if (row["weights"], row["data"], row["class"]) == ("simulated", "challenge", "mean of eleven")
        }
    for network in shipped_networks(SIMULATED, "classifier"):
        about, model = load_shipped(network).pretrained, load_shipped(network)
        cost = model_cost(network, LEADS, **model.options)
        yield {
            "network": network, "options": " ".join(f"{key}={value}" for key, value in model.options.items()),
            "parameters": cost.parameters, "macs_millions": f"{cost.macs / 1e6:.1f}",
            "kilobytes": round((FOLDER / f"{network}.safetensors").stat().st_size / 1000),
            "recordings": about["recordings"], "core_hours": about["core_hours"],
            "tuning_core_hours": about.get("tuning_core_hours", ""), "ms": f"{milliseconds(network, LEADS):.1f}",
            "ms_2": f"{milliseconds(network, LEAD_SETS[2]):.1f}",
            "eleven_12": known[network, "12"], "eleven_2": known[network, "2"],
        }  # fmt: skip


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    torch.set_num_threads(1)
    write_table(parser.parse_args().output, COLUMNS, [*rows(), together()])


if __name__ == "__main__":
    main()
