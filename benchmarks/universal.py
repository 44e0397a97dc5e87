"""What universal networks know about real recordings, on every lead set, before and after they learned from real ones.

    python benchmarks/universal.py DATA WORK [NETWORK=WEIGHTS ...] [--pretrained FOLDER] [--scale SHARE]
        [--output benchmarks/universal.csv]

DATA is as of `leadset.training.shipped.real_sources`, and WORK where `leadset.training.shipped.tuning` worked. The
weights that learned from simulation alone (``simulated``) answer every recording. Those that learned from these
recordings too (``tuned``) are judged by folds: each recording is answered by a network that saw none of its patient.
The cards of the networks, in FOLDER, get the scores. NETWORK=WEIGHTS is instead a file of weights, or of an unfinished
run's state, of a recipe of `leadset.training.shipped.universal`. One set of weights answers every lead set.

- ``challenge``: 267 recordings of six sources; code 164884008 (ventricular ectopic beats) counts as PVC.
- ``ptbxl``: 569 recordings, whose voltages are lost (every lead has unit SD), with the statements of
  `leadset.training.shipped.real_sources`.
- ``ludb``: 100 recordings.
- ``af_2017``: atrial fibrillation against normal and other rhythms on one lead, taken for lead I; noisy ones left out.

Areas under the ROC curve of classes and their means, with 95 % bootstrap intervals over patients (duplicates together):
``mean`` is over the classes with at least ten positives and ten negatives, ``mean of eleven`` over the classes of
`benchmarks/sim_to_real.py`, of which some have fewer, ``mean of rhythms`` over those of `RHYTHMS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from sim_to_real import CLASSES
from tables import write_table

from leadset.classes import CHALLENGE, label_space
from leadset.leads import LEAD_SETS, lead_set_name
from leadset.models import create_model
from leadset.models.shipped import FOLDER, SIMULATED, shipped_networks
from leadset.preprocess import Transform
from leadset.scoring.intervals import bootstrap
from leadset.scoring.metrics import Ranking, macro
from leadset.training.shipped.real_sources import SOURCES, RealData, load_real_data
from leadset.training.shipped.rehearsal import add_scale, check_target
from leadset.training.shipped.tuning import START, VARIANTS, answers, readout_of
from leadset.training.shipped.universal import RECIPES
from leadset.training.shipped.weight_cards import write_card

SPACE = label_space(CHALLENGE)
FEWEST = 10
COLUMNS = ("network", "weights", "data", "recordings", "leads", "class", "positives", "auroc", "low", "high")
RHYTHMS = ("AF", "NSR", "SB", "STach", "SA", "PAC", "PVC", "IAVB")
MEANS = ("mean", "mean of eleven", "mean of rhythms")


def answered(work: Path, network: str, variant: str, readout: str) -> dict[str, np.ndarray]:
    """Probabilities (n, k) by lead set that a tuning has kept."""
    with np.load(work / f"{network}-{variant}.npz") as kept:
        names = map(lead_set_name, LEAD_SETS.values())
        return {leads: kept[f"{readout}/{leads}"] for leads in names}


def from_file(network: str, weights: Path, real: RealData) -> dict[str, np.ndarray]:
    """Probabilities (n, k) by lead set of a file of weights, or of an unfinished run."""
    with safe_open(weights, framework="pt") as file:
        names = list(file.keys())
        prefix = "model." if any(name.startswith("optimizer.") for name in names) else ""
        tensors = {n.removeprefix(prefix): file.get_tensor(n) for n in names if n.startswith(prefix)}
    return answers(network, RECIPES[network].options, tensors, real, np.arange(len(real.folds)))


def rows(about: Mapping[str, str], by_set: Mapping[str, np.ndarray], real: RealData, source: str) -> Iterator[dict]:
    """Rows of one network on the recordings of a source."""
    here = real.sources == source
    targets = real.targets[here]
    labels, said = np.nan_to_num(targets) > 0, ~np.isnan(targets).all(axis=0)
    frequent = said & (np.minimum(labels.sum(axis=0), (~labels).sum(axis=0)) >= FEWEST)
    if source == "af_2017":
        frequent &= np.isin(SPACE.abbreviations, ["AF"])  # which recordings are normal is not all that NSR asks
    eleven, rhythms = (np.isin(SPACE.abbreviations, names) & labels.any(axis=0) for names in (CLASSES, RHYTHMS))
    kept = np.flatnonzero(frequent | (eleven & (source == "challenge")))
    if not len(kept):
        return
    chosen = [frequent[kept], eleven[kept], (rhythms & frequent)[kept]]
    means = {name: some for name, some in zip(MEANS, chosen, strict=True) if some.sum() > 1}
    if eleven[kept].sum() < len(CLASSES):
        means.pop("mean of eleven", None)
    names = [SPACE.abbreviations[k] for k in kept]
    for leads, probabilities in by_set.items():
        if np.isnan(probabilities[here]).any():
            continue
        ranking = Ranking(labels[:, kept], probabilities[here][:, kept])

        def areas(counts: np.ndarray, ranking: Ranking = ranking) -> np.ndarray:
            by_class = ranking.areas(counts)[0]
            return np.array([*by_class, *(macro(by_class[some]) for some in means.values())])

        interval = bootstrap(areas, len(labels), real.groups[here])
        counts = labels[:, kept].sum(axis=0).tolist() + [""] * len(means)
        values = zip([*names, *means], counts, interval.value, interval.low, interval.high, strict=True)
        for label, count, value, low, high in values:
            yield {
                **about, "data": source, "recordings": len(labels), "leads": leads, "class": label, "positives": count,
                "auroc": f"{value:.3f}", "low": f"{low:.3f}", "high": f"{high:.3f}",
            }  # fmt: skip


def scores(table: list[dict]) -> list[str]:
    """The rows of a network as tables in Markdown: means by lead set, then classes."""
    lines = []
    for weights, name in dict.fromkeys((row["weights"], row["data"]) for row in table):
        here = [row for row in table if (row["weights"], row["data"]) == (weights, name)]
        columns = list(dict.fromkeys(row["leads"] for row in here))
        lines += [f"| {weights}: {name}, {here[0]['recordings']} recordings | " + " | ".join(columns) + " |"]
        lines += ["|---" * (1 + len(columns)) + "|"]
        labels = list(dict.fromkeys(row["class"] for row in here))
        for label in sorted(labels, key=lambda label: not label.startswith("mean")):
            cells = {row["leads"]: row for row in here if row["class"] == label}
            count = cells[columns[0]]["positives"]
            values = [f"{cells[leads]['auroc']} ({cells[leads]['low']}–{cells[leads]['high']})" for leads in columns]
            lines += [f"| {label}{f' ({count})' if count != '' else ''} | " + " | ".join(values) + " |"]
        lines += [""]
    return lines


def main() -> None:
    """Evaluates the named networks, or those that ship, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("weights", nargs="*", help="NETWORK=FILE")
    parser.add_argument("--pretrained", type=Path, metavar="FOLDER", default=FOLDER, help="of the weights and cards")
    add_scale(parser)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    check_target(arguments.pretrained, arguments.scale)
    torch.set_num_threads(1)
    given = {name: Path(file) for name, _, file in (pair.partition("=") for pair in arguments.weights)}
    real, table = load_real_data(arguments.data, arguments.work, _transforms(given or []), arguments.scale), []
    for network in given or shipped_networks(arguments.pretrained / SIMULATED.name, "classifier"):
        if given:
            ways = {"given": from_file(network, given[network], real)}
        else:
            ways = {"simulated": answered(arguments.work, network, START, START)}
            if (arguments.work / f"{network}-{next(iter(VARIANTS))}.npz").exists():
                ways["tuned"] = answered(arguments.work, network, next(iter(VARIANTS)), readout_of(network))
        for weights, by_set in ways.items():
            for source in SOURCES:
                for row in rows({"network": network, "weights": weights}, by_set, real, source):
                    table.append(row)
                    if row["class"].startswith("mean") or source == "af_2017":
                        print("  ".join(str(row[column]) for column in COLUMNS), flush=True)
        write_table(arguments.output, COLUMNS, table)
        if not given:
            write_card(network, arguments.pretrained, scores([row for row in table if row["network"] == network]))


def _transforms(networks: Mapping[str, Path] | list) -> list[Transform]:
    """Those that are asked to answer; recordings that were answered already need none, so that one is enough."""
    wanted = [create_model(network, **RECIPES[network].options).input_spec.transform for network in networks]
    return wanted or [Transform(100)]


if __name__ == "__main__":
    main()
