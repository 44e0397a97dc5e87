"""Training and inference throughput and memory of every classifier on a GPU.

    python benchmarks/models_gpu.py [--models star,mvms_net] [--leads 12,2] [--batches 16,64,256]

At published size: as the kit builds each network and in its straightforward form (`straightforward.py`), in fp32 and
under bf16 autocast, as it is and compiled by `torch.compile`, in several batch sizes; the fastest of some repetitions
counts. Ratios are against the straightforward form in fp32 and not compiled, and against ResNet-34 in the row's own
form, both at the row's batch size. A batch that does not fit into memory gets a row that says so. Writes
benchmarks/models_gpu.csv. `--device cpu` goes the same way without a GPU, to try the script. No GPU was at hand so far:
there is no such table yet. `data_path.py` measures what can be known without one, how fast batches are made.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from models import PEER, WORK, has_straightforward_form, inputs_of
from straightforward import straightforward
from torch import nn
from tqdm import tqdm

from leadset.leads import LEAD_SETS
from leadset.models import create_model, list_models
from leadset.utils.files import write_atomically

BATCHES = (16, 64, 256)
#: Steps before the clock starts (a compiled network is compiled in the first one), and steps that are timed.
WARM_UP, REPEATS = 3, 5
COLUMNS = ("model", "leads", "work", "form", "precision", "compiled", "batch", "recordings_per_s", "peak_mib",
           "times_straightforward", "times_resnet34", "torch", "device")  # fmt: skip


class Form(NamedTuple):
    """How a network is run."""

    form: str
    precision: str
    compiled: str


PLAIN = Form("straightforward", "fp32", "no")
FORMS = (PLAIN, *(Form("kit", *rest) for rest in product(("fp32", "bf16"), ("no", "yes"))))


class Measured(NamedTuple):
    """Seconds per recording and peak memory in MiB; None where the batch does not fit."""

    seconds: float
    peak: float


def built(name: str, leads: int, form: Form, device: torch.device) -> nn.Module:
    """The network in one form."""
    torch.manual_seed(0)
    model = create_model(name, leads)
    if form.form == "straightforward":
        model = straightforward(model)
    model = model.to(device)
    return torch.compile(model) if form.compiled == "yes" else model


def step(model: nn.Module, inputs: dict[str, torch.Tensor], work: str, form: Form, device: torch.device) -> None:
    """Forward and backward, or forward in evaluation mode."""
    with (
        torch.autocast(device.type, torch.bfloat16, enabled=form.precision == "bf16"),
        torch.set_grad_enabled(work == "train"),
    ):
        logits = model(**inputs)
    if work == "train":
        model.zero_grad(set_to_none=True)
        nn.functional.binary_cross_entropy_with_logits(logits.float(), torch.zeros_like(logits.float())).backward()


def measure(name: str, leads: int, work: str, form: Form, batch: int, device: torch.device) -> Measured | None:
    """One network in one form at one batch size."""
    on_gpu = device.type == "cuda"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    try:
        model = built(name, leads, form, device).train(work == "train")
        inputs = {key: value.to(device) for key, value in inputs_of(model, leads, batch).items()}
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        fastest = float("inf")
        for repeat in range(WARM_UP + REPEATS):
            wait()
            started = time.perf_counter()
            step(model, inputs, work, form, device)
            wait()
            if repeat >= WARM_UP:
                fastest = min(fastest, time.perf_counter() - started)
        return Measured(fastest / batch, torch.cuda.max_memory_allocated() / 2**20 if on_gpu else float("nan"))
    except torch.OutOfMemoryError:
        return None
    finally:
        torch.compiler.reset()
        if on_gpu:
            torch.cuda.empty_cache()


def rows_of(results: dict[tuple, Measured | None], leads: int, device_name: str) -> list[list[str]]:
    """Table rows of one lead set: what was measured by (model, work, form, batch)."""

    def ratio(to: Measured | None, of: Measured) -> str:
        return f"{to.seconds / of.seconds:.2f}" if to else ""

    rows = []
    for (name, work, form, batch), measured in results.items():
        about = [name, leads, work, *form, batch]
        if measured is None:
            numbers = ["out of memory", "", "", ""]
        else:
            kit = results.get((name, work, PLAIN._replace(form="kit"), batch))
            plain = results.get((name, work, PLAIN, batch), kit)
            peer = results.get((PEER, work, form._replace(form="kit"), batch))
            numbers = [f"{1 / measured.seconds:.1f}", f"{measured.peak:.0f}", ratio(plain, measured),
                       ratio(peer, measured)]  # fmt: skip
        rows.append([*about, *numbers, torch.__version__, device_name])
    return rows


def main(argv: list[str] | None = None) -> int:
    """Measures and writes the CSV; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", default=",".join(list_models("classifier")), help="names, with commas between")
    parser.add_argument("--leads", default=",".join(map(str, LEAD_SETS)), help="sizes of lead sets")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="recordings per step")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args(argv)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU found: PyTorch sees none, or is a build without CUDA", file=sys.stderr)
        return 1
    device = torch.device(arguments.device)
    device_name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    names = [PEER, *(name for name in arguments.models.split(",") if name != PEER)]
    batches = [int(batch) for batch in arguments.batches.split(",")]
    rows = []
    for leads in map(int, arguments.leads.split(",")):
        forms = {name: FORMS if has_straightforward_form(name) else FORMS[1:] for name in names}
        tasks = [(n, w, f, b) for b, n, w in product(batches, names, WORK) for f in forms[n]]
        results = {
            (name, work, form, batch): measure(name, leads, work, form, batch, device)
            for name, work, form, batch in tqdm(tasks, f"{leads} leads")
        }
        rows += rows_of(results, leads, device_name)
        with write_atomically(arguments.out) as file:  # after every lead set: an interrupt loses one at most
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows(rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
