"""``leadset predict RECORD…``: diagnoses of recordings, by a trained entry or the one that ships.

With MODEL DATA OUTPUTS, where MODEL is the folder of a trained entry, it writes one file of labels and probabilities
per recording, as the Challenge asks for it. As in the organisers' driver, lead names are then those of training alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from leadset.signals import explain_flag
from leadset.utils.files import write_atomically

if TYPE_CHECKING:
    from leadset.classes import LabelSpace
    from leadset.entry import Answer

# Classes that are shown of a recording besides those decided, by falling probability.
_MOST_SHOWN, _LEAST_SHOWN = 5, 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument(
        "paths", nargs="+", metavar="RECORD", help="headers, or folders of recordings; or: MODEL DATA OUTPUTS"
    )
    parser.add_argument("--entry", metavar="MODEL", help="folder of a trained entry (default: the one that ships)")
    parser.add_argument("--json", metavar="FILE", help="write all probabilities, labels and flags; - prints them")
    parser.add_argument("--csv", metavar="FILE", help="write a line per recording with all probabilities and labels")
    parser.add_argument(
        "--per-model", action="store_true", help="MODEL DATA OUTPUTS: also write each architecture's own answers"
    )
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if any recording failed")
    parser.add_argument(
        "--details", action="store_true", help="MODEL DATA OUTPUTS: also write abnormality and flags to details.csv"
    )


def run(arguments: argparse.Namespace) -> int:
    """Predicts; returns 0, or with ``--strict`` 1 if a recording failed."""
    if _is_challenge_form(arguments):
        if arguments.json or arguments.csv:
            arguments.call.usage_error("MODEL DATA OUTPUTS writes one file per recording: found --json or --csv")
        failed = _predict_folder(arguments)
    else:
        if arguments.per_model or arguments.details:
            arguments.call.usage_error("--per-model and --details need MODEL DATA OUTPUTS")
        failed = _predict_records(arguments)
    return 1 if arguments.strict and failed else 0


def _is_challenge_form(arguments: argparse.Namespace) -> bool:
    """Whether the paths are MODEL DATA OUTPUTS: three, of which the first is no recording."""
    from leadset.entry.manifest import FILE_NAME

    first = Path(arguments.paths[0])
    if arguments.entry is None and len(arguments.paths) == 3 and not first.is_file():
        return True
    if (first / FILE_NAME).is_file():
        arguments.call.usage_error(f"{first} is a trained entry: expected MODEL DATA OUTPUTS, or --entry MODEL RECORD…")
    return False


def _predict_folder(arguments: argparse.Namespace) -> int:
    """One file per recording of a folder; the number of recordings that failed."""
    from leadset.challenge import test_entry

    report = test_entry(*arguments.paths, per_model=arguments.per_model, details=arguments.details)
    for name, reason in report.failures:
        print(f"  {name}: {reason}", file=sys.stderr)
    print(f"{report.written} answers written; {len(report.failures)} recordings failed")
    return len(report.failures)


def _predict_records(arguments: argparse.Namespace) -> int:
    """What was asked for of each recording; the number of recordings that failed."""
    from leadset.config import load_lead_names
    from leadset.entry import load_entry
    from leadset.entry.plain import plain_answer

    entry = load_entry(arguments.entry, lead_names=load_lead_names(arguments.call.folder))
    answers = list(entry.predict(_headers(map(Path, arguments.paths))))
    if arguments.json:
        text = json.dumps([plain_answer(answer, entry.space) for answer in answers], indent=1)
        if arguments.json == "-":
            print(text)
        else:
            with write_atomically(arguments.json) as file:
                file.write(text)
    if arguments.csv:
        _write_csv(arguments.csv, answers, entry.space)
    if not (arguments.json or arguments.csv):
        for answer in answers:
            print(_described(answer, entry.space))
    return sum(answer.failed for answer in answers)


def _headers(paths: Iterable[Path]) -> list[Path]:
    from leadset.recordings import find_recordings

    headers: list[Path] = []
    for path in paths:
        if not (path.exists() or path.with_name(f"{path.name}.hea").exists()):
            raise FileNotFoundError(f"{path}: no such file or folder, expected a recording")
        headers += find_recordings(path) if path.is_dir() else [path]
    return headers


def _described(answer: Answer, space: LabelSpace) -> str:
    """A few lines for a person: what was decided, what else is likely, what is odd about the recording."""
    if answer.failed:
        return f"{answer.name}: {answer.flags[-1]}"
    order = answer.probabilities.argsort()[::-1]
    lines = [f"{answer.name}:"]
    for k in order:
        shown = answer.labels[k] or answer.probabilities[k] >= _LEAST_SHOWN
        if shown and (answer.labels[k] or len(lines) <= _MOST_SHOWN):
            mark, diagnosis = "*" if answer.labels[k] else " ", space.classes[k]
            lines.append(f"  {mark} {answer.probabilities[k]:6.1%}  {diagnosis.abbreviation:<8} {diagnosis.name}")
    if answer.flags:
        lines.append(f"    flags: {', '.join(answer.flags)}")
    lines += [f"    suspected: {explain_flag(suspicion)}" for suspicion in answer.quality.suspicions]
    return "\n".join(lines)


def _write_csv(path: str, answers: Iterable[Answer], space: LabelSpace) -> None:
    names = space.abbreviations
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["recording", *(f"p_{name}" for name in names), *names, "flags"])
        for answer in answers:
            probabilities = [f"{p:.6f}" for p in answer.probabilities]
            writer.writerow([answer.name, *probabilities, *answer.labels.astype(int), " ".join(answer.flags)])
