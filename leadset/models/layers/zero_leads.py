"""Any classifier of twelve leads as one of some of them: those that are missing are zero."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from leadset.leads import LEADS
from leadset.models.layers.extra_term import EXTRA


class ZeroLeads(nn.Module):
    """A network of twelve leads that is given some of them, in their order; the others are zero.

    What the network answers is what it answers on twelve leads of which the others are zero: to the bit, but for a
    network whose ``forward`` takes ``rows`` (says `shares_rows`), which encodes the row of zeros once for all of them.

    Args:
        model: a classifier of the twelve leads.
        leads: those that it is given.

    Raises:
        ValueError: it has extra inputs whose shape depends on the leads.
    """

    def __init__(self, model: nn.Module, leads: Sequence[str]) -> None:
        super().__init__()
        by_lead = sorted(set(model.input_spec.extra) - set(EXTRA))
        if by_lead:
            raise ValueError(f"zero_leads: found extra inputs that are computed by lead: {', '.join(by_lead)}")
        self.model, self.input_spec = model, model.input_spec
        # The row of each of the twelve in the given leads, behind which there is a row of zeros.
        rows = [list(leads).index(lead) if lead in leads else len(leads) for lead in LEADS]
        self.register_buffer("rows", torch.tensor(rows), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None, **extra: Tensor | None) -> Tensor:
        """Signals (b, l, t), mask (b, t) and extra inputs by name to logits (b, k)."""
        with_zeros = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
        if getattr(self.model, "shares_rows", False):
            return self.model(with_zeros, mask, rows=self.rows, **extra)
        return self.model(with_zeros.index_select(1, self.rows), mask, **extra)
