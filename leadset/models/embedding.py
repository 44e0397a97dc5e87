"""Feature vectors of a classifier: what its last layer turns into logits."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from leadset.models.layers.extra_term import ExtraTerm


class Embedder(nn.Module):
    """A classifier that returns the input of its last layer instead of logits.

    The last layer is the innermost module whose output is the logits: a linear layer, or a KAN layer.

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
        seen: list[tuple[Tensor, Tensor]] = []

        def note(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            if given and isinstance(given[0], Tensor) and isinstance(output, Tensor):
                seen.append((given[0], output))

        hooks = [module.register_forward_hook(note) for module in self.model.modules()]
        try:
            logits = self.model(x, mask, **{name: v for name, v in extra.items() if name not in self.left_out})
        finally:
            for hook in hooks:
                hook.remove()
        features = next((given for given, output in seen if output is logits and given is not x), None)
        if features is None:
            raise ValueError(f"{type(self.model).__name__}: found no layer that returns its logits, expected one")
        return features.flatten(1)
