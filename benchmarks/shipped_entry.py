"""Which shipped networks answer best together, and how to decide: cross-fitted scores of entries of one or more.

    python benchmarks/shipped_entry.py DATA WORK [--output benchmarks/shipped_entry.csv]

DATA and WORK are those of `leadset.training.shipped.entry`. Each network answers alone; then they are joined one after
the other, next the one with which the mean AUROC over all lead sets is highest. The entry that ships is among the rows.

- ``eleven``: mean AUROC of the classes of `benchmarks/sim_to_real.py`, with a 95 % interval over recordings.
- ``gain``: by how much the joint answer is above that of the best of its networks on this lead set, with its interval
  from the same resampled recordings.
- ``thresholds``, ``expected``: the Challenge metric of decisions by thresholds, and by the classes whose expected
  reward is highest if classes were independent of each other.
- ``log_loss``: mean over recordings and classes of calibrated probabilities; ``uncalibrated``: before calibration.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from sim_to_real import CLASSES
from tables import write_table

from leadset.classes import CHALLENGE, LabelSpace, label_space
from leadset.entry.decision import DecisionRule
from leadset.entry.ensemble import Ensemble
from leadset.leads import LEAD_SETS, lead_set_name
from leadset.models.shipped import SIMULATED, shipped_networks
from leadset.scoring import ChallengeMetric
from leadset.scoring.intervals import bootstrap
from leadset.scoring.metrics import Ranking
from leadset.training.decision.ensemble import fit_weights
from leadset.training.shipped.entry import NETWORKS, Answered, cross_fitted, load_answered, scores_of
from leadset.training.steps.partial_labels import log_loss, mean_of_known

COLUMNS = (
    "networks", "leads", "recordings", "auroc", "eleven", "low", "high", "gain", "gain_low", "gain_high",
    "thresholds", "expected", "log_loss", "uncalibrated",
)  # fmt: skip
#: Draws of the classes of a recording, for expected rewards.
DRAWS, SEED = 200, 0
_LEAST = 1e-6
SPACE = label_space(CHALLENGE)
ELEVEN = np.isin(SPACE.abbreviations, CLASSES)


def expected_decisions(probabilities: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Decisions (n, k) of highest expected reward: classes are added while it grows."""
    rng = np.random.default_rng(SEED)
    decided = np.zeros(probabilities.shape, dtype=bool)
    for p, own in zip(probabilities, decided, strict=True):
        truth = rng.random((DRAWS, len(space))) < p
        gain, size = truth @ space.weights, truth.sum(axis=1, keepdims=True)
        earned, union, best = np.zeros((DRAWS, 1)), size.astype(float), -np.inf
        while True:
            rewards = ((earned + gain) / np.maximum(union + ~truth, 1)).mean(axis=0)
            rewards[own] = -np.inf
            k = int(rewards.argmax())
            if rewards[k] <= best:
                break
            own[k], best = True, rewards[k]
            earned, union = earned + gain[:, [k]], union + ~truth[:, [k]]
    return decided


def _eleven(ranking: Ranking, counts: np.ndarray) -> float:
    return float(np.nanmean(ranking.areas(counts)[0]))


def _ranking(answered: Answered, probabilities: np.ndarray) -> Ranking:
    return Ranking(np.nan_to_num(answered.targets)[:, ELEVEN] > 0, probabilities[:, ELEVEN])


def row(answered: Answered, networks: Sequence[str], leads: str) -> dict:
    """One entry on one lead set."""
    members = [answered.by_network[network][leads] for network in networks]
    targets, labels, everybody = answered.targets, answered.labels, np.ones(len(answered.labels), dtype=int)
    joint = cross_fitted(members, targets, labels, answered.folds)
    scores, metric = scores_of(joint, targets, labels), ChallengeMetric(labels, SPACE)
    ranking = _ranking(answered, joint.joint)
    alone = [_ranking(answered, p) for p in members]
    best = max(alone, key=lambda one: _eleven(one, everybody))
    area = bootstrap(partial(_eleven, ranking), len(labels))
    gain = bootstrap(lambda counts: _eleven(ranking, counts) - _eleven(best, counts), len(labels))
    plain = Ensemble(np.full(len(members), 1 / len(members)), DecisionRule(np.full(len(SPACE), 0.5))).join(members)
    values = {
        "auroc": scores["auroc"], "eleven": area.value, "low": area.low, "high": area.high,
        "gain": gain.value, "gain_low": gain.low, "gain_high": gain.high,
        "thresholds": scores["challenge_metric"], "expected": metric(expected_decisions(joint.calibrated, SPACE)),
        "log_loss": mean_of_known(log_loss(targets, joint.calibrated, _LEAST), targets),
        "uncalibrated": mean_of_known(log_loss(targets, plain, _LEAST), targets),
    }  # fmt: skip
    texts = {name: f"{value:.3f}" for name, value in values.items()}
    return {"networks": " ".join(networks), "leads": leads, "recordings": len(labels), **texts}


def weighted(members: list[np.ndarray], answered: Answered) -> np.ndarray:
    """Probabilities (n, k) with weights that were fitted on the other folds."""
    joint = np.zeros(members[0].shape)
    for fold in np.unique(answered.folds):
        other, here = answered.folds != fold, answered.folds == fold
        weights = fit_weights([p[other] for p in members], answered.targets[other])
        joint[here] = np.tensordot(weights, [p[here] for p in members], axes=1)
    return joint


def candidates(answered: Answered) -> Iterator[tuple[str, ...]]:
    """Each network alone, then more and more of them."""
    sets = [lead_set_name(leads) for leads in LEAD_SETS.values()]

    def value(networks: tuple[str, ...]) -> float:
        every = np.ones(len(answered.labels), dtype=int)
        areas = []
        for leads in sets:
            members = [answered.by_network[network][leads] for network in networks]
            areas.append(_eleven(_ranking(answered, weighted(members, answered)), every))
        return float(np.mean(areas))

    left, joined = set(answered.by_network), ()
    found = [(network,) for network in sorted(left)]
    while left:
        joined = max(((*joined, network) for network in sorted(left)), key=value)
        left -= set(joined)
        found.append(tuple(sorted(joined)))
    yield from dict.fromkeys([*found, tuple(sorted(NETWORKS))])


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    answered, table = load_answered(arguments.data, arguments.work, shipped_networks(SIMULATED, "classifier")), []
    for networks in candidates(answered):
        for leads in LEAD_SETS.values():
            table.append(row(answered, networks, lead_set_name(leads)))
            print("  ".join(str(table[-1][column]) for column in COLUMNS), flush=True)
        write_table(arguments.output, COLUMNS, table)


if __name__ == "__main__":
    main()
