"""Normal recordings that expected gradients start from, and the average values that extra inputs start from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leadset.entry.prediction import Entry
from leadset.explain.target import Target, target_of
from leadset.leads import LEADS, with_derived
from leadset.models.extra_inputs import EXTRA_INPUTS
from leadset.recordings import ReadError, Recording, find_recordings, read_recording
from leadset.recordings.errors import reason
from leadset.simulate import simulate
from leadset.waves import delineate

#: Recordings of a background, and the sampling rate in Hz of simulated ones.
SIZE, _RATE = 8, 500
_LABEL = "NSR"
# Backgrounds that are kept for the next recording on the same leads.
_KEPT = 8


@dataclass(frozen=True, eq=False)
class Background:
    """Normal recordings as the networks see them.

    Attributes:
        targets: one for each recording, of the same networks as what is explained.
        provenance: where they come from, as plain values.
        recordings: the recordings themselves.
    """

    targets: tuple[Target, ...]
    provenance: dict[str, Any]
    recordings: tuple[Recording, ...]

    @cached_property
    def r_peaks(self) -> list[np.ndarray]:
        """(beats,) seconds of the beats of each."""
        return [delineate(one.signal, one.fs).r_peaks / one.fs for one in self.recordings]


@lru_cache(maxsize=_KEPT)
def simulated_normals(
    entry: Entry, leads: tuple[str, ...], seconds: float = 10.0, n: int = SIZE, seed: int = 0
) -> Background:
    """Simulated recordings in sinus rhythm without any other diagnosis, on the leads of the recording to explain."""
    drawn = simulate(n, seed, seconds, _RATE, _LABEL, marks=False)
    rows = [LEADS.index(lead) for lead in leads]
    recordings = [
        Recording(signal[rows], _RATE, tuple(leads), f"simulated {i}", float(age), sex.lower())
        for i, (signal, age, sex) in enumerate(zip(drawn.signals, drawn.ages, drawn.sexes, strict=True))
    ]
    about = {"source": "simulated", "labels": _LABEL, "seed": seed, "recordings": n, "seconds": seconds}
    return _seen(entry, leads, recordings, about)


@lru_cache(maxsize=_KEPT)
def recorded_normals(entry: Entry, leads: tuple[str, ...], folder: Path, n: int = SIZE, seed: int = 0) -> Background:
    """Recordings of a folder whose only diagnosis is the normal class, such as those of the training data.

    Warns of recordings that cannot be read; how many there are stands in ``about``.

    Raises:
        ValueError: the folder holds none with these leads that can be judged.
    """
    found, unreadable = [], 0
    for path in find_recordings(folder):
        try:
            recording = read_recording(path, entry.lead_names)
        except (ReadError, OSError) as error:
            unreadable += 1
            warnings.warn(f"left out of the background: {reason(path, error)}", stacklevel=2)
            continue
        if entry.space.is_plain_normal(recording.codes) and set(leads) <= with_derived(recording.leads):
            found.append(recording)
    if not found:
        raise ValueError(f"{folder}: found no recording whose only diagnosis is {entry.space.normal}, expected some")
    chosen = sorted(np.random.default_rng(seed).permutation(len(found))[:n])
    recordings = [found[i] for i in chosen]
    about = {
        "source": folder.name, "labels": entry.space.normal, "seed": seed, "recordings": len(recordings),
        "unreadable": unreadable,
        "names": [recording.name for recording in recordings],
    }  # fmt: skip
    return _seen(entry, leads, recordings, about)


def _seen(entry: Entry, leads: Sequence[str], recordings: Sequence[Recording], about: dict[str, Any]) -> Background:
    """Raises a ValueError where none of the recordings can be judged on these leads."""
    wanted = entry.trained_set(leads).leads
    prepared = [(one, entry.prepare(one)) for one in recordings]
    used = [
        (recording, one) for recording, one in prepared
        if one.prepared is not None and entry.trained_set(one.leads).leads == wanted
    ]  # fmt: skip
    if not used:
        raise ValueError(f"none of {len(recordings)} normal recordings ({about['source']}) has {', '.join(wanted)}")
    return Background(tuple(target_of(entry, one) for _, one in used), about, tuple(one for one, _ in used))


def zero_baseline(target: Target, background: Background | None) -> tuple[Tensor, ...]:
    """Baselines (1, w, …) of the inputs of a target: of samples zero, which is what a network sees of a missing lead.

    Extra inputs have their average over the background where they are known; without a background they keep theirs.
    """
    baselines: list[Tensor] = []
    for place, (view, x, extra) in enumerate(target.split(target.tensors)):
        baselines.append(torch.zeros_like(x))
        for name, value in zip(view.extra, extra, strict=True):
            seen = [] if background is None else [of.views[place].extra[name] for of in background.targets]
            baselines.append(_average(name, value, seen))
    return tuple(baselines)


def normal_baselines(target: Target, background: Background) -> tuple[Tensor, ...]:
    """Baselines (n, w, …) of the inputs of a target: each recording of the background in turn."""
    averages = iter(zero_baseline(target, background))
    baselines: list[Tensor] = []
    for place, (view, x, extra) in enumerate(target.split(target.tensors)):
        next(averages)
        windows = torch.stack([of.views[place].windows[-1] for of in background.targets])
        baselines.append(windows[:, None].expand(-1, x.shape[1], -1, -1) * view.masks[None, :, None])
        baselines += [next(averages).expand(len(windows), *value.shape[1:]) for value in extra]
    return tuple(baselines)


def _average(name: str, value: Tensor, seen: Sequence[Tensor]) -> Tensor:
    """The average of an extra input over a background, in the shape of ``value``, which stays where it is unknown."""
    extra = EXTRA_INPUTS[name]
    if not seen or bool((value == extra.missing).all()):
        return value.clone()
    together = torch.cat(list(seen))
    if extra.numbered:  # of beats: over all of them
        together = together.transpose(1, 2).flatten(0, 1)
        average = together.nanmean(0)[:, None].expand(value.shape[-2:])
    else:
        average = together.nanmean(0)
    average = average.expand(value.shape)
    return torch.where(value.isnan() | average.isnan(), value, average)
