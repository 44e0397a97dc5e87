"""Annotated recordings for the benchmarks of delineation, read with wfdb, and how marks are scored against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import wfdb

#: Marks that LUDB and the QT Database annotate, as columns of a delineator's thirteen.
SCORED: dict[str, int] = {
    "P onset": 0, "P peak": 1, "P end": 3, "QRS onset": 4, "R peak": 6, "QRS end": 8,
    "T onset": 9, "T peak": 10, "T end": 12,
}
#: Seconds within which a mark counts as found (EC57 for beats, and as published for LUDB and the QT Database).
TOLERANCE = 0.150
#: Annotation codes of beats (EC57).
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
_WAVE = {"p": "P", "N": "QRS", "t": "T"}
_PEAK = {"P": "P peak", "QRS": "R peak", "T": "T peak"}


@dataclass(frozen=True)
class Annotated:
    """A recording with reference marks.

    Attributes:
        name: record name.
        signal: (leads, samples) in mV.
        fs: sampling rate in Hz.
        marks: per annotated lead (or one entry for all leads), mark name -> (m,) sample positions.
        stretches: per entry of ``marks`` the first and last annotated sample.
        unknown: per entry of ``marks``, mark name -> peaks of waves whose limit of that name was not drawn.
        excluded: (e, 2) stretches without beat annotations (ventricular flutter).
    """

    name: str
    signal: np.ndarray
    fs: float
    marks: list[dict[str, np.ndarray]]
    stretches: list[tuple[float, float]]
    unknown: list[dict[str, np.ndarray]]
    excluded: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


Marks = dict[str, np.ndarray]


def lead_of(recording: Annotated, lead: int) -> Annotated:
    """One lead of a recording whose leads are annotated each for itself."""
    one = slice(lead, lead + 1)
    return replace(recording, signal=recording.signal[one], marks=recording.marks[one],
                   stretches=recording.stretches[one], unknown=recording.unknown[one])  # fmt: skip


def read_waves(record: Path, extension: str) -> tuple[Marks, tuple[float, float], Marks]:
    """Marks of a file of ``(``, ``p``, ``N``, ``t``, ``)`` annotations, its first and last sample, and unknown limits.

    A bracket belongs to the peak next to it. Some waves lack one, T waves of the QT Database mostly the opening one:
    such limits are unknown, and named by the peak.
    """
    annotation = wfdb.rdann(str(record), extension)
    marks: dict[str, list[int]] = {name: [] for name in SCORED}
    unknown: dict[str, list[int]] = {name: [] for name in SCORED}
    samples, symbols = annotation.sample, annotation.symbol
    for i, symbol in enumerate(symbols):
        wave = _WAVE.get(symbol)
        if wave is None:
            continue
        marks[_PEAK[wave]].append(samples[i])
        for name, j, bracket in ((f"{wave} onset", i - 1, "("), (f"{wave} end", i + 1, ")")):
            if 0 <= j < len(symbols) and symbols[j] == bracket:
                marks[name].append(samples[j])
            else:
                unknown[name].append(samples[i])
    known, missing = ({name: np.array(at, dtype=float) for name, at in table.items()} for table in (marks, unknown))
    return known, (float(samples[0]), float(samples[-1])), missing


def read_ludb(folder: Path, every: int = 1) -> Iterator[Annotated]:
    """LUDB: twelve leads, each annotated for itself; each recording, or one in ``every``."""
    for header in sorted((folder / "data").glob("*.hea"), key=lambda path: int(path.stem))[::every]:
        record = header.with_suffix("")
        signal = wfdb.rdrecord(str(record))
        columns = zip(*(read_waves(record, lead) for lead in signal.sig_name), strict=True)
        yield Annotated(record.name, signal.p_signal.T.astype(np.float32), signal.fs, *map(list, columns))


def read_qtdb(folder: Path) -> Iterator[Annotated]:
    """QT Database, first annotator: some 30 beats of each recording, both leads annotated together."""
    for header in sorted(folder.glob("*.hea")):
        record = header.with_suffix("")
        signal = wfdb.rdrecord(str(record))
        columns = ([column] for column in read_waves(record, "q1c"))
        yield Annotated(record.name, signal.p_signal.T.astype(np.float32), signal.fs, *columns)


def read_mitdb(folder: Path) -> Iterator[Annotated]:
    """MIT-BIH Arrhythmia Database: every beat, for both leads."""
    for header in sorted(folder.glob("*.hea")):
        record = header.with_suffix("")
        signal = wfdb.rdrecord(str(record))
        annotation = wfdb.rdann(str(record), "atr")
        coded = list(zip(annotation.sample, annotation.symbol, strict=True))
        beats = np.array([at for at, code in coded if code in BEATS], float)
        flutter = [at for at, code in coded if code in "[]"]
        yield Annotated(record.name, signal.p_signal.T.astype(np.float32), signal.fs, [{"R peak": beats}],
                        [(beats[0], float(signal.sig_len))], [{}], np.array(flutter, float).reshape(-1, 2))


def read_noise(folder: Path) -> dict[str, np.ndarray]:
    """(samples, 2) recorded noise of each kind at 360 Hz: muscle, baseline wander, electrode motion."""
    noise = {name: wfdb.rdrecord(str(folder / name)).p_signal for name in ("ma", "bw")}
    return {**noise, "em": np.load(folder / "em_derived.npz")["noise"].astype(float)}


def noise_level(size: np.ndarray, decibels: float) -> np.ndarray:
    """RMS of noise at a signal-to-noise ratio, beside complexes of given size from peak to peak.

    The signal's power is that of the noise stress test, an eighth of the squared size (Moody, Muldrow, Mark, Computers
    in Cardiology 11, 1984).
    """
    return size / np.sqrt(8 * 10 ** (decibels / 10))


def match(reference: np.ndarray, found: np.ndarray, tolerance: float) -> np.ndarray:
    """One-to-one assignment, nearest pairs first: index into ``found`` (sorted) for each reference mark, or -1."""
    assigned = np.full(len(reference), -1)
    if not len(found):
        return assigned
    right = np.searchsorted(found, reference)
    pairs = [(abs(found[j] - reference[i]), i, j) for i in range(len(reference)) for j in (right[i] - 1, right[i])
             if 0 <= j < len(found) and abs(found[j] - reference[i]) <= tolerance]
    taken: set[int] = set()
    for _, i, j in sorted(pairs):
        if assigned[i] < 0 and j not in taken:
            assigned[i] = j
            taken.add(j)
    return assigned


@dataclass
class Tally:
    """Counts and errors (ms) of one mark, added up over leads and recordings, and their spreads in each recording.

    A mark found farther than ``tolerance`` seconds from an annotated one is not that one.
    """

    tolerance: float = TOLERANCE
    hits: int = 0
    misses: int = 0
    extras: int = 0
    errors: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)

    def join(self, one: Tally) -> None:
        """Adds the tally of a whole recording."""
        self.hits, self.misses, self.extras = (
            self.hits + one.hits, self.misses + one.misses, self.extras + one.extras
        )  # fmt: skip
        self.errors.extend(one.errors)
        if len(one.errors) > 1:
            self.spreads.append(one.sd)

    def add(self, reference: np.ndarray, found: np.ndarray, fs: float, stretch: tuple[float, float],
            excluded: Sequence[Sequence[float]] = ()) -> None:
        """Scores the marks of one lead; marks outside ``stretch`` or near an excluded part are no false positives."""
        found = np.sort(found[~np.isnan(found)])
        assigned = match(reference, found, self.tolerance * fs)
        hit = assigned >= 0
        extra = np.delete(found, assigned[hit])
        extra = extra[(extra >= stretch[0]) & (extra <= stretch[1])]
        for start, stop in excluded:
            extra = extra[(extra < start - TOLERANCE * fs) | (extra > stop + TOLERANCE * fs)]
        self.hits += int(hit.sum())
        self.misses += int((~hit).sum())
        self.extras += len(extra)
        self.errors.extend(((found[assigned[hit]] - reference[hit]) * 1000 / fs).tolist())

    @property
    def sensitivity(self) -> float:
        """Found of the annotated marks, in percent."""
        return 100 * self.hits / max(self.hits + self.misses, 1)

    @property
    def predictivity(self) -> float:
        """Annotated of the found marks, in percent."""
        return 100 * self.hits / max(self.hits + self.extras, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictivity, from 0 to 1."""
        return 2 * self.hits / max(2 * self.hits + self.misses + self.extras, 1)

    @property
    def mean(self) -> float:
        """Mean error in ms, positive when found late."""
        return float(np.mean(self.errors)) if self.errors else float("nan")

    @property
    def sd(self) -> float:
        """Standard deviation of the error in ms."""
        return float(np.std(self.errors)) if self.errors else float("nan")

    @property
    def mean_sd(self) -> float:
        """Mean of the standard deviations within recordings in ms, of what was joined."""
        return float(np.mean(self.spreads)) if self.spreads else float("nan")


def score_leads(recording: Annotated, marks: Sequence[np.ndarray], tallies: dict[str, Tally]) -> None:
    """Adds a recording annotated lead by lead: ``marks`` holds (beats, 13) of each lead."""
    for lead, reference in enumerate(recording.marks):
        for name, tally in tallies.items():
            nearby = recording.unknown[lead][name][:, None] + np.zeros(2)
            found = marks[lead][:, SCORED[name]]
            tally.add(reference[name], found, recording.fs, recording.stretches[lead], nearby)


def score_best_lead(recording: Annotated, marks: Sequence[np.ndarray], tallies: dict[str, Tally]) -> None:
    """Adds a recording annotated once for all leads: of every mark the lead that comes nearest counts.

    Beats between annotated ones are not marked in the QT Database, so that extra marks there may be
    true ones.
    """
    for name, column in SCORED.items():
        reference = recording.marks[0][name]
        near = np.full((len(marks), len(reference)), np.nan)
        for lead in range(len(marks)):
            found = np.sort(marks[lead][:, column][~np.isnan(marks[lead][:, column])])
            assigned = match(reference, found, TOLERANCE * recording.fs)
            near[lead, assigned >= 0] = found[assigned[assigned >= 0]] - reference[assigned >= 0]
        hit = ~np.isnan(near).all(axis=0)
        best = np.take_along_axis(near, np.nan_to_num(np.abs(near), nan=np.inf).argmin(axis=0)[None], axis=0)[0]
        tally = tallies[name]
        tally.hits += int(hit.sum())
        tally.misses += int((~hit).sum())
        tally.errors.extend((best[hit] * 1000 / recording.fs).tolist())
