"""What exporting costs and gains: probabilities and AUROC of the entry that ships, and the time of ResNet-34.

    python benchmarks/onnx_entry.py DATA WORK [--accuracy benchmarks/onnx_entry.csv] [--speed benchmarks/onnx_speed.csv]

DATA holds ``challenge/training``: 267 recordings, which the networks of the entry have learned from: AUROC says what a
form loses, not how good the entry is. WORK keeps what was exported. Accuracy is that of the entry on a lead set as
PyTorch, as ONNX and as ONNX with convolutions in 8 bits, scaled by simulated recordings: mean AUROC over the classes
with at least ten positives and ten negatives, and the largest difference of a probability from PyTorch's. Speed is that
of one window of ten seconds on twelve leads, on one thread, through ResNet-34 of the published and of the compact size,
and through all networks of the entry; of alternating runs the fastest. The difference is that of the probabilities of a
simulated recording (the compact network has learned, the published one has the weights that training starts from).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from scipy.special import expit
from tables import write_table

import leadset
from leadset.commands.export import scaling_recordings
from leadset.config import load_config
from leadset.deploy.export import export_entry, to_onnx
from leadset.deploy.quantise import quantised
from leadset.deploy.runtime import OnnxEntry
from leadset.entry import Entry
from leadset.leads import LEAD_SETS, LEADS, lead_set_name
from leadset.preprocess import InputSpec, cut_window, prepare
from leadset.recordings import Recording, find_recordings, read_recording
from leadset.scoring.metrics import areas, macro
from leadset.simulate import simulate

FEWEST = 10
SETS = (12, 1)
RUNS = 40
#: Simulated recordings that ResNet-34 is scaled by, but for the first, which is answered.
EXAMPLES = 17
FORMS = ("onnx", "onnx int8")


def main() -> None:
    """Measures and writes both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--accuracy", type=Path, default=Path(__file__).with_name("onnx_entry.csv"))
    parser.add_argument("--speed", type=Path, default=Path(__file__).with_name("onnx_speed.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    entry = leadset.load_entry(device="cpu")
    for path, rows in (
        (arguments.accuracy, list(accuracy(entry, arguments.data, arguments.work))),
        (arguments.speed, [*speeds(arguments.work), *entry_speeds(entry, arguments.work)]),
    ):
        write_table(path, list(rows[0]), rows)


def accuracy(entry: Entry, data: Path, work: Path) -> Iterator[dict[str, object]]:
    """A row for each lead set and form of the entry."""
    recordings = [read_recording(path) for path in find_recordings(data / "challenge/training")]
    labels = np.array([entry.space.encode(recording.codes) for recording in recordings])
    frequent = (labels.sum(0) >= FEWEST) & ((~labels.astype(bool)).sum(0) >= FEWEST)
    for leads in (LEAD_SETS[size] for size in SETS):
        given = [of_leads(recording, leads) for recording in recordings]
        forms: dict[str, object] = {"pytorch": entry}
        size = {"pytorch": ""}
        for form in FORMS:
            path = exported(work, form, leads)
            if not path.is_file():
                scaled_by = scaling_recordings(None, entry.lead_names) if form == FORMS[1] else ()
                export_entry(entry, path.parent, [leads], scaled_by)
            forms[form], size[form] = OnnxEntry(path, threads=1), f"{path.stat().st_size / 1e6:.1f}"
        expected = None
        for form, answering in forms.items():
            answers = list(answering.predict(given))
            probabilities = np.array([answer.probabilities for answer in answers])
            decided = np.array([answer.labels for answer in answers])
            expected = (probabilities, decided) if expected is None else expected
            auroc, _ = areas(labels.astype(bool), probabilities)
            yield {
                "leads": lead_set_name(leads), "form": form, "recordings": len(answers), "classes": int(frequent.sum()),
                "auroc": f"{macro(auroc[frequent]):.4f}", "megabytes": size[form],
                "largest_difference": f"{np.abs(probabilities - expected[0]).max():.2g}",
                "other_decisions": int((decided != expected[1]).any(axis=1).sum()),
            }  # fmt: skip


def exported(work: Path, form: str, leads: tuple[str, ...]) -> Path:
    """The file of the entry in a form."""
    return work / f"{form.replace(' ', '-')}-{lead_set_name(leads)}" / f"{lead_set_name(leads)}.onnx"


def of_leads(recording: Recording, leads: tuple[str, ...]) -> Recording:
    """A recording with nothing but some leads."""
    rows = [recording.leads.index(lead) for lead in leads]
    return Recording(recording.signal[rows], recording.fs, leads, recording.name, recording.age, recording.sex)


def speeds(work: Path) -> Iterator[dict[str, object]]:
    """A row for each size of ResNet-34 and each form."""
    torch.manual_seed(0)
    work.mkdir(parents=True, exist_ok=True)
    compact = load_config().presets["compact"]["resnet34"]
    models = {
        "published": leadset.create_model("resnet34", 12),
        "compact": leadset.create_model("resnet34", 12, pretrained=True, **compact),
    }
    batch = torch.export.Dim("windows", min=1, max=4096)
    for name, model in models.items():
        model.eval()
        windows = [window(model.input_spec, signal) for signal in simulate(EXAMPLES, seed=21).signals]
        x = torch.tensor(windows[0])
        plain, small = (work / f"resnet34-{name}{kind}.onnx" for kind in ("", "-int8"))
        to_onnx(model, {"x": torch.cat([x, x])}, {"x": {0: batch}}, ["logits"], plain, {})
        quantised(plain, small, [{"x": one} for one in windows[1:]])
        for form, path in zip(FORMS, (plain, small), strict=True):
            answered = partial(session(path).run, None, {"x": x.numpy()})
            with torch.inference_mode():
                differences = expit(model(x).numpy()) - expit(answered()[0])
                measured = row(name, form, path, partial(model, x), answered, np.abs(differences).max())
            yield measured


def entry_speeds(entry: Entry, work: Path) -> Iterator[dict[str, object]]:
    """A row for each form of the entry: its networks with their decision, beside the networks alone."""
    recording = Recording(simulate(1, seed=21).signals[0], 500, LEADS)
    one, trained = entry.prepare(recording), entry.trained_set(LEADS)
    passes = []
    for member in entry.asked(trained):
        samples, statistics, _ = one.input_of(member.spec)
        x, _ = cut_window(samples, statistics, list(range(12)), 0, member.spec)
        passes.append(partial(entry.network(trained, member), torch.tensor(x[None])))
    for form in FORMS:
        path = exported(work, form, LEADS)
        onnx_entry = OnnxEntry(path, threads=1)
        (feed,) = onnx_entry.feeds([one])
        difference = onnx_entry.predict(recording).probabilities - entry.predict(recording).probabilities
        with torch.inference_mode():
            measured = row("entry", form, path, lambda: [call() for call in passes],
                           partial(session(path).run, None, feed), np.abs(difference).max())  # fmt: skip
        yield measured


def window(spec: InputSpec, signal: np.ndarray) -> np.ndarray:
    """The first window (1, l, t) of a simulated signal."""
    prepared = prepare(signal, 500, LEADS, spec.transform)
    return cut_window(prepared.samples, prepared.statistics, list(range(12)), 0, spec)[0][None].copy()


def session(path: Path) -> onnxruntime.InferenceSession:
    """A file, loaded for one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def row(
    size: str, form: str, path: Path, eager: Callable[[], object], onnx: Callable[[], object], difference: float
) -> dict[str, object]:
    """Times both and says what else is known."""
    eager_s, onnx_s = fastest(eager, onnx)
    return {
        "size": size, "form": form, "threads": 1, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__,
        "megabytes": f"{path.stat().st_size / 1e6:.1f}", "eager_ms": f"{eager_s * 1e3:.2f}",
        "onnx_ms": f"{onnx_s * 1e3:.2f}", "ratio": f"{eager_s / onnx_s:.2f}", "largest_difference": f"{difference:.2g}",
    }  # fmt: skip


def fastest(*calls: Callable[[], object]) -> list[float]:
    """Processor seconds of each call; they take turns, so that other work on the machine slows all of them."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(RUNS):
        for call, own in zip(calls, times, strict=True):
            begin = time.process_time()
            call()
            own.append(time.process_time() - begin)
    return [min(own) for own in times]


if __name__ == "__main__":
    main()
