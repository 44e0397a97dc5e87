"""A trained anomaly detector: fitted on recordings without any other label than sinus rhythm, kept in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save
from safetensors.torch import load_file
from tqdm import tqdm

import leadset
from leadset.anomaly.arrays import Recordings
from leadset.anomaly.features import LASTING
from leadset.anomaly.reference import Reference, most_surprised
from leadset.anomaly.scores import AnomalyScore, Scoring, score_recording
from leadset.leads import resolve_leads
from leadset.models import create_model
from leadset.models.cross_restoration import CrossRestoration
from leadset.preprocess import Transform, prepare
from leadset.utils.files import write_atomically
from leadset.utils.weights import save_weights

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
