"""Preparing a recording: from millivolts to twelve leads, repaired, resampled, filtered and quantised to int16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from leadset.leads import LEADS
from leadset.preprocess.filters import apply_filter
from leadset.preprocess.repair import arrange, derive_limb_leads, repair_gaps
from leadset.preprocess.resampling import resample
from leadset.preprocess.spec import Transform
from leadset.signals import CLIPPED_SHARE, HIGHEST_RATE, LOWEST_RATE, PLAUSIBLE_SD_MV

# Clipping is measured on every so many samples, which is as good as on all of them.
_CLIPPING_STRIDE = 4
_INT16_MAX = 32767


@dataclass
class Prepared:
    """A recording after its transform.

    Attributes:
        samples: (12, t) int16, leads in standard order; absent leads are zero.
        statistics: (5, 12) float32: mV per unit, then mean, SD, minimum and maximum in mV.
        flags: what was repaired or looks wrong, such as ``"flat:V1"``.
    """

    samples: np.ndarray
    statistics: np.ndarray
    flags: tuple[str, ...]


def _statistics(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, SD, minimum and maximum (l,) of (l, t)."""
    mean = signal.mean(axis=1)
    centred = signal - mean[:, None]
    sd = np.sqrt(np.einsum("lt,lt->l", centred, centred) / signal.shape[1])
    return mean, sd, signal.min(axis=1), signal.max(axis=1)


def _appearance_flags(
    signal: np.ndarray, sd: np.ndarray, low: np.ndarray, high: np.ndarray, missing: list[str]
) -> list[str]:
    """Flags for flat and clipped leads and for an implausible unit."""
    present = np.array([lead not in missing for lead in LEADS])
    flags = [f"flat:{LEADS[row]}" for row in np.flatnonzero(present & (low == high))]
    alive = present & (low < high)
    if alive.any():
        clipped = np.zeros(len(LEADS), dtype=bool)
        some = signal[:, ::_CLIPPING_STRIDE]
        for limit in (low, high):
            at_limit = some == limit[:, None]
            # Counted over all leads first, which is quick and settles it for most recordings.
            if np.count_nonzero(at_limit) > CLIPPED_SHARE * some.shape[1]:
                clipped |= at_limit.mean(axis=1) > CLIPPED_SHARE
        flags += [f"clipped:{LEADS[row]}" for row in np.flatnonzero(alive & clipped)]
        if not PLAUSIBLE_SD_MV[0] <= median(sd[alive].tolist()) <= PLAUSIBLE_SD_MV[1]:
            flags.append("implausible_amplitude")
    return flags


def prepare(signal: np.ndarray, fs: float, leads: Sequence[str], transform: Transform) -> Prepared:
    """A recording in millivolts, ready to cut windows from.

    Args:
        signal: (l, t) in mV, any leads in any order; NaN and infinity are allowed.
        fs: sampling rate in Hz.
        leads: the l lead names.
        transform: the sampling rate and filter wanted.

    Raises:
        ValueError: no samples, no usable lead of the twelve, a shape that does not fit the names, a senseless rate.
    """
    signal = np.asarray(signal, dtype=np.float32)
    if signal.ndim != 2 or signal.shape[0] != len(leads) or not signal.shape[1]:
        raise ValueError(f"signal of shape {signal.shape}: expected ({len(leads)} leads, samples)")
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        raise ValueError(f"sampling rate {fs} Hz: expected {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    signal, missing = arrange(signal, leads)
    signal, missing, flags = repair_gaps(signal, missing)
    signal, missing, more = derive_limb_leads(signal, missing)
    flags += more
    if len(missing) == len(LEADS):
        given = ", ".join(leads) or "none"
        if any(flag.startswith("nonfinite") for flag in flags):
            given += " with mostly invalid samples"
        raise ValueError(f"no usable lead: found {given}, expected some of {' '.join(LEADS)}")
    signal = resample(signal, fs, transform.rate)
    mean, sd, low, high = _statistics(signal)
    flags += _appearance_flags(signal, sd, low, high, missing)
    if transform.filter != "none":
        signal = apply_filter(signal, transform.filter, transform.rate)
        mean, sd, low, high = _statistics(signal)
    unit = np.maximum(np.maximum(-low, high), np.float32(1e-6)) / _INT16_MAX
    scaled = signal / unit[:, None].astype(np.float32)
    samples = np.rint(scaled, out=scaled).astype(np.int16)
    return Prepared(samples, np.stack([unit, mean, sd, low, high]).astype(np.float32), tuple(flags))
