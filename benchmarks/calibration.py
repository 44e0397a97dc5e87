"""Which calibration makes probabilities that hold, by how many recordings it is fitted on.

    python benchmarks/calibration.py DATA WORK [--output benchmarks/calibration.csv]

DATA and WORK are those of `leadset.training.shipped.entry`. The networks of the shipped entry, each with equal weight,
answer the Challenge's recordings out of fold. A calibration is fitted on some of four folds' recordings, drawn anew
several times, and judged on the fifth's. Mean negative log-likelihood over recordings and classes, and the expected
calibration error (ten bins), on 12 leads and on two:

- ``none``; ``temperature``: one slope for all classes, no intercept (Guo et al., On calibration of modern neural
  networks, ICML 2017); ``line``: one slope and intercept for all classes;
- ``line of a class``: slope and intercept of each class from its recordings alone (Platt scaling); ``beta of a class``:
  two slopes and an intercept (Kull, Silva Filho, Flach, Beta calibration, AISTATS 2017); both with the weak
  regularisation of scikit-learn, without which few positives have no finite answer;
- ``kit``: `leadset.training.decision.calibration`, a line for each class that is drawn towards one for all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from tables import write_table

from leadset.studies.tables import calibration_error
from leadset.training.decision.calibration import fit_calibration
from leadset.training.shipped.entry import load_answered
from leadset.training.steps.partial_labels import log_loss, mean_of_known
from leadset.utils.probabilities import LEAST, log_odds

SIZES, DRAWS, SEED = (25, 50, 100, 200), 4, 2021
COLUMNS = ("leads", "fitted_on", "calibration", "log_loss", "calibration_error")
#: From probabilities and targets (n, k) to what makes calibrated probabilities of others.
Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]


def temperature(p: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """One slope for all classes."""
    z, known = log_odds(p), ~np.isnan(targets)

    def loss(logarithm: float) -> float:
        scaled = np.exp(logarithm) * z[known]
        return float((np.logaddexp(0, scaled) - targets[known] * scaled).mean())

    slope = np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)
    return lambda q: expit(slope * log_odds(q))


def line(p: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """One slope and intercept for all classes."""
    known = ~np.isnan(targets)
    model = LogisticRegression().fit(log_odds(p)[known][:, None], targets[known])
    return lambda q: model.predict_proba(log_odds(q).reshape(-1, 1))[:, 1].reshape(q.shape)


def of_a_class(inputs: Callable[[np.ndarray], np.ndarray]) -> Fit:
    """A logistic regression of each class on some inputs (n, m) of its probabilities (n,)."""

    def fit(p: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        models: list[LogisticRegression | float] = []
        for own, truth in zip(p.T, targets.T, strict=True):
            known = ~np.isnan(truth)
            several = len(np.unique(truth[known])) > 1
            # Of a class without positives nothing can be learnt but that it is rare.
            models.append(
                LogisticRegression(max_iter=1000).fit(inputs(own[known]), truth[known])
                if several
                else (np.nansum(truth) + 0.5) / (known.sum() + 1)
            )

        def calibrated(q: np.ndarray) -> np.ndarray:
            columns = [
                np.full(len(own), model) if isinstance(model, float) else model.predict_proba(inputs(own))[:, 1]
                for own, model in zip(q.T, models, strict=True)
            ]
            return np.stack(columns, axis=1)

        return calibrated

    return fit


def _log_odds_alone(p: np.ndarray) -> np.ndarray:
    return log_odds(p)[:, None]


def _both_logarithms(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, LEAST, 1 - LEAST)
    return np.stack([np.log(p), -np.log1p(-p)], axis=1)


WAYS: dict[str, Fit] = {
    "none": lambda p, targets: lambda q: q,
    "temperature": temperature,
    "line": line,
    "line of a class": of_a_class(_log_odds_alone),
    "beta of a class": of_a_class(_both_logarithms),
    "kit": lambda p, targets: fit_calibration(p, targets, {}),
}


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    answered, rng, table = load_answered(arguments.data, arguments.work), np.random.default_rng(SEED), []
    for leads in ("12", "2"):
        joint = np.mean([by_set[leads] for by_set in answered.by_network.values()], axis=0)
        for size in SIZES:
            said = {way: np.full((DRAWS, *joint.shape), np.nan) for way in WAYS}
            for draw in range(DRAWS):
                for fold in np.unique(answered.folds):
                    others, here = np.flatnonzero(answered.folds != fold), answered.folds == fold
                    own = rng.choice(others, size, replace=False)
                    for way, fit in WAYS.items():
                        said[way][draw, here] = fit(joint[own], answered.targets[own])(joint[here])
            truth = np.nan_to_num(answered.targets) > 0
            for way, drawn in said.items():
                losses = [mean_of_known(log_loss(answered.targets, p, LEAST), answered.targets) for p in drawn]
                errors = [calibration_error(truth, p) for p in drawn]
                table.append({
                    "leads": leads, "fitted_on": size, "calibration": way, "log_loss": f"{np.mean(losses):.4f}",
                    "calibration_error": f"{np.mean(errors):.4f}",
                })  # fmt: skip
    write_table(arguments.output, COLUMNS, table)


if __name__ == "__main__":
    main()
