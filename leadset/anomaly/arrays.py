"""The file format of the paper's authors: filtered 10-s recordings at 500 Hz as NumPy arrays (n, 5000, 12).

``train.npy`` holds normal recordings, ``test.npy`` those to detect with ``label.npy`` (n,), 1 for abnormal, and
``benchmark_data.npy`` those to localise in with ``benchmark_label.npy`` (n, 5000, 12). Their amplitudes are scaled the
same way whichever file they come from; the published script left those of ``test.npy`` in millivolts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from leadset.leads import LEADS
from leadset.preprocess import Transform, prepare

SAMPLES = 5000
TRAIN, TEST, TEST_LABELS = "train.npy", "test.npy", "label.npy"
BENCHMARK, BENCHMARK_LABELS = "benchmark_data.npy", "benchmark_label.npy"
# Rate and nothing else: the recordings have been filtered.
_AS_THEY_ARE = Transform(500)


class Recordings(Protocol):
    """Prepared recordings by index: a store, or arrays of the authors' format."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples (12, t) int16 and statistics (5, 12), as in `leadset.preprocess.Prepared`."""
        ...


class ArrayRecordings:
    """Recordings of one file by index, prepared when asked for; the file is mapped, not read.

    Args:
        path: an array (n, 5000, 12).

    Raises:
        OSError: no such file.
        ValueError: not an array of that shape, or one that holds anything but numbers.
    """

    def __init__(self, path: Path) -> None:
        self._values = _load(path)
        if self._values.ndim != 3 or self._values.shape[1:] != (SAMPLES, len(LEADS)):
            raise ValueError(f"{path}: array of shape {self._values.shape}, expected (n, {SAMPLES}, {len(LEADS)})")

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples (12, 5000) int16 and statistics (5, 12), as in `leadset.preprocess.Prepared`."""
        prepared = prepare(self._values[i].T, _AS_THEY_ARE.rate, LEADS, _AS_THEY_ARE)
        return prepared.samples, prepared.statistics


def has_arrays(folder: Path) -> bool:
    """Whether a folder holds recordings in this format."""
    return any((folder / name).is_file() for name in (TRAIN, TEST, BENCHMARK))


def read_labels(path: Path, n: int) -> np.ndarray:
    """Labels (n,) or, of every sample, (n, 5000, 12), mapped.

    Raises:
        OSError: no such file.
        ValueError: another number of recordings.
    """
    labels = _load(path)
    if len(labels) != n or labels.shape[1:] not in ((), (SAMPLES, len(LEADS))):
        raise ValueError(
            f"{path}: labels of shape {labels.shape}, expected ({n},) or ({n}, {SAMPLES}, {len(LEADS)})"
        )
    return labels


def _load(path: Path) -> np.ndarray:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a NumPy array of numbers: {error}") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise ValueError(f"{path}: found {getattr(values, 'dtype', type(values).__name__)}, expected numbers")
    return values
