"""Recordings for the stress test: a flat folder of headers and ``.mat`` files, and copies of them with altered headers.

The organisers' drivers look for recordings in one folder, not below it, so that all data of the test lie flat.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leadset.recordings import find_recordings, parse_header
from leadset.recordings.matlab import MAT4, MAT4_INT16
from leadset.recordings.reader import read_header_text
from leadset.recordings.writer import write_recording
from leadset.simulate.write import write_dataset

# Diagnoses that a small network learns from a few dozen simulated recordings.
_DIAGNOSES = "NSR,SB,STach,AF,LBBB,RBBB"


@dataclass(frozen=True)
class HeaderText:
    """The lines of a header: of the record, of the signals, and comments, which begin with ``#``."""

    record: str
    signals: tuple[str, ...]
    comments: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> HeaderText:
        """Those of a file."""
        lines = [line for line in read_header_text(path).splitlines() if line.strip()]
        plain = [line for line in lines if not line.startswith("#")]
        return cls(plain[0], tuple(plain[1:]), tuple(line for line in lines if line.startswith("#")))

    @property
    def text(self) -> str:
        """As it stands in a file."""
        return "\n".join([self.record, *self.signals, *self.comments, ""])

    def comment(self, key: str) -> str:
        """What it says of a key (``"Dx"``); empty where there is no such line."""
        return next((line.partition(":")[2].strip() for line in self.comments if _is_of(line, key)), "")

    def with_comment(self, key: str, value: str | None) -> HeaderText:
        """The same header with another value of a key; None: without the line."""
        kept = [line for line in self.comments if value is not None or not _is_of(line, key)]
        changed = [f"{line.partition(':')[0]}: {value}" if _is_of(line, key) else line for line in kept]
        return replace(self, comments=tuple(changed))

    def with_signal_field(self, number: int, value: str) -> HeaderText:
        """The same header with another value in a field of every signal line (2: gain, 4: zero of the converter)."""
        lines = [line.split() for line in self.signals]
        changed = [" ".join([*fields[:number], value, *fields[number + 1 :]]) for fields in lines]
        return replace(self, signals=tuple(changed))


def _is_of(comment: str, key: str) -> bool:
    return re.match(rf"#\s*{key}\s*:", comment, re.IGNORECASE) is not None


def _unchanged(header: HeaderText) -> HeaderText:
    return header


def copy_recording(
    path: Path, folder: Path, name: str | None = None, alter: Callable[[HeaderText], HeaderText] = _unchanged
) -> Path:
    """Copies header and ``.mat`` file, under another name if asked, with an altered header; returns the new header."""
    name, header = name or path.stem, HeaderText.read(path)
    folder.mkdir(parents=True, exist_ok=True)
    record = re.sub(r"^\S+", name, header.record)
    signals = tuple(re.sub(r"^\S+", f"{name}.mat", line) for line in header.signals)
    target = folder / f"{name}.hea"
    target.write_text(alter(HeaderText(record, signals, header.comments)).text, encoding="utf-8")
    shutil.copyfile(path.with_suffix(".mat"), target.with_suffix(".mat"))
    return target


def write_counts(header: Path, counts: np.ndarray) -> None:
    """Puts other counts (leads, samples) int16 beside a header."""
    content = MAT4.pack(MAT4_INT16, *counts.shape, 0, 4, b"val\0") + np.ascontiguousarray(counts.T, "<i2").tobytes()
    header.with_suffix(".mat").write_bytes(content)


def simulate_flat(folder: Path, n: int, seed: int) -> list[Path]:
    """Simulates recordings of ten seconds in one folder, in the header dialect of 2021; returns their headers."""
    nested, made = folder / "nested", []
    for path in write_dataset(nested, n, seed=seed, labels=_DIAGNOSES):
        header = parse_header(read_header_text(path))
        counts = np.frombuffer(path.with_suffix(".mat").read_bytes()[MAT4.size :], "<i2")
        target = folder / path.name
        old = replace(header, dialect="2021")
        write_recording(target, old, counts.reshape(-1, len(header.signals)).T.copy())
        made.append(target)
    shutil.rmtree(nested)
    return sorted(made)


def gather(data: Path, folder: Path) -> list[Path]:
    """Copies the recordings of a folder that have a ``.mat`` file into one flat folder; returns their headers.

    Raises:
        ValueError: there are fewer than ten.
    """
    found = [path for path in find_recordings(data) if path.suffix == ".hea" and path.with_suffix(".mat").is_file()]
    if len(found) < 10:
        raise ValueError(f"{data}: found {len(found)} headers with .mat files, expected 10 at least")
    stems = [path.stem for path in found]
    names = stems if len(set(stems)) == len(stems) else [f"R{i:06d}" for i in range(len(found))]
    return [copy_recording(path, folder, name) for path, name in zip(found, names, strict=True)]


def codes_of(paths: Iterable[Path]) -> list[list[str]]:
    """The diagnoses in the headers."""
    return [[code for code in re.split(r"[,\s]+", HeaderText.read(path).comment("Dx")) if code] for path in paths]


def split(paths: Sequence[Path], test_share: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Training and test part, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(paths))
    n_test = max(4, round(test_share * len(paths)))
    chosen = [paths[i] for i in order]
    return sorted(chosen[n_test:]), sorted(chosen[:n_test])
