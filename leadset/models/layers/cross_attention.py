"""The attention by which a recording and one of its heartbeats are restored from each other (Jiang et al., 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class UnbiasedLayerNorm(nn.Module):
    """Layer normalisation by the unbiased standard deviation, with epsilon added outside the root."""

    def __init__(self, features: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features)), eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., f) to the same shape."""
        centred = x - x.mean(-1, keepdim=True)
        deviation = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / (x.shape[-1] - 1) ** 0.5
        return self.weight * centred / (deviation + self.eps) + self.bias


class CrossAttention(nn.Module):
    """Mixes the latents of a recording and a heartbeat: attention over all tokens, then an MLP along them for each."""

    def __init__(self, features: int, tokens: int, heads: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(features, heads, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.norm = UnbiasedLayerNorm(features)
        self.beat_mlp, self.record_mlp = (
            nn.Sequential(nn.Linear(tokens, wide), nn.ReLU(inplace=True), nn.Linear(wide, out))
            for wide, out in ((2 * tokens, 1), (4 * tokens, tokens - 1))
        )

    def forward(self, record: Tensor, beat: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (b, f, n) and (b, f, 1) to the same shapes; each gains what comes of both."""
        tokens = torch.cat([record, beat], dim=2).transpose(1, 2)
        attended = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        mixed = self.norm(tokens + self.dropout(attended)).transpose(1, 2)
        return record + self.record_mlp(mixed), beat + self.beat_mlp(mixed)

    def mean_over_beats(self, record: Tensor, beats: Tensor) -> tuple[Tensor, Tensor]:
        """`forward` of recordings with each of k heartbeats.

        Args:
            record: latents (b, f, n).
            beats: latents (k, b, f, 1).

        Returns:
            Fused latents (b, f, n), averaged over heartbeats, and (k, b, f, 1).
        """
        records, fused = zip(*(self(record, beat) for beat in beats), strict=True)
        return torch.stack(records).mean(0), torch.stack(fused)
