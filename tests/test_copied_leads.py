"""Leads that are copies of others."""

from __future__ import annotations

import numpy as np

from leadset.leads import LEADS
from leadset.simulate import simulate
from leadset.waves import assess

FS = 500


def test_copied_leads_are_named() -> None:
    heart = simulate(1, seed=3, labels="NSR", marks=False).signals[0]
    copied = heart.copy()
    copied[[7, 9]] = copied[6]
    assert assess(copied, FS, LEADS).suspicions == ("copied:V1-V2", "copied:V1-V4")
    everywhere = np.tile(heart[1], (12, 1))
    assert assess(everywhere, FS, LEADS).suspicions == tuple(f"copied:I-{lead}" for lead in LEADS[1:])
    second = heart[1]  # with 0 in lead I, these are the same by Einthoven's law
    limbs = np.stack([0 * second, second, second, -second / 2, -second / 2, second])
    assert not any("copied" in suspicion for suspicion in assess(limbs, FS, LEADS[:6]).suspicions)
