"""Polyphase resampling as small matrix products.

With rates in the ratio up : down, outputs n and n + up see the same filter weights, over inputs that lie ``down``
apart. A block of outputs is therefore one matrix times a stretch of the signal, and the blocks of all leads are rows of
one product: several times as fast as a filter loop, and as exact.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

# The low-pass of `scipy.signal.resample_poly`: its length on either side, in samples of the lower rate, and its window.
_HALF_LENGTH = 10
_WINDOW = ("kaiser", 5.0)
# Rates are taken as a ratio of integers up to this: 360 and 257 Hz are, and a clock off by a thousandth is as well.
_LARGEST_FACTOR = 2000
# Outputs of one product, at most: with more of them, more of its weights are zero; with fewer, there are more products.
_COLUMNS = 30
# A product of up to 2^18 multiplications is done on one thread by OpenBLAS, so that bits do not depend on the number of
# threads.
_LARGEST_PRODUCT = 1 << 18


class _Group(NamedTuple):
    """Some outputs of a block: which, their first input (from the first one needed on), weights (inputs, outputs)."""

    outputs: slice
    first: int
    weights: np.ndarray


class _Blocks(NamedTuple):
    """How blocks of outputs come from a signal.

    Attributes:
        up, down: ratio of the rates.
        n_in, n_out: inputs and outputs per block.
        before: inputs needed before the first of a block.
        n_rows: blocks per product.
        groups: the products.
    """

    up: int
    down: int
    n_in: int
    n_out: int
    before: int
    n_rows: int
    groups: tuple[_Group, ...]


@lru_cache(maxsize=32)
def _blocks(fs: float, new_fs: float) -> _Blocks | None:
    """The blocks for two rates; None where they are equal."""
    from scipy.signal import firwin

    ratio = Fraction(new_fs / fs).limit_denominator(_LARGEST_FACTOR)
    if ratio == 1:
        return None
    up, down = ratio.numerator, ratio.denominator
    half = _HALF_LENGTH * max(up, down)
    low_pass = firwin(2 * half + 1, 1 / max(up, down), window=_WINDOW)
    before = -(-half // up)
    # A group must not need more inputs than a block has: rows of a product then lie one block apart without overlap.
    repeats = -(-(2 * before + 1) // down) + -(-_COLUMNS // up)
    n_out = up * repeats
    groups = []
    for outputs in np.array_split(np.arange(n_out), -(-n_out // _COLUMNS)):
        inputs = np.arange(-((half - outputs[0] * down) // up), (outputs[-1] * down + half) // up + 1)
        tap = outputs * down - inputs[:, None] * up + half
        weights = np.where((tap >= 0) & (tap <= 2 * half), low_pass[np.clip(tap, 0, 2 * half)], 0.0)
        weights /= weights.sum(axis=0)  # a constant stays one, whatever the phase
        within = slice(int(outputs[0]), int(outputs[-1]) + 1)
        groups.append(_Group(within, int(inputs[0]) + before, weights.astype(np.float32)))
    n_rows = max(1, _LARGEST_PRODUCT // max(group.weights.size for group in groups))
    return _Blocks(up, down, down * repeats, n_out, before, n_rows, tuple(groups))


def resample(signal: np.ndarray, fs: float, new_fs: float) -> np.ndarray:
    """Resampling of (l, t) float32 along time, without phase shift.

    The low-pass is that of `scipy.signal.resample_poly`, but for one thing: the weights of each output sum to 1. There
    they sum to 0.9995 to 1.0007 where samples are put between others, by the phase of the output, so that an offset
    becomes a ripple: from 257 to 500 Hz, white noise of 1 mV differs by up to 2.6e-3 mV. With the same sums, both agree
    to single precision (`tests/test_resampling.py`). Both ends are continued by the line through the first and the last
    sample, so that an offset does not ring there.

    Args:
        signal: (l, t) float32.
        fs: sampling rate of the signal in Hz.
        new_fs: sampling rate wanted in Hz. The ratio of both is taken as one of integers up to 2000.

    Returns:
        (l, ceil(t * new_fs / fs)) float32; the signal itself where the rates agree.
    """
    blocks = _blocks(fs, new_fs)
    if blocks is None:
        return signal
    n_leads, n_samples = signal.shape
    length = -(-n_samples * blocks.up // blocks.down)
    # One block more, whose outputs are not used: the inputs of the last ones reach into it.
    per_lead = -(-length // blocks.n_out) + 1
    n_products = -(-n_leads * per_lead // blocks.n_rows)
    rows = n_products * blocks.n_rows
    extended = np.zeros((rows + 1, blocks.n_in), dtype=np.float32)
    _extend(signal, blocks.before, extended[: n_leads * per_lead].reshape(n_leads, -1))
    resampled = np.empty((n_products, blocks.n_rows, blocks.n_out), dtype=np.float32)
    step = extended.strides[0]
    for outputs, first, weights in blocks.groups:
        inputs = as_strided(
            extended.reshape(-1)[first:],
            (n_products, blocks.n_rows, len(weights)), (blocks.n_rows * step, step, extended.itemsize), writeable=False,
        )  # fmt: skip
        np.matmul(inputs, weights, out=resampled[..., outputs])
    return resampled.reshape(rows, -1)[: n_leads * per_lead].reshape(n_leads, -1)[:, :length]


def _extend(signal: np.ndarray, before: int, out: np.ndarray) -> None:
    """Writes (l, t) into (l, more) from sample ``before`` on, continued at both ends by the line through its ends."""
    n_samples = signal.shape[1]
    behind = before + n_samples
    slope = (signal[:, -1:] - signal[:, :1]) / max(n_samples - 1, 1)
    out[:, before:behind] = signal
    out[:, :before] = signal[:, :1] + slope * np.arange(-before, 0, dtype=np.float32)
    out[:, behind:] = signal[:, -1:] + slope * np.arange(1, out.shape[1] - behind + 1, dtype=np.float32)
