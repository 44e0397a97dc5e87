"""Whether a recording can be used, how good each of its leads is, and which electrodes may be in the wrong place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.fft

from leadset.leads import LIMB_WEIGHTS, canonical_lead
from leadset.signals import HIGHEST_RATE, LOWEST_RATE, MIN_KNOWN_S, PLAUSIBLE_SD_MV, known
from leadset.utils.nan_statistics import median
from leadset.waves.baseline import baseline_moves
from leadset.waves.delineator import Delineation, clarity, delineate
from leadset.waves.electrodes import stack_levels, suspect_exchange
from leadset.waves.levels import LEVELS, QRS_LEVELS, partly_shown, wave_levels
from leadset.waves.limb_leads import LimbLeads, compare_limb_leads
from leadset.waves.marks import QRSEND, QRSON, R
from leadset.waves.quality import CLIPPED_SHARE, FLAT_RANGE, NOISY, Repaired, repair
from leadset.waves.time_scale import is_of_another_rate

#: What may be wrong with a lead; `leadset.signals.QUALITY_FLAGS` says what it means.
REASONS: tuple[str, ...] = ("missing", "constant", "flat", "clipped", "noise", "wander", "spikes")
#: Median over the beats of their quality in the best lead below which they are noise that looks like beats. Noise
#: reaches 0.20; of 949 real recordings that were published for their diagnoses the lowest has 0.41.
LEGIBLE = 0.25
#: Clarity (`leadset.waves.delineator.clarity`) of the first, middle or last seconds of the first lead, or of at most so
#: many, from which on a recording is usable whatever else is found of it. Real recordings that are found unusable reach
#: 0.42; the first lead alone, which takes half the time, is as clear in 95 of 100 others.
CLEAR, CLEAR_S, FEW_LEADS = 0.5, 10.0, 4
#: Where `LEGIBLE` is not reached, stretches of so many seconds, evenly spread and at most so many, are looked at by
#: themselves, as a disturbance of half a recording spoils the quality of the whole. One with so many beats, of a median
#: quality above `NOISY`, makes it usable.
STRETCH_S, MOST_STRETCHES, STRETCH_BEATS = 4.0, 12, 3
#: Standard deviation in mV of the seconds' mid-ranges from which on a lead wanders.
WANDER_MV = 0.5
#: A second with jumps of this size in mV, and so many times those of the typical second, has spikes.
SPIKE_MV, SPIKE_TIMES = 0.3, 5.0
#: Samples of a spike, in seconds on either side of its peak.
_SPIKE_S = 0.004
#: Share of the power of signals without heartbeats in lines at multiples of 50 or 60 Hz that makes them mains hum, and
#: the least ratio of geometric to arithmetic mean of the spectrum's bands that makes them white noise.
_HUM, _WHITE, _BAND_HZ = 0.5, 0.7, 4.0
_MAINS_HZ = (50.0, 60.0)
#: Median duration in s of the complexes, and median share of their range by which they move the baseline, above which a
#: lead shows no ECG (a pulse curve has 0.24; a pressure curve, a saw-tooth or a square wave moves it by 0.55 and more;
#: in the best lead of 2600 real recordings at most 0.18 and 0.44); and beats from which on this is judged.
LONGEST_QRS_S, MOST_MOVED, FEWEST_BEATS = 0.21, 0.5, 2
#: Two of I, II and III are bad if this electrode has no good contact.
_SHARED_BY = {"RA": {"I", "II"}, "LA": {"I", "III"}, "LL": {"II", "III"}}


@dataclass(frozen=True)
class Quality:
    """Quality of a recording.

    Attributes:
        leads: names of the leads, as they were given.
        by_lead: (leads,) from 0 (unreadable) to 1 (clean).
        reasons: for each lead, what is wrong with it, out of `REASONS`.
        overall: probability that no lead is bad.
        usable: whether any lead shows heartbeats for some seconds.
        unusable_because: why not; empty where it is usable.
        suspicions: ``"exchanged:RA-LA"``, ``"inverted:V1"``, ``"not_ecg"`` and so on; `leadset.signals.QUALITY_FLAGS`
            says what they mean.
        delineation: by which it was assessed; None where there was nothing to delineate.
    """

    leads: tuple[str, ...]
    by_lead: np.ndarray
    reasons: tuple[tuple[str, ...], ...]
    overall: float
    usable: bool
    unusable_because: str
    suspicions: tuple[str, ...]
    delineation: Delineation | None = field(default=None, repr=False, compare=False)

    @property
    def flags(self) -> tuple[str, ...]:
        """All of it as flags: ``"noise:V1"``, the suspicions, ``"unusable: REASON"``."""
        pairs = zip(self.leads, self.reasons, strict=True)
        by_lead = [f"{reason}:{lead}" for lead, reasons in pairs for reason in reasons]
        return (*by_lead, *self.suspicions, *([] if self.usable else [f"unusable: {self.unusable_because}"]))


def assess(
    signal_mv: np.ndarray, fs: float, leads: Sequence[str], delineation: Delineation | None = None
) -> Quality:
    """Assesses a recording; no state of the signal raises an error.

    Args:
        signal_mv: (leads, samples) or (samples,) in millivolts; NaN and infinity mark missing samples.
        fs: sampling rate in Hz.
        leads: their names.
        delineation: of this signal, where it has been delineated.

    Raises:
        ValueError: signal, names and delineation do not belong together.
    """
    signal, leads = _checked(signal_mv, leads)
    obstacle = _obstacle(signal, fs)
    if obstacle:
        missing = tuple(("missing",) if not known(row).any() else () for row in signal)
        return Quality(leads, np.zeros(len(leads)), missing, 0.0, False, obstacle, ())
    delineation = delineation or delineate(signal, fs)
    if len(delineation.marks) != len(leads):
        raise ValueError(f"{len(leads)} leads, but {len(delineation.marks)} were delineated")
    repaired = repair(signal)
    why_not = _why_unusable(repaired, fs, delineation)
    if why_not:  # whatever else they look like
        quality = np.zeros(len(leads))
        return Quality(leads, quality, _reasons(repaired, fs, quality), 0.0, False, why_not, (), delineation)
    reasons, suspicions = _reasons(repaired, fs, delineation.quality), _suspicions(signal, leads, delineation)
    if _is_no_ecg(repaired, delineation):
        suspicions = ("not_ecg", *suspicions)
    elif is_of_another_rate(delineation):
        suspicions = ("sampling_rate", *suspicions)
    overall = delineation.recording_quality
    return Quality(leads, delineation.quality, reasons, overall, True, "", suspicions, delineation)


def unusable_because(signal_mv: np.ndarray, fs: float, leads: Sequence[str]) -> str:
    """The same of `assess`, in a fraction of the time where a recording is good; arguments and errors as there."""
    signal, leads = _checked(signal_mv, leads)
    obstacle = _obstacle(signal, fs)
    if obstacle:
        return obstacle
    some, length = signal[:: -(-len(signal) // FEW_LEADS)], round(CLEAR_S * fs)
    starts = np.unique(np.linspace(0, max(signal.shape[1] - length, 0), 3).astype(int))
    looks = [some[:1], some] if len(some) > 1 else [some]
    if any(clarity(rows[:, start : start + length], fs) >= CLEAR for start in starts for rows in looks):
        return ""
    return _why_unusable(repair(signal), fs, delineate(signal, fs))


def _checked(signal_mv: np.ndarray, leads: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The signal (leads, samples) float32 and the names of the leads.

    Raises:
        ValueError: there are not as many of both.
    """
    signal = np.atleast_2d(np.asarray(signal_mv, dtype=np.float32))
    leads = tuple(leads)
    if signal.ndim != 2 or len(signal) != len(leads):
        raise ValueError(f"{len(leads)} names of leads for a signal of shape {np.shape(signal_mv)}")
    return signal, leads


def _obstacle(signal: np.ndarray, fs: float) -> str:
    """Why a signal need not be looked at; empty where it is worth it."""
    if not signal.size:
        return "no samples"
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        return f"sampling rate of {fs:g} Hz"
    # Lead by lead, as the first is enough for most recordings.
    if any(np.count_nonzero(known(lead)) >= MIN_KNOWN_S * fs for lead in signal):
        return ""
    return f"no lead is known for {MIN_KNOWN_S:g} s" if known(signal).any() else "every sample is missing"


def _reasons(repaired: Repaired, fs: float, quality: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """What is wrong with each lead, out of `REASONS`."""
    signal = repaired.signal
    moves, largest, typical = np.array([_unrest(row, fs) for row in signal]).T
    constant = signal.max(axis=1) == signal.min(axis=1)
    alive = repaired.usable
    wrong = {
        "missing": repaired.gaps > 0,
        "constant": constant & (repaired.gaps < 1),
        "flat": repaired.flat & ~constant,
        "clipped": alive & (repaired.clipped > CLIPPED_SHARE),
        "noise": alive & (quality < NOISY),
        "wander": alive & (moves > WANDER_MV),
        "spikes": alive & (largest > np.maximum(SPIKE_TIMES * typical, SPIKE_MV)),
    }
    return tuple(tuple(name for name in REASONS if wrong[name][lead]) for lead in range(len(signal)))


def _unrest(row: np.ndarray, fs: float) -> tuple[float, float, float]:
    """Of a lead (t,): SD of the seconds' mid-ranges, and the largest and the median of their largest jumps, in mV.

    One lead after the other, as the jumps of all leads would take several times the memory of a long recording.
    """
    step, reach = max(round(fs), 1), max(round(_SPIKE_S * fs), 1)
    seconds = row[: len(row) // step * step].reshape(-1, step)
    middle = (seconds.max(axis=1) + seconds.min(axis=1)) / 2
    jumps = np.abs(2 * row[reach:-reach] - row[: -2 * reach] - row[2 * reach :]) / 2
    jumps = np.maximum.reduceat(jumps, np.arange(0, len(jumps), step))
    return float(middle.std()), float(jumps.max()), float(np.median(jumps))


def _why_unusable(repaired: Repaired, fs: float, delineation: Delineation) -> str:
    """Why there are no heartbeats; empty where there are."""
    if _legibility(delineation) >= LEGIBLE or _has_legible_stretch(repaired, fs, delineation.method):
        return ""
    lost = ~repaired.usable
    sd = float(np.median(repaired.signal.std(axis=1)))
    if sd and not PLAUSIBLE_SD_MV[0] <= sd <= PLAUSIBLE_SD_MV[1]:
        return f"amplitudes are far from an ECG's (SD {sd:.2g} mV): the unit or gain is probably wrong"
    if lost.all():
        return "every lead is flat or missing"
    kind = _kind_of_noise(repaired.signal[~lost], fs)
    if 2 * lost.sum() > len(lost):
        return f"electrodes are off: {lost.sum()} of {len(lost)} leads are flat or missing, the others show {kind}"
    return f"no heartbeats in any lead, only {kind}"


def _legibility(delineation: Delineation) -> float:
    """Median over the beats of their quality in the best lead; 0 without beats."""
    best = delineation.beat_quality.max(axis=0)
    return float(np.median(best)) if len(best) else 0.0


def _has_legible_stretch(repaired: Repaired, fs: float, method: str) -> bool:
    """Whether a part of the leads that are not lost shows heartbeats."""
    signal = repaired.signal[repaired.usable]
    length, last = round(STRETCH_S * fs), signal.shape[1] - round(STRETCH_S * fs)
    if not len(signal) or last <= 0:
        return False
    starts = np.linspace(0, last, min(1 + -(-2 * last // length), MOST_STRETCHES)).astype(int)  # half a stretch apart
    delineations = (delineate(signal[:, a : a + length], fs, method) for a in starts)
    return any(len(one.r_peaks) >= STRETCH_BEATS and _legibility(one) >= NOISY for one in delineations)


def _kind_of_noise(signal: np.ndarray, fs: float) -> str:
    """What signals (leads, samples) without heartbeats look like."""
    centred = signal - signal.mean(axis=1, keepdims=True)
    power = (np.abs(scipy.fft.rfft(centred, axis=1)) ** 2).sum(axis=0)[1:]
    frequency = np.arange(1, len(power) + 1) * fs / signal.shape[1]
    for mains in _MAINS_HZ:
        line = np.abs((frequency + mains / 2) % mains - mains / 2) < 1
        if mains < fs / 2 and power[line & (frequency > mains / 2)].sum() > _HUM * power.sum():
            return f"hum of {mains:g} Hz"
    bands = np.add.reduceat(power, np.searchsorted(frequency, np.arange(0, frequency[-1] - _BAND_HZ, _BAND_HZ)))
    if np.exp(np.log(bands + 1e-12).mean()) > _WHITE * bands.mean():
        return "white noise"
    return "noise"


def _is_no_ecg(repaired: Repaired, delineation: Delineation) -> bool:
    """Whether beats of every good lead are too wide for complexes or do not come back to the baseline."""
    r, limits = delineation.marks[:, :, R], delineation.marks[:, :, [QRSON, QRSEND]]
    there = ~np.isnan(r)
    good = np.flatnonzero((delineation.quality >= NOISY) & (there.sum(axis=1) >= FEWEST_BEATS))
    durations = (limits[:, :, 1] - limits[:, :, 0])[good] / delineation.fs
    wide = median(durations) > LONGEST_QRS_S
    if not wide.all():
        rows, beats = np.nonzero(there[good])
        moves = np.full(durations.shape, np.nan)
        moves[rows, beats] = baseline_moves(
            repaired.signal, delineation.fs, good[rows], r[good[rows], beats].round().astype(int))
        wide |= median(moves) > MOST_MOVED
    return bool(len(good) and wide.all())


def _suspicions(signal: np.ndarray, leads: tuple[str, ...], delineation: Delineation) -> tuple[str, ...]:
    """Electrodes and leads that may be in the wrong place."""
    names = [canonical_lead(lead) for lead in leads]
    copies = _copies(signal, names)
    good = {name for name, quality in zip(names, delineation.quality, strict=True) if quality >= NOISY}
    bad = set(names) - good
    loose = [f"loose:{name}" for name, pair in _SHARED_BY.items()
             if pair <= bad and {"I", "II", "III"} - pair <= good]
    levels = {name: row for name, row in zip(names, wave_levels(signal, delineation), strict=True)
              if name in good and name not in copies and not np.isnan(row[QRS_LEVELS]).any()}
    partly = {name for name, part in zip(names, partly_shown(delineation), strict=True) if part}
    limbs = _compare_limb_leads({name: row for name, row in levels.items() if name not in partly})
    loose += [f"copied:{original}-{name}" for name, original in copies.items()]
    if limbs is None:
        return (*loose, *_exchange(levels))
    return (*loose, *limbs.suspicions, *_exchange(levels | {"I": limbs.first, "II": limbs.second}))


def _copies(signal: np.ndarray, names: Sequence[str]) -> dict[str, str]:
    """Leads with the samples of another, and which.

    No limb leads where one of them is flat: with 0 in lead I, II, III and aVF are the same by Einthoven's law.
    """
    alive = np.nanmax(signal, axis=1, initial=-np.inf) - np.nanmin(signal, axis=1, initial=np.inf) > FLAT_RANGE
    flat_limb = any(name in LIMB_WEIGHTS for name, there in zip(names, alive, strict=True) if not there)
    first: dict[bytes, str] = {}  # digests, as the samples of a day would take the memory of the recording again
    copies = {}
    for name, row, there in zip(names, signal, alive, strict=True):
        if not there:
            continue
        original = first.setdefault(hashlib.blake2b(np.ascontiguousarray(row)).digest(), name)
        if original != name and not (flat_limb and {original, name} <= LIMB_WEIGHTS.keys()):
            copies[name] = original
    return copies


def _compare_limb_leads(levels: dict[str, np.ndarray]) -> LimbLeads | None:
    """Limb leads among levels (8,) of the same beats, by the waves that all of them show; NaN where one does not."""
    limbs = {name: row for name, row in levels.items() if name in LIMB_WEIGHTS}
    if not limbs:
        return None
    shared = ~np.isnan(np.stack(list(limbs.values()))).any(axis=0)
    limb_leads = compare_limb_leads({name: row[shared] for name, row in limbs.items()})
    if limb_leads is None:
        return None
    first, second = np.full((2, LEVELS), np.nan)
    first[shared], second[shared] = limb_leads.first, limb_leads.second
    return replace(limb_leads, first=first, second=second)


def _exchange(levels: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Exchanged electrodes, if any, of those that lead to these levels."""
    exchange = suspect_exchange(stack_levels(levels))
    return (exchange,) if exchange else ()
