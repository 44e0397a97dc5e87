"""A trained anomaly detector: fitted on recordings without any other label than sinus rhythm, kept in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

import leadset
from leadset.allocator import keep_freed_memory
from leadset.anomaly.attributes import Targets
from leadset.anomaly.batches import Recordings
from leadset.anomaly.features import LASTING
from leadset.anomaly.fit import Fit, FitSettings
from leadset.anomaly.reference import Reference, most_surprised
from leadset.anomaly.scores import AnomalyScore, Scoring, score_recording
from leadset.beats import find_r_peaks
from leadset.files import write_atomically
from leadset.inference import lead_rows
from leadset.leads import resolve_leads
from leadset.models import create_model
from leadset.models.cross_restoration import CrossRestoration
from leadset.preprocess import Transform, prepare
from leadset.training.checkpoint import save_weights

ARCHITECTURE = "cross_restoration"
DETECTOR_FILE, WEIGHTS_FILE, REFERENCE_FILE = "detector.json", "detector.safetensors", "reference.safetensors"
#: What the recordings must be prepared with, whichever data set they are from.
TRANSFORM = Transform(500, "restoration")
_FORMAT = 1


class Detector:
    """A restoring network with the way it scores and what normal recordings score.

    Args:
        model: trained; it is set to evaluation mode, and its weights are copied when it is first asked for a score.
        scoring: how recordings are scored.
        reference: None before one was made; a detector without it scores, and whatever compares or saves
            raises a ValueError.
        training: how it was trained, as plain values.
    """

    def __init__(
        self,
        model: CrossRestoration,
        scoring: Scoring | None = None,
        reference: Reference | None = None,
        training: dict | None = None,
    ) -> None:
        self.model, self.scoring = model.eval(), scoring or Scoring()
        self.reference, self.training = reference, training or {}

    @property
    def leads(self) -> tuple[str, ...]:
        """The lead set."""
        return self.model.leads

    @cached_property
    def _folded(self) -> CrossRestoration:
        return self.model.folded()

    def score_prepared(self, samples: np.ndarray, statistics: np.ndarray, flags: Sequence[str] = ()) -> AnomalyScore:
        """Scores a recording that was prepared with `TRANSFORM`."""
        return score_recording(self._folded, samples, statistics, self.scoring, flags)

    def score(self, signal: np.ndarray, fs: float, leads: Sequence[str]) -> AnomalyScore:
        """Scores a recording of any leads, rate and length; the map is at 500 Hz.

        Args:
            signal: (l, t) in mV.
            fs: sampling rate in Hz.
            leads: the names of the l leads.

        Raises:
            ValueError: no samples, no usable lead, or a shape that does not fit.
        """
        prepared = prepare(signal, fs, leads, self.model.input_spec.transform)
        return self.score_prepared(prepared.samples, prepared.statistics, prepared.flags)

    def score_all(self, recordings: Recordings, indices: Iterable[int], title: str = "score") -> Iterator[AnomalyScore]:
        """Scores of prepared recordings, in order, with a progress bar."""
        indices = list(indices)
        for i in tqdm(indices, desc=title, unit="rec", leave=False):
            yield self.score_prepared(*recordings[i])

    @property
    def _known_reference(self) -> Reference:
        if self.reference is None:
            raise ValueError("this detector has no reference: no normal recording was scored after training")
        return self.reference

    def surprise(self, found: AnomalyScore) -> float:
        """How unlike normal recordings a recording is in what is oddest of it, were it but a moment."""
        return most_surprised(self._known_reference.families, found.features)

    def lasting_surprise(self, found: AnomalyScore) -> float:
        """How unlike normal recordings its rhythm or its usual heartbeat is: what to look for diagnoses by."""
        return most_surprised(self._known_reference.families, found.features, LASTING)

    def surprises(self, found: AnomalyScore) -> dict[str, float]:
        """How unlike normal recordings each of `leadset.anomaly.features.FAMILIES` is, in standard deviations."""
        return self._known_reference.surprises(found)

    def high_share(self, found: AnomalyScore) -> float:
        """Share of a recording's samples whose error is above the 99th percentile of normal recordings."""
        known = found.map[:, ~np.isnan(found.map[0])]
        return float((known > self._known_reference.high["map"][:, None]).mean())

    # --- on disk -----------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Writes weights and reference (safetensors) and, last, their description (JSON).

        Raises:
            ValueError: there is no reference yet.
        """
        folder, reference = Path(folder), self._known_reference
        save_weights(folder / WEIGHTS_FILE, self.model)
        with write_atomically(folder / REFERENCE_FILE, "wb") as file:
            file.write(save({name: np.ascontiguousarray(values) for name, values in reference.arrays().items()}))
        content = {
            "format": _FORMAT,
            "version": leadset.__version__,
            "architecture": ARCHITECTURE,
            "leads": list(self.leads),
            "options": self.model.options,
            "scoring": asdict(self.scoring),
            "reference": {"n": reference.n, "part": reference.part},
            "training": self.training,
        }
        with write_atomically(folder / DETECTOR_FILE) as file:
            json.dump(content, file, indent=1)

    @classmethod
    def load(cls, folder: str | Path, device: str | None = None) -> Detector:
        """The detector that `save` wrote, by default on the GPU if there is one.

        Loading runs no code out of the files, and takes no more memory than they do.

        Raises:
            OSError: there is none.
            ValueError: its files are damaged or do not belong together.
        """
        folder = Path(folder)
        description = folder / DETECTOR_FILE
        try:
            content = json.loads(description.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT or content["architecture"] != ARCHITECTURE:
                raise ValueError(f"format {content['format']} of {content['architecture']}, expected {_FORMAT}")
            with torch.device("meta"):
                model = create_model(ARCHITECTURE, resolve_leads(content["leads"]), **content["options"])
            scoring, training = Scoring(**content["scoring"]), dict(content["training"])
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"{description}: not a description of a detector: {error!r}") from None
        try:
            weights = load_file(folder / WEIGHTS_FILE)
            for name, drawn in model.state_dict().items():
                if name in weights and (weights[name].dtype != drawn.dtype or not weights[name].isfinite().all()):
                    raise ValueError(f"{name} is {weights[name].dtype}, expected finite numbers of {drawn.dtype}")
            model.load_state_dict(weights, assign=True)
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise ValueError(f"{folder / WEIGHTS_FILE}: not the weights of {description}: {error}") from None
        try:
            reference = Reference.from_arrays(
                load_arrays(folder / REFERENCE_FILE), **content["reference"], leads=model.leads
            )
        except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{folder / REFERENCE_FILE}: not the reference of {description}: {error}") from None
        return cls(model.to(device or best_device()), scoring, reference, training)


def best_device() -> str:
    """The GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


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
        settings: of the training.
        options: of the network.
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
    told = () if targets is None else (targets.attributes.tolist(), targets.classes.tolist(), targets.labelled.tolist())
    start = [tensor.numpy(force=True).tobytes() for tensor in (initial or {}).values()]
    name = _digest(model.leads, options, settings, beats, blake2b(b"".join(start)).hexdigest(), *told)
    state = folder / f"unfinished-{name}.safetensors"
    fit = Fit(model.to(best_device()), recordings, beats, train, settings, state, targets=targets)
    summary = {**fit.run(), "recordings": len(train)}
    detector = Detector(model, Scoring(masking=settings.masking), training=summary)
    part = "held-out normal recordings" if len(held_out) else "training recordings (too few to hold any out)"
    used = held_out if len(held_out) else train
    detector.reference = Reference.of(list(detector.score_all(recordings, used, "reference")), part, model.leads)
    detector.save(folder)
    fit.state_file.unlink(missing_ok=True)
    return detector
