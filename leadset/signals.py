"""Limits of what an ECG can be, and what the flags mean that reading a recording may give it."""

from __future__ import annotations

import numpy as np

#: Sampling rates in Hz that make sense for an ECG. Below, no wave can be delineated; above, a recording would only take
#: memory, as would one whose header claims a rate so low that it is stretched a hundredfold.
LOWEST_RATE, HIGHEST_RATE = 50, 10_000

#: Millivolts that no electrode measures: such a sample is damage, and its powers would overflow.
IMPOSSIBLE_MV = 1e9
#: A lead whose share of known samples is below this is missing; above it, gaps are bridged by a line.
MIN_KNOWN_SHARE = 0.5
#: Below this SD in mV a lead carries no heartbeat: z-scoring must not blow its noise up to unit variance.
MIN_SD_MV = 0.005
#: A median SD over the leads outside this range (mV) means that the unit in the header is probably wrong.
PLAUSIBLE_SD_MV = (0.005, 5.0)
#: Share of samples that sit exactly on a lead's own maximum or minimum from which on it counts as clipped.
CLIPPED_SHARE = 0.02

#: Facts about a recording that did not keep it from being read: flag and its meaning.
FLAGS: dict[str, str] = {
    "age_implausible": "age below 0 or above 120 years, taken as unknown",
    "age_unreadable": "age is neither a number nor a word for unknown",
    "checksum_mismatch": "samples do not add up to the header's checksum (only `doctor` looks)",
    "default_gain": "gain missing, zero or not finite: 200 per unit, the WFDB default",
    "default_rate": "sampling rate missing: 250 Hz, the WFDB default",
    "duplicate_lead": "a lead occurs twice: the first one is kept",
    "long_file": "more samples in the file than announced: all of them are used",
    "record_name_extension": "record name with a file extension, which was removed",
    "sample_count_unreadable": "announced sample count is no number: taken from the file",
    "sex_unreadable": "sex is neither female, male nor a word for unknown",
    "short_file": "fewer samples in the file than announced: those that are whole are used",
    "text_labels": "labels are text and were turned into SNOMED CT codes",
    "unknown_label": "a label is a word: it counts only in a label space that has it as a code",
    "unknown_unit": "unit is not a voltage: taken as mV",
}

#: What assessing a recording (`leadset.waves.assess`) found, each followed by a colon and what it is about: a lead
#: (``"noise:V1"``), or electrodes or leads joined by ``-`` (``"exchanged:RA-LA"``); ``dextrocardia`` stands alone.
QUALITY_FLAGS: dict[str, str] = {
    "clipped": "a lead sits on its own extreme for many samples",
    "constant": "a lead has the same value throughout",
    "dextrocardia": "limb and chest leads are those of a heart on the right side",
    "exchanged": "two electrodes, or two leads, have probably changed places",
    "flat": "a lead varies too little for a heartbeat",
    "inconsistent": "limb leads contradict each other: I + III = II and what follows from it do not hold",
    "inverted": "a lead is probably upside down",
    "loose": "both leads of an electrode are bad and the third limb lead is good: bad contact",
    "missing": "a lead has missing samples",
    "noise": "a lead is probably of no use",
    "reversed": "the chest leads are probably in reverse order",
    "scaled": "a limb lead, or each of them, has another scale than the others",
    "spikes": "a lead has jumps in a few seconds",
    "unusable": "no lead shows heartbeats: nothing can be said, and why",
    "wander": "a lead's baseline wanders",
}


def known(signal_mv: np.ndarray) -> np.ndarray:
    """Which samples of a signal are there: those that are neither NaN, nor infinite, nor impossible."""
    return np.abs(signal_mv) < IMPOSSIBLE_MV
