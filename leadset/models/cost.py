"""What a network costs: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from leadset.leads import LEAD_SETS, lead_set_name, resolve_leads
from leadset.models.registry import count_parameters, create_model, model_entry


class Cost(NamedTuple):
    """Cost of one architecture on one lead set.

    Attributes:
        leads: name of the lead set.
        parameters: trainable parameters.
        macs: multiply-accumulates of convolutions and matrix products for one window; a reconstruction model has one
            heartbeat beside it.
    """

    leads: str
    parameters: int
    macs: int


def count_macs(model: nn.Module, n_leads: int) -> int:
    """Multiply-accumulates of convolutions and matrix products for one window of a model on the meta device.

    A reconstruction model gets one heartbeat beside it.
    """
    model, samples = model.eval(), model.input_spec.samples
    reconstructs = model_entry(model.model_name).kind == "reconstruction"
    lengths = (samples, model.beat_samples, samples) if reconstructs else (samples,)
    given = [torch.empty(1, n_leads, length, device="meta") for length in lengths]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*given)
    return counter.get_total_flops() // 2


def model_cost(name: str, leads: Sequence[str], **options: Any) -> Cost:
    """Cost of a registered architecture on a lead set, for the scored classes of the Challenge."""
    with torch.device("meta"):  # shapes only: no weight is drawn and nothing is computed
        model = create_model(name, leads, **options)
    return Cost(lead_set_name(leads), count_parameters(model), count_macs(model, len(leads)))


def model_costs(name: str, lead_sets: Iterable[int] = LEAD_SETS, **options: Any) -> list[Cost]:
    """Costs on each lead set."""
    return [model_cost(name, resolve_leads(size), **options) for size in lead_sets]


def cost_lines(name: str) -> list[tuple[str, str, str]]:
    """The lines of the table of costs that a model's card holds, the heading first."""
    lines = [(leads, f"{parameters:,}", f"{macs / 1e6:,.1f}") for leads, parameters, macs in model_costs(name)]
    return [("Leads", "Parameters", "Multiply-accumulates per window (millions)"), *lines]
