"""Reading headers, recordings and output files: the functions that drivers and entries of the Challenge call by name.

Signatures and return types are those of the organisers' file of the same name, so that either may stand here. This one
also reads today's header dialect (``# Age: 74``, ``1000.0(0)/mV``), nested folders, and lead names in any case.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from leadset import leads as lead_names
from leadset.recordings import Header, find_recordings, parse_header
from leadset.scoring import write_output


def is_number(x: object) -> bool:
    """Whether ``x`` is a number or the text of one; NaN and infinity are."""
    try:
        float(x)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def is_integer(x: object) -> bool:
    """Whether ``x`` is a whole number or the text of one."""
    return is_number(x) and float(x).is_integer()


def is_finite_number(x: object) -> bool:
    """Whether ``x`` is a finite number or the text of one."""
    return is_number(x) and math.isfinite(float(x))


def sort_leads(leads: Sequence[str]) -> tuple[str, ...]:
    """Lead names in standard order and spelling; others than the twelve come last."""
    return lead_names.sort_leads(leads)


def find_challenge_files(data_directory: str) -> tuple[list[str], list[str]]:
    """Headers and their recordings in a folder and the folders inside it, sorted by path.

    A header without a ``.mat`` file beside it is left out.
    """
    header_files = [str(path) for path in find_recordings(data_directory)]
    pairs = [(header, os.path.splitext(header)[0] + ".mat") for header in header_files]
    pairs = [(header, recording) for header, recording in pairs if os.path.isfile(recording)]
    return [header for header, _ in pairs], [recording for _, recording in pairs]


def load_header(header_file: str) -> str:
    """The text of a header, in UTF-8 or Latin-1."""
    try:
        with open(header_file, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError:
        with open(header_file, encoding="latin-1") as file:
            return file.read()


def load_recording(
    recording_file: str, header: str | None = None, leads: Sequence[str] | None = None, key: str = "val"
) -> np.ndarray:
    """Counts (leads, samples) of a MATLAB file, all leads in file order or, with ``header``, the chosen ones."""
    from scipy.io import loadmat

    recording = loadmat(recording_file)[key]
    return choose_leads(recording, header, leads) if header and leads else recording


def choose_leads(recording: np.ndarray, header: str, leads: Sequence[str]) -> np.ndarray:
    """Rows (leads, samples) of ``recording`` in the order of ``leads``; a lead that is not there is a row of zeros."""
    rows = _rows_by_lead(header)
    chosen = np.zeros((len(leads), recording.shape[1]), dtype=recording.dtype)
    for i, lead in enumerate(map(lead_names.canonical_lead, leads)):
        if lead in rows:
            chosen[i] = recording[rows[lead]]
    return chosen


def get_recording_id(header: str) -> str:
    """Record name, without the file extension that some headers give it."""
    return _parse(header).name


def get_leads(header: str) -> tuple[str, ...]:
    """Lead names in file order."""
    return _parse(header).leads


def get_age(header: str) -> float:
    """Age in years; NaN where it is missing, unreadable or implausible."""
    age = _parse(header).age
    return float("nan") if age is None else age


def get_sex(header: str) -> str | None:
    """Sex as the header spells it; None where there is no such line."""
    for comment in _parse(header).comments:
        key, _, value = comment.partition(":")
        if key.strip().casefold() == "sex":
            return value.strip()
    return None


def get_num_leads(header: str) -> int:
    """Number of leads."""
    return len(_parse(header).signals)


def get_frequency(header: str) -> float:
    """Sampling rate in Hz."""
    return _parse(header).fs


def get_num_samples(header: str) -> int | None:
    """Announced number of samples per lead; None where the header gives none."""
    return _parse(header).n_samples


def get_adc_gains(header: str, leads: Sequence[str]) -> np.ndarray:
    """Counts per unit (leads,), 0 for a lead that is not there."""
    return _by_lead(header, leads, "gain")


def get_baselines(header: str, leads: Sequence[str]) -> np.ndarray:
    """Count that stands for zero (leads,), 0 for a lead that is not there."""
    return _by_lead(header, leads, "baseline")


def get_labels(header: str) -> list[str]:
    """Distinct SNOMED CT codes; labels that are text are turned into codes."""
    return list(_parse(header).codes)


def save_outputs(
    output_file: str,
    recording_id: str,
    classes: Sequence[str],
    labels: Sequence[int],
    probabilities: Sequence[float],
) -> None:
    """Writes the output file of one recording."""
    write_output(output_file, recording_id, classes, labels, probabilities)


def load_outputs(output_file: str) -> tuple[str | None, tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    """Recording id, classes, labels and probabilities of an output file; an entry that is no finite number is NaN."""
    with open(output_file, encoding="utf-8-sig", errors="replace") as file:
        lines = [line.strip() for line in file]
    recording_line, classes, labels, probabilities = [*lines, "", "", "", ""][:4]
    return recording_line.removeprefix("#") or None, _entries(classes), _numbers(labels), _numbers(probabilities)


# Getters are called one after the other on one header.
@lru_cache(maxsize=4)
def _parse(header: str) -> Header:
    return parse_header(header)


def _rows_by_lead(header: str) -> dict[str, int]:
    """Row of each lead; of a lead that occurs twice, the first."""
    return {lead: row for row, lead in reversed(list(enumerate(_parse(header).leads)))}


def _by_lead(header: str, leads: Sequence[str], field: str) -> np.ndarray:
    rows, signals = _rows_by_lead(header), _parse(header).signals
    names = [lead_names.canonical_lead(lead) for lead in leads]
    return np.array([float(getattr(signals[rows[name]], field)) if name in rows else 0.0 for name in names])


def _entries(line: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in line.split(",")) if line else ()


def _numbers(line: str) -> tuple[float, ...]:
    return tuple(float(entry) if is_finite_number(entry) else float("nan") for entry in _entries(line))
