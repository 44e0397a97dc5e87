"""Feature vectors of a classifier: what its last layer turns into logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leadset.models.layers.extra_term import ExtraTerm


class Embedder(nn.Module):
    """A classifier that returns the input of its last layer instead of logits.

    The last layer is the innermost module whose output is the logits: a linear layer, or a KAN layer. Where the logits
    are the sum of what several modules return, which a classifier names in ``summands``, there are as many last layers,
    and their inputs come one behind the other.

    Args:
        model: any registered classifier, in evaluation mode.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        # A linear term beside the network is none of its layers.
        self.left_out = model.extra if isinstance(model, ExtraTerm) else ()
        self.model = model.model if isinstance(model, ExtraTerm) else model

    def forward(self, x: Tensor, mask: Tensor | None = None, **extra: Tensor | None) -> Tensor:
        """Arguments of the classifier to features (b, f).

        Raises:
            ValueError: no module of it returns the logits as they are.
        """
        seen: list[tuple[nn.Module, Tensor, Tensor]] = []

        def note(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            if given and isinstance(given[0], Tensor) and isinstance(output, Tensor):
                seen.append((module, given[0], output))

        hooks = [module.register_forward_hook(note) for module in self.model.modules()]
        try:
            logits = self.model(x, mask, **{name: v for name, v in extra.items() if name not in self.left_out})
        finally:
            for hook in hooks:
                hook.remove()
        summands = next((module.summands for module, _, _ in seen if getattr(module, "summands", ())), ())
        ends = [output for module, _, output in seen if module in summands] or [logits]
        features = []
        for end in ends:
            # A classifier, or one that is wrapped, takes recordings: these are no features.
            layers = (given for module, given, output in seen if output is end and not hasattr(module, "input_spec"))
            features.append(next(layers, None))
        if any(given is None for given in features):
            raise ValueError(f"{type(self.model).__name__}: found no layer that returns its logits, expected one")
        return torch.cat([given.flatten(1) for given in features], dim=1)
