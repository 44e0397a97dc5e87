"""What the detector that ships finds, on every lead set: planted anomalies, and real recordings that are not normal.

    python benchmarks/shipped_detector.py [DATA] [--pretrained FOLDER] [--scale SHARE]
        [--output benchmarks/shipped_detector.csv]

``simulated``: recordings of a seed of their own, half of them with one local anomaly whose place is known (those that
do not show it on these leads are left out); detected by the deviation score, localised by that of each sample.
``challenge``: recordings below DATA whose only label is sinus rhythm against the rest, by the deviation score and by
the lasting one. The detector learned from simulated normal recordings, and is compared with others of these. Areas
under the ROC curve with 95 % intervals over recordings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tables import write_table
from tqdm import tqdm

from leadset.anomaly import Detector
from leadset.anomaly.detector import ARCHITECTURE, TRANSFORM
from leadset.anomaly.metrics import detection_auc, localisation_auc
from leadset.anomaly.score import AnomalyScore
from leadset.anomaly.shipped import shipped_detector
from leadset.classes import CHALLENGE, label_space
from leadset.leads import LEAD_SETS, LEADS, lead_set_name
from leadset.models.prediction import lead_rows
from leadset.models.shipped import FOLDER
from leadset.preprocess import prepare
from leadset.recordings import find_recordings, read_recording
from leadset.scoring.intervals import bootstrap
from leadset.simulate import simulate_anomalies
from leadset.training.shipped.rehearsal import FEWEST, add_scale, check_target, scaled, some_of
from leadset.utils.files import write_atomically

COLUMNS = ("data", "leads", "measure", "recordings", "abnormal", "value", "low", "high")
SEED, PLANTED = 909, 100
SCORES = "## Scores"
Prepared = tuple[np.ndarray, np.ndarray]


def prepared(signals: Sequence[np.ndarray]) -> list[Prepared]:
    """Simulated signals as the network wants them."""
    return [(p.samples, p.statistics) for p in (prepare(signal, 500, LEADS, TRANSFORM) for signal in signals)]


def scored(detector: Detector, recordings: Sequence[Prepared]) -> list[AnomalyScore]:
    """Their scores."""
    return list(detector.score_all(recordings, range(len(recordings)), lead_set_name(detector.leads)))


def detection(about: dict, name: str, abnormal: np.ndarray, values: Sequence[float]) -> dict:
    """A row with an interval."""
    numbers = np.array(values)

    def area(counts: np.ndarray) -> float:
        return detection_auc(np.repeat(abnormal, counts), np.repeat(numbers, counts))

    found = bootstrap(area, len(abnormal), n=300)
    texts = {key: f"{getattr(found, key):.3f}" for key in ("value", "low", "high")}
    return {**about, "measure": name, "recordings": len(abnormal), "abnormal": int(abnormal.sum()), **texts}


def rows(data: Path | None, folder: Path, scale: float) -> Iterator[dict]:
    """Rows of every lead set, of the detector in a folder; on a share of the recordings."""
    n = scaled(PLANTED, scale, FEWEST)
    made = simulate_anomalies(n, SEED)
    planted = prepared(simulate_anomalies(n, SEED, start=n).clean) + prepared(made.signals)
    abnormal = np.arange(2 * n) >= n
    paths = [] if data is None else some_of(find_recordings(data), scale)
    real = [read_recording(path) for path in tqdm(paths, leave=False)]
    ready = [prepare(one.signal, one.fs, one.leads, TRANSFORM) for one in real]
    ill = np.array([not label_space(CHALLENGE).is_plain_normal(one.codes) for one in real], dtype=bool)
    for leads in LEAD_SETS.values():
        detector, shown = shipped_detector(leads, folder), lead_rows(leads)
        scores, about = scored(detector, planted), {"data": "simulated", "leads": lead_set_name(leads)}
        seen = [i for i in range(n) if made.masks[i][shown].any()]
        judged = [*range(n), *(n + i for i in seen)]
        values = [detector.deviation_score(scores[i]) for i in judged]
        yield detection(about, "detection by deviation score", abnormal[judged], values)
        place = localisation_auc([made.masks[i][shown] for i in seen], [scores[n + i].deviation for i in seen])
        yield {
            **about, "measure": "localisation by deviation", "recordings": len(seen), "abnormal": len(seen),
            "value": f"{place:.3f}",
        }  # fmt: skip
        if real:
            scores, about = scored(detector, [(p.samples, p.statistics) for p in ready]), about | {"data": "challenge"}
            for name, number in (
                ("detection by deviation score", detector.deviation_score),
                ("detection by lasting deviation score", detector.lasting_deviation_score),
            ):
                yield detection(about, name, ill, list(map(number, scores)))


def write_scores(card: Path, table: Sequence[dict]) -> None:
    """Replaces what the card has below `SCORES` by the rows, a column for each lead set.

    What is above is written by hand, and taken from the card that ships where this one is new.
    """
    columns = list(dict.fromkeys(row["leads"] for row in table))
    lines = [SCORES, "", "Areas under the ROC curve, 95 % interval in brackets; `benchmarks/shipped_detector.csv`.", ""]
    lines += ["| | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    for data, measure in dict.fromkeys((row["data"], row["measure"]) for row in table):
        here = {row["leads"]: row for row in table if (row["data"], row["measure"]) == (data, measure)}
        cells = [f"{r['value']} ({r['low']}–{r['high']})" if r.get("low") else r["value"] for r in here.values()]
        lines.append(f"| {data}: {measure} | " + " | ".join(cells) + " |")
    above = (card if card.exists() else FOLDER / card.name).read_text()
    with write_atomically(card) as file:
        file.write(above.split(SCORES)[0] + "\n".join(lines) + "\n")


def main() -> None:
    """Writes the table, and the scores into the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="recordings of the Challenge")
    parser.add_argument("--pretrained", type=Path, metavar="FOLDER", default=FOLDER, help="of the detector")
    add_scale(parser)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    check_target(arguments.pretrained, arguments.scale)
    torch.set_num_threads(1)
    table = []
    for row in rows(arguments.data, arguments.pretrained, arguments.scale):
        table.append(row)
        print("  ".join(str(row.get(column, "")) for column in COLUMNS), flush=True)
    write_table(arguments.output, COLUMNS, table)
    write_scores(arguments.pretrained / f"{ARCHITECTURE}.md", table)


if __name__ == "__main__":
    main()
