"""The slope envelope of every lead and the height of its typical complex, for beat detection and signal quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from leadset.utils.nan_statistics import median
from leadset.waves.rhythm import rhythm_change
from leadset.waves.search import gather, ms
from leadset.waves.sparse import sparse_height

#: Width of the sliding mean under which slopes of one complex merge.
MERGE = ms(100)
#: Length of the blocks whose maxima give the height of a typical complex, and number of blocks in the running median.
BLOCK, N_BLOCKS = ms(1500), 9
#: Height of a typical complex over the background of its lead: above the first number a lead counts in the common
#: envelope; below the second a block holds no rhythm (noise of any colour, sines and ramps reach 1.7).
CONTRAST_FLOOR, LEGIBLE = 2.0, 1.9
#: The same for complexes at up to 300 a minute, of which hardly smoothed slopes leave more than half of the time free.
FINE_MERGE, FINE_LEGIBLE = ms(40), 5.0
#: Share of blocks with a rhythm that makes a lead legible.
LEGIBLE_SHARE = 0.5
#: Slope of scale 4 over that of scale 1 below which a lead shows pacing spikes rather than complexes. Spikes up to 6 ms
#: wide reach 0.2; of 2043 real recordings the lowest has 0.46 in its best lead, though paced ones go to 0.03 in others.
SPIKE = 0.25
#: A beat this much lower than the upper quartile of the beats is one of noise in a pause, unless its height is so many
#: times the median of what lies around it (white noise reaches 1.5; of 51 021 annotated beats none is lower in both).
LOW, STANDS_OUT = 0.25, 1.7
#: Confidence that a low beat needs in any rhythm, and in a regular one: that with changes of RR below `REGULAR`.
LEAST_SURE, LEAST_SURE_IN_REGULAR, REGULAR = 0.4, 0.9, 0.03
#: Reach of a complex and of what lies around it.
PEAK_REACH, SURROUNDINGS = ms(100), ms(400)
#: Smallest height (mV per grid sample) of a complex: below about 0.03 mV peak to peak nothing is called a beat.
SMALLEST = 0.01


@dataclass(frozen=True)
class Envelope:
    """Slopes of a recording on the 250-Hz grid.

    Attributes:
        leads: (leads, t) root mean square slope of scales 2 and 3 within 100 ms, in mV per grid sample.
        blocks: (leads, blocks) its maximum in each block of 1.5 s.
        height: (leads, blocks) height of a typical complex, the running median of those maxima.
        common: (t,) mean of the usable leads in units of their typical complex, weighted by how far that stands out of
            the lead's background; 0 without a usable lead.
        legible: (leads,) whether a usable lead holds complexes; False for all if they hold only pacing spikes.
        sparse: whether they come only now and then in at least half of the usable leads.
    """

    leads: np.ndarray
    blocks: np.ndarray
    height: np.ndarray
    common: np.ndarray
    legible: np.ndarray
    sparse: bool = False

    def of(self, leads: np.ndarray) -> Envelope:
        """The envelope of some leads, chosen by a (leads,) mask; the common one stays that of all."""
        own = {name: getattr(self, name)[leads] for name in ("leads", "blocks", "height", "legible")}
        return self if leads.all() else replace(self, **own)


def measure(scales: np.ndarray, usable: np.ndarray) -> Envelope:
    """The envelope of scales (5, leads, t) with the (leads,) leads that are usable."""
    energy = _energy(scales)
    leads = _merged(energy, MERGE)
    samples = leads.shape[1]
    cut = cut_blocks(leads)
    blocks = cut.max(axis=2)
    height, background = running_median(np.stack([blocks, median(cut[:, :, ::2])]))
    contrast = height / np.maximum(background, 1e-6)
    counted = usable[:, None] & (height > SMALLEST) & (contrast >= LEGIBLE)
    fast = usable & (counted.mean(axis=1) < LEGIBLE_SHARE)
    if fast.any():  # narrow complexes without rest between their envelopes
        counted[fast] = (height[fast] > SMALLEST) & (_fine_contrast(energy[fast]) >= FINE_LEGIBLE)
    legible = counted.mean(axis=1) >= LEGIBLE_SHARE
    now_and_then = np.where(usable, sparse_height(leads, blocks, background), np.nan)
    alone = now_and_then > SMALLEST
    sparse = bool(alone.any()) and alone.sum() >= max(usable.sum() / 2, (legible & ~alone).sum() + 1)
    if sparse:
        height = np.where(alone[:, None], now_and_then[:, None], height)
        contrast = height / np.maximum(background, 1e-6)
        counted[:], legible = True, alone
    legible &= not _spiky(scales, np.max if sparse else median)[legible].all()
    counted &= legible[:, None]
    weight = np.where(counted, np.maximum(contrast - CONTRAST_FLOOR, 1e-3), 0)
    share = weight / np.maximum(weight.sum(axis=0), 1e-9) / np.maximum(height, SMALLEST)
    common = np.einsum("lt,lt->t", between_blocks(share, samples), leads)
    return Envelope(leads, blocks, height, common, legible, sparse)


def fine_slopes(scales: np.ndarray) -> np.ndarray:
    """(leads, t) the slopes of scales (5, leads, t) as in `Envelope.leads`, but hardly smoothed."""
    return _merged(_energy(scales), FINE_MERGE)


def _energy(scales: np.ndarray) -> np.ndarray:
    return 2 * scales[1] ** 2 + scales[2] ** 2


def _merged(energy: np.ndarray, width: int) -> np.ndarray:
    """Root of the sliding mean (leads, t) of an energy."""
    return np.sqrt(np.maximum(uniform_filter1d(energy, width, axis=1), 0))


def _fine_contrast(energy: np.ndarray) -> np.ndarray:
    """(leads, blocks) height of the slopes of (leads, t) energy over their background, hardly smoothed."""
    cut = cut_blocks(_merged(energy, FINE_MERGE))
    height, background = running_median(np.stack([cut.max(axis=2), median(cut[:, :, ::2])]))
    return height / np.maximum(background, 1e-6)


def without_noise(envelope: Envelope, beats: np.ndarray, sure: np.ndarray | None = None) -> np.ndarray:
    """The beats (n,), in grid samples, without those that are noise in a pause of the rhythm.

    With the confidence ``sure`` (n,) of each, low ones of low confidence are left out, too: P waves of a block.
    """
    leads, n = len(envelope.leads), len(beats)
    if n < 2:
        return beats
    rows = np.repeat(np.arange(leads), n)
    around = gather(envelope.leads, rows, np.tile(beats, leads) - SURROUNDINGS, 2 * SURROUNDINGS + 1)
    around = around.reshape(leads, n, -1)[:, :, ::2]
    half = (SURROUNDINGS - PEAK_REACH) // 2
    peak = around[:, :, half:-half].max(axis=2)
    quartile = np.sort(peak, axis=1)[:, 3 * (n - 1) // 4, None]
    low = np.mean(peak / np.maximum(quartile, 1e-9), axis=0) < LOW
    if not low.any():
        return beats
    weak = np.zeros(n, dtype=bool) if sure is None else low & (sure < _least_sure(beats[~low]))
    contrast = (peak[:, low] / np.maximum(median(around[:, low]), 1e-9)).mean(axis=0)
    low[low] = (contrast < STANDS_OUT) | (peak[:, low] < SMALLEST).all(axis=0)
    return beats[~(low | weak)]


def _least_sure(beats: np.ndarray) -> float:
    """Confidence that a low beat needs between other beats (n,): more if these have a regular rhythm without it."""
    regular = len(beats) > 3 and rhythm_change(beats).max() < REGULAR
    return LEAST_SURE_IN_REGULAR if regular else LEAST_SURE


def _spiky(scales: np.ndarray, typical: Callable[..., np.ndarray]) -> np.ndarray:
    """(leads,) whether only spikes stand out in a typical block: scale 4 responds to complexes, hardly to a spike."""
    starts = np.arange(0, scales.shape[2], BLOCK)
    fine, coarse = (typical(np.maximum.reduceat(np.abs(scales[k]), starts, axis=1), axis=1) for k in (0, 3))
    return coarse < SPIKE * fine


def cut_blocks(values: np.ndarray) -> np.ndarray:
    """(leads, blocks, samples of a block) of (leads, t); the last block ends with the recording."""
    leads, samples = values.shape
    if samples <= BLOCK:
        return values[:, None]
    starts = _block_starts(samples)
    return gather(values, np.repeat(np.arange(leads), len(starts)), np.tile(starts, leads), BLOCK).reshape(
        leads, -1, BLOCK)


def block_peaks(values: np.ndarray) -> np.ndarray:
    """(leads, blocks) samples of (leads, t) at which each of its blocks is highest."""
    return cut_blocks(values).argmax(axis=2) + _block_starts(values.shape[1])


def _block_starts(samples: int) -> np.ndarray:
    """(blocks,) first samples of the blocks of a recording."""
    return np.minimum(np.arange(-(-samples // BLOCK)) * BLOCK, max(samples - BLOCK, 0))


def running_median(blocks: np.ndarray) -> np.ndarray:
    """Median over `N_BLOCKS` neighbouring blocks, (..., blocks)."""
    size = min(N_BLOCKS, 2 * blocks.shape[-1] - 1)
    return median_filter(blocks, size=(*(1,) * (blocks.ndim - 1), size), mode="nearest")


def between_blocks(levels: np.ndarray, samples: int, every: int = 1) -> np.ndarray:
    """(leads, t) levels (leads, blocks) at one in ``every`` samples, straight lines between blocks' centres."""
    times, share = _between_centres(levels.shape[1], samples, every)
    following = np.concatenate([levels[:, 1:], levels[:, -1:]], axis=1)
    return np.repeat(levels, times, axis=1) * (1 - share) + np.repeat(following, times, axis=1) * share


@lru_cache(maxsize=16)
def _between_centres(blocks: int, samples: int, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of positions (blocks,) between each block's centre and the next, and how far on the way they are (t,)."""
    position = np.clip((np.arange(0, samples, every, dtype=np.float32) - BLOCK / 2) / BLOCK, 0, blocks - 1)
    left = np.minimum(position.astype(int), max(blocks - 2, 0))
    return np.bincount(left, minlength=blocks), (position - left).astype(np.float32)
