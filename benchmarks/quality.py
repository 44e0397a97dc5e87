"""Signal quality and exchanged electrodes on real recordings.

    python benchmarks/quality.py DATA [--output benchmarks/quality.csv]

DATA holds ``quality_2011``, ``challenge``, ``ludb``, ``ptbxl_raw`` and ``ptbxl``.

Quality: area under the ROC curve of the overall quality for the recordings that were called unacceptable, sensitivity
and specificity of an overall quality below 0.5 and of the verdict that a recording is unusable. The qualities of leads
are those of five folds, each by a model of the others (`fit_quality`).

Electrodes: the share of recordings with each suspicion as they are, of which some are true (LUDB's leads are scaled
one by one; ``quality_2011`` was recorded by beginners), and the share of recordings in which a simulated exchange is
named. The density was learned from ``ptbxl``, which is scored by folds, in levels; all others are scored from signals,
delineated as they would be after the exchange. `MARGIN` was set before any of these was looked at; `RARE_MARGIN`, the
tolerance of limb leads and the limits of the verdict were set with all of them in view, so that false alarms of rare
suspicions, of limb leads and of the verdict are not held out. ``sinus`` are recordings labelled as sinus rhythm, of
whatever rate and with whatever else.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from fit_electrodes import cross_validated as electrodes_by_folds
from fit_electrodes import read_levels
from fit_quality import cross_validated, measure_recording, read_quality
from sklearn.metrics import roc_auc_score
from tables import write_table

from leadset import delineate, read_recording
from leadset.leads import LEADS, LIMB_WEIGHTS
from leadset.simulate.faults import swap_electrodes
from leadset.waves import assess
from leadset.waves.electrodes import CHEST, mirrored
from leadset.waves.quality import NOISY

COLUMNS = ("dataset", "recordings", "what", "measure", "n", "value", "which")
#: Sinus rhythm, bradycardia, tachycardia, arrhythmia.
SINUS = {"426783006", "426177001", "427084000", "427393009"}
#: Name, (12, samples) signal in standard order, rate, whether sinus rhythm.
Real = tuple[str, np.ndarray, float, bool]


def read(folder: Path, sinus: Callable[[str, set[str]], bool]) -> list[Real]:
    """The recordings below a folder that have all twelve leads."""
    found = []
    for header in sorted(folder.rglob("*.hea")):
        recording = read_recording(header)
        if set(recording.leads) >= set(LEADS):
            signal = recording.signal[[recording.leads.index(lead) for lead in LEADS]]
            found.append((header.stem, signal, recording.fs, sinus(header.stem, set(recording.codes))))
    return found


def ludb_sinus(folder: Path) -> set[str]:
    """Names of LUDB's recordings in sinus rhythm."""
    with open(folder / "ludb.csv", newline="", encoding="utf-8") as file:
        return {row["ID"].strip() for row in csv.DictReader(file) if row["Rhythms"].startswith("Sinus")}


def reorder(order: dict[str, str]) -> Callable[[np.ndarray], np.ndarray]:
    """Exchanges rows of a recording."""
    rows = [LEADS.index(order.get(lead, lead)) for lead in LEADS]
    return lambda signal: signal[rows]


def scale(lead: str, factor: float) -> Callable[[np.ndarray], np.ndarray]:
    """Multiplies a lead."""
    factors = np.where(np.array(LEADS) == lead, np.float32(factor), np.float32(1))[:, None]
    return lambda signal: signal * factors


def mirror(signal: np.ndarray) -> np.ndarray:
    """The recording of the same heart on the other side."""
    independent = (mirrored() @ signal[[0, 1, *range(6, 12)]]).astype(np.float32)
    return np.concatenate([np.array(list(LIMB_WEIGHTS.values())) @ independent[:2], independent[2:]])


def faults() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Suspicion to be named: what is done to a recording."""
    done = {f"exchanged:{a}-{b}": (lambda signal, a=a, b=b: swap_electrodes(signal, a, b))
            for a, b in (("RA", "LA"), ("RA", "LL"), ("LA", "LL"))}
    done |= {f"exchanged:{a}-{b}": reorder({a: b, b: a})
             for a, b in (*pairwise(CHEST), ("V1", "V3"), ("I", "II"))}
    done["reversed:V1-V6"] = reorder(dict(zip(CHEST, CHEST[::-1], strict=True)))
    done |= {f"inverted:{lead}": scale(lead, -1) for lead in ("I", "aVR", "V1", "V2", "V6")}
    return done | {"scaled:aVF": scale("aVF", 2), "dextrocardia": mirror}


def score_quality(folder: Path) -> Iterator[dict[str, object]]:
    """Rows of the overall quality and the verdict on the Challenge 2011."""
    recordings = list(read_quality(folder))
    leads = cross_validated([measure_recording(r[1], r[2]) for r in recordings], [r[4] for r in recordings])
    found = [assess(signal, fs, LEADS) for _, signal, fs, _, _ in recordings]
    overall = np.array([np.prod(q) * one.usable for q, one in zip(leads, found, strict=True)])
    unacceptable, unusable = np.array([r[3] for r in recordings]), np.array([not one.usable for one in found])
    row = {"dataset": folder.name, "recordings": "all", "n": len(recordings)}
    yield row | {"what": "overall quality", "measure": "ROC area, unacceptable",
                 "value": f"{roc_auc_score(unacceptable, -overall):.3f}"}
    for what, flag in (("overall quality < 0.5", overall < NOISY), ("unusable", unusable)):
        yield row | {"what": what, "measure": "sensitivity, unacceptable", "n": int(unacceptable.sum()),
                     "value": f"{flag[unacceptable].mean():.3f}"}
        yield row | {"what": what, "measure": "specificity, acceptable", "n": int((~unacceptable).sum()),
                     "value": f"{1 - flag[~unacceptable].mean():.3f}"}


def score_suspicions(dataset: str, recordings: list[Real]) -> Iterator[dict[str, object]]:
    """Rows of what is suspected in recordings as they are, and the time that it takes."""
    names, seconds = defaultdict(list), []
    for name, signal, fs, _ in recordings:
        delineation = delineate(signal, fs)
        start = time.perf_counter()
        quality = assess(signal, fs, LEADS, delineation)
        if 9.5 < signal.shape[1] / fs < 10.5:
            seconds.append(time.perf_counter() - start)
        for what in (*quality.suspicions, *([] if quality.usable else ["unusable"])):
            names[what].append(name)
    row = {"dataset": dataset, "recordings": "all", "n": len(recordings)}
    for what in sorted({"unusable", "exchanged:RA-LA", *names}):
        share = len(names[what]) / len(recordings)
        yield row | {"what": what, "measure": "suspected as it is", "value": f"{share:.4f}",
                     "which": " ".join(names[what][:12])}
    yield row | {"what": "10 s of 12 leads, beyond delineation", "measure": "median ms", "n": len(seconds),
                 "value": f"{1000 * np.median(seconds):.1f}"}


def score_faults(dataset: str, recordings: list[Real]) -> Iterator[dict[str, object]]:
    """Rows of how often a simulated fault is named, and of what else is suspected instead."""
    for what, fault in faults().items():
        found = [what in assess(fault(signal), fs, LEADS).suspicions for _, signal, fs, _ in recordings]
        yield from by_rhythm(dataset, recordings, what, "named", found)
    limbs = {"I, II": [0, 1], "limb leads": list(range(6))}
    for leads, rows in limbs.items():
        chosen = [LEADS[row] for row in rows]
        for measure, fault in (("named", faults()["exchanged:RA-LA"]), ("suspected as it is", np.asarray)):
            found = ["exchanged:RA-LA" in assess(fault(signal)[rows], fs, chosen).suspicions
                     for _, signal, fs, _ in recordings]
            yield from by_rhythm(dataset, recordings, f"exchanged:RA-LA from {leads}", measure, found)


def by_rhythm(
    dataset: str, recordings: list[Real], what: str, measure: str, found: list[bool]
) -> Iterator[dict[str, object]]:
    """Rows of a share in all recordings and in those in sinus rhythm."""
    sinus = np.array([r[3] for r in recordings])
    for part, chosen in (("all", np.ones(len(sinus), bool)), ("sinus", sinus)):
        if chosen.any():
            yield {"dataset": dataset, "recordings": part, "what": what, "measure": measure, "n": int(chosen.sum()),
                   "value": f"{np.array(found)[chosen].mean():.3f}"}


def score_folds(folder: Path) -> Iterator[dict[str, object]]:
    """Rows of the data from which the density was learned, by folds."""
    levels = read_levels(folder)
    suspected, named = electrodes_by_folds(levels)
    row = {"dataset": folder.name, "recordings": "held out by folds"}
    counts = Counter(name for name in suspected if name)
    for what, hits in named.items():
        yield row | {"what": what, "measure": "suspected as it is", "n": len(levels),
                     "value": f"{counts[what] / len(levels):.4f}"}
        yield row | {"what": what, "measure": "named", "n": len(hits), "value": f"{np.mean(hits):.3f}"}


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    data = arguments.data
    in_sinus = ludb_sinus(data / "ludb")
    learned = {path.stem.partition("_")[0] for path in (data / "ptbxl").rglob("*.hea")}
    sets = {
        "challenge": read(data / "challenge", lambda _, codes: bool(codes & SINUS)),
        "ludb": read(data / "ludb", lambda name, _: name in in_sinus),
        "ptbxl_raw": [r for r in read(data / "ptbxl_raw", lambda *_: False) if r[0].partition("_")[0] not in learned],
    }
    rows = list(score_quality(data / "quality_2011"))
    rows += score_suspicions("quality_2011", read(data / "quality_2011", lambda *_: False))
    for dataset, recordings in sets.items():
        rows += score_suspicions(dataset, recordings)
        rows += score_faults(dataset, recordings)
        write_table(arguments.output, COLUMNS, rows)
    rows += score_folds(data / "ptbxl")
    write_table(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
