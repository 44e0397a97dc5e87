"""From normal beats to a recording by way of its own typical beat: where a path of gradients goes through.

1. *rate*: from normal beats at 60 to 100 a minute to normal beats at the rate of the recording, where that is another.
2. *form*: to the recording's own typical beat, at the same times, in a regular rhythm.
3. *rhythm*: to the recording: premature, missing and odd beats, irregularity, noise.

Between points that have their beats at the same times, the path changes what differs and leaves the rest as it is. A
path from other recordings would fade out all of their beats and fade in all of this one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from leadset.explain.background import Background, zero_baseline
from leadset.explain.gradients import Paths
from leadset.explain.stretches import Stretches
from leadset.explain.target import Target, View
from leadset.explain.typical import (
    FEWEST_BEATS,
    TypicalBeat,
    at_interval,
    find_typical_beat,
    regular_times,
    repeat_beat,
)
from leadset.models.prediction import lead_rows
from leadset.preprocess import Transform, cut_window

#: Names of the steps, and the beat intervals in seconds (100 to 60 in a minute) that the first begins with.
STEPS: tuple[str, ...] = ("rate", "form", "rhythm")
_NORMAL_S = (0.6, 1.0)


def paths_by_typical_beat(target: Target, background: Background, r_peaks: np.ndarray) -> Paths | None:
    """The path through the points above; its first step is missing where the rate is a normal one.

    Extra inputs have their average over the background at all points, and change in the last step.

    Args:
        target: of the recording.
        background: whose typical beats, averaged, are the normal one.
        r_peaks: (b,) seconds of the recording's beats.

    Returns:
        None where the recording has too few beats.
    """
    transforms = {view.spec.transform: view for view in target.views}  # networks of one see the same signal
    own = {transform: _beat_of(view, target.stretches, r_peaks) for transform, view in transforms.items()}
    normals = {transform: normal_beats(background, transform) for transform in transforms}
    if None in own.values() or not all(normals.values()):
        return None
    rhythms = _rhythms(own[target.finest.spec.transform], target.stretches)
    points: list[list[Tensor]] = [[] for _ in range(len(rhythms) + 1)]
    for view, _, extra in target.split(zero_baseline(target, background)):
        at = [of.of_windows(view) for of in rhythms]
        windows = [_average(view, normals[view.spec.transform], times) for times in at]
        windows.append(_repeated(view, own[view.spec.transform], at[-1], view.statistics))
        for point, tensor in zip(points, windows, strict=True):
            point += [tensor, *extra]
    return Paths.through(target, points)


@lru_cache(maxsize=64)
def normal_beats(background: Background, transform: Transform) -> list[tuple[TypicalBeat, np.ndarray]]:
    """Typical beats of the recordings of a background after a transform, each with the statistics of its recording."""
    found = []
    for of, r_peaks in zip(background.targets, background.r_peaks, strict=True):
        view = next(view for view in of.views if view.spec.transform == transform)
        beat = _beat_of(view, of.stretches, r_peaks)
        if beat is not None:
            found.append((beat, view.statistics))
    return found


def _beat_of(view: View, stretches: Stretches, r_peaks: np.ndarray) -> TypicalBeat | None:
    rows, rate = lead_rows(view.leads), view.spec.transform.rate
    parts = stretches.slices(rate, view.samples)
    return find_typical_beat({part.start / rate: view.signal[rows, part] for part in parts}, rate, r_peaks)


@dataclass(frozen=True)
class _Rhythm:
    """Seconds of beats of each stretch, from before its start to behind its end."""

    times: tuple[np.ndarray, ...]
    stretches: Stretches

    def of_windows(self, view: View) -> list[np.ndarray]:
        """Those of the stretch of each window."""
        places = self.stretches.number(np.maximum(view.starts, 0) / view.spec.transform.rate)
        return [self.times[place] for place in places]


def _rhythms(beat: TypicalBeat, stretches: Stretches) -> list[_Rhythm]:
    """A regular rhythm of a normal rate, unless all stretches have one, and one of the rate of each stretch."""
    usual, own = [], []
    places = stretches.number(beat.times)
    for place, (start, stop) in enumerate(stretches.limits):
        seconds, times = min(stop, stretches.duration) - start, beat.times[places == place] - start
        local = len(stretches) > 1 and len(times) > FEWEST_BEATS
        interval = float(np.median(np.diff(times))) if local else beat.interval
        times = regular_times(replace(beat, times=times, interval=interval), seconds)
        interval = float(np.median(np.diff(times)))
        normal = float(np.clip(interval, *_NORMAL_S))
        own.append(times + start)
        usual.append(own[-1] if normal == interval else at_interval(times, normal, seconds) + start)
    is_usual = all(a is b for a, b in zip(usual, own, strict=True))
    return [_Rhythm(tuple(times), stretches) for times in ([own] if is_usual else [usual, own])]


def _average(view: View, normals: Iterable[tuple[TypicalBeat, np.ndarray]], times: Sequence[np.ndarray]) -> Tensor:
    """Windows (1, w, l, t) of normal beats, each scaled as its own recording is, averaged."""
    return torch.stack([_repeated(view, beat, times, statistics, True) for beat, statistics in normals]).mean(0)


def _repeated(
    view: View, beat: TypicalBeat, times: Sequence[np.ndarray], statistics: np.ndarray, adapted: bool = False
) -> Tensor:
    """Windows (1, w, l, t) of a beat at these times of each window."""
    rows, rate, windows = lead_rows(view.leads), view.spec.transform.rate, []
    for start, of_window in zip(view.starts, times, strict=True):
        first, last = max(start, 0), min(start + view.spec.samples, view.samples)
        signal = np.zeros((len(view.signal), last - first), np.float32)
        signal[rows] = repeat_beat(beat, of_window, rate, last - first, adapted, first)
        windows.append(cut_window(signal, statistics, rows, start - first, view.spec)[0])
    return torch.tensor(np.stack(windows), device=view.windows.device)[None]
