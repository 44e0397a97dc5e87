"""What exporting costs and gains: probabilities and AUROC of the entry that ships, and the time of ResNet-34.

    python benchmarks/onnx_entry.py DATA WORK [--accuracy benchmarks/onnx_entry.csv] [--speed benchmarks/onnx_speed.csv]

DATA holds ``challenge/training``: 267 recordings, which the networks of the entry have learned from: AUROC says what a
form loses, not how good the entry is. WORK keeps what was exported. Accuracy is that of the entry on a lead set as
PyTorch, as ONNX and as ONNX with weights in 8 bits: mean AUROC over the classes with at least ten positives and ten
negatives, and the largest difference of a probability from PyTorch's. Speed is that of one window of ten seconds on
twelve leads through ResNet-34 of the published and of the compact size, on one thread: medians of alternating runs; the
difference is that of the probabilities of a simulated recording (the compact network has learned, the published one
has the weights that training starts from).
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
from leadset.config import load_config
from leadset.deploy.export import export_entry, quantised, to_onnx
from leadset.deploy.runtime import OnnxEntry
from leadset.leads import LEAD_SETS, LEADS, lead_set_name
from leadset.preprocess import cut_window, prepare
from leadset.recordings import Recording, find_recordings, read_recording
from leadset.scoring.metrics import areas, macro
from leadset.simulate import simulate

FEWEST = 10
SETS = (12, 1)
RUNS = 15


def main() -> None:
    """Measures and writes both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--accuracy", type=Path, default=Path(__file__).with_name("onnx_entry.csv"))
    parser.add_argument("--speed", type=Path, default=Path(__file__).with_name("onnx_speed.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for path, rows in (
        (arguments.speed, list(speeds(arguments.work))),
        (arguments.accuracy, list(accuracy(arguments.data, arguments.work))),
    ):
        write_table(path, list(rows[0]), rows)


def accuracy(data: Path, work: Path) -> Iterator[dict[str, object]]:
    """A row for each lead set and form of the entry."""
    entry = leadset.load_entry(device="cpu")
    recordings = [read_recording(path) for path in find_recordings(data / "challenge/training")]
    labels = np.array([entry.space.encode(recording.codes) for recording in recordings])
    frequent = (labels.sum(0) >= FEWEST) & ((~labels.astype(bool)).sum(0) >= FEWEST)
    for leads in (LEAD_SETS[size] for size in SETS):
        given = [of_leads(recording, leads) for recording in recordings]
        forms: dict[str, object] = {"pytorch": entry}
        size = {"pytorch": ""}
        for form in ("onnx", "onnx int8"):
            folder = work / f"{form.replace(' ', '-')}-{lead_set_name(leads)}"
            path = folder / f"{lead_set_name(leads)}.onnx"
            if not path.is_file():
                export_entry(entry, folder, [leads], int8=form.endswith("int8"))
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
        spec, signal = model.input_spec, simulate(1, seed=21, fs=500, labels="RBBB").signals[0]
        prepared = prepare(signal, 500, LEADS, spec.transform)
        x = torch.tensor(cut_window(prepared.samples, prepared.statistics, list(range(12)), 0, spec)[0][None])
        plain, small = (work / f"resnet34-{name}{kind}.onnx" for kind in ("", "-int8"))
        to_onnx(model, {"x": torch.cat([x, x])}, {"x": {0: batch}}, ["logits"], plain, {})
        for form, path in (("onnx", plain), ("onnx int8", quantised(plain, small))):
            session_options = onnxruntime.SessionOptions()
            session_options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, session_options, providers=["CPUExecutionProvider"])
            answered = partial(session.run, None, {session.get_inputs()[0].name: x.numpy()})
            with torch.inference_mode():
                eager, onnx = medians(partial(model, x), answered)
                differences = expit(model(x).numpy()) - expit(answered()[0])
            yield {
                "size": name, "form": form, "threads": 1, "torch": torch.__version__,
                "onnxruntime": onnxruntime.__version__, "eager_ms": f"{eager * 1e3:.2f}",
                "onnx_ms": f"{onnx * 1e3:.2f}", "ratio": f"{eager / onnx:.2f}",
                "largest_difference": f"{np.abs(differences).max():.2g}",
            }  # fmt: skip


def medians(*calls: Callable[[], object]) -> list[float]:
    """Median seconds of each call; they take turns, so that other work on the machine slows all of them."""
    times: list[list[float]] = [[] for _ in calls]
    for run in range(RUNS + 2):
        for call, own in zip(calls, times, strict=True):
            begin = time.process_time()
            call()
            if run >= 2:
                own.append(time.process_time() - begin)
    return [float(np.median(own)) for own in times]


if __name__ == "__main__":
    main()
