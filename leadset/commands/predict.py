"""``leadset predict RECORD…``: diagnose recordings, with a trained entry or the one that ships.

With MODEL DATA OUTPUTS, where MODEL is the folder of a trained entry, a file of `leadset pack` or `shipped`, it writes
one file of labels and probabilities per recording, as the Challenge asks for it. As in the organisers' driver, lead
names are then those of training alone.

Examples:
    leadset predict data/A0001.hea
    leadset predict data/A0001.hea --entry model --json -
    leadset predict model heldout outputs
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from leadset.commands._data import Records, add_chosen_folds, add_task, find_records, open_named
from leadset.recordings.names import distinct_names
from leadset.signals import explain_flag, join_flags
from leadset.utils.files import folder_to_write, write_atomically

GROUP = "train, predict, evaluate"

if TYPE_CHECKING:
    from leadset.classes import LabelSpace
    from leadset.deploy.runtime import OnnxEntry
    from leadset.entry import Answer, Entry
    from leadset.recordings import Recording
    from leadset.waves import Measurements

# Classes that are shown of a recording besides those decided, by falling probability.
_MOST_SHOWN, _LEAST_SHOWN = 5, 0.05
_LEGEND = f"* the answer; each class has a threshold of its own. Other classes are shown from {_LEAST_SHOWN:.0%} on."
# Measurements that are shown.
_SHOWN = ("rate", "pr", "qrs", "qt", "qtc_bazett", "qrs_axis")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument(
        "paths", nargs="+", metavar="RECORD",
        help="as of leadset sheet: headers, files, folders, data sets (recordings.csv, ptbxl:FOLDER); or MODEL DATA"
        " OUTPUTS, with DATA a folder or a data set",
    )  # fmt: skip
    add_task(parser)
    add_chosen_folds(parser)
    parser.add_argument("--entry", metavar="MODEL", help="folder of a trained entry (default: the one that ships)")
    parser.add_argument("--onnx", metavar="FOLDER", help="answer with what `leadset export` wrote, without PyTorch")
    parser.add_argument("--json", metavar="FILE", help="write probabilities, labels, measurements; - prints them")
    parser.add_argument("--csv", metavar="FILE", help="write the same as a line per recording")
    parser.add_argument(
        "--per-model", action="store_true", help="MODEL DATA OUTPUTS: also write each architecture's own answers"
    )
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if any recording failed")
    parser.add_argument(
        "--details", action="store_true", help="MODEL DATA OUTPUTS: also write abnormality and flags to details.csv"
    )


def run(arguments: argparse.Namespace) -> int:
    """Predicts; returns 0, or with ``--strict`` 1 if a recording failed."""
    if arguments.onnx and arguments.entry:
        arguments.call.usage_error("found --onnx and --entry, expected one of them")
    if not arguments.onnx and _is_challenge_form(arguments):
        if arguments.json or arguments.csv:
            arguments.call.usage_error("MODEL DATA OUTPUTS writes one file per recording: found --json or --csv")
        failed = _predict_folder(arguments)
    else:
        for option in ("per_model", "details"):
            if getattr(arguments, option):
                arguments.call.usage_error(f"--{option.replace('_', '-')} needs MODEL DATA OUTPUTS")
        failed = _predict_records(arguments)
    return 1 if arguments.strict and failed else 0


def _is_challenge_form(arguments: argparse.Namespace) -> bool:
    """Whether the paths are MODEL DATA OUTPUTS: three, of which the first is no recording."""
    from leadset.entry.manifest import FILE_NAME
    from leadset.entry.package import ENDING

    first = Path(arguments.paths[0])
    packed = first.is_file() and first.suffix == ENDING
    if arguments.entry is None and len(arguments.paths) == 3 and (packed or not first.is_file()):
        return True
    if packed or (first / FILE_NAME).is_file():
        arguments.call.usage_error(f"{first} is a trained entry: expected MODEL DATA OUTPUTS, or --entry MODEL RECORD…")
    return False


def _predict_folder(arguments: argparse.Namespace) -> int:
    """One file per recording of a folder; the number of recordings that failed."""
    from leadset.challenge import test_entry

    model, data, outputs = arguments.paths
    folder_to_write(outputs)
    chosen = open_named(arguments, data) or data
    report = test_entry(model, chosen, outputs, per_model=arguments.per_model, details=arguments.details)
    for name, reason in report.failures:
        print(f"  {name}: {reason}", file=sys.stderr)
    print(f"{report.written} answers written to {outputs}; {len(report.failures)} recordings failed")
    return len(report.failures)


def _predict_records(arguments: argparse.Namespace) -> int:
    """What was asked for of each recording; the number of recordings that failed."""
    from leadset.config import load_lead_names
    from leadset.entry.plain import plain_answer

    names = load_lead_names(arguments.call.folder)
    if arguments.onnx:
        from leadset.deploy.runtime import OnnxEntry

        entry = OnnxEntry(arguments.onnx, lead_names=names)
    else:
        from leadset.entry import load_entry

        entry = load_entry(arguments.entry, lead_names=names)
    records = _records(arguments)
    answers, measured = _asked(entry, records)
    distinct = distinct_names(records.paths, [answer.name for answer in answers])
    answers = [replace(answer, name=name) for answer, name in zip(answers, distinct, strict=True)]
    if arguments.json:
        plain = [
            plain_answer(answer, entry.space) | {"measurements": measurements and measurements.plain()}
            for answer, measurements in zip(answers, measured, strict=True)
        ]
        text = json.dumps(plain, indent=1)
        if arguments.json == "-":
            print(text)
        else:
            with write_atomically(arguments.json) as file:
                file.write(text)
    if arguments.csv:
        _write_csv(arguments.csv, answers, measured, entry.space)
    if arguments.json or arguments.csv:
        for answer in answers:
            if answer.failed:
                print(f"{answer.name}: {answer.flags[-1]}", file=sys.stderr)
    if not (arguments.json or arguments.csv):
        for answer, measurements in zip(answers, measured, strict=True):
            print(_described(answer, entry.space, measurements))
        if not all(answer.failed for answer in answers):
            print(_LEGEND)
    return sum(answer.failed for answer in answers)


def _records(arguments: argparse.Namespace) -> Records:
    from leadset.recordings.importers import is_data_set

    for path in map(Path, arguments.paths):
        if not (path.exists() or path.with_name(f"{path.name}.hea").exists() or is_data_set(path)):
            raise FileNotFoundError(f"{path}: no such file or folder, expected a recording")
    return find_records(arguments.paths, arguments)


def _asked(entry: Entry | OnnxEntry, records: Records) -> tuple[list[Answer], list[Measurements | None]]:
    """Answers and measurements of recordings, each of which is read once."""
    waiting: deque[Recording | Path] = deque()  # those read ahead of their answers

    def read() -> Iterator[Recording | Path]:
        for recording in records.inputs(entry.lead_names):
            waiting.append(recording)
            yield recording

    answers, measured = [], []
    for answer in entry.predict(read()):
        measured.append(_measured(waiting.popleft(), answer))
        # The marks of many recordings would fill the memory.
        answers.append(replace(answer, quality=answer.quality and replace(answer.quality, delineation=None)))
    return answers, measured


def _measured(recording: Recording | Path, answer: Answer) -> Measurements | None:
    """Rate, intervals and axes; None of a recording that could not be judged."""
    from leadset.waves import measure

    if answer.failed:
        return None
    return measure(recording.signal, recording.fs, recording.leads, quality=answer.quality, age=recording.age,
                   sex=recording.sex)  # fmt: skip


def _described(answer: Answer, space: LabelSpace, measurements: Measurements | None) -> str:
    """A few lines for a person: what was decided, what else is likely, what is odd about the recording."""
    if answer.failed:
        return f"{answer.name}: {answer.flags[-1]}"
    order = answer.probabilities.argsort()[::-1]
    lines = [f"{answer.name}:"]
    for k in order:
        shown = answer.labels[k] or answer.probabilities[k] >= _LEAST_SHOWN
        if shown and (answer.labels[k] or len(lines) <= _MOST_SHOWN):
            mark, diagnosis = "*" if answer.labels[k] else " ", space.classes[k]
            named = f"{diagnosis.abbreviation:<8} {diagnosis.name}"
            named = diagnosis.name if diagnosis.name == diagnosis.abbreviation else named
            lines.append(f"  {mark} {answer.probabilities[k]:6.1%}  {named}")
    known = [item for item in measurements.items if item.name in _SHOWN and not isnan(item.value)]
    if known:
        lines.append("    " + ", ".join(f"{item.label} {item.value:.0f} {item.unit}" for item in known))
    if answer.flags:
        lines.append(f"    flags: {join_flags(answer.flags)}")
    lines += [f"    suspected: {explain_flag(suspicion)}" for suspicion in answer.quality.suspicions]
    return "\n".join(lines)


def _write_csv(
    path: str, answers: Iterable[Answer], measured: Sequence[Measurements | None], space: LabelSpace
) -> None:
    names = space.abbreviations
    texts = [own.texts() if own else {} for own in measured]
    measurements = list(next(filter(None, texts), {}))
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["recording", *(f"p_{name}" for name in names), *names, *measurements, "flags"])
        for answer, own in zip(answers, texts, strict=True):
            probabilities = [f"{p:.6f}" for p in answer.probabilities]
            values = [own.get(name, "") for name in measurements]
            writer.writerow(
                [answer.name, *probabilities, *answer.labels.astype(int), *values, " ".join(answer.flags)]
            )
