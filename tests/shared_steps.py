"""Steps of reduced networks on batches that are drawn, in one process or several: run by `test_distributed.py`.

    python tests/shared_steps.py OUT        torchrun --nproc-per-node 2 tests/shared_steps.py OUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import torch
from networks import REDUCED
from safetensors.torch import save_file
from torch import Tensor, nn

from leadset.anomaly.losses import MaskedBatch, normal_loss
from leadset.models import create_model, model_entry
from leadset.models.extra_inputs import extra_shapes
from leadset.training.distributed import shared, together, training_pool
from leadset.training.steps.losses import LOSSES
from leadset.training.trainer import build_optimizer, train_step

# No number of processes divides it.
BATCH, CLASSES, STEPS, LEADS = 5, 4, 3, 3


class Drawn(NamedTuple):
    """A batch of a classifier."""

    windows: Tensor
    mask: Tensor | None
    labels: Tensor
    extra: dict[str, Tensor]


class Task:
    """The loss of a kind of network, and batches for it."""

    def __init__(self, model: nn.Module, kind: str, loss: str = "cross_entropy") -> None:
        self.spec, self.kind, self.leads, self.of_targets = model.input_spec, kind, LEADS, LOSSES[loss]
        self.beat_samples = getattr(model, "beat_samples", 0)

    def batch(self, step: int) -> NamedTuple:
        """The batch of a step; some labels are unknown, some recordings are short."""
        draw = torch.Generator().manual_seed(step)
        shape = BATCH, self.leads, self.spec.samples
        recorded = torch.arange(shape[2]) < torch.tensor([1.0, 0.8, 1.0, 0.6, 1.0])[:, None] * shape[2]
        windows = torch.randn(shape, generator=draw) * recorded[:, None]
        if self.kind != "classifier":
            beat = torch.randn(BATCH, self.leads, self.beat_samples, generator=draw)
            hidden = [torch.rand(BATCH, x.shape[2], generator=draw) < 0.3 for x in (windows, beat)]
            return MaskedBatch(windows, beat, *hidden, recorded)
        labels = (torch.rand(BATCH, CLASSES, generator=draw) < 0.4).float()
        labels[:3, 1] = torch.nan
        shapes = extra_shapes(self.spec, self.leads)
        extra = {name: torch.randn(BATCH, *shape, generator=draw) for name, shape in shapes.items()}
        return Drawn(windows, recorded, labels, extra)

    def loss(self, model: nn.Module, batch: NamedTuple) -> Tensor:
        """As the tasks of trainings have it."""
        if self.kind != "classifier":
            return normal_loss(model, batch)
        return self.of_targets(model(batch.windows, batch.mask, **batch.extra), batch.labels)

    def clipped_apart(self, model: nn.Module):
        """As the tasks of trainings have it."""
        return (model.parameters(),) if self.kind == "classifier" else model.learning_apart


def steps_of(name: str, **choices: str) -> dict[str, Tensor]:
    """Gradients of the first step, weights and statistics after the last, and where the generator then is."""
    torch.manual_seed(7)
    kind = model_entry(name).kind
    classes = {"n_classes": CLASSES} if kind == "classifier" else {}
    model = create_model(name, LEADS, **classes, **REDUCED[name]).train()
    task, optimizer, found = Task(model, kind, **choices), build_optimizer(model, 0.01), {}
    for group in optimizer.param_groups:
        group["lr"] = 1e-4
    learning = shared(model)
    for step in range(STEPS):
        loss = train_step(learning, optimizer, task, task.batch(step))
        found[f"loss.{step}"] = loss
        if step == 0:
            found |= {f"gradient.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    found |= {f"weight.{n}": tensor.clone() for n, tensor in model.state_dict().items()}
    return found | {"generator": torch.get_rng_state()}


def main(folder: Path) -> None:
    """Writes a file for each network and loss."""
    torch.set_num_threads(1)
    cases = [(name, {}) for name in REDUCED]
    cases += [("cnn_heartmaasters", {"loss": loss}) for loss in LOSSES if loss != "cross_entropy"]
    with together() as works_here:
        if works_here:
            with training_pool(1) as pool:
                for name, choices in cases:
                    found = pool.submit(steps_of, name, **choices).result()
                    save_file(found, folder / f"{'-'.join([name, *choices.values()])}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
