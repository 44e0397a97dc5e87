"""`train_model.py` in one piece: every architecture on every lead set, then the entry that answers with them."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import leadset
from leadset.classes import LabelSpace, label_space
from leadset.config import Config, load_config
from leadset.entry.manifest import WORK_FOLDER, Manifest
from leadset.leads import lead_set_name
from leadset.recordings.dataset import DataSet
from leadset.recordings.importers import open_dataset
from leadset.training.context import SPLIT_FILE, Job, Trained, TrainingContext, read_json, write_json
from leadset.training.data import (
    Preparation,
    Split,
    TrainingData,
    beats_keys,
    in_label_space_of,
    load_training_data,
)
from leadset.training.decision.joining import Joining
from leadset.training.distributed import is_shared, together, training_pool
from leadset.training.jobs import describe_starts, make_jobs
from leadset.training.plan import TimeLimit, affordable, that_fit
from leadset.training.replacing import replacing
from leadset.training.sizes import choose_preset
from leadset.training.steps.batches import GPU_LOADERS
from leadset.training.steps.pretraining import add_bank, affordable_bank
from leadset.training.task import Cost, NothingToLearn
from leadset.training.trainer import Deadline
from leadset.training.untuned import can_stand_in, write_shipped_entry
from leadset.utils.files import only_one
from leadset.utils.gpu_memory import free_memory
from leadset.utils.memory import keep_freed_memory
from leadset.utils.workers import available_cores, cluster, worker_pool

# Time is short where the training would take more than this share of what is left.
_SHORT = 0.5


class Run:
    """One call of `train_model.py`, or the continuation of one that was interrupted.

    Args:
        data: recordings with labels: a folder, or what `leadset.recordings.importers.open_dataset` takes.
        model_folder: where the entry goes; unfinished work is kept in a folder inside it.
        config: the choices of `default.toml` and what overrides them.
        held_out: paths of headers whose recordings are no part of the run; a mapping says why.
        validation: paths of headers whose recordings are the validation part; empty: one is drawn.
    """

    def __init__(
        self,
        data: str | Path | DataSet,
        model_folder: str | Path,
        config: Config,
        held_out: Collection[str] = (),
        validation: Collection[str] = (),
    ) -> None:
        self.recordings, self.folder, self.config = open_dataset(data), Path(model_folder), config
        self.held_out, self.validation = held_out, frozenset(validation)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.space: LabelSpace = label_space(config.label_space)
        self.work = self.folder / WORK_FOLDER
        self.preset, self.why_preset = choose_preset(config, self.space, len(self.recordings), self.device)
        self.jobs = make_jobs(config, self.space, self.preset)
        self.processes = self._processes()

    def _processes(self) -> int:
        """Networks measured and trained at a time: one per core or as many as the configuration says.

        One by all processes that share the training, and one on a GPU until it is known how many fit (`_trainers`).
        """
        if self.device == "cuda" or is_shared():
            return 1
        return min(self._workers, len(self.jobs))

    @property
    def _workers(self) -> int:
        return self.config.workers if self.config.workers > 0 else available_cores()

    # --- the run -----------------------------------------------------------------------------------------------

    def execute(self) -> Manifest:
        """Trains what is not trained yet and writes the entry; see `train_entry`."""
        self.work.mkdir(parents=True, exist_ok=True)
        with only_one(self.work / "lock", "training in this folder"):
            return self._execute()

    def _execute(self) -> Manifest:
        keep_freed_memory()
        self.limit = TimeLimit(self.config.time_limit_hours * 3600)
        with cluster(self.config.scheduler):
            self.data = self._load_data()
        self.context = self._context(self.data)
        manifest = self._finish_untuned() if self._stays_untuned(self.data) else self._train_all()
        if not self.config.keep_work:
            shutil.rmtree(self.work)
        return manifest

    def _train_all(self) -> Manifest:
        """Trains what is not trained yet, and joins it."""
        self.jobs = list(self._possible_jobs())
        clock_file = self.work / f"clock-{self.context.digest('clock')}.json"
        self.limit.spent = read_json(clock_file).get("seconds", 0.0)
        try:
            with training_pool(self.processes) as pool:
                costs = self._measure(pool)
                with self._trainers(pool, costs) as trainers:
                    self._train(trainers, costs)
        finally:
            write_json(clock_file, {"seconds": self.limit.used})
        return self._finish()

    def _stays_untuned(self, data: TrainingData) -> bool:
        """Whether there is too little to learn from, and the entry that ships can take the place of a trained one."""
        few = len(data.train) < self.config.start.fewest
        return few and can_stand_in(self.config, self.space, {job.architecture for job in self.jobs})

    def _finish_untuned(self) -> Manifest:
        """Puts the entry that ships into the folder."""
        n, fewest = len(self.data.train), self.config.start.fewest
        reason = f"not tuned: {n} recordings to learn from, expected {fewest} or more; this is the entry that ships"
        print(reason)
        self.context.log({"event": "not tuned", "reason": reason})
        return write_shipped_entry(self.folder, self.config, reason, self._provenance())

    def _context(self, data: TrainingData) -> TrainingContext:
        return TrainingContext(data, self.config, self.space, self.folder, self.device, quiet=self.processes > 1)

    def _possible_jobs(self) -> Iterator[Job]:
        """The jobs less those that the folder has nothing to learn from for; at least one."""
        left_out: dict[str, list[str]] = {}
        for job in self.jobs:
            try:
                self.context.task(job)
            except NothingToLearn as error:
                left_out.setdefault(f"{job.architecture} is left out: {error}", []).append(job.name)
            else:
                yield job
        for reason, names in left_out.items():
            self.context.log({"event": "left out", "jobs": names, "reason": reason})
            print(reason)
        if len(self.jobs) == sum(map(len, left_out.values())):
            raise ValueError(f"{self.recordings}: {'; '.join(left_out)}")

    def _load_data(self) -> TrainingData:
        cache = Path(self.config.cache) if self.config.cache else self.work / "store"
        beats = [key for job in self.jobs for leads in job.all_leads for key in beats_keys(job.spec, leads)]
        preparation = Preparation(
            [job.spec.transform for job in self.jobs], cache, beats, self.config.workers, self.config.leads
        )
        split = Split(self.config.validation_share, self.config.seed, self.held_out, self.validation)
        data = load_training_data(self.recordings, self.space, preparation, split)
        data = data if self._stays_untuned(data) else self._with_bank(data, cache)
        data.write_split(self.folder / SPLIT_FILE)
        unannotated = data.unannotated()
        event = {"event": "data", **data.counts(), "fingerprint": data.fingerprint, "preset": self.preset}
        self._context(data).log({**event, "unannotated": unannotated})
        counts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in data.counts().items())
        print(f"recordings: {counts}; device {self.device}")
        for line in self._lacking(data):
            print(f"  {line}")
        print(f"sizes: {self.preset} ({self.why_preset})")
        for source, classes in unannotated.items():
            print(f"  {source} never annotates {', '.join(classes)}: left out of what is learnt there")
        for failure in data.failures[:5]:
            print(f"  skipped: {failure.message}")
        if len(data.failures) > 5:
            print(f"  … and {len(data.failures) - 5} more, all listed in {self.folder / SPLIT_FILE}")
        return data

    def _with_bank(self, data: TrainingData, cache: Path) -> TrainingData:
        """The data, with simulated recordings where there are few real ones; as many as when the run was begun."""
        pretrain, started = self.config.pretrain, any(job.start is not None for job in self.jobs)
        new = [job for job in self.jobs if job.start is None and job.kind == "classifier"]
        wanted = pretrain.recordings if new or not started else self.config.start.recordings
        if len(data.train) >= pretrain.below or not wanted:
            return data
        file = self.work / f"bank-{self._context(data).digest('bank')}.json"
        size = read_json(file).get("recordings")
        if size is None:
            seconds = pretrain.bank_time_share * self.limit.seconds
            size = affordable_bank(data, wanted, seconds, self.config.workers, self.work)
            write_json(file, {"recordings": size})
        return add_bank(data, size, self.config.seed, cache, self.config.workers, as_sources=started)

    def _measure(self, pool: Executor) -> dict[str, Cost]:
        """What every job that is not done costs, measured once per run and kept for its continuation."""
        file = self.work / f"costs-{self.context.digest('costs')}.json"
        costs = {name: Cost(*cost) for name, cost in read_json(file).items()}
        missing = [job for job in self.jobs if job.name not in costs and not self.context.finished(job)]
        measured = tqdm(pool.map(self.context.measure, missing), "measure", len(missing), leave=False)
        costs |= {job.name: cost for job, cost in zip(missing, measured, strict=True)}
        write_json(file, costs)
        self._announce(costs)
        return costs

    def _lacking(self, data: TrainingData) -> Iterator[str]:
        """Classes and leads that no recording to learn from has."""
        absent = np.flatnonzero(~data.labels[data.train].any(axis=0))
        if len(absent):
            names = ", ".join(self.space.abbreviations[k] for k in absent)
            yield f"no recording to learn from has {len(absent)} of {len(self.space)} classes: {names}"
        flags = [data.first.recordings[i].flags for i in data.train]
        for leads in self.config.lead_sets:
            never = [lead for lead in leads if all(f"missing:{lead}" in of for of in flags)]
            if never:
                yield f"lead set {lead_set_name(leads)}: no recording has {', '.join(never)}, which stay zero"

    def _announce(self, costs: dict[str, Cost]) -> None:
        """Prints how long the training would take without a limit."""
        for line in describe_starts(self.jobs, self.config, self.space):
            print(f"  {line}")
        todo = [job for job in self.jobs if not self.context.finished(job)]
        steps = [self.context.wanted_steps(job) for job in todo]
        seconds = sum(n * costs[job.name].step + costs[job.name].end for n, job in zip(steps, todo, strict=True))
        wanted, limit, used = map(_readable, (seconds / self.processes, self.limit.seconds, self.limit.used))
        plan = f"{len(todo)}, for which all steps ({sum(steps)}) take {wanted}"
        print(f"networks to train: {plan}; time limit: {limit}, of which {used} are used")

    @contextmanager
    def _trainers(self, pool: Executor, costs: dict[str, Cost]) -> Iterator[Executor]:
        """What trains the networks: the pool that measured them, or on a GPU as many processes as fit into its memory.

        A GPU is shared in turns, so that nothing is taken as gained before the first networks are done.
        """
        free = free_memory(self.device)
        peaks = [costs[job.name].memory for job in self.jobs if not self.context.finished(job)]
        fit = min(that_fit(peaks, free), self._workers // (1 + GPU_LOADERS)) if free and not is_shared() else 1
        if fit <= 1:
            yield pool
            return
        print(f"side by side on the GPU: {fit} networks; the largest takes {max(peaks) / 2**30:.1f} GiB")
        self.processes, self.context = fit, replace(self.context, quiet=True)
        self.limit.pace.add(1.0, float(fit))
        with worker_pool(fit) as trainers:
            yield trainers

    def _train(self, pool: Executor, costs: dict[str, Cost]) -> None:
        """Trains, longest first, what is not trained; steps are planned anew whenever a process is free."""
        todo = [job for job in self.jobs if not self.context.finished(job)]
        wanted = {job.name: self.context.wanted_steps(job) for job in todo}
        total = {job.name: wanted[job.name] * costs[job.name].step + costs[job.name].end for job in todo}
        todo.sort(key=lambda job: -total[job.name])
        self._measure_finishing(sum(total.values()))
        running: dict[Future[Trained], tuple[Job, float]] = {}
        with tqdm(total=len(self.jobs), initial=len(self.jobs) - len(todo), desc="train", unit="network") as bar:
            while todo or running:
                while todo and len(running) < self.processes:
                    job = todo.pop(0)
                    steps, deadline = self._planned(job, todo, wanted, costs, [end for _, end in running.values()])
                    future = pool.submit(self.context.train, job, steps, deadline)
                    running[future] = job, time.monotonic() + steps * deadline.cost.step + deadline.cost.end
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    (job, _), trained = running.pop(future), future.result()
                    expected = trained.steps * costs[job.name].step + costs[job.name].end
                    self.limit.pace.add(expected, trained.seconds)
                    area = trained.summary["valid_auroc"]
                    bar.set_postfix(auroc="–" if area is None else f"{area:.3f}")
                    bar.update()

    def _planned(
        self, job: Job, later: list[Job], wanted: dict[str, int], costs: dict[str, Cost], ends: list[float]
    ) -> tuple[int, Deadline]:
        """How many steps a network takes, and when it must be done.

        Args:
            job: which.
            later: those after it.
            wanted, costs: steps without a limit and what was measured, by name.
            ends: when the networks under way will be done, as `time.monotonic` values.
        """
        now, slowdown = time.monotonic(), self.limit.pace.slowdown
        expected = {name: cost.scaled(slowdown) for name, cost in costs.items()}
        cost = expected[job.name]
        others = sum(wanted[other.name] * expected[other.name].step for other in later)
        fixed = cost.end + sum(expected[other.name].end for other in later)
        fixed += sum(max(0.0, end - now) for end in ends)
        steps, seconds = affordable(wanted[job.name], cost.step, others, fixed, self.limit.left * self.processes)
        least = sum(expected[other.name].step + expected[other.name].end for other in later) / self.processes
        following = least + slowdown * self.limit.finishing
        return steps, Deadline(now + min(seconds + cost.end, self.limit.left), cost, following)

    def _measure_finishing(self, training: float) -> None:
        """Measures how long it takes to join networks, if the training may take all the time."""
        if training / self.processes >= _SHORT * self.limit.left:
            self.limit.finishing = Joining(self.context, self.jobs).seconds() * len(self.config.lead_sets)

    def _finish(self) -> Manifest:
        """Joins the networks of each lead set and writes `entry.json`."""
        joining = Joining(self.context, self.jobs)
        sets, reports = [], {}
        for leads in sorted(self.config.lead_sets, key=len, reverse=True):
            trained, report = joining.join(leads)
            sets.append(trained)
            reports[lead_set_name(leads)] = report
            self.context.log({"event": "joined", "leads": lead_set_name(leads), **report})
        provenance = self._provenance() | {
            "detector": {name: report["detector"] for name, report in reports.items() if report["detector"]},
            "ensemble": {name: report["ensemble"] for name, report in reports.items()},
            "scores": {name: report["scores"] for name, report in reports.items()},
        }
        manifest = Manifest(
            self.space.copy_to(self.folder), self.space.keys, joining.targets.shares[1:], tuple(sets), provenance,
            self.config.leads, self.config.abnormality,
        )  # fmt: skip
        manifest.write(self.folder)
        self.context.log({"event": "done", "seconds": round(self.limit.used, 1)})
        return manifest

    def _provenance(self) -> dict[str, Any]:
        """Versions, choices and data of the run, as plain values."""
        return {
            "versions": {"leadset": leadset.__version__, "torch": torch.__version__, "numpy": np.__version__},
            "seed": self.config.seed,
            "preset": self.preset,
            "configuration": self.config.provenance(),
            "device": self.device,
            "data": {
                **self.data.counts(), "fingerprint": self.data.fingerprint, "split": SPLIT_FILE,
                "unannotated": self.data.unannotated(),
            },
            "seconds": round(self.limit.used, 1),
        }


def _readable(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


def train_entry(
    data: str | Path | DataSet,
    model_folder: str | Path,
    config: Config | None = None,
    held_out: Collection[str] = (),
    validation: Collection[str] = (),
) -> Manifest:
    """Trains an entry on a folder of recordings or a data set.

    A run that was interrupted or killed goes on where it stopped when it is started again with the same data, model
    folder and configuration. Processes that ``torchrun`` started train together (`leadset.training.distributed`).

    Args:
        data: recordings with labels, nested as they are published; or what `open_dataset` takes or returns. A data set
            with a label space of its own is learnt in that one.
        model_folder: made if missing; an entry in it is replaced.
        config: by default `leadset.config.load_config`.
        held_out: paths of headers, as `find_recordings` gives them: nothing of these recordings is learnt from,
            calibrated on or counted. A mapping from paths says why, for `split.csv`.
        validation: paths of the recordings that are the validation part; empty: one is drawn.

    Raises:
        OSError: no such data folder, or the model folder cannot be written.
        ValueError: nothing to learn from, or a configuration that does not fit; the message says what.
    """
    with together() as works_here:
        if not works_here:
            return Manifest.read(Path(model_folder))
        data = open_dataset(data)
        with replacing(Path(model_folder)):
            config = in_label_space_of(data, config or load_config(), Path(model_folder))
            print(config.summary())
            run = Run(data, model_folder, config, held_out, validation)
            try:
                return run.execute()
            except KeyboardInterrupt:
                how = f"start the same command again to go on ({run.work} keeps the state)"
                print(f"\ninterrupted: {how}", file=sys.stderr)
                raise
