"""The one path of a recording: training and `run_model` both go through `prepare` and `cut_window`.

Knows nothing of files or models. A recording in millivolts becomes a `Prepared` one (twelve leads in standard order,
repaired, resampled, filtered, quantised to int16), and windows are cut from that. What the store keeps on disk is
exactly a `Prepared` recording, so that a stored window and a window of a recording just read are the same tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from statistics import median

import numpy as np

from leadset.leads import LEADS, LIMB_WEIGHTS, canonical_lead
from leadset.missing import IMPOSSIBLE_MV, known
from leadset.resampling import HIGHEST_RATE, LOWEST_RATE, resample

# Leads whose share of known samples is below this are treated as missing; above it, gaps are bridged by a line.
MIN_KNOWN_SHARE = 0.5
# Below this SD in mV a lead carries no heartbeat: z-scoring must not blow its noise up to unit variance.
MIN_SD_MV = 0.005
# A median SD over the leads outside this range (mV) means that the unit in the header is probably wrong.
PLAUSIBLE_SD_MV = (0.005, 5.0)
# Share of samples that sit exactly on a lead's own maximum or minimum from which on it counts as clipped.
CLIPPED_SHARE = 0.02
# Every so many samples tell as much about clipping as all of them.
_CLIPPING_STRIDE = 4
# Windows averaged at test, at most: a 30-min recording is sampled evenly.
MAX_TEST_WINDOWS = 16
_INT16_MAX = 32767


@dataclass(frozen=True)
class Transform:
    """What is done once to a whole recording; recordings prepared alike share one store.

    Attributes:
        rate: sampling rate in Hz after polyphase resampling.
        filter: a name out of `FILTERS`, applied without phase shift after resampling.
    """

    rate: int = 500
    filter: str = "none"

    def __post_init__(self) -> None:
        if not isinstance(self.rate, int) or not 1 <= self.rate <= HIGHEST_RATE:
            raise ValueError(f"rate={self.rate}: expected a whole number of Hz, 1 to {HIGHEST_RATE}")
        if self.filter not in FILTERS:
            raise ValueError(f"filter={self.filter!r}: expected one of {', '.join(FILTERS)}")


@dataclass(frozen=True)
class InputSpec:
    """The input a model wants.

    Attributes:
        transform: rate and filter of the recording that windows are cut from.
        samples: window length at that rate; shorter recordings are zero-padded and masked.
        scaling: a name out of `SCALINGS`.
        window: ``"crop"`` (random crop in training, evenly spaced windows averaged at test, padding at the end) or
            ``"tail"`` (the last samples only, padding at the start).
        beats: how many beats of a window the model is told the features of (`leadset.beats`); 0: it wants none.
        record: the model is told the features of the recording as a whole (`leadset.beats`).
        reliable_beats: the model is told all beats of a recording, or of none where most of them seem to be noise.
    """

    transform: Transform = field(default_factory=Transform)
    samples: int = 5000
    scaling: str = "none"
    window: str = "crop"
    beats: int = 0
    record: bool = False
    reliable_beats: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.samples, int) or self.samples < 1:
            raise ValueError(f"samples={self.samples}: expected a number of samples")
        if self.delineated and self.transform.rate < LOWEST_RATE:
            raise ValueError(f"rate={self.transform.rate}: expected {LOWEST_RATE} Hz or more to delineate beats")
        if self.scaling not in SCALINGS:
            raise ValueError(f"scaling={self.scaling!r}: expected one of {', '.join(SCALINGS)}")
        if self.window not in ("crop", "tail"):
            raise ValueError(f"window={self.window!r}: expected 'crop' or 'tail'")

    @property
    def delineated(self) -> bool:
        """Whether the model is told anything about beats."""
        return self.reliable_beats or self.beats > 0 or self.record

    @property
    def seconds(self) -> float:
        """Window length in seconds."""
        return self.samples / self.transform.rate

    def to_json(self) -> dict:
        """As plain values, for `entry.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> InputSpec:
        """The inverse of `to_json`."""
        return cls(**{**values, "transform": Transform(**values["transform"])})


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


# --- filters -------------------------------------------------------------------------------------------------------


def _butterworth(order: int, edges: float | tuple[float, float], kind: str) -> Callable[[int], np.ndarray]:
    def design(rate: int) -> np.ndarray:
        from scipy.signal import butter

        return butter(order, edges, kind, fs=rate, output="sos")

    return design


def _heartmaasters(rate: int) -> np.ndarray:
    """Chebyshev type II, order 3, 20 dB down at 0.5 and 100 Hz, then a notch at 50 Hz, each where the rate allows it.

    As the heartMAASters entry of the Challenge 2021 had it at 500 Hz: edges are those of the stop band, so that two
    passes are flat within 3 dB from 0.86 to 64 Hz only, and the notch lifts what is far from it by a sixth.
    """
    from scipy.signal import cheby2

    low, high, mains = 0.5, 100.0, 50.0
    if high < rate / 2:
        sections = cheby2(3, 20, (low, high), "bandpass", fs=rate, output="sos")
    else:
        sections = cheby2(3, 20, low, "highpass", fs=rate, output="sos")
    if mains < rate / 2:
        sections = np.vstack([sections, _poles_and_zeros(mains, rate)])
    return sections


def _poles_and_zeros(hertz: float, rate: int) -> np.ndarray:
    """A notch section with poles at 0.9 of its zeros at 500 Hz, and as wide and as strong at any other rate."""

    def section(at_rate: float) -> np.ndarray:
        radius, cosine = 0.9 ** (500 / at_rate), np.cos(2 * np.pi * hertz / at_rate)
        return np.array([1, -2 * cosine, 1, 1, -2 * radius * cosine, radius**2])

    def steady_gain(of: np.ndarray) -> float:
        return of[:3].sum() / of[3:].sum()

    notch = section(rate)
    notch[:3] *= steady_gain(section(500)) / steady_gain(notch)
    return notch


#: Filter designs by name: rate in Hz to second-order sections, run forward and backward.
FILTERS: dict[str, Callable[[int], np.ndarray] | None] = {
    "none": None,
    # Baseline wander out, ST segment kept: two passes of order 1 have -6 dB at 0.5 Hz.
    "highpass": _butterworth(1, 0.5, "highpass"),
    # Restoring networks get the waves alone: two passes of order 2 have -6 dB at 1 Hz and at 25 Hz.
    "restoration": lambda rate: np.concatenate([
        _butterworth(2, 1.0, "highpass")(rate), _butterworth(2, 25.0, "lowpass")(rate)
    ]),
    "heartmaasters": _heartmaasters,
}


@cache
def _filter_sections(name: str, rate: int) -> np.ndarray:
    return FILTERS[name](rate)


def _filtered(signal: np.ndarray, transform: Transform) -> np.ndarray:
    from scipy.signal import sosfiltfilt

    sections = _filter_sections(transform.filter, transform.rate)
    padding = min(transform.rate, signal.shape[1] - 1)
    return sosfiltfilt(sections, signal, axis=1, padtype="odd", padlen=padding)


# --- preparing a recording -----------------------------------------------------------------------------------------


def _arranged(signal: np.ndarray, leads: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Twelve rows in standard order from whatever leads there are: (12, t), names of the missing ones."""
    if tuple(leads) == LEADS:
        return signal, []
    names = [canonical_lead(name) for name in leads]
    arranged = np.zeros((len(LEADS), signal.shape[1]), dtype=np.float32)
    missing = []
    for row, lead in enumerate(LEADS):
        if lead in names:
            arranged[row] = signal[names.index(lead)]
        else:
            missing.append(lead)
    return arranged, missing


def _repair_gaps(signal: np.ndarray, missing: list[str]) -> tuple[np.ndarray, list[str], list[str]]:
    """Bridges NaN, infinite and impossible samples by lines; leads that are mostly gaps become missing ones."""
    if signal.min() > -IMPOSSIBLE_MV and signal.max() < IMPOSSIBLE_MV:  # both are NaN if any sample is
        return signal, missing, []
    signal, flags, missing = signal.copy(), [], list(missing)
    there = known(signal)
    for row in np.flatnonzero(~there.all(axis=1)):
        good = there[row]
        if good.mean() < MIN_KNOWN_SHARE:
            signal[row] = 0
            missing.append(LEADS[row])
        else:
            signal[row, ~good] = np.interp(np.flatnonzero(~good), np.flatnonzero(good), signal[row, good])
        flags.append(f"nonfinite:{LEADS[row]}")
    return signal, missing, flags


def _derive_limb_leads(signal: np.ndarray, missing: list[str]) -> tuple[np.ndarray, list[str], list[str]]:
    """Fills missing limb leads from any two that are there (Einthoven, Goldberger); (12, t), still missing, flags."""
    have = [lead for lead in LIMB_WEIGHTS if lead not in missing]
    wanted = [lead for lead in LIMB_WEIGHTS if lead in missing]
    if not wanted or len(have) < 2:
        return signal, missing, [f"missing:{lead}" for lead in missing]
    to_first_two = np.linalg.inv(np.array([LIMB_WEIGHTS[lead] for lead in have[:2]]))
    first_two = to_first_two @ signal[[LEADS.index(lead) for lead in have[:2]]]
    signal = signal.copy()
    for lead in wanted:
        signal[LEADS.index(lead)] = np.array(LIMB_WEIGHTS[lead]) @ first_two
    missing = [lead for lead in missing if lead not in wanted]
    flags = [f"derived:{lead}" for lead in wanted] + [f"missing:{lead}" for lead in missing]
    return signal, missing, flags


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
        transform: the rate and filter wanted.

    Raises:
        ValueError: no samples, no usable lead of the twelve, a shape that does not fit the names, a senseless rate.
    """
    signal = np.asarray(signal, dtype=np.float32)
    if signal.ndim != 2 or signal.shape[0] != len(leads) or not signal.shape[1]:
        raise ValueError(f"signal of shape {signal.shape}: expected ({len(leads)} leads, samples)")
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        raise ValueError(f"sampling rate {fs} Hz: expected {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    signal, missing = _arranged(signal, leads)
    signal, missing, flags = _repair_gaps(signal, missing)
    signal, missing, more = _derive_limb_leads(signal, missing)
    flags += more
    if len(missing) == len(LEADS):
        found = ", ".join(leads) or "none"
        if any(flag.startswith("nonfinite") for flag in flags):
            found += " with mostly invalid samples"
        raise ValueError(f"no usable lead: found {found}, expected some of {' '.join(LEADS)}")
    signal = resample(signal, fs, transform.rate)
    mean, sd, low, high = _statistics(signal)
    flags += _appearance_flags(signal, sd, low, high, missing)
    if transform.filter != "none":
        signal = _filtered(signal, transform)
        mean, sd, low, high = _statistics(signal)
    unit = np.maximum(np.maximum(-low, high), np.float32(1e-6)) / _INT16_MAX
    scaled = signal / unit[:, None].astype(np.float32)
    samples = np.rint(scaled, out=scaled).astype(np.int16)
    return Prepared(samples, np.stack([unit, mean, sd, low, high]).astype(np.float32), tuple(flags))


# --- windows -------------------------------------------------------------------------------------------------------


def _scale_none(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(statistics.shape[1], np.float32), np.zeros(statistics.shape[1], np.float32)


def _scale_lead(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, mean, sd, _, _ = statistics
    gain = 1 / np.maximum(sd, MIN_SD_MV)
    return gain, -mean * gain


def _scale_recording(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, mean, sd, _, _ = statistics
    overall = mean.mean()
    gain = 1 / max(np.sqrt((sd**2 + (mean - overall) ** 2).mean()), MIN_SD_MV)
    return np.full_like(mean, gain), np.full_like(mean, -overall * gain)


def _scale_range(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    *_, low, high = statistics
    gain = np.where(high > low, 2 / np.maximum(high - low, MIN_SD_MV), 0)
    return gain, np.where(high > low, -low * gain - 1, 0)


#: Amplitude scalings by name: statistics (5, l) of the whole recording to gain and offset (l,) on millivolts.
SCALINGS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "none": _scale_none,  # millivolts
    "lead": _scale_lead,  # zero mean and unit SD per lead
    "recording": _scale_recording,  # one mean and SD for all leads: their ratios stay
    "range": _scale_range,  # each lead's extremes to -1 and 1
}


def window_starts(n_samples: int, spec: InputSpec) -> np.ndarray:
    """First samples of the windows averaged at test: evenly spaced, together covering up to 16 window lengths."""
    if spec.window == "tail" or n_samples <= spec.samples:
        return np.array([n_samples - spec.samples if spec.window == "tail" else 0])
    count = min(-(-n_samples // spec.samples), MAX_TEST_WINDOWS)
    return np.linspace(0, n_samples - spec.samples, count).round().astype(int)


def random_start(n_samples: int, spec: InputSpec, rng: np.random.Generator) -> int:
    """First sample of a training window, uniform over all that fit."""
    if spec.window == "tail" or n_samples <= spec.samples:
        return int(window_starts(n_samples, spec)[0])
    return int(rng.integers(n_samples - spec.samples + 1))


def cut_window(
    samples: np.ndarray, statistics: np.ndarray, rows: Sequence[int], start: int, spec: InputSpec
) -> tuple[np.ndarray, np.ndarray]:
    """A scaled window of a prepared recording.

    Args:
        samples: (12, t) int16, in memory or mapped.
        statistics: (5, 12) as in `Prepared`.
        rows: indices of the wanted leads.
        start: first sample; may be negative (padding before the recording).
        spec: length and scaling.

    Returns:
        Window (l, spec.samples) float32 with zeros as padding, and mask (spec.samples,) bool.
    """
    rows = list(rows)
    first, last = max(start, 0), min(start + spec.samples, samples.shape[1])
    statistics = statistics[:, rows]
    gain, offset = SCALINGS[spec.scaling](statistics)
    window = np.zeros((len(rows), spec.samples), dtype=np.float32)
    inside = slice(first - start, last - start)
    window[:, inside] = samples[rows, first:last]
    window[:, inside] *= (statistics[0] * gain).astype(np.float32)[:, None]
    window[:, inside] += offset.astype(np.float32)[:, None]
    mask = np.zeros(spec.samples, dtype=bool)
    mask[inside] = True
    return window, mask
