"""Kills (-9) of commands at random moments: does the same command go on, and end as if it had been left alone?

    python benchmarks/faults.py WORK [--kills 9] [--only store bank …] [--output benchmarks/faults.csv]

Each command runs in a process of its own, forked from this one, which has the libraries loaded. It is killed up to
three times in a folder, at moments drawn evenly from the time that it takes undisturbed; then it runs to its end.
Whatever stands under a final name after a kill must be whole. Rows of other commands that are there are kept.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tables import write_table

from leadset.challenge import test_entry
from leadset.cli import main as leadset_command
from leadset.config import default_config
from leadset.entry.manifest import Manifest
from leadset.leads import resolve_leads
from leadset.preprocess import Transform
from leadset.recordings import find_recordings
from leadset.simulate.write import write_dataset
from leadset.store.bank import build_bank
from leadset.store.packed import build_store
from leadset.studies.answers import FoldAnswers
from leadset.studies.crossval import cross_validate
from leadset.studies.entrants import Trained
from leadset.studies.protocols import KFold
from leadset.training import trainer
from leadset.training.run import train_entry

COLUMNS = ("command", "kill", "at_s", "of_s", "whole_files_left", "half_files_left", "same_result")
_SEED, _RECORDINGS, _IN_A_ROW = 7, 60, 3
Result = dict[str, object]


class Command(NamedTuple):
    """What is killed: a call that gets data, an earlier model and outputs, and a folder; and its result by name.

    Attributes:
        run: the call.
        result: of a folder; files that stand under their final names after a kill are found in it as they must be.
    """

    run: Callable[[Path, Path], object]
    result: Callable[[Path], Result]


def _config():
    config = default_config()
    return replace(
        config, lead_sets=(resolve_leads(2), resolve_leads(3)), architectures=("resnet34",), preset="tiny",
        presets={"tiny": {"resnet34": {"width": 4, "rate": 50, "blocks": [1, 1, 1, 1]}}}, epochs=1, min_steps=60,
        batch_size=16, workers=1, pretrain=replace(config.pretrain, below=0),
        start=replace(config.start, weights="none"),
    )  # fmt: skip


def _data(work: Path, n: int | None = None) -> list[Path]:
    return find_recordings(work / "data")[:n]


def _train(work: Path, out: Path) -> None:
    trainer.SAVE_EVERY_S = 0.05  # a minute is longer than this training
    train_entry(work / "data", out, _config())


def _crossval(work: Path, out: Path) -> None:
    trainer.SAVE_EVERY_S = 0.05
    config = replace(_config(), lead_sets=(resolve_leads(2),))
    cross_validate(work / "data", out, KFold(2, _SEED), [Trained("entry", "", config)], 1)


def _score(work: Path, out: Path) -> None:
    files = [str(out / "scores.csv"), str(out / "class_scores.csv")]
    leadset_command(["evaluate", str(work / "data"), str(work / "outputs"), *files])


def _bytes(*patterns: str) -> Callable[[Path], Result]:
    return lambda folder: {
        path.name: path.read_bytes() for pattern in patterns for path in folder.rglob(pattern) if path.name[0] != "."
    }


def _trained(folder: Path) -> Result:
    result = _bytes("resnet34-?.safetensors", "split.csv")(folder)
    if (folder / "entry.json").exists():
        sets = [trained.to_json() for trained in Manifest.read(folder).sets]
        for trained in sets:
            for member in trained["members"]:
                member["training"] = None  # holds seconds
        result["entry.json"] = repr(sets)
    return result


def _answered(folder: Path) -> Result:
    files = [path for path in (folder / "answers").glob("*.npz") if path.name[0] != "."]
    return {
        path.name: [said.probabilities.tobytes() for said in FoldAnswers.read(path).by_row.values()] for path in files
    }


COMMANDS: dict[str, Command] = {
    "store": Command(
        lambda work, out: build_store(_data(work), Transform(100), out, 1, False), _bytes("*.i16", "*.json")
    ),
    "bank": Command(lambda work, out: build_bank(192, _SEED, Transform(100), out, 1, False), _bytes("*.i16", "*.json")),
    "train": Command(_train, _trained),
    "crossval": Command(_crossval, _answered),
    "predict": Command(lambda work, out: test_entry(work / "model", work / "data", out), _bytes("*.csv")),
    "score": Command(_score, _bytes("*.csv")),
}


def _fork(command: Command, work: Path, out: Path) -> int:
    """Starts a command in a process of its own; returns its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with open(work / "log.txt", "a") as log, redirect_stdout(log), redirect_stderr(log):
            command.run(work, out)
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    os._exit(status)


def _finish(command: Command, work: Path, out: Path) -> float:
    """Runs a command to its end; returns seconds."""
    started = time.monotonic()
    status = os.waitstatus_to_exitcode(os.waitpid(_fork(command, work, out), 0)[1])
    if status:
        raise SystemExit(f"{out}: the command ended with status {status}")
    return time.monotonic() - started


def _kill_after(command: Command, work: Path, out: Path, seconds: float) -> float | None:
    """Kills a command after so many seconds; where it had ended by then, returns how long it took."""
    child, started = _fork(command, work, out), time.monotonic()
    while (passed := time.monotonic() - started) < seconds:
        if os.waitpid(child, os.WNOHANG)[0]:
            return passed
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return None if os.WIFSIGNALED(os.waitpid(child, 0)[1]) else passed


def killed(name: str, command: Command, work: Path, kills: int) -> list[dict]:
    """The rows of a command."""
    rng, rows, folder = np.random.default_rng(_SEED), [], work / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "alone").mkdir(parents=True)
    seconds = _finish(command, work, folder / "alone")
    expected = command.result(folder / "alone")
    for chain in range(10 * kills):
        if len(rows) >= kills:
            break
        out, these = folder / str(chain), []
        out.mkdir()
        for turn in range(min(_IN_A_ROW, kills - len(rows))):
            at = rng.uniform(0, seconds)
            if (took := _kill_after(command, work, out, at)) is not None:
                seconds = seconds if turn else min(seconds, took)  # the machine is less busy than before
                break
            left = command.result(out)
            half = sum(value != expected.get(key) for key, value in left.items())
            these.append({"command": name, "kill": len(rows) + len(these) + 1, "at_s": f"{at:.2f}",
                          "of_s": f"{seconds:.2f}", "whole_files_left": len(left) - half,
                          "half_files_left": half})  # fmt: skip
        _finish(command, work, out)
        same = "yes" if command.result(out) == expected else "no"
        rows += [{**row, "same_result": same} for row in these]
        print(name, len(rows), same, flush=True)
        shutil.rmtree(out)
    return rows


def prepare(work: Path) -> None:
    """Data, a model and outputs for the commands that take them."""
    if not (work / "data").exists():
        list(write_dataset(work / "data", _RECORDINGS, seed=_SEED, seconds=5.0))
    if not (work / "model" / "entry.json").exists():
        _finish(COMMANDS["train"], work, work / "model")
    if not (work / "outputs").exists():
        _finish(COMMANDS["predict"], work, work / "outputs")


def main() -> None:
    """Writes the table, command by command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=9, help="of each command")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    prepare(arguments.work)
    rows: list[dict] = []
    if arguments.output.exists():
        with open(arguments.output, newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["command"] != "all"]
    for name in arguments.only:
        rows = [row for row in rows if row["command"] != name]
        rows += killed(name, COMMANDS[name], arguments.work, arguments.kills)
        total = {"command": "all", "kill": len(rows), "half_files_left": sum(int(r["half_files_left"]) for r in rows),
                 "same_result": sum(row["same_result"] == "yes" for row in rows)}  # fmt: skip
        write_table(arguments.output, COLUMNS, [*rows, total])


if __name__ == "__main__":
    main()
