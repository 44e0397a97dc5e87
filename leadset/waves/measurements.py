"""Measurements of a recording as a cardiologist reads them: rate, intervals, QTc, axes, RR variability."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leadset.leads import canonical_lead
from leadset.signals import LONGEST_BRIDGE_S, known, runs
from leadset.utils.nan_statistics import median
from leadset.waves.assessment import Quality, assess
from leadset.waves.delineator import Delineation, delineate
from leadset.waves.features import RECORD_FEATURES, extract_features
from leadset.waves.marks import P1, PON, QRSEND, QRSON, T1, TEND, R
from leadset.waves.reference import Range, reference_ranges

#: A P or T wave is measured where at least this share of the beats shows it: fewer are chance finds.
LEAST_SHARE = 0.5
#: Fewest RR intervals that variability is computed from.
FEWEST_INTERVALS = 3
#: QTc in seconds of QT and RR in seconds. Bazett, Heart 7:353-370, 1920; Fridericia, Acta Med Scand 53:469-486, 1920;
#: Sagie et al. (Framingham), Am J Cardiol 70:797-801, 1992; Hodges et al., J Am Coll Cardiol 1:694, 1983.
QTC_FORMULAS: dict[str, Callable[[float, float], float]] = {
    "Bazett": lambda qt, rr: qt / math.sqrt(rr),
    "Fridericia": lambda qt, rr: qt / math.cbrt(rr),
    "Framingham": lambda qt, rr: qt + 0.154 * (1 - rr),
    "Hodges": lambda qt, rr: qt + 0.00175 * (60 / rr - 60),
}


@dataclass(frozen=True)
class Measurement:
    """One number of a recording.

    Attributes:
        name: what it is looked up by (``"qtc_bazett"``).
        label: as a person reads it (``"QTc Bazett"``).
        unit: ``"bpm"``, ``"ms"`` or ``"°"``.
        value: in that unit; NaN where it could not be measured.
        count: beats, of a rate and of variability RR intervals, that it was computed from.
        reason: why there is no value; empty where there is one.
        range: the reference range for age and sex, None where none is known.
    """

    name: str
    label: str
    unit: str
    value: float
    count: int
    reason: str = ""
    range: Range | None = None

    @property
    def status(self) -> str:
        """``"low"``, ``"high"`` or ``"normal"`` against the range, in whole units; empty where one of them is missing.
        """
        if self.range is None or math.isnan(self.value):
            return ""
        value = round(self.value)
        return "low" if value < self.range.low else "high" if value > self.range.high else "normal"

    @property
    def limits(self) -> str:
        """The range as a person reads it, or that none is known for the age."""
        return "no range" if self.range is None else f"{self.range.low:g} to {self.range.high:g}"

    def plain(self) -> dict[str, object]:
        """As JSON takes it: NaN is None, values have one decimal."""
        return {
            "value": None if math.isnan(self.value) else round(self.value, 1), "unit": self.unit, "count": self.count,
            "reason": self.reason, "low": self.range and self.range.low, "high": self.range and self.range.high,
            "source": self.range and self.range.source, "status": self.status,
            "range": self.limits,
        }  # fmt: skip


@dataclass(frozen=True)
class Measurements:
    """All measurements of a recording, by name and in the order in which they are shown.

    Attributes:
        items: rate, pr, qrs, qt, qtc_bazett, qtc_fridericia, qtc_framingham, qtc_hodges, p_axis, qrs_axis, t_axis,
            sdnn, rmssd.
        notes: what has to be known about the ranges, such as that the age is unknown.
    """

    items: tuple[Measurement, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Measurement:
        """The measurement of that name.

        Raises:
            KeyError: there is none.
        """
        for item in self.items:
            if item.name == name:
                return item
        raise KeyError(f"no measurement {name!r}: expected one of {', '.join(item.name for item in self.items)}")

    def plain(self) -> dict[str, object]:
        """As JSON takes it: each `Measurement.plain` by name, and the notes."""
        return {**{item.name: item.plain() for item in self.items}, "notes": list(self.notes)}

    def texts(self) -> dict[str, str]:
        """Values by name as a table has them: with one decimal, empty where there is none."""
        return {item.name: "" if math.isnan(item.value) else f"{item.value:.1f}" for item in self.items}

    def missing(self) -> str:
        """What has no value and why, as ``"P axis, QRS axis: needs leads I and aVF or II"``; else empty."""
        by_reason: dict[str, list[str]] = {}
        for item in self.items:
            if item.reason:
                by_reason.setdefault(item.reason, []).append(item.label)
        return "; ".join(f"{', '.join(labels)}: {reason}" for reason, labels in by_reason.items())


def measure(
    signal_mv: np.ndarray,
    fs: float,
    leads: Sequence[str],
    *,
    delineation: Delineation | None = None,
    quality: Quality | None = None,
    age: float | None = None,
    sex: str | None = None,
) -> Measurements:
    """Measures a recording by the marks common to all its leads.

    Intervals are medians over the beats. The rate is 60 s / mean RR interval, as the median would be that of one half
    of the beats in bigeminy; intervals over a stretch that no lead shows are left out. QTc is that of the median QT and
    the mean RR interval. Axes are those of `leadset.waves.extract_features`.

    Args:
        signal_mv: (leads, samples) in millivolts; NaN marks missing samples.
        fs: sampling rate in Hz.
        leads: their names.
        delineation: of this signal, where it has been delineated.
        quality: of this signal, where it has been assessed, by the delineation that is then taken; nothing is measured
            in an unusable recording.
        age: years, for the reference ranges. sex: ``"female"``, ``"male"`` or None.

    Raises:
        ValueError: signal, names and delineation do not belong together.
    """
    signal = np.atleast_2d(np.asarray(signal_mv, dtype=np.float32))
    quality = quality or assess(signal, fs, leads, delineation)
    numbers: dict[str, tuple[float, int, str]] = {}
    if quality.usable:
        delineation = delineation or quality.delineation or delineate(signal, fs)
        numbers = {**_intervals(signal, delineation), **_axes(signal, delineation, leads)}
    ranges = reference_ranges(age, sex)
    why = "recording unusable"
    items = tuple(
        Measurement(name, label, unit, *numbers.get(name, (math.nan, 0, why)), range=ranges.get(name))
        for name, (label, unit) in _SHOWN.items()
    )
    return Measurements(items, _notes(age, sex, ranges))


_SHOWN: dict[str, tuple[str, str]] = {
    "rate": ("Rate", "bpm"), "pr": ("PR", "ms"), "qrs": ("QRS", "ms"), "qt": ("QT", "ms"),
    **{f"qtc_{name.lower()}": (f"QTc {name}", "ms") for name in QTC_FORMULAS},
    "p_axis": ("P axis", "°"), "qrs_axis": ("QRS axis", "°"), "t_axis": ("T axis", "°"),
    "sdnn": ("SDNN", "ms"), "rmssd": ("RMSSD", "ms"),
}  # fmt: skip
#: name: the mark that shows the wave, and the limits of the interval.
_SPANS = {"pr": (P1, PON, QRSON), "qrs": (R, QRSON, QRSEND), "qt": (T1, QRSON, TEND)}
_WAVE = {P1: "P", R: "QRS", T1: "T"}


def _notes(age: float | None, sex: str | None, ranges: dict[str, Range]) -> tuple[str, ...]:
    if not ranges:
        return (f"no reference ranges for an age of {age:g} years",)
    unknown = {"age unknown: adult ranges": age, "sex unknown: ranges of both": sex}
    return tuple(note for note, value in unknown.items() if value is None)


def _intervals(signal: np.ndarray, delineation: Delineation) -> dict[str, tuple[float, int, str]]:
    """Value, count and reason of rate, variability, intervals and QTc."""
    fused, fs = delineation.fused, delineation.fs
    rr = _rr_intervals(signal, delineation)
    numbers: dict[str, tuple[float, int, str]] = {}
    for name, (peak, first, last) in _SPANS.items():
        durations = (fused[:, last] - fused[:, first]) / fs
        count, shown = int((~np.isnan(durations)).sum()), int((~np.isnan(fused[:, peak])).sum())
        if count and count >= LEAST_SHARE * len(fused):
            numbers[name] = (float(median(durations)) * 1000, count, "")
        else:
            numbers[name] = (math.nan, count, f"{_WAVE[peak]} in {shown} of {len(fused)} beats")
    intervals = rr[~np.isnan(rr)]
    mean_rr = float(intervals.mean()) if len(intervals) else math.nan
    no_rr = "" if len(intervals) else f"no RR interval: {len(fused)} beats"
    numbers["rate"] = (60 / mean_rr, len(intervals), no_rr)
    qt, beats, reason = numbers["qt"]
    for name, formula in QTC_FORMULAS.items():
        value = math.nan if reason or no_rr else formula(qt / 1000, mean_rr) * 1000
        numbers[f"qtc_{name.lower()}"] = (value, beats, reason or no_rr)
    steps = np.diff(rr)
    steps = steps[~np.isnan(steps)]
    for name, values, square in (("sdnn", intervals, np.var), ("rmssd", steps, lambda step: np.mean(step**2))):
        few = f"RR intervals: {len(values)}" if len(values) < FEWEST_INTERVALS else ""
        numbers[name] = (math.nan if few else float(np.sqrt(square(values))) * 1000, len(values), few)
    return numbers


def _rr_intervals(signal: np.ndarray, delineation: Delineation) -> np.ndarray:
    """(beats - 1,) seconds; NaN where no lead is known for so long that a beat may be missed."""
    peaks = delineation.r_peaks
    rr = np.diff(peaks) / delineation.fs
    for start, stop in zip(*runs(~known(signal).any(axis=0)), strict=True):
        if stop - start > LONGEST_BRIDGE_S * delineation.fs:
            rr[(peaks[:-1] < stop) & (peaks[1:] > start)] = np.nan
    return rr


def _axes(signal: np.ndarray, delineation: Delineation, leads: Sequence[str]) -> dict[str, tuple[float, int, str]]:
    """Value, count and reason of the frontal axes."""
    names = [canonical_lead(lead) for lead in leads]
    other = next((lead for lead in ("aVF", "II") if lead in names), None)
    record = extract_features(delineation, signal, leads).record
    numbers: dict[str, tuple[float, int, str]] = {}
    for wave, peak in (("p", P1), ("qrs", R), ("t", T1)):
        if "I" not in names or other is None:
            numbers[f"{wave}_axis"] = (math.nan, 0, "needs leads I and aVF or II")
            continue
        marks = delineation.marks[[names.index("I"), names.index(other)]]
        shown, seen = (int((~np.isnan(marks[:, :, mark])).sum(axis=1).min()) for mark in (R, peak))
        at = next(i for i, feature in enumerate(RECORD_FEATURES) if feature.name == f"{wave}_axis")
        found = seen and seen >= LEAST_SHARE * shown and not np.isnan(record[at])
        reason = "" if found else f"{_WAVE[peak]} in {seen} of {shown} beats of I, {other}"
        numbers[f"{wave}_axis"] = (float(record[at]) if found else math.nan, seen, reason)
    return numbers
