"""From beats to the heart vector in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.simulate.atria import add_fibrillation, add_flutter
from leadset.simulate.heart import CONDUCTED, Heart
from leadset.simulate.leadfield import ATRIA, VENTRICLES
from leadset.simulate.rhythm import LEAD_IN, Beats


@dataclass(frozen=True)
class _Edges:
    """How a wave is faded in and out, as fractions of its duration, and the most seconds it is drawn for.

    A Gaussian has no onset; a wave has one, where its line bends, and experts mark it there.
    """

    rise: tuple[float, float]
    fall: tuple[float, float]
    seconds: float

    def gate(self, fraction: np.ndarray) -> np.ndarray:
        """Weight from 0 to 1 at fractions of a wave's duration."""
        up = np.clip((fraction - self.rise[0]) / (self.rise[1] - self.rise[0]), 0, 1)
        down = np.clip((self.fall[1] - fraction) / (self.fall[1] - self.fall[0]), 0, 1)
        return up * up * (3 - 2 * up) * down * down * (3 - 2 * down)


_P = _Edges((-0.05, 0.07), (0.93, 1.05), 0.20)
_QRS = _Edges((-0.02, 0.05), (0.95, 1.03), 0.24)
_ST_T = _Edges((-0.20, 0.20), (0.95, 1.30), 0.80)
_SPIKE = _Edges((-0.5, 0.0), (1.0, 1.5), 0.012)
_SPIKE_SECONDS = 0.005


def heart_vector(heart: Heart, beats: Beats, samples: int, fs: float, dtype: np.dtype) -> np.ndarray:
    """Heart vectors of ventricles and atria (n, 6, samples) in mV; the first sample is `LEAD_IN` seconds early."""
    n = heart.n
    row, beat = np.nonzero(beats.used)
    # Breathing changes the heart's distance to the electrodes, and with it the size of each beat.
    breath = np.sin(2 * np.pi * heart.respiration[:, None] * beats.onset)
    size = (1 + heart.breath_swing[:, None] * breath)[row, beat]
    out = np.zeros((6, n * samples))
    onset = beats.p_onset[row, beat] + LEAD_IN
    has_p = np.isfinite(onset)
    add = _Adder(out[ATRIA], samples, fs, dtype)
    p_loops = heart.p[row, beats.p_kind[row, beat]]
    add(row[has_p], onset[has_p], heart.p_duration[row[has_p]], p_loops[has_p], size[has_p], _P)
    paced = has_p & heart.atrial_spike[row]
    add(row[paced], onset[paced], _SPIKE_SECONDS, _spikes(heart, row[paced]), size[paced], _SPIKE)

    followed = beats.conducted[row, beat]
    row, beat, size = row[followed], beat[followed], size[followed]
    kind, onset = beats.kind[row, beat], beats.onset[row, beat] + LEAD_IN
    qrs_duration = heart.qrs_duration[row, kind]
    add = _Adder(out[VENTRICLES], samples, fs, dtype)
    add(row, onset, qrs_duration, heart.qrs[row, kind], size, _QRS)
    jt = beats.qt[row, beat] - qrs_duration
    add(row, onset + qrs_duration, jt, heart.t[row, kind], size, _ST_T)
    paced = heart.ventricular_spike[row] & (kind == CONDUCTED)
    add(row[paced], onset[paced] - _SPIKE_SECONDS, _SPIKE_SECONDS, _spikes(heart, row[paced]), size[paced], _SPIKE)
    vector = out.reshape(6, n, samples).transpose(1, 0, 2).astype(dtype)
    add_fibrillation(heart, vector[:, ATRIA], fs)
    add_flutter(heart, beats, vector[:, ATRIA], fs)
    return vector


def _spikes(heart: Heart, row: np.ndarray) -> np.ndarray:
    """Pacemaker pulses as loops of one component."""
    pulse = np.broadcast_to([0.5, 0.25], (len(row), 2))
    return np.concatenate([pulse, heart.spike[row]], axis=1)[:, None]


class _Adder:
    """Adds waves, given by row, onset, duration and loop, to the heart vectors of all recordings."""

    def __init__(self, out: np.ndarray, samples: int, fs: float, dtype: np.dtype) -> None:
        self.out, self.samples, self.fs, self.dtype = out, samples, fs, dtype

    def __call__(
        self,
        row: np.ndarray,
        onset: np.ndarray,
        duration: np.ndarray | float,
        loop: np.ndarray,
        size: np.ndarray,
        edges: _Edges,
    ) -> None:
        first = np.ceil((onset + edges.rise[0] * duration) * self.fs).astype(np.int64)
        index = first[:, None] + np.arange(int(edges.seconds * self.fs) + 1)
        fraction = ((index / self.fs - onset[:, None]) / np.reshape(duration, (-1, 1))).astype(self.dtype)
        centre, width = loop[..., 0].astype(self.dtype), loop[..., 1].astype(self.dtype)
        shape = (fraction[:, None] - centre[..., None]) / width[..., None]
        np.exp(-0.5 * shape * shape, out=shape)
        vectors = (loop[..., 2:] * size[:, None, None]).transpose(0, 2, 1).astype(self.dtype)
        waves = vectors @ shape * edges.gate(fraction)[:, None]
        inside = (index >= 0) & (index < self.samples)
        place = (index + row[:, None] * self.samples)[inside]
        for axis in range(3):
            self.out[axis] += np.bincount(place, waves[:, axis][inside], minlength=self.out.shape[1])
