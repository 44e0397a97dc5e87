"""Building the store and reading windows from it, against wfdb and scipy on the same recordings in the same run.

    LEADSET_REAL_DATA=… python benchmarks/store.py

The peer reads with `wfdb.rdrecord` and resamples with `scipy.signal.resample_poly`, one recording after the other: in
a loop, as it is usually written, and once more in as many processes as the store is built with. Writes
benchmarks/store.csv.
"""

from __future__ import annotations

import csv
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import wfdb
from joblib import Parallel, delayed
from scipy.signal import resample_poly

from leadset.preprocess import InputSpec, Transform, cut_window
from leadset.recordings import find_recordings
from leadset.recordings.reader import read_header
from leadset.store.packed import build_store

# Copies of the real recordings, so that starting processes does not decide the figures.
COPIES = 4
REPEATS = 3
WINDOW = InputSpec(samples=5000)


def wfdb_can_read(path: Path) -> bool:
    """Whether the peer reads this recording at all."""
    try:
        wfdb.rdrecord(str(path.with_suffix("")))
    except Exception:
        return False
    return True


def peer(path: Path, rate: int) -> np.ndarray:
    """Reads and resamples one recording with the peer's functions."""
    record = wfdb.rdrecord(str(path.with_suffix("")))
    ratio = Fraction(rate / record.fs).limit_denominator(2000)
    return resample_poly(record.p_signal, ratio.numerator, ratio.denominator, axis=0)


def fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few runs."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def copied(source: Path, folder: Path) -> list[Path]:
    """Headers of a folder that holds the recordings several times over."""
    paths = [path for path in find_recordings(source) if wfdb_can_read(path)]
    for copy in range(COPIES):
        target = folder / f"copy{copy}"
        target.mkdir(parents=True)
        for path in paths:
            shutil.copy(path, target)
            shutil.copy(path.parent / read_header(path).signals[0].file, target)
    return find_recordings(folder)


def building(paths: list[Path], folder: Path, rate: int) -> tuple[float, float, float]:
    """Seconds a recording: the store on all cores, the peer in a loop, the peer on all cores.

    Worker processes are started before the clock.
    """
    jobs = os.cpu_count() or 1
    pool = Parallel(n_jobs=jobs)
    pool(delayed(peer)(path, rate) for path in paths[: 2 * jobs])
    count = iter(range(REPEATS))
    times = (
        fastest(lambda: build_store(paths, Transform(rate), folder / f"{rate}-{next(count)}", jobs, progress=False)),
        fastest(lambda: _peer_all(paths, rate)),
        fastest(lambda: pool(delayed(_peer_all)(paths[i::jobs], rate) for i in range(jobs))),
    )
    return tuple(seconds / len(paths) for seconds in times)


def _peer_all(paths: list[Path], rate: int) -> None:
    for path in paths:
        peer(path, rate)


def reading(paths: list[Path], folder: Path) -> tuple[float, float]:
    """Seconds a random window: from the store, with `wfdb.rdrecord` of the same samples."""
    store = build_store(paths, Transform(500), folder / "reading", progress=False)
    order = np.random.default_rng(0).permutation(len(store))
    names = [recording.path.removesuffix(".hea") for recording in store.recordings]

    def ours() -> None:
        for i in order:
            cut_window(*store[i], range(12), 0, WINDOW)

    def theirs() -> None:
        for i in order[:500]:
            wfdb.rdrecord(names[i], sampto=min(WINDOW.samples, store.recordings[i].n_samples))

    return fastest(ours) / len(order), fastest(theirs) / min(500, len(order))


def main() -> int:
    """Measures and writes the table; returns the exit status."""
    data = os.environ.get("LEADSET_REAL_DATA")
    if not data:
        print("LEADSET_REAL_DATA is not set: name the folder of real recordings", file=sys.stderr)
        return 1
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = copied(Path(data) / "challenge" / "training", folder / "data")
        rows += [(f"prepare a recording at {rate} Hz", *building(paths, folder, rate)) for rate in (500, 100)]
        ours, theirs = reading(paths, folder)
        rows.append(("random 12-lead 10-s window at 500 Hz", ours, theirs, theirs))
    with open(Path(__file__).with_suffix(".csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["work", "ours_ms", "loop_ms", "all_cores_ms", "ratio_to_loop", "ratio_to_all_cores"])
        for what, ours, loop, cores in rows:
            times = [f"{1e3 * seconds:.4f}" for seconds in (ours, loop, cores)]
            ratios = [f"{loop / ours:.1f}", f"{cores / ours:.1f}"]
            writer.writerow([what, *times, *ratios])
            print(f"{what:<38} {times[0]} ms; wfdb in a loop {ratios[0]} times that, on all cores {ratios[1]} times")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
