"""Preparing a recording: from millivolts to twelve leads, repaired, resampled, filtered and quantised to int16."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from leadset.leads import LEADS
from leadset.preprocess.filters import apply_filter
from leadset.preprocess.repair import Derivation, Repaired, Statistics, complete, plan_derivation, repair, statistics_of
from leadset.preprocess.resampling import resample
from leadset.preprocess.spec import Transform
from leadset.signals import HIGHEST_RATE, LOWEST_RATE
from leadset.utils.memory import row_blocks

_INT16_MAX = 32767
# Samples that are prepared at once: three quarters of an hour of twelve leads at 500 Hz.
_MOST_AT_ONCE = 2**24
# Flags of leads that carry no heartbeat.
_UNUSABLE = ("missing", "flat", "dead", "implausible_amplitude")


@dataclass
class Prepared:
    """A recording after its transform.

    Attributes:
        samples: (12, t) int16, leads in standard order; absent leads are zero.
        statistics: (5, 12) float32: mV per unit, then mean, SD, minimum and maximum in mV. Mean and SD are those of the
            stretches where a lead is known; elsewhere it has its mean.
        flags: what was repaired or looks wrong, such as ``"flat:V1"``.
    """

    samples: np.ndarray
    statistics: np.ndarray
    flags: tuple[str, ...]

    @property
    def usable_leads(self) -> tuple[str, ...]:
        """The leads with a signal, recorded or derived, whatever the header says."""
        return usable_leads(self.flags)


def usable_leads(flags: Iterable[str]) -> tuple[str, ...]:
    """The leads with a signal, recorded or derived, of a recording with these flags of preparing."""
    pairs = [flag.partition(":")[::2] for flag in flags]
    lost = {lead for kind, lead in pairs if kind in _UNUSABLE} - {lead for kind, lead in pairs if kind == "derived"}
    return tuple(lead for lead in LEADS if lead not in lost)


@dataclass(frozen=True)
class Checked:
    """A recording that can be used, ready for any transform.

    Attributes:
        repaired: its recorded leads.
        derivation: what follows from them.
        fs: sampling rate in Hz.
    """

    repaired: Repaired
    derivation: Derivation
    fs: float

    @property
    def flags(self) -> tuple[str, ...]:
        """Those of `Prepared`."""
        return (*self.repaired.flags, *self.derivation.flags)

    def prepare(self, transform: Transform) -> Prepared:
        """The recording after a transform."""
        signal, shares = complete(self.repaired, self.derivation)
        blocks = row_blocks(*signal.shape, _MOST_AT_ONCE)
        if len(blocks) == 1:
            is_same = signal is self.repaired.signal and self.fs == transform.rate
            known = self.repaired.statistics if is_same else None
            resampled = resample(signal, self.fs, transform.rate)
            return Prepared(*_quantised(resampled, known, transform, shares), self.flags)
        samples, statistics = None, []
        for rows in blocks:
            part, of_part = _quantised(resample(signal[rows], self.fs, transform.rate), None, transform, shares[rows])
            samples = np.zeros((len(signal), part.shape[1]), dtype=np.int16) if samples is None else samples
            if part.any():  # what is not written takes no memory
                samples[rows] = part
            statistics.append(of_part)
        return Prepared(samples, np.concatenate(statistics, axis=1), self.flags)


def _quantised(
    signal: np.ndarray, statistics: Statistics | None, transform: Transform, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Samples and statistics, as of `Prepared`, of leads (l, t) in mV at the transform's rate, before its filter.

    Their statistics need not be known.
    """
    if transform.filter != "none":
        signal, statistics = apply_filter(signal, transform.filter, transform.rate), None
    mean, sd, low, high = statistics or statistics_of(signal)
    # What is unknown has the mean, which leaves the SD of what is known by so much too small.
    if (shares < 1).any():
        sd = sd / np.sqrt(shares)
    unit = np.maximum(np.maximum(-low, high), np.float32(1e-6)) / _INT16_MAX
    scaled = signal / unit[:, None].astype(np.float32)
    samples = np.rint(scaled, out=scaled).astype(np.int16)
    return samples, np.stack([unit, mean, sd, low, high]).astype(np.float32)


def preparing_flags(signal: np.ndarray, fs: float, leads: Sequence[str]) -> tuple[str, ...]:
    """The flags that `prepare` gives a recording, for less memory than that takes.

    Raises:
        ValueError: as `prepare`.
    """
    return check(signal, fs, leads).flags


def prepare(signal: np.ndarray, fs: float, leads: Sequence[str], transform: Transform) -> Prepared:
    """A recording in millivolts, ready to cut windows from.

    Args:
        signal: (l, t) in mV, any leads in any order; NaN and infinity are allowed.
        fs: sampling rate in Hz.
        leads: the l lead names.
        transform: the sampling rate and filter wanted.

    Raises:
        ValueError: no samples, no lead of the twelve with a signal, a shape that does not fit the names, a senseless
            rate.
    """
    return check(signal, fs, leads).prepare(transform)


def check(signal: np.ndarray, fs: float, leads: Sequence[str]) -> Checked:
    """A recording that can be used at all; arguments and errors as of `prepare`."""
    signal = np.asarray(signal, dtype=np.float32)
    if signal.ndim != 2 or signal.shape[0] != len(leads) or not signal.shape[1]:
        raise ValueError(f"signal of shape {signal.shape}: expected ({len(leads)} leads, samples)")
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        raise ValueError(f"sampling rate {fs} Hz: expected {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    repaired = repair(signal, fs, leads)
    if not repaired.usable:
        recorded = ", ".join(leads) or "none"
        kinds = {flag.partition(":")[0] for flag in repaired.flags}
        recorded += " with mostly invalid samples" if "nonfinite" in kinds else ""
        recorded += " without any signal (flat)" if "flat" in kinds else ""
        hint = "" if repaired.leads else "; the table [leads] of leadset.toml can say what a name stands for"
        raise ValueError(f"no usable lead: found {recorded}, expected some of {' '.join(LEADS)}{hint}")
    return Checked(repaired, plan_derivation(repaired, fs), fs)
