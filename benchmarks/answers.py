"""How much time an answer takes beside that of its networks, and what answering many recordings at once saves.

    LEADSET_REAL_DATA=… OMP_NUM_THREADS=1 python benchmarks/answers.py [MODEL …]

Of the entry that ships, and of any others that are named, on twelve and two leads: processor time of `run_model` for
one real recording after the other, of the bare forward passes that it makes (the same windows through the same
networks, once more, right after it), and of the batched driver for the same recordings in one process. Medians over the
recordings of the fastest of some rounds; all of a round is measured before the next, so that the machine's state weighs
on all alike. The batched driver is given all recordings at once, the few that take long among them: its time by
recording is that of its fastest round, and is compared with that of `run_model` in its fastest round. It takes as many
processes as there are cores: with n of them it answers up to n times as many recordings a second as its row says.
Writes benchmarks/answers.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tables import write_table

from leadset.challenge import load_model, run_model
from leadset.entry import Entry
from leadset.entry.manifest import FILE_NAME
from leadset.leads import LEADS, resolve_leads
from leadset.models import prediction
from leadset.models.shipped import FOLDER
from leadset.recordings import find_recordings, read_header
from leadset.recordings.reader import read_header_text
from leadset.recordings.segments import read_raw

RECORDINGS, ROUNDS = 48, 6
COLUMNS = ("entry", "leads", "networks", "recordings", "run_model_ms", "forward_ms", "times_forward",
           "run_model_mean_ms", "batched_ms", "times_batched", "cores", "torch")  # fmt: skip


def samples_of(data: Path, leads: tuple[str, ...]) -> list[tuple[str, np.ndarray, Path]]:
    """Header texts, counts and paths of recordings of 10 s with twelve leads; of fewer leads, a part of each."""
    chosen = []
    for path in find_recordings(data):
        header = read_header(path)
        if header.leads == LEADS and header.n_samples == 10 * header.fs:
            chosen.append((path, header))
    chosen = chosen[:: max(1, len(chosen) // RECORDINGS)][:RECORDINGS]
    made = []
    for path, header in chosen:
        rows = [LEADS.index(lead) for lead in leads]
        first, *lines = read_header_text(path).splitlines()
        words = first.split()
        words[1] = str(len(leads))
        text = "\n".join([" ".join(words), *(lines[row] for row in rows), *lines[len(LEADS) :]]) + "\n"
        made.append((text, read_raw(header, path.parent)[rows], path))
    return made


@contextmanager
def noted(calls: list[Callable[[], object]]) -> Iterator[None]:
    """Notes every forward pass, so that it can be done again."""
    forward = prediction.window_logits

    def noting(model, windows, masks, extra):
        x = torch.tensor(windows)
        mask = None if masks.all() else torch.tensor(masks)
        named = {name: torch.tensor(values) for name, values in extra.items()}
        calls.append(lambda: model(x, mask, **named))
        return forward(model, windows, masks, extra)

    prediction.window_logits = noting
    try:
        yield
    finally:
        prediction.window_logits = forward


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measured(folder: Path, name: str, leads: tuple[str, ...], data: Path) -> dict:
    """The row of an entry on a lead set."""
    entry, recordings = load_model(str(folder), leads), samples_of(data, leads)
    passes: list[list[Callable[[], object]]] = []
    for header, counts, _ in recordings:
        passes.append([])
        with noted(passes[-1]):
            run_model(entry, header, counts)
    batched = Entry(folder, "cpu", 0, quality=False)
    one, bare, many = (np.full((ROUNDS, len(recordings)), np.nan) for _ in range(3))
    for turn in range(ROUNDS):
        for i, (header, counts, _) in enumerate(recordings):
            one[turn, i] = seconds(lambda header=header, counts=counts: run_model(entry, header, counts))
            with torch.inference_mode():
                bare[turn, i] = seconds(lambda calls=passes[i]: [call() for call in calls])
        if leads == LEADS:  # the batched driver reads files, which have all leads
            many[turn] = seconds(lambda: list(batched.predict([path for *_, path in recordings]))) / len(recordings)
    mean, many = (1e3 * float(times.mean(axis=1).min()) for times in (one, many))
    one, bare = (1e3 * float(np.median(times.min(axis=0))) for times in (one, bare))
    asked = entry.asked(entry.trained_set(leads))
    return {
        "entry": name, "leads": len(leads), "networks": len(asked), "recordings": len(recordings),
        "run_model_ms": f"{one:.1f}", "forward_ms": f"{bare:.1f}", "times_forward": f"{one / bare:.2f}",
        "run_model_mean_ms": f"{mean:.1f}", "batched_ms": "" if np.isnan(many) else f"{many:.1f}",
        "times_batched": "" if np.isnan(many) else f"{mean / many:.2f}",
        "cores": len(os.sched_getaffinity(0)), "torch": torch.__version__,
    }  # fmt: skip


def main() -> int:
    """Measures and writes the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="folders of further entries")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    data = os.environ.get("LEADSET_REAL_DATA")
    if not data:
        print("LEADSET_REAL_DATA is not set: name the folder of real recordings", file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    rows: list[dict] = []
    if arguments.output.exists():
        with open(arguments.output, newline="") as file:
            rows = list(csv.DictReader(file))
    for folder, name in [(FOLDER, "shipped"), *((path, path.name) for path in arguments.models)]:
        if not (folder / FILE_NAME).is_file():
            print(f"{folder}: found no {FILE_NAME}, expected an entry", file=sys.stderr)
            return 1
        for size in (12, 2):
            row = measured(folder, name, resolve_leads(size), Path(data) / "challenge" / "training")
            rows = [old for old in rows if (old["entry"], str(old["leads"])) != (name, str(size))] + [row]
            write_table(arguments.output, COLUMNS, rows)
            print("  ".join(str(row[column]) for column in COLUMNS))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
