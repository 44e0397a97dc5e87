"""Training an anomaly detector on its own: fitted on normal recordings, with held-out ones for reference."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

import leadset
from leadset.anomaly.arrays import Recordings
from leadset.anomaly.attributes import Targets
from leadset.anomaly.detector import ARCHITECTURE, TRANSFORM, Detector, best_device
from leadset.anomaly.reference import Reference
from leadset.anomaly.scoring import Scoring
from leadset.models import create_model
from leadset.models.prediction import lead_rows
from leadset.training.checkpoint import read_progress
from leadset.training.tasks.restoration import RestorationTask
from leadset.training.tasks.restoration_settings import RestorationSettings
from leadset.training.trainer import Deadline, RunContext, Trainer
from leadset.utils.memory import keep_freed_memory
from leadset.waves.beats import find_r_peaks


def all_r_peaks(
    recordings: Recordings, leads: Sequence[str], indices: Iterable[int], workers: int = -1
) -> dict[int, np.ndarray]:
    """R peaks of the recordings of these indices; found once, since training asks often.

    Args:
        recordings: prepared with `TRANSFORM`.
        leads: lead set that heartbeats are looked for in.
        indices: of the recordings.
        workers: processes, -1 for as many as there are cores.
    """
    from joblib import Parallel, delayed

    rows, indices = lead_rows(leads), [int(i) for i in indices]
    # Starting workers costs about a second, as much as sixty recordings.
    pool = Parallel(n_jobs=workers if len(indices) > 200 else 1, return_as="generator")
    peaks = pool(delayed(find_r_peaks)(*map(np.asarray, recordings[i]), rows, TRANSFORM.rate) for i in indices)
    return dict(zip(indices, tqdm(peaks, desc="beats", total=len(indices), unit="rec", leave=False), strict=True))


def _digest(*inputs: object) -> str:
    """Names an unfinished run by whatever would change its result; R peaks stand for the recordings."""
    with np.printoptions(threshold=np.inf):
        return blake2b(repr((leadset.__version__, *inputs)).encode(), digest_size=6).hexdigest()


def _digest_of(task: RestorationTask, model: nn.Module) -> str:
    """The digest of a training that starts from the weights that the model has."""
    weights = blake2b(b"".join(tensor.numpy(force=True).tobytes() for tensor in model.state_dict().values()))
    targets = () if task.targets is None else [*(part.tolist() for part in task.targets[:3]), task.targets.names]
    peaks = [task.r_peaks[i] for i in task.normal.tolist()]
    return _digest(model.leads, model.options, task.settings, task.normal, peaks, weights.hexdigest(), *targets)


def fit_detector(
    recordings: Recordings,
    train: np.ndarray,
    held_out: np.ndarray,
    model: nn.Module,
    folder: Path,
    *,
    settings: RestorationSettings | None = None,
    workers: int = -1,
    targets: Targets | None = None,
) -> Detector:
    """Trains a detector, scores held-out normal recordings for reference, and saves it.

    An interrupted call goes on where it stopped when it is repeated with the same arguments.

    Args:
        recordings: prepared with `TRANSFORM`.
        train: indices of the normal recordings to learn from.
        held_out: indices of the normal recordings for the reference; none: those of training.
        model: of `untrained_model`, or with other weights to start from.
        folder: where the detector goes.
        settings: of the training.
        workers: processes that look for heartbeats.
        targets: of a network with the option ``attributes``, which needs them.

    Raises:
        ValueError: no normal recording to learn from, or that option without targets, or targets without it.
    """
    settings = settings or RestorationSettings()
    if not len(train):
        raise ValueError("no recording to learn from: expected some whose only label is sinus rhythm")
    if model.has_attributes != (targets is not None):
        raise ValueError(f"attributes={model.has_attributes}: targets are to be given with it, and with it only")
    task = RestorationTask(
        recordings=recordings,
        r_peaks=all_r_peaks(recordings, model.leads, train, workers),
        normal=train,
        leads=model.leads,
        spec=model.input_spec,
        settings=settings,
        targets=targets,
    )
    state = folder / f"unfinished-{_digest_of(task, model)}.safetensors"
    spent = (read_progress(state) or {"seconds": 0.0})["seconds"]
    ends_at = time.monotonic() + 60 * settings.minutes - spent if settings.minutes else math.inf
    # Dropout draws from here on; an interrupted training goes on with the state that it saved.
    torch.manual_seed(settings.seed)
    model = model.to(best_device())
    trainer = Trainer(model, task, task.curriculum.steps, RunContext(state, "restoration", deadline=Deadline(ends_at)))
    summary = {**asdict(settings), **trainer.run().summary}
    if targets is not None:
        summary["classes"] = list(targets.names)
    detector = Detector(model, Scoring(masking=settings.masking), training=summary)
    part = "held-out normal recordings" if len(held_out) else "training recordings (too few to hold any out)"
    used = held_out if len(held_out) else train
    detector.reference = Reference.of(list(detector.score_all(recordings, used, "reference")), part, model.leads)
    detector.save(folder)
    state.unlink(missing_ok=True)
    return detector


def untrained_model(leads: int | str | Sequence[str], seed: int, **options: Any) -> nn.Module:
    """A model to be trained with that seed."""
    torch.manual_seed(seed)
    keep_freed_memory()
    return create_model(ARCHITECTURE, leads, **options)
