"""From restoration to scores: errors of every sample and lead, the recording's score and its parts (Jiang et al. 2023).

All heartbeats and all passes of a window go through the network at once. The recording is restored once per pass, from
its latents averaged over the heartbeats it was fused with; ``pairing="published"`` restores it anew for every beat,
which takes two to four times as long for ten heartbeats (`benchmarks/anomaly_time.csv`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from leadset.anomaly.attributes import in_units
from leadset.anomaly.features import outlier, typical, wave_features, window_features
from leadset.anomaly.losses import weighted_error
from leadset.anomaly.masks import MASKINGS, scoring_masks
from leadset.anomaly.score import PARTS, AnomalyScore
from leadset.anomaly.windows import (
    AFTER_R,
    NO_BEATS,
    around,
    beats_within,
    centred_starts,
    cut_heartbeats,
    due_places,
    surrounded,
)
from leadset.models.cross_restoration import BEFORE_R, CrossRestoration, trend_of
from leadset.models.layers.options import one_of
from leadset.models.prediction import device_of, lead_rows
from leadset.preprocess import cut_window
from leadset.utils.nan_statistics import median
from leadset.waves.beats import Beats, find_beats

#: SD in samples of the Gaussians that smooth along time: the map (30 ms as published), the deviation (50 ms, a wave).
SMOOTHING, DEVIATION_SMOOTHING = 15, 25
_GAUSSIAN_SDS = 4
# Fewer heartbeats than this have nothing in common that could be told from what is abnormal.
_FEWEST_ALIKE = 3
# Added in mV to the median of a lead's distances, so that a flat lead has no deviation.
_LEAST_DISTANCE = 1e-3


@dataclass(frozen=True)
class Scoring:
    """How recordings are scored.

    Attributes:
        masking: a name out of `leadset.anomaly.masks.MASKINGS`.
        overlap: ``"mean"`` averages the errors of overlapping heartbeats in the map, ``"published"`` adds them up.
        pairing: ``"mean"`` restores the recording once per pass, ``"published"`` once per pass and heartbeat.
        places: ``"due"`` looks for heartbeats where they were due, ``"published"`` where there is one.
    """

    masking: str = "full"
    overlap: str = "mean"
    pairing: str = "mean"
    places: str = "due"

    def __post_init__(self) -> None:
        one_of("masking", self.masking, MASKINGS)
        one_of("overlap", self.overlap, ("mean", "published"))
        one_of("pairing", self.pairing, ("mean", "published"))
        one_of("places", self.places, ("due", "published"))


@dataclass(frozen=True)
class WindowErrors:
    """Errors in one window, averaged over all passes (and heartbeats).

    Attributes:
        record, trend: (l, t) squared, that of the recording divided by the variance expected.
        beats: (n, l, 480) likewise of heartbeats.
        log_variance: (t,) of the recording.
        residual, beat_residuals: (l, t) and (n, l, 480) restored minus seen.
    """

    record: np.ndarray
    trend: np.ndarray
    beats: np.ndarray
    log_variance: np.ndarray
    residual: np.ndarray
    beat_residuals: np.ndarray

    @property
    def parts(self) -> tuple[float, ...]:
        """Mean errors of recording, heartbeats and trend, as `PARTS` names them."""
        return tuple(float(x.mean()) for x in (self.record, self.beats, self.trend))


@torch.inference_mode()
def window_errors(
    model: CrossRestoration, window: np.ndarray, recorded: np.ndarray, centres: np.ndarray, scoring: Scoring
) -> WindowErrors:
    """Errors of the heartbeats and of the window they lie in, all in one forward pass.

    Args:
        model: in evaluation mode.
        window: (l, t) in -1 ... 1.
        recorded: (t,) False where it is padding.
        centres: (n,) R peaks, n ≥ 1.
        scoring: masks and pairing.
    """
    device = device_of(model)
    masks = scoring_masks(scoring.masking, window.shape[1], model.beat_samples)
    hidden, hidden_beat = (torch.from_numpy(mask).to(device).unsqueeze(1) for mask in masks)  # (p, 1, t)
    record = torch.from_numpy(window).to(device).unsqueeze(0)
    beats = torch.from_numpy(cut_heartbeats(window, centres)).to(device).unsqueeze(1)  # (n, 1, l, 480)
    trend = trend_of(record, torch.from_numpy(recorded).to(device).unsqueeze(0))
    n, passes = len(beats), len(hidden)
    latents = model.encode(record * ~hidden, (beats * ~hidden_beat).flatten(0, 1), trend)
    by_pass = (n, passes)
    if scoring.pairing == "mean":
        fused, fused_beats = model.cross_attention.mean_over_beats(latents.record, latents.beat.unflatten(0, by_pass))
        fused_beats = fused_beats.flatten(0, 1)
    else:
        fused, fused_beats = model.cross_attention(latents.record.repeat(n, 1, 1), latents.beat)
    restored, restored_beats = model.decode_record(fused), model.decode_beat(fused_beats)
    restored_trend = model.decode_trend(fused, latents.trend)
    targets = beats.expand(-1, passes, -1, -1).flatten(0, 1)
    return WindowErrors(
        record=_numpy(weighted_error(restored, record).mean(0)),
        trend=_numpy((restored_trend - record).square().mean(0)),
        beats=_numpy(weighted_error(restored_beats, targets).unflatten(0, by_pass).mean(1)),
        log_variance=_numpy(restored.log_variance.mean((0, 1))),
        residual=_numpy((restored.signal - record).mean(0)),
        beat_residuals=_numpy((restored_beats.signal - targets).unflatten(0, by_pass).mean(1)),
    )


@torch.inference_mode()
def read_latents(
    model: CrossRestoration, window: np.ndarray, recorded: np.ndarray, centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Attributes (7,) and probabilities (k,) of classes of a window, of which nothing is hidden."""
    device = device_of(model)
    record = torch.from_numpy(window).to(device).unsqueeze(0)
    trend = trend_of(record, torch.from_numpy(recorded).to(device).unsqueeze(0))
    latents = model.encode(record, torch.from_numpy(cut_heartbeats(window, centres)).to(device), trend)
    fused, _ = model.cross_attention.mean_over_beats(latents.record, latents.beat.unsqueeze(1))
    attributes, logits = model.regress(fused, latents.trend), model.classify(fused, latents.trend)
    return in_units(_numpy(attributes[0])), _numpy(torch.sigmoid(logits[0]))


def _numpy(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def _placed(beats: np.ndarray, centres: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, l, 480) of heartbeats added up at their places in a window (l, t), and how many there are (t,)."""
    total, cover = np.zeros((beats.shape[1], samples), dtype=np.float32), np.zeros(samples, dtype=np.float32)
    for beat, first in zip(beats, centres - BEFORE_R, strict=True):
        total[:, first : first + beat.shape[1]] += beat
        cover[first : first + beat.shape[1]] += 1
    return total, cover


def smooth(values: np.ndarray, sd: int) -> np.ndarray:
    """Values (l, t), none negative, weighted by a Gaussian that ends at four SD; beyond both ends they are mirrored.

    What is mirrored is a sum of cosines, and a filter does no more than scale each of them.
    """
    from scipy.fft import dct, idct, rfft

    samples = values.shape[1]
    lags = np.arange(-_GAUSSIAN_SDS * sd, _GAUSSIAN_SDS * sd + 1)
    weights = np.exp(-0.5 * (lags / sd) ** 2)
    period = np.bincount(lags % (2 * samples), weights / weights.sum(), 2 * samples)
    weighted = idct(dct(values.astype(float), axis=1) * rfft(period).real[:samples], axis=1)
    return np.maximum(weighted, 0)  # rounding may leave it below


def error_map(errors: WindowErrors, centres: np.ndarray, overlap: str, length: int) -> np.ndarray:
    """Error (l, length) of each recorded sample, smoothed along time: of recording, trend and what heartbeats cover."""
    local, cover = _placed(errors.beats, centres, errors.record.shape[1])
    if overlap == "mean":
        local /= np.maximum(cover, 1)
    return smooth((errors.record + errors.trend + local)[:, :length], SMOOTHING)


def deviation_map(signal: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How much each sample (l, t) differs from the same moment of the recording's typical heartbeat.

    The median over heartbeats of what follows them is subtracted up to the next one; where fewer than three can be
    compared there is no deviation. The root of the smoothed squares, in mV, is divided by the root of its median in the
    lead: halfway between millivolts and multiples of what is typical. The network has no part in this: it
    reconstructs some of the outliers, and its residuals therefore tell less.

    Args:
        signal: (l, t) in mV.
        places: (n,) where heartbeats were due, n ≥ 1.
    """
    leads, samples = signal.shape
    time = np.arange(samples)
    firsts = surrounded(places, samples) - BEFORE_R
    beat = np.searchsorted(firsts, time, side="right") - 1
    phase = time - firsts[beat]
    table = np.full((beat[-1] + 1, phase.max() + 1, leads), np.nan, dtype=np.float32)
    table[beat, phase] = signal.T
    alike = (~np.isnan(table[..., 0])).sum(axis=0) >= _FEWEST_ALIKE
    baseline = median(table, axis=0)
    distance = np.where(alike[phase, None], signal.T - baseline[phase], 0).T
    strength = np.sqrt(smooth(distance**2, DEVIATION_SMOOTHING))
    return strength / np.sqrt(np.median(strength, axis=1, keepdims=True) + _LEAST_DISTANCE)


def _distance_from_typical(residuals: np.ndarray) -> np.ndarray:
    """Squared distances of residuals (n, l, t) from their median, or from zero where they are too few."""
    typical = np.median(residuals, axis=0) if len(residuals) >= _FEWEST_ALIKE else 0.0
    return (residuals - typical) ** 2


def score_recording(
    model: CrossRestoration,
    samples: np.ndarray,
    statistics: np.ndarray,
    scoring: Scoring,
    flags: Sequence[str] = (),
    beats: Beats | None = None,
) -> AnomalyScore:
    """Scores a prepared recording of any length; whatever it holds, all scores are finite.

    Args:
        model: in evaluation mode.
        samples, statistics: of a `leadset.preprocess.Prepared` of the network's transform.
        scoring: how.
        flags: of the `Prepared`; those found here are added.
        beats: its reliable beats in the leads of the model, where they are known (`leadset.waves.beats.find_beats`).
    """
    spec, rows = model.input_spec, lead_rows(model.leads)
    if beats is None:
        beats = find_beats(samples, statistics, spec.transform.rate, model.leads, reliable=True)
    r_peaks = beats.r_peaks
    places = due_places(r_peaks) if scoring.places == "due" else r_peaks
    n_samples = samples.shape[1]
    maps = np.zeros((2, len(rows), n_samples), dtype=np.float32)
    cover = np.zeros(n_samples, dtype=np.float32)
    windows, peaks, features, readings, reliable = [], [], [], [], False
    for start in centred_starts(n_samples, spec):
        window, recorded = cut_window(samples, statistics, rows, start, spec)
        length = int(recorded.sum())
        centres, real = beats_within(places, start, length)
        errors = window_errors(model, window, recorded, centres, scoring)
        maps[0, :, start : start + length] += error_map(errors, centres, scoring.overlap, length)
        signal = samples[rows, start : start + length] * statistics[0, rows, None]
        maps[1, :, start : start + length] += deviation_map(signal, _reaching(places - start, length, centres))
        cover[start : start + length] += 1
        inside = r_peaks[(r_peaks >= start) & (r_peaks < start + length)] - start
        windows.append(_cropped(errors, length))
        of_parts = (*windows[-1].parts, float(windows[-1].log_variance.mean()))
        by_lead = _by_lead(errors, window, centres)
        features.append(window_features(by_lead, of_parts, inside, statistics[:, rows], signal, real))
        peaks.append(start + centres)
        if model.has_attributes:
            readings.append(read_latents(model, window, recorded, centres))
        reliable |= real
    heat, deviation = averaged(maps, cover)
    more = () if reliable else (NO_BEATS,)
    described = np.concatenate([np.mean(features, axis=0), wave_features(beats, model.leads)])
    scores = _summary(windows, heat, deviation, np.concatenate(peaks), described, (*flags, *more))
    if not readings:
        return scores
    attributes, classes = (np.mean(values, axis=0) for values in zip(*readings, strict=True))
    return replace(scores, attributes=attributes, classes=classes)


def averaged(sums: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Means of sums (…, t) of ``cover`` (t,) values, in the memory of the sums; NaN where there is none."""
    np.divide(sums, cover, out=sums, where=cover > 0)
    np.copyto(sums, np.nan, where=cover == 0)
    return sums


def _reaching(places: np.ndarray, length: int, otherwise: np.ndarray) -> np.ndarray:
    """Those places whose heartbeat reaches into a window, complete or not; ``otherwise`` where there is none."""
    reaching = places[(places > -AFTER_R) & (places < length + BEFORE_R)]
    return reaching if len(reaching) else otherwise


def _by_lead(errors: WindowErrors, window: np.ndarray, centres: np.ndarray) -> list[np.ndarray]:
    """Features of recording, heartbeats and the signal itself by lead and segment, in the order of their names."""
    record, residual, signal = (
        values[:, around(centres)].swapaxes(0, 1) for values in (errors.record, errors.residual, window)
    )
    return [
        typical(record), outlier(_distance_from_typical(residual)),
        typical(errors.beats), outlier(_distance_from_typical(errors.beat_residuals)),
        outlier(_distance_from_typical(signal)),
    ]  # fmt: skip


def _cropped(errors: WindowErrors, length: int) -> WindowErrors:
    """Without the padding behind ``length`` recorded samples, which has no say in any score."""
    return replace(
        errors,
        record=errors.record[:, :length],
        trend=errors.trend[:, :length],
        log_variance=errors.log_variance[:length],
    )


def _summary(
    windows: Sequence[WindowErrors],
    heat: np.ndarray,
    deviation: np.ndarray,
    r_peaks: np.ndarray,
    features: np.ndarray,
    flags: tuple[str, ...],
) -> AnomalyScore:
    """Windows joined: samples and heartbeats count alike, whichever window they are in."""
    record, trend, beats = (
        np.concatenate(arrays, axis=axis)
        for arrays, axis in (
            ([e.record for e in windows], 1), ([e.trend for e in windows], 1), ([e.beats for e in windows], 0)
        )
    )  # fmt: skip
    parts = dict(zip(PARTS, (float(x.mean()) for x in (record, beats, trend)), strict=True))
    return AnomalyScore(
        score=sum(parts.values()),
        peak=float(np.nanmax(deviation)),
        parts=parts,
        beats=beats.mean(axis=(1, 2)),
        lead_errors=np.stack([record.mean(axis=1), beats.mean(axis=(0, 2))]),
        log_variance=float(np.concatenate([e.log_variance for e in windows]).mean()),
        map=heat,
        deviation=deviation,
        r_peaks=r_peaks,
        features=features,
        flags=flags,
    )
