"""Whether waves last as long as a heart's: where a header states another sampling rate, none of them does."""

from __future__ import annotations

import numpy as np

from leadset.utils.nan_statistics import median
from leadset.waves.delineator import Delineation
from leadset.waves.marks import QRSEND, QRSON, TEND
from leadset.waves.quality import NOISY

#: At half the rate, beats are as rare and complexes and QTc (Bazett) as long as these, in bpm and seconds; at twice the
#: rate, as frequent and as short as those. Hearts have one or two of the three, in conduction disorders and in infants.
RARE, WIDE, LONG = 55.0, 0.14, 0.53
FREQUENT, NARROW, SHORT = 95.0, 0.08, 0.36
#: Beats from which on this is judged.
FEWEST_BEATS = 3


def is_of_another_rate(delineation: Delineation) -> bool:
    """Whether beats are too rare and their waves too long for a heart, or too frequent and too short.

    Of 166 real recordings this finds 140 at half their rate and 74 at twice it, and none of 2336 at their own. Farther
    from the true rate, beats are not found as such, and the recording is unusable.
    """
    fused, fs = delineation.fused, delineation.fs
    if len(fused) < FEWEST_BEATS or delineation.quality.max() < NOISY:
        return False
    rr = float(np.median(np.diff(delineation.r_peaks))) / fs
    qrs, qt = (float(median((fused[:, end] - fused[:, QRSON]) / fs)) for end in (QRSEND, TEND))
    rate, qtc = 60 / rr, qt / rr**0.5
    slow = rate < RARE and qrs > WIDE and qtc > LONG
    return slow or (rate > FREQUENT and qrs < NARROW and qtc < SHORT)
