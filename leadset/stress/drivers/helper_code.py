"""Helper functions under the organisers' names, with what their description says that theirs do.

They read the header dialect of 2021 alone, and recordings of one folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.io import loadmat

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def sort_leads(leads: Iterable[str]) -> tuple[str, ...]:
    """Leads in standard order, others last."""
    return tuple(sorted(leads, key=lambda lead: (LEADS.index(lead) if lead in LEADS else len(LEADS), lead)))


def find_challenge_files(folder: str) -> tuple[list[str], list[str]]:
    """Headers and their recordings in a folder."""
    names = sorted(name[:-4] for name in os.listdir(folder) if name.endswith(".hea") and not name.startswith("."))
    pairs = [(os.path.join(folder, f"{name}.hea"), os.path.join(folder, f"{name}.mat")) for name in names]
    pairs = [(header, recording) for header, recording in pairs if os.path.isfile(recording)]
    return [header for header, _ in pairs], [recording for _, recording in pairs]


def load_header(file: str) -> str:
    """The text of a header."""
    with open(file) as opened:
        return opened.read()


def load_recording(file: str) -> np.ndarray:
    """Counts (leads, samples)."""
    return loadmat(file)["val"]


def _signal_lines(header: str) -> list[list[str]]:
    lines = header.splitlines()
    return [line.split() for line in lines[1 : 1 + int(lines[0].split()[1])]]


def _comment(header: str, key: str) -> str | None:
    return next((line[len(key) :].strip() for line in header.splitlines() if line.startswith(key)), None)


def get_recording_id(header: str) -> str:
    """The name in the record line."""
    return header.split()[0]


def get_leads(header: str) -> tuple[str, ...]:
    """Names in file order."""
    return tuple(fields[-1] for fields in _signal_lines(header))


def get_age(header: str) -> float:
    """In years; NaN where it is no number."""
    try:
        return float(_comment(header, "#Age:"))
    except (TypeError, ValueError):
        return math.nan


def get_sex(header: str) -> str | None:
    """As the header spells it."""
    return _comment(header, "#Sex:")


def get_adc_gains(header: str, leads: Sequence[str]) -> np.ndarray:
    """Counts per millivolt."""
    gains = {fields[-1]: float(fields[2].split("/")[0]) for fields in _signal_lines(header)}
    return np.array([gains.get(lead, 0.0) for lead in leads])


def get_baselines(header: str, leads: Sequence[str]) -> np.ndarray:
    """Counts that stand for zero."""
    baselines = {fields[-1]: float(fields[4].split("/")[0]) for fields in _signal_lines(header)}
    return np.array([baselines.get(lead, 0.0) for lead in leads])


def get_labels(header: str) -> list[str]:
    """Codes of the diagnoses."""
    return [code.strip() for code in (_comment(header, "#Dx:") or "").split(",") if code.strip()]


def save_outputs(
    file: str, recording_id: str, classes: Sequence[str], labels: Sequence[int], probabilities: Sequence[float]
) -> None:
    """Writes the output file of a recording."""
    rows = [f"#{recording_id}", *(",".join(map(str, row)) for row in (classes, labels, probabilities))]
    with open(file, "w") as opened:
        opened.write("\n".join(rows) + "\n")
