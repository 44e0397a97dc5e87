"""Throughput and memory of every classifier on a GPU, in bf16, and what the complete Challenge would take there.

    python benchmarks/models_gpu.py [--models star,mvms_net] [--leads 12,2] [--budget 290]

Networks of the published preset, trained by the steps of the trainer. `random`: one batch that lies on the device.
`data path`: simulated recordings, store, windows, batches, pinned prefetch, device, as a training has it; `share` is
its throughput against the random batch, both eager. Forms: as it is (`eager`), recorded as a CUDA graph (`graph`),
compiled (`compile`), compiled with CUDA graphs (`compile graph`); `best` names the fastest that was measured. Compiling
counts as warm-up. `challenge_hours` are those of the steps that the default configuration takes for 88 253 recordings
from nothing; trainings run eager, at the throughput of the data path where that was measured, and the last row adds up
the networks that it counts. It ends inside the budget, in seconds: what did not fit has a row that says so. Random
batches of all eager networks come first, then the rest lead set by lead set.

Writes benchmarks/models_gpu.csv. `--device cpu` goes the same way in fp32, without graphs and memory. No GPU was at
hand so far: there is no such table yet. `data_path.py` measures what can be known without one.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from data_path import batches_of
from models import inputs_of
from tables import write_table
from torch import nn
from tqdm import tqdm

from leadset.config import Config, default_config
from leadset.leads import LEAD_SETS, resolve_leads
from leadset.models import create_model, list_models
from leadset.simulate.write import write_dataset
from leadset.training.steps.batches import Batch, step_loader
from leadset.training.steps.curriculum import Curriculum
from leadset.training.tasks.classification import ClassificationTask
from leadset.training.trainer import build_optimizer, to_device, train_step

#: Recordings of the Challenge's public training data.
CHALLENGE = 88_253
CLASSES = 26
#: Steps before the clock starts: a compiled network is compiled in them. Most steps that a data path holds.
WARM_UP, MOST_STEPS = 3, 100_000
#: Further steps before the clock of a data path on a GPU: what its loader had ready (two batches a process) is used up.
READY = 8
EAGER, GRAPH, COMPILE, BOTH = "eager", "graph", "compile", "compile graph"
RANDOM, DATA_PATH = "random", "data path"
COLUMNS = ("model", "leads", "work", "input", "form", "precision", "batch", "recordings_per_s", "peak_mib",
           "times_eager", "best", "share", "challenge_steps", "challenge_hours", "note", "torch", "device")  # fmt: skip


class OverBudget(BaseException):
    """The time is up; no `Exception`, so that nothing on the way takes it for a failure of its own."""


class Task(NamedTuple):
    """One measurement."""

    model: str
    leads: int
    work: str
    input: str
    form: str


@dataclass(frozen=True)
class Setting:
    """What all measurements share: ``recordings`` of the data path, ``seconds`` for which each is timed."""

    config: Config
    preset: str
    recordings: int
    device: torch.device
    folder: Path
    seconds: float

    @property
    def on_gpu(self) -> bool:
        """Whether there are graphs and memory to measure."""
        return self.device.type == "cuda"


@contextlib.contextmanager
def budget_of(seconds: float) -> Iterator[None]:
    """Raises `OverBudget` in whatever runs after so many seconds."""

    def stop(*_: object) -> None:
        raise OverBudget

    before = signal.signal(signal.SIGALRM, stop)
    # Again every second: Python drops what is raised while it frees an object.
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tasks_of(names: list[str], lead_sets: list[int], on_gpu: bool) -> list[Task]:
    """What to measure, the cheap and the telling first."""
    pairs = [(name, leads) for leads in lead_sets for name in names]
    tasks = [Task(*pair, work, RANDOM, EAGER) for pair in pairs for work in ("train", "infer")]
    for size in lead_sets:
        tasks += [Task(name, size, "train", DATA_PATH, EAGER) for name in names]
        for form in (GRAPH, COMPILE, BOTH) if on_gpu else (COMPILE,):
            tasks += [Task(name, size, work, RANDOM, form) for name in names for work in ("train", "infer")]
    return tasks


def built(task: Task, setting: Setting) -> nn.Module:
    """The network as the preset has it, on the device."""
    torch.manual_seed(0)
    options = setting.config.options(task.model, setting.preset)
    return create_model(task.model, task.leads, **options).to(setting.device)


def random_batch(model: nn.Module, leads: int, size: int) -> Batch:
    """Noise in the shape of a training batch."""
    inputs = inputs_of(model, leads, size)
    return Batch(inputs.pop("x"), None, torch.zeros(size, CLASSES), inputs)


def recorded(step: Callable[[], object]) -> Callable[[], object]:
    """A step as a CUDA graph, after steps on another stream, as PyTorch's notes on CUDA graphs ask."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def step_of(task: Task, setting: Setting, stack: contextlib.ExitStack) -> Callable[[], object]:
    """What is timed: a call is a step on one batch."""
    config, leads, device = setting.config, resolve_leads(task.leads), setting.device
    model = built(task, setting)
    spec, batch = model.input_spec, to_device(random_batch(model, task.leads, config.batch_size), device)
    if task.form in (COMPILE, BOTH):
        stack.callback(torch.compiler.reset)
        # Without a mode that measures kernels against each other: that takes minutes.
        model = torch.compile(model, mode="reduce-overhead" if task.form == BOTH else "default")
    model.train(task.work == "train")
    if task.work == "infer":

        def step() -> object:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=setting.on_gpu):
                return model(batch.windows, batch.mask, **batch.extra)

    else:
        learner = ClassificationTask(
            None, np.empty(0), Curriculum(()), np.empty(0), leads, spec, 0, config.batch_size, config.weight_decay
        )
        optimizer = build_optimizer(model, config.weight_decay)
        for group in optimizer.param_groups:
            group["capturable"] = task.form == GRAPH
        following = None
        if task.input == DATA_PATH:
            batches = batches_of(spec, leads, setting.folder, MOST_STEPS, config.batch_size)
            following = step_loader(batches, 0, device)

        def step() -> object:
            return train_step(model, optimizer, learner, next(following) if following else batch)

    return recorded(step) if task.form == GRAPH else step


def measure(task: Task, setting: Setting) -> dict:
    """The numbers of a row: throughput, and on a GPU the peak memory."""
    wait = torch.cuda.synchronize if setting.on_gpu else lambda: None
    with contextlib.ExitStack() as stack:
        if setting.on_gpu:
            gc.collect()  # of what was measured before
            stack.callback(torch.cuda.empty_cache)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        step = step_of(task, setting, stack)
        for _ in range(WARM_UP + (READY if setting.on_gpu and task.input == DATA_PATH else 0)):
            step()
        wait()
        started, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - started < setting.seconds:
            for _ in range(4 if setting.on_gpu else 1):  # waiting after each would leave gaps between them
                step()
                steps += 1
            wait()
        rate = steps * setting.config.batch_size / (time.perf_counter() - started)
        peak = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if setting.on_gpu else ""
    return {"rate": rate, "peak_mib": peak}


def measured(tasks: list[Task], setting: Setting, results: dict[Task, dict]) -> None:
    """Measures one after the other; a network that fails in some form gets a note, and the others go on."""
    for _ in write_dataset(setting.folder / "data", setting.recordings, fs=500):
        pass
    for task in tqdm(tasks):
        try:
            results[task] = measure(task, setting)
        except torch.OutOfMemoryError:
            results[task] = {"note": "out of memory"}
        except Exception as error:  # compiling and recording fail in many ways, each with a type of its own
            results[task] = {"note": f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"}


def challenge_steps(config: Config) -> int:
    """Steps of a network on all recordings of the Challenge, without a time limit and from nothing."""
    passes = config.epochs * CHALLENGE * (1 - config.validation_share)
    return max(round(passes / config.batch_size), config.min_steps)


def rows_of(tasks: list[Task], results: dict[Task, dict], setting: Setting) -> list[dict]:
    """The table: all that was to be measured, and the sum."""
    config = setting.config
    steps, rates = challenge_steps(config), {task: r["rate"] for task, r in results.items() if "rate" in r}
    about = {
        "batch": config.batch_size, "precision": "bf16" if setting.on_gpu else "fp32", "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if setting.on_gpu else "cpu",
    }  # fmt: skip
    rows, hours = [], {}
    for task in tasks:
        result = results.get(task, {"note": "not measured: the time was up"})
        row = {**task._asdict(), **about, "peak_mib": result.get("peak_mib", ""), "note": result.get("note", "")}
        if (rate := rates.get(task)) is not None:
            row["recordings_per_s"] = f"{rate:.1f}"
            eager = rates.get(task._replace(input=RANDOM, form=EAGER))
            if task.input == DATA_PATH:
                row["share"] = f"{rate / eager:.3f}" if eager else ""
            else:
                forms = {t.form: r for t, r in rates.items() if t._replace(form=task.form) == task}
                row |= {"times_eager": f"{rate / eager:.2f}" if eager else "", "best": max(forms, key=forms.get)}
            if task.work == "train":
                taken = steps * config.batch_size / rate / 3600
                row |= {"challenge_steps": steps, "challenge_hours": f"{taken:.2f}"}
                if task.form == EAGER:  # the data path comes behind the random batch, and takes its place
                    hours[task[:2]] = taken
        rows.append(row)
    networks = len({task[:2] for task in tasks})
    total = {"challenge_hours": f"{sum(hours.values()):.2f}", "note": f"{len(hours)} of {networks} networks, summed"}
    return [*rows, {"model": "all", "work": "train", "form": EAGER, **about, "challenge_steps": steps, **total}]


def main(argv: list[str] | None = None) -> int:
    """Measures and writes the CSV; returns the exit status."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    five = sorted((size for size in LEAD_SETS if size > 1), reverse=True)
    parser.add_argument("--models", default=",".join(list_models("classifier")), help="names, with commas between")
    parser.add_argument("--leads", default=",".join(map(str, five)), help="sizes of lead sets")
    parser.add_argument("--preset", default="published", help="sizes of the networks")
    parser.add_argument("--recordings", type=int, default=64, help="simulated ones, which the data path goes through")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--budget", type=float, default=290.0, help="seconds in all")
    parser.add_argument("--seconds-each", type=float, default=0.5, help="how long each measurement is timed")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args(argv)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU found: PyTorch sees none, or is a build without CUDA", file=sys.stderr)
        return 1
    device = torch.device(arguments.device)
    results: dict[Task, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(
            default_config(), arguments.preset, arguments.recordings, device, Path(folder), arguments.seconds_each
        )  # fmt: skip
        lead_sets = list(map(int, arguments.leads.split(",")))
        tasks = tasks_of(arguments.models.split(","), lead_sets, setting.on_gpu)
        with contextlib.suppress(OverBudget), budget_of(arguments.budget - (time.monotonic() - started)):
            measured(tasks, setting, results)
        write_table(arguments.output, COLUMNS, rows_of(tasks, results, setting))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
