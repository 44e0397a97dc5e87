"""QRS detection by rules, on all leads together.

Peaks of the common envelope (`envelope.Envelope.common`) are beats: strong ones at once, weak ones only where the
rhythm leaves a gap (search-back), none within the refractory period. A flat or noisy lead has no weight in the common
envelope.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d, median_filter

from leadset.waves.envelope import between_blocks, cut_blocks, running_median
from leadset.waves.search import ms

#: Candidates are the largest value within this distance on either side.
NEIGHBOURHOOD = ms(100)
#: Height relative to a typical complex: accepted at once; accepted in a search-back.
STRONG, WEAK = 0.47, 0.27
#: No second complex within the refractory period; until the end of the T period a complex less than half as high as
#: the one before is taken for its T wave.
REFRACTORY, T_PERIOD = ms(220), ms(400)
#: A gap longer than this multiple of the running median RR interval is searched back.
GAP = 1.4


def find_beats(common: np.ndarray, sparse: bool) -> np.ndarray:
    """Centres (beats,) of the complexes in a common envelope (t,), in grid samples; see `envelope.Envelope`."""
    candidates = np.nonzero((common == maximum_filter1d(common, 2 * NEIGHBOURHOOD + 1)) & (common > 0))[0]
    blocks = cut_blocks(common[None]).max(axis=2)
    typical = between_blocks(np.ones_like(blocks) if sparse else running_median(blocks), len(common))[0]
    ratio = common[candidates] / np.maximum(typical[candidates], 1e-9)
    return candidates[_search_back(candidates, ratio, _accept_strong(candidates, ratio))]


def _accept_strong(candidates: np.ndarray, ratio: np.ndarray) -> list[int]:
    kept: list[int] = []
    for i in np.nonzero(ratio > STRONG)[0].tolist():
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
        added = []
        for gap in np.nonzero(intervals > GAP * typical)[0]:
            inside = np.arange(kept[gap] + 1, kept[gap + 1])
            margin = max(0.4 * typical[gap], REFRACTORY)
            clear = (candidates[inside] - positions[gap] > margin) & (positions[gap + 1] - candidates[inside] > margin)
            inside = inside[clear & (ratio[inside] > WEAK)]
            if len(inside):
                added.append(int(inside[ratio[inside].argmax()]))
        if not added:
            return kept
        kept = sorted([*kept, *added])
    return kept
