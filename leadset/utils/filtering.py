"""Filters without phase shift: second-order sections that run over signals forwards, then backwards."""

from __future__ import annotations

from functools import cached_property

import numpy as np


class ZeroPhaseFilter:
    """`scipy.signal.sosfiltfilt` along the last axis, with the state in which it starts computed once.

    Args:
        sections: (n, 6) as of `scipy.signal.butter`.
    """

    def __init__(self, sections: np.ndarray) -> None:
        self.sections = sections

    @cached_property
    def _start(self) -> np.ndarray:
        """(n, 1, 2) state of the sections after a long time at 1."""
        from scipy.signal import sosfilt_zi

        return sosfilt_zi(self.sections)[:, None]

    def __call__(self, signal: np.ndarray, padding: int) -> np.ndarray:
        """Filtered signals (l, t), continued at both ends by ``padding`` of their samples turned about the last one.

        ``padding`` is from 0 to t - 1.
        """
        from scipy.signal import sosfilt

        first, last = signal[:, :1], signal[:, -1:]
        before, behind = signal[:, padding:0:-1], signal[:, -2 : -padding - 2 : -1]
        extended = np.concatenate([2 * first - before, signal, 2 * last - behind], axis=1)
        forwards, _ = sosfilt(self.sections, extended, zi=self._start * extended[:, :1])
        backwards, _ = sosfilt(self.sections, forwards[:, ::-1], zi=self._start * forwards[:, -1:])
        return backwards[:, ::-1][:, padding : padding + signal.shape[1]]
