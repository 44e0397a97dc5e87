"""Figures of a report on answers, as SVG that an HTML page holds itself; needs matplotlib (the extra ``plots``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO

import numpy as np

# Text stays text, so that the page's reader can search it; equal figures are equal to the byte.
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "leadset", "font.size": 8, "axes.spines.top": False,
    "axes.spines.right": False, "axes.titlesize": 9, "axes.linewidth": 0.6, "font.family": "sans-serif",
}  # fmt: skip
_GREY = "#888888"


def _drawn(figure) -> str:
    """The figure as an SVG element."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    return re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r'\1 style="max-width:100%"', svg[svg.index("<svg") :], count=1)


def _axes(rows: int, columns: int, width: float, height: float, **more: object):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def _styled(draw):
    """Draws with the style of reports."""

    def drawn(*args: object, **more: object) -> str:
        from matplotlib import rc_context

        with rc_context(_STYLE):
            return _drawn(draw(*args, **more))

    drawn.__doc__, drawn.__name__ = draw.__doc__, draw.__name__
    return drawn


@_styled
def intervals_figure(panels: Mapping[str, Sequence[tuple[str, float, float, float]]], title: str) -> str:
    """A point with its interval for each model, a panel for each lead set.

    Args:
        panels: by lead set: model, value, lower and upper end.
        title: what the values are.
    """
    most = max(map(len, panels.values()))
    figure, axes = _axes(1, len(panels), 3.6 * len(panels) + 1.2, 0.24 * most + 0.9, sharex=True)
    for panel, (leads, rows) in zip(axes[0], panels.items(), strict=True):
        for y, (_, value, low, high) in enumerate(reversed(rows)):
            panel.plot([low, high], [y, y], color=_GREY, linewidth=1)
            panel.plot([value], [y], "o", color="C0", markersize=4)
        panel.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
        panel.set_title(f"{leads} leads" if leads.isdigit() else leads)
        panel.set_xlabel(title)
        panel.grid(axis="x", linewidth=0.3)
    return figure


@_styled
def ranks_figure(models: Sequence[str], ranks: Sequence[float], groups: Sequence[tuple[int, int]], title: str) -> str:
    """Mean ranks on an axis, with a bar below models that are not told apart (a critical difference diagram).

    Args:
        models: by rank, the best first.
        ranks: mean ranks of them.
        groups: first and last place of the models of each bar.
        title: what is ranked.
    """
    half = (len(models) + 1) // 2
    figure, axes = _axes(1, 1, 8.4, 0.2 * half + 0.13 * len(groups) + 0.9)
    axis, top = axes[0, 0], 0.55 * len(groups) + 1
    low, high = 1, len(models)
    for i, (model, rank) in enumerate(zip(models, ranks, strict=True)):
        left = i < half
        y, end = -(top + (i if left else len(models) - 1 - i)), low - 0.02 * high if left else high + 0.02 * high
        axis.plot([rank, rank, end], [0, y, y], color=_GREY, linewidth=0.7, clip_on=False)
        axis.text(end, y, f" {model} ({rank:.2f}) ", ha="right" if left else "left", va="center")
    for i, (first, last) in enumerate(groups):
        axis.plot([ranks[first] - 0.03, ranks[last] + 0.03], [-0.55 * (i + 1)] * 2, color="C0", linewidth=3)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.spines["top"].set_visible(True)
    axis.xaxis.tick_top()
    axis.set(xlim=(low, high), ylim=(-(top + half), 0), yticks=[], title=title)
    return figure


@_styled
def curves_figure(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> str:
    """ROC and precision-recall curves of classes.

    Args:
        labels: (n, k) bool, with positives and negatives of every class.
        probabilities: (n, k).
        names: of the classes.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    figure, axes = _axes(1, 2, 9.5, 4.0)
    for k, name in enumerate(names):
        look = {"color": f"C{k % 10}", "linestyle": ("-", "--", ":")[k // 10 % 3], "linewidth": 1}
        fpr, tpr, _ = roc_curve(labels[:, k], probabilities[:, k])
        precision, recall, _ = precision_recall_curve(labels[:, k], probabilities[:, k])
        axes[0, 0].plot(fpr, tpr, label=name, **look)
        axes[0, 1].plot(recall, precision, label=name, **look)
    axes[0, 0].plot([0, 1], [0, 1], color=_GREY, linewidth=0.5)
    axes[0, 0].set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC", xlim=(0, 1), ylim=(0, 1.01))
    axes[0, 1].set(xlabel="recall", ylabel="precision", title="Precision and recall", xlim=(0, 1), ylim=(0, 1.01))
    axes[0, 1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


@_styled
def calibration_figure(labels: np.ndarray, by_model: Mapping[str, np.ndarray], bins: int = 10) -> str:
    """How often classes are there, over the probability that was given them, all classes together.

    Args:
        labels: (n, k) bool.
        by_model: probabilities (n, k) of each.
        bins: of equal width, and beside that of equally many pairs of recording and class.
    """
    from sklearn.calibration import calibration_curve

    figure, axes = _axes(1, 2, 9.5, 3.6)
    for panel, limit, strategy in zip(axes[0], (1.0, 0.1), ("uniform", "quantile"), strict=True):
        for i, (name, p) in enumerate(by_model.items()):
            there, said = calibration_curve(labels.ravel(), p.ravel().clip(0, 1), n_bins=bins, strategy=strategy)
            panel.plot(said, there, marker=".", linewidth=1, color=f"C{i % 10}", label=name)
        panel.plot([0, limit], [0, limit], color=_GREY, linewidth=0.5)
        panel.set(xlabel="probability given", ylabel="share that has the class", xlim=(0, limit), ylim=(0, limit))
    axes[0, 0].set_title("Calibration")
    axes[0, 1].set_title("the lowest tenth, enlarged")
    axes[0, 1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


@_styled
def distribution_figure(by_score: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """Boxes over classes, and a dot for each class.

    Args:
        by_score: by score, by model: (k,) values, NaN where there is none.
    """
    most = max(map(len, by_score.values()))
    figure, axes = _axes(1, len(by_score), 4.6 * len(by_score), 0.28 * most + 0.9, sharey=True)
    rng = np.random.default_rng(0)
    for panel, (score, by_model) in zip(axes[0], by_score.items(), strict=True):
        known = [values[np.isfinite(values)] for values in reversed(by_model.values())]
        panel.boxplot(known, orientation="horizontal", showfliers=False, widths=0.6, medianprops={"color": "C1"})
        for y, values in enumerate(known, 1):
            panel.plot(values, y + rng.uniform(-0.15, 0.15, len(values)), ".", color="C0", markersize=3, alpha=0.6)
        panel.set_yticks(range(1, len(known) + 1), list(reversed(by_model)))
        panel.set(xlabel=f"{score} of each class", xlim=(-0.02, 1.02))
    return figure


@_styled
def matrix_figure(values: np.ndarray, names: Sequence[str], xlabel: str, ylabel: str, counts: bool = False) -> str:
    """A heat map of classes by classes, each cell with its value.

    Args:
        values: (k, k), NaN where there is none; shares from 0 to 1, or counts.
        names: of the classes.
        xlabel, ylabel: what columns and rows are.
        counts: whether they are counts.
    """
    size = 0.3 * len(names) + 1.4
    figure, axes = _axes(1, 1, size + 0.6, size)
    panel = axes[0, 0]
    panel.imshow(np.log1p(values) if counts else values, cmap="Blues", vmin=0, vmax=None if counts else 1)
    dark = np.nanmax(np.log1p(values)) if counts else 1.0
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value) and value > 0.005:
            shade = np.log1p(value) if counts else value
            text = f"{value:.0f}" if counts else f"{value:.2f}".lstrip("0")
            colour = "white" if shade > 0.6 * dark else "black"
            panel.text(column, row, text, ha="center", va="center", fontsize=5.5, color=colour)
    panel.set_xticks(range(len(names)), names, rotation=90)
    panel.set_yticks(range(len(names)), names)
    panel.set(xlabel=xlabel, ylabel=ylabel)
    panel.spines[:].set_visible(False)
    return figure
