"""What goes wrong with a recording, and what is merely worth knowing about it."""

from __future__ import annotations

from pathlib import Path

#: Facts about a recording that did not keep it from being read: flag and its meaning.
FLAGS: dict[str, str] = {
    "age_implausible": "age below 0 or above 120 years, taken as unknown",
    "age_unreadable": "age is neither a number nor a word for unknown",
    "checksum_mismatch": "samples do not add up to the header's checksum (only `doctor` looks)",
    "default_gain": "gain missing, zero or not finite: 200 per unit, the WFDB default",
    "default_rate": "sampling rate missing: 250 Hz, the WFDB default",
    "duplicate_lead": "a lead occurs twice: the first one is kept",
    "long_file": "more samples in the file than announced: all of them are used",
    "record_name_extension": "record name with a file extension, which was removed",
    "sample_count_unreadable": "announced sample count is no number: taken from the file",
    "sex_unreadable": "sex is neither female, male nor a word for unknown",
    "short_file": "fewer samples in the file than announced: those that are whole are used",
    "text_labels": "labels are text and were turned into SNOMED CT codes",
    "unknown_label": "a label is neither a code nor a known text: left out",
    "unknown_unit": "unit is not a voltage: taken as mV",
}


def reason(path: str | Path, error: Exception) -> str:
    """Why a recording cannot be used, as a message that names a file."""
    return str(error) if isinstance(error, ReadError) else f"{path}: {str(error) or type(error).__name__}"


class ReadError(ValueError):
    """A recording that cannot be read: names the file, the line where there is one, what was found and expected.

    Attributes:
        path: the file at fault, as text.
        line: its line number, counted from 1, or None.
    """

    def __init__(self, path: str | Path, found: str, expected: str, line: int | None = None) -> None:
        # All four reach `args`, so that the error survives pickling on its way back from a worker process.
        super().__init__(str(path), found, expected, line)
        self.path = str(path)
        self.line = line

    def __str__(self) -> str:
        path, found, expected, line = self.args
        where = path if line is None else f"{path}, line {line}"
        return f"{where}: found {found}, expected {expected}"
