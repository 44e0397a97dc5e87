"""What is left of pacing spikes that ring when they are cut out of a signal at a low rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, resample_poly, sosfilt

from leadset.waves.pacing import CUT, cut_out

#: Rate in Hz at which spikes are made, and their height in mV.
FINE, HEIGHT = 10_000, 8.0


def spike_at(seconds: float, fs: int, recorder: str) -> np.ndarray:
    """(1, samples) a spike of 2 ms in half a second, as a recorder has it."""
    fine, first = np.zeros(FINE // 2), round(seconds * FINE)
    fine[first : first + FINE // 500] = HEIGHT
    if recorder == "causal":
        return sosfilt(butter(4, 0.4 * fs, fs=FINE, output="sos"), fine)[None, :: FINE // fs]
    return resample_poly(fine, 1, FINE // fs)[None]


@pytest.mark.parametrize(("fs", "recorder", "left"), [
    (100, "causal", 0.028), (250, "causal", 0.065), (100, "linear-phase", 0.02), (250, "linear-phase", 0.05),
])  # fmt: skip
def test_hardly_anything_is_left_beside_a_spike_that_rings(fs: int, recorder: str, left: float) -> None:
    rest = []
    for seconds in 0.25 + np.arange(20) / (20 * fs):  # wherever it falls between two samples
        signal = spike_at(seconds, fs, recorder).astype(np.float32)
        pulse = np.array([np.abs(signal[0]).argmax()])
        outside = np.abs(np.arange(signal.shape[1]) - pulse) > CUT
        rest.append(np.abs(cut_out(signal, pulse)[0, outside]).max())
    assert np.median(rest) < left


def test_what_does_not_ring_is_left_as_it_was() -> None:
    slow = np.sin(np.arange(200) / 15)[None].astype(np.float32)
    spiked = slow.copy()
    spiked[0, 100] += HEIGHT
    np.testing.assert_allclose(cut_out(spiked, np.array([100])), slow, atol=0.03)
