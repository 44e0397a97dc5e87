"""What is recorded of commands and entries: extraction, scores, answers, as pairs of a name and a value."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from equality.inputs import Inputs, Items, challenge_paths, files_in

from leadset import load_entry
from leadset.challenge import run_model, test_entry
from leadset.cli import run_verb
from leadset.config import load_config
from leadset.recordings import find_recordings, read_header, read_raw
from leadset.scoring import class_scores_text, evaluate, scores_text
from leadset.simulate.write import write_dataset
from leadset.training.run import train_entry

#: Of the entry that `make_entry` trains: configuration; how many simulated recordings, of which diagnoses.
ENTRY_CONFIG = """preset = "demo"
lead_sets = ["12", "2"]
epochs = 1
min_steps = 6
batch_size = 16
workers = 1
time_limit_hours = 0.1
[pretrain]
below = 0
"""
ENTRY_RECORDINGS, ENTRY_LABELS = 40, {"NSR": 4.0, "AF": 1.0, "PVC": 1.0, "RBBB": 1.0, "SB": 1.0}


def make_entry(folder: Path) -> None:
    """Trains a small entry on simulated recordings."""
    with tempfile.TemporaryDirectory() as scratch:
        list(write_dataset(Path(scratch) / "data", ENTRY_RECORDINGS, 1, labels=ENTRY_LABELS))
        config = Path(scratch) / "entry.toml"
        config.write_text(ENTRY_CONFIG)
        train_entry(Path(scratch) / "data", folder, load_config(config))


def copied_recordings(inputs: Inputs) -> Path:
    """A folder with two recordings of each source."""
    folder = inputs.scratch / "copies"
    if not folder.exists():
        for path in challenge_paths(inputs.real, 2):
            there = folder / path.relative_to(inputs.real / "challenge" / "training").parent
            there.mkdir(parents=True, exist_ok=True)
            for file in path.parent.glob(f"{path.stem}.*"):
                shutil.copy(file, there)
    return folder


def extracted_recordings(inputs: Inputs, *leads: str) -> Path:
    """The same with some of their leads."""
    folder = inputs.scratch / f"extracted {' '.join(leads)}"
    if not folder.exists():
        arguments = ["-i", str(copied_recordings(inputs)), "-o", str(folder), "-l", *leads]
        if run_verb("extract", arguments, "extract"):
            raise SystemExit("leadset extract failed")
    return folder


def extraction(inputs: Inputs) -> Items:
    """Bytes of extracted recordings."""
    for leads in (("I", "II"), ("V5", "aVR", "I", "II")):
        for name, digest in files_in(extracted_recordings(inputs, *leads)):
            yield f"extract/{' '.join(leads)}/{name}", digest


def scores(inputs: Inputs) -> Items:
    """Scores and texts of small data sets."""
    path = inputs.real.parent / "reference" / "scoring_cases" / "cases.json"
    for case in json.loads(path.read_text()):
        folders = [inputs.scratch / "cases" / str(case["id"]) / part for part in ("labels", "outputs")]
        for folder in folders:
            folder.mkdir(parents=True)
        for name, record in case["records"].items():
            (folders[0] / f"{name}.hea").write_text(record["header"])
            (folders[1] / f"{name}.csv").write_text(record["output"])
        found, key = evaluate(*folders), f"scoring/{case['id']}"
        fields = ("n_recordings", "auroc", "auprc", "accuracy", "f_measure", "challenge_metric")
        yield f"{key}/five", np.array([getattr(found, field) for field in fields])
        yield f"{key}/by class", np.stack([found.class_auroc, found.class_auprc, found.class_f_measure])
        yield f"{key}/text", [scores_text(found), class_scores_text(found)]


def answers(inputs: Inputs) -> Items:
    """What the entry says of recordings: one at a time as the organisers' driver asks, and by the batched driver."""
    if inputs.entry is None:
        return
    entry = load_entry(inputs.entry)
    folders = {"12": copied_recordings(inputs), "2": extracted_recordings(inputs, "I", "II")}
    for leads, folder in folders.items():
        paths = find_recordings(folder)
        for path, answer in zip(paths, entry.predict(paths), strict=True):
            key, text = f"entry/{leads}/{path.stem}", path.read_text()
            codes, labels, probabilities = run_model(entry, text, read_raw(read_header(path), path.parent))
            yield f"{key}/run_model", np.stack([labels, probabilities])
            yield f"{key}/codes", [*codes, *answer.codes]
            for field in ("labels", "probabilities", "abnormality", "flags"):
                yield f"{key}/{field}", getattr(answer, field)
            for architecture, (decided, probable) in sorted(answer.by_model.items()):
                yield f"{key}/by model/{architecture}", np.stack([decided, probable])
        out = inputs.scratch / f"outputs {leads}"
        test_entry(inputs.entry, folder, out, per_model=True)
        for path in sorted(out.rglob("*.csv")):
            key, lines = f"outputs/{leads}/{path.relative_to(out)}", path.read_text().splitlines()
            yield f"{key}/text", lines[:3]
            yield f"{key}/probabilities", np.array(lines[3].split(","), dtype=float)
