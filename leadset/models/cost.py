"""What a network costs: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from leadset.leads import LEAD_SETS, lead_set_name, resolve_leads
from leadset.models.registry import count_parameters, create_model


class Cost(NamedTuple):
    """Cost of one architecture on one lead set.

    Attributes:
        leads: name of the lead set.
        parameters: trainable parameters.
        macs: multiply-accumulates of convolutions and matrix products for one window.
    """

    leads: str
    parameters: int
    macs: int


def count_macs(model: nn.Module, n_leads: int) -> int:
    """Multiply-accumulates of convolutions and matrix products for one window of a model on the meta device."""
    model = model.eval()
    window = torch.empty(1, n_leads, model.input_spec.samples, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(window)
    return counter.get_total_flops() // 2


def model_costs(name: str, lead_sets: Iterable[int] = LEAD_SETS, **options) -> list[Cost]:
    """Costs of a registered architecture on each lead set, for the scored classes of the Challenge."""
    costs = []
    for size in lead_sets:
        leads = resolve_leads(size)
        with torch.device("meta"):  # shapes only: no weight is drawn and nothing is computed
            model = create_model(name, leads, **options)
        costs.append(Cost(lead_set_name(leads), count_parameters(model), count_macs(model, len(leads))))
    return costs


def cost_table(name: str) -> str:
    """The table of costs of a model card, in Markdown."""
    rows = [f"| {leads} | {parameters:,} | {macs / 1e6:,.1f} |" for leads, parameters, macs in model_costs(name)]
    return "\n".join(["| Leads | Parameters | Multiply-accumulates per window (millions) |", "|---|---|---|", *rows])
