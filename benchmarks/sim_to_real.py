"""What networks learn about real recordings from real ones, from simulated ones, and from simulated ones first.

    python benchmarks/sim_to_real.py DATA WORK [--models resnet34,…] [--output benchmarks/sim_to_real.csv]

DATA holds ``challenge/training``; WORK keeps prepared recordings and finished trainings, so that an interrupted run
goes on. Five-fold cross-validation on the real recordings; duplicates and recordings of one patient share a fold.
Four regimes with the same network of twelve leads:

- ``real``: the four other folds alone.
- ``simulated``: no real recording at all; one network predicts all folds.
- ``simulated, then mixed``: that network goes on with the four other folds at a lower learning rate, with simulated
  recordings of rare classes among them; this is what `train_model.py` does.
- ``simulated, then real``: the same without these, for one architecture.

Numbers of steps are fixed beforehand and the last weights are kept: nothing is chosen on the fold that is predicted.
Areas under the ROC curve are those of the pooled out-of-fold predictions, with 95 % intervals from resampled recordings
(duplicates and patients together). Equivalent codes are one class, as in the Challenge; code 164884008 counts as PVC.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tables import write_table

from leadset.classes import label_space
from leadset.leads import LEADS
from leadset.models import create_model
from leadset.models.extra_inputs import delineations
from leadset.recordings import find_recordings
from leadset.scoring.intervals import bootstrap
from leadset.scoring.metrics import Ranking, macro
from leadset.store.bank import build_bank
from leadset.store.beat_store import build_beats
from leadset.store.groups import patient_groups
from leadset.store.packed import StoredRecording, build_store
from leadset.training.data import Contexts, split_recordings
from leadset.training.steps.curriculum import Curriculum, Phase, Pool, top_up
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.trainer import RunContext, Trainer
from leadset.utils.memory import keep_freed_memory
from leadset.utils.weights import load_weights, save_weights

SPACE = label_space("challenge2021")
#: The more frequent classes; those besides that have at least `FEWEST` positives are the rarer ones.
CLASSES = ("AF", "NSR", "SB", "STach", "RBBB", "LBBB", "IAVB", "PAC", "PVC", "LAD", "TAb")
#: In the public data ventricular ectopic beats and premature ventricular contractions are one thing under two codes.
REGIMES = ("simulated", "simulated, then mixed", "real")
UNMIXED = "simulated, then real"
COLUMNS = ("architecture", "regime", "source", "class", "positives", "auroc", "low", "high", "simulated", "steps")
#: Positives from which on a class is looked at, among all recordings and within one source.
FEWEST, FEWEST_IN_SOURCE = 3, 10
FOLDS, SEED = 5, 2021


@dataclass(frozen=True)
class Setting:
    """A network and how long it learns; sizes are such that one core needs some minutes a training."""

    architecture: str
    options: dict[str, Any]
    simulated: int
    epochs: int = 1
    regimes: tuple[str, ...] = REGIMES


SETTINGS = (
    Setting("resnet34", {"width": 16, "rate": 100}, 40_000, regimes=(*REGIMES, UNMIXED)),
    Setting("crnn_pqrst", {"rate": 100, "norm": "batch"}, 8_000, epochs=4),
    Setting("cnn_heartmaasters", {"rate": 100}, 8_000, epochs=4),
)
SIMULATED_BATCH, REAL_BATCH = 32, 16
REAL_STEPS, TUNING_STEPS = 400, 250
LEARNING_RATE, TUNING_RATE, WEIGHT_DECAY = 2e-3, 5e-4, 0.01
# Simulated recordings beside the real ones of an epoch: see `leadset.training.steps.curriculum.top_up`.
TARGET, MIXED_SHARE = 50, 0.5


def labels_of(recordings: Sequence[StoredRecording]) -> np.ndarray:
    """(n, 26) bool; ventricular ectopics count as PVC."""
    return np.array([SPACE.encode_for_training(recording.codes) for recording in recordings])


class Experiment:
    """The four regimes of one architecture."""

    def __init__(self, setting: Setting, data: Path, work: Path) -> None:
        self.setting, self.work = setting, work
        spec = self._network().input_spec
        store = build_store(find_recordings(data), spec.transform, work / "store", n_jobs=1)
        self.real, self.groups = store.recordings, patient_groups(store, data)
        bank = build_bank(setting.simulated, SEED, spec.transform, work / "store", n_jobs=1)
        store = store.joined(bank)
        beats = {kind: build_beats(store, LEADS, work / "store", 1, reliable=kind) for kind in delineations(spec)}
        self.labels = labels_of(store.recordings)
        self.simulated = np.arange(len(self.real), len(store))
        everything = Curriculum((Phase("", Pool(self.simulated), 1, LEARNING_RATE),))
        self.task = ClassificationTask(
            store, self.labels, everything, np.empty(0, int), LEADS, spec, SEED, REAL_BATCH, WEIGHT_DECAY,
            Contexts(store.recordings, beats),
        )
        self.fold = split_recordings(self.real, self.labels[: len(self.real)], self.groups, [1 / FOLDS] * FOLDS, SEED)

    def _network(self) -> torch.nn.Module:
        torch.manual_seed(SEED)
        return create_model(self.setting.architecture, LEADS, len(SPACE), **self.setting.options)

    def _trained(self, name: str, task: ClassificationTask, start: Path | None = None) -> tuple[torch.nn.Module, Path]:
        """A network trained on a curriculum, or read if it was trained before, and its weights' file."""
        model, name = self._network(), f"{self.setting.architecture}-{name}"
        weights, state = self.work / f"{name}.safetensors", self.work / f"{name}.state"
        if weights.exists():
            load_weights(weights, model)
            return model, weights
        if start is not None:
            load_weights(start, model)
        context = RunContext(state, name, lambda event: print(name, event, flush=True))
        Trainer(model, task, task.curriculum.steps, context).run()
        save_weights(weights, model)
        state.unlink(missing_ok=True)
        return model, weights

    def _predictions(self, model: torch.nn.Module, recordings: np.ndarray) -> np.ndarray:
        return replace(self.task, valid=recordings).probabilities(model)

    def run(self) -> dict[str, tuple[np.ndarray, int]]:
        """By regime: probabilities (n, 26) of the real recordings, and the steps of its last phase."""
        n = len(self.real)
        steps = self.setting.epochs * len(self.simulated) // SIMULATED_BATCH
        curriculum = Curriculum((Phase("simulated", Pool(self.simulated), steps, LEARNING_RATE),))
        task = replace(self.task, curriculum=curriculum, batch_size=SIMULATED_BATCH)
        teacher, weights = self._trained("simulated", task)
        by_regime = {"simulated": (self._predictions(teacher, np.arange(n)), steps)}
        for regime in self.setting.regimes[1:]:
            predictions = np.empty((n, len(SPACE)))
            for fold in range(FOLDS):
                train, test = np.flatnonzero(self.fold != fold), np.flatnonzero(self.fold == fold)
                pool = Pool(train)
                if regime == "simulated, then mixed":
                    pool = top_up(self.labels, train, self.simulated, TARGET, MIXED_SHARE)
                phase = Phase("real", pool, TUNING_STEPS, TUNING_RATE)
                if regime == "real":
                    phase = Phase("real", pool, REAL_STEPS, LEARNING_RATE)
                name = f"{regime.replace(', ', '-').replace(' ', '-')}-{fold}"
                task = replace(self.task, curriculum=Curriculum((phase,)))
                model, _ = self._trained(name, task, None if regime == "real" else weights)
                predictions[test] = self._predictions(model, test)
            by_regime[regime] = predictions, phase.steps
        return by_regime

    def rows(self) -> list[dict]:
        """One row a regime and class, one for each mean; of the simulated regime also one a class and source."""
        labels = self.labels[: len(self.real)]
        sources = np.array([recording.source for recording in self.real])
        rows = []
        for regime, (predictions, steps) in self.run().items():
            common = {
                "architecture": self.setting.architecture, "regime": regime, "steps": steps,
                "simulated": 0 if regime == "real" else len(self.simulated),
            }  # fmt: skip
            rows += [common | row for row in _area_rows(labels, predictions, self.groups, FEWEST)]
            for source in np.unique(sources) if regime == "simulated" else ():
                here = sources == source
                by_class = _area_rows(labels[here], predictions[here], self.groups[here], FEWEST_IN_SOURCE)
                rows += [common | {"source": source} | row for row in by_class if row["positives"]]
        return rows


def _area_rows(labels: np.ndarray, predictions: np.ndarray, groups: np.ndarray, fewest: int) -> list[dict]:
    """A row a class that has enough positives, then the means of the eleven and of the rarer ones."""
    scored = np.flatnonzero((labels.sum(axis=0) >= fewest) & ~labels.all(axis=0))
    if not len(scored):
        return []
    ranking, names = Ranking(labels[:, scored], predictions[:, scored]), [SPACE.abbreviations[k] for k in scored]
    common = np.isin(names, CLASSES)

    def areas(counts: np.ndarray) -> np.ndarray:
        by_class = ranking.areas(counts)[0]
        return np.concatenate([by_class, [macro(by_class[common]), macro(by_class[~common])]])

    interval = bootstrap(areas, len(labels), groups)
    positives = [*labels[:, scored].sum(axis=0).tolist(), "", ""]
    return [
        {"class": name, "positives": n, "auroc": f"{value:.3f}", "low": f"{low:.3f}", "high": f"{high:.3f}"}
        for name, n, value, low, high in zip(
            [*names, "mean", "mean of rarer"], positives, interval.value, interval.low, interval.high, strict=True
        )
    ]


def experiment_parser(script: Path, document: str) -> argparse.ArgumentParser:
    """Arguments of an experiment on real recordings, and one thread for what it trains."""
    torch.set_num_threads(1)
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=document.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--output", type=Path, default=script.with_suffix(".csv"))
    return parser


def main() -> None:
    """Trains what is not trained yet and writes the table."""
    parser = experiment_parser(Path(__file__), __doc__)
    parser.add_argument("--models", default=",".join(setting.architecture for setting in SETTINGS))
    arguments = parser.parse_args()
    rows = []
    for setting in SETTINGS:
        if setting.architecture not in arguments.models.split(","):
            continue
        new_rows = Experiment(setting, arguments.data / "challenge" / "training", arguments.work).rows()
        for row in new_rows:
            print("  ".join(str(row.get(column, "")) for column in COLUMNS), flush=True)
        rows += new_rows
        write_table(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
