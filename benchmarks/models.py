"""Training and inference throughput of every classifier on every lead set, on one CPU thread.

    python benchmarks/models.py [--models star,mvms_net] [--leads 12,2] [--seconds 20] [--resume]

Each network is measured as the kit builds it, in bf16 where the processor has instructions for it (rows are missing
where it has none: emulated, bf16 is many times slower than single precision), and in its straightforward form
(`straightforward.py`), which computes the same function; and all of it with the C library's allocator as it comes and
with `leadset.utils.memory.keep_freed_memory`, in a process each. Everything is at published size.

Within a round all forms of a network take turns, forwards and backwards alternately, and rounds repeat for about
``--seconds``; at least three, the first of which only warms up. Times are seconds of processor time, so that other work
on the machine weighs as little as possible. The speed is that of the fastest round. ``times_straightforward`` is the
median, over rounds, of the time of the straightforward form under the default allocator divided by the row's in the
same round, and stands a drift of the machine; ``times_resnet34`` divides speeds, in the same form and allocator.

Writes benchmarks/models.csv after every network and lead set. Rows that are not measured again stay as they are; with
``--resume`` those are measured that the file does not have from this processor and PyTorch.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from straightforward import straightforward
from tables import write_table
from torch import nn
from tqdm import tqdm

from leadset.leads import LEAD_SETS
from leadset.models import create_model, list_models
from leadset.models.extra_inputs import extra_shapes
from leadset.utils.memory import keep_freed_memory

PEER = "resnet34"
#: Recordings per step: enough to keep the convolutions busy, few enough that a step takes seconds at most.
BATCH = {"resunet_lc": 2, "resnet34": 8, "cnn_heartmaasters": 16, "crnn_pqrst": 16}
DEFAULT_BATCH = 16
ALLOCATORS = ("default", "kept")
FORMS = ("straightforward", "kit", "kit bf16")
WORK = ("train", "infer")
#: Rounds of one network and lead set: at least, for a median, and at most.
ROUNDS = (2, 30)
COLUMNS = ("model", "leads", "work", "form", "allocator", "batch", "recordings_per_s", "times_straightforward",
           "times_resnet34", "torch", "machine")  # fmt: skip


def machine_name() -> str:
    """The processor and the instructions that PyTorch uses of it."""
    return f"{torch.cpu.get_capabilities()['cpu_name'].strip()} {torch.backends.cpu.get_cpu_capability()}"


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 numbers."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def has_straightforward_form(name: str) -> bool:
    """Whether the kit computes this network in another form than the plain one."""
    with torch.device("meta"):
        model = create_model(name, 2)
    return [type(m) for m in model.modules()] != [type(m) for m in straightforward(model).modules()]


def inputs_of(model: nn.Module, leads: int, batch: int) -> dict[str, torch.Tensor]:
    """Random arguments of the classifier."""
    spec = model.input_spec
    shapes = {"x": (leads, spec.samples)} | extra_shapes(spec, leads)
    return {name: torch.randn(batch, *shape) for name, shape in shapes.items()}


def worker(pipe: Connection, allocator: str) -> None:
    """Answers (model, leads, form, work) with seconds of processor time per recording, until it gets None."""
    if allocator == "kept" and not keep_freed_memory():
        raise RuntimeError("this C library has no such setting")
    torch.set_num_threads(1)
    built: dict[tuple, tuple[nn.Module, dict]] = {}
    while (task := pipe.recv()) is not None:
        name, leads, form, work = task
        key = (name, leads, form == "straightforward")
        if key not in built:
            if any(other[:2] != key[:2] for other in built):
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


def measure(pipes: dict[str, Connection], name: str, leads: int, seconds: float) -> dict[tuple, list[float]]:
    """Seconds per recording in every round, of every (work, form, allocator)."""
    has = {"straightforward": has_straightforward_form(name), "kit": True, "kit bf16": has_bf16()}
    forms = [form for form in FORMS if has[form]]
    tasks = list(product(WORK, forms, ALLOCATORS))
    times_of = defaultdict(list)
    least, most = ROUNDS
    started = time.monotonic()
    for turn in range(most + 1):
        for work, form, allocator in tasks if turn % 2 else reversed(tasks):
            pipes[allocator].send((name, leads, form, work))
            answer = pipes[allocator].recv()
            if turn:  # the first round warms up
                times_of[work, form, allocator].append(answer)
        spent = time.monotonic() - started
        if turn >= least and spent * (turn + 2) / (turn + 1) > seconds:
            break
    return times_of


def rows_of(times_of: dict[tuple, list[float]], name: str, leads: int) -> list[dict[str, str]]:
    """Table rows of one network and lead set, still without its ratio to `PEER`."""
    rows = []
    for (work, form, allocator), times in times_of.items():
        plain = times_of.get((work, "straightforward", "default"), times_of[work, "kit", "default"])
        ratio = statistics.median(other / own for other, own in zip(plain, times, strict=True))
        rows.append(dict(zip(COLUMNS, map(str, (
            name, leads, work, form, allocator, BATCH.get(name, DEFAULT_BATCH), f"{1 / min(times):.2f}", f"{ratio:.2f}",
            "", torch.__version__, machine_name())), strict=True)))  # fmt: skip
    return rows


def with_peer(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows in order, each with its ratio to `PEER`, where that was measured on the same processor and PyTorch."""

    def conditions(row: dict[str, str], form: str) -> tuple[str, ...]:
        return (form, *(row[key] for key in ("leads", "work", "allocator", "torch", "machine")))

    peers = {conditions(row, row["form"]): float(row["recordings_per_s"]) for row in rows if row["model"] == PEER}
    for row in rows:
        peer = peers.get(conditions(row, row["form"].replace("straightforward", "kit")))
        row["times_resnet34"] = f"{float(row['recordings_per_s']) / peer:.2f}" if peer else ""
    return sorted(rows, key=lambda row: (-int(row["leads"]), row["model"], WORK.index(row["work"]),
                                         FORMS.index(row["form"]), row["allocator"]))  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Measures and writes the CSV; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", default=",".join(list_models("classifier")), help="names, with commas between")
    parser.add_argument("--leads", default=",".join(map(str, LEAD_SETS)), help="sizes of lead sets")
    parser.add_argument("--seconds", type=float, default=20.0, help="about so long for a network and lead set")
    parser.add_argument("--resume", action="store_true", help="measure only what the file does not have")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args(argv)
    rows: list[dict[str, str]] = []
    if arguments.output.exists():
        with arguments.output.open(newline="") as file:
            rows = list(csv.DictReader(file))
    here = {"torch": torch.__version__, "machine": machine_name()}
    done = {(row["model"], row["leads"]) for row in rows if arguments.resume and here.items() <= row.items()}
    names = sorted({PEER, *arguments.models.split(",")}, key=lambda name: (name != PEER, name))
    tasks = [task for task in product(arguments.leads.split(","), names) if task[::-1] not in done]

    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for allocator in ALLOCATORS:
        pipes[allocator], other = context.Pipe()
        context.Process(target=worker, args=(other, allocator), daemon=True).start()
    with tqdm(tasks, unit="network") as progress:
        for leads, name in progress:
            progress.set_postfix_str(f"{name} on {leads} leads")
            times_of = measure(pipes, name, int(leads), arguments.seconds)
            rows = [row for row in rows if (row["model"], row["leads"]) != (name, leads)]
            rows = with_peer(rows + rows_of(times_of, name, int(leads)))
            write_table(arguments.output, COLUMNS, rows)
    for pipe in pipes.values():
        pipe.send(None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
