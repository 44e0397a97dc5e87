"""Noise of electrodes and surroundings, as spectra: one inverse transform a channel, whatever it consists of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.simulate.draws import Draws
from leadset.simulate.leadfield import ELECTRODES


@dataclass(frozen=True)
class NoiseLevels:
    """RMS in mV of each kind of noise at the nine electrodes (n, 9), and the mains frequency in Hz (n,)."""

    wander: np.ndarray
    muscle: np.ndarray
    mains: np.ndarray
    white: np.ndarray
    mains_frequency: np.ndarray


def draw_levels(draws: Draws, mains_frequency: np.ndarray) -> NoiseLevels:
    """Levels of recordings as they are met: most are clean, a few are bad, and electrodes differ."""
    electrodes = len(ELECTRODES)
    overall = np.exp(0.5 * draws.normal(1))

    def level(median: float, spread: float, own: float) -> np.ndarray:
        return median * overall * np.exp(spread * draws.normal(1) + own * draws.normal(electrodes))

    return NoiseLevels(
        wander=level(0.035, 0.6, 0.5),
        muscle=level(0.006, 0.6, 0.4),
        mains=level(0.0015, 1.0, 0.6),
        white=level(0.002, 0.3, 0.2),
        mains_frequency=mains_frequency,
    )


def electrode_noise(
    draws: Draws, levels: NoiseLevels, samples: int, rate: float, response: np.ndarray, dtype: np.dtype
) -> np.ndarray:
    """Potentials (n, 9, samples) in mV that have nothing to do with the heart.

    Args:
        draws: where they come from.
        levels: how strong they are.
        samples: length.
        rate: samples a second.
        response: gain of the device at the frequencies of a real transform of that length (n, bins).
        dtype: of the result.
    """
    frequency = np.fft.rfftfreq(samples, 1 / rate)
    white = draws.white_spectrum(len(ELECTRODES), len(frequency), dtype)
    muscle_shape = _unit_power(_muscle_spectrum(frequency), samples).astype(dtype)
    swell = _swell(draws, samples, dtype)
    steady = levels.wander[..., None].astype(dtype) * _unit_power(_wander_spectrum(frequency), samples).astype(dtype)
    steady += levels.white[..., None].astype(dtype) * _unit_power(np.ones_like(frequency), samples).astype(dtype)
    out = np.fft.irfft(white * steady * response[:, None].astype(dtype), samples)
    # The same white numbers serve both parts: they hardly overlap in frequency.
    muscle = np.fft.irfft(white * (muscle_shape * response.astype(dtype))[:, None], samples)
    out += levels.muscle[..., None].astype(dtype) * muscle * swell
    out += _mains(draws, levels, samples, rate, response, dtype)
    return out


def _unit_power(shape: np.ndarray, samples: int) -> np.ndarray:
    """A spectrum's amplitude, scaled so that white bins of unit variance become a signal of RMS 1."""
    return shape * (samples / np.sqrt(2 * np.sum(shape**2)))


def _wander_spectrum(frequency: np.ndarray) -> np.ndarray:
    return np.where(frequency > 0.03, 1 / (1 + (frequency / 0.25) ** 2), 0.0)


def _muscle_spectrum(frequency: np.ndarray) -> np.ndarray:
    rise = (frequency / 20) ** 2 / (1 + (frequency / 20) ** 2)
    return rise / (1 + (frequency / 90) ** 2)


def _swell(draws: Draws, samples: int, dtype: np.dtype) -> np.ndarray:
    """Slow swelling (n, 1, samples) of muscle noise, about once in some seconds."""
    knots = np.exp(0.45 * draws.normal(8))
    place = np.linspace(0, knots.shape[1] - 1, samples)
    left = np.minimum(place.astype(int), knots.shape[1] - 2)
    share = place - left
    return (knots[:, left] * (1 - share) + knots[:, left + 1] * share).astype(dtype)[:, None]


def _mains(
    draws: Draws, levels: NoiseLevels, samples: int, rate: float, response: np.ndarray, dtype: np.dtype
) -> np.ndarray:
    """Hum (n, 9, samples): one phase for all electrodes, as it comes over the body, with a third harmonic."""
    phase = draws.uniform(2)[..., None]
    third = draws.uniform(1, low=0.0, high=0.3)
    turns = levels.mains_frequency[:, None] * np.arange(samples) / rate
    bins = np.minimum(np.rint(levels.mains_frequency[:, None] * [1, 3] * samples / rate), response.shape[1] - 1)
    gain = np.take_along_axis(response, bins.astype(int), axis=1)
    gain[levels.mains_frequency[:, None] * [1, 3] >= rate / 2] = 0.0
    hum = gain[:, :1] * np.sin(2 * np.pi * ((turns + phase[:, 0]) % 1)).astype(dtype)
    hum += third * gain[:, 1:] * np.sin(2 * np.pi * ((3 * turns + phase[:, 1]) % 1)).astype(dtype)
    return (levels.mains[..., None].astype(dtype) * 2**0.5) * hum[:, None].astype(dtype)
