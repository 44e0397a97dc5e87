"""Training and inference throughput of every classifier on every lead set, on one CPU thread.

    python benchmarks/models.py [--models star,mvms_net] [--leads 12,2] [--rounds 3]

Each network is measured as the kit builds it, in bf16 where that is asked for below, and in its straightforward form
(`straightforward.py`), which computes the same function; and all of it with the C library's allocator as it comes and
with `leadset.allocator.keep_freed_memory`, in a process each. Everything is at published size.

Within a round all forms take turns, rounds repeat, and the best counts, in seconds of processor time, so that other
work on the machine weighs as little as possible. Ratios are against the straightforward form under the default
allocator, and against ResNet-34 in the same form as the row. Writes benchmarks/models.csv.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from straightforward import straightforward
from torch import nn

from leadset.allocator import keep_freed_memory
from leadset.beats import BEAT_FEATURES
from leadset.leads import LEAD_SETS
from leadset.models import create_model, list_models

PEER = "resnet34"
#: Recordings per step: enough to keep the convolutions busy, few enough that a step takes seconds at most.
BATCH = {"resunet_lc": 2, "resnet34": 8, "cnn_heartmaasters": 16, "crnn_pqrst": 16}
DEFAULT_BATCH = 16
ALLOCATORS = ("default", "kept")
FORMS = ("straightforward", "kit", "kit bf16")
WORK = ("train", "infer")


def inputs_of(model: nn.Module, leads: int, batch: int) -> dict[str, torch.Tensor]:
    """Random arguments of the classifier."""
    spec = model.input_spec
    inputs = {"x": torch.randn(batch, leads, spec.samples)}
    if spec.beats:
        inputs["features"] = torch.randn(batch, BEAT_FEATURES * leads, spec.beats)
    return inputs


def worker(pipe: Connection, allocator: str) -> None:
    """Answers (model, leads, form, work) with seconds of processor time per recording, until told None."""
    if allocator == "kept" and not keep_freed_memory():
        raise RuntimeError("this C library has no such setting")
    torch.set_num_threads(1)
    built: dict[tuple, tuple[nn.Module, dict]] = {}
    while (task := pipe.recv()) is not None:
        name, leads, form, work = task
        key = (name, leads, form == "straightforward")
        if key not in built:
            if any(other[1] != leads for other in built):
                built.clear()
            torch.manual_seed(0)
            model = create_model(name, leads)
            if form == "straightforward":
                model = straightforward(model)
            built[key] = model, inputs_of(model, leads, BATCH.get(name, DEFAULT_BATCH))
        model, inputs = built[key]
        pipe.send(seconds_per_recording(model, inputs, form, work))


def seconds_per_recording(model: nn.Module, inputs: dict, form: str, work: str) -> float:
    """One step: forward and backward, or forward in evaluation mode."""
    model.train(work == "train")
    model.zero_grad()
    started = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=form == "kit bf16"), torch.set_grad_enabled(work == "train"):
        logits = model(**inputs)
    if work == "train":
        nn.functional.binary_cross_entropy_with_logits(logits.float(), torch.zeros(logits.shape)).backward()
    return (time.process_time() - started) / len(logits)


def has_straightforward_form(name: str) -> bool:
    """Whether the kit computes this network in another form than the plain one."""
    with torch.device("meta"):
        model = create_model(name, 2)
    return [type(m) for m in model.modules()] != [type(m) for m in straightforward(model).modules()]


def best_times(ask: dict[str, Callable], names: list[str], leads: int, rounds: int) -> dict[tuple, float]:
    """Best seconds per recording of every (model, form, allocator, work); the first round only warms up."""
    forms = {name: FORMS if has_straightforward_form(name) else FORMS[1:] for name in names}
    best: dict[tuple, float] = {}
    for turn in range(rounds + 1):
        for name, work in product(names, WORK):
            for form, allocator in product(forms[name], ALLOCATORS):
                seconds = ask[allocator](name, leads, form, work)
                if turn:
                    key = (name, form, allocator, work)
                    best[key] = min(seconds, best.get(key, seconds))
    return best


def rows_of(best: dict[tuple, float], leads: int) -> list[dict]:
    """Table rows of one lead set."""
    rows = []
    for (name, form, allocator, work), seconds in best.items():
        plain = best.get((name, "straightforward", "default", work), best[name, "kit", "default", work])
        peer = best[PEER, form.replace("straightforward", "kit"), allocator, work]
        rows.append(
            {
                "model": name,
                "leads": leads,
                "work": work,
                "form": form,
                "allocator": allocator,
                "batch": BATCH.get(name, DEFAULT_BATCH),
                "recordings_per_s": f"{1 / seconds:.2f}",
                "times_straightforward": f"{plain / seconds:.2f}",
                "times_resnet34": f"{peer / seconds:.2f}",
                "torch": torch.__version__,
                "machine": platform.machine(),
            }
        )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Measures and writes the CSV; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", default=",".join(list_models("classifier")), help="names, with commas between")
    parser.add_argument("--leads", default=",".join(map(str, LEAD_SETS)), help="sizes of lead sets")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds; the best counts")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args(argv)
    names = sorted({PEER, *arguments.models.split(",")})
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for allocator in ALLOCATORS:
        pipes[allocator], other = context.Pipe()
        context.Process(target=worker, args=(other, allocator), daemon=True).start()

    def asker(pipe: Connection) -> Callable[..., float]:
        def ask(*task) -> float:
            pipe.send(task)
            return pipe.recv()

        return ask

    ask = {allocator: asker(pipe) for allocator, pipe in pipes.items()}
    rows: list[dict] = []
    for leads in map(int, arguments.leads.split(",")):
        rows += rows_of(best_times(ask, names, leads, arguments.rounds), leads)
        print(f"{leads} leads measured", file=sys.stderr)
    for pipe in pipes.values():
        pipe.send(None)
    with arguments.out.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
