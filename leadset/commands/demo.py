"""``python -m leadset demo OUT``: the Challenge's three commands on simulated recordings, and a table of their scores.

Runs the very scripts, as a newcomer would type them: simulate, train, extract each lead set, answer, score.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from leadset.config import ENVIRONMENT_VARIABLE, load_config
from leadset.entry.manifest import Manifest
from leadset.leads import lead_set_name
from leadset.scoring import Scores, evaluate
from leadset.training.context import LOG_FILE
from leadset.utils.files import write_atomically

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG = REPOSITORY / "docs" / "demo.toml"
# Diagnoses common enough to be learnt from a few hundred recordings.
DIAGNOSES = "NSR,SB,STach,SA,AF,PAC,PVC,LBBB,RBBB,IAVB"
# The two sets come from different seeds: no test recording was trained on.
TRAINING_SEED, TEST_SEED = 1, 2
ENSEMBLE = "all together"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("out", type=Path, help="folder for recordings, model, answers and scores")
    parser.add_argument("-n", type=int, default=400, help="training recordings to simulate (default: 400)")
    parser.add_argument("--tests", type=int, default=150, help="test recordings to simulate (default: 150)")


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo; returns the exit status."""
    started, out = time.monotonic(), arguments.out
    os.environ.setdefault(ENVIRONMENT_VARIABLE, str(CONFIG))
    _simulate(out / "training", arguments.n, TRAINING_SEED)
    _simulate(out / "test", arguments.tests, TEST_SEED)
    _python("train_model.py", out / "training", out / "model")
    manifest, scores = Manifest.read(out / "model"), {}
    for leads in load_config().lead_sets:
        name = lead_set_name(leads)
        recordings, answers = out / f"test_{name}_leads", out / f"answers_{name}_leads"
        _python("extract_leads_wfdb.py", "-i", out / "test", "-o", recordings, "-l", *leads)
        _python("test_model.py", out / "model", recordings, answers, "--per-model", "--strict")
        files = out / f"scores_{name}_leads.csv", out / f"class_scores_{name}_leads.csv"
        _python("evaluate_model.py", recordings, answers, *files)
        scores[name] = {ENSEMBLE: evaluate(recordings, answers)}
        for member in manifest.sets[0].members:
            scores[name][member.architecture] = evaluate(recordings, answers / member.architecture)
    _write_table(out / "scores.csv", scores)
    _draw(out, scores)
    print(f"\n{arguments.tests} simulated recordings that no network was trained on; Challenge metric (AUROC)")
    print(_table({name: {m: _pair(s) for m, s in by_model.items()} for name, by_model in scores.items()}))
    if ablations := manifest.provenance["detector"]:
        print("\nOn validation recordings, cross-fitted: all together with the anomaly detector and without")
        print(_table({name: _ablation_pairs(found) for name, found in ablations.items()}))
    print(f"\ndone in {(time.monotonic() - started) / 60:.1f} min; everything is in {out}")
    return 0


def _draw(out: Path, scores: dict[str, dict[str, Scores]]) -> None:
    """Pictures of the scores and of the training, where matplotlib is installed."""
    if find_spec("matplotlib") is None:
        print("no pictures: matplotlib is not installed")
        return
    from leadset.plots.results import plot_scores, plot_training

    plot_scores(scores, out / "scores.png")
    plot_training(out / "model" / LOG_FILE, out / "training.png")


def _simulate(folder: Path, n: int, seed: int) -> None:
    if not folder.exists():
        _python("-m", "leadset", "simulate", folder, "-n", n, "--seed", seed, "--labels", DIAGNOSES)


def _python(*words: object) -> None:
    """Shows and runs a command; ends the demo if it fails."""
    command = [str(word) for word in words]
    print(f"$ python {' '.join(command)}", flush=True)
    if command[0].endswith(".py"):
        command[0] = str(REPOSITORY / command[0])
    done = subprocess.run([sys.executable, *command], env=_environment())
    if done.returncode:
        raise SystemExit(done.returncode)


def _environment() -> dict[str, str]:
    """The package is found from any working folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}


def _pair(scores: Scores) -> tuple[float, float]:
    return scores.challenge_metric, scores.auroc


def _ablation_pairs(found: dict) -> dict[str, tuple[float, float]]:
    return {way: (found[way]["challenge_metric"], found[way]["auroc"]) for way in ("with", "without")}


def _table(pairs: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Challenge metric and AUROC of each lead set's rows, as text."""
    rows = [["", *(f"{name} leads" if name.isdigit() else name for name in pairs)]]
    for row in next(iter(pairs.values())):
        cells = [by_row[row] for by_row in pairs.values()]
        rows += [[row, *(f"{metric:6.3f} ({area:.3f})" for metric, area in cells)]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _write_table(path: Path, scores: dict[str, dict[str, Scores]]) -> None:
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["leads", "architecture", "challenge_metric", "auroc", "auprc", "accuracy", "f_measure"])
        for name, by_model in scores.items():
            for architecture, s in by_model.items():
                values: Sequence[float] = (s.challenge_metric, s.auroc, s.auprc, s.accuracy, s.f_measure)
                writer.writerow([name, architecture, *(f"{value:.4f}" for value in values)])
