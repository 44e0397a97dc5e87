"""Which method the beats that networks are told of should come from: wavelet rules or the learned network.

    python benchmarks/beat_methods.py DATA WORK [--output benchmarks/beat_methods.csv]

DATA holds ``ludb``, ``mitdb`` and ``challenge/training``; WORK keeps prepared recordings. Measured are beats of both
databases, processor time for 12 leads of 10 s (medians; set ``OMP_NUM_THREADS=1``), and what features of the recording
are worth: the mean area under the ROC curve of logistic regressions on them, as in ``beat_branches.py``, and the
difference to the wavelet method with its 95 % interval. The learned weights have seen both databases;
``delineation.csv`` has the scores of weights that have not. The constants of the wavelet method were chosen on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from annotated import Annotated, Tally, read_ludb, read_mitdb
from beat_branches import FEWEST, Areas, folds_of, linear_out_of_fold, prepared
from delineation import median_ms, ours
from sim_to_real import experiment_parser
from tables import write_table

from leadset.leads import resolve_leads
from leadset.scoring.intervals import bootstrap
from leadset.waves import delineate

METHODS = ("wavelet", "learned")
COLUMNS = ("what", "leads", "method", "beats", "sensitivity", "predictivity", "value", "low", "high")
#: Recordings that are timed; the lead whose R peaks count in LUDB; seeds of the folds.
TIMED, LEAD_II, SEEDS = 10, 1, (0, 1)


def beat_row(what: str, leads: int, method: str, recordings: list[Annotated], reference: int) -> dict:
    """Beats found in the first so many leads of recordings, whose R peaks are those of a reference lead."""
    tally = Tally()
    for recording in recordings:
        found = delineate(recording.signal[:leads], recording.fs, method).r_peaks
        tally.add(recording.marks[reference]["R peak"], found, recording.fs, recording.stretches[reference],
                  recording.excluded)
    return {"what": what, "leads": leads, "method": method, "beats": tally.hits + tally.misses,
            "sensitivity": f"{tally.sensitivity:.2f}", "predictivity": f"{tally.predictivity:.2f}"}


def area_rows(leads: int, data: Path, work: Path) -> Iterator[dict]:
    """Areas under the ROC curve by method, and the difference."""
    materials = []
    for method in METHODS:
        with patch("leadset.waves.beats.METHOD", method), patch("leadset.store.beat_store.METHOD", method):
            materials.append(prepared(data, resolve_leads(leads), 0, work))
    labels = materials[0].task.labels
    counted = labels.sum(axis=0) >= FEWEST
    folds = [folds_of(materials[0], seed) for seed in SEEDS]
    answers = [[linear_out_of_fold(material, fold)[:, counted] for fold in folds] for material in materials]
    areas = Areas(labels[:, counted], answers, folds)

    def everything(counts: np.ndarray) -> np.ndarray:
        mean = areas(counts).mean(axis=1)
        return np.append(mean, mean[1] - mean[0])

    found = bootstrap(everything, materials[0].real, materials[0].groups)
    for i, method in enumerate((*METHODS, "learned less wavelet")):
        value, low, high = (f"{part[i]:.3f}" for part in (found.value, found.low, found.high))
        yield {"what": "area under the ROC curve", "leads": leads, "method": method, "value": value, "low": low,
               "high": high}


def main() -> None:
    """Measures and writes the table."""
    arguments = experiment_parser(Path(__file__), __doc__).parse_args()
    ludb, mitdb = list(read_ludb(arguments.data / "ludb")), list(read_mitdb(arguments.data / "mitdb"))
    rows = []
    for method in METHODS:
        rows.append(beat_row("LUDB", 12, method, ludb, LEAD_II))
        rows += [beat_row("MIT-BIH", leads, method, mitdb, 0) for leads in (1, 2)]
    spent = median_ms({method: ours(method) for method in METHODS}, ludb[:TIMED])
    rows += [{"what": "time in ms", "leads": 12, "method": method, "value": f"{spent[method]:.1f}"}
             for method in METHODS]
    for leads in (12, 2):
        rows += area_rows(leads, arguments.data / "challenge" / "training", arguments.work)
    write_table(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
