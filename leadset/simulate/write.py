"""Recordings as files, the way the Challenge publishes them: ``<source>/g1/S00001.hea`` and ``.mat``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from leadset.leads import LEADS
from leadset.recordings.header import Header, SignalSpec
from leadset.recordings.writer import write_recording
from leadset.simulate.device import DEVICES, Device
from leadset.simulate.draws import Draws
from leadset.simulate.faults import draw_faults
from leadset.simulate.generator import check_limits, draw_devices, simulate_indices
from leadset.simulate.mixture import parse_labels

_BATCH = 32
_GROUP = 8 * _BATCH  # recordings that are sorted by sampling rate at a time
_FOLDER_SIZE = 1000  # recordings in g1, g2, ...
_LARGEST = 32767  # the most negative int16 stands for a missing sample


def write_dataset(
    folder: Path,
    n: int,
    seed: int = 0,
    seconds: float = 10.0,
    fs: int | None = None,
    labels: str | Iterable[str] | Mapping[str, float] | None = None,
    faults: float = 0.0,
) -> Iterator[Path]:
    """Writes recordings 0 to n - 1 of a seed as they are taken from the iterator of their headers' paths.

    The same arguments write the same bytes. Recording i is the same whatever n is.

    Args:
        folder: where to; made if it is missing.
        n: how many.
        seed: of the data set.
        seconds: length of each.
        fs: sampling rate in Hz; None for what each source's device has.
        labels: as of `leadset.simulate.simulate`.
        faults: share of recordings with swapped electrodes or unplugged leads.

    Raises:
        ValueError: as of `leadset.simulate.simulate`.
        OSError: a file cannot be written.
    """
    if n < 1:
        raise ValueError(f"cannot simulate {n} recordings: expected at least 1")
    check_limits(seconds, DEVICES[0].fs if fs is None else fs)
    if not 0 <= faults <= 1:
        raise ValueError(f"share of faults {faults}: expected a number from 0 to 1")
    return _write_all(folder, n, seed, seconds, fs, parse_labels(labels), faults)


def _write_all(
    folder: Path, n: int, seed: int, seconds: float, fs: int | None, weights: Mapping[str, float], faults: float
) -> Iterator[Path]:
    for first in range(0, n, _GROUP):
        indices = range(first, min(first + _GROUP, n))
        devices = [replace(d, fs=d.fs if fs is None else fs) for d in draw_devices(seed, indices)]
        jobs = sorted(zip(indices, devices, strict=True), key=lambda job: (job[1].fs, job[0]))
        for own_fs, group in groupby(jobs, key=lambda job: job[1].fs):
            same = list(group)
            for start in range(0, len(same), _BATCH):
                part = same[start : start + _BATCH]
                numbers = [index for index, _ in part]
                # Double precision: what is rounded to integers must not depend on the machine.
                made = simulate_indices(numbers, seed, seconds, own_fs, weights, dtype=np.float64)
                people = _person_texts(seed, numbers, made.ages, made.sexes)
                damage = draw_faults(seed, numbers, faults)
                for row, (index, device) in enumerate(part):
                    signal = damage[row](made.signals[row])
                    yield _write_recording(folder, index, device, signal, people[row], made.codes[row])


def _write_recording(
    folder: Path, index: int, device: Device, signal: np.ndarray, person: tuple[str, str], codes: Sequence[str]
) -> Path:
    path = folder / device.source / f"g{1 + index // _FOLDER_SIZE}" / f"S{index + 1:05d}.hea"
    counts = np.clip(np.rint(signal * device.gain), -_LARGEST, _LARGEST).astype(np.int16)
    write_recording(path, _header(device, person, codes), counts)
    return path


def _header(device: Device, person: tuple[str, str], codes: Sequence[str]) -> Header:
    """What a header says of a recording beside its samples."""
    age, sex = person
    comments = {"Age": age, "Sex": sex, "Dx": ",".join(codes), "Rx": "Unknown", "Hx": "Unknown", "Sx": "Unknown"}
    signal = SignalSpec(
        file="", format=16, samples_per_frame=1, skew=0, byte_offset=24, gain=float(device.gain), baseline=0.0,
        unit="mV", adc_resolution=16, adc_zero=0, initial=None, checksum=None, lead="",
    )  # fmt: skip
    return Header(
        name="", fs=float(device.fs), n_samples=None, signals=tuple(signal._replace(lead=lead) for lead in LEADS),
        comments=tuple(f"{key}: {value}" for key, value in comments.items()), age=None, sex=None, codes=tuple(codes),
        patient=None, flags=(), dialect=device.dialect,
    )  # fmt: skip


def _person_texts(seed: int, indices: Sequence[int], ages: np.ndarray, sexes: Sequence[str]) -> list[tuple[str, str]]:
    """Age and sex as the sources write them: sometimes unknown, sometimes abbreviated."""
    draws = Draws(seed, indices, purpose=2)
    age_form = draws.choice(np.array([0.97, 0.02, 0.01]))
    sex_form = draws.choice(np.array([0.95, 0.03, 0.02]))
    ages_as = [(str(int(age)), "NaN", "Unknown") for age in ages]
    sexes_as = [(sex, sex[0], "Unknown") for sex in sexes]
    return [(a[i], s[j]) for a, s, i, j in zip(ages_as, sexes_as, age_form, sex_form, strict=True)]
