"""Delineators against annotated recordings: how many marks they find, how far off, and in what time.

    python benchmarks/delineation.py DATA [--weights FOLDER] [--keep METHOD…] [--output benchmarks/delineation.csv]

DATA holds ``ludb``, ``qtdb``, ``mitdb``, ``nstdb`` and ``quality_2011``. Methods: ours, by wavelet rules and learned;
the published rules (`published_rules`); NeuroKit2's ``dwt`` where it is installed, else it is left out with a message.

The shipped weights were learned from all of these recordings, so that their scores here (part ``seen``) flatter them.
FOLDER holds other weights by ``train_waves.py``: ``fold0.safetensors`` and ``fold1.safetensors`` (or one of them),
learned without the even and without the odd recordings (``--without 0|1 --folds 2``), score just the recordings they
have not seen (``held out``); ``simulated.safetensors``, learned from simulated recordings alone, scores all
(``simulated``, without added noise). Errors have two standard deviations: of all together (``sd_ms``), and the mean of
those within the recordings (``mean_sd_ms``), which leaves out by how much recordings differ. Noise is the second half
of each recorded kind; learning saw the first.
The constants of the wavelet method were chosen on the odd recordings of LUDB and on MIT-BIH (``tuned``); the even ones
of LUDB and all of the QT Database were left for the end (``held out``).
"""

from __future__ import annotations

import argparse
import csv
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import published_rules
from annotated import (
    SCORED,
    TOLERANCE,
    Annotated,
    Tally,
    lead_of,
    noise_level,
    read_ludb,
    read_mitdb,
    read_noise,
    read_qtdb,
    score_best_lead,
    score_leads,
)
from fit_quality import areas, cross_validated, measure_recording, read_quality
from scipy.ndimage import median_filter

from leadset.waves import delineator
from leadset.waves.learned import learned_marks

COLUMNS = ("dataset", "part", "method", "mark", "annotated", "sensitivity", "predictivity", "mean_ms", "sd_ms",
           "mean_sd_ms", "value")
#: Methods of others.
PEERS = ("published rules", "neurokit2 dwt")
#: In the place of a method to keep: the learned one with other weights than those that ship.
OTHER_WEIGHTS = "other weights"
#: The same for all times, which only a quiet machine can measure.
TIMES = "times"
#: Seconds within which a limit counts for the F1 score of the limits, as openecg has them ("Martínez tolerances").
LIMITS = {"P onset": 0.05, "P end": 0.05, "QRS onset": 0.04, "QRS end": 0.04, "T onset": 0.05, "T end": 0.1}
#: Signal-to-noise ratio of the noise tests in dB.
NOISE_DB = 6.0
#: A lead shows a beat whose size, within so many seconds around its peak, is this share of the median of so many beats.
SHOWN, SHOWN_S, NEIGHBOURS = 0.25, 0.08, 31
SHOWN_BEATS = "beats that the first lead shows"

#: Signal (leads, samples) and rate to the marks (beats, 13) of each lead.
Method = Callable[[np.ndarray, float], list[np.ndarray]]


def ours(name: str) -> Method:
    """A method of `delineator.METHODS`."""
    return lambda signal, fs: list(delineator.delineate(signal, fs, name).marks)


#: Part of the results, name of the method there, and the method by the parity of a recording's number.
Trial = tuple[str, str, dict[int, str]]


def add_weights(folder: Path) -> list[Trial]:
    """Makes the weights in the folder methods of their own."""
    for path in folder.glob("*.safetensors"):
        delineator.METHODS[path.stem] = partial(learned_marks, weights=path)
    folds = {parity: name for parity, name in enumerate(("fold0", "fold1")) if name in delineator.METHODS}
    trials = [("held out", "learned", folds)] if folds else []
    if "simulated" in delineator.METHODS:
        trials.append(("simulated", "learned", always("simulated")))
    return trials


def neurokit() -> Method | None:
    """NeuroKit2's discrete wavelet method, or None where it is not installed."""
    try:
        import neurokit2
    except ImportError:
        print("NeuroKit2 is not installed: left out")
        return None
    names = ["P_Onsets", "P_Peaks", "", "P_Offsets", "R_Onsets", "Q_Peaks", "", "S_Peaks", "R_Offsets", "T_Onsets",
             "T_Peaks", "", "T_Offsets"]

    def lead_marks(lead: np.ndarray, fs: float) -> np.ndarray:
        try:
            clean = neurokit2.ecg_clean(lead, sampling_rate=int(fs))
            r = neurokit2.ecg_peaks(clean, sampling_rate=int(fs))[1]["ECG_R_Peaks"]
            marks_of = neurokit2.ecg_delineate(clean, r, sampling_rate=int(fs), method="dwt")[1]
        except Exception as error:  # it raises all kinds of errors on leads it cannot delineate
            print(f"NeuroKit2 gave up on a lead: {error}")
            return np.full((0, 13), np.nan)
        marks = np.full((len(r), 13), np.nan)
        marks[:, 6] = r
        for column, name in enumerate(names):
            if name:
                values = np.asarray(marks_of[f"ECG_{name}"], dtype=float)
                marks[: len(values), column] = values[: len(r)]
        return marks

    return lambda signal, fs: [lead_marks(lead, fs) for lead in signal]


def wave_rows(dataset: str, part: str, method: str, tallies: dict[str, Tally], judged: bool = True) -> list[tuple]:
    """One row for each mark; without ``judged`` nothing is said of the positive predictivity."""
    return [(dataset, part, method, name, t.hits + t.misses, f"{t.sensitivity:.2f}",
             f"{t.predictivity:.2f}" if judged else "", f"{t.mean:.1f}", f"{t.sd:.1f}",
             f"{t.mean_sd:.1f}" if t.spreads else "", "")
            for name, t in tallies.items() if t.hits + t.misses]


def score_waves(recordings: Iterable[Annotated], methods: dict[int, Method], score: Callable,
                tolerances: Mapping[str, float] = dict.fromkeys(SCORED, TOLERANCE)) -> dict[str, Tally]:
    """Tallies of marks over recordings; the parity of their number chooses the method, or none."""
    tallies = {name: Tally(tolerance) for name, tolerance in tolerances.items()}
    for recording in recordings:
        if parity(recording) in methods:
            own = {name: Tally(tolerance) for name, tolerance in tolerances.items()}
            score(recording, methods[parity(recording)](recording.signal, recording.fs), own)
            for name, tally in own.items():
                tallies[name].join(tally)
    return tallies


def limit_rows(part: str, method: str, recordings: list[Annotated], methods: dict[int, Method]) -> Iterator[tuple]:
    """Mean F1 score of the six limits, of leads delineated together and each for itself."""

    def each_alone(one: Method) -> Method:
        return lambda signal, fs: [one(lead[None], fs)[0] for lead in signal]

    second = [lead_of(recording, 1) for recording in recordings]
    alone = {number: each_alone(one) for number, one in methods.items()}
    trials = (("twelve leads together", recordings, methods), ("every lead alone", recordings, alone),
              ("lead II alone", second, alone))  # fmt: skip
    for what, chosen, using in trials:
        tallies = score_waves(chosen, using, score_leads, LIMITS)
        score = np.mean([tally.f1 for tally in tallies.values()])
        yield ("ludb", part, method, f"F1 of the limits, {what}", "", "", "", "", "", "", f"{score:.3f}")


def always(method: Any) -> dict[int, Any]:
    """The same method for recordings of even and of odd number."""
    return {0: method, 1: method}


def with_noise(recording: Annotated, noise: np.ndarray) -> Annotated:
    """The recording under noise from start to end; its size is that of a typical complex in a tenth of a second."""
    signal = recording.signal.copy()
    half = round(0.05 * recording.fs)
    beats = recording.marks[0]["R peak"].astype(int)
    for lead, row in enumerate(signal):
        size = np.median([np.ptp(row[max(beat - half, 0) : beat + half]) for beat in beats])
        added = np.resize(noise[:, lead % noise.shape[1]], len(row))
        added = added - added.mean()
        row += added * noise_level(size, NOISE_DB) / added.std()
    return replace(recording, signal=signal)


def beat_rows(dataset: str, part: str, method: str, recordings: list[Annotated], chosen: dict[int, str],
              clean: bool = False) -> list[tuple]:
    """Rows for the beats of the first lead, without noise for those of them that it shows, and for those of both leads.

    The parity of a recording's number chooses the method.
    """
    tallies = {name: Tally() for name in ("beats, first lead", SHOWN_BEATS, "beats, both leads")}
    for recording in recordings:
        if parity(recording) not in chosen:
            continue
        beats = recording.marks[0]["R peak"]
        shown = shown_beats(recording) if clean else np.ones(len(beats), dtype=bool)
        off = [*recording.excluded, *np.repeat(beats[~shown][:, None], 2, axis=1)]
        first, both = (
            delineator.delineate(recording.signal[:leads], recording.fs, chosen[parity(recording)]).r_peaks
            for leads in (1, 2)
        )
        scored = ((beats, first, recording.excluded), (beats[shown], first, off), (beats, both, recording.excluded))
        for tally, (reference, found, excluded) in zip(tallies.values(), scored, strict=True):
            tally.add(reference, found, recording.fs, recording.stretches[0], excluded)
    if not clean:
        del tallies[SHOWN_BEATS]
    return wave_rows(dataset, part, method, tallies)


def shown_beats(recording: Annotated) -> np.ndarray:
    """(beats,) whether the first lead shows a beat: not where an electrode is off and nearly nothing is left of it."""
    half = int(SHOWN_S * recording.fs)
    beats = recording.marks[0]["R peak"].astype(int)
    sizes = np.array([np.ptp(recording.signal[0, max(beat - half, 0) : beat + half]) for beat in beats])
    return sizes >= SHOWN * median_filter(sizes, NEIGHBOURS, mode="nearest")


def parity(recording: Annotated) -> int:
    """Whether the number of a recording is even (0) or odd (1)."""
    return int("".join(filter(str.isdigit, recording.name))) % 2


def peer_rows(ludb: list[Annotated], qtdb: list[Annotated], kept: Collection[str]) -> Iterator[tuple]:
    """How well the methods of others do, but for the kept ones."""
    near = [_around_marks(recording) for recording in qtdb]
    for name, method in {PEERS[0]: published_rules.delineate, PEERS[1]: neurokit()}.items():
        if method and name not in kept:
            yield from wave_rows("ludb", "all", name, score_waves(ludb, always(method), score_leads))
            yield from wave_rows("qtdb", "all", name, score_waves(near, always(method), score_best_lead), judged=False)


def earlier_rows(table: Path, methods: Collection[str]) -> list[list[str]]:
    """Rows of some methods out of an earlier table; without `TIMES`, times only of what is not installed here."""
    missing = {PEERS[1]} if neurokit() is None else set()

    def asked(dataset: str, part: str, method: str) -> bool:
        if dataset == "time":
            return TIMES in methods or method in missing.intersection(methods)
        others = OTHER_WEIGHTS in methods and method == "learned" and part in ("held out", "simulated")
        return others or method in methods

    with table.open(newline="") as file:
        return [row for row in csv.reader(file) if asked(*row[:3])]


def accuracy_rows(data: Path, weights: Path | None, kept: Collection[str]) -> Iterator[tuple]:
    """How well every method but the kept ones finds marks and beats."""
    ludb, qtdb, mitdb = (list(read(data / name)) for name, read in
                         (("ludb", read_ludb), ("qtdb", read_qtdb), ("mitdb", read_mitdb)))
    yield from peer_rows(ludb, qtdb, kept)
    trials: list[Trial] = []
    if "learned" not in kept:
        trials = [("seen", "learned", always("learned")), *(add_weights(weights) if weights else [])]
    for part, name, chosen in trials:
        methods = {number: ours(method) for number, method in chosen.items()}
        yield from wave_rows("ludb", part, name, score_waves(ludb, methods, score_leads))
        yield from limit_rows(part, name, ludb, methods)
        yield from wave_rows("qtdb", part, name, score_waves(qtdb, methods, score_best_lead), judged=False)
    if "wavelet" not in kept:
        yield from wavelet_rows(ludb, qtdb)
        trials.append(("tuned", "wavelet", always("wavelet")))
    for trial in trials:
        yield from beat_rows("mitdb", *trial[:2], mitdb, trial[2], clean=True)
    trials = [trial for trial in trials if trial[0] != "simulated"]
    for kind, noise in read_noise(data / "nstdb").items():
        noisy = [with_noise(recording, noise[len(noise) // 2 :]) for recording in mitdb]
        for trial in trials:
            yield from beat_rows(f"mitdb with {kind} at {NOISE_DB:g} dB", *trial[:2], noisy, trial[2])


def wavelet_rows(ludb: list[Annotated], qtdb: list[Annotated]) -> Iterator[tuple]:
    """How well the wavelet method finds waves, on what its constants were chosen on and on the rest."""
    for part, number in (("tuned", 1), ("held out", 0)):
        chosen = [recording for recording in ludb if parity(recording) == number]
        yield from wave_rows("ludb", part, "wavelet", score_waves(chosen, always(ours("wavelet")), score_leads))
    tally = score_waves(qtdb, always(ours("wavelet")), score_best_lead)
    yield from wave_rows("qtdb", "held out", "wavelet", tally, judged=False)


def _around_marks(recording: Annotated, seconds: float = 20.0) -> Annotated:
    """The annotated stretch with some seconds on either side, which is all that a method for short signals needs."""
    margin = round(seconds * recording.fs)
    start = max(int(recording.stretches[0][0]) - margin, 0)
    stop = int(recording.stretches[0][1]) + margin
    marks = {name: at - start for name, at in recording.marks[0].items()}
    return Annotated(recording.name, recording.signal[:, start:stop], recording.fs, [marks], [(0, stop - start)], [{}])


def quality_rows(data: Path) -> Iterator[tuple]:
    """Areas under the ROC curve of the quality for bad leads and unacceptable recordings."""
    recordings = list(read_quality(data / "quality_2011"))
    bad, unacceptable = [r[4] for r in recordings], [r[3] for r in recordings]
    measured = [measure_recording(signal, fs) for _, signal, fs, _, _ in recordings]
    shipped = [delineator.delineate(signal, fs, "wavelet").quality for _, signal, fs, _, _ in recordings]
    for part, quality in (("seen", shipped), ("held out", cross_validated(measured, bad))):
        for name, area in zip(("bad leads", "unacceptable recordings"), areas(quality, bad, unacceptable), strict=True):
            yield ("quality_2011", part, "quality", f"ROC area, {name}", "", "", "", "", "", "", f"{area:.3f}")


def time_rows(data: Path) -> Iterator[tuple]:
    """Median milliseconds of processor time for 10 s at 500 Hz: of 12 leads, and the ratio to the wavelet method; of
    one lead by NeuroKit2, and the ratio to 12 leads by the learned method.

    Set ``OMP_NUM_THREADS=1`` to measure one core.
    """
    recordings = list(read_ludb(data / "ludb"))[:10]
    methods = {"wavelet": ours("wavelet"), "learned": ours("learned"), PEERS[0]: published_rules.delineate}
    if peer := neurokit():
        methods[PEERS[1]] = peer
        methods["one lead"] = lambda signal, fs: peer(signal[1:2], fs)
    spent = median_ms(methods, recordings)
    one_lead = spent.pop("one lead", None)
    for name, milliseconds in spent.items():
        yield ("time", "12 leads, 10 s, 500 Hz", name, "ms", "", "", "", "", "", "", f"{milliseconds:.1f}")
        ratio = milliseconds / spent["wavelet"]
        yield ("time", "12 leads, 10 s, 500 Hz", name, "ratio to wavelet", "", "", "", "", "", "", f"{ratio:.2f}")
    if one_lead:
        yield ("time", "1 lead, 10 s, 500 Hz", PEERS[1], "ms", "", "", "", "", "", "", f"{one_lead:.1f}")
        ratio = one_lead / spent["learned"]
        yield ("time", "1 lead, 10 s, 500 Hz", PEERS[1], "ratio to learned, 12 leads", "", "", "", "", "", "",
               f"{ratio:.2f}")


def median_ms(methods: dict[str, Method], recordings: list[Annotated]) -> dict[str, float]:
    """Median over recordings and rounds; the methods take turns by round, so that busy minutes strike all alike."""
    spent: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(4):
        for name, method in methods.items():
            for recording in recordings:
                began = time.process_time()
                method(recording.signal, recording.fs)
                if turn:  # the first one warms up
                    spent[name].append(1000 * (time.process_time() - began))
    return {name: float(np.median(values)) for name, values in spent.items()}


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, help="folder of weights to score beside the shipped ones")
    methods = (*PEERS, OTHER_WEIGHTS, TIMES, "wavelet", "learned", "quality")
    parser.add_argument("--keep", nargs="*", choices=methods, default=(), metavar="METHOD",
                        help="methods whose rows, but for their times, are taken from the earlier OUTPUT, or times")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    unfinished = args.output.with_suffix(".partial")
    with unfinished.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        quality = () if "quality" in args.keep else quality_rows(args.data)
        times = () if TIMES in args.keep else time_rows(args.data)
        earlier = earlier_rows(args.output, args.keep) if args.keep else ()
        for rows in (times, quality, earlier, accuracy_rows(args.data, args.weights, args.keep)):
            for row in rows:
                table.writerow(row)
                print(*row, sep="\t", flush=True)
    os.replace(unfinished, args.output)


if __name__ == "__main__":
    main()
