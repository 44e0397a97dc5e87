"""Scoring against the loops it replaces, in one run: arrays in memory, and folders of files.

    python benchmarks/scoring.py

Writes `benchmarks/scoring.csv`. Both sides must agree to the last printed decimal, or the benchmark fails. Each is
timed on all recordings for the same least time, the fastest call counts, and files are in the page cache for both.
"""

from __future__ import annotations

import csv
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import plain_scorer

from leadset import label_space, scoring
from leadset.leads import LEADS
from leadset.utils.files import write_atomically

N_IN_MEMORY = 100_000
N_FILES = 20_000
N_CANDIDATES = 20
TIMED_SECONDS = 5.0
# Two of 26 classes on average, and decisions that agree with them about as often as those of a fair entry.
POSITIVES, FLIPS = 2 / 26, 0.04


def fastest(call: Callable[[], object]) -> tuple[float, object]:
    """Seconds of the fastest of at least three calls and at least `TIMED_SECONDS`, and what it returned."""
    seconds, result = [], None
    while len(seconds) < 3 or sum(seconds) < TIMED_SECONDS:
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def draw(n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, decisions, scalars (n, k) of a fair entry; scalars have the five decimals that entries write."""
    rng = np.random.default_rng(0)
    labels = rng.random((n, n_classes)) < POSITIVES
    decisions = labels ^ (rng.random((n, n_classes)) < FLIPS)
    scalars = np.clip(0.25 + 0.5 * decisions + 0.15 * rng.standard_normal((n, n_classes)), 0, 1)
    return labels, decisions, np.round(scalars, 5)


def write_folders(folder: Path, labels: np.ndarray, decisions: np.ndarray, scalars: np.ndarray) -> tuple[Path, Path]:
    """Headers of twelve leads in folders of a thousand, and output files."""
    space = label_space("challenge2021")
    label_folder, output_folder = folder / "labels", folder / "outputs"
    output_folder.mkdir()
    lines = "".join(f"{{name}}.mat 16x1+24 1000.0(0)/mV 16 0 -12 -1716 0 {lead}\n" for lead in LEADS)
    for i, row in enumerate(labels):
        name, codes = f"R{i:05d}", ",".join(space.classes[k].codes[-1] for k in np.flatnonzero(row))
        (label_folder / f"g{i // 1000 + 1}").mkdir(parents=True, exist_ok=True)
        comments = f"# Age: 60\n# Sex: Male\n# Dx: {codes}\n# Rx: Unknown\n# Hx: Unknown\n# Sx: Unknown\n"
        header = f"{name} 12 500 5000\n{lines.format(name=name)}{comments}"
        (label_folder / f"g{i // 1000 + 1}" / f"{name}.hea").write_text(header)
        scoring.write_output(output_folder / f"{name}.csv", name, space.keys, decisions[i], scalars[i])
    return label_folder, output_folder


def agree(scores: scoring.Scores, plain: tuple[list[float], list[list[float]]]) -> None:
    """Stops where a printed decimal differs."""
    five, by_class = plain
    printed = ",".join(f"{value:.3f}" for value in five)
    rows = [",".join(f"{value:.3f}" for value in row) for row in by_class]
    if scoring.scores_text(scores).split("\n")[1] != printed:
        raise SystemExit(f"the scores differ: {scoring.scores_text(scores)} and {printed}")
    if [line.split(",", 1)[1] for line in scoring.class_scores_text(scores).split("\n")[1:]] != rows:
        raise SystemExit("the scores by class differ")


def main() -> None:
    """Measures and writes the table."""
    space = label_space("challenge2021")
    plain_options = (space.weights, space.normal_index)
    labels, decisions, scalars = draw(N_IN_MEMORY, len(space))
    ours, scores = fastest(lambda: scoring.score(labels, decisions, scalars, space))
    loops, plain = fastest(lambda: plain_scorer.scores(labels, decisions, scalars, *plain_options))
    agree(scores, plain)
    rows = [("score arrays", f"{N_IN_MEMORY} x {len(space)}", "loops over recordings and classes", ours, loops)]

    metric = scoring.ChallengeMetric(labels, space)
    ours, value = fastest(lambda: metric(decisions))
    loops, plain_value = fastest(lambda: plain_scorer.challenge_metric(labels, decisions, *plain_options))
    if abs(value - plain_value) > 1e-9:
        raise SystemExit(f"the Challenge metric differs: {value} and {plain_value}")
    rows.append(("Challenge metric of one candidate in a search", rows[0][1], "loops", ours, loops))
    ours, (thresholds, _) = fastest(lambda: metric.sweep(decisions, 0, scalars[:, 0]))
    candidates = np.linspace(0, 1, N_CANDIDATES)
    one_by_one, _ = fastest(lambda: [_with_threshold(metric, decisions, scalars, t) for t in candidates])
    scaled = one_by_one / N_CANDIDATES * len(thresholds)
    what = f"{len(thresholds)} thresholds of one class, {N_IN_MEMORY} recordings"
    rows.append(("sweep", what, f"the metric for each threshold (scaled from {N_CANDIDATES})", ours, scaled))

    arrays = [array[:N_FILES] for array in (labels, decisions, scalars)]
    with tempfile.TemporaryDirectory() as folder:
        folders = write_folders(Path(folder), *arrays)
        ours, scores = fastest(lambda: scoring.evaluate(*folders))
        codes = [diagnosis.codes for diagnosis in space.classes]
        loops, plain = fastest(
            lambda: plain_scorer.scores(*plain_scorer.read_folders(*map(str, folders), codes), *plain_options)
        )
    agree(scores, plain)
    rows.append(("evaluate folders", f"{N_FILES} headers and outputs", "file after file, loops", ours, loops))
    _report(rows)


def _with_threshold(metric: scoring.ChallengeMetric, decisions: np.ndarray, scalars: np.ndarray, t: float) -> float:
    candidate = decisions.copy()
    candidate[:, 0] = scalars[:, 0] >= t
    return metric(candidate)


def _report(rows: list[tuple[str, str, str, float, float]]) -> None:
    host = f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
    with write_atomically(Path(__file__).with_suffix(".csv")) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["work", "size", "peer", "seconds", "peer_seconds", "times_faster", "host"])
        for work, size, peer, ours, theirs in rows:
            table.writerow([work, size, peer, f"{ours:.4f}", f"{theirs:.2f}", f"{theirs / ours:.0f}", host])
            print(f"{work}, {size}: {ours:.4f} s; {peer}: {theirs:.2f} s; {theirs / ours:.0f} times faster")


if __name__ == "__main__":
    main()
