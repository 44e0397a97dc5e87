"""Cutting: weights of a network of twelve leads become those of a network of some of them.

A network whose first layer adds up leads answers, on twelve leads of which some are zero, what the network without
these leads answers. Such a network says in ``model.lead_axes`` which of its tensors run over leads, and along which
axis, in the order of its leads; what comes behind the leads there, and everything else, stays as it is. Networks that
treat a zero lead as a lead (nodes, rows of an image, views with a gate) have no such attribute. They cannot be cut, and
are given zeros for the leads that are missing: `create_model(..., zero_leads=True)`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from leadset.leads import LEADS
from leadset.models.layers.zero_leads import ZeroLeads


def cut_leads(model: nn.Module, tensors: dict[str, Tensor], leads: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of a network of some leads.

    Args:
        model: of that architecture and those options, for any leads; says what runs over them.
        tensors: parameters and buffers of a network of the twelve leads in standard order.
        leads: those that stay.

    Raises:
        ValueError: the architecture cannot be cut, or a tensor does not have twelve leads along its axis.
    """
    if tuple(leads) == LEADS:
        return tensors
    if isinstance(model, ZeroLeads):
        return {f"model.{name}": tensor for name, tensor in tensors.items()}
    axes = getattr(model, "lead_axes", None)
    if not axes:
        raise ValueError(
            f"{type(model).__name__} cannot be cut to {', '.join(leads)}: expected all twelve leads, or zero_leads=True"
        )
    rows = torch.tensor([LEADS.index(lead) for lead in leads])
    cut = dict(tensors)
    for name, axis in axes.items():
        size = tensors[name].shape[axis]
        if size < len(LEADS):
            shape = tuple(tensors[name].shape)
            raise ValueError(f"{name} of shape {shape}: expected {len(LEADS)} leads along axis {axis}")
        cut[name] = tensors[name].index_select(axis, torch.cat([rows, torch.arange(len(LEADS), size)]))
    return cut
