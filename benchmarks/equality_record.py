"""A record of what the package computes, and its comparison with another record: does a rewrite change any result?

    python benchmarks/equality_record.py --make-entry FOLDER                       train a small entry, once
    python benchmarks/equality_record.py OUT.npz --real FOLDER [--entry FOLDER]    write a record
    python benchmarks/equality_record.py OUT.npz --against OTHER.npz               compare OUT with OTHER

The package of the current folder is recorded, whatever folder this file lies in: an older tree is recorded from within
it, and where a name has moved, the imports of ``benchmarks/equality`` are the place to adapt. All is computed in one
process, on one thread. The comparison is of bits; a difference fails where its absolute value is above the tolerance of
its group: `--tolerance logits=1e-5`, or `--tolerance 1e-5` for all groups. Texts, digests, shapes and types that
differ, and what is in one record only, count as infinite. A relative difference is one divided by the largest magnitude
in its array.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def as_array(value: Any) -> np.ndarray:
    """A value as an array that needs no pickle."""
    array = np.array("None" if value is None else value)
    if array.dtype == object:
        raise TypeError(f"cannot record {type(value).__name__}")
    return array


def write_record(out: Path, real: Path, entry: Path | None) -> None:
    """Computes everything and writes it."""
    from equality.entries import answers, extraction, scores
    from equality.inputs import Inputs
    from equality.networks import classifiers, gradients, restorers
    from equality.signals import preparing, reading, simulation, stores, waves

    of_signals = reading, waves, preparing, stores, simulation
    recorded = *of_signals, classifiers, gradients, restorers, extraction, scores, answers
    record: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for function in recorded:
            started, before = time.process_time(), len(record)
            for key, value in function(Inputs(real, entry, Path(scratch))):
                if key in record:
                    raise KeyError(f"{key} is recorded twice")
                record[key] = as_array(value)
            seconds = time.process_time() - started
            print(f"{function.__name__:12} {len(record) - before:6} arrays {seconds:6.1f} s of a core", flush=True)
    if entry is None:
        print("no entry was named (--entry): its answers are not recorded")
    np.savez(out, **record)


def difference(one: np.ndarray | None, other: np.ndarray | None) -> tuple[float, float] | None:
    """Largest absolute and relative difference of two arrays; None where all bits agree."""
    if one is None or other is None:
        return np.inf, np.inf
    if one.dtype.kind == other.dtype.kind == "U":
        return None if np.array_equal(one, other) else (np.inf, np.inf)
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return np.inf, np.inf
    if one.tobytes() == other.tobytes():
        return None
    one, other = one.astype(float), other.astype(float)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0, np.nan_to_num(np.abs(one - other), nan=np.inf))
    scale = np.nanmax(np.abs([one, other]), initial=0)
    return float(apart.max()), float(apart.max() / scale) if scale else 0.0


def compare(out: Path, against: Path, tolerances: dict[str, float]) -> int:
    """Prints what differs; returns the exit status."""
    groups: dict[str, list[tuple[str, tuple[float, float] | None]]] = {}
    with np.load(out) as one, np.load(against) as other:
        for key in dict.fromkeys([*other.files, *one.files]):
            pair = (record[key] if key in record.files else None for record in (one, other))
            groups.setdefault(key.split("/")[0], []).append((key, difference(*pair)))
    status = 0
    print(f"{'group':14}{'arrays':>8}{'differ':>8}{'absolute':>12}{'relative':>12}{'tolerance':>12}")
    for group, found in groups.items():
        apart = [(key, *largest) for key, largest in found if largest is not None]
        tolerance = tolerances.get(group, tolerances.get("", 0.0))
        absolute, relative = (max((row[i] for row in apart), default=0.0) for i in (1, 2))
        failed = absolute > tolerance
        status |= failed
        figures = f"{absolute:12.3g}{relative:12.3g}{tolerance:12.3g}{'  FAILED' if failed else ''}"
        print(f"{group:14}{len(found):8}{len(apart):8}{figures}")
        for key, *largest in sorted(apart, key=lambda row: -row[1])[:5]:
            print(f"    {key}: {largest[0]:.3g}, {largest[1]:.3g}")
    print("different" if status else "equal, or within the tolerances")
    return int(status)


def parsed_tolerances(texts: Sequence[str]) -> dict[str, float]:
    """Tolerances by group; that of all others has no name."""
    parts = [text.rpartition("=") for text in texts]
    return {group: float(value) for group, _, value in parts}


def main() -> int:
    """Writes a record, compares two, or trains the entry; returns the exit status."""
    parser = argparse.ArgumentParser(description="Record what the package computes, or compare two records.")
    parser.add_argument("out", type=Path, nargs="?", help="the record")
    parser.add_argument("--real", type=Path, default=os.environ.get("LEADSET_REAL_DATA"), help="real recordings")
    parser.add_argument("--entry", type=Path, help="model folder whose answers are recorded")
    parser.add_argument("--make-entry", type=Path, metavar="FOLDER", help="train an entry, write nothing else")
    parser.add_argument("--against", type=Path, metavar="OTHER", help="compare the record with this one")
    parser.add_argument("--tolerance", nargs="+", default=[], metavar="[GROUP=]VALUE", help="absolute; 0 by default")
    arguments = parser.parse_args()
    if arguments.against and arguments.out:
        return compare(arguments.out, arguments.against, parsed_tolerances(arguments.tolerance))
    if not arguments.make_entry and not (arguments.out and arguments.real):
        parser.error("expected OUT and --real FOLDER, OUT and --against OTHER, or --make-entry FOLDER")
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()) or "LEADSET_CONFIG" in os.environ:
        kept = {name: value for name, value in os.environ.items() if name != "LEADSET_CONFIG"}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**kept, **ONE_THREAD})
    sys.path.insert(0, os.getcwd())
    import torch

    import leadset

    torch.set_num_threads(1)
    print(f"package: {Path(leadset.__file__).parent}")
    if arguments.make_entry:
        from equality.entries import make_entry

        make_entry(arguments.make_entry)
    else:
        write_record(arguments.out, arguments.real, arguments.entry)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
