"""QRS detection on all leads together.

Every lead gives an envelope of its slopes (scales 2 and 3, where the QRS complex lies); the leads' envelopes, each in
units of its own typical complex and weighted by how far that stands out of the lead's background, are averaged into
one. Peaks of this common envelope are beats: strong ones at once, weak ones only where the rhythm leaves a gap
(search-back), none within the refractory period. A lead that is flat or noisy has no weight: it abstains.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d, median_filter, uniform_filter1d

from leadset.waves.search import ms
from leadset.waves.wavelet import GRID_RATE

#: Length of the blocks whose maxima tell the height of a typical complex, and of the running median over blocks.
BLOCK, N_BLOCKS = ms(1500), 9
#: Width of the sliding mean under which slopes of one complex merge.
MERGE = ms(100)
#: Candidates are the largest value within this distance on either side.
NEIGHBOURHOOD = ms(100)
#: Height relative to a typical complex: accepted at once; accepted in a search-back.
STRONG, WEAK = 0.47, 0.27
#: No second complex within the refractory period; until the end of the T period a complex less than half as high as
#: the one before is taken for its T wave.
REFRACTORY, T_PERIOD = ms(220), ms(400)
#: A gap longer than this multiple of the running median RR interval is searched back.
GAP = 1.4
#: The height of a typical complex over the background of its lead: leads below the first have no weight.
CONTRAST_FLOOR = 2.0
#: Smallest envelope (mV per grid sample) of a complex: below 0.03 mV peak to peak nothing is called a beat.
SMALLEST = 0.01


def slope_envelope(scales: np.ndarray) -> np.ndarray:
    """(leads, t) root mean square slope around each sample, from the transform's scales (5, leads, t)."""
    energy = 2 * scales[1] ** 2 + scales[2] ** 2
    return np.sqrt(np.maximum(uniform_filter1d(energy, MERGE, axis=1), 0))


def block_levels(envelope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Typical height of a complex and background of each block, (leads, blocks) each, by running medians."""
    leads, samples = envelope.shape
    blocks = -(-samples // BLOCK)
    padded = np.pad(envelope, ((0, 0), (0, blocks * BLOCK - samples)), mode="edge").reshape(leads, blocks, BLOCK)
    size = (1, min(N_BLOCKS, 2 * blocks - 1))
    smooth = lambda values: median_filter(values, size=size, mode="nearest")  # noqa: E731
    return smooth(padded.max(axis=2)), smooth(np.median(padded, axis=2))


def common_envelope(envelope: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """(t,) weighted mean of the usable leads' envelopes in units of their typical complex; 0 without such a lead."""
    height, background = block_levels(envelope)
    contrast = height / np.maximum(background, 1e-6)
    weight = np.where(usable[:, None] & (height > SMALLEST), np.maximum(contrast - CONTRAST_FLOOR, 1e-3), 0)
    total = weight.sum(axis=0)
    factor = np.where(total > 0, weight / np.maximum(total, 1e-9), 0) / np.maximum(height, SMALLEST)
    samples = envelope.shape[1]
    centres = np.arange(height.shape[1]) * BLOCK + BLOCK / 2
    time = np.arange(samples)
    return sum(np.interp(time, centres, row) * lead for row, lead in zip(factor, envelope, strict=True))


def detect_beats(envelope: np.ndarray) -> np.ndarray:
    """Positions (beats,) of the complexes in a common envelope (t,), in grid samples."""
    peak = (envelope == maximum_filter1d(envelope, 2 * NEIGHBOURHOOD + 1)) & (envelope > 0)
    candidates = np.nonzero(peak)[0]
    height, _ = block_levels(envelope[None])
    centres = np.arange(height.shape[1]) * BLOCK + BLOCK / 2
    ratio = envelope[candidates] / np.maximum(np.interp(candidates, centres, height[0]), 1e-9)
    beats = _accept_strong(candidates, ratio)
    return candidates[_search_back(candidates, ratio, beats)]


def _accept_strong(candidates: np.ndarray, ratio: np.ndarray) -> list[int]:
    kept: list[int] = []
    for i in np.nonzero(ratio > STRONG)[0]:
        distance = candidates[i] - candidates[kept[-1]] if kept else T_PERIOD
        if distance < REFRACTORY:
            if ratio[i] > ratio[kept[-1]]:
                kept[-1] = i
        elif distance >= T_PERIOD or ratio[i] >= 0.5 * ratio[kept[-1]]:
            kept.append(i)
    return kept


def _search_back(candidates: np.ndarray, ratio: np.ndarray, kept: list[int]) -> list[int]:
    """Adds the strongest weak candidate of every gap in the rhythm; twice, for gaps of more than one beat."""
    for _ in range(2):
        positions = candidates[kept]
        intervals = np.diff(positions)
        if len(intervals) < 3:
            return kept
        typical = median_filter(intervals, size=min(9, len(intervals)), mode="nearest")
        found = []
        for gap in np.nonzero(intervals > GAP * typical)[0]:
            inside = np.arange(kept[gap] + 1, kept[gap + 1])
            margin = max(0.4 * typical[gap], REFRACTORY)
            clear = (candidates[inside] - positions[gap] > margin) & (positions[gap + 1] - candidates[inside] > margin)
            inside = inside[clear & (ratio[inside] > WEAK)]
            if len(inside):
                found.append(int(inside[ratio[inside].argmax()]))
        if not found:
            return kept
        kept = sorted([*kept, *found])
    return kept


def find_beats(scales: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Beats common to all leads.

    Args:
        scales: (5, leads, t) of `wavelet.transform`.
        usable: (leads,) False for leads that abstain.

    Returns:
        (beats,) approximate centres of the QRS complexes in grid samples.
    """
    if scales.shape[2] < GRID_RATE // 4 or not usable.any():
        return np.zeros(0, dtype=int)
    return detect_beats(common_envelope(slope_envelope(scales), usable))
