"""The anomaly detectors of a folder, whichever command wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from leadset.anomaly.detector import DETECTOR_FILE, Detector
from leadset.anomaly.shipped import shipped_detector
from leadset.classes import LabelSpace
from leadset.entry.manifest import FILE_NAME
from leadset.entry.prediction import SHIPPED, Entry, is_shipped
from leadset.leads import LEADS, sort_leads


def has_detector(entry: Entry, leads: Iterable[str]) -> bool:
    """Whether an entry has a detector of its own for recordings with these leads."""
    return any(member.detector is not None for member in entry.trained_set(leads).members)


def detector_of(entry: Entry, leads: Iterable[str]) -> Detector:
    """The entry's own detector for recordings with these leads, or the one that ships where it has none.

    Raises:
        OSError, ValueError: its files are damaged, or there is no lead of the twelve.
    """
    return entry.detector(leads) if has_detector(entry, leads) else _shipped(sort_leads(leads))


@cache
def _shipped(leads: tuple[str, ...]) -> Detector:
    return shipped_detector(leads)


class DetectorFolder:
    """The detector that `leadset anomaly fit` wrote, those of a trained entry, one a lead set, or the shipped one.

    Args:
        folder: of one of them, or `SHIPPED`.

    Raises:
        OSError: it holds neither.
        ValueError: what it holds is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._detectors: dict[tuple[str, ...], Detector] = {}
        self._entry: Entry | None = None
        self._shipped = is_shipped(folder)
        if self._shipped:
            return
        if (self.folder / FILE_NAME).is_file():
            self._entry = Entry(self.folder)
        elif (self.folder / DETECTOR_FILE).is_file():
            detector = Detector.load(self.folder)
            self._detectors[detector.leads] = detector
        else:
            raise FileNotFoundError(
                f"{self.folder}: found neither {DETECTOR_FILE} nor {FILE_NAME}, expected either, or '{SHIPPED}'"
            )

    @property
    def leads(self) -> tuple[str, ...]:
        """The leads of all its detectors."""
        if self._shipped:
            return LEADS
        if self._entry is None:
            return next(iter(self._detectors))
        return sort_leads({lead for trained in self._entry.manifest.sets for lead in trained.leads})

    @property
    def lead_names(self) -> Mapping[str, str]:
        """What names of leads stood for where an entry was trained; a detector of its own keeps none."""
        return self._entry.lead_names if self._entry else {}

    @property
    def space(self) -> LabelSpace | None:
        """The label space of an entry; a detector of its own has none."""
        return self._entry and self._entry.space

    def for_leads(self, leads: Iterable[str]) -> Detector:
        """The detector that scores recordings with these leads.

        Raises:
            OSError, ValueError: an entry has none for them, or its files are damaged.
        """
        if self._shipped:
            return _shipped(sort_leads(leads))
        if self._entry is None:
            return next(iter(self._detectors.values()))
        chosen = self._entry.trained_set(leads).leads
        if chosen not in self._detectors:
            self._detectors[chosen] = self._entry.detector(chosen)
        return self._detectors[chosen]
