"""A small convolutional network that computes, for every lead, heat maps of where marks are.

Input are scales 1 to 5 of the wavelet transform on the 250-Hz grid, compressed and in units of the lead's typical
slope, in cells of eight samples (32 ms). Output are logits in cells of 16 ms: one heat map per onset, peak and end of
P, QRS and T, and one map of the extent of each wave, which only training uses. The body is an encoder and
decoder over three resolutions (U-Net, Ronneberger, Fischer, Brox, MICCAI 2015); at every resolution a lead also sees
the mean over all leads, so that one set of weights serves any number of leads (Deep Sets, Zaheer et al.,
NeurIPS 2017).

`forward` is written once for two backends: numpy here, torch for training (`benchmarks/train_waves.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from leadset.waves.envelope import Envelope, between_blocks
from leadset.waves.wavelet import N_SCALES

#: Grid samples per cell of the input, and cells per coarsest cell: the length must be a multiple of their product.
CELL, COARSEST = 8, 4
#: Cells that are zero before and after a lead, as far as any layer looks.
GAP = 2 * COARSEST
#: Alignments in which a single lead is seen: all that differ by cells of the output.
ALIGNMENTS = 8
#: Fewest cells of a lead, the zeros included: two windows of five taps side by side where they are coarsest.
SHORTEST = 14 * COARSEST
#: Multiplications of a matrix product that OpenBLAS leaves to one thread (its default, interface/gemm.c).
ONE_THREAD = 2**18
#: Rows that its kernels take at once.
UNROLLED = 4
#: Grid samples per cell of the output.
HEAT_CELL = 4
#: Heat maps and extents, in the order of the output channels.
HEAT: tuple[str, ...] = (
    "P onset", "P peak", "P end", "QRS onset", "R peak", "QRS end", "T onset", "T peak", "T end",
)
EXTENT: tuple[str, ...] = ("P", "QRS", "T")
#: Slope, relative to the lead's typical one, at which a scale is compressed to half its limit; per scale 1 to 5.
KNEE = np.array([0.2, 0.3, 0.3, 0.25, 0.25], dtype=np.float32)
#: Typical slope in mV per grid sample below which there is nothing to compare with.
SMALLEST_SLOPE = 1e-4
#: Grid samples between the values of each scale that a cell holds.
STRIDE: tuple[int, ...] = (1, 1, 1, 2, 2)
INPUTS = sum(CELL // stride for stride in STRIDE)
#: Channels at 32, 64 and 128 ms.
WIDTH: tuple[int, ...] = (32, 40, 48)
#: layer: (inputs, outputs, taps)
LAYERS: dict[str, tuple[int, int, int]] = {
    "stem": (INPUTS, WIDTH[0], 3),
    **{f"{way}0": (WIDTH[0], WIDTH[0], 3) for way in ("encode", "decode")},
    **{f"down{k}": (2 * WIDTH[k - 1], WIDTH[k], 1) for k in (1, 2)},
    **{f"encode{k}": (WIDTH[k], WIDTH[k], 5) for k in (1, 2)},
    **{f"context{k}": (WIDTH[k], WIDTH[k], 1) for k in (0, 1, 2)},
    "deep1": (WIDTH[2], WIDTH[2], 5),
    "deep2": (WIDTH[2], WIDTH[2], 5),
    **{f"up{k}": (WIDTH[k + 1], 2 * WIDTH[k], 1) for k in (0, 1)},
    "decode1": (WIDTH[1], WIDTH[1], 5),
    "head": (WIDTH[0], (len(HEAT) + len(EXTENT)) * CELL // HEAT_CELL, 3),
}
WEIGHTS = Path(__file__).with_name("network.safetensors")


def forward(cells: Any, layer: Callable, relu: Callable, across: Callable) -> Any:
    """Logits (..., leads, t, 12) of cells (..., leads, t, INPUTS).

    Args:
        cells: array of the backend, t a multiple of `COARSEST`.
        layer: ``layer(name, x)`` convolves x (..., leads, t, c) along t with that layer's weights.
        relu: rectifier of the backend.
        across: mean over the usable leads, (..., 1, t, c).
    """
    x = relu(layer("stem", cells))
    x = x + relu(layer("encode0", x))
    skips = [x]
    for k in (1, 2):
        x = relu(layer(f"down{k}", _merge_pairs(x)))
        x = x + relu(layer(f"encode{k}", x))
        skips.append(x)
    x = relu(x + layer("context2", across(x)))
    x = x + relu(layer("deep1", x))
    x = x + relu(layer("deep2", x))
    for k in (1, 0):
        x = relu(_split_pairs(layer(f"up{k}", x)) + skips[k] + layer(f"context{k}", across(skips[k])))
        x = x + relu(layer(f"decode{k}", x))
    return _split_pairs(layer("head", x))


def _merge_pairs(x):
    """Pairs of neighbours along t side by side."""
    return x.reshape(*x.shape[:-2], x.shape[-2] // 2, 2 * x.shape[-1])


def _split_pairs(x):
    """The inverse of `_merge_pairs`."""
    return x.reshape(*x.shape[:-2], 2 * x.shape[-2], x.shape[-1] // 2)


def cell_count(samples: int) -> int:
    """Number of input cells of so many grid samples."""
    return -(-samples // (CELL * COARSEST)) * COARSEST


def make_cells(scales: np.ndarray, envelope: Envelope, length: int, gap: int = 0, shift: int = 0) -> np.ndarray:
    """The network's input (leads, gap + length + gap, INPUTS) from wavelet scales (5, leads, samples).

    ``shift`` samples before them and those after them are zeros; the ``gap`` cells on either side are undefined.
    """
    _, leads, samples = scales.shape
    typical = np.maximum(between_blocks(envelope.height, length * CELL, CELL), SMALLEST_SLOPE)
    limit = np.abs(scales)
    limit += KNEE[:, None, None] * np.repeat(typical, CELL, axis=1)[:, :samples]
    ratio = np.zeros((N_SCALES, leads, length * CELL), dtype=np.float32)
    np.divide(scales, limit, out=ratio[:, :, shift : shift + samples])
    cells = np.empty((leads, gap + length + gap, INPUTS), dtype=np.float32)
    column = 0
    for values, stride in zip(ratio.reshape(N_SCALES, leads, length, CELL), STRIDE, strict=True):
        width = CELL // stride
        cells[:, gap : gap + length, column : column + width] = values[:, :, ::stride]
        column += width
    return cells


@lru_cache(maxsize=4)
def load_weights(path: Path = WEIGHTS) -> dict[str, np.ndarray]:
    """Weights of every layer as (taps * inputs, outputs) and bias (outputs,), in float32."""
    from safetensors.numpy import load_file

    return {name: array.astype(np.float32) for name, array in load_file(path).items()}


def logits(scales: np.ndarray, envelope: Envelope, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Heat maps and extents of every lead.

    A single lead is seen in `ALIGNMENTS` alignments with the coarsest cells, side by side, of which the mean errs less.

    Args:
        scales: (5, leads, samples) of `wavelet.transform`.
        envelope: slopes of the same leads.
        weights: of `load_weights`.

    Returns:
        (leads, t, 12) logits per cell of 16 ms in the order of `HEAT` and `EXTENT`.
    """
    _, leads, samples = scales.shape
    shifts = range(0, CELL * COARSEST, CELL * COARSEST // ALIGNMENTS) if leads == 1 else (0,)
    inside = cell_count(samples) + (COARSEST if len(shifts) > 1 else 0)
    gap = max(GAP, -(-(SHORTEST - inside) // (2 * COARSEST)) * COARSEST)
    cells = np.concatenate([make_cells(scales, envelope, inside, gap, shift) for shift in shifts])
    length = cells.shape[1]

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        taps = LAYERS[name][2]
        if taps > 1:
            margin = gap * x.shape[1] // length
            x[:, :margin] = x[:, -margin:] = 0
        y = _convolve(x.reshape(-1, x.shape[2]), weights[f"{name}.weight"], taps).reshape(*x.shape[:2], -1)
        y += np.repeat(weights[f"{name}.bias"][None], x.shape[1], axis=0)  # numpy is slow along short rows
        return y

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, np.zeros_like(x[0]), out=x)  # numpy is several times as slow with a scalar

    def across(x: np.ndarray) -> np.ndarray:
        return np.einsum("l,sltc->stc", share, x.reshape(len(shifts), leads, *x.shape[1:]))

    share = np.full(leads, 1 / leads, dtype=np.float32)
    found = forward(cells, layer, relu, across).reshape(len(shifts), leads, -1, len(HEAT) + len(EXTENT))
    first, count = gap * CELL // HEAT_CELL, cell_count(samples) * CELL // HEAT_CELL
    firsts = [first + shift // HEAT_CELL for shift in shifts]
    return np.mean([of[:, at : at + count] for of, at in zip(found, firsts, strict=True)], axis=0)


def _convolve(x: np.ndarray, weight: np.ndarray, taps: int) -> np.ndarray:
    """(t, outputs) of x (t, c) and weight (taps * c, outputs), taps being odd; the outermost taps // 2 rows are 0.

    Windows that do not overlap are the rows of a matrix as they lie in memory: so many products as there are taps, and
    nothing is copied. They are cut to pieces of so few rows that BLAS takes one thread: the same bits with any number.
    """
    (t, c), outputs, half = x.shape, weight.shape[1], taps // 2
    y = np.empty((t, outputs), dtype=np.float32)
    y[:half] = 0
    y[t - half :] = 0
    windows = (t - taps + 1) // taps  # of every first row
    rows = min(ONE_THREAD // weight.size // UNROLLED * UNROLLED, windows)
    for first, pieces in ((0, windows // rows), (t - taps + 1 - taps * rows, 1)):  # the last ones reach to the end
        np.matmul(_pieces(x, first, (taps, pieces, rows, taps * c)), weight,
                  out=_pieces(y, first + half, (taps, pieces, rows, outputs)))
    return y


def _pieces(x: np.ndarray, first: int, shape: tuple[int, int, int, int]) -> np.ndarray:
    """View (taps, pieces, rows, values) of x (t, c) from row ``first`` on: rows one tap apart, taps one row apart."""
    taps, _, rows, _ = shape
    step, value = x.strides
    return np.ndarray(shape, x.dtype, x, first * step, (step, rows * taps * step, taps * step, value))
