"""Fiducial marks in the layout of `leadset.delineate`, exact because they are read off the noise-free waves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.leads import LEADS
from leadset.simulate.heart import Heart
from leadset.simulate.leadfield import ATRIA, VENTRICLES, twelve_leads
from leadset.simulate.rhythm import Beats
from leadset.waves.marks import MARKS, QRSON, WAVES

# A wave of a lead begins and ends where it leaves and returns to this share of its largest deflection, or this many
# mV if that is more (chosen so that `leadset.delineate`, which is unbiased on recordings marked by hand, is unbiased
# here); what stays below ``_SEEN`` mV is no wave of that lead and has no marks.
_SHARE = {"P": 0.055, "QRS": 0.006, "T": 0.05}
_FLOOR = {"P": 0.003, "QRS": 0.003, "T": 0.006}
_SEEN = {"P": 0.018, "QRS": 0.030, "T": 0.025}
_PHASE = 0.25  # a second phase of P or T is one of at least this share of the first

_FRACTIONS = np.linspace(-0.2, 1.3, 251)  # of a wave's duration, within which it is looked at


@dataclass(frozen=True)
class WaveOffsets:
    """Where the marks of each wave lie, as fractions of its duration (n, kinds, 12, marks)."""

    p: np.ndarray
    qrs: np.ndarray
    t: np.ndarray


def fit_durations(heart: Heart, vectors: np.ndarray) -> WaveOffsets:
    """Stretches the loops of hearts in place until their waves last exactly as long as the hearts say.

    Over the twelve leads, the earliest visible onset of P wave and QRS complex and the latest visible end of all three
    waves become their limits. (Where a T wave begins is left to its shape.)

    Args:
        heart: whose loops.
        vectors: lead vectors (n, 8, 6).

    Returns:
        Where the marks of the stretched waves are.
    """
    ventricles, atria = vectors[..., VENTRICLES], vectors[..., ATRIA]
    p = _two_peaks(heart.p, atria, "P")
    qrs, t = _qrs(heart.qrs, ventricles), _two_peaks(heart.t, ventricles, "T")
    return WaveOffsets(_stretch(heart.p, p, True), _stretch(heart.qrs, qrs, True), _stretch(heart.t, t, False))


def _stretch(loops: np.ndarray, offsets: np.ndarray, from_onset: bool) -> np.ndarray:
    unseen = np.isnan(offsets[..., 0])
    never = unseen.all(axis=2)
    start = np.where(never | (not from_onset), 0.0, np.where(unseen, np.inf, offsets[..., 0]).min(axis=2))
    length = np.where(never, 1.0, np.where(unseen, -np.inf, offsets[..., -1]).max(axis=2) - start)
    loops[..., 0] = (loops[..., 0] - start[..., None]) / length[..., None]
    loops[..., 1] /= length[..., None]
    return (offsets - start[..., None, None]) / length[..., None, None]


def beat_marks(heart: Heart, beats: Beats, offsets: WaveOffsets, seconds: float, fs: float) -> list[np.ndarray]:
    """Marks (12, beats, 13) of each recording, in samples (fractional, NaN = missing).

    Args:
        heart: whose waves.
        beats: and when; those whose QRS complex begins within the recording in some lead get marks.
        offsets: from `fit_durations`.
        seconds: length of the recording; marks outside it are missing.
        fs: sampling rate in Hz.
    """
    out = []
    for row in range(heart.n):
        beat = np.flatnonzero(
            beats.used[row] & beats.conducted[row] & (beats.onset[row] >= 0) & (beats.onset[row] < seconds)
        )
        kind = beats.kind[row, beat]
        onset, duration = beats.onset[row, beat, None], heart.qrs_duration[row, kind, None]
        marks = np.empty((len(LEADS), len(beat), len(MARKS)))
        p_offsets = offsets.p[row, beats.p_kind[row, beat]].transpose(1, 0, 2)
        marks[..., WAVES["P"]] = beats.p_onset[row, beat, None] + heart.p_duration[row] * p_offsets
        marks[..., WAVES["QRS"]] = onset + duration * offsets.qrs[row, kind].transpose(1, 0, 2)
        jt = beats.qt[row, beat, None] - duration
        marks[..., WAVES["T"]] = onset + duration + jt * offsets.t[row, kind].transpose(1, 0, 2)
        marks[(marks < 0) | (marks >= seconds)] = np.nan
        begun = np.isfinite(marks[..., QRSON]).any(axis=0)
        out.append((marks[:, begun] * fs).astype(np.float32))
    return out


def lone_p_marks(heart: Heart, beats: Beats, offsets: WaveOffsets, seconds: float, fs: float) -> list[np.ndarray]:
    """Marks (12, n, 4), Pon P1 P2 Pend, of P waves that no complex follows, of each recording; see `beat_marks`."""
    out = []
    for row in range(heart.n):
        onset = beats.p_onset[row]
        beat = np.flatnonzero(beats.used[row] & ~beats.conducted[row] & (onset >= 0) & (onset < seconds))
        marks = onset[beat, None] + heart.p_duration[row] * offsets.p[row, beats.p_kind[row, beat]].transpose(1, 0, 2)
        marks[(marks < 0) | (marks >= seconds)] = np.nan
        out.append((marks * fs).astype(np.float32))
    return out


def _waves(loops: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Loops (n, kinds, components, 5) as waves (n, kinds, 12, fractions) in mV."""
    n, kinds = loops.shape[:2]
    shape = np.exp(-0.5 * ((_FRACTIONS - loops[..., :1]) / loops[..., 1:2]) ** 2)
    recorded = vectors[:, None] @ (loops[..., 2:].swapaxes(-1, -2) @ shape)
    return twelve_leads(recorded.reshape(n * kinds, *recorded.shape[2:])).reshape(n, kinds, len(LEADS), -1)


def _limits(waves: np.ndarray, wave: str) -> tuple[np.ndarray, np.ndarray]:
    """Onset and end as fractions, NaN where the wave is too small to be seen."""
    height = np.abs(waves).max(axis=-1)
    visible = np.abs(waves) > np.maximum(_SHARE[wave] * height, _FLOOR[wave])[..., None]
    onset, end = _FRACTIONS[visible.argmax(axis=-1)], _FRACTIONS[::-1][visible[..., ::-1].argmax(axis=-1)]
    unseen = height < _SEEN[wave]
    return np.where(unseen, np.nan, onset), np.where(unseen, np.nan, end)


def _two_peaks(loops: np.ndarray, vectors: np.ndarray, wave: str) -> np.ndarray:
    """Onset, first peak, second peak and end (n, kinds, 12, 4) of a P or T wave; the second only if it is biphasic."""
    waves = _waves(loops, vectors)
    onset, end = _limits(waves, wave)
    up, down = waves.argmax(axis=-1), waves.argmin(axis=-1)
    top, bottom = waves.max(axis=-1), -waves.min(axis=-1)
    biphasic = np.minimum(top, bottom) > np.maximum(_PHASE * np.maximum(top, bottom), _SEEN[wave] / 2)
    main = np.where(top >= bottom, up, down)
    first = np.where(biphasic, np.minimum(up, down), main)
    second = np.where(biphasic, _FRACTIONS[np.maximum(up, down)], np.nan)
    marks = np.stack([onset, _FRACTIONS[first], second, end], axis=-1)
    return np.where(np.isnan(onset)[..., None], np.nan, marks)


def _qrs(loops: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Onset, Q, R, S and end (n, kinds, 12, 5): R is the highest positive deflection, Q and S the lowest negative ones
    before and after it; a QS complex has no R and its lowest point is Q."""
    waves = _waves(loops, vectors)
    onset, end = _limits(waves, "QRS")
    threshold = np.maximum(0.03 * np.abs(waves).max(axis=-1), _SEEN["QRS"])
    peak, top = waves.argmax(axis=-1), waves.max(axis=-1)
    has_r = top > threshold
    place = np.arange(len(_FRACTIONS))
    before = np.where(has_r[..., None] & (place >= peak[..., None]), np.inf, waves)
    after = np.where(~has_r[..., None] | (place <= peak[..., None]), np.inf, waves)
    q = np.where(before.min(axis=-1) < -threshold, _FRACTIONS[before.argmin(axis=-1)], np.nan)
    s = np.where(after.min(axis=-1) < -threshold, _FRACTIONS[after.argmin(axis=-1)], np.nan)
    marks = np.stack([onset, q, np.where(has_r, _FRACTIONS[peak], np.nan), s, end], axis=-1)
    return np.where(np.isnan(onset)[..., None], np.nan, marks)
