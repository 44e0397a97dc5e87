"""Time and peak memory of every step of the kit on 1 000, 10 000 and 88 253 simulated recordings.

    python benchmarks/scale.py WORK [--sizes 1000 10000 88253] [--steps store split …] [--keep]

The largest is the size of the Challenge's training set. Recordings last 10 s and have 100 Hz, so that the files of all
of them take 2.5 GB. Every step is a process of its own with one thread. What it took is what the operating system
counts: processor time, and the most memory that it had, pages of mapped files included. Trainings take 50 steps of 32
recordings at the kit's compact sizes, from nothing; answering takes 500 recordings of each set, scoring all of them.
Rows that are there are kept. Writes benchmarks/scale.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SIZES = (1000, 10_000, 88_253)
TRAINING_STEPS, ANSWERED = 50, 500
COLUMNS = ("recordings", "step", "handled", "core_s", "wall_s", "ms_per_handled", "peak_mib", "load")
OUTPUT = Path(__file__).with_suffix(".csv")


# --- the steps: each runs in a process of its own and returns how many recordings it handled -----------------------


def simulate(data: Path, work: Path, n: int) -> int:
    """Writes the data set."""
    from leadset.simulate.write import write_dataset

    return sum(1 for _ in write_dataset(data, n, fs=100))


def describe(data: Path, work: Path, n: int) -> int:
    """`leadset describe`."""
    return _verb(n, "describe", str(data))


def doctor(data: Path, work: Path, n: int) -> int:
    """`leadset doctor`."""
    return _verb(n, "doctor", str(data), "--jobs", "1", "--output", str(work / "audit.csv"))


def store(data: Path, work: Path, n: int) -> int:
    """Prepares all recordings for the networks that take 100 Hz."""
    return len(_store(data, work, "resnet34"))


def split(data: Path, work: Path, n: int) -> int:
    """Finds the store, duplicates and patients, and divides the recordings."""
    from leadset.training.data import Preparation, Split, load_training_data

    config, space = _choices()
    transform = _network("resnet34").input_spec.transform
    preparation = Preparation([transform], work / "store", workers=1)
    loaded = load_training_data(data, space, preparation, Split(config.validation_share, config.seed))
    loaded.write_split(work / "split.csv")
    return len(loaded.part)


def delineate(data: Path, work: Path, n: int) -> int:
    """Prepares and delineates all recordings for the reconstruction model."""
    return sum(map(len, _beats(data, work, "cross_restoration").values()))


def train(data: Path, work: Path, n: int, name: str) -> int:
    """Trains a network; the store is there, what is measured includes opening it."""
    from dataclasses import replace

    import numpy as np

    from leadset.leads import LEADS
    from leadset.models import model_entry
    from leadset.training.data import TRAIN, TrainingData
    from leadset.training.tasks.registry import TASKS
    from leadset.training.trainer import RunContext, Trainer
    from leadset.utils.memory import keep_freed_memory

    keep_freed_memory()
    config, space = _choices()
    model, kept = _network(name), _store(data, work, name)
    labels = np.array([space.encode(recording.codes) for recording in kept.recordings])
    loaded = TrainingData(
        {model.input_spec.transform: kept}, space, labels, space.targets_for_training(kept.recordings),
        np.full(len(kept), TRAIN), np.arange(len(kept)), (), _beats(data, work, name),
    )  # fmt: skip
    task = TASKS[model_entry(name).kind](loaded, config, model.input_spec, LEADS)
    task = replace(task, valid=np.zeros(0, dtype=int))
    outcome = Trainer(model, task, TRAINING_STEPS, RunContext(work / "state.safetensors", quiet=True)).run()
    return outcome.steps * task.batch_size


def answer(data: Path, work: Path, n: int) -> int:
    """The entry that ships answers some recordings, evenly spread, in one process."""
    from leadset.entry import load_entry
    from leadset.recordings import find_recordings

    paths = find_recordings(data)
    return sum(1 for _ in load_entry().predict(paths[:: len(paths) // ANSWERED][:ANSWERED]))


def score(data: Path, work: Path, n: int) -> int:
    """`leadset evaluate`, on random answers that were written before."""
    return _verb(n, "evaluate", str(data), str(work / "outputs"))


def write_answers(data: Path, work: Path, n: int) -> int:
    """Writes random answers for all recordings."""
    import numpy as np

    from leadset.recordings import find_recordings
    from leadset.scoring.outputs import write_output

    (_, space), rng = _choices(), np.random.default_rng(0)
    (work / "outputs").mkdir(exist_ok=True)
    for path in find_recordings(data):
        p = rng.random(len(space))
        write_output(work / "outputs" / f"{path.stem}.csv", path.stem, space.keys, p > 0.8, p)
    return n


def _verb(n: int, *words: str) -> int:
    from leadset.cli import main as leadset

    status = leadset(words)
    if status:
        raise SystemExit(status)
    return n


def _choices():
    from leadset.classes import label_space
    from leadset.config import default_config

    config = default_config()
    return config, label_space(config.label_space)


def _network(name: str):
    import torch

    from leadset.leads import LEADS
    from leadset.models import create_network

    config, space = _choices()
    torch.manual_seed(config.seed)
    return create_network(name, LEADS, len(space), config.options(name, "compact"))


def _store(data: Path, work: Path, name: str):
    from leadset.recordings import find_recordings
    from leadset.store.packed import build_store

    return build_store(find_recordings(data), _network(name).input_spec.transform, work / "store", 1, progress=False)


def _beats(data: Path, work: Path, name: str) -> dict:
    from leadset.leads import LEADS
    from leadset.store.beat_store import build_beats
    from leadset.training.data import beats_keys

    keys = beats_keys(_network(name).input_spec, LEADS)
    kept = _store(data, work, name) if keys else None
    return {key: build_beats(kept, key[1], work / "store", 1, progress=False, reliable=key[2]) for key in keys}


STEPS: dict[str, Callable[[Path, Path, int], int]] = {
    step.__name__: step for step in (simulate, describe, doctor, store, split, delineate, write_answers, score, answer)
}


# --- measuring them ------------------------------------------------------------------------------------------------


def all_steps() -> list[str]:
    """The steps in their order."""
    names = subprocess.check_output(
        [sys.executable, "-c", "from leadset.models import list_models; print(*list_models())"], text=True
    ).split()
    return [*STEPS, *(f"train {name}" for name in names)]


def run_step(step: str, data: Path, work: Path, n: int) -> int:
    """One step, in this process; returns how many recordings it handled."""
    verb, _, name = step.partition(" ")
    return train(data, work, n, name) if verb == "train" else STEPS[verb](data, work, n)


def measured(step: str, work: Path, n: int) -> dict:
    """The row of a step."""
    command = [sys.executable, __file__, str(work), "--child", step, "--sizes", str(n)]
    started = time.monotonic()
    # This process has loaded nothing: the peak that a child inherits when it starts is small.
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    printed = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{step} on {n} recordings ended with status {child.returncode}")
    handled, seconds = int(printed.split()[-1]), used.ru_utime + used.ru_stime
    return {
        "recordings": n, "step": step, "handled": handled, "core_s": f"{seconds:.2f}",
        "wall_s": f"{time.monotonic() - started:.2f}", "ms_per_handled": f"{1e3 * seconds / handled:.3f}",
        "peak_mib": round(used.ru_maxrss / 1024), "load": f"{os.getloadavg()[0]:.0f}",
    }  # fmt: skip


def main() -> int:
    """Measures what the table lacks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, help="folder for the data sets, the stores and the answers")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", nargs="+", metavar="STEP", help="by default all; `train` stands for all networks")
    parser.add_argument("--again", action="store_true", help="measure rows that are there once more")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--keep", action="store_true", help="keep the data sets")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        n, work = arguments.sizes[0], arguments.work / str(arguments.sizes[0])
        print(run_step(arguments.child, work / "data", work, n))
        return 0
    rows = []
    if arguments.output.exists():
        with open(arguments.output, newline="") as file:
            rows = list(csv.DictReader(file))
    order = all_steps()
    wanted = [step for step in order if not arguments.steps or {step, step.split()[0]} & set(arguments.steps)]
    for n in arguments.sizes:
        work = arguments.work / str(n)
        work.mkdir(parents=True, exist_ok=True)
        there = {row["step"] for row in rows if int(row["recordings"]) == n}
        if "simulate" not in wanted and not (work / "data").is_dir():
            print(f"{work}: no data set yet: name the step `simulate` too", file=sys.stderr)
            return 1
        for step in wanted:
            if step in there and not arguments.again and not (step == "simulate" and not (work / "data").is_dir()):
                continue
            row = measured(step, arguments.work, n)
            rows = [old for old in rows if (int(old["recordings"]), old["step"]) != (n, step)] + [row]
            rows.sort(key=lambda row: (order.index(row["step"]), int(row["recordings"])))
            _write(arguments.output, rows)
            print("  ".join(str(row[column]) for column in COLUMNS), flush=True)
        if not arguments.keep:
            shutil.rmtree(work)
    return 0


def _write(path: Path, rows: list[dict]) -> None:
    """Written here and not by `tables`, which loads the package: see `measured`."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    os.replace(temporary, path)


if __name__ == "__main__":
    raise SystemExit(main())
