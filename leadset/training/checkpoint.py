"""The state of an unfinished training run on disk: safetensors and JSON, replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from leadset.utils.weights import check_weights, read_tensors, read_with_metadata, write_tensors


def save_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, best: dict[str, Tensor] | None, progress: dict
) -> None:
    """Writes everything that the next step depends on, in one file: weights, moments, best weights so far, progress.

    Args:
        path: a safetensors file; ``progress`` travels in its metadata, so that the two never disagree.
        model: the network.
        optimizer: its optimiser.
        best: weights of the best validation so far, if any.
        progress: plain values (step, scores, seconds spent).
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in (best or {}).items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random_cuda"] = torch.cuda.get_rng_state()
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_tensors(path, tensors, {"progress": json.dumps(progress)})


def read_progress(path: Path) -> dict | None:
    """The progress that `save_state` wrote; None where there is nothing, or what is there is damaged."""
    try:
        return json.loads(read_with_metadata(path)[1]["progress"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, steps: int
) -> tuple[dict[str, Tensor] | None, dict] | None:
    """Restores what `save_state` wrote of a training of so many planned steps.

    A missing or damaged file, one of another network or of another plan is not an error: nothing is changed, and the
    training starts again.

    Returns:
        Best weights and progress, or None where nothing is restored.
    """
    progress = read_progress(path)
    if progress is None or progress.get("steps") != steps:
        return None
    try:
        tensors = read_tensors(path)
        groups: dict[str, dict] = {"model": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            if rest:
                groups[group][rest] = tensor
        check_weights(groups["model"], model.state_dict(), str(path))
        if groups["best"]:
            check_weights(groups["best"], model.state_dict(), str(path))
        state = optimizer.state_dict()
        for name, tensor in groups["optimizer"].items():
            i, _, key = name.partition(".")
            state["state"].setdefault(int(i), {})[key] = tensor
        random = tensors["random"]
    except (OSError, ValueError, KeyError):
        return None
    model.load_state_dict(groups["model"])
    optimizer.load_state_dict(state)
    torch.set_rng_state(random)
    if "random_cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random_cuda"])
    return groups["best"] or None, progress
