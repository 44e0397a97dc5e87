"""A linear term of extra inputs beside any classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from leadset.models.extra_inputs import given_or_missing

#: Extra inputs that the term takes: few numbers of unit size, each beside whether it is known.
EXTRA = ("age", "sex")


class ExtraTerm(nn.Module):
    """A classifier whose logits gain a linear term of extra inputs, which is zero before training.

    Args:
        model: any classifier; its own extra inputs stay as they are.
        extra: some of `EXTRA`.
        n_classes: k, number of logits.

    Raises:
        ValueError: none or others than `EXTRA`, or twice the same.
    """

    def __init__(self, model: nn.Module, extra: Sequence[str], n_classes: int) -> None:
        super().__init__()
        if isinstance(extra, str) or not extra or not set(extra) <= set(EXTRA) or len(set(extra)) < len(extra):
            raise ValueError(f"extra={extra!r}: expected some of {', '.join(EXTRA)}, each once")
        self.model, self.extra = model, tuple(extra)
        self.input_spec = replace(model.input_spec, extra=model.input_spec.extra | dict.fromkeys(extra, True))
        self.term = nn.Linear(2 * len(extra), n_classes, bias=False)
        nn.init.zeros_(self.term.weight)

    def forward(self, x: Tensor, mask: Tensor | None = None, **extra: Tensor | None) -> Tensor:
        """Signals (b, l, t), mask (b, t) and extra inputs by name to logits (b, k)."""
        own = [given_or_missing(name, extra.pop(name, None), self.input_spec, x) for name in self.extra]
        return self.model(x, mask, **extra) + self.term(torch.cat(own, 1))
