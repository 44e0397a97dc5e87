"""Helpers for tests of networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leadset.models import list_models, model_entry

#: Reduced sizes of all architectures, so that tests of them are quick.
REDUCED: dict[str, dict] = {name: model_entry(name).reduced for name in list_models()}


@torch.no_grad()
def settle(model: nn.Module, **inputs: Tensor) -> nn.Module:
    """The network in evaluation mode, its norms holding the statistics of these inputs as after training.

    Untrained running statistics (0 and 1) leave deep networks all but silent in evaluation.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    model.train()(**inputs)
    return model.eval()
