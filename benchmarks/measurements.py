"""Measurements against annotations, how many recordings of a diagnosis lie outside the reference ranges, and the time
that a sheet takes.

    python benchmarks/measurements.py DATA [--output benchmarks/measurements.csv]

DATA holds ``ludb`` (annotated waves, of which the delineator has learned), ``mitdb`` (annotated beats) and ``ptbxl``
(diagnoses; its voltages are not millivolts, its times are). Annotated marks of LUDB are fused and measured as found
ones are; rates are those of the annotated beats. Seconds are the processor's, on one thread.
"""

from __future__ import annotations

import argparse
import ast
import csv
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
from annotated import SCORED, Annotated, read_ludb, read_mitdb
from tables import write_table
from tqdm import tqdm

from leadset import LEAD_SETS, delineate, read_recording
from leadset.plots import draw_measured_sheet, save_sheet
from leadset.waves import assess, measure
from leadset.waves.fusion import fuse

COLUMNS = ("what", "measurement", "recordings", "missing", "mean", "sd", "median", "below", "above", "p95")
INTERVALS = ("rate", "pr", "qrs", "qt")
#: Statements of PTB-XL whose recordings are compared with the ranges; normal ones carry no other but sinus rhythm.
NORMAL, DIAGNOSES = {"NORM", "SR"}, ("1AVB", "CLBBB", "CRBBB")
RANGED = ("rate", "pr", "qrs", "qt", "qtc_bazett", "qtc_fridericia", "qtc_framingham", "qtc_hodges")
#: Seconds of an excerpt of a long recording, within which annotations of leads are of one beat, and that marks of a
#: beat are away from its R at most.
EXCERPT, TOGETHER, FURTHEST = 60.0, 0.15, 0.7
#: One in so many recordings is drawn.
EVERY = 10


def reference_marks(recording: Annotated) -> np.ndarray:
    """(leads, beats, 13) the annotated marks of each lead, as `leadset.delineate` gives them."""
    peaks = np.sort(np.concatenate([marks["R peak"] for marks in recording.marks]))
    groups = np.split(peaks, np.flatnonzero(np.diff(peaks) > TOGETHER * recording.fs) + 1)
    beats = np.array([np.median(group) for group in groups])
    found = np.full((len(recording.marks), len(beats), 13), np.nan)
    for lead, marks in enumerate(recording.marks):
        for name, column in SCORED.items():
            before = name[0] == "P" or name == "QRS onset"
            at = np.sort(marks[name])[:: 1 if before else -1]  # of two marks of a beat, the one nearer to its R stays
            beat = np.searchsorted(beats, at) if before else np.searchsorted(beats - TOGETHER * recording.fs, at) - 1
            fits = (beat >= 0) & (beat < len(beats))
            at, beat = at[fits], beat[fits]
            near = np.abs(beats[beat] - at) < FURTHEST * recording.fs
            found[lead, beat[near], column] = at[near]
    return found


def ludb_rows(folder: Path) -> Iterator[dict]:
    """Differences from the annotated waves."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for recording in tqdm(list(read_ludb(folder)), desc="ludb"):
        own = delineate(recording.signal, recording.fs)
        quality = assess(recording.signal, recording.fs, LEAD_SETS[12], own)
        marks = reference_marks(recording)
        reference = replace(own, marks=marks, fused=fuse(marks, recording.fs))
        pair = [
            measure(recording.signal, recording.fs, LEAD_SETS[12], delineation=one, quality=quality)
            for one in (own, reference)
        ]
        for name in INTERVALS:
            found[name].append((pair[0][name].value, pair[1][name].value))
    yield from (difference_row("ludb", name, values) for name, values in found.items())


def mitdb_rows(folder: Path) -> Iterator[dict]:
    """Differences of the rate from that of the annotated beats, by excerpts."""
    found = []
    for recording in tqdm(list(read_mitdb(folder)), desc="mitdb"):
        length = round(EXCERPT * recording.fs)
        for start in range(0, recording.signal.shape[1] - length + 1, length):
            beats = recording.marks[0]["R peak"]
            beats = beats[(beats >= start) & (beats < start + length)] / recording.fs
            signal = recording.signal[:, start : start + length]
            found.append((measure(signal, recording.fs, ("II", "V1"))["rate"].value, 60 / np.diff(beats).mean()))
    yield difference_row("mitdb", "rate", found)


def difference_row(what: str, name: str, values: list[tuple[float, float]]) -> dict:
    """Statistics of found minus reference; ``missing`` counts what only the reference has."""
    own, reference = np.array(values).T
    both = ~np.isnan(own) & ~np.isnan(reference)
    off = (own - reference)[both]
    numbers = {"mean": off.mean(), "sd": off.std(), "median": np.median(np.abs(off))}
    return {"what": what, "measurement": name, "recordings": int(both.sum()),
            "missing": int((np.isnan(own) & ~np.isnan(reference)).sum()),
            **{key: f"{value:.2f}" for key, value in numbers.items()}}  # fmt: skip


def range_rows(folder: Path) -> Iterator[dict]:
    """Shares of recordings of a diagnosis below and above the ranges for their age and sex."""
    statuses: dict[tuple[str, str], Counter] = defaultdict(Counter)
    with (folder / "ptbxl_database.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in tqdm(rows, desc="ptbxl"):
        codes = set(ast.literal_eval(row["scp_codes"]))
        named = ["NORM"] if "NORM" in codes and codes <= NORMAL else [code for code in DIAGNOSES if code in codes]
        if not named or not (folder / f"{row['filename_lr']}.hea").is_file():
            continue
        recording = read_recording(folder / f"{row['filename_lr']}.hea")
        age = float(row["age"]) if row["age"] and float(row["age"]) <= 120 else None
        sex = {"0": "male", "1": "female"}.get(row["sex"].partition(".")[0])
        found = measure(recording.signal, recording.fs, recording.leads, age=age, sex=sex)
        for code in named:
            for name in RANGED:
                statuses[code, name][found[name].status] += 1
    for (code, name), counts in statuses.items():
        total = sum(counts[status] for status in ("low", "normal", "high"))
        below, above = (f"{100 * counts[status] / total:.1f}" for status in ("low", "high"))
        yield {"what": code, "measurement": name, "recordings": total, "missing": counts[""], "below": below,
               "above": above}  # fmt: skip


def time_row(folder: Path) -> dict:
    """Seconds for delineating, assessing, measuring, drawing and writing a sheet as PNG."""
    seconds = []
    with tempfile.TemporaryDirectory() as scratch:
        for path in tqdm(sorted(folder.rglob("*.hea"))[::EVERY], desc="sheets"):
            recording = read_recording(path)
            start = process_time()
            save_sheet(draw_measured_sheet(recording), Path(scratch) / "sheet.png")
            seconds.append(process_time() - start)
    middle, high = np.percentile(seconds[1:], [50, 95])  # the first one loads fonts and weights
    return {"what": "sheet", "measurement": "processor seconds", "recordings": len(seconds) - 1,
            "median": f"{middle:.2f}", "p95": f"{high:.2f}"}  # fmt: skip


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    data = arguments.data
    rows = [*ludb_rows(data / "ludb"), *mitdb_rows(data / "mitdb"), *range_rows(data / "ptbxl")]
    write_table(arguments.output, COLUMNS, [*rows, time_row(data / "challenge")])


if __name__ == "__main__":
    main()
