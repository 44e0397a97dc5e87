"""Where the shipped entry looks on real recordings: shares of the attribution by class, lead and wave.

    python benchmarks/explain_real.py CHALLENGE MITDB [--method eg] [--output benchmarks/explain_real.csv]

CHALLENGE holds recordings of the Challenge with labels, MITDB the MIT-BIH Arrhythmia Database with annotations.
Explained is each class on recordings that have it, whatever the entry answers. Of the annotated database, strips of ten
seconds with one to four ventricular beats are explained; a ventricular beat lasts from 0.2 s before its annotation to
0.5 s after it, or to 0.2 s before the next. ``recordings`` are those that shares are of; ``unjudged`` were drawn
besides and got no answer, ``fewer_leads`` were answered on fewer than twelve leads. Two of the networks that
ship have learned from CHALLENGE, none from MITDB: the table says where they look, not how well they do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from annotated import BEATS
from tables import write_table
from tqdm import tqdm

import leadset
from leadset.entry import Entry
from leadset.explain import DEFAULT_METHOD, METHODS, Explanation, UnexplainedError, explain
from leadset.explain.population import populations
from leadset.explain.report import plain_explanation
from leadset.recordings import Recording, find_recordings, read_recording
from leadset.scoring.intervals import Interval, bootstrap

COLUMNS = (
    "method", "data", "class", "recordings", "unjudged", "fewer_leads", "answered", "where", "lead", "wave", "share",
    "low", "high", "even", "attribution",
)  # fmt: skip
BEFORE_QRS = ("P", "PQ", "no P")
#: Where a cardiologist looks first, by class: leads (none: all) and waves.
EXPECTED: dict[str, tuple[tuple[Sequence[str], Sequence[str]], ...]] = {
    "AF": (((), BEFORE_QRS), ((), ("QRS",))),
    "RBBB": ((("V1", "V2"), ("QRS",)), (("I", "V6"), ("QRS",)), ((), ("QRS",))),
    "LBBB": ((("V1", "V2"), ("QRS",)), (("I", "V5", "V6"), ("QRS",)), ((), ("QRS",))),
    "PVC": (((), ("QRS", "ST", "T")),),
    "IAVB": (((), ("P", "PQ")),),
    "STach": (((), ("QRS",)), ((), ("P", "PQ"))),
}
STRIP_S, MOST_BEATS, BEFORE_S, AFTER_S = 10.0, 4, 0.2, 0.5


@dataclass
class Drawn:
    """The recordings that were drawn of a class.

    Attributes:
        explanations: on twelve leads.
        unjudged: how many got no answer. fewer_leads: how many were answered on fewer leads.
    """

    explanations: list[Explanation] = field(default_factory=list)
    unjudged: int = 0
    fewer_leads: int = 0


def explained(entry: Entry, folder: Path, most: int, method: str) -> dict[str, Drawn]:
    """By class, explanations on recordings that have it, drawn at random."""
    recordings = [read_recording(path) for path in find_recordings(folder)]
    found = {name: Drawn() for name in EXPECTED}
    for name, drawn in tqdm(found.items(), unit="class"):
        k = entry.space.abbreviations.index(name)
        with_it = [one for one in recordings if entry.space.encode_for_training(one.codes)[k]]
        for i in np.random.default_rng(0).permutation(len(with_it))[:most]:
            try:
                explanation = explain(entry, with_it[i], [name], method)
            except UnexplainedError as error:
                tqdm.write(str(error))
                drawn.unjudged += 1
                continue
            if len(explanation.leads) == 12:
                drawn.explanations.append(explanation)
            else:
                drawn.fewer_leads += 1
    return found


def rows_of_class(name: str, drawn: Drawn) -> Iterator[dict[str, Any]]:
    """Rows of a class: where a cardiologist looks, then every lead and wave; a single one if no recording is left."""
    head = {
        "data": "challenge", "class": name, "recordings": 0, "unjudged": drawn.unjudged,
        "fewer_leads": drawn.fewer_leads, "answered": sum(one.classes[0].decided for one in drawn.explanations),
    }  # fmt: skip
    plain = [plain_explanation(one, one.recording.name) for one in drawn.explanations]
    if not plain:
        yield head
    for population in populations(plain):
        for leads, waves in EXPECTED[name]:
            yield head | {"where": "expected"} | population.region(leads or population.leads, waves)
        yield from (head | {"where": "every lead and wave"} | row for row in population.rows())


def strips(folder: Path, per_recording: int) -> Iterator[tuple[Recording, np.ndarray]]:
    """Strips with a few ventricular beats, and where these are (t,) bool."""
    for path in sorted(folder.glob("*.hea")):
        annotation = wfdb.rdann(str(path.with_suffix("")), "atr")
        beats = [(at, symbol) for at, symbol in zip(annotation.sample, annotation.symbol, strict=True)
                 if symbol in BEATS]  # fmt: skip
        recording = read_recording(path)
        length, found = round(STRIP_S * recording.fs), 0
        for start in range(0, recording.signal.shape[1] - length + 1, length):
            ventricular = np.zeros(length, bool)
            inside = [at for at, symbol in beats if symbol == "V" and start <= at < start + length]
            for (at, symbol), (following, _) in zip(beats, [*beats[1:], (np.inf, "")], strict=True):
                if symbol == "V":
                    first = at - BEFORE_S * recording.fs - start
                    last = min(at + AFTER_S * recording.fs, following - BEFORE_S * recording.fs) - start
                    ventricular[max(0, int(first)) : max(0, int(last))] = True
            if 1 <= len(inside) <= MOST_BEATS and found < per_recording:
                found += 1
                signal = recording.signal[:, start : start + length]
                yield Recording(signal, recording.fs, recording.leads, f"{recording.name} {start}"), ventricular


def row_of_ectopy(entry: Entry, folder: Path, per_recording: int, method: str) -> dict[str, Any]:
    """The row of ventricular beats: the share of the attribution inside them, against that of their duration."""
    shares, evens, totals, answered, unjudged = [], [], [], 0, 0
    for recording, ventricular in tqdm(list(strips(folder, per_recording)), unit="strip"):
        try:
            found = explain(entry, recording, ["PVC"], method)
        except UnexplainedError as error:
            tqdm.write(str(error))
            unjudged += 1
            continue
        one = found.classes[0]
        at = np.arange(one.map.shape[1]) * len(ventricular) // one.map.shape[1]
        inside = ventricular[at]
        shares.append(np.abs(one.map[:, inside]).sum() / np.abs(one.map).sum())
        totals.append(one.map[:, inside].sum())
        evens.append(inside.mean())
        answered += one.decided
    interval = _mean(np.array(shares))
    return {
        "data": "mitdb", "class": "PVC", "recordings": len(shares), "unjudged": unjudged, "fewer_leads": 0,
        "answered": answered, "where": "expected", "lead": "all", "wave": "ventricular beats",
        "share": f"{interval.value:.3f}", "low": f"{interval.low:.3f}",
        "high": f"{interval.high:.3f}", "even": f"{np.mean(evens):.3f}", "attribution": f"{np.mean(totals):.3f}",
    }  # fmt: skip


def _mean(values: np.ndarray) -> Interval:
    return bootstrap(lambda counts: float(counts @ values / counts.sum()), len(values))


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("challenge", type=Path)
    parser.add_argument("mitdb", type=Path)
    parser.add_argument("--method", choices=METHODS, default=DEFAULT_METHOD)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--recordings", type=int, default=5, help="of each class (default: %(default)s)")
    parser.add_argument("--strips", type=int, default=1, help="of each annotated recording (default: %(default)s)")
    parser.add_argument("--entry", type=Path, help="folder of an entry (default: the one that ships)")
    arguments = parser.parse_args()
    entry = leadset.load_entry(arguments.entry)
    ectopy = row_of_ectopy(entry, arguments.mitdb, arguments.strips, arguments.method)
    found = explained(entry, arguments.challenge, arguments.recordings, arguments.method)
    rows = [ectopy, *(row for name, drawn in found.items() for row in rows_of_class(name, drawn))]
    write_table(arguments.output, COLUMNS, [{"method": arguments.method} | row for row in rows])


if __name__ == "__main__":
    main()
