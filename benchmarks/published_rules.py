"""The delineator of the Challenge 2021 entry "heartMAASters" as published, for comparison: one lead, loops and all.

Written from a description of its rules, faults included (the transform advances every scale, thresholds of falling
slopes are negative, the first three maxima make a T wave, ...); only missing values are NaN instead of 0.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

LONGEST = 2**16


def advanced_transform(signal: np.ndarray, fs: float) -> np.ndarray:
    """(5, samples) wavelet scales with the filters' phase left in, circular."""
    omega = 2 * np.pi * np.fft.fftfreq(len(signal), 1 / fs) / 250
    smooth = lambda w: np.exp(0.5j * w) * np.cos(w / 2) ** 3  # noqa: E731
    steep = lambda w: 4j * np.exp(0.5j * w) * np.sin(w / 2)  # noqa: E731
    spectrum = np.where(np.abs(omega) <= np.pi, np.fft.fft(signal), 0)
    scales, product = [], np.ones_like(omega)
    for k in range(5):
        scales.append(np.fft.ifft(spectrum * product * steep(2**k * omega)).real)
        product = product * smooth(2**k * omega)
    return np.stack(scales)


def scan(w: np.ndarray, start: int, stop: int, threshold: float) -> list[int]:
    """Modulus maxima: armed at a rising sample above the threshold, recorded at the next that tops its neighbours."""
    magnitude = np.abs(w)
    maxima, armed = [], False
    for n in range(max(start, 1), min(stop, len(w) - 2)):
        if armed:
            if magnitude[n] >= magnitude[n - 1] and magnitude[n] >= magnitude[n + 1]:
                maxima.append(n)
                armed = False
        elif magnitude[n] >= threshold and magnitude[n] > magnitude[n - 1]:
            armed = True
    return maxima


def verify(lines: list[int], w: np.ndarray, threshold: float, reach: int) -> list[int]:
    """Follows lines to a finer scale, forwards only."""
    kept = []
    for m in lines:
        hits = scan(w, m, m + reach, threshold)
        if len(hits) == 1:
            kept.append(hits[0])
        elif hits:
            nearest = min(hits, key=lambda h: abs(h - m))
            sign = 1 if w[m] >= 0 else -1
            largest = max(hits, key=lambda h: sign * w[h])
            kept.append(largest if sign * w[largest] >= 1.2 * sign * w[nearest] else nearest)
    return kept


def walk(w: np.ndarray, start: int, threshold: float, direction: int, cap: int) -> int:
    """Limit search: below the threshold, at a local maximum, or at the cap."""
    magnitude = np.abs(w)
    for step in range(1, cap):
        n = start + direction * step
        if not 1 <= n < len(w) - 1:
            break
        if magnitude[n] < threshold or (magnitude[n] >= magnitude[n - 1] and magnitude[n] >= magnitude[n + 1]):
            return n
    return int(np.clip(start + direction * cap, 0, len(w) - 1))


def detect(scales: np.ndarray, fs: float) -> tuple[list[int], list[int]]:
    """R peaks and the verified lines of scale 2."""
    rms = np.sqrt((scales**2).mean(axis=1))
    reach = int(0.04 * fs)
    lines = scan(scales[3], 0, scales.shape[1], rms[3] / 2)
    lines = verify(lines, scales[2], rms[2], reach)
    second = verify(lines, scales[1], rms[1], reach)
    first = verify(second, scales[0], rms[0], reach)
    peaks: list[int] = []
    for a, b in pairwise(first):
        if 0 < b - a < reach and scales[0, a] * scales[0, b] < 0:
            r = a + int(np.abs(scales[0, a:b]).argmin())
            if not peaks or r - peaks[-1] >= int(0.05 * fs):
                peaks.append(r)
    return peaks, second


def between(w: np.ndarray, a: int, b: int) -> int:
    """Sample of least modulus between two maxima."""
    return a + int(np.abs(w[a : max(b, a + 1)]).argmin())


def delineate_qrs(scales: np.ndarray, r: int, lines: list[int], fs: float, half: int) -> list[float]:
    """QRSon, Q, R, S, QRSend."""
    w = scales[1]
    wide = int(0.065 * fs)
    largest = np.abs(w[max(r - half, 0) : r + half]).max()
    after = next((i for i, n in enumerate(lines) if n > r), len(lines) - 1)
    n_post, n_pre = lines[after], lines[after - 1]
    before = scan(w, n_pre - wide, n_pre, 0.06 * largest)
    behind = scan(w, n_post + 1, n_post + wide, 0.09 * largest)
    first, last = (before[-1] if before else n_pre), (behind[0] if behind else n_post)
    q = between(scales[0], first, n_pre) if before else np.nan
    s = between(scales[0], n_post, last) if behind else np.nan
    cap = int(0.05 * fs)
    on = walk(w, first, (0.05 if w[first] > 0 else 0.07) * w[first], -1, cap)
    end = walk(w, last, (0.125 if w[last] > 0 else 0.71) * w[last], 1, cap)
    return [on, q, r, s, end]


def delineate_wave(scales: np.ndarray, start: int, stop: int, detection: float, significance: float, onset: float,
                   end: float, cap: int) -> list[float]:
    """onset, first peak, second peak, end of a P or T wave."""
    missing = [np.nan] * 4
    if start < 0 or stop >= scales.shape[1] or stop <= start:
        return missing
    w = scales[3]
    largest = np.abs(w[start:stop]).max()
    maxima = [n for n in scan(w, start, stop, detection * np.sqrt((w**2).mean())) if abs(w[n]) > significance * largest]
    maxima = maxima[:3]
    if len(maxima) < 2:
        return missing
    peaks = [between(scales[2], a, b) for a, b in pairwise(maxima)]
    on = walk(w, maxima[0], onset * abs(w[maxima[0]]), -1, cap)
    off = walk(w, maxima[-1], end * abs(w[maxima[-1]]), 1, cap)
    return [on, peaks[0], peaks[1] if len(peaks) > 1 else np.nan, off]


def delineate_lead(signal: np.ndarray, fs: float) -> np.ndarray:
    """(beats, 13) marks of one lead in samples, NaN = missing."""
    rows = []
    for offset in range(0, len(signal), LONGEST):
        scales = advanced_transform(signal[offset : offset + LONGEST].astype(float), fs)
        peaks, lines = detect(scales, fs)
        for i, r in enumerate(peaks):
            qrs = delineate_qrs(scales, r, lines, fs, int((0.05 if i else 0.065) * fs))
            t = delineate_wave(scales, qrs[4], qrs[4] + int(0.42 * fs), 0.25, 0.125, 0.25, 0.4, int(0.08 * fs))
            p = delineate_wave(scales, qrs[0] - int(0.2 * fs), qrs[0], 0.02, 0.0125, 0.5, 0.9, int(0.04 * fs))
            rows.append(np.array(p + qrs + t, dtype=float) + offset)
    return np.array(rows).reshape(-1, 13)


def delineate(signal: np.ndarray, fs: float) -> list[np.ndarray]:
    """(beats, 13) marks of each lead (leads, samples) for itself; a lead with non-finite samples yields none."""
    return [delineate_lead(lead, fs) if np.isfinite(lead).all() else np.zeros((0, 13)) for lead in signal]
