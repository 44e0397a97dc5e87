"""The detector that ships: a reconstruction model that learned simulated normal recordings, on every lead set.

    python -m leadset.training.shipped.detector WORK [--scale SHARE] [--ship FOLDER]

Half of the recordings lose leads, as those of universal networks do, so that one network can be cut to any lead set.
For each of the Challenge's lead sets there is a reference: what other simulated normal recordings score on these leads.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from leadset import __version__
from leadset.anomaly.detector import ARCHITECTURE, TRANSFORM, Detector
from leadset.anomaly.reference import Reference
from leadset.anomaly.shipped import write_reference
from leadset.leads import LEAD_SETS, LEADS
from leadset.models.shipped import load_shipped, write_shipped
from leadset.preprocess import prepare
from leadset.simulate import simulate
from leadset.training.detector import all_r_peaks, untrained_model
from leadset.training.shipped.rehearsal import FEWEST, add_scale, check_target, scaled
from leadset.training.steps.lead_dropout import draw_rows
from leadset.training.tasks.restoration import RestorationTask
from leadset.training.tasks.restoration_settings import RestorationSettings
from leadset.training.trainer import RunContext, Trainer
from leadset.utils.memory import keep_freed_memory
from leadset.utils.weights import load_weights, save_weights

OPTIONS = {"width": 8}
SETTINGS = RestorationSettings(steps=2500, batch_size=16, learning_rate=2e-3)
#: Normal recordings that are learned, and others that the references are made of.
LEARNED, REFERENCE = 1500, 200
SEED = 2023
PART = "simulated normal recordings that it did not learn"

Prepared = tuple[np.ndarray, np.ndarray]


def normal_recordings(start: int, n: int) -> list[Prepared]:
    """Simulated normal recordings ``start`` to ``start + n - 1``, prepared."""
    signals = simulate(n, SEED, labels="NSR", start=start, marks=False).signals
    found = (prepare(signal, 500, LEADS, TRANSFORM) for signal in signals)
    return [(one.samples, one.statistics) for one in found]


def train(work: Path, settings: RestorationSettings = SETTINGS, learned: int = LEARNED) -> nn.Module:
    """Trains the network, or goes on where a run in the same folder stopped; a trained one is read.

    Raises:
        ValueError: the trained one learned in another way.
    """
    weights, state = work / f"{ARCHITECTURE}.safetensors", work / f"{ARCHITECTURE}.state"
    model = untrained_model(LEADS, settings.seed, **OPTIONS)
    about = work / f"{ARCHITECTURE}.json"
    recipe = {**asdict(settings), "learned": learned, "simulated": SEED}
    if weights.exists():
        then = json.loads(about.read_text())["recipe"]
        if then != recipe:
            raise ValueError(f"{weights}: found weights of recipe {then}, expected {recipe}; remove them to train anew")
        load_weights(weights, model)
        return model.eval()
    work.mkdir(parents=True, exist_ok=True)
    recordings, normal = normal_recordings(0, learned), np.arange(learned)
    peaks = all_r_peaks(recordings, LEADS, normal, workers=1)
    task = RestorationTask(recordings, peaks, normal, LEADS, model.input_spec, settings, draw_rows=draw_rows)
    started = time.process_time()
    summary = Trainer(model, task, task.curriculum.steps, RunContext(state, ARCHITECTURE)).run().summary
    progress = {"core_seconds": time.process_time() - started, "recipe": recipe, **summary}
    about.write_text(json.dumps(progress, indent=1))
    save_weights(weights, model.eval())
    state.unlink(missing_ok=True)
    return model


def ship(model: nn.Module, work: Path, folder: Path, n: int = REFERENCE) -> None:
    """Writes the network that was trained in ``work``, and its references, as they ship."""
    progress = json.loads((work / f"{ARCHITECTURE}.json").read_text())
    about = {
        "data": "simulation alone", "recipe": progress["recipe"],
        "core_hours": round(progress["core_seconds"] / 3600, 2), "version": __version__,
    }  # fmt: skip
    write_shipped(model, (), about, folder)
    recordings = normal_recordings(progress["recipe"]["learned"], n)
    for leads in LEAD_SETS.values():
        detector = Detector(load_shipped(ARCHITECTURE, leads, folder=folder))
        scores = list(detector.score_all(recordings, range(n), ", ".join(leads)))
        write_reference(folder, Reference.of(scores, PART, leads), leads)


def main() -> None:
    """Trains the detector on one thread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    add_scale(parser)
    parser.add_argument("--ship", type=Path, metavar="FOLDER", help="write it there as it ships")
    arguments = parser.parse_args()
    scale = arguments.scale
    check_target(arguments.ship, scale)
    torch.set_num_threads(1)
    keep_freed_memory()
    settings = replace(SETTINGS, steps=scaled(SETTINGS.steps, scale))
    model = train(arguments.work, settings, scaled(LEARNED, scale, FEWEST))
    if arguments.ship is not None:
        ship(model, arguments.work, arguments.ship, scaled(REFERENCE, scale, FEWEST))


if __name__ == "__main__":
    main()
