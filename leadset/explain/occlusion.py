"""Occlusion: how much the log odds of every class fall when a part of a recording is taken away.

Source: Zeiler, Fergus: Visualizing and understanding convolutional networks. ECCV 2014. A lead is taken away by zeros,
which is what a network sees of a missing lead; a wave by the straight line through its ends; an extra input by its
missing value.

Shapes: w windows, l leads, t samples, k classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leadset.explain.segments import WAVES, Segments
from leadset.explain.target import Target, View
from leadset.models.extra_inputs import EXTRA_INPUTS

#: Windows that go through the networks at a time.
_WINDOWS = 64


@dataclass(frozen=True)
class Occlusion:
    """By how much the log odds (…, k) fall without a part.

    Attributes:
        leads: (l, k) without a lead. waves: (waves, k) without a wave in all beats and leads, in the order of `WAVES`.
        pieces: (l, pieces, k) without one wave of one beat in one lead.
        extra: for each input of the target that is an extra one, by its place: (features, k).
    """

    leads: np.ndarray
    waves: np.ndarray
    pieces: np.ndarray
    extra: dict[int, np.ndarray]


def occlude(target: Target, segments: Segments, progress: Callable[[int], object] = lambda _: None) -> Occlusion:
    """Takes away each lead, each wave, each wave of each beat in each lead, and each extra input.

    Args:
        target: of the recording.
        segments: of it.
        progress: is told how many parts have been taken away since the last call.
    """
    n_leads, n_pieces = len(target.views[0].leads), int(segments.piece.max()) + 1
    rows = np.arange(n_leads)[:, None]
    by_lead = np.repeat(rows, len(segments.wave), axis=1)
    by_wave = np.repeat(segments.wave[None].astype(int), n_leads, axis=0)
    by_piece = rows * n_pieces + segments.piece
    zeros = [torch.zeros_like(view.windows) for view in target.views]
    lines = [_lines(view.windows, of_windows(target, view, segments.piece[None], -1)[:, 0]) for view in target.views]
    full = target.log_odds()[0]
    return Occlusion(
        full - _without(target, by_lead, zeros, n_leads, progress),
        full - _without(target, by_wave, lines, len(WAVES), progress),
        (full - _without(target, by_piece, lines, n_leads * n_pieces, progress)).reshape(n_leads, n_pieces, -1),
        {place: full - _without_extra(target, place) for place, _ in _extra_places(target)},
    )


def at_samples(values: np.ndarray, samples: int) -> np.ndarray:
    """Values (…, t) of a recording at another number of samples, each from where it is in time."""
    return values[..., np.arange(samples) * values.shape[-1] // samples]


def of_windows(target: Target, view: View, values: np.ndarray, fill: float) -> np.ndarray:
    """Values (l, t) of the stretches of a target, as the windows (w, l, t) of one of its views have them."""
    finest = target.finest
    parts = target.stretches.slices(view.spec.transform.rate, view.samples)
    whole = np.zeros((len(values), view.samples), values.dtype)  # what is not written takes no memory
    cut = target.stretches.cut(values, finest.spec.transform.rate, finest.samples)
    for part, of_stretch in zip(parts, cut, strict=True):
        whole[:, part] = at_samples(of_stretch, part.stop - part.start)
    return view.of_recording(whole, fill)


def straightened(signal: np.ndarray, piece: np.ndarray) -> np.ndarray:
    """Signal (l, t) in which every piece (t,) is the straight line from its start to that of the next."""
    time = np.arange(len(piece))
    knots = np.flatnonzero(np.r_[True, piece[1:] != piece[:-1]])
    knots = np.unique([*knots, len(time) - 1])
    return np.stack([np.interp(time, knots, lead[knots]) for lead in signal])


def _lines(windows: Tensor, pieces: np.ndarray) -> Tensor:
    """Windows (w, l, t) with the pieces (w, t) straightened."""
    drawn = [straightened(window, piece) for window, piece in zip(windows.cpu().numpy(), pieces, strict=True)]
    return torch.tensor(np.stack(drawn), dtype=windows.dtype, device=windows.device)


def _without(
    target: Target, groups: np.ndarray, replaced: Sequence[Tensor], n: int, progress: Callable[[int], object]
) -> np.ndarray:
    """Log odds (n, k) without each group in turn; ``groups`` (l, t) numbers them, ``replaced`` says what comes instead.
    """
    numbers = [
        torch.tensor(of_windows(target, view, groups, -1), device=view.windows.device) for view in target.views
    ]
    size = max(1, _WINDOWS // target.windows)
    found = []
    for first in range(0, n, size):
        some = torch.arange(first, min(first + size, n), device=numbers[0].device)
        tensors: list[Tensor] = []
        for number, instead, (_, x, extra) in zip(numbers, replaced, target.split(target.tensors), strict=True):
            tensors.append(torch.where(number == some[:, None, None, None], instead, x))
            tensors += [value.expand(len(some), *value.shape[1:]) for value in extra]
        found.append(target.log_odds(tensors))
        progress(len(some))
    return np.concatenate(found)


def _extra_places(target: Target) -> Iterator[tuple[int, str]]:
    """Place and name of the extra inputs among the inputs of a target."""
    place = 0
    for view in target.views:
        yield from enumerate(view.extra, place + 1)
        place += 1 + len(view.extra)


def _without_extra(target: Target, place: int) -> np.ndarray:
    """Log odds (features, k) without each feature of an extra input; those of one vector with a flag go as one."""
    name = dict(_extra_places(target))[place]
    own = target.tensors[place]
    missing = EXTRA_INPUTS[name].missing
    whole = not np.isnan(missing)
    found = []
    for feature in range(1 if whole else own.shape[2]):
        tensors = list(target.tensors)
        tensors[place] = own.clone()
        tensors[place][:, :, slice(None) if whole else feature] = missing
        found.append(target.log_odds(tensors)[0])
    return np.array(found)
