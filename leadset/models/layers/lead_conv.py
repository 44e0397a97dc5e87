"""Convolutions over three neighbouring leads and some samples, with half the multiplications on a CPU.

Filtering along the leads is short: three taps over two to twelve rows. Such a filter of m outputs needs m + 2 products
instead of 3 m (Toom and Cook; S. Winograd, Arithmetic Complexity of Computations, SIAM 1980): the rows are mixed by a
small matrix, one convolution along time follows for each mixture, and another small matrix mixes the results. Each of
the convolutions along time has its own weights, which are mixtures of the three rows of the kernel.

For this, images (b, f, l, t) are *folded*: leads become the outermost part of the batch, (l · b, f, 1, t). Layers that
see one lead at a time (norms, 1 × 1 convolutions, pooling along time) then work as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 3
# Where the polynomials of a tile are evaluated, besides infinity: small numbers keep rounding errors small.
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
# Leads computed together: with more of them, single precision loses more than a digit.
_TILE = len(_POINTS) - 1
# Features times leads below which mixing costs more than it saves.
_WORTH_MIXING = 512


class LeadMixing(NamedTuple):
    """Matrices for one number of leads, as nested lists.

    Attributes:
        leads: number of leads l.
        products: number of convolutions along time p; each is for one point and all tiles of leads.
        rows: (p · tiles, l), mixes leads; kernel: (p, 3), mixes rows of the kernel; results: (l, p · tiles).
    """

    leads: int
    products: int
    rows: list[list[float]]
    kernel: list[list[float]]
    results: list[list[float]]


def _evaluation(points: int, coefficients: int) -> np.ndarray:
    """Coefficients of a polynomial to its values at the first points and at infinity: (points, coefficients)."""
    finite = np.vander(_POINTS[: points - 1], coefficients, increasing=True)
    return np.vstack([finite, np.eye(coefficients)[-1]])


@lru_cache
def lead_mixing(leads: int) -> LeadMixing:
    """The matrices for a three-row filter over ``leads`` rows with zeros above and below."""
    tiles = -(-leads // _TILE)
    tile = -(-leads // tiles)
    products = tile + ROWS - 1
    # A product of polynomials, transposed: the coefficients of the filter come out as its outputs go in.
    from_rows = np.linalg.inv(_evaluation(products, products)).T
    to_results, from_kernel = _evaluation(products, tile).T, _evaluation(products, ROWS)
    # Scaled by powers of two, so that mixtures of rows are about as large as the rows.
    scale = 2.0 ** np.round(np.log2(np.abs(from_rows).sum(axis=1, keepdims=True)))
    from_rows, from_kernel = from_rows / scale, from_kernel * scale
    rows = np.zeros((products, tiles, tiles * tile + 2))
    results = np.zeros((tiles * tile, products, tiles))
    for k in range(tiles):
        rows[:, k, k * tile : k * tile + products] = from_rows
        results[k * tile : (k + 1) * tile, :, k] = to_results
    rows, results = rows[:, :, 1 : leads + 1].reshape(-1, leads), results[:leads].reshape(leads, -1)
    return LeadMixing(leads, products, rows.tolist(), from_kernel.tolist(), results.tolist())


def mixing_pays(x: Tensor) -> bool:
    """Whether to fold images (b, f, l, t): large ones in full precision on a CPU, where multiplications take time."""
    large = x.shape[1] * x.shape[2] >= _WORTH_MIXING
    return large and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def fold_leads(x: Tensor) -> Tensor:
    """(b, f, l, t) to (l · b, f, 1, t)."""
    return x.permute(2, 0, 1, 3).flatten(0, 1).unsqueeze(2)


def unfold_leads(x: Tensor, leads: int) -> Tensor:
    """The inverse of `fold_leads`."""
    return x.squeeze(2).unflatten(0, (leads, -1)).permute(1, 2, 0, 3)


def _mixed(matrix: list[list[float]], x: Tensor) -> Tensor:
    """The matrix times the outermost dimension of ``x``."""
    return (x.new_tensor(matrix) @ x.flatten(1)).unflatten(1, x.shape[1:])


class LeadConv2d(nn.Conv2d):
    """A convolution with kernels of three leads, for images (b, f, l, t) or folded ones of several leads.

    Args:
        leads: number of leads of the images.
        f_in, f_out, taps, stride: features, and kernel size and stride along time; without bias, padded to keep size.
    """

    def __init__(self, leads: int, f_in: int, f_out: int, taps: int, stride: int = 1) -> None:
        super().__init__(f_in, f_out, (ROWS, taps), (1, stride), (1, taps // 2), bias=False)
        self.leads = leads

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f', l, t'), or (l · b, f, 1, t) to (l · b, f', 1, t')."""
        if x.shape[2] == self.leads:
            return super().forward(x)
        return _along_time(x, self.leads, self.weight, self._convolve)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv1d(x, weight, None, self.stride[1], self.padding[1])


class LeadConvTranspose2d(nn.ConvTranspose2d):
    """The transposed convolution that doubles time, with kernels of three leads; images as of `LeadConv2d`.

    Args:
        leads: number of leads of the images.
        f_in, f_out, taps: features, and kernel size along time; without bias.
    """

    def __init__(self, leads: int, f_in: int, f_out: int, taps: int) -> None:
        super().__init__(f_in, f_out, (ROWS, taps), (1, 2), (1, taps // 2), (0, 1), bias=False)
        self.leads = leads

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, l, t) to (b, f', l, 2 t), or (l · b, f, 1, t) to (l · b, f', 1, 2 t)."""
        if x.shape[2] == self.leads:
            return super().forward(x)
        return _along_time(x, self.leads, self.weight.flip(2), self._convolve)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv_transpose1d(x, weight, None, 2, self.padding[1], self.output_padding[1])


def _along_time(x: Tensor, leads: int, weight: Tensor, convolve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Filters a folded image by a kernel (…, …, 3, taps), with ``convolve`` for each mixture of rows."""
    mixing = lead_mixing(leads)
    rows = _mixed(mixing.rows, x.squeeze(2).unflatten(0, (leads, -1)))  # (p · tiles, b, f, t)
    kernels = _mixed(mixing.kernel, weight.permute(2, 0, 1, 3))  # (p, …, …, taps)
    parts = rows.unflatten(0, (mixing.products, -1)).flatten(1, 2).unbind(0)  # p times (tiles · b, f, t)
    results = torch.cat([convolve(part, kernel) for part, kernel in zip(parts, kernels.unbind(0), strict=True)])
    results = results.unflatten(0, (len(mixing.rows), -1))  # (p · tiles, b, f', t')
    return _mixed(mixing.results, results).flatten(0, 1).unsqueeze(2)
