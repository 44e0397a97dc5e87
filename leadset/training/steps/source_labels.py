"""What sources of recordings would call a simulated one: they differ in which codes they add and leave out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from leadset.classes import LabelSpace

_SINUS_RHYTHM, _SINUS_ARRHYTHMIA = "426783006", "427393009"
#: What sources call the same heart: (codes that are there, code, share of the recordings in which a source adds it).
#: CPSC 2018 has one class of right bundle branch block for complete and incomplete ones; a prolonged PR interval is a
#: first-degree block elsewhere; inverted and nonspecific T waves are abnormal ones; PTB-XL notes a sinus rhythm however
#: slow it is.
ADDED: tuple[tuple[str, str, float], ...] = (
    ("713426002", "59118001", 0.4),
    ("164947007", "270492004", 0.5),
    ("59931005", "164934002", 0.3),
    ("428750005", "164934002", 0.4),
    ("426177001", _SINUS_RHYTHM, 0.1),
)
#: Share of the recordings with anything beside a sinus rhythm whose source, like CPSC 2018, keeps that for normal ones.
NORMAL_ONLY_SHARE = 0.5


def draw_targets(codes: Iterable[str], space: LabelSpace, rng: np.random.Generator) -> np.ndarray:
    """Targets (k,) bool as one of the sources might have labelled a simulated recording."""
    codes = set(codes)
    only_normal, *draws = rng.random(1 + len(ADDED)).tolist()
    added = {code for (there, code, share), draw in zip(ADDED, draws, strict=True) if there in codes and draw < share}
    if codes - {_SINUS_RHYTHM, _SINUS_ARRHYTHMIA} and only_normal < NORMAL_ONLY_SHARE:
        codes.discard(_SINUS_RHYTHM)
    return space.encode_for_training(codes | added)
