"""How far the marks of one lead scatter from beat to beat: those of the annotators of LUDB, and the delineator's.

    python benchmarks/scatter_of_marks.py DATA [--weights WEIGHTS.safetensors] [--parity 0|1]

Of every mark, its distance from the beat's R (median of the leads' R marks) less the median of these distances over the
beats of the lead. The standard deviation of the annotated ones is what even the best constant distance for each lead
and recording would err by; changes from beat to beat that are true are in it.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from annotated import SCORED, TOLERANCE, match, read_ludb

from leadset.waves import delineator, network
from leadset.waves.learned import learned_marks
from leadset.waves.marks import R


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, default=network.WEIGHTS)
    parser.add_argument("--parity", type=int, help="of the recordings' numbers; default: all")
    args = parser.parse_args()
    delineator.METHODS["given"] = partial(learned_marks, weights=args.weights)
    annotated: dict[str, list[np.ndarray]] = {name: [] for name in SCORED}
    ours: dict[str, list[np.ndarray]] = {name: [] for name in SCORED}
    for recording in read_ludb(args.data / "ludb"):
        if args.parity not in (None, int(recording.name) % 2):
            continue
        marks = delineator.delineate(recording.signal, recording.fs, "given").marks
        centre = np.nanmedian(marks[:, :, R], axis=0)
        for lead, reference in enumerate(recording.marks):
            for name, column in SCORED.items():
                beats = np.flatnonzero(~np.isnan(marks[lead, :, column]))
                found = marks[lead, beats, column]
                assigned = match(reference[name], found, TOLERANCE * recording.fs)
                hit = assigned >= 0
                at = centre[beats[assigned[hit]]]
                for table, values in ((annotated, reference[name][hit]), (ours, found[assigned[hit]])):
                    distance = (values - at) * 1000 / recording.fs
                    table[name].append(distance - np.median(distance) if len(distance) else distance)
    print("mark, SD of the annotated marks in ms, SD of ours")
    for name in SCORED:
        print(f"{name}: {np.concatenate(annotated[name]).std():.1f}, {np.concatenate(ours[name]).std():.1f}")


if __name__ == "__main__":
    main()
