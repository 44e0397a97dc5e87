"""What a run trains on: stores, labels, and the split, for a folder of recordings or a data set."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from leadset.classes import LabelSpace, place_label_space
from leadset.config import Config
from leadset.models.extra_inputs import RecordingContext, delineations
from leadset.preprocess import InputSpec, Transform
from leadset.recordings import ReadError
from leadset.recordings.dataset import DataSet, LeftOut
from leadset.recordings.importers import open_dataset
from leadset.store.beat_store import BeatStore, build_beats
from leadset.store.groups import patient_groups
from leadset.store.packed import Failure, Store, StoredRecording, build_store
from leadset.training.normals import plain_sinus_rhythm
from leadset.training.split import stratified_parts
from leadset.utils.files import write_atomically

TRAIN, VALID, SIMULATED = 0, 1, 2
WITHOUT_DIAGNOSIS, OF_VALIDATED_PATIENT = -1, -2

#: Why recordings are in no part, by what stands in its place; every such number is below zero.
REASONS: dict[int, str] = {
    WITHOUT_DIAGNOSIS: "no diagnosis in the header",
    OF_VALIDATED_PATIENT: "another recording of the patient is validated on",
}

#: Which beats a network needs: those of a transform, in the leads of a set, reliable ones alone or all.
BeatsKey = tuple[Transform, tuple[str, ...], bool]


def beats_keys(spec: InputSpec, leads: tuple[str, ...]) -> list[BeatsKey]:
    """The beats that a network with this input needs."""
    return [(spec.transform, leads, reliable) for reliable in delineations(spec)]


class Contexts(Sequence[RecordingContext]):
    """`RecordingContext` of each recording of a store, by index.

    Args:
        recordings: of the store.
        beats: of these recordings, as in `RecordingContext`.
    """

    def __init__(self, recordings: Sequence[StoredRecording], beats: Mapping[bool, BeatStore]) -> None:
        self.recordings, self.beats = recordings, beats

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, i: int) -> RecordingContext:
        recording = self.recordings[i]
        return RecordingContext(recording.age, recording.sex, {key: kept[i] for key, kept in self.beats.items()})


@dataclass(frozen=True)
class TrainingData:
    """Recordings of one folder, prepared for every transform that the networks want.

    Attributes:
        stores: by transform; recording i is the same one in each of them.
        space: the classes.
        labels: (n, k) bool, those of the official score: thresholds are fitted to them.
        targets: (n, k) float32, what networks learn, and whatever makes probabilities of what they say: 1, also by an
            alias, 0, or NaN where the source does not annotate the class (`LabelSpace`).
        part: (n,) `TRAIN`, `VALID`, one of `REASONS` for a recording that takes no part, or `SIMULATED` for those of a
            bank, which come behind the recordings of the folder.
        groups: (n_folder,) number of the patient of each recording of the folder (`leadset.store.groups`).
        failures: recordings that could not be read or delineated.
        beats: by `BeatsKey`, for the networks that need beats; numbered as the stores.
        left_out: recordings that the data set's own tables name and that take no part.
        held_out: recordings that the caller holds out; they are listed, and counted nowhere.
    """

    stores: dict[Transform, Store]
    space: LabelSpace
    labels: np.ndarray
    targets: np.ndarray
    part: np.ndarray
    groups: np.ndarray
    failures: tuple[Failure, ...]
    beats: dict[BeatsKey, BeatStore] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    held_out: tuple[LeftOut, ...] = ()

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
    def has_validation_part(self) -> bool:
        """Whether `valid` are recordings that are not trained on."""
        return bool((self.part == VALID).any())

    @property
    def valid_name(self) -> str:
        """What `valid` is, for the provenance of whatever is fitted on it."""
        return "validation" if self.has_validation_part else "training (too few recordings for a validation part)"

    @property
    def abnormal(self) -> np.ndarray:
        """(n,) bool: False where sinus rhythm is the only label."""
        abnormal = np.ones(len(self.part), dtype=bool)
        abnormal[plain_sinus_rhythm(self.first, self.space)] = False
        return abnormal

    def contexts_for(self, spec: InputSpec, leads: tuple[str, ...]) -> Contexts:
        """What a network with this input may ask of each recording besides its samples."""
        beats = {key[-1]: self.beats[key] for key in beats_keys(spec, leads)}
        return Contexts(self.stores[spec.transform].recordings, beats)

    def valid_folds(self, n: int, seed: int) -> np.ndarray:
        """Fold number (n_valid,) of each validation recording, for fitting on some and judging on the others."""
        return self.folds_of(self.valid, n, seed)

    def folds_of(self, indices: np.ndarray, n: int, seed: int) -> np.ndarray:
        """Fold number of each of some recordings of the folder; those of one patient are in one fold."""
        recordings = [self.first.recordings[i] for i in indices]
        return split_recordings(recordings, self.labels[indices], self.groups[indices], [1] * n, seed)

    @property
    def fingerprint(self) -> str:
        """Digest of signals, labels and parts of the folder's recordings: equal for equal training data."""
        unknown = map(np.flatnonzero, np.isnan(self.targets))
        rows = sorted(
            " ".join([r.digest, ",".join(r.codes), str(part), *map(str, classes)])
            for (r, part), classes in zip(self._of_folder(), unknown, strict=False)
        )
        return blake2b("\n".join(rows).encode(), digest_size=16).hexdigest()

    def _of_folder(self) -> Iterator[tuple[StoredRecording, int]]:
        """The recordings of the folder with their parts."""
        pairs = zip(self.first.recordings, self.part.tolist(), strict=True)
        return ((recording, part) for recording, part in pairs if part != SIMULATED)

    def unannotated(self) -> dict[str, list[str]]:
        """By source of the folder: abbreviations of the classes that it does not annotate."""
        unknown = {}
        for (recording, _), row in zip(self._of_folder(), np.isnan(self.targets), strict=False):
            unknown.setdefault(recording.source, np.zeros(len(self.space), dtype=bool))[row] = True
        names = np.array(self.space.abbreviations)
        return {source: names[classes].tolist() for source, classes in sorted(unknown.items()) if classes.any()}

    def counts(self) -> dict[str, int]:
        """Numbers of recordings, for the entry and the log."""
        of_validated = int((self.part == OF_VALIDATED_PATIENT).sum())
        return {
            "found": int((self.part != SIMULATED).sum()) + len(self.failures),
            "train": int((self.part == TRAIN).sum()),
            "validation": int((self.part == VALID).sum()),
            **({"of_patients_validated_on": of_validated} if of_validated else {}),
            "without_diagnosis": int((self.part == WITHOUT_DIAGNOSIS).sum()),
            "unreadable": len(self.failures),
            "simulated": len(self.simulated),
            **({"left_out": len(self.left_out)} if self.left_out else {}),
        }

    def write_split(self, path: Path) -> None:
        """Writes which recording is in which part, one line each, with what could not be used and why."""
        names = {TRAIN: "train", VALID: "validation", **dict.fromkeys(REASONS, "excluded")}
        with write_atomically(path) as file:
            writer = csv.writer(file)
            writer.writerow(["recording", "source", "digest", "group", "part", "reason"])
            for (recording, part), group in zip(self._of_folder(), self.groups.tolist(), strict=True):
                about = recording.name, recording.source, recording.digest, group
                writer.writerow([*about, names[part], REASONS.get(part, "")])
            for failure in self.failures:
                writer.writerow([Path(failure.path).stem, "", "", "", "excluded", failure.message])
            writer.writerows([what, "", "", "", "excluded", reason] for what, reason in self.left_out + self.held_out)


def in_label_space_of(data: DataSet, config: Config, folder: Path) -> Config:
    """The configuration with the label space of a data set, if that has one; without a file, it is put into a folder.

    Raises:
        ValueError: a single setting names another label space.
    """
    if data.label_space is None:
        return config
    name, own = config.overrides.get("label_space"), data.label_space.name
    if name not in (None, own):
        # Classes without a file are the distinct labels of a table, which another option says.
        hint = f" (--data-option space={name} takes the classes of that one)" if data.label_space.file is None else ""
        raise ValueError(f"{data}: found label_space = {name!r}, expected {own!r}, of which the labels are{hint}")
    return replace(config, label_space=place_label_space(data.label_space, folder))


@dataclass(frozen=True)
class Preparation:
    """What recordings are prepared for, and how.

    Attributes:
        transforms: those that the networks want; recordings are prepared once for each.
        cache: folder that keeps what is prepared.
        beats: the beats that the networks want, delineated once for each key.
        workers: processes, as joblib counts them.
        lead_names: what names of leads stand for, as for `leadset.recordings.read_recording`.
    """

    transforms: Iterable[Transform]
    cache: Path
    beats: Iterable[BeatsKey] = ()
    workers: int = -1
    lead_names: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Split:
    """Which recordings are validated on, and which take no part. Recordings are named by the paths of their headers.

    Attributes:
        share: of the recordings, drawn to be validated on: classes and sources are spread evenly.
        seed: of the drawing.
        held_out: these are prepared with the others, so that the folds of a cross-validation share one store, and then
            taken away before anything is looked at. A mapping says why, for the list of recordings.
        validation: these are the validation part instead of one that is drawn; other recordings of their patients are
            neither trained nor validated on.
    """

    share: float
    seed: int
    held_out: Collection[str] = ()
    validation: Collection[str] = ()

    def left_out_of(self, data: DataSet) -> tuple[LeftOut, ...]:
        """The recordings of a data set that are held out, and why."""
        reasons = self.held_out if isinstance(self.held_out, Mapping) else dict.fromkeys(self.held_out, "held out")
        return tuple(LeftOut(i.called, reasons[str(i.path)]) for i in data.items if str(i.path) in reasons)


def load_training_data(
    data: str | Path | DataSet, space: LabelSpace, preparation: Preparation, split: Split
) -> TrainingData:
    """Finds, prepares and splits the recordings of a folder, or of a data set (`open_dataset`).

    Recordings of one patient (`leadset.store.groups`) stay in one part.

    Raises:
        OSError: no such folder.
        ValueError: no recording, none that can be read, or none with a diagnosis that is a class here; none left to
            train or to validate on.
    """
    data = open_dataset(data)
    _check_diagnoses(data, space)
    stores, delineated, failures = _prepared(data, preparation, split.held_out)
    first = next(iter(stores.values()))
    recordings = first.recordings
    if not recordings and not failures:
        raise ValueError(f"{data}: all of {len(data)} recordings are held out, expected some to learn from")
    if not recordings:
        example = failures[0]
        raise ValueError(f"{data}: none of {len(data)} recordings can be read; the first: {example.message}")
    labels = np.array([space.encode(recording.codes) for recording in recordings])
    labelled = np.flatnonzero([bool(space.diagnoses(recording.codes)) for recording in recordings])
    if not len(labelled):
        raise ValueError(f"{data}: none of the {len(recordings)} recordings that can be read has a diagnosis")
    groups = patient_groups(first, data.folder, preparation.workers)
    part = np.full(len(recordings), WITHOUT_DIAGNOSIS)
    part[labelled] = _parts([recordings[i] for i in labelled], labels[labelled], groups[labelled], split, data)
    targets = space.targets_for_training(recordings)
    apart = np.array([data.by_path[recording.path].labelled_apart for recording in recordings])
    targets[np.isnan(targets) & apart[:, None]] = 0
    # A class that no source here annotates would never be learnt, and answered at random: it is taken for absent.
    targets[:, np.isnan(targets[labelled]).all(axis=0)] = 0
    return TrainingData(
        stores, space, labels, targets, part, groups, failures, delineated, data.left_out, split.left_out_of(data)
    )


def _prepared(
    data: DataSet, wanted: Preparation, held_out: Collection[str]
) -> tuple[dict[Transform, Store], dict[BeatsKey, BeatStore], tuple[Failure, ...]]:
    """Stores and beats of what is not held out and did not fail, and the failures; see `load_training_data`."""
    cache, workers = wanted.cache, wanted.workers
    stores = {
        transform: build_store(data.paths, transform, cache, workers, lead_names=wanted.lead_names, read=data.read)
        for transform in dict.fromkeys(wanted.transforms)
    }
    delineated = {
        (transform, leads, reliable): build_beats(stores[transform], leads, cache, workers, reliable=reliable)
        for transform, leads, reliable in dict.fromkeys(wanted.beats)
    }
    failures = {failure.path: failure for kept in (stores, delineated) for s in kept.values() for failure in s.failures}
    failures = {path: failure for path, failure in failures.items() if path not in held_out}
    gone = {*failures, *held_out}
    stores = {transform: store.described(data).without(gone) for transform, store in stores.items()}
    delineated = {key: store.without(gone) for key, store in delineated.items()}
    return stores, delineated, tuple(failures.values())


def _parts(
    recordings: Sequence[StoredRecording], labels: np.ndarray, groups: np.ndarray, split: Split, data: DataSet
) -> np.ndarray:
    """Part (n,) of each recording with a diagnosis: as given, else drawn."""
    if split.validation:
        return _given_parts([recording.path in split.validation for recording in recordings], groups, data)
    return split_recordings(recordings, labels, groups, [1 - split.share, split.share], split.seed)


def _given_parts(validation: Sequence[bool], groups: np.ndarray, data: DataSet) -> np.ndarray:
    """Part of each recording where the validation part is given; others of a patient that it has are in none."""
    valid = np.array(validation, dtype=bool)
    part = np.where(valid, VALID, np.where(np.isin(groups, groups[valid]), OF_VALIDATED_PATIENT, TRAIN))
    for number, name in ((TRAIN, "train"), (VALID, "validate")):
        if not (part == number).any():
            raise ValueError(f"{data}: found no recording left to {name} on, expected some of {len(part)}")
    return part


def _check_diagnoses(data: DataSet, space: LabelSpace) -> None:
    """Raises a `ValueError` where no recording has a class of the label space, before hours go into preparing."""
    codes: set[str] = set()
    for path in data.paths:
        try:
            own = data.codes(path)
        except ReadError:  # counted when it is prepared
            continue
        if space.encode_for_training(own).any():
            return
        codes.update(space.diagnoses(own) or own)
    if codes:
        listed = ", ".join(sorted(codes)[:3]) + (f" and {len(codes) - 3} more" if len(codes) > 3 else "")
        raise ValueError(f"{data}: no diagnosis is a class of label space {space.name}, found codes {listed}")
    expected = "'# Dx:' lines or a table of labels"
    raise ValueError(f"{data}: none of {len(data)} recordings has a diagnosis, expected {expected}")


def split_recordings(
    recordings: Sequence[StoredRecording], labels: np.ndarray, groups: np.ndarray, shares: Sequence[float], seed: int
) -> np.ndarray:
    """Part number (n,) of each recording: classes and sources spread evenly, no group (n,) divided."""
    sources = np.array([recording.source for recording in recordings])
    spread = np.concatenate([labels, sources[:, None] == np.unique(sources)], axis=1)
    return stratified_parts(spread, groups, shares, seed)
