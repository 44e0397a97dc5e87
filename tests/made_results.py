"""Folders of cross-validations whose answers are made up."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from leadset.classes import LabelSpace
from leadset.studies.answers import FoldAnswers, Row, Said, file_of
from leadset.studies.entrants import Entrant


def write_cohort(folder: Path, space: LabelSpace, labels: np.ndarray, sources: np.ndarray, folds: np.ndarray) -> None:
    """Writes what is tested on: two recordings a patient, labels (n, k), sources and folds (n,)."""
    about = {
        "protocol": {"name": "kfold", "folds": len(set(folds)), "seed": 1}, "label_space": space.name,
        "versions": {"leadset": "0"}, "data": {"name": "made <up>", "fingerprint": "0", "recordings": len(labels)},
    }  # fmt: skip
    (folder / "crossval.json").write_text(json.dumps(about))
    keys = np.array([diagnosis.codes[0] for diagnosis in space.classes])
    with open(folder / "folds.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "source", "group", "fold", "codes"])
        codes = [",".join(keys[some]) for some in labels]
        writer.writerows([f"r{i}", sources[i], i // 2, folds[i], codes[i]] for i in range(len(labels)))
    (folder / "dropped.csv").write_text("recording,reason\n")


def write_run(folder: Path, entrant: Entrant, folds: np.ndarray, said: Mapping[Row, Said]) -> None:
    """Writes who answered and what, in the order of the table of folds."""
    (folder / f"{entrant.name}.json").write_text(json.dumps({"name": entrant.name, **entrant.provenance()}))
    for fold in dict.fromkeys(folds.tolist()):
        tested = np.flatnonzero(folds == fold)[::-1]
        by_row = {row: Said(s.probabilities[tested], s.decisions[tested]) for row, s in said.items()}
        FoldAnswers(tested, by_row, 0).write(file_of(folder, fold, entrant.name))
