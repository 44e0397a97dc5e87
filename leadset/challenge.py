"""The three calls of the Challenge's drivers, and the batched form of the second driver."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from leadset.config import load_config
from leadset.entry import Answer, Entry, load_entry
from leadset.entry.parallel import predict_all
from leadset.recordings import find_recordings, recording_from_parts
from leadset.recordings.dataset import DataSet
from leadset.scoring.outputs import output_names, write_output
from leadset.training.run import train_entry
from leadset.utils.files import write_atomically

#: What `test_entry` writes beside the answers if asked to; scoring takes no notice of it.
DETAILS_FILE = "details.csv"
#: Its columns after the name of the recording.
DETAILS = ("abnormality", "flags", "quality", "usable", "lead_quality", "quality_flags")


def training_code(data_directory: str, model_directory: str, folder: str | Path = ".") -> None:
    """Trains every architecture on every lead set; the organisers' driver calls it.

    Args:
        data_directory: recordings with labels.
        model_directory: where the entry goes.
        folder: its `leadset.toml`, if there is one, overrides defaults (`leadset.config.load_config`).
    """
    train_entry(data_directory, model_directory, load_config(folder=folder))


def load_model(model_directory: str, leads: Sequence[str]) -> Entry:
    """The entry, networks for these leads loaded; the organisers' driver calls it once per distinct lead tuple."""
    entry = load_entry(model_directory, quality=False)
    entry.load(leads)
    return entry


def run_model(model: Entry, header: str, recording: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Classes, 0/1 labels and probabilities of one recording; always answers.

    Args:
        model: from `load_model`.
        header: text of the header file.
        recording: (l, t) raw counts in file order.
    """
    try:
        answer = model.predict(recording_from_parts(header, recording, lead_names=model.lead_names))
    except Exception as error:  # the driver would turn it into an empty answer, which is worth less than any other
        answer = model.unanswered("recording", str(error) or type(error).__name__)
    return list(answer.codes), answer.labels.astype(int), answer.probabilities


class TestReport(NamedTuple):
    """Number of output files written, and (name, reason) of the recordings that could not be judged."""

    written: int
    failures: list[tuple[str, str]]


def test_entry(
    model_directory: str | Path,
    data_directory: str | Path | DataSet,
    output_directory: str | Path,
    per_model: bool = False,
    details: bool = False,
) -> TestReport:
    """Answers every recording of a folder; the outputs are those of the organisers' one-at-a-time driver.

    Args:
        model_directory: a trained entry.
        data_directory: recordings, nested or not; or what `open_dataset` returns, which then reads them.
        output_directory: made if missing; ``<header stem>.csv`` goes there, below the recording's own folder where
            several folders hold that stem.
        per_model: also write each architecture's own answers to ``<output_directory>/<architecture>/``.
        details: also write `DETAILS_FILE`: of each recording its probability of being anything but plain sinus rhythm,
            where a detector takes part, what was repaired or looks wrong, and its quality (`leadset.waves.Quality`):
            overall, by lead, whether it is usable, and what is wrong or suspected.

    Raises:
        OSError, ValueError: no entry, no data folder or no recording in it, or one whose answer would have the name of
            the details; never because of what one recording holds.
    """
    entry = load_entry(model_directory, every_network=per_model or details, quality=details)
    data = data_directory if isinstance(data_directory, DataSet) else None
    folder = data.folder if data else data_directory
    headers = {n: Path(p) for n, p in output_names(folder, data.paths if data else find_recordings(folder)).items()}
    outputs = Path(output_directory)
    if details and DETAILS_FILE in {f"{name}.csv" for name in headers}:
        raise ValueError(f"{data_directory}: the answer of a recording would be {DETAILS_FILE}, as the details are")
    outputs.mkdir(parents=True, exist_ok=True)
    rows, failures = [], []
    answers = tqdm(predict_all(entry, list(headers.values()), data=data), "answer", len(headers), unit="rec")
    for name, answer in zip(headers, answers, strict=True):
        _write(outputs / f"{name}.csv", answer, answer.labels, answer.probabilities)
        rows.append((name, *_details(answer)))
        if answer.failed:
            failures.append((name, answer.flags[-1]))
        for architecture, own in answer.by_model.items() if per_model else ():
            _write(outputs / architecture / f"{name}.csv", answer, *own)
    if details:
        with write_atomically(outputs / DETAILS_FILE) as file:
            csv.writer(file, lineterminator="\n").writerows([("recording", *DETAILS), *rows])
    return TestReport(len(headers), failures)


def _details(answer: Answer) -> tuple:
    """A row in the order of `DETAILS`."""
    abnormality = "" if answer.abnormality is None else answer.abnormality
    row = (abnormality, "; ".join(answer.flags))
    quality = answer.quality
    if quality is None:
        return (*row, "", "", "", "")
    by_lead = "; ".join(f"{lead} {value:.3f}" for lead, value in zip(quality.leads, quality.by_lead, strict=True))
    return (*row, f"{quality.overall:.3f}", int(quality.usable), by_lead, "; ".join(quality.flags))


def _write(path: Path, answer: Answer, labels: np.ndarray, probabilities: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = " ".join(answer.name.splitlines())  # that of a file may have several lines, that of an answer has one
    write_output(path, name, answer.codes, labels, probabilities)
