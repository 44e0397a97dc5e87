"""Small recordings written for tests: a header of either dialect and a MATLAB v4 file, spoilt in one place if asked."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leadset.leads import LEADS


def make_counts(n_leads: int = 12, n_samples: int = 1000, seed: int = 0) -> np.ndarray:
    """Random int16 counts (leads, samples), none of them the invalid sample."""
    return np.random.default_rng(seed).integers(-2000, 2000, (n_leads, n_samples)).astype(np.int16)


def header_text(
    name: str = "A0001",
    leads: Sequence[str] = LEADS,
    n_samples: int = 1000,
    *,
    record_line: str | None = None,
    file: str | None = None,
    form: str = "16+24",
    gain: str = "1000/mV",
    comments: Sequence[str] = ("#Age: 74", "#Sex: Male", "#Dx: 426783006"),
    checksums: Sequence[int] | None = None,
) -> str:
    """A header, by default in the dialect of 2021."""
    lines = [record_line or f"{name} {len(leads)} 500 {n_samples}"]
    checksums = checksums or [0] * len(leads)
    lines += [
        f"{file or name + '.mat'} {form} {gain} 16 0 0 {checksum} 0 {lead}"
        for lead, checksum in zip(leads, checksums, strict=True)
    ]
    return "\n".join([*lines, *comments]) + "\n"


def mat4_bytes(counts: np.ndarray) -> bytes:
    """A MATLAB v4 file that holds ``val``."""
    head = struct.pack("<5i4s", 30, *counts.shape, 0, 4, b"val\0")
    return head + counts.astype("<i2").tobytes(order="F")


def write_recording(
    folder: Path, name: str = "A0001", counts: np.ndarray | None = None, text: str | None = None, **header: object
) -> Path:
    """Writes header and signal; returns the header's path. ``header`` goes to `header_text`."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = make_counts() if counts is None else counts
    if text is None:
        leads = header.pop("leads", LEADS[: len(counts)])
        text = header_text(name, leads, counts.shape[1], **header)
    path = folder / f"{name}.hea"
    path.write_text(text)
    (folder / f"{name}.mat").write_bytes(mat4_bytes(counts))
    return path
