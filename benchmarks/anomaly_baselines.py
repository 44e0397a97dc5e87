"""Plain ways to find what is not normal, for comparison: with the windows, heartbeats and smoothing that ours has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from leadset.anomaly.scoring import SMOOTHING
from leadset.anomaly.windows import AFTER_R, around, beats_within, centred_starts
from leadset.leads import LEADS
from leadset.models.cross_restoration import BEFORE_R
from leadset.models.prediction import lead_rows
from leadset.preprocess import InputSpec, cut_window
from leadset.waves import delineate, extract_features
from leadset.waves.beats import find_r_peaks

#: Samples (12, t) int16 and statistics (5, 12) of a prepared recording.
Prepared = tuple[np.ndarray, np.ndarray]
# Every fourth sample of a heartbeat goes into the principal components: below 25 Hz nothing is lost.
_STRIDE, _COMPONENTS = 4, 30


class Found(NamedTuple):
    """Numbers to detect by, and maps (12, t) to localise by, NaN where nothing was looked at; by name."""

    statistics: dict[str, float]
    maps: dict[str, np.ndarray]


class Cut(NamedTuple):
    """A window (12, t) of a recording of ``n_samples``, R peaks in it, its first sample, samples recorded."""

    window: np.ndarray
    centres: np.ndarray
    start: int
    length: int
    n_samples: int


class _Residual(ABC):
    """A method that gives each sample of a window an error; recordings longer than a window give their first one.

    A recording is observed once, whatever the method learns from; `fit` and `judge` take what `observe` gives.
    """

    def __init__(self, spec: InputSpec) -> None:
        self.spec, self.rows = spec, lead_rows(LEADS)

    def observe(self, recording: Prepared) -> Cut:
        """What the method looks at in a prepared recording."""
        samples, statistics = recording
        start = int(centred_starts(samples.shape[1], self.spec)[0])
        window, recorded = cut_window(samples, statistics, self.rows, start, self.spec)
        r_peaks = find_r_peaks(samples, statistics, self.rows, self.spec.transform.rate)
        centres, _ = beats_within(r_peaks, start, int(recorded.sum()))
        return Cut(window, centres, start, int(recorded.sum()), samples.shape[1])

    @abstractmethod
    def fit(self, normals: Sequence[Cut]) -> None:
        """Learns from normal recordings."""

    @abstractmethod
    def errors(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Errors (12, t) of a window."""

    def vector(self, seen: Cut) -> np.ndarray | None:
        """Features (d,) of a recording; these methods have none."""
        return None

    def judge(self, seen: Cut) -> Found:
        """Scores one recording."""
        smooth = gaussian_filter1d(self.errors(seen.window, seen.centres)[:, : seen.length], SMOOTHING, axis=1)
        heat = np.full((len(LEADS), seen.n_samples), np.nan)
        heat[:, seen.start : seen.start + seen.length] = smooth
        return Found({"mean": float(smooth.mean()), "peak": float(smooth.max())}, {"map": heat})


def _placed(beat_errors: np.ndarray, centres: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Errors (n, 12, 480) of heartbeats at their places in a window, averaged where they overlap."""
    total, cover, place = np.zeros(shape), np.zeros(shape[1]), around(centres)
    np.add.at(total.T, place.ravel(), beat_errors.swapaxes(1, 2).reshape(place.size, -1))
    np.add.at(cover, place.ravel(), 1)
    return total / np.maximum(cover, 1)


class TemplateResidual(_Residual):
    """Squared distance of every heartbeat from the median heartbeat of its own recording."""

    def fit(self, normals: Sequence[Cut]) -> None:
        """There is nothing to learn."""

    def errors(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        beats = window[:, around(centres)].swapaxes(0, 1)
        return _placed((beats - np.median(beats, axis=0)) ** 2, centres, window.shape)


class PcaResidual(_Residual):
    """Squared distance of every heartbeat from what 30 principal components of normal heartbeats make of it."""

    def fit(self, normals: Sequence[Cut]) -> None:
        beats = [self._beats(seen.window, seen.centres) for seen in normals]
        self.pca = PCA(_COMPONENTS, random_state=0).fit(np.concatenate(beats))

    def _beats(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        return window[:, around(centres)[:, ::_STRIDE]].swapaxes(0, 1).reshape(len(centres), -1)

    def errors(self, window: np.ndarray, centres: np.ndarray) -> np.ndarray:
        beats = self._beats(window, centres)
        residual = (beats - self.pca.inverse_transform(self.pca.transform(beats))) ** 2
        residual = residual.reshape(len(centres), len(window), -1).repeat(_STRIDE, axis=2)
        return _placed(residual, centres, window.shape)


class Waves(NamedTuple):
    """Features (12, n, f) of heartbeats, those of the recording with its leads, R peaks, samples of the recording."""

    beats: np.ndarray
    record: np.ndarray
    r_peaks: np.ndarray
    n_samples: int


class FeatureForest:
    """Isolation forests on the features of every lead and heartbeat (the map) and of the recording (its score)."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec

    def observe(self, recording: Prepared) -> Waves:
        samples, statistics = recording
        signal = samples * statistics[0][:, None]
        marks = delineate(signal, self.spec.transform.rate)
        features = extract_features(marks, signal, LEADS)
        record = np.concatenate([features.record, features.leads.ravel()])
        return Waves(features.beats, record, marks.r_peaks, samples.shape[1])

    def fit(self, normals: Sequence[Waves]) -> None:
        beats = np.concatenate([seen.beats.reshape(-1, seen.beats.shape[-1]) for seen in normals])
        records = np.stack([seen.record for seen in normals])
        self.forests = [
            make_pipeline(
                SimpleImputer(strategy="median", keep_empty_features=True),
                IsolationForest(n_estimators=100, random_state=0),
            ).fit(table)
            for table in (beats, records)
        ]

    def vector(self, seen: Waves) -> np.ndarray:
        return np.nan_to_num(seen.record)

    def judge(self, seen: Waves) -> Found:
        start = int(centred_starts(seen.n_samples, self.spec)[0])
        heat = np.zeros((len(LEADS), seen.n_samples))
        outlying = np.zeros(seen.beats.shape[:2])
        if outlying.size:
            features = seen.beats.reshape(-1, seen.beats.shape[-1])
            outlying = -self.forests[0].score_samples(features).reshape(outlying.shape)
        for r, errors in zip(seen.r_peaks, outlying.T, strict=True):
            span = slice(max(int(r) - BEFORE_R, 0), int(r) + AFTER_R)
            heat[:, span] = np.maximum(heat[:, span], errors[:, None])
        heat[:, :start] = heat[:, start + self.spec.samples :] = np.nan
        score = -self.forests[1].score_samples(seen.record[None])[0]
        return Found({"recording": float(score), "beats": float(outlying.max(initial=0))}, {"map": heat})


BASELINES: dict[str, type[_Residual | FeatureForest]] = {
    "template residual": TemplateResidual,
    "PCA residual": PcaResidual,
    "isolation forest on PQRST features": FeatureForest,
}
