"""Helpers for tests of networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Reduced sizes, so that tests of all networks are quick; a registered model must have an entry.
REDUCED: dict[str, dict] = {
    "cnn_heartmaasters": {"width": 4, "rate": 100, "seconds": 6},
    "crnn_pqrst": {"width": 4, "rate": 100, "seconds": 6, "beats": 6},
    "cross_restoration": {"width": 2, "latent": 4},
    "mvms_net": {"width": 16, "samples": 200},
    "resnet34": {"width": 4, "blocks": (1, 1, 1, 1), "rate": 100, "seconds": 2},
    "resunet_lc": {"width": 8, "samples": 256},
    "star": {"width": 16, "samples": 200},
}


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
