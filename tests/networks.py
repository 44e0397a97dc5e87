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

#: Mean and SD of what these reduced networks answer on twelve leads, under the weights of `test_models_golden`; a
#: registered model must have an entry.
GOLDEN: dict[str, tuple[float, float]] = {
    "cnn_heartmaasters": (-0.23413379614782034, 0.5416954517226693),
    "crnn_pqrst": (-0.11939126032542688, 0.2236750385426851),
    "cross_restoration": (-0.024374902609452548, 0.1385039836970225),
    "mvms_net": (-0.2914416101643627, 0.6554714663497373),
    "resnet34": (-0.8119122028014983, 3.113335458299462),
    "resunet_lc": (-35.4362923927682, 44.590271684771174),
    "star": (-22.62257080529988, 58.6381518787822),
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
