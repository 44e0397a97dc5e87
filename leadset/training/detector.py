"""Training an anomaly detector on its own: fitted on normal recordings, with held-out ones for reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import leadset
from leadset.anomaly.arrays import Recordings
from leadset.anomaly.attributes import Targets
from leadset.anomaly.detector import ARCHITECTURE, TRANSFORM, Detector, best_device
from leadset.anomaly.reference import Reference
from leadset.anomaly.scores import Scoring
from leadset.models import create_model
from leadset.models.prediction import lead_rows
from leadset.training.tasks.restoration_fit import Fit, FitSettings
from leadset.utils.memory import keep_freed_memory
from leadset.waves.beats import find_r_peaks


def all_r_peaks(
    recordings: Recordings, leads: Sequence[str], indices: Iterable[int], workers: int = -1
) -> list[np.ndarray | None]:
    """R peaks of the recordings of these indices, None for all others; found once, since training asks often.

    Args:
        recordings: prepared with `TRANSFORM`.
        leads: lead set that heartbeats are looked for in.
        indices: of the recordings.
        workers: processes, -1 for as many as there are cores.
    """
    from joblib import Parallel, delayed

    rows, indices = lead_rows(leads), [int(i) for i in indices]
    found: list[np.ndarray | None] = [None] * len(recordings)
    # Starting workers costs about a second, as much as sixty recordings.
    pool = Parallel(n_jobs=workers if len(indices) > 200 else 1, return_as="generator")
    peaks = pool(delayed(find_r_peaks)(*map(np.asarray, recordings[i]), rows, TRANSFORM.rate) for i in indices)
    for i, r_peaks in zip(indices, tqdm(peaks, desc="beats", total=len(indices), unit="rec", leave=False), strict=True):
        found[i] = r_peaks
    return found


def _digest(*inputs: object) -> str:
    """Names an unfinished run by whatever would change its result; R peaks stand for the recordings."""
    with np.printoptions(threshold=np.inf):
        return blake2b(repr((leadset.__version__, *inputs)).encode(), digest_size=6).hexdigest()


def fit_detector(
    recordings: Recordings,
    train: np.ndarray,
    held_out: np.ndarray,
    leads: int | str | Sequence[str],
    folder: Path,
    settings: FitSettings | None = None,
    options: dict[str, Any] | None = None,
    initial: dict[str, Tensor] | None = None,
    workers: int = -1,
    targets: Targets | None = None,
) -> Detector:
    """Trains a detector, scores held-out normal recordings for reference, and saves it.

    An interrupted call goes on where it stopped when it is repeated with the same arguments.

    Args:
        recordings: prepared with `TRANSFORM`.
        train: indices of the normal recordings to learn from.
        held_out: indices of the normal recordings for the reference; none: those of training.
        leads: lead set.
        folder: where the detector goes.
        settings: of the training. options: of the network.
        initial: weights to start from instead of random ones.
        workers: processes that look for heartbeats.
        targets: of a network with the option ``attributes``, which needs them.

    Raises:
        ValueError: no normal recording to learn from, weights of another network, or that option without targets, or
            targets without it.
    """
    settings = settings or FitSettings()
    if not len(train):
        raise ValueError("no recording to learn from: expected some whose only label is sinus rhythm")
    torch.manual_seed(settings.seed)
    keep_freed_memory()
    model = create_model(ARCHITECTURE, leads, **(options or {}))
    if initial is not None:
        try:
            model.load_state_dict(initial)
        except RuntimeError as error:
            raise ValueError(f"the weights to start from do not fit a network with {options}: {error}") from None
    if model.has_attributes != (targets is not None):
        raise ValueError(f"attributes={model.has_attributes}: targets are to be given with it, and with it only")
    beats = all_r_peaks(recordings, model.leads, train, workers)
    told = () if targets is None else (*(part.tolist() for part in targets[:3]), targets.names)
    start = [tensor.numpy(force=True).tobytes() for tensor in (initial or {}).values()]
    name = _digest(model.leads, options, settings, beats, blake2b(b"".join(start)).hexdigest(), *told)
    state = folder / f"unfinished-{name}.safetensors"
    fit = Fit(model.to(best_device()), recordings, beats, train, settings, state, targets=targets)
    summary = {**fit.run(), "recordings": len(train)}
    if targets is not None:
        summary["classes"] = list(targets.names)
    detector = Detector(model, Scoring(masking=settings.masking), training=summary)
    part = "held-out normal recordings" if len(held_out) else "training recordings (too few to hold any out)"
    used = held_out if len(held_out) else train
    detector.reference = Reference.of(list(detector.score_all(recordings, used, "reference")), part, model.leads)
    detector.save(folder)
    fit.state_file.unlink(missing_ok=True)
    return detector
