"""The first layers of networks that take signals as images."""

from __future__ import annotations

from torch import nn


class Stem(nn.Sequential):
    """Convolution, norm and activation in their order, of images (b, f, l, t) to (b, f', l, t')."""
