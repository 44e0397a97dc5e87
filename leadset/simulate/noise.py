"""Noise of electrodes and surroundings.

Spectra and burst statistics are those of the MIT-BIH Noise Stress Test Database (Moody, Muldrow & Mark, Comput.
Cardiol. 11:381-384, 1984), measured with Welch's method (40-s segments, both channels averaged): baseline wander
from record bw, muscle noise from record ma, electrode motion from record em. Levels are those of the PhysioNet/CinC
Challenge 2011's acceptable recordings, measured between the beats in the bands 20-45, 65-95 and 105-120 Hz, in 2 Hz
around the mains frequencies and below 0.4 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.simulate.draws import Draws
from leadset.simulate.leadfield import ELECTRODES

# Frequencies in Hz, and amplitude densities relative to each other at them.
_WANDER = (
    (0.03, 0.07, 0.12, 0.17, 0.25, 0.35, 0.45, 0.6, 0.85, 1.2, 1.7, 2.5, 4.0, 6.5, 10.0, 16.0),
    (85, 440, 970, 690, 280, 184, 110, 53, 37, 21, 11, 6.2, 3.4, 2.5, 1.9, 1.0),
)  # fmt: skip
_MUSCLE = (
    (2.5, 4.0, 6.5, 10.0, 16.0, 25.0, 35.0, 50.0, 70.0, 90.0, 115.0, 145.0, 180.0),
    (1.0, 3.0, 5.1, 7.5, 10.5, 12.1, 11.4, 6.5, 1.65, 0.85, 0.76, 0.74, 0.74),
)  # fmt: skip
_MOTION = (
    (0.2, 0.35, 0.6, 0.85, 1.2, 1.7, 2.5, 4.0, 6.5, 10.0, 16.0, 25.0, 35.0, 50.0),
    (2.4, 1.1, 0.7, 1.25, 1.05, 0.93, 0.62, 0.32, 0.30, 0.17, 0.10, 0.05, 0.034, 0.024),
)  # fmt: skip

# Bursts: the logarithm of the RMS in half-second windows has this SD and this correlation with the window before.
_WINDOW = 0.5
_MUSCLE_SD, _MUSCLE_MEMORY = 0.55, 0.64
_MOTION_SD, _MOTION_MEMORY = 0.9, 0.75

# Arms and legs are tense more often than the chest.
_LIMB_MUSCLE = np.array([1.35] * 3 + [0.9] * 6)

_POP_EVERY = 2.5  # seconds in which an electrode can pop once


@dataclass(frozen=True)
class NoiseLevels:
    """RMS in mV of each kind of noise at the nine electrodes (n, 9), and what belongs to the whole recording (n,)."""

    wander: np.ndarray
    muscle: np.ndarray
    motion: np.ndarray
    mains: np.ndarray
    white: np.ndarray
    mains_frequency: np.ndarray
    pops: np.ndarray  # probability that some electrode pops within `_POP_EVERY` seconds


def draw_levels(draws: Draws, mains_frequency: np.ndarray, scale: float) -> NoiseLevels:
    """Levels as in real recordings: most are clean, a few are bad, and electrodes differ.

    Args:
        draws: where they come from.
        mains_frequency: in Hz (n,).
        scale: factor on all levels; 0 for signals of the heart alone.
    """
    electrodes = len(ELECTRODES)
    overall = scale * np.exp(0.4 * draws.normal(1))

    def level(median: float, spread: float, own: float) -> np.ndarray:
        return median * overall * np.exp(spread * draws.normal(1) + own * draws.normal(electrodes))

    moving = draws.flags(0.08)[:, None]
    return NoiseLevels(
        wander=level(0.030, 0.7, 0.6),
        muscle=level(0.0026, 0.6, 0.5) * _LIMB_MUSCLE,
        motion=level(0.030, 0.6, 0.7) * moving,
        mains=level(0.0016, 1.0, 0.7),
        white=level(0.0042, 0.7, 0.35) * _LIMB_MUSCLE,
        mains_frequency=mains_frequency,
        pops=np.where(draws.flags(0.06), 0.3, 0.0) * min(scale, 1.0),
    )


def electrode_noise(
    draws: Draws, levels: NoiseLevels, samples: int, fs: float, response: np.ndarray, dtype: np.dtype
) -> np.ndarray:
    """Potentials (n, 9, samples) in mV that have nothing to do with the heart.

    Args:
        draws: where they come from.
        levels: how strong they are.
        samples: length.
        fs: sampling rate in Hz.
        response: gain of the device at the frequencies of a real transform of that length (n, bins).
        dtype: of the result.
    """
    frequency = np.fft.rfftfreq(samples, 1 / fs)
    white = draws.white_spectrum(len(ELECTRODES), len(frequency), dtype)
    white *= response[:, None].astype(dtype)

    def shape(table: tuple) -> np.ndarray:
        """A measured spectrum, scaled so that white bins of unit variance become a signal of RMS 1."""
        density = np.interp(np.log(frequency[1:]), *np.log(table), left=-np.inf, right=-np.inf)
        amplitude = np.concatenate([[0.0], np.exp(density)])
        return (amplitude * samples / np.sqrt(2 * np.sum(amplitude**2))).astype(dtype)

    def at(level: np.ndarray) -> np.ndarray:
        return level[..., None].astype(dtype)

    flat = np.full(len(frequency), np.sqrt(samples / 2), dtype=dtype)
    # The kinds hardly overlap in frequency, so that one set of white numbers serves all.
    out = np.fft.irfft(white * (at(levels.wander) * shape(_WANDER) + at(levels.white) * flat), samples)
    swell = _swell(draws, samples, fs, _MUSCLE_SD, _MUSCLE_MEMORY, dtype)
    out += at(levels.muscle) * np.fft.irfft(white * shape(_MUSCLE), samples) * swell
    swell = _swell(draws, samples, fs, _MOTION_SD, _MOTION_MEMORY, dtype)
    moving = np.flatnonzero(levels.motion.any(axis=1))
    out[moving] += at(levels.motion)[moving] * np.fft.irfft(white[moving] * shape(_MOTION), samples) * swell[moving]
    _add_mains(draws, levels, fs, response, out)
    _add_pops(draws, levels, fs, out)
    return out


def _swell(draws: Draws, samples: int, fs: float, sd: float, memory: float, dtype: np.dtype) -> np.ndarray:
    """Envelope (n, 1, samples) of mean square 1 that comes and goes as bursts do."""
    count = int(samples / fs / _WINDOW) + 2
    steps = draws.normal(count)
    logarithm = np.empty_like(steps)
    logarithm[:, 0] = steps[:, 0]
    for k in range(1, count):
        logarithm[:, k] = memory * logarithm[:, k - 1] + np.sqrt(1 - memory**2) * steps[:, k]
    knots = np.exp(sd * logarithm - sd**2).astype(dtype)
    place = np.arange(samples) / (fs * _WINDOW)
    left = place.astype(int)
    share = (place - left).astype(dtype)
    return (knots[:, left] * (1 - share) + knots[:, left + 1] * share)[:, None]


def _add_mains(draws: Draws, levels: NoiseLevels, fs: float, response: np.ndarray, out: np.ndarray) -> None:
    """Mains hum with a third harmonic; all electrodes have one phase, as the whole body picks it up."""
    samples, dtype = out.shape[2], out.dtype
    phase, third = draws.uniform(2), draws.uniform(1, low=0.0, high=0.3)
    frequency = levels.mains_frequency[:, None] * [1, 3]
    bins = np.minimum(np.rint(frequency * samples / fs), response.shape[1] - 1).astype(int)
    gain = np.where(frequency < fs / 2, np.take_along_axis(response, bins, axis=1), 0.0)
    turns = levels.mains_frequency[:, None] / fs * np.arange(samples)
    hum = gain[:, :1] * np.sin(2 * np.pi * ((turns + phase[:, :1]) % 1).astype(dtype))
    hum += third * gain[:, 1:] * np.sin(2 * np.pi * ((3 * turns + phase[:, 1:]) % 1).astype(dtype))
    out += (levels.mains[..., None] * 2**0.5).astype(dtype) * hum[:, None].astype(dtype)


def _add_pops(draws: Draws, levels: NoiseLevels, fs: float, out: np.ndarray) -> None:
    """Sudden steps of one electrode that decay, as its contact with the skin changes."""
    samples = out.shape[2]
    slots = int(samples / fs / _POP_EVERY) + 1
    happens = draws.uniform(slots) < levels.pops[:, None]
    moment = (np.arange(slots) + draws.uniform(slots)) * _POP_EVERY
    height = 0.35 * np.exp(0.7 * draws.normal(slots)) * np.where(draws.uniform(slots) < 0.5, -1, 1)
    decay = 0.08 * np.exp(0.8 * draws.normal(slots))
    electrode = (draws.uniform(slots) * len(ELECTRODES)).astype(int)
    time = np.arange(samples) / fs
    for row, slot in zip(*np.nonzero(happens), strict=True):
        after = np.maximum(time - moment[row, slot], 0.0)
        step = height[row, slot] * np.exp(-after / decay[row, slot]) * (time >= moment[row, slot])
        out[row, electrode[row, slot]] += step.astype(out.dtype)
