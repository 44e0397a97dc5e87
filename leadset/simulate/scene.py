"""Everything about recordings before their samples: persons, hearts, beats, lead vectors, noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len

from leadset.simulate.av_block import block_codes, draw_blocks, with_blocks
from leadset.simulate.conditions import CONDITIONS
from leadset.simulate.device import Device
from leadset.simulate.draws import Draws
from leadset.simulate.heart import Heart, draw_hearts
from leadset.simulate.leadfield import ELECTRODE_WEIGHTS, lead_vectors
from leadset.simulate.marks import WaveOffsets, fit_durations
from leadset.simulate.mixture import NAMES, draw_codes, draw_diagnoses
from leadset.simulate.noise import draw_levels, electrode_noise
from leadset.simulate.render import heart_vector
from leadset.simulate.rhythm import LEAD_IN, LEAD_OUT, Beats, draw_beats


@dataclass(frozen=True)
class Scene:
    """n recordings, all drawn but not yet computed as samples.

    Attributes:
        codes: SNOMED CT codes of each.
        heart: the hearts.
        beats: their beats.
        vectors: lead vectors (n, 8, 6).
        offsets: where the marks of each wave are.
        noise_leads: noise in the recorded leads (n, 8, samples), in mV.
        devices: the recorder of each.
        padded: samples with the lead-in and lead-out.
        samples: samples of the recording.
        fs: sampling rate in Hz.
    """

    codes: list[tuple[str, ...]]
    heart: Heart
    beats: Beats
    vectors: np.ndarray
    offsets: WaveOffsets
    noise_leads: np.ndarray
    devices: Sequence[Device]
    padded: int
    samples: int
    fs: float

    def recorded(self) -> np.ndarray:
        """The recorded leads (n, 8, samples) in mV: heart and noise, as far as the devices reach."""
        vector = heart_vector(self.heart, self.beats, self.padded, self.fs, self.noise_leads.dtype)
        leads = self._record(vector, device_gain(self.devices, self.padded, self.fs))
        leads += self.noise_leads
        limit = np.array([device.full_scale for device in self.devices], dtype=leads.dtype)[:, None, None]
        return np.clip(leads, -limit, limit, out=leads)

    def heart_change(self, beats: Beats) -> np.ndarray:
        """What other beats change in the recorded leads (n, 8, samples), in mV.

        The devices' high-pass filters are left out, as they would smear a change over seconds.
        """
        own, other = (
            heart_vector(self.heart, b, self.padded, self.fs, self.noise_leads.dtype) for b in (self.beats, beats)
        )
        return self._record(other - own, device_gain(self.devices, self.padded, self.fs, slow=False))

    def _record(self, vector: np.ndarray, gain: np.ndarray) -> np.ndarray:
        dtype = self.noise_leads.dtype
        vector = np.fft.irfft(np.fft.rfft(vector) * gain[:, None].astype(dtype), self.padded)
        return self.vectors.astype(dtype) @ vector[..., self.inside]

    @property
    def inside(self) -> slice:
        """The recording's samples among the padded ones."""
        skipped = round(LEAD_IN * self.fs)
        return slice(skipped, skipped + self.samples)


def draw_scene(
    draws: Draws,
    devices: Sequence[Device],
    seconds: float,
    fs: float,
    weights: Mapping[str, float],
    noise: float,
    dtype: type,
    alter: Callable[[Heart], None] | None = None,
) -> Scene:
    """Draws recordings.

    Args:
        draws: where they come from.
        devices: the recorder of each.
        seconds: length.
        fs: sampling rate in Hz.
        weights: weight of each main diagnosis, from `leadset.simulate.mixture.parse_labels`.
        noise: factor on the level of all noise.
        dtype: of the signals.
        alter: a last change to the hearts, after those of their diagnoses.
    """
    block = draw_blocks(draws, weights)
    present, main = draw_diagnoses(draws, weights, sinus=block >= 0)
    codes = draw_codes(draws, present)
    codes = [own if number < 0 else block_codes(number) for own, number in zip(codes, block, strict=True)]
    heart = draw_hearts(draws, *_draw_persons(draws, main))
    for column, condition in enumerate(CONDITIONS.values()):
        condition.change(heart, present[:, column], draws)
    heart.av_block = block
    if alter is not None:
        alter(heart)
    vectors = lead_vectors(draws)
    offsets = fit_durations(heart, vectors)
    beats = with_blocks(draws, heart, draw_beats(draws, heart, seconds), seconds)

    samples = round(seconds * fs)
    padded = next_fast_len(round(LEAD_IN * fs) + samples + round(LEAD_OUT * fs), real=True)
    response = device_gain(devices, padded, fs)
    levels = draw_levels(draws, np.array([device.mains for device in devices]), noise)
    electrodes = electrode_noise(draws, levels, padded, fs, response, dtype)
    skipped = round(LEAD_IN * fs)
    noise_leads = ELECTRODE_WEIGHTS.astype(dtype) @ electrodes[..., skipped : skipped + samples]
    return Scene(codes, heart, beats, vectors, offsets, noise_leads, devices, padded, samples, fs)


def device_gain(devices: Sequence[Device], samples: int, fs: float, slow: bool = True) -> np.ndarray:
    """Gain of each device (n, bins) at the frequencies of a real transform; without ``slow``, of all but its high-pass
    filter."""
    frequency = np.fft.rfftfreq(samples, 1 / fs)
    return np.stack([device.response(frequency) if slow else device.fast_response(frequency) for device in devices])


def _draw_persons(draws: Draws, main: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Age in whole years and sex, the age as the main diagnosis has it."""
    mean = np.array([CONDITIONS[name].mean_age for name in NAMES])[main]
    age = np.rint(np.clip(mean + 16 * draws.normal(), 12, 95))
    return age, draws.flags(0.47)
