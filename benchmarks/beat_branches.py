"""What `crnn_pqrst` gains from features of beats, by branch: cross-validation on real recordings.

    python benchmarks/beat_branches.py DATA WORK [--output benchmarks/beat_branches.csv]

DATA holds ``challenge/training``; WORK keeps prepared recordings, unfinished trainings and the predictions of finished
ones, so that an interrupted run goes on. Threefold, on the recordings that have a scored class; duplicates and
recordings of one patient share a fold. Folds, initial weights and batches are drawn anew for each seed, and are the
same for all variants. Two regimes: ``real`` learns from the two other folds alone; ``simulated first`` begins with a
bank of simulated recordings, of which those of rare classes stay among the real ones, as in `train_model.py`.
``record, linear`` is no network: logistic regressions on the features of the recording, fitted to all recordings of the
regime at once.

Numbers of steps are fixed beforehand and the last weights are kept: nothing is chosen on the fold that is predicted.
A value is the area under the ROC curve within a fold, averaged over folds, then over the classes with at least eight
positives, then over seeds. Intervals (95 %) are from resampled recordings (duplicates and patients together), of
differences with the same draws for both sides. They cover the choice of recordings, not that of the networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sim_to_real import (
    LEARNING_RATE,
    MIXED_SHARE,
    SPACE,
    TARGET,
    TUNING_RATE,
    WEIGHT_DECAY,
    experiment_parser,
    labels_of,
)
from tables import write_table
from torch import nn

from leadset.anomaly.head import fit_head
from leadset.leads import resolve_leads
from leadset.models import create_model
from leadset.models.crnn_pqrst import PLAUSIBLE
from leadset.preprocess import Transform
from leadset.recordings import find_recordings
from leadset.scoring.intervals import bootstrap
from leadset.scoring.metrics import Ranking, macro
from leadset.store.bank import build_bank
from leadset.store.beat_store import build_beats
from leadset.store.groups import patient_groups
from leadset.store.packed import build_store
from leadset.training.data import Contexts, split_recordings
from leadset.training.steps.curriculum import Curriculum, Phase, Pool, top_up
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.trainer import RunContext, Trainer
from leadset.utils import nan_statistics
from leadset.utils.files import write_atomically
from leadset.utils.weights import load_weights, save_weights

OPTIONS = {"width": 16, "rate": 100, "norm": "batch"}
VARIANTS: dict[str, dict[str, Any]] = {
    "signal": {"branches": "signal"},
    "beats": {"branches": "beats"},
    "both": {},
    "both, attention": {"beat_pooling": "attention"},
    "both, record": {"record_features": True},
    "both, attention, record": {"beat_pooling": "attention", "record_features": True},
    "signal, record": {"branches": "signal", "record_features": True},
}
LINEAR = "record, linear"
#: Variants that the others are compared with: without any feature, and the default.
REFERENCES = ("signal", "both")
COLUMNS = ("regime", "leads", "variant", "against", "seed", "value", "low", "high")
FOLDS, FEWEST = 3, 8
BATCH, STEPS = 32, 100
BANK, BANK_SEED, SIMULATED_STEPS = 2048, 2021, 250


@dataclass(frozen=True)
class Experiment:
    """A regime on a lead set, with seeds 0, 1, …; none simulated is ``real``."""

    leads: int
    simulated: int
    seeds: int

    @property
    def regime(self) -> str:
        """Its name in the table."""
        return "simulated first" if self.simulated else "real"


EXPERIMENTS = (Experiment(12, 0, 3), Experiment(12, BANK, 2), Experiment(2, 0, 2))


@dataclass(frozen=True)
class Material:
    """Recordings to train on and to predict.

    Attributes:
        task: real recordings with a scored class and, behind them, simulated ones; what differs between variants is
            that of the default.
        real: number of the real ones.
        groups: (real,) patient group of each.
    """

    task: ClassificationTask
    real: int
    groups: np.ndarray


def prepared(data: Path, leads: tuple[str, ...], simulated: int, work: Path) -> Material:
    """Everything that the variants learn from on a lead set."""
    store = build_store(find_recordings(data), Transform(OPTIONS["rate"]), work, n_jobs=1)
    unscored = ~labels_of(store.recordings).any(axis=1)
    left_out = {recording.path for recording, out in zip(store.recordings, unscored, strict=True) if out}
    beats = build_beats(store, leads, work, n_jobs=1).without(left_out)
    store, real = store.without(left_out), store.without(left_out).recordings
    groups = patient_groups(store, data)
    if simulated:
        bank = build_bank(simulated, BANK_SEED, store.transform, work, n_jobs=1)
        store, beats = store.joined(bank), beats.joined(build_beats(bank, leads, work, n_jobs=1))
    labels, spec = labels_of(store.recordings), network(leads, "both", 0).input_spec
    contexts = Contexts(store.recordings, {False: beats})
    nothing = Curriculum(()), np.empty(0, int)
    task = ClassificationTask(store, labels, *nothing, leads, spec, 0, BATCH, WEIGHT_DECAY, contexts)
    return Material(task, len(real), groups)


def network(leads: tuple[str, ...], variant: str, seed: int) -> nn.Module:
    """A fresh network."""
    torch.manual_seed(seed)
    return create_model("crnn_pqrst", leads, len(SPACE), **OPTIONS, **VARIANTS[variant])


def folds_of(material: Material, seed: int) -> np.ndarray:
    """Fold (n,) of each real recording."""
    n = material.real
    recordings = material.task.store.recordings[:n]
    return split_recordings(recordings, material.task.labels[:n], material.groups, [1 / FOLDS] * FOLDS, seed)


def out_of_fold(material: Material, variant: str, seed: int, folds: np.ndarray, work: Path) -> np.ndarray:
    """Out-of-fold probabilities (n, 26) of the real recordings; what was computed before is read."""
    leads = material.task.leads
    simulated = np.arange(material.real, len(material.task.store))
    name = f"{len(leads)} {'simulated' if len(simulated) else 'real'} {variant} {seed}"
    file = work / f"{name}.npy"
    if file.exists():
        return np.load(file)
    model = network(leads, variant, seed)
    task = replace(material.task, spec=model.input_spec, seed=seed)
    fresh = {key: value.clone() for key, value in model.state_dict().items()}
    if len(simulated):
        fresh = trained(model, task, Phase("simulated", Pool(simulated), SIMULATED_STEPS, LEARNING_RATE), work / name)
    probabilities = np.empty((material.real, len(SPACE)))
    for fold in range(FOLDS):
        others, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        phase = Phase("real", Pool(others), STEPS, LEARNING_RATE)
        if len(simulated):
            mixed = top_up(task.labels, others, simulated, TARGET, MIXED_SHARE)
            phase = Phase("real", mixed, STEPS, TUNING_RATE)
        model.load_state_dict(fresh)
        trained(model, task, phase, work / f"{name} {fold}")
        probabilities[own] = replace(task, valid=own).probabilities(model)
    with write_atomically(file, "wb") as opened:
        np.save(opened, probabilities)
    return probabilities


def linear_out_of_fold(material: Material, folds: np.ndarray) -> np.ndarray:
    """As `out_of_fold`, by a head like that of the anomaly detector; missing features count as average ones."""
    task, simulated = material.task, np.arange(material.real, len(material.task.store))
    records = np.array([context.beats[False].record for context in task.contexts]).clip(-PLAUSIBLE, PLAUSIBLE)
    known, probabilities = np.isfinite(records), np.empty((material.real, len(SPACE)))
    for fold in range(FOLDS):
        others, own = np.append(np.flatnonzero(folds != fold), simulated), np.flatnonzero(folds == fold)
        means = np.apply_along_axis(nan_statistics.mean, 0, records[others])
        inputs = np.concatenate([np.where(known, records, means), known], axis=1)
        head = fit_head(inputs[others], task.labels[others], task.labels[others].mean(axis=0))
        probabilities[own] = head(inputs[own])
    return probabilities


def trained(model: nn.Module, task: ClassificationTask, phase: Phase, name: Path) -> dict[str, torch.Tensor]:
    """Trains a network for a phase, or reads what was trained before; returns a copy of its state."""
    weights, state = (name.with_name(f"{name.name}.{ending}") for ending in ("safetensors", "state"))
    if weights.exists():
        load_weights(weights, model)
    else:
        torch.manual_seed(task.seed)
        task = replace(task, curriculum=Curriculum((phase,)))
        Trainer(model, task, phase.steps, RunContext(state, name.name)).run()
        save_weights(weights, model)
        state.unlink(missing_ok=True)
    return {key: value.clone() for key, value in model.state_dict().items()}


class Areas:
    """Areas under the ROC curve of each variant and seed, on resampled data sets too.

    Args:
        labels: (n, k) bool of the classes that are looked at.
        probabilities: by variant and seed, (n, k).
        folds: by seed, (n,).
    """

    def __init__(
        self, labels: np.ndarray, probabilities: Sequence[Sequence[np.ndarray]], folds: Sequence[np.ndarray]
    ) -> None:
        self.rankings = [
            [
                [(own, Ranking(labels[own], answer[own])) for own in (fold == number for number in range(FOLDS))]
                for answer, fold in zip(by_seed, folds, strict=True)
            ]
            for by_seed in probabilities
        ]

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """(variants, seeds)."""
        return np.array([[self._one(of_seed, counts) for of_seed in by_seed] for by_seed in self.rankings])

    @staticmethod
    def _one(by_fold: Sequence[tuple[np.ndarray, Ranking]], counts: np.ndarray) -> float:
        by_class = np.array([ranking.areas(counts[own])[0] for own, ranking in by_fold])
        return macro(np.array([macro(column) for column in by_class.T]))


def rows_of(experiment: Experiment, data: Path, work: Path) -> Iterator[dict]:
    """For each variant its areas, by seed and on average, and its differences to the references."""
    material = prepared(data, resolve_leads(experiment.leads), experiment.simulated, work)
    seeds, names = range(experiment.seeds), [*VARIANTS, LINEAR]
    labels = material.task.labels[: material.real]
    counted = labels.sum(axis=0) >= FEWEST
    folds = [folds_of(material, seed) for seed in seeds]
    probabilities = [[out_of_fold(material, name, seed, folds[seed], work) for seed in seeds] for name in VARIANTS]
    probabilities.append([linear_out_of_fold(material, fold) for fold in folds])
    areas = Areas(labels[:, counted], [[answer[:, counted] for answer in by_seed] for by_seed in probabilities], folds)

    def everything(counts: np.ndarray) -> np.ndarray:
        mean = areas(counts).mean(axis=1)
        return np.stack([mean, *(mean - mean[names.index(reference)] for reference in REFERENCES)])

    interval, by_seed = bootstrap(everything, material.real, material.groups), areas(np.ones(material.real, int))
    for i, name in enumerate(names):
        common = {"regime": experiment.regime, "leads": experiment.leads, "variant": name}
        for seed in seeds:
            yield common | {"seed": seed, "value": f"{by_seed[i, seed]:.3f}"}
        for j, against in enumerate(("", *REFERENCES)):
            if against != name:
                value, low, high = (f"{part[j, i]:.3f}" for part in (interval.value, interval.low, interval.high))
                yield common | {"against": against, "value": value, "low": low, "high": high}


def main() -> None:
    """Trains what is not trained yet and writes the table."""
    arguments = experiment_parser(Path(__file__), __doc__).parse_args()
    rows = []
    for experiment in EXPERIMENTS:
        for row in rows_of(experiment, arguments.data / "challenge" / "training", arguments.work):
            print("  ".join(str(row.get(column, "")) for column in COLUMNS), flush=True)
            rows.append(row)
        write_table(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
