"""Waves where they are rare or hidden: single leads, fibrillation, noise, atrioventricular block, pacing, asystole.

    python benchmarks/wave_cases.py DATA [--output benchmarks/wave_cases.csv]

DATA holds ``ludb``, ``af_2017`` and ``nstdb``. The shipped weights have seen the first two and half of each noise, so
that these scores flatter them; they are for comparing the rules that judge P waves with one another. Under "noise"
muscle noise and wander, each at the signal-to-noise ratio named, are added from the half that learning has not seen.
"Paced" recordings are those of LUDB at a low rate with spikes of 2 ms before every P wave ("atria"), every complex
("ventricles") or both, made by a recorder with a causal low-pass filter or with a linear-phase one, or drawn by the
recorder as one sample. "Rare beats" are one to three of LUDB's in ten seconds of noise.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from annotated import SCORED, Annotated, Tally, lead_of, match, noise_level, read_ludb, read_noise, score_leads
from scipy.signal import butter, resample_poly, sosfilt

import leadset
from leadset.simulate import simulate
from leadset.simulate.av_block import AV_BLOCKS
from leadset.waves.marks import P1, PON, QRSON

COLUMNS = ("what", "leads", "value", "sensitivity", "predictivity")
#: Samples at 500 Hz for one at 360 Hz: the noise's rate and that of LUDB.
UP, DOWN = 25, 18
#: Rate in Hz at which spikes are made, how long they last in s, and how many ms they come before a P wave or complex.
SPIKE_RATE, SPIKE_SECONDS, AHEAD = 10_000, 0.002, (0, 20)
#: Height of spikes in mV before any filter, rates in Hz, and what the recorder does.
SPIKES_MV, PACED_RATES, RECORDERS = (1, 8), (100, 250), ("causal", "linear-phase", "one sample")
#: Seconds within which a P wave beside a spike counts as found.
NEAR = 0.06
#: Where rare beats are, in s, and the longest QT interval, in s, of a beat of LUDB that they are copies of.
RARE_PLACES, LONGEST_QT = np.array([5.2, 1.7, 8.0]), 0.6


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


def spikes(times: np.ndarray, samples: int, fs: int, recorder: str) -> np.ndarray:
    """(samples,) spikes of 1 mV at times in s, as a recorder of the rate ``fs`` has them."""
    out = np.zeros(samples)
    if recorder == "one sample":
        out[np.rint(times * fs).astype(int).clip(0, samples - 1)] = 1
        return out
    fine = np.zeros(round((samples / fs + 1) * SPIKE_RATE))
    first = np.rint((times + 0.5) * SPIKE_RATE).astype(int)
    fine[(first[:, None] + np.arange(round(SPIKE_SECONDS * SPIKE_RATE))).ravel()] = 1
    if recorder == "causal":
        fine = sosfilt(butter(4, 0.4 * fs, fs=SPIKE_RATE, output="sos"), fine)[:: SPIKE_RATE // fs]
    else:
        fine = resample_poly(fine, 1, SPIKE_RATE // fs)
    return fine[fs // 2 :][:samples]


def paced(recording: Annotated, fs: int, height: float, recorder: str, chambers: str, rng: np.random.Generator
          ) -> tuple[Annotated, int]:
    """The recording at the rate ``fs`` with spikes, and the lead that shows them at their full height."""
    marks, ahead = leadset.delineate(recording.signal, recording.fs).fused / recording.fs, rng.uniform(*AHEAD) / 1000
    starts = [marks[:, mark] for mark, name in ((PON, "atria"), (QRSON, "ventricles")) if name in chambers]
    times = np.concatenate(starts)
    times = times[~np.isnan(times)] - ahead
    signal, size = resample_poly(recording.signal, fs, round(recording.fs), axis=1), rng.uniform(-1, 1, 12)
    size /= np.abs(size).max()
    signal = signal + height * np.outer(size, spikes(times, signal.shape[1], fs, recorder))
    scale = fs / recording.fs
    at_rate = lambda tables: [{name: scale * at for name, at in table.items()} for table in tables]  # noqa: E731
    made = replace(recording, signal=signal, fs=fs, marks=at_rate(recording.marks), unknown=at_rate(recording.unknown),
                   stretches=[(scale * start, scale * stop) for start, stop in recording.stretches])
    return made, int(np.abs(size).argmax())


def paced_rows(ludb: list[Annotated]) -> Iterator[tuple]:
    """Complexes and P waves among the spikes of a pacemaker, in twelve leads and in the one with the largest spikes."""
    for fs, chambers, height in product(PACED_RATES, ("atria", "ventricles", "atria and ventricles"), SPIKES_MV):
        tallies = {leads: {"R peak": Tally(), "P peak": Tally(NEAR)} for leads in ("twelve", "one")}
        for number, (recording, recorder) in enumerate(product(ludb, RECORDERS)):
            made, lead = paced(recording, fs, height, recorder, chambers, np.random.default_rng(number))
            score_leads(made, all_leads(made), tallies["twelve"])
            alone = lead_of(made, lead)
            score_leads(alone, all_leads(alone), tallies["one"])
        for wave, name in (("QRS", "R peak"), ("P", "P peak")):
            for leads, counted in tallies.items():
                tally = counted[name]
                yield (f"{wave}, paced {chambers}, spikes of {height} mV at {fs} Hz", leads, tally.hits + tally.misses,
                       f"{tally.sensitivity:.2f}", f"{tally.predictivity:.2f}")


def alone_in_noise(recording: Annotated, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(leads, t) noise as between the recording's T and P, with its third beat of lead II at places in s."""
    fs, marks = round(recording.fs), recording.marks[1]
    start, stop = int(marks["QRS onset"][2] - 0.25 * fs), int(marks["T end"][2] + 0.06 * fs)
    rest = _levelled(recording.signal[:, int(marks["T end"][1]) :][:, : fs // 10])
    beat, signal = _levelled(recording.signal[:, start:stop]), rng.standard_normal(recording.signal.shape)
    signal *= rest.std(axis=1, keepdims=True)
    for place in places * fs + start - marks["R peak"][2]:
        signal[:, int(place) : int(place) + stop - start] += beat
    return signal


def _third_beat_marked(recording: Annotated) -> bool:
    """Whether lead II has marks of its third beat from the start of the complex to the end of the T wave."""
    onset, end = (recording.marks[1][name] for name in ("QRS onset", "T end"))
    return len(onset) > 2 and len(end) > 2 and 0 < end[2] - onset[2] < LONGEST_QT * recording.fs


def _levelled(signal: np.ndarray) -> np.ndarray:
    """The signal (leads, t) over the line from its first to its last sample."""
    return signal - np.linspace(signal[:, 0], signal[:, -1], signal.shape[1]).T


def rare_rows(ludb: list[Annotated]) -> Iterator[tuple]:
    """Beats of which one to three come in ten seconds of noise."""
    for count, leads in product((1, 2, 3), ("twelve", "one")):
        rng, tally, places = np.random.default_rng(0), Tally(), np.sort(RARE_PLACES[:count])
        for recording in filter(_third_beat_marked, ludb):
            signal = alone_in_noise(recording, places, rng)
            found = leadset.delineate(signal if leads == "twelve" else signal[1], recording.fs).r_peaks
            tally.add(places * recording.fs, found, recording.fs, (0, signal.shape[1]))
        yield (f"rare beats, {count} in ten seconds", leads, tally.hits + tally.misses, f"{tally.sensitivity:.2f}",
               f"{tally.predictivity:.2f}")


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
    rows += [*fibrillation_rows(args.data / "af_2017"), *block_rows(), *paced_rows(ludb[::5]), *rare_rows(ludb)]
    with args.output.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
