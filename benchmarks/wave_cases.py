"""P waves where they are rare or hidden: single leads, fibrillation, noise, atrioventricular block.

    python benchmarks/wave_cases.py DATA [--output benchmarks/wave_cases.csv]

DATA holds ``ludb``, ``af_2017`` and ``nstdb``. The shipped weights have seen the first two and half of each noise, so
that these scores flatter them; they are for comparing the rules that judge P waves with one another. Under "noise"
muscle noise and wander, each at the signal-to-noise ratio named, are added from the half that learning has not seen.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from annotated import SCORED, Annotated, Tally, match, noise_level, read_ludb, read_noise, score_leads
from scipy.signal import resample_poly

import leadset
from leadset.simulate import simulate
from leadset.simulate.av_block import AV_BLOCKS
from leadset.waves.marks import P1

COLUMNS = ("what", "leads", "value", "sensitivity", "predictivity")
#: Samples at 500 Hz for one at 360 Hz: the noise's rate and that of LUDB.
UP, DOWN = 25, 18


def all_leads(recording: Annotated) -> list[np.ndarray]:
    """Marks of every lead, delineated together."""
    return list(leadset.delineate(recording.signal, recording.fs).marks)


def each_alone(recording: Annotated) -> list[np.ndarray]:
    """Marks of every lead, delineated for itself."""
    return [leadset.delineate(lead, recording.fs).marks[0] for lead in recording.signal]


def with_noise(recording: Annotated, noise: dict[str, np.ndarray], decibels: float, rng: np.random.Generator
               ) -> Annotated:
    """The recording under muscle noise and wander."""
    signal, half = recording.signal.copy(), round(0.05 * recording.fs)
    for lead, row in enumerate(signal):
        peaks = recording.marks[lead]["R peak"].astype(int)
        size = np.median([np.ptp(row[max(peak - half, 0) : peak + half]) for peak in peaks])
        for kind in ("ma", "bw"):
            start = rng.integers(0, len(noise[kind]) - len(row))
            added = noise[kind][start : start + len(row), lead % 2]
            row += (added - added.mean()) * noise_level(size, decibels) / added.std()
    return replace(recording, signal=signal)


def p_row(what: str, leads: str, recordings: list[Annotated], method: Callable) -> tuple:
    """Sensitivity and positive predictivity of the peaks of P waves in every lead."""
    tallies = {name: Tally() for name in SCORED}
    for recording in recordings:
        score_leads(recording, method(recording), tallies)
    p = tallies["P peak"]
    return (what, leads, p.hits + p.misses, f"{p.sensitivity:.2f}", f"{p.predictivity:.2f}")


def fibrillation_rows(folder: Path) -> Iterator[tuple]:
    """Median and mean share of beats with a P wave, of recordings in fibrillation and in normal rhythm."""
    with (folder / "REFERENCE.csv").open() as file:
        labels = [row[:2] for row in csv.reader(file)]
    for label, name in (("A", "atrial fibrillation"), ("N", "normal rhythm")):
        shares = []
        for record in (record for record, own in labels if own == label):
            recording = leadset.read_recording(folder / f"{record}.hea")
            there = leadset.delineate(recording.signal, recording.fs).present[0, :, P1]
            shares += [100 * there.mean()] if len(there) else []
        for how, value in (("median", np.median(shares)), ("mean", np.mean(shares))):
            yield (f"{name}, beats with P in %, {how}", "one", f"{value:.1f}", "", "")


def block_rows() -> Iterator[tuple]:
    """Lone P waves found in simulated blocks, and those of them that are none."""
    for label in AV_BLOCKS:
        made = simulate(40, seed=11, labels=label, fs=500)
        for leads, rows in (("twelve", slice(0, 12)), ("one", slice(1, 2))):
            hits = count = found = 0
            for signal, p_only in zip(made.signals, made.p_only, strict=True):
                seen = p_only[:, np.isfinite(p_only[..., P1]).any(axis=0), P1]
                true = np.sort(np.nanmedian(seen, axis=0))
                delineated = leadset.delineate(signal[rows], 500)
                own = delineated.p_only[:, P1]
                hits, count = hits + (match(true, own, 50) >= 0).sum(), count + len(true)
                found += len(own)
            yield (f"lone P waves, simulated {label}", leads, count, f"{100 * hits / count:.1f}",
                   f"{100 * hits / max(found, 1):.1f}")


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    ludb = list(read_ludb(args.data / "ludb"))
    noise = {kind: resample_poly(values[len(values) // 2 :], UP, DOWN, axis=0)
             for kind, values in read_noise(args.data / "nstdb").items() if kind != "em"}
    rows = []
    for what, decibels in (("LUDB", None), ("LUDB, noise at 6 dB", 6.0), ("LUDB, noise at 0 dB", 0.0)):
        rng = np.random.default_rng(0)
        recordings = [with_noise(r, noise, decibels, rng) for r in ludb] if decibels is not None else ludb
        rows += [p_row(what, "twelve", recordings, all_leads), p_row(what, "one", recordings, each_alone)]
    rows += [*fibrillation_rows(args.data / "af_2017"), *block_rows()]
    with args.output.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
