"""Fits the logistic model of `leadset.waves.quality` on the bad leads annotated for the Challenge 2011.

    python benchmarks/fit_quality.py DATA

Prints the weights, and the areas under the ROC curve of five folds of recordings, each scored by a model of the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from leadset import read_recording
from leadset.waves.envelope import measure
from leadset.waves.quality import WEIGHTS, measurements, repair
from leadset.waves.wavelet import transform

FOLDS = 5


def read_quality(folder: Path):
    """Name, signal, rate, whether unacceptable, and (leads,) bad leads or None where they are not annotated."""
    for header in sorted(folder.glob("*.hea")):
        comments = dict(line[1:].split(":", 1) for line in header.read_text().splitlines() if line.startswith("#"))
        comments = {key.strip(): value.strip() for key, value in comments.items()}
        recording = read_recording(header.with_suffix(""))
        leads = comments["Bad leads"]
        bad = None if leads == "not annotated" else np.isin(recording.leads, leads.split(","))
        yield header.stem, recording.signal, recording.fs, comments["Quality"] == "unacceptable", bad


def measure_recording(signal: np.ndarray, fs: float) -> np.ndarray:
    """(leads, m) measurements of a recording."""
    repaired = repair(signal)
    grid = transform(repaired.signal, fs)
    return measurements(grid, measure(grid.scales, repaired.usable))


def fit(measured: list[np.ndarray], bad: list[np.ndarray | None], chosen: np.ndarray) -> LogisticRegression:
    """Logistic model of the leads of the chosen recordings that are annotated."""
    use = [i for i in np.nonzero(chosen)[0] if bad[i] is not None]
    model = LogisticRegression(C=0.3, max_iter=2000)
    return model.fit(np.concatenate([measured[i] for i in use]), np.concatenate([bad[i] for i in use]))


def cross_validated(measured: list[np.ndarray], bad: list[np.ndarray | None]) -> list[np.ndarray]:
    """(leads,) probability of being good for every recording, by a model that has not seen it."""
    fold = np.arange(len(measured)) % FOLDS
    models = [fit(measured, bad, fold != k) for k in range(FOLDS)]
    return [1 - models[k].predict_proba(m)[:, 1] for k, m in zip(fold, measured, strict=True)]


def areas(quality: list[np.ndarray], bad: list[np.ndarray | None], unacceptable: list[bool]) -> tuple[float, float]:
    """Areas under the ROC curve for bad leads and for unacceptable recordings (product of the leads' qualities)."""
    annotated = [i for i, value in enumerate(bad) if value is not None]
    leads = roc_auc_score(np.concatenate([bad[i] for i in annotated]), -np.concatenate([quality[i] for i in annotated]))
    return leads, roc_auc_score(unacceptable, [-np.prod(q) for q in quality])


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    recordings = list(read_quality(parser.parse_args().data / "quality_2011"))
    measured = [measure_recording(signal, fs) for _, signal, fs, _, _ in recordings]
    bad, unacceptable = [r[4] for r in recordings], [r[3] for r in recordings]
    print("cross-validated areas, leads and recordings: {:.3f} {:.3f}".format(
        *areas(cross_validated(measured, bad), bad, unacceptable)))
    model = fit(measured, bad, np.ones(len(recordings), bool))
    print({name: round(float(value), 2) for name, value in zip(WEIGHTS, model.coef_[0], strict=True)},
          round(float(model.intercept_[0]), 2))


if __name__ == "__main__":
    main()
