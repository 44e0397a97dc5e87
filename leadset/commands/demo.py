"""``leadset demo OUT``: train, predict and score on simulated recordings, and print a table of the scores.

Runs the very commands that a newcomer would type: simulate, predict with the entry that ships, train, extract each lead
set, predict, evaluate.

Examples:
    leadset demo demo -n 100 --tests 40
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import leadset
from leadset.leads import lead_set_name
from leadset.recordings import find_recordings
from leadset.utils.files import folder_to_write, write_atomically
from leadset.utils.text_tables import aligned

if TYPE_CHECKING:
    from leadset.scoring import Scores

GROUP = "train, predict, evaluate"

CONFIG = Path(leadset.__file__).with_name("demo.toml")
# Diagnoses common enough to be learnt from a few hundred recordings.
DIAGNOSES = "NSR,SB,STach,SA,AF,PAC,PVC,LBBB,RBBB,IAVB"
# The two sets come from different seeds: no test recording was trained on.
TRAINING_SEED, TEST_SEED = 1, 2
ENSEMBLE = "all together"
# Recordings that the entry that ships answers before anything is trained.
SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("out", metavar="OUT", type=folder_to_write,
                        help="folder for recordings, model, answers and scores")
    parser.add_argument("-n", type=int, default=400, metavar="N", help="training recordings (default: %(default)s)")
    parser.add_argument("--tests", type=int, default=150, metavar="N", help="test recordings (default: %(default)s)")
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE",
                        help="of the training (default: demo.toml of the package)")


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo; returns the exit status."""
    from leadset.entry.manifest import Manifest
    from leadset.scoring import evaluate

    started, out = time.monotonic(), arguments.out
    _simulate(out / "training", arguments.n, TRAINING_SEED)
    _simulate(out / "test", arguments.tests, TEST_SEED)
    _leadset("predict", *find_recordings(out / "test")[:SHOWN])
    _leadset("train", out / "training", out / "model", "--config", arguments.config)
    manifest, scores = Manifest.read(out / "model"), {}
    for trained in manifest.sets:
        name = lead_set_name(trained.leads)
        recordings, answers = out / f"test_{name}_leads", out / f"answers_{name}_leads"
        _leadset("extract", "-i", out / "test", "-o", recordings, "-l", *trained.leads)
        _leadset("predict", out / "model", recordings, answers, "--per-model", "--strict")
        files = out / f"scores_{name}_leads.csv", out / f"class_scores_{name}_leads.csv"
        _leadset("evaluate", recordings, answers, *files)
        scores[name] = {ENSEMBLE: evaluate(recordings, answers)}
        for member in trained.members:
            scores[name][member.architecture] = evaluate(recordings, answers / member.architecture)
    _write_table(out / "scores.csv", scores)
    _draw(out, scores)
    print(f"\n{arguments.tests} simulated recordings that no network was trained on; Challenge metric (AUROC)")
    print(_table({name: {m: _pair(s) for m, s in by_model.items()} for name, by_model in scores.items()}))
    if ablations := manifest.provenance["detector"]:
        print("\nOn validation recordings, cross-fitted: all together with the anomaly detector and without")
        print(_table({name: _ablation_pairs(ablation) for name, ablation in ablations.items()}))
    print(f"\ndone in {(time.monotonic() - started) / 60:.1f} min; everything is in {out}")
    return 0


def _draw(out: Path, scores: dict[str, dict[str, Scores]]) -> None:
    """Pictures of the scores and of the training, where matplotlib is installed."""
    if find_spec("matplotlib") is None:
        print("no pictures: matplotlib is not installed")
        return
    from leadset.plots.results import plot_scores, plot_training
    from leadset.training.context import LOG_FILE

    plot_scores(scores, out / "scores.png")
    plot_training(out / "model" / LOG_FILE, out / "training.png")


def _simulate(folder: Path, n: int, seed: int) -> None:
    """Simulates recordings, or takes those of an earlier demo.

    Raises:
        ValueError: an earlier demo left another number of recordings.
    """
    if folder.exists():
        n_earlier = len(find_recordings(folder))
        if n_earlier != n:
            raise ValueError(f"{folder}: found {n_earlier} recordings, expected {n}; name another folder, or remove it")
    else:
        _leadset("simulate", folder, "-n", n, "--seed", seed, "--labels", DIAGNOSES)


def _leadset(*words: object) -> None:
    """Shows and runs a verb in a process of its own, as a user does; ends the demo if it fails."""
    command = [str(word) for word in words]
    print(f"$ leadset {' '.join(command)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "leadset", *command])
    if done.returncode:
        raise SystemExit(done.returncode)


def _pair(scores: Scores) -> tuple[float, float]:
    return scores.challenge_metric, scores.auroc


def _ablation_pairs(ablation: dict) -> dict[str, tuple[float, float]]:
    return {way: (ablation[way]["challenge_metric"], ablation[way]["auroc"]) for way in ("with", "without")}


def _table(pairs: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Challenge metric and AUROC of each lead set's rows, as text."""
    rows = [["", *(f"{name} leads" if name.isdigit() else name for name in pairs)]]
    for row in next(iter(pairs.values())):
        cells = [by_row[row] for by_row in pairs.values()]
        rows += [[row, *(f"{metric:6.3f} ({area:.3f})" for metric, area in cells)]]
    return aligned(rows)


def _write_table(path: Path, scores: dict[str, dict[str, Scores]]) -> None:
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["leads", "architecture", "challenge_metric", "auroc", "auprc", "accuracy", "f_measure"])
        for name, by_model in scores.items():
            for architecture, s in by_model.items():
                values: Sequence[float] = (s.challenge_metric, s.auroc, s.auprc, s.accuracy, s.f_measure)
                writer.writerow([name, architecture, *(f"{value:.4f}" for value in values)])
