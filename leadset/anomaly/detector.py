"""A trained anomaly detector: a reconstruction model, how it scores, and what normal recordings score.

On disk it is the same files whether `leadset anomaly fit` wrote them or a training run as a member of an entry: weights
and reference as safetensors, described by `DetectorFiles` in `detector.json` or in `entry.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import leadset
from leadset.anomaly.arrays import Recordings
from leadset.anomaly.features import LASTING
from leadset.anomaly.reference import Reference, largest_deviation
from leadset.anomaly.score import AnomalyScore
from leadset.anomaly.scoring import Scoring, score_recording
from leadset.leads import resolve_leads
from leadset.models import create_model
from leadset.models.cross_restoration import CrossRestoration
from leadset.preprocess import Transform, prepare
from leadset.utils.files import write_atomically
from leadset.utils.weights import load_network, read_arrays, save_weights, write_arrays
from leadset.waves.beats import Beats

ARCHITECTURE = "cross_restoration"
DETECTOR_FILE, WEIGHTS_FILE, REFERENCE_FILE = "detector.json", "detector.safetensors", "reference.safetensors"
#: What the recordings must be prepared with, whichever data set they are from.
TRANSFORM = Transform(500, "restoration")
FORMAT = 2
# Names in the reference of format 1, with those that take their place.
_RENAMED = (("usual.", "baseline."), (" odd", " outlier"))


@dataclass(frozen=True)
class DetectorFiles:
    """How a detector scores and which file holds its reference, as `detector.json` and `entry.json` describe them.

    Attributes:
        scoring: how recordings are scored.
        reference: name of the file; empty where there is no reference.
        n: number of normal recordings that it was made of.
        part: what they are, or why there is no reference.
    """

    scoring: Scoring = field(default_factory=Scoring)
    reference: str = ""
    n: int = 0
    part: str = "none was made"

    def to_json(self) -> dict:
        """As plain values."""
        return {"scoring": asdict(self.scoring), "reference": {"file": self.reference, "n": self.n, "part": self.part}}

    @classmethod
    def from_json(cls, values: dict) -> DetectorFiles:
        """The inverse of `to_json`; the file must be a plain name inside the folder."""
        reference = values["reference"]
        name = reference["file"]
        if name and (Path(name).name != name or not name.endswith(".safetensors")):
            raise ValueError(f"reference {name!r}: expected a .safetensors file inside the folder")
        return cls(Scoring(**values["scoring"]), name, int(reference["n"]), str(reference["part"]))

    def write_reference(self, folder: Path, reference: Reference) -> None:
        """Writes the file that is named here."""
        write_arrays(folder / self.reference, reference.arrays())

    def read_reference(self, folder: Path, leads: Sequence[str]) -> Reference | None:
        """The reference of a detector with these leads; None where there is none.

        Raises:
            OSError: there is no such file.
            ValueError: it is damaged, or one of something else.
        """
        if not self.reference:
            return None
        path = folder / self.reference
        try:
            arrays = read_arrays(path)
            for before, now in _RENAMED:
                arrays = {name.replace(before, now): values for name, values in arrays.items()}
            return Reference.from_arrays(arrays, n=self.n, part=self.part, leads=leads)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{path}: not the reference of a detector on these leads: {error}") from None


class Detector:
    """A reconstruction model with the way it scores and what normal recordings score.

    Args:
        model: trained; it is set to evaluation mode, and its weights are copied when it is first asked for a score.
        scoring: how recordings are scored.
        reference: None where there is none: the detector scores, and whatever compares or saves raises a ValueError.
        training: how it was trained, as plain values.
        no_reference: why there is none.
    """

    def __init__(
        self,
        model: CrossRestoration,
        scoring: Scoring | None = None,
        reference: Reference | None = None,
        training: dict | None = None,
        no_reference: str = DetectorFiles.part,
    ) -> None:
        self.model, self.scoring = model.eval(), scoring or Scoring()
        self.reference, self.training, self.no_reference = reference, training or {}, no_reference

    @property
    def leads(self) -> tuple[str, ...]:
        """The lead set."""
        return self.model.leads

    @cached_property
    def _folded(self) -> CrossRestoration:
        return self.model.folded()

    def score_prepared(
        self, samples: np.ndarray, statistics: np.ndarray, flags: Sequence[str] = (), beats: Beats | None = None
    ) -> AnomalyScore:
        """Scores a recording that was prepared with `TRANSFORM`; ``beats`` are its reliable ones, where known."""
        return score_recording(self._folded, samples, statistics, self.scoring, flags, beats)

    def score_or_none(self, samples: np.ndarray, statistics: np.ndarray, beats: Beats) -> AnomalyScore | None:
        """The same; None for a recording that cannot be scored: it is answered by the prior, the others as they are."""
        try:
            return self.score_prepared(samples, statistics, beats=beats)
        except Exception:  # bad recordings fail in many ways
            return None

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
    def known_reference(self) -> Reference:
        """The reference.

        Raises:
            ValueError: there is none; the message says why.
        """
        if self.reference is None:
            leads = ", ".join(self.leads)
            raise ValueError(f"the detector on {leads} has no reference of normal recordings: {self.no_reference}")
        return self.reference

    def deviation_score(self, score: AnomalyScore) -> float:
        """How unlike normal recordings a recording is in what deviates most, were it but a moment."""
        return largest_deviation(self.known_reference.families, score.features)

    def lasting_deviation_score(self, score: AnomalyScore) -> float:
        """How unlike normal recordings its rhythm or its typical heartbeat is: what to look for diagnoses by."""
        return largest_deviation(self.known_reference.families, score.features, LASTING)

    def deviations(self, score: AnomalyScore) -> dict[str, float]:
        """How unlike normal recordings each of `leadset.anomaly.features.FAMILIES` is, in standard deviations."""
        return self.known_reference.deviations(score)

    def high_share(self, score: AnomalyScore) -> float:
        """Share of a recording's samples whose error is above the 99th percentile of normal recordings."""
        known = score.map[:, ~np.isnan(score.map[0])]
        return float((known > self.known_reference.high["map"][:, None]).mean())

    # --- on disk -----------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Writes weights and reference (safetensors) and, last, their description (JSON).

        Raises:
            ValueError: there is no reference.
        """
        folder, reference = Path(folder), self.known_reference
        files = DetectorFiles(self.scoring, REFERENCE_FILE, reference.n, reference.part)
        save_weights(folder / WEIGHTS_FILE, self.model)
        files.write_reference(folder, reference)
        content = {
            "format": FORMAT,
            "version": leadset.__version__,
            "architecture": ARCHITECTURE,
            "leads": list(self.leads),
            "options": self.model.options,
            "weights": WEIGHTS_FILE,
            "detector": files.to_json(),
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
            if content["format"] not in (1, FORMAT) or content["architecture"] != ARCHITECTURE:
                described = f"format {content['format']} of {content['architecture']}"
                raise ValueError(f"{described}, expected format 1 or {FORMAT} of {ARCHITECTURE}")
            leads, options = resolve_leads(content["leads"]), dict(content["options"])
            if content["format"] == 1:
                reference = {"file": REFERENCE_FILE, **content["reference"]}
                content["detector"] = {"scoring": content["scoring"], "reference": reference}
            files, training = DetectorFiles.from_json(content["detector"]), dict(content["training"])
            with torch.device("meta"):
                create_model(ARCHITECTURE, leads, **options)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
            raise ValueError(f"{description}: not a description of a detector: {error!r}") from None
        return load_detector(
            folder, WEIGHTS_FILE, lambda: create_model(ARCHITECTURE, leads, **options), files, training, device
        )


def load_detector(
    folder: Path,
    weights: str,
    build: Callable[[], CrossRestoration],
    files: DetectorFiles,
    training: dict[str, Any],
    device: str | torch.device | None = None,
) -> Detector:
    """A detector from its files in a folder, whoever describes them.

    Args:
        folder: where they are.
        weights: name of the weights' file.
        build: makes the untrained model.
        files: how it scores, and its reference.
        training: how it was trained.
        device: where to run, by default `best_device`.

    Raises:
        OSError: a file is missing.
        ValueError: a file is damaged or of another detector.
    """
    model = load_network(folder / weights, build)
    reference = files.read_reference(folder, model.leads)
    return Detector(model.to(device or best_device()), files.scoring, reference, training, files.part)


def best_device() -> str:
    """The GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
