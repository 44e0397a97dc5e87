"""Features from the marks: per lead and beat, per lead, and per recording.

The tables below are the definition: names, units and meaning in the order of the arrays. Times are seconds, amplitudes
millivolts over the lead's baseline, the mean of the PQ segment (from Pend to QRSon; of the 40 ms before QRSon where
there is no P wave). What is missing is NaN, never 0; flags are 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadset.leads import canonical_lead
from leadset.utils.memory import row_blocks
from leadset.utils.nan_statistics import mean, median, spread
from leadset.waves.delineator import Delineation
from leadset.waves.marks import MARKS, P1, PEND, PON, QRSEND, QRSON, T1, T2, TEND, TON, Q, R, S


@dataclass(frozen=True)
class Feature:
    """Name, unit and definition of a feature."""

    name: str
    unit: str
    definition: str


_TIMED = [column for column in range(len(MARKS)) if column != R]

#: Features of a beat in a lead.
BEAT_FEATURES: tuple[Feature, ...] = (
    *(Feature(f"{MARKS[column]}_time", "s", f"{MARKS[column]} - R of the same beat and lead") for column in _TIMED),
    Feature("rr_before", "s", "R - R of the beat before (marks common to all leads)"),
    Feature("rr_after", "s", "R of the beat after - R (marks common to all leads)"),
    Feature("p_duration", "s", "Pend - Pon"),
    Feature("pr_interval", "s", "QRSon - Pon"),
    Feature("qrs_duration", "s", "QRSend - QRSon"),
    Feature("t_duration", "s", "Tend - Ton"),
    Feature("qt_interval", "s", "Tend - QRSon"),
    Feature("qtc", "s", "qt_interval / (rr / 1 s)^(1/3), Fridericia; rr = rr_before, of the first beat rr_after"),
    Feature("p_amplitude", "mV", "signal at P1 - baseline"),
    Feature("q_amplitude", "mV", "signal at Q - baseline"),
    Feature("r_amplitude", "mV", "signal at R - baseline"),
    Feature("s_amplitude", "mV", "signal at S - baseline"),
    Feature("t_amplitude", "mV", "signal at T1 - baseline"),
    Feature("st_level", "mV", "signal 60 ms after QRSend - baseline"),
    Feature("p_present", "1", "1 where the lead shows a P wave in the beat"),
    Feature("q_present", "1", "1 where it shows a Q wave"),
    Feature("s_present", "1", "1 where it shows an S wave"),
    Feature("t_present", "1", "1 where it shows a T wave"),
)
#: Features of a lead over all its beats.
LEAD_FEATURES: tuple[Feature, ...] = (
    *(Feature(f"{name}_amplitude", "mV", f"median of the beats' {name}_amplitude") for name in "pqrst"),
    Feature("st_level", "mV", "median of the beats' st_level"),
    Feature("qrs_range", "mV", "median of the largest minus the smallest of the amplitudes of Q, R, S"),
    Feature("r_to_s", "1", "median of |r_amplitude| / (|r_amplitude| + |s_amplitude|), 1 without S wave"),
    Feature("q_share", "1", "share of beats with a Q wave"),
    Feature("p_share", "1", "share of beats with a P wave"),
    Feature("t_share", "1", "share of beats with a T wave"),
    Feature("t_biphasic", "1", "share of T waves with two peaks"),
    Feature("t_inverted", "1", "share of T waves whose first peak lies below the baseline"),
    Feature("quality", "1", "quality of the lead"),
)
#: Features of a recording, from the marks common to all leads.
RECORD_FEATURES: tuple[Feature, ...] = (
    Feature("beats", "1", "number of beats"),
    Feature("heart_rate", "1/min", "60 s / median RR interval"),
    Feature("rr_mean", "s", "mean RR interval"),
    Feature("sdnn", "s", "standard deviation of the RR intervals"),
    Feature("rmssd", "s", "root mean square of the differences of successive RR intervals"),
    Feature("pnn50", "1", "share of those differences above 50 ms"),
    Feature("rr_range", "1", "(largest - smallest) / median RR interval"),
    Feature("premature_share", "1", "share of RR intervals below 0.8 of their median"),
    Feature("p_absence", "1", "share of beats without a P wave"),
    Feature("p_duration", "s", "median Pend - Pon"),
    Feature("pr_interval", "s", "median QRSon - Pon"),
    Feature("pr_spread", "s", "standard deviation of QRSon - Pon"),
    Feature("qrs_duration", "s", "median QRSend - QRSon"),
    Feature("wide_share", "1", "share of beats with QRSend - QRSon of 120 ms or more"),
    Feature("t_duration", "s", "median Tend - Ton"),
    Feature("qt_interval", "s", "median Tend - QRSon"),
    Feature("qtc", "s", "median Tend - QRSon divided by (RR / 1 s)^(1/3), Fridericia"),
    Feature("p_axis", "degree", "frontal axis of the P wave: angle of (amplitude in I, 2/sqrt(3) amplitude in aVF)"),
    Feature("qrs_axis", "degree", "frontal axis of the QRS complex from the sums of the amplitudes of Q, R and S"),
    Feature("t_axis", "degree", "frontal axis of the T wave"),
    Feature("quality", "1", "probability that no lead is bad"),
)
_ST_DELAY, _PQ_FALLBACK, _SHORTEST_PQ = 0.060, 0.040, 0.008


@dataclass(frozen=True)
class Features:
    """Attributes: ``beats`` (leads, beats, 30), ``leads`` (leads, 14) and ``record`` (21,), float32 in the order of
    `BEAT_FEATURES`, `LEAD_FEATURES` and `RECORD_FEATURES`; missing values are NaN."""

    beats: np.ndarray
    leads: np.ndarray
    record: np.ndarray

    def tensor(self, beats: int = 40) -> np.ndarray:
        """(30 · leads, beats) features of the first ``beats`` beats for a network; NaN where there is no beat."""
        first = self.beats[:, :beats]
        padded = np.full((len(first), beats, len(BEAT_FEATURES)), np.nan, dtype=np.float32)
        padded[:, : first.shape[1]] = first
        return padded.transpose(0, 2, 1).reshape(-1, beats)


def extract_features(delineation: Delineation, signal_mv: np.ndarray, leads: Sequence[str] = ()) -> Features:
    """Features of a delineated recording.

    Args:
        delineation: of `delineate`.
        signal_mv: (leads, samples) or (samples,) the signal that was delineated, in mV.
        leads: names of the leads, for the axes; without I and aVF (or II, from which it follows) they are missing.

    Raises:
        ValueError: signal, marks and names do not belong together.
    """
    signal = np.atleast_2d(np.asarray(signal_mv, dtype=np.float32))
    if len(signal) != len(delineation.marks) or (leads and len(leads) != len(signal)):
        raise ValueError(f"{len(signal)} signals, {len(delineation.marks)} delineated leads, {len(leads)} names")
    with np.errstate(divide="ignore", invalid="ignore"):  # a share of nothing is missing, and so says the NaN
        beats = _beat_features(delineation, signal)
        table = _lead_features(delineation, beats)
        record = _record_features(delineation, beats, [canonical_lead(name) for name in leads])
    return Features(beats.astype(np.float32), table.astype(np.float32), record.astype(np.float32))


def _index(table: Sequence[Feature], name: str) -> int:
    return next(i for i, feature in enumerate(table) if feature.name == name)


def _column(beats: np.ndarray, name: str) -> np.ndarray:
    return beats[:, :, _index(BEAT_FEATURES, name)]


def _beat_features(delineation: Delineation, signal: np.ndarray) -> np.ndarray:
    marks, fs = delineation.marks, delineation.fs
    beats = marks.shape[1]
    seconds = marks / fs
    r = delineation.r_peaks / fs
    before = np.concatenate([[np.nan], np.diff(r)])[:beats]
    after = np.concatenate([np.diff(r), [np.nan]])[:beats]
    rr = np.where(np.isnan(before), after, before)
    span = lambda a, b: seconds[:, :, b] - seconds[:, :, a]  # noqa: E731
    qt = span(QRSON, TEND)
    baseline = _baseline(signal, marks, fs)
    level = lambda at: _sample(signal, at) - baseline  # noqa: E731
    present = lambda column: ~np.isnan(marks[:, :, column])  # noqa: E731
    columns = [seconds[:, :, c] - seconds[:, :, R] for c in _TIMED]
    columns += [np.where(np.isnan(marks[:, :, R]), np.nan, interval) for interval in (before, after)]
    columns += [span(PON, PEND), span(PON, QRSON), span(QRSON, QRSEND), span(TON, TEND), qt, qt / np.cbrt(rr)]
    columns += [level(marks[:, :, c]) for c in (P1, Q, R, S, T1)]
    columns += [level(marks[:, :, QRSEND] + _ST_DELAY * fs)]
    columns += [present(c) for c in (P1, Q, S, T1)]
    return np.stack(columns, axis=-1)


def _sample(signal: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(leads, beats) signal at positions (leads, beats), interpolated; NaN at missing ones and beyond the recording."""
    last = signal.shape[1] - 1
    inside = (at >= 0) & (at <= last)
    left = np.floor(np.where(inside, at, 0)).astype(int)
    share = np.where(inside, at, 0) - left
    rows = np.arange(len(signal))[:, None]
    value = signal[rows, left] * (1 - share) + signal[rows, np.minimum(left + 1, last)] * share
    return np.where(inside, value, np.nan)


def _baseline(signal: np.ndarray, marks: np.ndarray, fs: float) -> np.ndarray:
    """(leads, beats) mean of the PQ segment, of the 40 ms before QRSon where there is none."""
    stop = marks[:, :, QRSON]
    start = np.where(stop - marks[:, :, PEND] >= _SHORTEST_PQ * fs, marks[:, :, PEND], stop - _PQ_FALLBACK * fs)
    known = ~np.isnan(stop)
    first = np.clip(np.round(np.where(known, start, 0)).astype(int), 0, signal.shape[1] - 1)
    last = np.clip(np.round(np.where(known, stop, 1)).astype(int), first + 1, signal.shape[1])
    sums = [_sums(*of_lead) for of_lead in zip(signal, first, last, strict=True)]
    return np.where(known, sums / (last - first), np.nan)


def _sums(signal: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(beats,) sums of a lead (t,) from each ``first`` sample to each ``last``, which is left out."""
    sums = np.empty(first.shape)
    for part in row_blocks(len(signal), 1):
        here = np.flatnonzero((first >= part.start) & (first < part.stop))
        if len(here):
            start, stop = part.start, last[here].max()
            total = np.zeros(stop - start + 1)
            np.cumsum(np.nan_to_num(signal[start:stop], posinf=0, neginf=0), dtype=np.float64, out=total[1:])
            sums[here] = total[last[here] - start] - total[first[here] - start]
    return sums


def _lead_features(delineation: Delineation, beats: np.ndarray) -> np.ndarray:
    amplitude = {name: _column(beats, f"{name}_amplitude") for name in "pqrst"}
    complex_ = np.stack([amplitude[name] for name in "qrs"])
    depth = np.nan_to_num(np.abs(amplitude["s"]))
    seen = ~np.isnan(delineation.marks[:, :, R])
    count = np.where(seen.sum(axis=1) > 0, seen.sum(axis=1), np.nan)
    share = lambda flags: (flags & seen).sum(axis=1) / count  # noqa: E731
    t_waves = _column(beats, "t_present") > 0
    t_count = np.where(t_waves.sum(axis=1) > 0, t_waves.sum(axis=1), np.nan)
    columns = [median(amplitude[name]) for name in "pqrst"]
    columns += [
        median(_column(beats, "st_level")),
        median(np.fmax.reduce(complex_) - np.fmin.reduce(complex_)),
        median(np.abs(amplitude["r"]) / (np.abs(amplitude["r"]) + depth)),
        share(_column(beats, "q_present") > 0), share(_column(beats, "p_present") > 0), share(t_waves),
        (~np.isnan(delineation.marks[:, :, T2])).sum(axis=1) / t_count,
        (amplitude["t"] < 0).sum(axis=1) / t_count,
        delineation.quality,
    ]
    return np.stack(columns, axis=1)


def _record_features(delineation: Delineation, beats: np.ndarray, leads: list[str]) -> np.ndarray:
    fused, fs = delineation.fused, delineation.fs
    seconds = fused / fs
    rr = np.diff(seconds[:, R])
    steps = np.diff(rr)
    span = lambda a, b: seconds[:, b] - seconds[:, a]  # noqa: E731
    typical = median(rr)
    qrs, pr, qt = span(QRSON, QRSEND), span(PON, QRSON), span(QRSON, TEND)
    interval = np.concatenate([rr[:1], rr])
    axes = [_axis(beats, leads, names) for names in (("p",), ("q", "r", "s"), ("t",))]
    return np.array([
        len(fused), 60 / typical, mean(rr), spread(rr), np.sqrt(mean(steps**2)), mean(np.abs(steps) > 0.05),
        (rr.max() - rr.min()) / typical if len(rr) else np.nan, mean(rr < 0.8 * typical),
        mean(np.isnan(fused[:, P1])), median(span(PON, PEND)), median(pr), spread(pr), median(qrs),
        mean(np.where(np.isnan(qrs), np.nan, qrs >= 0.120)), median(span(TON, TEND)), median(qt),
        median(qt[: len(interval)] / np.cbrt(interval)), *axes, delineation.recording_quality,
    ])


def _axis(beats: np.ndarray, leads: list[str], waves: tuple[str, ...]) -> float:
    """Frontal axis in degrees from the median sums of amplitudes in I and aVF (aVF = II - I/2 where it is missing)."""
    def strength(lead: str) -> float:
        parts = np.stack([_column(beats, f"{wave}_amplitude")[leads.index(lead)] for wave in waves])
        return float(median(np.where(np.isnan(parts).all(axis=0), np.nan, np.nansum(parts, axis=0))))

    if "I" not in leads or not {"aVF", "II"} & set(leads) or not beats.shape[1]:
        return float("nan")
    first = strength("I")
    foot = strength("aVF") if "aVF" in leads else strength("II") - first / 2
    return float(np.degrees(np.arctan2(2 / np.sqrt(3) * foot, first)))
