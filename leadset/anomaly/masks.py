"""What is hidden from the network: patches of the recording and a stretch of the heartbeat.

Masks are True where a sample is hidden, which is where the network sees zero, the middle of the range.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from leadset.models.layers.options import one_of

PATCH = 48
HIDDEN_SHARE = 0.3
#: Ways to mask. "full": all is hidden once at test; "published": the fixed patches of the paper's code, which leave a
#: tenth of the recording and more than half of the beat in sight; "none": nothing is ever hidden.
MASKINGS: tuple[str, ...] = ("full", "published", "none")
# Of "full": passes at test. A quarter of the recording hidden at a time is near to the share hidden in training.
_PASSES = 4
# Of "published": distance of the patches of a pass; length and first samples of the stretches of a beat.
_PUBLISHED_INTERVAL, _PUBLISHED_STRETCH, _PUBLISHED_FIRST = 160, 100, (20, 70, 120)


class Masks(NamedTuple):
    """Masks of recordings (m, t) and of heartbeats (m, t'): as many of each as a batch has recordings, or passes."""

    record: np.ndarray
    beat: np.ndarray


def training_masks(
    masking: str, batch: int, record_samples: int, beat_samples: int, rng: np.random.Generator
) -> Masks:
    """Random masks: 30 % of the recording in patches of 48 samples, and 30 % of the beat in one stretch.

    With ``"full"`` each recording of the batch has its own, with ``"published"`` they share one.

    Raises:
        ValueError: an unknown way of masking.
    """
    if one_of("masking", masking, MASKINGS) == "none":
        return Masks(np.zeros((batch, record_samples), bool), np.zeros((batch, beat_samples), bool))
    drawn = 1 if masking == "published" else batch
    patches, stretch = record_samples // PATCH, int(beat_samples * HIDDEN_SHARE)
    hidden = rng.random((drawn, patches)).argsort(axis=1) < round(patches * HIDDEN_SHARE)
    record = np.zeros((drawn, record_samples), bool)
    record[:, : patches * PATCH] = hidden.repeat(PATCH, axis=1)
    edge = 1 if masking == "published" else 0
    first = rng.integers(edge, beat_samples - stretch - 2 * edge + 1, drawn)[:, None]
    place = np.arange(beat_samples)
    beat = (place >= first) & (place < first + stretch)
    return Masks(*(np.broadcast_to(mask, (batch, mask.shape[1])) for mask in (record, beat)))


def scoring_masks(masking: str, record_samples: int, beat_samples: int) -> Masks:
    """The masks of each pass over a recording that is scored, always the same.

    Raises:
        ValueError: an unknown way of masking.
    """
    place, beat_place = np.arange(record_samples), np.arange(beat_samples)
    if one_of("masking", masking, MASKINGS) == "none":
        return Masks(np.zeros((1, record_samples), bool), np.zeros((1, beat_samples), bool))
    if masking == "published":
        passes, interval, stretch = len(_PUBLISHED_FIRST), _PUBLISHED_INTERVAL, _PUBLISHED_STRETCH
        firsts = np.array(_PUBLISHED_FIRST)
    else:
        passes, interval, stretch = _PASSES, _PASSES * PATCH, int(beat_samples * HIDDEN_SHARE)
        firsts = np.linspace(0, beat_samples - stretch, passes).round()
    record = place % interval // PATCH == np.arange(passes)[:, None]
    beat = (beat_place >= firsts[:, None]) & (beat_place < firsts[:, None] + stretch)
    return Masks(record, beat)
