"""Pictures of attributions: the parts of one answer, and what the answers about many recordings rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from leadset.plots.layers import HIGH, LOW, SignalMap
from leadset.plots.paper import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The strongest colour of a map is this percentile of it; maps are smoothed over so many seconds to be seen.
_STRONGEST, _SMOOTH_S = 99.5, 0.04
_MOST_PARTS, _MOST_FEATURES = 14, 16


def attribution_layer(
    values: np.ndarray, rate: float, leads: Sequence[str], name: str, start: float = 0.0
) -> SignalMap:
    """The layer of a sheet that shows what speaks for and against a class.

    Args:
        values: (l, t) attributions.
        rate: their sampling rate in Hz.
        leads: their names.
        name: of the class.
        start: second of the recording at which they begin.
    """
    width = max(1, round(_SMOOTH_S * rate))
    smooth = np.stack([np.convolve(row, np.full(width, 1 / width), mode="same") for row in values])
    full = float(np.percentile(np.abs(smooth), _STRONGEST))
    return SignalMap(smooth, rate, leads, full, f"for {name}", signed=True, label_low=f"against {name}", start=start)


def draw_parts(
    title: str, baseline: float, log_odds: float, parts: Mapping[str, float], shares: np.ndarray,
    leads: Sequence[str], waves: Sequence[str],
) -> Figure:  # fmt: skip
    """A waterfall of one answer, from the baseline to its log odds, beside the shares by lead and wave.

    Args:
        title: above both.
        baseline: log odds at the baseline; NaN: where the parts sum from zero (occlusion).
        log_odds: of the answer.
        parts: attribution of each lead and extra input.
        shares: (l, waves).
        leads: names. waves: names.
    """
    figure = _figure(11, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    ranked = sorted(parts.items(), key=lambda part: -abs(part[1]))
    shown, others = ranked[:_MOST_PARTS], ranked[_MOST_PARTS:]
    if others:
        shown.append((f"{len(others)} others", sum(value for _, value in others)))
    at = 0.0 if np.isnan(baseline) else baseline
    for row, (_, value) in enumerate(shown):
        left.barh(row, value, left=at, color=HIGH if value >= 0 else LOW, height=0.7)
        at += value
        left.plot([at, at], [row - 0.35, min(row + 1.35, len(shown) - 0.65)], color="0.6", linewidth=0.6)
    if not np.isnan(baseline):
        left.axvline(baseline, color="0.5", linewidth=0.8, linestyle=":", label=f"baseline {baseline:.2f}")
        left.axvline(log_odds, color="black", linewidth=0.8, label=f"answer {log_odds:.2f}")
        left.legend(fontsize=8, frameon=False)
    left.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=8)
    left.invert_yaxis()
    left.set_xlabel("log odds")
    left.set_title("by lead and extra input: purple for, green against", fontsize=9)
    _heat(figure, right, shares, leads, waves, "share of the absolute attribution")
    figure.suptitle(title, fontsize=10)
    return figure


def draw_population(
    title: str, classes: Sequence[str], lead_shares: np.ndarray, leads: Sequence[str], wave_shares: np.ndarray,
    waves: Sequence[str],
) -> Figure:  # fmt: skip
    """Heat maps of shares: (classes, l) by lead and (classes, waves) by wave."""
    figure = _figure(12, 1.6 + 0.32 * len(classes))
    left, right = figure.subplots(1, 2, width_ratios=(len(leads), len(waves)))
    _heat(figure, left, lead_shares, classes, leads, "mean share by lead")
    _heat(figure, right, wave_shares, classes, waves, "mean share by wave")
    figure.suptitle(title, fontsize=10)
    return figure


def draw_swarm(title: str, features: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """A bee-swarm: a row for each feature, a point for each recording.

    Args:
        title: above it.
        features: by name the attributions (n,) in log odds, and the values (n,) that colour the points; NaN: grey.
    """
    figure = _figure(8, 5.5)
    axes = figure.subplots()
    ranked = sorted(features, key=lambda name: -np.abs(features[name][0]).mean())[:_MOST_FEATURES]
    for row, name in enumerate(ranked):
        attributions, values = features[name]
        ranks = np.argsort(np.argsort(values)) / max(len(values) - 1, 1)
        known = np.isfinite(values)
        up = row + 0.35 * _spread(attributions)
        axes.scatter(attributions[~known], up[~known], s=8, color="0.5", linewidths=0)
        points = axes.scatter(attributions[known], up[known], c=ranks[known], cmap="coolwarm", vmin=0, vmax=1, s=8,
                              linewidths=0)  # fmt: skip
    axes.axvline(0, color="0.5", linewidth=0.7)
    axes.set_yticks(range(len(ranked)), ranked, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("attribution in log odds")
    axes.set_title(title, fontsize=10)
    bar = figure.colorbar(points, ax=axes, shrink=0.5)
    bar.set_ticks([0, 1], labels=["smallest", "largest"], fontsize=8)
    bar.set_label("amplitude (RMS) among the recordings; grey: has none", fontsize=8)
    return figure


def draw_ranking(
    title: str, names: Sequence[str], values: np.ndarray, low: np.ndarray, high: np.ndarray, label: str,
    reference: float | None = None,
) -> Figure:  # fmt: skip
    """Names by falling value, with intervals; ``reference`` is a line to compare with."""
    order = np.argsort(-values)
    figure = _figure(6.5, 1.2 + 0.26 * len(names))
    axes = figure.subplots()
    rows = np.arange(len(names))
    axes.errorbar(
        values[order], rows, xerr=[(values - low)[order].clip(0), (high - values)[order].clip(0)], fmt="o",
        color=HIGH, ecolor="0.6", markersize=4, linewidth=1,
    )  # fmt: skip
    if reference is not None:
        axes.axvline(reference, color="0.5", linewidth=0.8, linestyle=":")
    axes.set_yticks(rows, [names[i] for i in order], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, fontsize=10)
    return figure


def _spread(values: np.ndarray) -> np.ndarray:
    """Where points go beside their row, from -1 to 1, so that those of like value do not hide each other."""
    bins = np.digitize(values, np.linspace(values.min(), values.max() + 1e-12, 40))
    up = np.zeros(len(values))
    for one in np.unique(bins):
        members = np.flatnonzero(bins == one)
        up[members] = np.linspace(-1, 1, len(members)) * min(1, len(members) / 12) if len(members) > 1 else 0
    return up


def _heat(figure: Figure, axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str) -> None:
    image = axes.imshow(values, cmap="Purples", vmin=0, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_title(title, fontsize=9)
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            bright = value > 0.6 * values.max()
            axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=7,
                      color="white" if bright else "black")  # fmt: skip
    figure.colorbar(image, ax=axes, shrink=0.6, label="share (cells: per cent)")


def _figure(width: float, height: float) -> Figure:
    """A figure that belongs to no window system."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
