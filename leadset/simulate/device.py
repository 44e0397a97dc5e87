"""Recorders: what a device does to a signal, and how its maker writes files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Device:
    """A kind of recorder, and the source (folder) its recordings are written to.

    Attributes:
        source: folder name.
        share: weight among the devices.
        fs: sampling rate in Hz.
        high_pass: corner in Hz of the zero-phase high-pass filter (second order).
        low_pass: corner in Hz of the zero-phase low-pass filter (fourth order).
        notch: whether it removes the mains.
        mains: mains frequency in Hz where it stands.
        full_scale: largest reading in mV; what is beyond is clipped.
        gain: ADC units a mV.
        dialect: header dialect, ``"2021"`` or ``"current"``.
    """

    source: str
    share: float
    fs: int
    high_pass: float
    low_pass: float
    notch: bool
    mains: int
    full_scale: float
    gain: int
    dialect: str

    def response(self, frequency: np.ndarray) -> np.ndarray:
        """Gain at frequencies in Hz."""
        squared = (frequency / self.high_pass) ** 2
        return squared / (1 + squared) * self.fast_response(frequency)

    def fast_response(self, frequency: np.ndarray) -> np.ndarray:
        """The same without the high-pass filter, whose memory is long."""
        gain = 1 / (1 + (frequency / self.low_pass) ** 4)
        if self.notch:
            gain = gain * (1 - np.exp(-0.5 * ((frequency - self.mains) / 0.7) ** 2))
        return gain


#: Recorders like those of the Challenge's sources: mostly 500 Hz, two header dialects, both mains frequencies.
DEVICES: tuple[Device, ...] = (
    Device("sim_clinic", 0.40, 500, 0.05, 150, False, 50, 16.0, 1000, "2021"),
    Device("sim_bedside", 0.28, 500, 0.50, 100, True, 60, 5.0, 1000, "current"),
    Device("sim_screening", 0.16, 500, 0.10, 75, False, 60, 10.0, 205, "current"),
    Device("sim_research", 0.08, 1000, 0.05, 250, False, 50, 16.0, 2000, "2021"),
    Device("sim_ambulatory", 0.08, 257, 0.10, 100, False, 50, 6.0, 306, "current"),
)
