"""What a run trains on: stores, labels, and the split, for a folder of recordings."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np

from leadset.classes import LabelSpace
from leadset.preprocess import InputSpec, Transform
from leadset.recordings import find_recordings
from leadset.store.beat_store import BeatStore, build_beats
from leadset.store.packed import Failure, Store, StoredRecording, build_store
from leadset.training.normals import plain_sinus_rhythm
from leadset.training.split import patient_groups, stratified_parts
from leadset.utils.files import write_atomically

TRAIN, VALID, SIMULATED = 0, 1, 2

#: Which beats a network is told of: those of a transform, in the leads of a set, reliable ones alone or all.
BeatsKey = tuple[Transform, tuple[str, ...], bool]


def beats_key(spec: InputSpec, leads: tuple[str, ...]) -> BeatsKey:
    """The beats that a network with this input is told of."""
    return spec.transform, leads, spec.reliable_beats


@dataclass(frozen=True)
class TrainingData:
    """Recordings of one folder, prepared for every transform that the networks want.

    Attributes:
        stores: by transform; recording i is the same one in each of them.
        labels: (n, k) bool.
        part: (n,) `TRAIN`, `VALID`, -1 for a recording without diagnosis, or `SIMULATED` for those of a bank, which
            come behind the recordings of the folder.
        failures: recordings that could not be read or delineated.
        beats: by `beats_key`, for the networks that ask for beats; numbered as the stores.
    """

    stores: dict[Transform, Store]
    labels: np.ndarray
    part: np.ndarray
    failures: tuple[Failure, ...]
    beats: dict[BeatsKey, BeatStore] = field(default_factory=dict)

    @property
    def first(self) -> Store:
        """Any of the stores: the index entries agree but for the number of samples."""
        return next(iter(self.stores.values()))

    @property
    def train(self) -> np.ndarray:
        """Indices of the training recordings."""
        return np.flatnonzero(self.part == TRAIN)

    @property
    def valid(self) -> np.ndarray:
        """Indices of the validation recordings; those of training where the set is too small to have any."""
        valid = np.flatnonzero(self.part == VALID)
        return valid if len(valid) else self.train

    @property
    def simulated(self) -> np.ndarray:
        """Indices of the simulated recordings."""
        return np.flatnonzero(self.part == SIMULATED)

    @property
    def valid_name(self) -> str:
        """What `valid` is, for the provenance of whatever is fitted on it."""
        return "validation" if (self.part == VALID).any() else "training (too few recordings for a validation part)"

    @property
    def abnormal(self) -> np.ndarray:
        """(n,) bool: False where sinus rhythm is the only label."""
        abnormal = np.ones(len(self.part), dtype=bool)
        abnormal[plain_sinus_rhythm(self.first)] = False
        return abnormal

    def beats_for(self, spec: InputSpec, leads: tuple[str, ...]) -> BeatStore | None:
        """The beats that a network with this input is told of, if it asks for any."""
        return self.beats[beats_key(spec, leads)] if spec.delineated else None

    def valid_folds(self, n: int, seed: int) -> np.ndarray:
        """Fold number (n_valid,) of each validation recording, for fitting on some and judging on the others."""
        return split_recordings([self.first.recordings[i] for i in self.valid], self.labels[self.valid], [1] * n, seed)

    @property
    def fingerprint(self) -> str:
        """Digest of signals, labels and parts of the folder's recordings: equal for equal training data."""
        rows = sorted(f"{r.digest} {','.join(r.codes)} {part}" for r, part in self._of_folder())
        return blake2b("\n".join(rows).encode(), digest_size=16).hexdigest()

    def _of_folder(self) -> Iterator[tuple[StoredRecording, int]]:
        """The recordings of the folder with their parts."""
        pairs = zip(self.first.recordings, self.part.tolist(), strict=True)
        return ((recording, part) for recording, part in pairs if part != SIMULATED)

    def counts(self) -> dict[str, int]:
        """Numbers of recordings, for the entry and the log."""
        return {
            "found": int((self.part != SIMULATED).sum()) + len(self.failures),
            "train": int((self.part == TRAIN).sum()),
            "validation": int((self.part == VALID).sum()),
            "without_diagnosis": int((self.part < 0).sum()),
            "unreadable": len(self.failures),
            "simulated": len(self.simulated),
        }

    def write_split(self, path: Path) -> None:
        """Writes which recording is in which part, one line each, with what could not be used and why."""
        names = {TRAIN: "train", VALID: "validation", -1: "excluded"}
        with write_atomically(path) as file:
            writer = csv.writer(file)
            writer.writerow(["recording", "source", "digest", "part", "reason"])
            for recording, part in self._of_folder():
                reason = "no diagnosis in the header" if part < 0 else ""
                writer.writerow([recording.name, recording.source, recording.digest, names[part], reason])
            for failure in self.failures:
                writer.writerow([Path(failure.path).stem, "", "", "excluded", failure.message])


def load_training_data(
    folder: str | Path,
    transforms: Iterable[Transform],
    cache: Path,
    space: LabelSpace,
    *,
    validation_share: float,
    seed: int,
    workers: int = -1,
    beats: Iterable[BeatsKey] = (),
) -> TrainingData:
    """Finds, prepares and splits the recordings of a folder.

    Duplicates (equal signals) and recordings of one patient stay in one part; classes and sources are spread evenly.
    ``beats`` names those that are wanted too.

    Raises:
        OSError: no such folder.
        ValueError: no recording, none that can be read, or none with a diagnosis.
    """
    paths = find_recordings(folder)
    stores = {transform: build_store(paths, transform, cache, workers) for transform in dict.fromkeys(transforms)}
    delineated = {
        (transform, leads, reliable): build_beats(stores[transform], leads, cache, workers, reliable=reliable)
        for transform, leads, reliable in dict.fromkeys(beats)
    }
    failures = {failure.path: failure for kept in (stores, delineated) for s in kept.values() for failure in s.failures}
    stores = {transform: store.without(failures) for transform, store in stores.items()}
    delineated = {key: store.without(failures) for key, store in delineated.items()}
    recordings = next(iter(stores.values())).recordings
    if not recordings:
        example = next(iter(failures.values()))
        raise ValueError(f"{folder}: none of {len(paths)} recordings can be read; the first: {example.message}")
    labels = np.array([space.encode(recording.codes) for recording in recordings])
    labelled = np.flatnonzero([bool(recording.codes) for recording in recordings])
    if not len(labelled):
        raise ValueError(f"{folder}: none of {len(recordings)} recordings has a diagnosis, expected '# Dx:' lines")
    part = np.full(len(recordings), -1)
    shares = [1 - validation_share, validation_share]
    part[labelled] = split_recordings([recordings[i] for i in labelled], labels[labelled], shares, seed)
    return TrainingData(stores, labels, part, tuple(failures.values()), delineated)


def split_recordings(
    recordings: Sequence[StoredRecording], labels: np.ndarray, shares: Sequence[float], seed: int
) -> np.ndarray:
    """Part number (n,) of each recording: classes and sources spread evenly, duplicates and patients undivided."""
    sources = np.array([recording.source for recording in recordings])
    spread = np.concatenate([labels, sources[:, None] == np.unique(sources)], axis=1)
    return stratified_parts(spread, patient_groups(recordings), shares, seed)
