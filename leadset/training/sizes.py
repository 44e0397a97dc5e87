"""Which size of networks a run trains, where the configuration leaves it to the machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from leadset.classes import LabelSpace
from leadset.config import AUTO, Config
from leadset.models import create_network, model_entry
from leadset.models.extra_inputs import missing_inputs
from leadset.training.context import Job
from leadset.training.jobs import make_jobs

#: The size of networks that fit any machine, and the one that is taken instead where a GPU has the time.
COMPACT, PUBLISHED = "compact", "published"
# Steps that are timed, after one that warms up.
_TIMED = 2


def choose_preset(config: Config, space: LabelSpace, n_recordings: int, device: str) -> tuple[str, str]:
    """The preset of a run, and why it is this one.

    Args:
        config: of the run.
        space: its classes.
        n_recordings: in its folder.
        device: ``"cpu"`` or ``"cuda"``.
    """
    if config.preset != AUTO:
        return config.preset, "as configured"
    if device != "cuda":
        return COMPACT, "there is no GPU"
    hours = training_hours(make_jobs(config, space, PUBLISHED), config, len(space), n_recordings, device)
    limit = config.time_limit_hours
    chosen = PUBLISHED if hours <= limit else COMPACT
    return chosen, f"published sizes would take about {hours:.1f} of {limit:g} hours on this GPU"


def training_hours(jobs: Sequence[Job], config: Config, n_classes: int, n_recordings: int, device: str) -> float:
    """About how long classifiers would train for the configured passes, from a few steps on noise."""
    steps = max(config.epochs * n_recordings * (1 - config.validation_share) / config.batch_size, config.min_steps)
    trained = (job for job in jobs if model_entry(job.architecture).kind == "classifier")
    return sum(steps * _step_seconds(job, config.batch_size, n_classes, device) for job in trained) / 3600


def _step_seconds(job: Job, batch_size: int, n_classes: int, device: str) -> float:
    model = create_network(job.architecture, job.leads, n_classes, job.options).to(device).train()
    shape = batch_size, len(job.leads), job.spec.samples
    x = torch.from_numpy(np.random.default_rng(0).standard_normal(shape, dtype=np.float32)).to(device)
    extra = missing_inputs(job.spec, len(job.leads), batch_size)
    extra = {name: torch.from_numpy(values).to(device) for name, values in extra.items()}

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = model(x, None, **extra).float().square().mean()
        loss.backward()
        float(loss.detach())  # waits for the GPU

    step()
    started = time.perf_counter()
    for _ in range(_TIMED):
        step()
    return (time.perf_counter() - started) / _TIMED
