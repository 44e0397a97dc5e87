"""Pictures of scores and of training, as PNG; needs matplotlib (the extra ``plots``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from leadset.scoring import Scores


def plot_scores(scores: Mapping[str, Mapping[str, Scores]], path: str | Path) -> None:
    """Heat map of the Challenge metric, architectures × lead sets, with AUROC below each value.

    Args:
        scores: by lead set, then by architecture.
        path: the PNG to write.
    """
    figure, axes = _figure(1.3 * len(scores) + 2.5, 0.6 * len(next(iter(scores.values()))) + 1.2)
    names = list(next(iter(scores.values())))
    values = np.array([[scores[leads][name].challenge_metric for leads in scores] for name in names])
    axes.imshow(values, cmap="viridis", aspect="auto")
    bright = values > (values.min() + values.max()) / 2
    for row, name in enumerate(names):
        for column, leads in enumerate(scores):
            text = f"{values[row, column]:.3f}\n({scores[leads][name].auroc:.3f})"
            colour = "black" if bright[row, column] else "white"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(scores)), [f"{leads} leads" if leads.isdigit() else leads for leads in scores])
    axes.set_yticks(range(len(names)), names)
    axes.set_title("Challenge metric (AUROC) on recordings not trained on", fontsize=9)
    figure.savefig(path, dpi=120)


def plot_training(log: str | Path, path: str | Path) -> None:
    """Validation AUROC over the steps of every network, one panel per architecture, one line per lead set.

    Args:
        log: ``training.jsonl`` of a model folder.
        path: the PNG to write.
    """
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in Path(log).read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event.get("valid_auroc") is not None:
            architecture, _, leads = event["job"].partition("-")
            points = curves.setdefault(architecture, {}).setdefault(leads, [])
            points.append((event["step"], event["valid_auroc"]))
    lead_sets = sorted(set().union(*curves.values()), key=lambda name: (len(name), name))
    figure, panels = _figure(3 * len(curves) + 0.5, 2.8, columns=max(1, len(curves)))
    for axes, (architecture, by_leads) in zip(np.atleast_1d(panels), sorted(curves.items()), strict=True):
        for colour, leads in enumerate(lead_sets):
            points = by_leads.get(leads, [])
            axes.plot([p[0] for p in points], [p[1] for p in points], f"C{colour}", marker=".", label=leads)
        axes.set_title(architecture, fontsize=9)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    first = np.atleast_1d(panels)[0]
    first.set_ylabel("validation AUROC")
    if first.get_legend_handles_labels()[0]:
        first.legend(title="leads", fontsize=7)
    figure.savefig(path, dpi=120)


def _figure(width: float, height: float, columns: int = 1):
    """A figure that belongs to no window system."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, sharey=True)
