"""Pacing spikes at up to 300 Hz, where a spike is one to three samples wide and the peak of a complex hardly more.

The shape of a pulse does not tell the two apart. So all pulses that are as sharp as the rate allows are cut out for a
trial. Where they were spikes, complexes remain, before which they came at a steady distance, and which were seen beside
the spikes, too; where they were complexes, T waves remain at best.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from leadset.waves.envelope import measure
from leadset.waves.learned import sure_beats
from leadset.waves.spikes import CUT_RATE, without_spikes
from leadset.waves.wavelet import transform

#: Rate in Hz up to which spikes are sought by their sharpness.
HIGHEST_RATE = 300
#: Differences of this order leave nothing of slopes, and of a pulse of one sample its height times the divisor.
ORDER, DIVISOR = 6, 20
#: Samples on either side of a pulse in which its range is taken.
REACH = 2
#: A pulse is sharp if its sixth difference is this share of its range; it is so many times the usual one of the lead,
#: and the range this share of the largest ones.
SHARP, STANDS_OUT, SMALLEST = 0.4, 8.0, 0.08
#: Median sharpness of spikes. What is sharp so many ms before R or later may be a peak of the complex; on up to so many
#: leads such peaks reach 0.6.
TYPICAL, LATE, LATE_TYPICAL, FEW_LEADS = 0.45, 110, 0.62, 2
#: ms before R at which spikes come, how steadily, and before which share of the beats. At rates from `CUT_RATE` on,
#: those so near are not sought that notches of complexes are.
NEAREST, NEAREST_CUT, FARTHEST, STEADY, BEAT_SHARE = 45, 65, 350, 25, 0.7
#: Least confidence of the beats that remain, the mean over them.
SURE = 0.75
#: Share of them that were seen beside the spikes, to so many ms. Pulses of one sample may have hidden them.
SEEN, SAME, ONE_SAMPLE = 0.7, 60, 0.9
#: Fewest spikes, and the most for each beat.
FEWEST, MOST = 3, 4
#: Samples on either side of a spike that a straight line replaces, and in which filters let it ring.
CUT, RINGING = 2, 10
#: Weights of the sample beside a spike and the next two that leave nothing at half the rate and all of a straight line.
BESIDE = np.array([0.75, 0.5, -0.25], dtype=np.float32)


def without_pacing(signal: np.ndarray, fs: float, usable: np.ndarray) -> np.ndarray:
    """The signal (leads, samples) in mV without pacing spikes; itself where there are none, or the rate is high."""
    if fs > HIGHEST_RATE or not usable.any() or signal.shape[1] <= 2 * RINGING:
        return signal
    pulses, sharpness = sharp_pulses(signal[usable])
    if len(pulses) < FEWEST:
        return signal
    cut = cut_out(signal, pulses)
    beats, sure = _beats(cut, fs, usable)
    if len(beats) < FEWEST or sure.mean() < SURE or _count(pulses) > MOST * len(beats):
        return signal
    ahead, typical = _ahead(pulses, beats, fs), np.median(sharpness)
    if not ahead or typical < (LATE_TYPICAL if ahead < LATE and usable.sum() <= FEW_LEADS else TYPICAL):
        return signal
    if typical < ONE_SAMPLE:
        earlier = _beats(without_spikes(signal, fs), fs, usable)[0]
        if (_distance(beats, earlier) <= SAME * fs / 1000).mean() < SEEN:
            return signal
    return cut


def sharp_pulses(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples (n,) of the pulses of a signal (leads, samples) that are as sharp as its rate allows, and their sharpness
    (n,) from 0 to 1, all leads together."""
    half = ORDER // 2
    edges = np.abs(np.diff(np.pad(signal, ((0, 0), (half, half)), mode="edge"), ORDER, axis=1)) / DIVISOR
    top, bottom = (pick(signal, 2 * REACH + 1, axis=1) for pick in (maximum_filter1d, minimum_filter1d))
    edge, span = (np.sqrt(np.mean(values**2, axis=0)) for values in (edges, top - bottom))
    sharpness = edge / np.maximum(span, 1e-6)
    there = (sharpness >= SHARP) & (edge > STANDS_OUT * np.median(edge)) & (edge >= maximum_filter1d(edge, 5))
    there &= span > SMALLEST * np.quantile(span, 0.99)
    if len(signal) == 1:  # of a complex, the corners are sharp, too
        near = (top - bottom)[0] / 4
        there &= (signal[0] >= top[0] - near) | (signal[0] <= bottom[0] + near)
    there[: 2 * REACH] = there[-2 * REACH :] = False
    pulses = np.flatnonzero(there)
    return pulses, sharpness[pulses]


def cut_out(signal: np.ndarray, pulses: np.ndarray) -> np.ndarray:
    """The signal (leads, samples) with straight lines in place of the pulses at samples (n,), and what rings beside
    them smoothed."""
    samples = signal.shape[1]
    near = np.zeros(samples, dtype=bool)
    near[pulses] = True
    near = maximum_filter1d(near, 2 * RINGING + 1)
    padded = np.pad(signal, ((0, 0), (1, 1)), mode="edge")
    # It rings at half the rate, at which these weights leave nothing.
    out = np.where(near, (padded[:, :-2] + padded[:, 2:]) / 4 + signal / 2, signal)
    firsts = pulses[np.diff(pulses, prepend=-np.inf) > 2 * CUT + 1]
    lasts = pulses[np.diff(pulses, append=np.inf) > 2 * CUT + 1]
    for first, last in zip(firsts - CUT, lasts + CUT + 1, strict=True):
        start, stop = max(first, 0), min(last, samples)
        if start >= 3:
            out[:, start - 1] = _beside(out[:, start - 3 : start][:, ::-1], signal[:, start - 3 : start][:, ::-1])
        if stop <= samples - 3:
            out[:, stop] = _beside(out[:, stop : stop + 3], signal[:, stop : stop + 3])
        left = out[:, max(start - 2, 0) : start].mean(axis=1) if start else out[:, stop]
        right = out[:, stop : stop + 2].mean(axis=1) if stop < samples else left
        out[:, start:stop] = np.linspace(left, right, stop - start + 2, axis=1)[:, 1:-1]
    return out


def _beside(smooth: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """(leads,) the sample beside a spike, of three (leads, 3) from there on, smoothed and not.

    Smoothing takes a part of the spike in, where that does not ring as far; so it is the middle one of the smoothed
    sample, of one smoothed without the spike, and of the line through the next two.
    """
    return np.median([smooth[:, 0], signal @ BESIDE, 2 * smooth[:, 1] - smooth[:, 2]], axis=0)


def _beats(signal: np.ndarray, fs: float, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beats (n,) of a signal in samples, and the confidence of each."""
    grid = transform(signal, fs)
    envelope = measure(grid.scales, usable)
    if not envelope.legible.any():
        return np.zeros(0), np.zeros(0)
    beats, sure = sure_beats(grid, envelope)
    return grid.to_input(beats), sure


def _count(pulses: np.ndarray) -> int:
    """Number of pulses, of which those that ring together are one."""
    return int((np.diff(pulses, prepend=-np.inf) > RINGING / 2).sum())


def _ahead(pulses: np.ndarray, beats: np.ndarray, fs: float) -> float:
    """The most ms by which pulses come before beats, most of which have one at that distance; 0 where they do not."""
    ahead = np.arange(NEAREST if fs < CUT_RATE else NEAREST_CUT, FARTHEST + 1, 5)
    near = _distance(beats - ahead[:, None] * fs / 1000, pulses) <= STEADY * fs / 1000
    return float(ahead[near.mean(axis=1) >= BEAT_SHARE].max(initial=0))


def _distance(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each place from the nearest of the others (n,), which are in order."""
    if not len(others):
        return np.full(np.shape(places), np.inf)
    right = np.minimum(np.searchsorted(others, places), len(others) - 1)
    return np.minimum(np.abs(places - others[right]), np.abs(places - others[np.maximum(right - 1, 0)]))
