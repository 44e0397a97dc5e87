"""Heartbeats that each method of `leadset.delineate` finds in the MIT-BIH Arrhythmia Database.

    python benchmarks/qrs_detectors.py DATA              # DATA has mitdb; some minutes

Writes qrs_detectors.csv: by method and leads, beats that were annotated, missed and found besides, within 150 ms.
The weights of the learned method have seen these recordings and the constants of the wavelet method were chosen on
them, which flatters both; benchmarks/delineation.csv has the learned one on recordings that it had not seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from annotated import Tally, read_mitdb
from tables import write_table
from tqdm import tqdm

from leadset.waves import METHODS, delineate

COLUMNS = ("dataset", "method", "known", "leads", "recordings", "annotated", "missed", "besides", "sensitivity",
           "predictivity", "mean_ms", "sd_ms")  # fmt: skip
#: What each method knew of the recordings before.
KNOWN = {"learned": "learned from them", "wavelet": "constants chosen on them", "pan_tompkins": "nothing"}


def rows(data: Path) -> Iterator[dict]:
    """A row for each method on the first lead and on both."""
    recordings = list(read_mitdb(data / "mitdb"))
    for method in METHODS:
        for leads, name in ((1, "first"), (2, "both")):
            tally = Tally()
            for recording in tqdm(recordings, f"{method}, {name}", leave=False):
                found = delineate(recording.signal[:leads], recording.fs, method)
                beats = recording.marks[0]["R peak"]
                tally.add(beats, found.r_peaks, recording.fs, recording.stretches[0], recording.excluded)
            besides = round(tally.hits * (100 / tally.predictivity - 1))
            values = ("mitdb", method, KNOWN[method], name, len(recordings), tally.hits + tally.misses, tally.misses,
                      besides, f"{tally.sensitivity:.2f}", f"{tally.predictivity:.2f}", f"{tally.mean:.1f}",
                      f"{tally.sd:.1f}")  # fmt: skip
            print(*values, sep=", ", flush=True)
            yield dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    """Runs and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    write_table(Path(__file__).with_suffix(".csv"), COLUMNS, rows(parser.parse_args().data))


if __name__ == "__main__":
    main()
