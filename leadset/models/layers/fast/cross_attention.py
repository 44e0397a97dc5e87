"""Cross-attention of a recording with many heartbeats at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from leadset.models.layers.cross_attention import CrossAttention


class SharedCrossAttention(CrossAttention):
    """`CrossAttention` that attends to a recording once for all its heartbeats.

    Scores among the tokens of a recording are the same beside every heartbeat: one key more draws the mean of a softmax
    towards its own value, by the sigmoid of its score less the log-sum-exp of all others. The last layer of a
    perceptron, being linear, is applied once, to the mean.
    """

    def mean_over_beats(self, record: Tensor, beats: Tensor) -> tuple[Tensor, Tensor]:
        """As `CrossAttention`, in evaluation mode."""
        tokens, token = record.transpose(1, 2), beats.transpose(2, 3)
        queries, keys, values = self._projected(tokens)
        query, key, value = self._projected(token)

        def attend(queries: Tensor) -> Tensor:
            scores = queries @ keys.transpose(-1, -2)
            over = (queries * key).sum(-1, keepdim=True) - scores.logsumexp(-1, keepdim=True)
            return torch.lerp(scores.softmax(-1) @ values, value, over.sigmoid())

        attended = torch.cat([attend(queries), attend(query)], dim=-2)  # (k, b, heads, n + 1, f / heads)
        attended = self.attention.out_proj(attended.transpose(2, 3).flatten(3))
        everything = torch.cat([tokens.expand(len(beats), -1, -1, -1), token], dim=2)
        mixed = self.norm(everything + attended).transpose(2, 3).contiguous()
        hidden = self.record_mlp[:-1](mixed).mean(0)
        return record + self.record_mlp[-1](hidden), beats + self.beat_mlp(mixed)

    def _projected(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled queries, keys and values (..., heads, t, f / heads) of tokens (..., t, f)."""
        heads, features = self.attention.num_heads, self.attention.head_dim
        projected = functional.linear(tokens, self.attention.in_proj_weight, self.attention.in_proj_bias)
        queries, keys, values = projected.unflatten(-1, (3, heads, features)).transpose(-2, -4).unbind(-3)
        return queries / features**0.5, keys, values
