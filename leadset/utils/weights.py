"""Weights of networks on disk: safetensors, written atomically."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save
from torch import nn

from leadset.utils.files import write_atomically


def save_weights(path: Path, model: nn.Module) -> None:
    """Writes parameters and buffers of a network."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with write_atomically(path, "wb") as file:
        file.write(save(tensors))
