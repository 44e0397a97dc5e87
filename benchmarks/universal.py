"""What networks that learnt from simulated recordings alone know about real ones, on every lead set.

    python benchmarks/universal.py DATA WORK [NETWORK=WEIGHTS ...] [--output benchmarks/universal.csv]

DATA holds ``challenge/training``, ``ptbxl`` and ``af_2017``, none of which was trained on; WORK keeps prepared
recordings. Without WEIGHTS, the shipped networks are evaluated, and their cards get the scores; otherwise a file of
weights, or of an unfinished run's state, of a recipe of `leadset.training.universal`. One set of weights answers every
lead set: missing leads are zero.

- ``challenge``: 267 recordings of six sources; code 164884008 (ventricular ectopic beats) counts as PVC.
- ``ptbxl``: 569 recordings, whose voltages are lost (every lead has unit SD), with the statements of `STATEMENTS`.
- ``af_2017``: atrial fibrillation against normal and other rhythms on one lead, taken for lead I; noisy ones left out.

Areas under the ROC curve of classes and their means, with 95 % bootstrap intervals over patients (duplicates together):
``mean`` is over the classes with at least ten positives and ten negatives, ``mean of eleven`` over the classes of
`benchmarks/sim_to_real.py`, of which some have fewer.
"""

from __future__ import annotations

import argparse
import ast
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from sim_to_real import CLASSES
from tables import write_table
from torch import nn

from leadset.classes import CHALLENGE, label_space
from leadset.leads import LEAD_SETS, LEADS, lead_set_name
from leadset.models import create_model
from leadset.models.lead_cut import cut_leads
from leadset.models.prediction import predict
from leadset.models.shipped import FOLDER, load_shipped, shipped_networks
from leadset.preprocess import Prepared, Transform, prepare
from leadset.recordings import find_recordings, read_recording
from leadset.scoring.intervals import bootstrap
from leadset.scoring.metrics import Ranking, macro
from leadset.store.groups import patient_groups
from leadset.store.packed import build_store
from leadset.training.universal import RECIPES
from leadset.utils.files import write_atomically

SPACE = label_space(CHALLENGE)
FEWEST = 10
SCORES = "## Scores"
GROUP = 16
COLUMNS = ("network", "data", "recordings", "leads", "class", "positives", "auroc", "low", "high")
#: PTB-XL's statements by the class they belong to.
STATEMENTS: dict[str, str] = {
    "SR": "NSR", "AFIB": "AF", "AFLT": "AFL", "1AVB": "IAVB", "STACH": "STach", "SBRAD": "SB", "SARRH": "SA",
    "CLBBB": "LBBB", "CRBBB": "RBBB", "IRBBB": "IRBBB", "IVCD": "NSIVCB", "LAFB": "LAnFB", "LPR": "LPR", "PVC": "PVC",
    "PAC": "PAC", "INVT": "TInv", "NDT": "TAb", "NT_": "TAb", "LOWT": "TAb", "TAB_": "TAb", "QWAVE": "QAb",
    "LVOLT": "LQRSV", "LNGQT": "LQT", "PACE": "PR",
}  # fmt: skip


@dataclass(frozen=True)
class TestSet:
    """Real recordings.

    Attributes:
        recordings: samples and statistics of prepared ones.
        labels: (n, k) bool.
        patients: (n,).
        classes: abbreviation of each column.
        frequent: (k,) whether it has enough positives and negatives.
        lead_sets: those to answer.
    """

    recordings: list[tuple[np.ndarray, np.ndarray]]
    labels: np.ndarray
    patients: np.ndarray
    classes: tuple[str, ...]
    frequent: np.ndarray
    lead_sets: tuple[tuple[str, ...], ...]


def _prepared(path: Path, leads: tuple[str, ...] | None, transform: Transform) -> Prepared:
    recording = read_recording(path)
    return prepare(recording.signal, recording.fs, leads or recording.leads, transform)


def challenge(data: Path, work: Path, transform: Transform) -> TestSet:
    """All recordings of the Challenge, with the classes that are there often enough."""
    folder = data / "challenge" / "training"
    store = build_store(find_recordings(folder), transform, work / "store", n_jobs=1)
    labels = np.array([SPACE.encode_for_training(recording.codes) for recording in store.recordings])
    recordings = [store[i] for i in range(len(store.recordings))]
    return _test_set(recordings, labels, patient_groups(store, folder), tuple(LEAD_SETS.values()))


def ptbxl(data: Path, transform: Transform) -> TestSet:
    """PTB-XL's sample by its own table."""
    with open(data / "ptbxl" / "ptbxl_database.csv", newline="") as file:
        table = list(csv.DictReader(file))
    recordings, labels = [], np.zeros((len(table), len(SPACE)), dtype=bool)
    for row, labels_of_one in zip(table, labels, strict=True):
        prepared = _prepared(data / "ptbxl" / row["filename_lr"], None, transform)
        recordings.append((prepared.samples, prepared.statistics))
        names = {STATEMENTS[code] for code in ast.literal_eval(row["scp_codes"]) if code in STATEMENTS}
        labels_of_one[[SPACE.abbreviations.index(name) for name in names]] = True
    patients = np.array([row["patient_id"] or f"record {row['ecg_id']}" for row in table])
    return _test_set(recordings, labels, patients, tuple(LEAD_SETS.values()))


def af_2017(data: Path, transform: Transform) -> TestSet:
    """Atrial fibrillation or not, on one lead."""
    with open(data / "af_2017" / "REFERENCE.csv", newline="") as file:
        table = [(name, rhythm) for name, rhythm in csv.reader(file) if rhythm != "~"]
    prepared = [_prepared(data / "af_2017" / name, ("I",), transform) for name, _ in table]
    labels = np.zeros((len(table), len(SPACE)), dtype=bool)
    labels[:, SPACE.abbreviations.index("AF")] = [rhythm == "A" for _, rhythm in table]
    return _test_set([(p.samples, p.statistics) for p in prepared], labels, np.arange(len(table)), (("I",),))


def _test_set(
    recordings: list, labels: np.ndarray, patients: np.ndarray, lead_sets: tuple[tuple[str, ...], ...]
) -> TestSet:
    frequent = np.minimum(labels.sum(axis=0), (~labels).sum(axis=0)) >= FEWEST
    kept = np.flatnonzero(frequent | (np.isin(SPACE.abbreviations, CLASSES) & labels.any(axis=0)))
    classes = tuple(SPACE.abbreviations[k] for k in kept)
    return TestSet(recordings, labels[:, kept], patients, classes, frequent[kept], lead_sets)


def answers(network: str, weights: Path | None, leads: tuple[str, ...], test: TestSet) -> np.ndarray:
    """Probabilities (n, k) of the classes of a test set."""
    model = load_shipped(network, leads) if weights is None else _from_file(network, weights, leads)
    found = np.array(list(predict(model.eval(), test.recordings, leads, model.input_spec, GROUP)))
    return found[:, [SPACE.abbreviations.index(name) for name in test.classes]]


def _from_file(network: str, weights: Path, leads: tuple[str, ...]) -> nn.Module:
    with safe_open(weights, framework="pt") as file:
        names = list(file.keys())
        prefix = "model." if any(name.startswith("optimizer.") for name in names) else ""
        tensors = {n.removeprefix(prefix): file.get_tensor(n) for n in names if n.startswith(prefix)}
    model = create_model(network, leads, len(SPACE), **RECIPES[network].options)
    model.load_state_dict(cut_leads(model, tensors, leads))
    return model


def rows(network: str, weights: Path | None, name: str, test: TestSet) -> Iterator[dict]:
    """Rows of one network on one test set."""
    eleven = np.isin(test.classes, CLASSES)
    means = {"mean": test.frequent} if len(test.classes) > 1 else {}
    if eleven.sum() == len(CLASSES):
        means["mean of eleven"] = eleven
    positives = test.labels.sum(axis=0).tolist() + [""] * len(means)
    for leads in test.lead_sets:
        ranking = Ranking(test.labels, answers(network, weights, leads, test))

        def areas(counts: np.ndarray, ranking: Ranking = ranking) -> np.ndarray:
            by_class = ranking.areas(counts)[0]
            return np.array([*by_class, *(macro(by_class[some]) for some in means.values())])

        interval = bootstrap(areas, len(test.labels), test.patients)
        values = zip([*test.classes, *means], positives, interval.value, interval.low, interval.high, strict=True)
        for label, count, value, low, high in values:
            yield {
                "network": network, "data": name, "recordings": len(test.labels), "leads": lead_set_name(leads),
                "class": label, "positives": count,
                "auroc": f"{value:.3f}", "low": f"{low:.3f}", "high": f"{high:.3f}",
            }  # fmt: skip


def write_scores(card: Path, table: list[dict]) -> None:
    """Replaces what a card has below `SCORES` by the rows of its network: means by lead set, then classes."""
    lines = [SCORES, "", "Area under the ROC curve, 95 % interval in brackets; `benchmarks/universal.csv`.", ""]
    for name in dict.fromkeys(row["data"] for row in table):
        here = [row for row in table if row["data"] == name]
        columns = list(dict.fromkeys(row["leads"] for row in here))
        lines += [f"| {name}, {here[0]['recordings']} recordings | " + " | ".join(columns) + " |"]
        lines += ["|---" * (1 + len(columns)) + "|"]
        labels = list(dict.fromkeys(row["class"] for row in here))
        for label in sorted(labels, key=lambda label: not label.startswith("mean")):
            cells = {row["leads"]: row for row in here if row["class"] == label}
            count = cells[columns[0]]["positives"]
            values = [f"{cells[leads]['auroc']} ({cells[leads]['low']}–{cells[leads]['high']})" for leads in columns]
            lines += [f"| {label}{f' ({count})' if count != '' else ''} | " + " | ".join(values) + " |"]
        lines += [""]
    text = card.read_text().split(SCORES)[0] + "\n".join(lines).rstrip() + "\n"
    with write_atomically(card) as file:
        file.write(text)


def main() -> None:
    """Evaluates the named networks, or those that ship, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("weights", nargs="*", help="NETWORK=FILE")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    given = {name: Path(file) for name, _, file in (pair.partition("=") for pair in arguments.weights)}
    table = []
    for network, weights in (given or dict.fromkeys(shipped_networks())).items():
        options = RECIPES[network].options if network in RECIPES else {}
        transform = create_model(network, LEADS, len(SPACE), **options).input_spec.transform
        tests = {
            "challenge": challenge(arguments.data, arguments.work, transform),
            "ptbxl": ptbxl(arguments.data, transform),
            "af_2017": af_2017(arguments.data, transform),
        }
        for name, test in tests.items():
            for row in rows(network, weights, name, test):
                table.append(row)
                if row["class"].startswith("mean") or name == "af_2017":
                    print("  ".join(str(row[column]) for column in COLUMNS), flush=True)
            write_table(arguments.output, COLUMNS, table)
        if not given:
            write_scores(FOLDER / f"{network}.md", [row for row in table if row["network"] == network])


if __name__ == "__main__":
    main()
