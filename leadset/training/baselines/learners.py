"""Fitting the learners of baselines with scikit-learn and LightGBM, and keeping them as arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logit

from leadset.baselines.learners import Learner, Perceptron, Trees

# As published (Zhang et al., iScience 24(4):102373, 2021), but scaled and seeded; and the organisers' example
# (github.com/physionetchallenges/python-classifier-2021), one forest a class instead of one for all.
_FOREST = {"n_estimators": 300, "max_depth": 10}
_EXAMPLE = {"n_estimators": 3, "max_leaf_nodes": 100}
_LIGHTGBM = {"n_estimators": 100, "verbosity": -1, "n_jobs": 1, "deterministic": True, "force_row_wise": True}
_LOGISTIC, _MLP = {"max_iter": 1000}, {"hidden_layer_sizes": (100, 50), "max_iter": 500}
# Probabilities of a class that no recording has, or all have.
_LEAST = 1e-3


class Scaling(NamedTuple):
    """Of features, from training recordings alone: what stands for missing ones, mean and standard deviation (d,)."""

    fill: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


def fit_scaling(features: np.ndarray) -> tuple[np.ndarray, Scaling]:
    """Features (n, d) in single precision with missing ones filled by the median of the others; and how."""
    known = np.where(np.isfinite(features), features, np.nan).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that all recordings lack
        fill = np.nan_to_num(np.nanmedian(known, axis=0)).astype(np.float32)
    filled = np.where(np.isnan(known), fill, known)
    wide = filled.astype(np.float64)
    spread = wide.std(axis=0)
    return filled, Scaling(fill.astype(np.float64), wide.mean(axis=0), np.where(spread > 1e-9, spread, 1.0))


def _known(targets: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray | float]]:
    """For each class: the recordings whose label is known, and their labels; a share where all have the same."""
    for k in range(targets.shape[1]):
        rows = np.flatnonzero(~np.isnan(targets[:, k]))
        labels = targets[rows, k].astype(int)
        alike = len(np.unique(labels)) < 2
        yield k, rows, float(np.clip(labels.mean() if len(rows) else 0, _LEAST, 1 - _LEAST)) if alike else labels


def fit_logistic(features: np.ndarray, targets: np.ndarray, seed: int) -> Perceptron:
    """One logistic regression per class, on scaled features."""
    from sklearn.linear_model import LogisticRegression

    filled, scaling = fit_scaling(features)
    scaled = (filled.astype(np.float64) - scaling.mean) / scaling.scale
    weights, bias = np.zeros((features.shape[1], targets.shape[1])), np.zeros(targets.shape[1])
    for k, rows, labels in _known(targets):
        if isinstance(labels, float):
            bias[k] = logit(labels)
            continue
        fitted = LogisticRegression(random_state=seed, **_LOGISTIC).fit(scaled[rows], labels)
        weights[:, k], bias[k] = fitted.coef_[0], fitted.intercept_[0]
    nothing = np.zeros((0, 0)), np.zeros(0)
    return Perceptron(*scaling, *nothing, *nothing, weights, bias)


def fit_mlp(features: np.ndarray, targets: np.ndarray, seed: int) -> Perceptron:
    """A network with two hidden layers, on scaled features; an unknown label counts as absent."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    filled, scaling = fit_scaling(features)
    scaled = (filled.astype(np.float64) - scaling.mean) / scaling.scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the published number of passes is what is wanted
        fitted = MLPClassifier(random_state=seed, **_MLP).fit(scaled, np.nan_to_num(targets).astype(int))
    (first, second, weights), (first_bias, second_bias, bias) = fitted.coefs_, fitted.intercepts_
    return Perceptron(*scaling, first, first_bias, second, second_bias, weights, bias)


def fit_forest(features: np.ndarray, targets: np.ndarray, seed: int, **options: Any) -> Trees:
    """A random forest per class."""
    from sklearn.ensemble import RandomForestClassifier

    def grow(x: np.ndarray, labels: np.ndarray) -> list[_Nodes]:
        forest = RandomForestClassifier(random_state=seed, **(options or _FOREST)).fit(x, labels)
        return [_sklearn_nodes(tree.tree_, len(forest.estimators_)) for tree in forest.estimators_]

    return _grown(features, targets, grow, logistic=False)


def fit_example(features: np.ndarray, targets: np.ndarray, seed: int) -> Trees:
    """The small forest of the organisers' example."""
    return fit_forest(features, targets, seed, **_EXAMPLE)


def fit_lightgbm(features: np.ndarray, targets: np.ndarray, seed: int) -> Trees:
    """Boosted trees per class.

    Raises:
        ValueError: LightGBM is not installed.
    """
    try:
        import lightgbm
    except ImportError:
        raise ValueError("LightGBM is not installed: install leadset[baselines]") from None

    def grow(x: np.ndarray, labels: np.ndarray) -> list[_Nodes]:
        boosted = lightgbm.LGBMClassifier(random_state=seed, **_LIGHTGBM).fit(x, labels)
        return [_lightgbm_nodes(tree["tree_structure"]) for tree in boosted.booster_.dump_model()["tree_info"]]

    return _grown(features, targets, grow, logistic=True)


#: How each learner is fitted: features (n, d), targets (n, k) with NaN where nobody knows, and seed to a learner.
FITS: dict[str, Callable[[np.ndarray, np.ndarray, int], Learner]] = {
    "logistic": fit_logistic, "mlp": fit_mlp, "forest": fit_forest, "lightgbm": fit_lightgbm, "example": fit_example,
}  # fmt: skip


class _Nodes(NamedTuple):
    """Nodes (m,) of a tree, parents before their children."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray


def _sklearn_nodes(tree: Any, trees: int) -> _Nodes:
    """Nodes of a tree whose leaves hold counts or shares of two classes, as one of so many to be averaged."""
    shares = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
    inner = tree.children_left >= 0
    left, right = (np.where(inner, child, -1) for child in (tree.children_left, tree.children_right))
    value = np.where(inner, 0.0, shares[:, 1] / trees)
    return _preorder(np.where(inner, tree.feature, 0), np.where(inner, tree.threshold, 0.0), left, right, value)


def _preorder(*nodes: np.ndarray) -> _Nodes:
    """The same tree, whose nodes may come in any order, with parents before children (best-first trees have others)."""
    feature, threshold, left, right, value = nodes
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if left[node] >= 0:
            waiting += [int(right[node]), int(left[node])]
    place = np.full(len(value), -1)
    place[order] = np.arange(len(order))
    moved = [np.where(child[order] >= 0, place[child[order]], -1) for child in (left, right)]
    return _Nodes(feature[order], threshold[order], *moved, value[order])


def _lightgbm_nodes(root: dict) -> _Nodes:
    rows: list[list[float]] = []
    waiting: list[tuple[dict, int, int]] = [(root, -1, 0)]
    while waiting:
        node, parent, side = waiting.pop()
        if parent >= 0:
            rows[parent][side] = len(rows)
        if "leaf_value" in node:
            rows.append([0, 0.0, -1, -1, node["leaf_value"]])
        else:
            waiting += [(node["right_child"], len(rows), 3), (node["left_child"], len(rows), 2)]
            rows.append([node["split_feature"], node["threshold"], 0, 0, 0.0])
    return _Nodes(*np.array(rows).T)


def _grown(
    features: np.ndarray, targets: np.ndarray, grow: Callable[[np.ndarray, np.ndarray], list[_Nodes]], logistic: bool
) -> Trees:
    """Trees of all classes one behind the other."""
    filled, scaling = fit_scaling(features)
    base, trees, classes = np.zeros(targets.shape[1]), [], []
    for k, rows, labels in _known(targets):
        if isinstance(labels, float):
            base[k] = logit(labels) if logistic else labels
            continue
        grown = grow(filled[rows], labels)
        trees += grown
        classes += [k] * len(grown)
    roots = np.cumsum([0, *(len(tree.value) for tree in trees)])[:-1] if trees else np.zeros(0)
    nodes = []
    for name in _Nodes._fields:
        parts = [getattr(tree, name) for tree in trees]
        if name in ("left", "right"):
            parts = [np.where(part >= 0, part + root, -1) for part, root in zip(parts, roots, strict=True)]
        dtype = np.float64 if name in ("threshold", "value") else np.int32
        nodes.append(np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype))
    numbers = (np.asarray(one, np.int32) for one in (roots, classes))
    return Trees(scaling.fill, *nodes, *numbers, base, np.array([int(logistic)], np.int32))
