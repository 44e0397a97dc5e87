"""What tuning is worth: networks before and after, tuned in several ways, on real recordings that they did not see.

    python benchmarks/tuning.py DATA WORK [--models resnet34,mvms_net] [--output benchmarks/tuning.csv]

The recordings are cut into folds, those of one patient in one fold. The recordings outside a fold train and validate a
network as a run does, and it answers those of the fold; networks start from weights of simulation alone. Scores are
means over folds. The last rows ask the networks together, by weights and decisions that are fitted as a run fits them,
on all answers and cross-fitted. Finished trainings are kept in WORK, so that an interrupted call goes on. Cores may be
shared: times are processor time. Training from nothing is in `benchmarks/sim_to_real.csv`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tables import write_table

from leadset.classes import label_space
from leadset.config import Config, default_config
from leadset.config_rules import SIMULATED
from leadset.leads import LEAD_SETS, LEADS, lead_set_name
from leadset.models import create_network
from leadset.models.lead_cut import cut_leads
from leadset.models.shipped import load_universal
from leadset.scoring import macro
from leadset.scoring.intervals import bootstrap
from leadset.scoring.metrics import Ranking
from leadset.training.context import Job, TrainingContext
from leadset.training.data import (
    TRAIN,
    VALID,
    Preparation,
    Split,
    TrainingData,
    beats_keys,
    load_training_data,
    split_recordings,
)
from leadset.training.decision.ensemble import ValidationTargets, choose, fit_ensemble
from leadset.training.jobs import make_jobs
from leadset.training.steps.partial_labels import log_loss, mean_of_known, shares
from leadset.training.steps.pretraining import add_bank
from leadset.training.trainer import Deadline
from leadset.utils.memory import keep_freed_memory
from leadset.utils.weights import load_weights

SPACE = label_space("challenge2021")
FOLDS = 2
JUDGED = (LEADS, LEAD_SETS[2])
#: A class with fewer positives than this is left out of the mean.
FEWEST = 10
BEFORE, AVERAGED, ONE_PASS = "before tuning", "one pass, averaged with the weights before", "one pass"
TOGETHER = "together, against the best network"
#: Ways of training by name: what they change of the table ``[start]``.
WAYS: dict[str, dict[str, Any]] = {
    BEFORE: {},
    ONE_PASS: {},
    AVERAGED: {},
    "one pass, heads alone": {"freeze": True},
    "one pass, fewer steps and a lower rate": {"steps": 0.2, "rate": 0.25},
    "one pass, fewer steps, trunk as fast as head": {"steps": 0.2, "rate": 0.1, "trunk_rate": 1.0},
    "each lead set apart": {"one_pass": False},
}
#: Those of networks after the first.
FEWER = (BEFORE, ONE_PASS, AVERAGED)
COLUMNS = (
    "network", "way", "leads", "recordings", "classes", "auroc", "log_loss", "gain", "gain_low", "gain_high",
    "core_minutes", "metric_by_thresholds", "metric_by_expected_score",
)  # fmt: skip


class Experiment:
    """All ways of one network."""

    def __init__(self, network: str, data_folder: Path, work: Path) -> None:
        self.network, self.work = network, work / network
        self.work.mkdir(parents=True, exist_ok=True)
        self.config = replace(default_config(), architectures=(network,), preset="compact", workers=1)
        self.config = self._changed(weights=SIMULATED, blend=1.0)
        (job,) = make_jobs(self.config, SPACE, "compact")
        beats = [key for leads in (*job.all_leads, *JUDGED) for key in beats_keys(job.spec, leads)]
        preparation = Preparation([job.spec.transform], work / "store", beats, workers=1)
        split = Split(self.config.validation_share, self.config.seed)
        data = load_training_data(data_folder, SPACE, preparation, split)
        self.labelled = np.flatnonzero(data.part >= 0)
        self.folds = data.folds_of(self.labelled, FOLDS, self.config.seed)
        self.bare = data
        bank, seed = self.config.start.recordings, self.config.seed
        self.data = add_bank(data, bank, seed, work / "store", workers=1, as_sources=True)

    def _changed(self, **changes: Any) -> Config:
        return replace(self.config, start=replace(self.config.start, **changes))

    def _parts(self, data: TrainingData, fold: int) -> TrainingData:
        """The data of a run that does not have a fold."""
        part = data.part.copy()
        part[self.labelled] = -1
        rest = self.labelled[self.folds != fold]
        recordings, share = [data.first.recordings[i] for i in rest], self.config.validation_share
        split = split_recordings(recordings, data.labels[rest], data.groups[rest], [1 - share, share], self.config.seed)
        part[rest] = np.where(split == 1, VALID, TRAIN)
        return replace(data, part=part)

    def answers(self, way: str) -> tuple[dict[str, np.ndarray], float]:
        """Probabilities (n, k) of all labelled recordings by lead set, and core seconds of all trainings."""
        joint: dict[str, np.ndarray] = {}
        seconds = 0.0
        for fold in range(FOLDS):
            file = self.work / f"{way.replace(' ', '_')}-{fold}.npz"
            if not file.exists():
                started = time.process_time()
                by_leads = self._fold(way, fold)
                np.savez(file, seconds=time.process_time() - started, **by_leads)
            with np.load(file) as kept:
                seconds += float(kept["seconds"])
                for name in (name for name in kept if name != "seconds"):
                    empty = np.zeros((len(self.labelled), len(SPACE)))
                    joint.setdefault(name, empty)[self.folds == fold] = kept[name]
        return joint, seconds

    def _fold(self, way: str, fold: int) -> dict[str, np.ndarray]:
        config = self._changed(**WAYS[way])
        data = self._parts(self.data, fold)
        if not config.start.one_pass:
            config = replace(config, lead_sets=JUDGED)
        name = ONE_PASS if way == AVERAGED else way
        folder = self.work / f"{name.replace(' ', '_')}-{fold}"
        context = TrainingContext(data, config, SPACE, folder, "cpu", quiet=False)
        context.work.mkdir(parents=True, exist_ok=True)
        answers = {}
        for job in make_jobs(config, SPACE, "compact"):
            if way != BEFORE and not context.finished(job):
                context.train(job, context.wanted_steps(job), Deadline())
            for leads in JUDGED:
                if leads in job.serves:
                    model = self._network(way, context, job, leads)
                    task = replace(context.task(job), leads=leads, valid=self.labelled[self.folds == fold])
                    answers[lead_set_name(leads)] = task.probabilities(model)
        return answers

    def _network(self, way: str, context: TrainingContext, job: Job, leads: tuple[str, ...]) -> torch.nn.Module:
        """A trained network on a lead set."""
        model = create_network(job.architecture, leads, len(SPACE), job.options)
        path = context.folder / job.weights
        if way == BEFORE:
            model.load_state_dict(cut_leads(model, job.start.tensors(), leads))
        elif job.cut_to:
            model = load_universal(path, lambda: model, leads)
        else:
            load_weights(path, model)
        if way == AVERAGED:
            before, tuned = cut_leads(model, job.start.tensors(), leads), model.state_dict()
            mean = {n: (t + before[n]) / 2 if t.is_floating_point() else t for n, t in tuned.items()}
            model.load_state_dict(mean)
        return model.eval()

    @property
    def positive(self) -> np.ndarray:
        """(n, k) bool: classes of the recordings, aliases included."""
        return np.nan_to_num(self.bare.targets[self.labelled]).astype(bool)

    @property
    def frequent(self) -> np.ndarray:
        """(k,) bool: classes with enough positives."""
        return self.positive.sum(axis=0) >= FEWEST

    def ranked(self, p: np.ndarray) -> Callable[[np.ndarray], float]:
        """Mean over folds and frequent classes of the AUROC of probabilities (n, k), by counts of recordings."""
        parts = [self.folds == fold for fold in range(FOLDS)]
        ranked = [Ranking(self.positive[part][:, self.frequent], p[part][:, self.frequent]) for part in parts]

        def mean(counts: np.ndarray) -> float:
            by_fold = [r.areas(counts[part])[0] for r, part in zip(ranked, parts, strict=True)]
            return float(np.mean([macro(areas) for areas in by_fold]))

        return mean

    def rows(self, ways: Iterable[str]) -> Iterator[dict]:
        """A row for each way and lead set."""
        targets = self.bare.targets[self.labelled]
        before = {name: self.ranked(p) for name, p in self.answers(BEFORE)[0].items()}
        for way in ways:
            by_leads, seconds = self.answers(way)
            if way == AVERAGED:
                seconds += self.answers(ONE_PASS)[1]
            for name, p in by_leads.items():
                yield {
                    "network": self.network, "way": way, "leads": name, **self.scores(p, before[name]),
                    "log_loss": f"{mean_of_known(log_loss(targets, p, 1e-6), targets):.4f}",
                    "core_minutes": f"{seconds / 60 / FOLDS:.1f}",
                }  # fmt: skip

    def scores(self, p: np.ndarray, other: Callable[[np.ndarray], float]) -> dict[str, object]:
        """Mean AUROC, and how much it is above another with a paired bootstrap over patients."""
        mean = self.ranked(p)
        gain = bootstrap(lambda counts: mean(counts) - other(counts), len(p), self.bare.groups[self.labelled], n=500)
        return {
            "recordings": len(p), "classes": int(self.frequent.sum()),
            "auroc": f"{mean(np.ones(len(p), dtype=np.int64)):.3f}",
            "gain": f"{gain.value:+.3f}", "gain_low": f"{gain.low:+.3f}", "gain_high": f"{gain.high:+.3f}",
        }  # fmt: skip


def together(experiments: Sequence[Experiment]) -> Iterator[dict]:
    """The networks of all experiments asked together, as they are kept by default, against the best of them."""
    first = experiments[0]
    targets, labels = first.bare.targets[first.labelled], first.bare.labels[first.labelled]
    values = np.column_stack([first.bare.abnormal[first.labelled], targets])
    known = ValidationTargets(values, labels, shares(values))
    for leads in map(lead_set_name, JUDGED):
        answers = [experiment.answers(AVERAGED)[0][leads] for experiment in experiments]
        fifths = first.bare.folds_of(first.labelled, 5, first.config.seed)
        choice = choose(answers, known, fifths, SPACE)
        joint = np.zeros_like(answers[0])
        for fifth in np.unique(fifths):
            rest, here = fifths != fifth, fifths == fifth
            fitted = fit_ensemble([p[rest] for p in answers], known.part(rest), SPACE, {}, choice)
            joint[here] = replace(fitted, calibration=None).join([p[here] for p in answers])
        once = np.ones(len(joint), dtype=np.int64)
        best = max((first.ranked(p) for p in answers), key=lambda mean: mean(once))
        metric = choice.report["challenge_metric"]
        yield {
            "network": " ".join(experiment.network for experiment in experiments), "way": TOGETHER, "leads": leads,
            **first.scores(joint, best), "log_loss": f"{mean_of_known(log_loss(targets, joint, 1e-6), targets):.4f}",
            "metric_by_thresholds": f"{metric['thresholds']:.3f}",
            "metric_by_expected_score": f"{metric['expected_score']:.3f}",
        }  # fmt: skip


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--models", default="resnet34,mvms_net", help="the first in all ways, others in few")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    experiments = [Experiment(name, arguments.data, arguments.work) for name in arguments.models.split(",")]
    rows = [row for i, experiment in enumerate(experiments) for row in experiment.rows(FEWER if i else WAYS)]
    write_table(arguments.output, COLUMNS, [*rows, *together(experiments)])


if __name__ == "__main__":
    main()
