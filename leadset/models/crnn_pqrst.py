"""The dual-branch convolutional recurrent network that the heartMAASters entry describes, reconstructed."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leadset.models.extra_inputs import given_or_missing
from leadset.models.layers.heartmaasters import DROPOUT, NORMS, RECEPTIVE_FIELD, ConvStages, glorot, length_after
from leadset.models.layers.masking import apply_mask
from leadset.models.layers.options import one_of
from leadset.models.layers.recurrent import AttendedStates, LastStates
from leadset.models.layers.standardise import RunningStandardise
from leadset.models.registry import register_model
from leadset.preprocess import InputSpec, Transform
from leadset.waves.beats import BEAT_FEATURES, record_length

#: Channels of the feature branch in multiples of the width; hidden layers of the head at a width of 32.
BEAT_GROWTH = (2, 2, 2, 2, 4, 4, 4)
HEAD = (300, 200, 150)
#: Seconds and millivolts beyond which a feature is implausible; it is clipped, so that a wrong unit does not spoil the
#: standardisation.
PLAUSIBLE = 10.0
BRANCHES = ("both", "signal", "beats", "points")
#: Features of a lead and beat (`leadset.waves.BEAT_FEATURES`) that are times of fiducial points, the first ones; and
#: those that say which waves there are, the last ones.
POINTS, PRESENCE = slice(0, 12), slice(26, 30)
#: How the recurrent states of the beats become one vector.
POOLINGS = {"last": LastStates, "attention": AttendedStates}


class SignalBranch(nn.Module):
    """The seven stages of the published network, then a recurrent layer in place of its dense layers."""

    def __init__(self, leads: int, width: int, cell: str, batch_norm: bool) -> None:
        super().__init__()
        self.stages = ConvStages(leads, width, batch_norm)
        self.recurrent = LastStates(4 * width, 2 * width, cell)
        self.dense = nn.Linear(4 * width, 8 * width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Signals (b, l, t) and mask (b, t) to features (b, f)."""
        lengths = None if mask is None else length_after(mask.sum(1))
        return F.relu(self.dense(self.recurrent(self.stages(x).transpose(1, 2), lengths)))


class BeatBranch(nn.Module):
    """Seven convolutions over neighbouring beats and a recurrent layer over all of them."""

    def __init__(
        self, leads: int, width: int, cell: str, batch_norm: bool, pooling: str, chosen: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.chosen = chosen
        features = leads * (BEAT_FEATURES if chosen is None else len(chosen))
        widths = (features, *(width * factor for factor in BEAT_GROWTH))
        self.standardise = RunningStandardise(widths[0])
        self.convs = nn.ModuleList(nn.Conv1d(f_in, f_out, 3, padding=1) for f_in, f_out in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(f) if batch_norm else nn.Identity() for f in widths[1:])
        self.recurrent = POOLINGS[one_of("beat_pooling", pooling, POOLINGS)](4 * width, 2 * width, cell)
        self.dense = nn.Linear(4 * width, 8 * width)

    def forward(self, features: Tensor) -> Tensor:
        """Features of beats (b, 30 · l, n), NaN where missing, to features (b, f): zero where there is no beat."""
        mask = ~features.isnan().all(1)  # presence flags are known for every beat
        if self.chosen is not None:
            features = features.unflatten(1, (-1, BEAT_FEATURES))[:, :, list(self.chosen)].flatten(1, 2)
        x = self.standardise(features.clamp(-PLAUSIBLE, PLAUSIBLE))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = apply_mask(F.relu(norm(conv(x))), mask)
        x = F.relu(self.dense(self.recurrent(x.transpose(1, 2), mask.sum(1).clamp(min=1))))
        return x * mask[:, :1]


class RecordBranch(nn.Module):
    """One dense layer on the features of the recording as a whole, each with a flag that says whether it is known."""

    def __init__(self, leads: int, width: int) -> None:
        super().__init__()
        features = record_length(leads)
        self.standardise = RunningStandardise(features)
        self.dense = nn.Linear(2 * features, 8 * width)

    def forward(self, record: Tensor) -> Tensor:
        """Features (b, 23 + 14 · l) of recordings, NaN where missing, to features (b, f)."""
        values = self.standardise(record.clamp(-PLAUSIBLE, PLAUSIBLE).unsqueeze(2)).squeeze(2)
        return F.relu(self.dense(torch.cat([values, (~record.isnan()).to(values)], 1)))


@register_model(
    "crnn_pqrst",
    title="CRNN-PQRST",
    citation="heartMAASters: Multi-label classification on 12, 6, 4, 3 and 2 lead electrocardiography signals using "
    "convolutional recurrent neural networks. Computing in Cardiology 48, 2021, IEEE Xplore 9662725",
    after="Computing in Cardiology 2021",
    url="https://ieeexplore.ieee.org/document/9662725",
    reduced={"width": 4, "rate": 100, "seconds": 6, "beats": 6},
)
class CRNNPQRST(nn.Module):
    """Two convolutional recurrent branches, one on the ECG, one on features of its delineated beats, and a joint head.

    Rebuilt from the paper's drawing, as no code of it exists: the drawing shows two branches of eight layers and three
    dense layers after them; kernels, widths and dropout of the signal branch are those of the entry's code
    (`cnn_heartmaasters`); recurrent layers, feature branch and features are this kit's. Departs from the input of that
    code too: each recording is scaled to unit variance, without the 0.86 Hz high-pass and the notch.

    Args:
        leads: lead names; only their number matters to the network.
        n_classes: number of logits.
        width: channels of the first stage; everything else but the logits grows with it.
        rate: sampling rate of the input in Hz.
        seconds: window length.
        beats: largest number of beats of a window that are used (40 in 10 s are 240 a minute).
        cell: recurrent layer, ``"gru"`` or ``"lstm"``.
        norm: ``"none"``, or ``"batch"`` after every convolution.
        branches: ``"both"``, or only one of them: ``"signal"`` or ``"beats"``; or ``"points"``, as the entry's README
            says instead of its drawing: times of fiducial points to one branch of beats, all other features to another,
            and no ECG.
        beat_pooling: what is read off the recurrent states of the beats: the ``"last"`` ones, or all of them weighted
            by ``"attention"``.
        record_features: whether features of the recording as a whole go to the head too.
    """

    def __init__(
        self,
        leads: tuple[str, ...],
        n_classes: int,
        *,
        width: int = 32,
        rate: int = 500,
        seconds: float = 10.0,
        beats: int = 40,
        cell: str = "gru",
        norm: str = "none",
        branches: str = "both",
        beat_pooling: str = "last",
        record_features: bool = False,
    ) -> None:
        super().__init__()
        samples = round(rate * seconds)
        if samples < RECEPTIVE_FIELD:
            raise ValueError(f"{seconds} s at {rate} Hz are {samples} samples: expected at least {RECEPTIVE_FIELD}")
        if beats < 1:
            raise ValueError(f"beats is {beats}: expected at least 1")
        one_of("branches", branches, BRANCHES)
        if branches == "signal" and beat_pooling != "last":
            raise ValueError(f"beat_pooling is {beat_pooling!r} without a branch of beats: expected 'last'")
        batch_norm = one_of("norm", norm, NORMS) == "batch"
        extra = {} if branches == "signal" else {"beats": beats}
        if record_features:
            extra["record"] = True
        self.input_spec = InputSpec(Transform(rate), samples, scaling="recording", extra=extra)
        sees_signal = branches in ("both", "signal")
        self.signal = SignalBranch(len(leads), width, cell, batch_norm) if sees_signal else None
        points, rest = _points_and_rest() if branches == "points" else (None, None)
        of_beats = (len(leads), width, cell, batch_norm, beat_pooling)
        self.beats = None if branches == "signal" else BeatBranch(*of_beats, rest)
        self.points = BeatBranch(*of_beats, points) if branches == "points" else None
        self.record = RecordBranch(len(leads), width) if record_features else None
        if branches == "signal" and not record_features:
            self.lead_axes = {"signal.stages.0.weight": 1}
        self.dropout = nn.Dropout(DROPOUT)
        views = sum(view is not None for view in (self.signal, self.points, self.beats, self.record))
        sizes = (8 * width * views, *(n * width // 32 for n in HEAD))
        self.head = nn.ModuleList(nn.Linear(f_in, f_out) for f_in, f_out in pairwise(sizes))
        self.classifier = nn.Linear(sizes[-1], n_classes)
        self.apply(glorot)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, beats: Tensor | None = None, record: Tensor | None = None
    ) -> Tensor:
        """Signals (b, l, t), mask (b, t) and extra inputs to logits (b, k).

        ``beats`` (b, 30 · l, n) are the features of the first n beats, ``record`` (b, 23 + 14 · l) those of the
        recording (`leadset.models.extra_inputs`), NaN where missing; None: all are missing.
        """
        views = []
        if self.signal is not None:
            views.append(self.signal(x, mask))
        if self.points is not None:
            views.append(self.points(given_or_missing("beats", beats, self.input_spec, x)))
        if self.beats is not None:
            views.append(self.beats(given_or_missing("beats", beats, self.input_spec, x)))
        if self.record is not None:
            views.append(self.record(given_or_missing("record", record, self.input_spec, x)))
        h = self.dropout(torch.cat(views, 1))
        for layer in self.head:
            h = F.relu(layer(h))
        return self.classifier(h)


def _points_and_rest() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the features of a lead and beat that go to the branch of fiducial points, and of all others."""
    every = tuple(range(BEAT_FEATURES))
    points = (*every[POINTS], *every[PRESENCE])
    return points, tuple(i for i in every if i not in points)
