"""Convolutions over three neighbouring leads and nine samples, with a sixth to two fifths of the multiplications.

Filtering by r taps takes m + r - 1 products for m outputs instead of m r (Toom and Cook; S. Winograd, Arithmetic
Complexity of Computations, SIAM 1980): the signal is mixed by a small matrix, the taps by another, and a third one
mixes the products. Here this is done along the leads and along time at once. A product is then one of matrices, of
features by features, for all recordings and frames of samples together, which is what a processor does best.

Images (b, f, l, t) have their features innermost in memory (`torch.channels_last`), written (b, l, t, f) below. A
stride of two is taken by regarding two neighbouring samples as one of twice the features: halving time is then a
convolution of five taps from 2 f features, doubling it one of five taps to 2 f' features.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS, TAPS = 3, 9
# Where polynomials are evaluated, besides infinity, by how many products a filter has. Chosen for small rounding
# errors among all sets out of 0, ±1/3, ±1/2, ±2/3, ±1, ±3/2, ±2, ±3: numbers and their reciprocals do well.
_POINTS = {
    1: (),
    2: (0.0,),
    3: (0.0, -1.0),
    4: (0.0, 1.0, -1.0),
    5: (0.0, -1.0, 2.0, 1 / 2),
    6: (0.0, 3 / 2, -3 / 2, 2 / 3, -2 / 3),
    7: (0.0, -1.0, -2.0, -1 / 2, 3 / 2, 2 / 3),
}
# Leads computed together: with more of them, rounding errors grow faster than the number of products falls.
_TILE = 4
# Elements of mixed signals made at once: few enough that they stay in the cache and need little memory.
_BLOCK = 1 << 20
# Features in times features out, and recordings times leads times samples, from which on it saves more than it costs.
_WORTH_FEATURES, _WORTH_POSITIONS = 1024, 1024


class Filter(NamedTuple):
    """m neighbouring outputs of a filter by r taps, y_i = Σ_k w_k x_(i + k): results · ((taps · w) ∘ (signal · x)).

    Attributes:
        signal: (p, n), n = m + r - 1 inputs to p products.
        taps: (p, r).
        results: (m, p).
    """

    signal: np.ndarray
    taps: np.ndarray
    results: np.ndarray


def toom_cook(outputs: int, taps: int) -> Filter:
    """The filter with ``outputs`` + ``taps`` - 1 products."""
    products = outputs + taps - 1

    def evaluation(coefficients: int) -> np.ndarray:
        """Coefficients of a polynomial to its values at the points and at infinity."""
        return np.vstack([np.vander(_POINTS[products], coefficients, increasing=True), np.eye(coefficients)[-1]])

    # A product of polynomials, transposed: the coefficients of the signal come out as its outputs go in.
    signal = np.linalg.inv(evaluation(products)).T
    # Scaled by powers of two, so that mixtures of the signal are about as large as the signal.
    scale = 2.0 ** np.round(np.log2(np.abs(signal).sum(axis=1, keepdims=True)))
    return Filter(signal / scale, evaluation(taps) * scale, evaluation(outputs).T)


def nested(outer: Filter, inner: Filter) -> Filter:
    """A filter by r r' taps: ``outer``, of r taps and r outputs, whose products are filters of every r-th sample."""
    step = outer.taps.shape[1]

    def interleaved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Column i + step · j holds the products of columns i and j."""
        out = np.zeros((len(a), len(b), a.shape[1] + step * (b.shape[1] - 1)))
        for i, j in product(range(a.shape[1]), range(b.shape[1])):
            out[:, :, i + step * j] += np.outer(a[:, i], b[:, j])
        return out.reshape(-1, out.shape[2])

    return Filter(*(interleaved(a, b) for a, b in zip(outer[:2], inner[:2], strict=True)),
                  interleaved(outer.results.T, inner.results.T).T)  # fmt: skip


@lru_cache
def lead_filter(leads: int) -> Filter:
    """The three-row filter of ``leads`` rows with zeros above and below: (p · tiles, l), (p, 3) and (l, p · tiles)."""
    if leads < ROWS:
        # The rows of the kernel are then as many as the leads, or more: each takes the other's place.
        swapped, margin = toom_cook(leads, leads), ROWS // 2 - leads + 1
        taps = np.pad(np.fliplr(swapped.signal), ((0, 0), (margin, margin)))
        return Filter(np.fliplr(swapped.taps).copy(), taps, swapped.results)
    tiles = -(-leads // _TILE)
    tile = -(-leads // tiles)
    one = toom_cook(tile, ROWS)
    products = len(one.taps)
    signal = np.zeros((products, tiles, tiles * tile + 2))
    results = np.zeros((tiles * tile, products, tiles))
    for k in range(tiles):
        signal[:, k, k * tile : k * tile + products] = one.signal
        results[k * tile : (k + 1) * tile, :, k] = one.results
    return Filter(signal[:, :, 1 : leads + 1].reshape(-1, leads), one.taps, results[:leads].reshape(leads, -1))


@lru_cache
def time_filter(taps: int) -> Filter:
    """The filter along time by five or by nine taps."""
    return toom_cook(3, taps) if taps < TAPS else nested(toom_cook(3, 3), toom_cook(3, 3))


def _frames(x: Tensor, size: int, step: int) -> Tensor:
    """Overlapping frames of samples: (b, p, t, f) to (size, p, b, frames, f)."""
    b, p, t, f = x.shape
    batch, row, sample, feature = x.stride()
    strides = (sample, row, batch, step * sample, feature)
    return x.as_strided((size, p, b, (t - size) // step + 1, f), strides).contiguous()


def _overlap_add(x: Tensor, samples: int, step: int, before: int) -> Tensor:
    """The transpose of `_frames`: (size, p, b, frames, f) to (b, p, t, f), less ``before`` and what lies behind."""
    size, p, b, frames, f = x.shape
    overlap = -(-size // step) - 1
    out = x.new_empty(b, p, frames + overlap, step, f)
    by_sample = out.permute(3, 1, 0, 2, 4)
    by_sample[:, :, :, frames:] = 0
    by_sample[:, :, :, :frames] = x[:step]
    for k in range(1, overlap + 1):
        part = x[k * step : (k + 1) * step]
        by_sample[: len(part), :, :, k : k + frames] += part
    return out.flatten(2, 3)[:, :, before : before + samples]


def _mixed_rows(matrix: Tensor, x: Tensor, before: int = 0, after: int = 0) -> Tensor:
    """(b, l, t, f) to (b, p, t, f) by a matrix (p, l), with zeros before and after the samples."""
    b, _, t, f = x.shape
    mixed = x.new_empty(b, len(matrix), before + t + after, f)
    mixed[:, :, :before] = 0
    mixed[:, :, before + t :] = 0
    torch.bmm(matrix.expand(b, -1, -1), x.flatten(2), out=mixed[:, :, before : before + t].flatten(2))
    return mixed


class _Mixing(NamedTuple):
    """A linear map from images (b, l, t, f) to their mixtures (products, tiles · b · frames, f), and its transpose.

    Attributes:
        rows: (p · tiles, l), mixes leads.
        samples: (q, n), mixes the n samples of a frame.
        step, before: samples from a frame to the next, and zeros before the first.
        products: p · q.
    """

    rows: Tensor
    samples: Tensor
    step: int
    before: int
    products: int

    def of(self, x: Tensor) -> Tensor:
        """The mixtures of ``x``."""
        size, t = self.samples.shape[1], x.shape[2]
        after = (-(-t // self.step) - 1) * self.step + size - self.before - t
        frames = _frames(_mixed_rows(self.rows, x, self.before, after), size, self.step)
        return (self.samples @ frames.flatten(1)).view(self.products, -1, x.shape[3])

    def transposed(self, mixtures: Tensor, recordings: int, samples: int) -> Tensor:
        """The image whose inner product with any other is that of ``mixtures`` with the other's mixtures."""
        frames = self.samples.T @ mixtures.view(len(self.samples), -1)
        frames = frames.view(len(frames), len(self.rows), recordings, -1, mixtures.shape[2])
        return _mixed_rows(self.rows.T, _overlap_add(frames, samples, self.step, self.before))


class _MinimalConv(torch.autograd.Function):
    """Images (b, l, t, f) and a kernel (r, 3, f, f') to (b, l, t, f'), some recordings at a time.

    Mixtures of the image are made anew for the gradient: kept, they would be up to five times as large as it is.
    """

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor) -> Tensor:
        signal, results, taps = _mixings(x, len(kernel))
        kernel = (taps @ kernel.flatten(0, 1).flatten(1)).unflatten(1, kernel.shape[2:])
        ctx.save_for_backward(x, kernel, taps)
        parts = x.split(_recordings_at_once(signal, x))
        return torch.cat([
            results.transposed(torch.bmm(signal.of(part), kernel), len(part), x.shape[2]) for part in parts
        ])  # fmt: skip

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, kernel, taps = ctx.saved_tensors
        signal, results, _ = _mixings(x, taps.shape[1] // ROWS)
        grad_kernel, grad_x = torch.zeros_like(kernel), []
        at_once = _recordings_at_once(signal, x)
        for part, grad_part in zip(x.split(at_once), grad.split(at_once), strict=True):
            products = results.of(grad_part)
            grad_kernel.baddbmm_(signal.of(part).transpose(1, 2), products)
            grad_x.append(signal.transposed(torch.bmm(products, kernel.transpose(1, 2)), len(part), x.shape[2]))
        return torch.cat(grad_x), (taps.T @ grad_kernel.flatten(1)).view(-1, ROWS, *kernel.shape[1:])


def _mixings(x: Tensor, n_taps: int) -> tuple[_Mixing, _Mixing, Tensor]:
    """Of the signal, of the gradient of the results, and the matrix (products, 3 r) for the kernel."""
    leads, time = lead_filter(x.shape[1]), time_filter(n_taps)
    taps = np.kron(time.taps, leads.taps)
    step = len(time.results)
    signal = _Mixing(x.new_tensor(leads.signal), x.new_tensor(time.signal), step, n_taps // 2, len(taps))
    results = _Mixing(x.new_tensor(leads.results.T), x.new_tensor(time.results.T), step, 0, len(taps))
    return signal, results, x.new_tensor(taps)


def _recordings_at_once(signal: _Mixing, x: Tensor) -> int:
    """How many recordings of ``x`` (b, l, t, f) have mixtures of about `_BLOCK` elements."""
    _, _, samples, features = x.shape
    return max(1, _BLOCK // (len(signal.rows) * len(signal.samples) * -(-samples // signal.step) * features))


def minimal_pays(x: Tensor, layer: LeadConv2d | LeadConvTranspose2d) -> bool:
    """Whether to filter images (b, f, l, t) minimally: large ones in full precision on a CPU."""
    b, _, leads, samples = x.shape
    return (
        layer.in_channels * layer.out_channels >= _WORTH_FEATURES
        and b * leads * samples >= _WORTH_POSITIONS
        and samples % layer.stride[1] == 0
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class LeadConv2d(nn.Conv2d):
    """A convolution of images (b, f, l, t) with kernels of three leads and nine samples.

    Args:
        f_in, f_out, stride: features, and stride along time; without bias, padded to keep size.
    """

    def __init__(self, f_in: int, f_out: int, stride: int = 1) -> None:
        super().__init__(f_in, f_out, (ROWS, TAPS), (1, stride), (ROWS // 2, TAPS // 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f', l, t / stride)."""
        if not minimal_pays(x, self):
            return super().forward(x)
        stride = self.stride[1]
        kernel = F.pad(self.weight, (0, stride - 1)).unflatten(3, (-1, stride)).permute(3, 2, 4, 1, 0)
        x = x.permute(0, 2, 3, 1).contiguous().unflatten(2, (-1, stride)).flatten(3)
        return _MinimalConv.apply(x, kernel.flatten(2, 3)).permute(0, 3, 1, 2)


class LeadConvTranspose2d(nn.ConvTranspose2d):
    """The transposed convolution that doubles time, with kernels of three leads and nine samples.

    Args:
        f_in, f_out: features; without bias.
    """

    def __init__(self, f_in: int, f_out: int) -> None:
        super().__init__(f_in, f_out, (ROWS, TAPS), (1, 2), (ROWS // 2, TAPS // 2), (0, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f', l, 2 t)."""
        if not minimal_pays(x, self):
            return super().forward(x)
        # Taps of even results are 8, 6, 4, 2, 0, of odd ones none, 7, 5, 3, 1.
        kernel = F.pad(self.weight.flip(2, 3), (1, 0)).unflatten(3, (-1, 2)).flip(4).permute(3, 2, 0, 4, 1)
        x = _MinimalConv.apply(x.permute(0, 2, 3, 1).contiguous(), kernel.flatten(3))
        return x.unflatten(3, (2, -1)).flatten(2, 3).permute(0, 3, 1, 2)
