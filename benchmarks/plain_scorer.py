"""The Challenge's scores written as they are defined: loops over recordings and classes, one file after the other.

The peer of `benchmarks/scoring.py`, and what the tests compare `leadset.scoring` with on random data.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def areas(positive: np.ndarray, scalars: np.ndarray) -> tuple[float, float]:
    """AUROC and AUPRC of one class (n,), threshold after threshold."""
    distinct = sorted(set(scalars), reverse=True)
    order = sorted(range(len(scalars)), key=lambda i: -scalars[i])
    n_positive = sum(1 for y in positive if y)
    n_negative = len(positive) - n_positive
    tp = fp = taken = 0
    rates = []
    for threshold in [distinct[0] + 1, *distinct]:
        while taken < len(order) and scalars[order[taken]] >= threshold:
            if positive[order[taken]]:
                tp += 1
            else:
                fp += 1
            taken += 1
        tpr = tp / n_positive if n_positive else math.nan
        tnr = (n_negative - fp) / n_negative if n_negative else math.nan
        rates.append((tpr, tnr, tp / (tp + fp) if tp + fp else math.nan))
    auroc = auprc = 0.0
    for (tpr, tnr, _), (next_tpr, next_tnr, next_ppv) in pairwise(rates):
        auroc += 0.5 * (next_tpr - tpr) * (next_tnr + tnr)
        auprc += (next_tpr - tpr) * next_ppv
    return auroc, auprc


def accuracy(labels: np.ndarray, decisions: np.ndarray) -> float:
    """Share of recordings without a wrong decision."""
    right = 0
    for i in range(len(labels)):
        if all(labels[i, k] == decisions[i, k] for k in range(labels.shape[1])):
            right += 1
    return right / len(labels)


def f_measures(labels: np.ndarray, decisions: np.ndarray) -> list[float]:
    """F-measure of each class."""
    values = []
    for k in range(labels.shape[1]):
        tp = fp = fn = 0
        for i in range(len(labels)):
            if labels[i, k] and decisions[i, k]:
                tp += 1
            elif decisions[i, k]:
                fp += 1
            elif labels[i, k]:
                fn += 1
        values.append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan)
    return values


def reward(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> float:
    """Sum of the weights over all pairs of label and decision, each recording's divided by the size of the union."""
    n_classes = labels.shape[1]
    confusion = np.zeros((n_classes, n_classes))
    for i in range(len(labels)):
        union = 0
        for k in range(n_classes):
            if labels[i, k] or decisions[i, k]:
                union += 1
        for j in range(n_classes):
            if labels[i, j]:
                for k in range(n_classes):
                    if decisions[i, k]:
                        confusion[j, k] += 1.0 / max(union, 1)
    return float(np.sum(weights * confusion))


def challenge_metric(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray, normal: int) -> float:
    """Reward between that of always answering class ``normal`` (0) and that of the labels (1)."""
    inactive = np.zeros_like(labels)
    inactive[:, normal] = True
    observed, correct, nothing = (reward(labels, b, weights) for b in (decisions, labels, inactive))
    return (observed - nothing) / (correct - nothing) if correct != nothing else 0.0


def scores(
    labels: np.ndarray, decisions: np.ndarray, scalars: np.ndarray, weights: np.ndarray, normal: int
) -> tuple[list[float], list[list[float]]]:
    """The five scores, and AUROC, AUPRC and F-measure by class."""
    by_class = [areas(labels[:, k], scalars[:, k]) for k in range(labels.shape[1])]
    aurocs, auprcs = [auroc for auroc, _ in by_class], [auprc for _, auprc in by_class]
    f = f_measures(labels, decisions)
    metric = challenge_metric(labels, decisions, weights, normal)
    return [_macro(aurocs), _macro(auprcs), accuracy(labels, decisions), _macro(f), metric], [aurocs, auprcs, f]


def _macro(values: list[float]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def read_labels(header_file: str) -> set[str]:
    """The codes of a header."""
    with open(header_file) as file:
        header = file.read()
    codes = set()
    for line in header.split("\n"):
        if line.startswith(("#Dx", "# Dx")):
            codes |= {entry.strip() for entry in line.split(":")[1].split(",")}
    return codes


def read_output(output_file: str) -> tuple[list[set[str]], list[bool], list[float]]:
    """Codes of each column, decisions and scalars of an output file."""
    with open(output_file) as file:
        rows = [[entry.strip() for entry in line.split(",")] for line in file if not line.startswith("#")]
    columns = [set(entry.split("|")) for entry in rows[0]]
    decisions = [entry in ("True", "true", "T", "t") or (_is_finite(entry) and float(entry) == 1) for entry in rows[1]]
    return columns, decisions, [float(entry) if _is_finite(entry) else 0.0 for entry in rows[2]]


def _is_finite(entry: str) -> bool:
    try:
        return math.isfinite(float(entry))
    except ValueError:
        return False


def read_folders(
    label_folder: str, output_folder: str, classes: Sequence[Sequence[str]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, decisions, scalars (n, k) of headers in nested folders and their output files."""
    headers = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(label_folder)
        for name in names
        if name.endswith(".hea")
    ]
    sets = [set(codes) for codes in classes]
    labels = np.zeros((len(headers), len(sets)), dtype=bool)
    decisions = np.zeros_like(labels)
    scalars = np.zeros(labels.shape)
    for i, header_file in enumerate(sorted(headers, key=os.path.basename)):
        codes = read_labels(header_file)
        stem = os.path.splitext(os.path.basename(header_file))[0]
        columns, decided, values = read_output(os.path.join(output_folder, f"{stem}.csv"))
        for k, codes_of_class in enumerate(sets):
            labels[i, k] = bool(codes & codes_of_class)
            mine = [column for column, names in enumerate(columns) if names & codes_of_class]
            if mine:
                decisions[i, k] = any(decided[column] for column in mine)
                scalars[i, k] = np.mean([values[column] for column in mine])
    return labels, decisions, scalars
