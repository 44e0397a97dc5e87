"""What is said of one recording, by an entry or by one that was exported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadset.waves import Quality


@dataclass(frozen=True)
class Embedding:
    """Feature vectors of one recording.

    Attributes:
        name: record name.
        leads: of the networks.
        features: (f,) float32 of each network, by architecture; empty where the recording cannot be judged.
        flags: as `Answer.flags`.
    """

    name: str
    leads: tuple[str, ...]
    features: dict[str, np.ndarray]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What the entry says about one recording.

    Attributes:
        name: record name.
        codes: class keys (codes of one class joined by ``|``), in the order of the label space.
        labels: (k,) bool decisions, at least one of them true.
        probabilities: (k,) float.
        flags: what was repaired or looks wrong; ``"unanswered: …"`` says that only the prior could be given, and why.
        by_model: labels and probabilities of each network that was asked, by architecture.
        abnormality: probability that the recording is anything but plain sinus rhythm, where a detector takes part.
        quality: of its leads and as a whole, and what is suspected of its electrodes; None where it cannot be read,
            or the entry was loaded without it.
        classes: abbreviations of the classes, in the same order.

    Example:
        >>> answer = leadset.load_entry().predict("data/A0001.hea")
        >>> answer.decided
        ('AF', 'RBBB')
        >>> answer.by_class["AF"]
        0.87
    """

    name: str
    codes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    flags: tuple[str, ...]
    by_model: dict[str, tuple[np.ndarray, np.ndarray]]
    abnormality: float | None = None
    quality: Quality | None = None
    classes: tuple[str, ...] = ()

    @property
    def decided(self) -> tuple[str, ...]:
        """Abbreviations of the classes that are decided."""
        return tuple(name for name, label in zip(self.classes, self.labels, strict=True) if label)

    @property
    def by_class(self) -> dict[str, float]:
        """Probabilities by the abbreviation of the class, the largest first."""
        named = zip(self.classes, map(float, self.probabilities), strict=True)
        return dict(sorted(named, key=lambda one: -one[1]))

    @property
    def failed(self) -> bool:
        """Whether the recording could not be judged."""
        return any(flag.startswith("unanswered") for flag in self.flags)
