"""Signal quality of leads from 0 to 1, flags, and repair of missing samples.

The quality is the probability that a lead is good in a logistic model of a few measurements, fitted on the bad leads
annotated in the training set of the PhysioNet/CinC Challenge 2011 (Silva, Moody, Celi, Comput. Cardiol. 38, 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.signals import known, runs
from leadset.utils.nan_statistics import median
from leadset.waves.envelope import Envelope, fine_slopes
from leadset.waves.search import gather, ms
from leadset.waves.wavelet import GRID_RATE, Transform

#: Names of what may be wrong with a lead.
FLAGS: tuple[str, ...] = ("missing samples", "flat", "clipped", "noisy")
#: Peak-to-peak range in mV under which a lead, or a second of it, is flat.
FLAT_RANGE = 0.02
#: Range of a second in mV above which it is more than an ECG, under which it is low.
HUGE_RANGE, LOW_RANGE = 3.0, 0.4
#: A lead with a larger share of missing samples is not used; with a larger share of samples at one of its extremes it
#: is clipped; with a lower quality it is noisy.
MOST_MISSING, CLIPPED_SHARE, NOISY = 0.5, 0.02, 0.5
#: An extreme value farther from the mean than this share of the range is a rail; a nearer one is the baseline.
RAIL_DISTANCE = 0.2
#: A sample at an extreme of its lead that lies so many mV from the lead's median is the end of a range, no voltage.
RANGE_END = 15.0
#: Missing stretches of up to so many ms are bridged and may hold marks; a longer one holds none.
BRIDGED = 40.0
#: Quality of a beat whose R is bridged, and reach in ms around R in which missing samples count.
BRIDGED_QUALITY, KNOWN_REACH = 0.7, 50.0
#: Reach around a beat for its quality; median over peak of the slopes there in a clean and in an unreadable beat.
BEAT_REACH, CLEAN_RATIO, POOR_RATIO = ms(400), 0.15, 0.6
#: Below this median RR interval (176 beats a minute), hardly smoothed slopes are looked at, which have a rest between
#: beats where smoothed ones have none.
FAST_RR = ms(340)
#: Logistic model of badness: measurement -> weight. See benchmarks/fit_quality.py.
WEIGHTS: dict[str, float] = {
    "flat": 0.37, "huge": 0.76, "low": 1.4, "hiss": 1.58, "burst": 1.77, "drop": 0.67, "alone": 0.73, "wander": 1.81,
}
INTERCEPT = 4.27


@dataclass(frozen=True)
class Repaired:
    """A signal without gaps.

    Attributes:
        signal: (leads, samples) in mV, missing samples bridged by straight lines.
        missing: (leads, samples) True where they were.
        gaps: (leads,) share of missing samples.
        clipped: (leads,) share of samples in runs of three or more at the lead's largest or smallest value, unless that
            is its baseline.
        flat: (leads,) True where there is no signal.
        usable: (leads,) False for leads that are flat or mostly missing, which are not delineated.
    """

    signal: np.ndarray
    missing: np.ndarray
    gaps: np.ndarray
    clipped: np.ndarray
    flat: np.ndarray
    usable: np.ndarray


def repair(signal: np.ndarray, missing: np.ndarray | None = None) -> Repaired:
    """Bridges ``missing`` samples (those of `find_missing`) and finds leads that cannot be used."""
    missing = find_missing(signal) if missing is None else missing
    if missing.any():
        signal = signal.copy()
        for row, gaps in zip(signal, missing, strict=True):
            there = np.nonzero(~gaps)[0]
            row[gaps] = np.interp(np.nonzero(gaps)[0], there, row[there]) if len(there) else 0
    gaps = _count(missing) / signal.shape[1]
    low, high = signal.min(axis=1, keepdims=True), signal.max(axis=1, keepdims=True)
    flat = (high - low)[:, 0] <= FLAT_RANGE
    far = RAIL_DISTANCE * (high - low)
    middle = signal.mean(axis=1, keepdims=True)
    floor, ceiling = np.where(middle - low > far, low, np.nan), np.where(high - middle > far, high, np.nan)
    clipped = np.array([_at_ends(*lead) for lead in zip(signal, floor, ceiling, strict=True)]) / signal.shape[1]
    return Repaired(signal, missing, gaps, clipped, flat, ~flat & (gaps <= MOST_MISSING))


def _at_ends(row: np.ndarray, floor: np.ndarray, ceiling: np.ndarray) -> int:
    """Number of samples (t,) that are at one of two values, as both of their neighbours are."""
    extreme = (row == floor) | (row == ceiling)
    return np.count_nonzero(extreme[:-2] & extreme[1:-1] & extreme[2:])


def find_missing(signal: np.ndarray) -> np.ndarray:
    """(leads, samples) which samples are NaN, infinite, impossible or at the ends of a converter's range."""
    missing = np.array([~known(row) for row in signal])  # all at once would take the memory of the signal again
    with np.errstate(invalid="ignore"):
        suspect = ~(np.ptp(signal, axis=1) < RANGE_END)  # NaN is, too
    for lead in np.nonzero(suspect)[0]:
        row, gaps = signal[lead], missing[lead]
        there = row[~gaps]
        low, high = there.min(initial=np.inf), there.max(initial=-np.inf)
        if high - low >= RANGE_END:
            middle = np.median(there)
            gaps |= ((row == low) & (middle - low >= RANGE_END)) | ((row == high) & (high - middle >= RANGE_END))
    return missing


def long_gaps(missing: np.ndarray, longer: int) -> np.ndarray:
    """(leads, samples) ``missing`` without the runs of up to ``longer`` samples."""
    out = np.zeros_like(missing)
    for row, lead in enumerate(missing):
        for start, stop in zip(*runs(lead), strict=True):
            out[row, start:stop] = stop - start > longer
    return out


def known_share(repaired: Repaired, r: np.ndarray, fs: float) -> np.ndarray:
    """(leads, beats) share of known samples about each R (leads, beats), less where R is bridged; 1 without R."""
    reach = round(KNOWN_REACH * fs / 1000)
    total = np.cumsum(np.pad(repaired.missing, ((0, 0), (reach + 1, reach))), axis=1)
    at, rows = np.nan_to_num(r).round().astype(int), np.arange(len(r))[:, None]
    share = 1 - (total[rows, at + 2 * reach + 1] - total[rows, at]) / (2 * reach + 1)
    share = np.where(repaired.missing[rows, at], np.minimum(share, BRIDGED_QUALITY), share)
    return np.where(np.isnan(r), 1, share)


def _count(mask: np.ndarray) -> np.ndarray:
    """(leads,) number of True in each row; numpy counts a single row many times as fast as along an axis."""
    return np.array([np.count_nonzero(row) for row in mask])


def measurements(grid: Transform, envelope: Envelope) -> np.ndarray:
    """(leads, 8) measurements in the order of `WEIGHTS`; all are near 0 or negative in a clean lead.

    flat: share of seconds without signal; huge: log of the largest range of a second over `HUGE_RANGE`; low: log of
    `LOW_RANGE` over the median range; hiss: log of the mean finest slope, relative to a typical complex; burst, drop:
    log of the steepest and the least steep block relative to a typical one; alone: 1 - correlation with the slopes of
    all leads; wander: log of the standard deviation in mV of the seconds' mid-ranges. Silence between rare complexes is
    no drop, and their range is the largest one.
    """
    leads, samples = grid.signal.shape
    seconds = max(samples // GRID_RATE, 1)
    second = grid.signal[:, : seconds * GRID_RATE].reshape(leads, seconds, -1)
    top, bottom = second.max(axis=2), second.min(axis=2)
    span = top - bottom
    height = median(envelope.height)
    quiet, usual = (height, span.max(axis=1)) if envelope.sparse else (envelope.blocks.min(axis=1), median(span))
    centred = envelope.leads - envelope.leads.mean(axis=1, keepdims=True)
    common = envelope.common - envelope.common.mean()
    correlation = centred @ common / np.sqrt(np.einsum("lt,lt->l", centred, centred) * (common @ common) + 1e-9)
    return np.stack([
        (span < FLAT_RANGE).mean(axis=1),
        np.log(np.maximum(span.max(axis=1) / HUGE_RANGE, 1)),
        np.log(np.maximum(LOW_RANGE / np.maximum(usual, 0.01), 1)),
        np.log((np.abs(grid.scales[0, :, ::3]).mean(axis=1) + 1e-3) / (height + 2e-3)),
        np.log((envelope.blocks.max(axis=1) + 1e-3) / (height + 1e-3)),
        np.log((height + 1e-3) / (quiet + 1e-3)),
        1 - correlation,
        np.log(0.05 + ((top + bottom) / 2).std(axis=1)),
    ], axis=1)


def badness(measured: np.ndarray) -> np.ndarray:
    """(leads,) log odds that a lead is bad, from `measurements`."""
    return measured @ np.array(list(WEIGHTS.values())) + INTERCEPT


def beat_quality(grid: Transform, envelope: Envelope, r: np.ndarray) -> np.ndarray:
    """(leads, beats) how far each complex at ``r`` (leads, beats) stands out of the slopes around it, from 0 to 1."""
    leads, beats = r.shape
    fast = beats > 1 and np.median(np.diff(median(r, axis=0))) < FAST_RR
    slopes = fine_slopes(grid.scales) if fast else envelope.leads
    rows = np.repeat(np.arange(leads), beats)
    start = np.nan_to_num(r).round().astype(int).ravel() - BEAT_REACH
    around = gather(slopes, rows, start, 2 * BEAT_REACH + 1)[:, ::4]
    ratio = median(around) / np.maximum(around.max(axis=1), 1e-9)
    quality = np.clip((POOR_RATIO - ratio) / (POOR_RATIO - CLEAN_RATIO), 0, 1).reshape(leads, beats)
    return np.where(np.isnan(r), 0, quality)
