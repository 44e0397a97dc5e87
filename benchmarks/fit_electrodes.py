"""Fits the distribution of levels by which `leadset.waves.electrodes` judges exchanges.

    python benchmarks/fit_electrodes.py DATA

Learns from the recordings of DATA/ptbxl, whose electrodes are taken to be right but for a few; these have no scale, so
the limb leads get theirs from Einthoven's relation. Prints, by five folds of recordings, the share of recordings in
which an exchange is suspected and the share of simulated exchanges that are named; writes the distribution.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from leadset import delineate, read_recording
from leadset.leads import INDEPENDENT_LEADS
from leadset.waves.electrodes import EXCHANGES, MODEL, Density, describe, gains, suspect_exchange
from leadset.waves.levels import wave_levels

FOLDS = 5
#: Added to the variances, as a share of them and as such: more caution about what few recordings say.
SHRINKAGE, FLOOR = 0.10, 1e-3


def read_levels(folder: Path) -> np.ndarray:
    """(n, 8, 8) levels of the recordings below a folder, in units of the limb leads' and of each chest lead's scale."""
    rows = []
    for header in sorted(folder.rglob("*.hea")):
        recording = read_recording(header)
        signal = np.nan_to_num(recording.signal)
        levels = wave_levels(signal, delineate(signal, recording.fs))
        levels = dict(zip(recording.leads, levels, strict=True))
        scale = limb_scale(signal[[recording.leads.index(lead) for lead in ("I", "II", "III")]])
        for lead, factor in zip(("I", "II"), scale, strict=False):
            levels[lead] = levels[lead] * factor
        rows.append(np.stack([levels[lead] for lead in INDEPENDENT_LEADS]))
    return np.stack(rows)


def limb_scale(limbs: np.ndarray) -> np.ndarray:
    """Factors (3,) of I, II, III (3, t) under which I + III = II; NaN where none are."""
    centred = limbs - limbs.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(float))
    smallest = vectors[:, 0] * np.sign(vectors[0, 0])
    possible = values[0] < 0.01 * values[1] and smallest[1] < 0 < smallest[2]
    return np.abs(smallest) / np.abs(smallest).max() if possible else np.full(3, np.nan)


def fit(levels: np.ndarray) -> Density:
    """Distribution of the recordings (n, 8, 8) that show every wave in every lead."""
    described = describe(levels[~np.isnan(levels).any(axis=(1, 2))])
    covariance = np.cov(described.T)
    covariance += SHRINKAGE * np.diag(np.diag(covariance)) + FLOOR * np.eye(len(covariance))
    return Density(np.median(described, axis=0).astype(np.float32), covariance.astype(np.float32))


def cross_validated(levels: np.ndarray) -> tuple[list[str | None], dict[str, list[bool]]]:
    """What is suspected in each recording (n, 8, 8), and for each exchange whether it is named, by the other folds."""
    fold = np.arange(len(levels)) % FOLDS
    suspected, named = [], {name: [] for name in EXCHANGES}
    for k in range(FOLDS):
        density = fit(levels[fold != k])
        for one in levels[fold == k]:
            suspected.append(suspect_exchange(one, density))
            for name in gains(one, density):
                named[name].append(suspect_exchange(np.linalg.inv(EXCHANGES[name]) @ one, density) == name)
    return suspected, named


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    levels = read_levels(parser.parse_args().data / "ptbxl")
    suspected, named = cross_validated(levels)
    alarms = [name for name in suspected if name]
    print(f"suspected in {len(alarms)} of {len(levels)} recordings as they are: {sorted(alarms)}")
    for name, hits in named.items():
        print(f"{name:20} named in {np.mean(hits):.3f}")
    density = fit(levels)
    save_file({"mean": density.mean, "covariance": density.covariance}, MODEL)


if __name__ == "__main__":
    main()
