"""Plain ways to find what is not normal, for comparison: with the windows, heartbeats and smoothing that ours has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from leadset.anomaly.scores import SMOOTHING
from leadset.anomaly.windows import AFTER_R, beats_within, centred_starts, fill_pauses
from leadset.beats import find_r_peaks
from leadset.inference import lead_rows
from leadset.leads import LEADS
from leadset.models.cross_restoration import BEFORE_R
from leadset.preprocess import InputSpec, cut_window
from leadset.waves import delineate, extract_features

#: Samples (12, t) int16 and statistics (5, 12) of a prepared recording.
Prepared = tuple[np.ndarray, np.ndarray]
# Every fourth sample of a heartbeat goes into the principal components: below 25 Hz nothing is lost.
_STRIDE, _COMPONENTS = 4, 30


class Found(NamedTuple):
    """Numbers to detect by, and maps (12, t) to localise by, NaN where nothing was looked at; by name."""

    statistics: dict[str, float]
    maps: dict[str, np.ndarray]


class _Windowed:
    """A method that gives each sample of a window an error; recordings longer than a window give their first one."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec, self.rows = spec, lead_rows(LEADS)

    def cut(self, recording: Prepared) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Window (12, t), R peaks in it, its first sample, samples recorded."""
        samples, statistics = recording
        start = int(centred_starts(samples.shape[1], self.spec)[0])
        window, recorded = cut_window(samples, statistics, self.rows, start, self.spec)
        r_peaks = find_r_peaks(samples, statistics, self.rows, self.spec.transform.rate)
        centres, _ = beats_within(r_peaks, start, int(recorded.sum()))
        return window, centres, start, int(recorded.sum())

    def fit(self, normals: Sequence[Prepared]) -> None:
        """Learns from normal recordings, if there is anything to learn."""

    def errors(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Errors (12, t) of a window."""
        raise NotImplementedError

    def __call__(self, recording: Prepared) -> Found:
        """Scores one prepared recording."""
        window, centres, start, length = self.cut(recording)
        smooth = gaussian_filter1d(self.errors(window, centres)[:, :length], SMOOTHING, axis=1)
        heat = np.full((len(LEADS), recording[0].shape[1]), np.nan)
        heat[:, start : start + length] = smooth
        return Found({"mean": float(smooth.mean()), "peak": float(smooth.max())}, {"map": heat})


def _around(centres: np.ndarray) -> np.ndarray:
    return centres[:, None] + np.arange(-BEFORE_R, AFTER_R)


def _placed(beat_errors: np.ndarray, centres: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Errors (n, 12, 480) of heartbeats at their places in a window, averaged where they overlap."""
    total, cover, place = np.zeros(shape), np.zeros(shape[1]), _around(centres)
    np.add.at(total.T, place.ravel(), beat_errors.swapaxes(1, 2).reshape(place.size, -1))
    np.add.at(cover, place.ravel(), 1)
    return total / np.maximum(cover, 1)


class TemplateResidual(_Windowed):
    """Squared distance of every heartbeat from the median heartbeat of its own recording."""

    def errors(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        beats = window[:, _around(centres)].swapaxes(0, 1)
        return _placed((beats - np.median(beats, axis=0)) ** 2, centres, window.shape)


class RelativeTemplateResidual(TemplateResidual):
    """The same with what the deviation of the network has beside it: filled pauses, and each lead's median as unit."""

    def cut(self, recording: Prepared) -> tuple[np.ndarray, np.ndarray, int, int]:
        samples, statistics = recording
        r_peaks = fill_pauses(find_r_peaks(samples, statistics, self.rows, self.spec.transform.rate))
        window, _, start, length = super().cut(recording)
        return window, beats_within(r_peaks, start, length)[0], start, length

    def errors(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        errors = super().errors(window, centres)
        return errors / (np.median(gaussian_filter1d(errors, SMOOTHING, axis=1), axis=1, keepdims=True) + 1e-4)


class PcaResidual(_Windowed):
    """Squared distance of every heartbeat from what 30 principal components of normal heartbeats make of it."""

    def fit(self, normals: Sequence[Prepared]) -> None:
        beats = [self._beats(*self.cut(recording)[:2]) for recording in normals]
        self.pca = PCA(_COMPONENTS, random_state=0).fit(np.concatenate(beats))

    def _beats(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        return window[:, _around(centres)[:, ::_STRIDE]].swapaxes(0, 1).reshape(len(centres), -1)

    def errors(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        beats = self._beats(window, centres)
        residual = (beats - self.pca.inverse_transform(self.pca.transform(beats))) ** 2
        residual = residual.reshape(len(centres), len(window), -1).repeat(_STRIDE, axis=2)
        return _placed(residual, centres, window.shape)


class FeatureForest(_Windowed):
    """Isolation forests on the features of every lead and heartbeat (the map) and of the recording (its score)."""

    def fit(self, normals: Sequence[Prepared]) -> None:
        features = [self._features(recording) for recording in normals]
        beats = np.concatenate([beats.reshape(-1, beats.shape[-1]) for beats, _, _ in features])
        records = np.stack([record for _, record, _ in features])
        self.forests = [
            make_pipeline(
                SimpleImputer(strategy="median", keep_empty_features=True),
                IsolationForest(n_estimators=100, random_state=0),
            ).fit(table)
            for table in (beats, records)
        ]

    def _features(self, recording: Prepared) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features (12, n, f) of heartbeats, those of the recording with its leads, R peaks."""
        samples, statistics = recording
        signal = samples * statistics[0][:, None]
        marks = delineate(signal, self.spec.transform.rate)
        features = extract_features(marks, signal, LEADS)
        return features.beats, np.concatenate([features.record, features.leads.ravel()]), marks.r_peaks

    def __call__(self, recording: Prepared) -> Found:
        beats, record, r_peaks = self._features(recording)
        n_samples = recording[0].shape[1]
        start = int(centred_starts(n_samples, self.spec)[0])
        heat = np.zeros((len(LEADS), n_samples))
        odd = np.zeros(beats.shape[:2])
        if odd.size:
            odd = -self.forests[0].score_samples(beats.reshape(-1, beats.shape[-1])).reshape(odd.shape)
        for r, errors in zip(r_peaks, odd.T, strict=True):
            span = slice(max(int(r) - BEFORE_R, 0), int(r) + AFTER_R)
            heat[:, span] = np.maximum(heat[:, span], errors[:, None])
        heat[:, :start] = heat[:, start + self.spec.samples :] = np.nan
        score = -self.forests[1].score_samples(record[None])[0]
        return Found({"recording": float(score), "beats": float(odd.max(initial=0))}, {"map": heat})


BASELINES: dict[str, type[_Windowed]] = {
    "template residual": TemplateResidual,
    "template residual, relative": RelativeTemplateResidual,
    "PCA residual": PcaResidual,
    "isolation forest on PQRST features": FeatureForest,
}
