"""Limits of what an ECG can be, and what the flags mean that reading a recording may give it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: Sampling rates in Hz that make sense for an ECG. Below, no wave can be delineated; above, a recording would only take
#: memory, as would one whose header claims a rate so low that it is stretched a hundredfold.
LOWEST_RATE, HIGHEST_RATE = 50, 10_000

#: Millivolts that no electrode measures: such a sample is damage, and its powers would overflow.
IMPOSSIBLE_MV = 1e9
#: Millivolts beyond which a sample at the very end of a 16-bit range is no heart's voltage, but a mark for a missing
#: sample or an amplifier driven to its end. The largest complexes on record are below.
LARGEST_HEART_MV = 10.0
#: A lead is there if it is known for a stretch of so many seconds, or for so large a share of the recording. Paper ECGs
#: show each lead for 2.5 s; in 2 s, a heart of 60 beats a minute has two complexes, and one of 30 has one.
MIN_KNOWN_S, MIN_KNOWN_SHARE = 2.0, 0.5
#: Gaps of up to so many seconds are bridged by a line, which hides less than a beat; longer ones stay without a signal.
LONGEST_BRIDGE_S = 0.25
#: Below this SD in mV a lead carries no heartbeat: z-scoring must not blow its noise up to unit variance.
MIN_SD_MV = 0.005
#: A median SD over the leads outside this range (mV) means that the unit in the header is probably wrong.
PLAUSIBLE_SD_MV = (0.005, 5.0)
#: A lead whose mean is farther from 0 mV has an offset, of the electrode or the converter, which says nothing of the
#: heart. Published recordings hardly ever have one, and networks that see millivolts do not know it.
LARGEST_OFFSET_MV = 0.5
#: Share of samples that sit exactly on a lead's own maximum or minimum from which on it counts as clipped.
CLIPPED_SHARE = 0.02

#: Facts about a recording that did not keep it from being read: flag and its meaning.
FLAGS: dict[str, str] = {
    "zero_lead": "the networks that answered want this lead, which is not there: it was zero",
    "age_implausible": "age below 0 or above 120 years, taken as unknown",
    "age_unreadable": "age is neither a number nor a word for unknown",
    "checksum_mismatch": "samples do not add up to the checksum (of WFDB recordings, only `doctor` looks)",
    "default_gain": "gain missing, zero or not finite: 200 per unit, the WFDB default",
    "default_rate": "sampling rate missing: 250 Hz, the WFDB default",
    "first_of_several": "the file holds several recordings: the first one, or the one of most leads, is read",
    "fractional_counts": "samples are no whole numbers, so perhaps millivolts: divided by the gain as the header says",
    "garbled_unit": "unit is V with a prefix that an encoding has lost: taken as uV",
    "diagnoses_elsewhere": "nothing behind `Dx:`, but another comment seems to hold diagnoses, which is not read",
    "duplicate_lead": "a lead occurs twice: the first one is kept",
    "long_file": "more samples in the file than announced: all of them are used",
    "not_by_standard": "the file departs from its format's standard, but could be read",
    "not_exported": "the networks for the recording's leads were not exported: those of other leads answered",
    "other_channel": "channels that are no leads in volts: left out",
    "other_lead_times": "leads begin at different times, by an offset of which no standard says the unit: it is not"
    " applied",
    "other_rate": "signals of another rate than the leads' (samples per frame): left out",
    "other_start": "the first samples are not those that the header states: perhaps the signal file is of another"
    " recording, byte order or number of leads",
    "other_times": "the column of times has gaps, goes back, or makes another sampling rate than the one that is"
    " stated, which is taken",
    "record_name_extension": "record name with a file extension, which was removed",
    "sample_count_unreadable": "announced sample count is no number: taken from the file",
    "sex_unreadable": "sex is neither female, male nor a word for unknown",
    "signal_of_another": "the signal file has the name of another recording, which is there too",
    "subject_elsewhere": "nothing behind `Age:` or `Sex:`, but another comment seems to say it, which is not read",
    "short_file": "fewer samples in the file than announced: those that are whole are used",
    "text_labels": "labels are text and were turned into SNOMED CT codes",
    "unknown_label": "a label is a word: it counts only in a label space that has it as a code",
    "unknown_unit": "unit is not a voltage: taken as mV",
}

#: What assessing a recording (`leadset.waves.assess`) found, each followed by a colon and what it is about: a lead
#: (``"noise:V1"``), or electrodes or leads joined by ``-`` (``"exchanged:RA-LA"``); ``dextrocardia``, ``not_ecg``
#: and ``sampling_rate`` stand alone.
QUALITY_FLAGS: dict[str, str] = {
    "clipped": "a lead sits on its own extreme for many samples",
    "constant": "a lead has the same value throughout",
    "copied": "two leads have the same samples, of which one is a copy",
    "dextrocardia": "limb and chest leads are those of a heart on the right side",
    "exchanged": "two electrodes, or two leads, have probably changed places",
    "flat": "a lead varies too little for a heartbeat",
    "inconsistent": "limb leads contradict each other: I + III = II and what follows from it do not hold",
    "inverted": "a lead is probably upside down",
    "loose": "both leads of an electrode are bad and the third limb lead is good: bad contact",
    "missing": "a lead has missing samples",
    "noise": "a lead is probably of no use",
    "not_ecg": "no lead looks like an ECG: the waves are too wide, or do not come back to the baseline, as in a pulse"
    " curve or a test signal",
    "reversed": "the chest leads are probably in reverse order",
    "sampling_rate": "beats are too rare and all their waves too long for a heart, or too frequent and too short: the"
    " sampling rate is probably another than the one that is stated",
    "scaled": "a limb lead, or each of them, has another scale than the others",
    "spikes": "a lead has jumps in a few seconds",
    "unusable": "no lead shows heartbeats: nothing can be said, and why",
    "wander": "a lead's baseline wanders",
}


#: Facts that preparing a recording found, each followed by a colon and the lead that it is about (``"flat:V1"``).
PREPARING_FLAGS: dict[str, str] = {
    "zero_lead": "the networks that answered want this lead, which is not there: it was zero",
    "clipped": "a lead sits on its own extreme for many samples",
    "dead": "a lead is not flat, but too weak for a heartbeat",
    "derived": "a limb lead is missing and computed from two others",
    "flat": "a lead is constant",
    "implausible_amplitude": "amplitude, or that of the lead alone, which then is not used, is far from an ECG's: the"
    " unit or gain is probably wrong",
    "missing": "a lead of the twelve is missing",
    "offset": "a lead lies far from zero, on an offset that was taken away",
    "nonfinite": "a lead has invalid samples, which are bridged if they are few",
    "partial": "a lead is known for a part of the recording; elsewhere it has no signal",
    "unknown_lead": "a signal has a name that is no lead's; table [leads] of leadset.toml can say which one it is",
}


def explain_flag(flag: str) -> str:
    """A flag with its meaning, as messages show it; a flag of another kind as it is."""
    meaning = {**QUALITY_FLAGS, **FLAGS, **PREPARING_FLAGS}.get(flag.partition(":")[0])
    return f"{flag} ({meaning})" if meaning else flag


def join_flags(flags: Iterable[str]) -> str:
    """Flags in a line, those of several leads together: ``missing: III aVR, offset: V1, truncated``."""
    kinds: dict[str, list[str]] = {}
    for flag in flags:
        kind, _, lead = flag.partition(":")
        kinds.setdefault(kind, []).append(lead)
    return ", ".join(f"{kind}: {' '.join(leads)}" if any(leads) else kind for kind, leads in kinds.items())


def known(signal_mv: np.ndarray) -> np.ndarray:
    """Which samples of a signal are there: those that are neither NaN, nor infinite, nor impossible."""
    return np.abs(signal_mv) < IMPOSSIBLE_MV


def runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First samples of the stretches where a mask (t,) is true, and those behind their ends."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return edges[::2], edges[1::2]
