"""From restoration to scores: errors of every sample and lead, the recording's score and its parts (Jiang et al. 2023).

All heartbeats and all passes of a window go through the network at once. The recording is restored once per pass, from
its latents averaged over the heartbeats it was fused with; ``pairing="published"`` restores it anew for every beat,
which costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leadset.anomaly.losses import weighted_error
from leadset.anomaly.masks import MASKINGS, test_masks
from leadset.anomaly.windows import AFTER_R, NO_BEATS, beats_within, centred_starts, cut_heartbeats, find_r_peaks
from leadset.inference import device_of, lead_rows
from leadset.models.cross_restoration import BEFORE_R, CrossRestoration, trend_of
from leadset.models.layers.options import one_of
from leadset.preprocess import cut_window

#: SD in samples (30 ms) of the Gaussian that smooths the map along time.
SMOOTHING = 15
PARTS: tuple[str, ...] = ("record", "beat", "trend")


@dataclass(frozen=True)
class Scoring:
    """How recordings are scored.

    Attributes:
        masking: a name out of `leadset.anomaly.masks.MASKINGS`.
        overlap: ``"mean"`` averages the errors of overlapping heartbeats in the map, ``"published"`` adds them up.
        pairing: ``"mean"`` restores the recording once per pass, ``"published"`` once per pass and heartbeat.
    """

    masking: str = "full"
    overlap: str = "mean"
    pairing: str = "mean"

    def __post_init__(self) -> None:
        one_of("masking", self.masking, MASKINGS)
        one_of("overlap", self.overlap, ("mean", "published"))
        one_of("pairing", self.pairing, ("mean", "published"))


@dataclass(frozen=True)
class AnomalyScore:
    """What the network found in one recording; errors are squared, on leads scaled to -1 ... 1, never negative.

    Attributes:
        score: sum of the parts, which is how the paper ranks recordings.
        peak: largest value of the map; a short anomaly that hardly moves the score stands out in it.
        parts: mean error of recording, heartbeats and trend.
        beats: (n,) mean error of each heartbeat.
        lead_errors: (2, l) mean error of each lead in the recording and in its heartbeats.
        log_variance: mean log-variance that the network expected of the recording.
        map: (l, t) error of each sample, smoothed; NaN where no window was scored.
        r_peaks: (n,) R peaks of the heartbeats, or the places taken for them.
        flags: what is wrong with the recording.
    """

    score: float
    peak: float
    parts: dict[str, float]
    beats: np.ndarray
    lead_errors: np.ndarray
    log_variance: float
    map: np.ndarray
    r_peaks: np.ndarray
    flags: tuple[str, ...]


@dataclass(frozen=True)
class WindowErrors:
    """Errors in one window: ``record`` and ``trend`` (l, t), ``beats`` (n, l, 480), ``log_variance`` (t,)."""

    record: np.ndarray
    trend: np.ndarray
    beats: np.ndarray
    log_variance: np.ndarray


@torch.inference_mode()
def window_errors(
    model: CrossRestoration, window: np.ndarray, recorded: np.ndarray, centres: np.ndarray, scoring: Scoring
) -> WindowErrors:
    """Errors averaged over all passes (and heartbeats).

    Args:
        model: in evaluation mode.
        window: (l, t) in -1 ... 1.
        recorded: (t,) False where it is padding.
        centres: (n,) R peaks, n ≥ 1.
        scoring: masks and pairing.
    """
    device = device_of(model)
    masks = test_masks(scoring.masking, window.shape[1], model.beat_samples)
    hidden, hidden_beat = (torch.from_numpy(mask).to(device).unsqueeze(1) for mask in masks)  # (p, 1, t)
    record = torch.from_numpy(window).to(device).unsqueeze(0)
    beats = torch.from_numpy(cut_heartbeats(window, centres)).to(device).unsqueeze(1)  # (n, 1, l, 480)
    trend = trend_of(record, torch.from_numpy(recorded).to(device).unsqueeze(0))
    n, passes = len(beats), len(hidden)
    latents = model.encode(record * ~hidden, (beats * ~hidden_beat).flatten(0, 1), trend)
    fused, fused_beats = model.cross_attention(latents.record.repeat(n, 1, 1), latents.beat)
    if scoring.pairing == "mean":
        fused = fused.unflatten(0, (n, passes)).mean(0)
    restored, restored_beats = model.decode_record(fused), model.decode_beat(fused_beats)
    restored_trend = model.decode_trend(fused, latents.trend.expand(len(fused), -1, -1))
    beat_errors = weighted_error(restored_beats, beats.expand(-1, passes, -1, -1).flatten(0, 1))
    return WindowErrors(
        _numpy(weighted_error(restored, record).mean(0)),
        _numpy((restored_trend - record).square().mean(0)),
        _numpy(beat_errors.unflatten(0, (n, passes)).mean(1)),
        _numpy(restored.log_variance.mean((0, 1))),
    )


def _numpy(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def error_map(errors: WindowErrors, centres: np.ndarray, overlap: str, length: int) -> np.ndarray:
    """Error (l, length) of each recorded sample, smoothed along time: of recording, trend and what heartbeats cover."""
    from scipy.ndimage import gaussian_filter1d

    place = centres[:, None] + np.arange(-BEFORE_R, AFTER_R)
    local, cover = np.zeros_like(errors.record), np.zeros(errors.record.shape[1], dtype=np.float32)
    np.add.at(local.T, place.ravel(), errors.beats.swapaxes(1, 2).reshape(place.size, -1))
    np.add.at(cover, place.ravel(), 1)
    if overlap == "mean":
        local /= np.maximum(cover, 1)
    return gaussian_filter1d((errors.record + errors.trend + local)[:, :length], SMOOTHING, axis=1)


def score_recording(
    model: CrossRestoration,
    samples: np.ndarray,
    statistics: np.ndarray,
    scoring: Scoring,
    flags: Sequence[str] = (),
    r_peaks: np.ndarray | None = None,
) -> AnomalyScore:
    """Scores a prepared recording of any length; whatever it holds, all scores are finite.

    Args:
        model: in evaluation mode.
        samples, statistics: of a `leadset.preprocess.Prepared` of the network's transform.
        scoring: how.
        flags: of the `Prepared`; those found here are added.
        r_peaks: (n,) of `leadset.anomaly.windows.find_r_peaks`, if they are known already.
    """
    spec, rows = model.input_spec, lead_rows(model.leads)
    if r_peaks is None:
        r_peaks = find_r_peaks(samples, statistics, rows, spec.transform.rate)
    n_samples = samples.shape[1]
    total = np.zeros((len(rows), n_samples), dtype=np.float32)
    cover = np.zeros(n_samples, dtype=np.float32)
    found, peaks, reliable = [], [], False
    for start in centred_starts(n_samples, spec):
        window, recorded = cut_window(samples, statistics, rows, start, spec)
        length = int(recorded.sum())
        centres, real = beats_within(r_peaks, start, length)
        errors = window_errors(model, window, recorded, centres, scoring)
        total[:, start : start + length] += error_map(errors, centres, scoring.overlap, length)
        cover[start : start + length] += 1
        found.append(_cropped(errors, length))
        peaks.append(start + centres)
        reliable |= real
    heat = np.where(cover > 0, total / np.maximum(cover, 1), np.nan)
    more = () if reliable else (NO_BEATS,)
    return _summary(found, heat, np.concatenate(peaks), (*flags, *more))


def _cropped(errors: WindowErrors, length: int) -> WindowErrors:
    """Without the padding behind ``length`` recorded samples, which has no say in any score."""
    return WindowErrors(
        errors.record[:, :length], errors.trend[:, :length], errors.beats, errors.log_variance[:length]
    )


def _summary(
    found: Sequence[WindowErrors], heat: np.ndarray, r_peaks: np.ndarray, flags: tuple[str, ...]
) -> AnomalyScore:
    """Windows joined: samples and heartbeats count alike, whichever window they are in."""
    record, trend, beats = (
        np.concatenate(arrays, axis=axis)
        for arrays, axis in (
            ([e.record for e in found], 1), ([e.trend for e in found], 1), ([e.beats for e in found], 0)
        )
    )  # fmt: skip
    parts = dict(zip(PARTS, (float(x.mean()) for x in (record, beats, trend)), strict=True))
    return AnomalyScore(
        score=sum(parts.values()),
        peak=float(np.nanmax(heat)),
        parts=parts,
        beats=beats.mean(axis=(1, 2)),
        lead_errors=np.stack([record.mean(axis=1), beats.mean(axis=(0, 2))]),
        log_variance=float(np.concatenate([e.log_variance for e in found]).mean()),
        map=heat,
        r_peaks=r_peaks,
        flags=flags,
    )
