"""Who takes part in a cross-validation: entries trained in each fold, and the networks that ship as they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tqdm import tqdm

from leadset.classes import CHALLENGE, LabelSpace, label_space
from leadset.config import Config
from leadset.config_rules import SHIPPED as SHIPPED_WEIGHTS
from leadset.config_rules import SIMULATED
from leadset.entry import Entry, load_entry
from leadset.entry.answer import Answer
from leadset.entry.calibration import Calibration
from leadset.entry.manifest import FILE_NAME, Manifest, Member
from leadset.entry.prediction import is_shipped
from leadset.leads import LEADS, lead_set_name
from leadset.models import list_models, model_entry
from leadset.models.prediction import predict
from leadset.models.shipped import FOLDER as SHIPPED
from leadset.models.shipped import load_shipped
from leadset.recordings import ReadError, Recording
from leadset.recordings.dataset import PATIENT_OF_TEST_FOLD, TEST_FOLD, DataSet
from leadset.studies.answers import FoldAnswers, Row, Said, with_seed, without_seed
from leadset.studies.protocols import Cohort, Fold
from leadset.training.baselines.entries import BASELINES, train_baselines
from leadset.training.data import Preparation, Split, beats_keys, load_training_data
from leadset.training.decision.ensemble import CALIBRATION
from leadset.training.run import train_entry
from leadset.training.shipped.entry import fit_ensemble
from leadset.training.start import Start, Starts
from leadset.utils.files import write_atomically

#: What tables call all networks of an entry together.
ENSEMBLE = "ensemble"
FOLDS_FOLDER, WORK_FOLDER, LOG_FILE = "folds", "work", "log.txt"
# Choices that change no answer, or that the protocol has.
_WITHOUT_EFFECT = ("workers", "cache", "keep_work", "scheduler", "serve", "folds", "test_share")


def without_real_weights(config: Config) -> Config:
    """The configuration, with networks that start from simulation alone unless it names other weights by itself.

    Weights that ship may have learnt from real recordings, and so from those that a fold tests on.
    """
    if config.start.weights != SHIPPED_WEIGHTS or "start.weights" in config.overrides:
        return config
    return replace(config, start=replace(config.start, weights=SIMULATED))


def store_in(out: Path) -> Path:
    """Where the prepared recordings of a cross-validation are."""
    return out / WORK_FOLDER / "store"


@dataclass(frozen=True)
class Setting:
    """What all entrants of a cross-validation share.

    Attributes:
        data: the recordings.
        out: where results go.
        cohort: the recordings.
        space: their classes.
    """

    data: DataSet
    out: Path
    cohort: Cohort
    space: LabelSpace

    @property
    def store(self) -> Path:
        """Prepared recordings, which all folds share."""
        return store_in(self.out)


@dataclass(frozen=True)
class Entrant(ABC):
    """Somebody who answers the test part of each fold after learning from its training part alone.

    Attributes:
        name: of files.
        note: what tables say behind the names of its models.
        config: the choices of `default.toml` and what overrides them.
        takes: names of the choices that its answers depend on; none named: all that have an effect.
        seeded: whether its answers depend on the seed.
    """

    name: str
    note: str
    config: Config
    takes: ClassVar[tuple[str, ...]] = ()
    seeded: ClassVar[bool] = True

    def provenance(self) -> dict[str, Any]:
        """What it is, as plain values; another entrant of this name would have others."""
        values = self.config.provenance()["values"]
        taken = self.takes or values.keys() - set(_WITHOUT_EFFECT)
        choices = {key: value for key, value in values.items() if key in taken}
        return {"kind": type(self).__name__, "note": self.note, "configuration": choices}

    def check(self, space: LabelSpace) -> None:  # noqa: B027 (most are what they say)
        """Finds out whether it can take part, before anything is written.

        Args:
            space: of the labels.

        Raises:
            OSError, ValueError: it cannot; the message says why.
        """

    def prepare(self, setting: Setting) -> None:  # noqa: B027 (most have nothing to prepare)
        """Does once what all folds need and what depends on no label."""

    @abstractmethod
    def answer(self, setting: Setting, fold: Fold, workers: int) -> FoldAnswers:
        """Learns from the training part and answers the test part.

        Args:
            setting: of the cross-validation.
            fold: the two parts.
            workers: processes that it may use.
        """

    def with_seed(self, seed: int) -> Entrant:
        """The same, trained with this seed: other files, the same rows of tables."""
        if seed == self.config.seed or not self.seeded:
            return self
        return replace(self, name=with_seed(self.name, seed), config=replace(self.config, seed=seed))

    def row(self, model: str, leads: tuple[str, ...]) -> Row:
        """The row of one of its models."""
        note = "" if self.note in ("", model) else f" ({self.note})"
        return Row(f"{model}{note}", lead_set_name(leads))


def with_seeds(entrants: Sequence[Entrant], seeds: Sequence[int]) -> list[Entrant]:
    """Entrants trained with each seed, all of them with the first one first; those that no seed changes, once."""
    return [
        entrant.with_seed(seed) for i, seed in enumerate(seeds) for entrant in entrants if entrant.seeded or i == 0
    ]


@dataclass(frozen=True)
class Trained(Entrant):
    """An entry that is trained in each fold, as `leadset train` does it."""

    def answer(self, setting: Setting, fold: Fold, workers: int) -> FoldAnswers:
        """See `Entrant.answer`."""
        folder = setting.out / FOLDS_FOLDER / f"{self.name}-{fold.name}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / FILE_NAME).is_file():
            cache = self.config.cache or str(setting.store)
            config = replace(self.config, workers=workers, cache=cache)
            gone = {setting.cohort.paths[i]: TEST_FOLD for i in fold.test}
            gone |= {setting.cohort.paths[i]: PATIENT_OF_TEST_FOLD for i in fold.related}
            with open(folder / LOG_FILE, "a", encoding="utf-8") as log, redirect_stdout(log):
                valid = [setting.cohort.paths[i] for i in fold.valid]
                self._train(setting.data, folder, config, gone, valid)
        entry = load_entry(folder, "cpu" if workers == 1 else None, every_network=True)
        return self._ask(entry, setting, fold)

    def _train(self, data: DataSet, folder: Path, config: Config, held_out: dict[str, str], valid: list[str]) -> None:
        train_entry(data, folder, config, held_out, valid)

    def _ask(self, entry: Entry, setting: Setting, fold: Fold) -> FoldAnswers:
        by_row: dict[Row, Said] = {}
        unanswered = 0
        paths = [setting.cohort.paths[i] for i in fold.test]
        for trained in (trained for trained in entry.manifest.sets if trained.leads in self.config.lead_sets):
            answers = list(entry.predict(with_leads(setting.data, paths, trained.leads, entry)))
            unanswered += sum(answer.failed for answer in answers)
            joint = Said(np.stack([a.probabilities for a in answers]), np.stack([a.labels for a in answers]))
            names = [member.architecture for member in trained.members]
            for member in trained.members if len(names) > 1 else []:
                by_row[self.row(member.architecture, trained.leads)] = _own(member, answers)
            by_row[self.row(ENSEMBLE if len(names) > 1 else names[0], trained.leads)] = joint
        return FoldAnswers(fold.test, by_row, unanswered)


def _own(member: Member, answers: Sequence[Answer]) -> Said:
    """What a network of an entry says by itself, calibrated where its rule was fitted to calibrated probabilities."""
    own = [answer.by_model[member.architecture] for answer in answers]
    p, calibration = np.stack([p for _, p in own]), member.rule.provenance.get(CALIBRATION)
    if calibration is not None:
        p = Calibration.from_json(calibration)(p)
    return Said(p, np.stack([labels for labels, _ in own]))


@dataclass(frozen=True)
class TrainedBaseline(Trained):
    """An entry of the baseline of this name, as `leadset baseline` trains it."""

    takes: ClassVar[tuple[str, ...]] = ("label_space", "lead_sets", "leads", "seed", "validation_share")

    def provenance(self) -> dict[str, Any]:
        """See `Entrant.provenance`; with the weights that a probe looks at."""
        options = BASELINES[without_seed(self.name)].options(self.config.start.weights)
        return super().provenance() | ({"weights": options} if options else {})

    def _train(self, data: DataSet, folder: Path, config: Config, held_out: dict[str, str], valid: list[str]) -> None:
        train_baselines(data, folder, [without_seed(self.name)], config, held_out, valid)


@dataclass(frozen=True)
class Given(Trained):
    """An entry that was trained elsewhere, as it is; it may have learned from what is tested on.

    Attributes:
        entry: its model folder, or a file that `leadset pack` wrote.
    """

    entry: Path = SHIPPED
    takes: ClassVar[tuple[str, ...]] = ("label_space", "lead_sets")
    seeded: ClassVar[bool] = False

    @classmethod
    def named(cls, entry: str, config: Config) -> Given:
        """The one in a folder or file, called like it; ``shipped``: the one that ships."""
        name = Path(entry).stem
        return cls(name, name, config, SHIPPED if is_shipped(entry) else Path(entry))

    def provenance(self) -> dict[str, Any]:
        """See `Entrant.provenance`; with a digest of the entry."""
        file = self.entry if self.entry.is_file() else self.entry / FILE_NAME
        return super().provenance() | {"digest": blake2b(file.read_bytes(), digest_size=8).hexdigest()}

    def check(self, space: LabelSpace) -> None:
        """See `Entrant.check`: it is an entry, of these classes and for one of the lead sets."""
        manifest = load_entry(self.entry, "cpu").manifest
        if manifest.classes != space.keys:
            found = f"found an entry that answers {manifest.label_space}"
            raise ValueError(f"{self.entry}: {found}, expected {space.name}, of which the labels are")
        sets = [trained.leads for trained in manifest.sets]
        if not set(sets) & set(self.config.lead_sets):
            found, wanted = (", ".join(map(lead_set_name, some)) for some in (sets, self.config.lead_sets))
            raise ValueError(f"{self.entry}: found an entry for {found} leads, expected one of {wanted}")

    def answer(self, setting: Setting, fold: Fold, workers: int) -> FoldAnswers:
        """See `Entrant.answer`."""
        return self._ask(load_entry(self.entry, "cpu" if workers == 1 else None, every_network=True), setting, fold)


def with_leads(
    data: DataSet, paths: Iterable[str], leads: tuple[str, ...], entry: Entry
) -> Iterator[Recording | str]:
    """The recordings with these leads alone, as a device that records no others gives them."""
    for path in paths:
        try:
            recording = data.recording(path, entry.lead_names)
        except (ReadError, OSError):  # the entry answers it, and says why
            yield path
            continue
        rows = [i for i, lead in enumerate(recording.leads) if lead in leads]
        yield replace(recording, signal=recording.signal[rows], leads=tuple(recording.leads[i] for i in rows))


@dataclass(frozen=True)
class Untuned(Entrant):
    """The networks that ship, as they are: weights, calibration and thresholds are fitted in the training part."""

    seeded: ClassVar[bool] = False

    def networks(self) -> dict[str, Start]:
        """The classifiers whose weights there are, by name.

        Raises:
            ValueError: there are none.
        """
        starts = Starts(self.config.start.weights)
        found = {name: starts.find(name, LEADS) for name in list_models() if model_entry(name).kind == "classifier"}
        networks = {name: start for name, start in found.items() if start is not None and start.universal}
        if not networks:
            raise ValueError(f"found no weights that ship in start.weights = {self.config.start.weights!r}")
        return networks

    def provenance(self) -> dict[str, Any]:
        """See `Entrant.provenance`; answers of other weights are others."""
        return super().provenance() | {"weights": {name: start.digest for name, start in self.networks().items()}}

    def prepare(self, setting: Setting) -> None:
        """Asks every network once about every recording: what it says depends on no fold."""
        starts = self.networks()
        wanted = {
            (name, leads): load_shipped(name, leads, folder=start.path.parent).eval()
            for leads in self.config.lead_sets for name, start in starts.items()
            if not self._file(setting, name, leads, start).is_file()
        }  # fmt: skip
        if not wanted:
            return
        if setting.space.keys != label_space(CHALLENGE).keys:
            found = f"found label space {setting.space.name}"
            raise ValueError(f"{found}: the networks that ship answer the classes of {CHALLENGE}")
        specs = {(name, leads): model.input_spec for (name, leads), model in wanted.items()}
        beats = [key for (_, leads), spec in specs.items() for key in beats_keys(spec, leads)]
        preparation = Preparation(
            [spec.transform for spec in specs.values()], setting.store, beats, self.config.workers, self.config.leads
        )
        split = Split(self.config.validation_share, self.config.seed)
        data = load_training_data(setting.data, setting.space, preparation, split)
        place = {recording.path: i for i, recording in enumerate(data.first.recordings)}
        chosen = [place[path] for path in setting.cohort.paths]
        for (name, leads), model in tqdm(wanted.items(), "ask the networks that ship", leave=False):
            store, contexts = data.stores[model.input_spec.transform], data.contexts_for(model.input_spec, leads)
            inputs = ((*store[i], contexts[i]) for i in chosen)
            answers = np.stack(list(predict(model, inputs, leads, model.input_spec)))
            with write_atomically(self._file(setting, name, leads, starts[name]), "wb") as file:
                np.save(file, answers)

    def _file(self, setting: Setting, name: str, leads: tuple[str, ...], start: Start) -> Path:
        """What a network said; other weights of it get a file of their own."""
        return setting.out / WORK_FOLDER / f"{self.name}-{name}-{lead_set_name(leads)}-{start.digest[:12]}.npy"

    def answer(self, setting: Setting, fold: Fold, workers: int) -> FoldAnswers:
        """See `Entrant.answer`."""
        cohort, starts = setting.cohort, self.networks()
        networks = list(starts)
        entry = {member.architecture for member in Manifest.read(SHIPPED).sets[0].members}
        together = [name for name in networks if name in entry] or networks
        targets = cohort.targets[fold.train]
        targets[:, np.isnan(targets).all(axis=0)] = 0
        by_row: dict[Row, Said] = {}
        for leads in self.config.lead_sets:
            p = {name: np.load(self._file(setting, name, leads, start)) for name, start in starts.items()}
            for model, names in (*((name, [name]) for name in networks), (ENSEMBLE, together)):
                about = {"part": "training part of the fold", "fold": fold.name}
                fitted = fit_ensemble([p[n][fold.train] for n in names], targets, cohort.labels[fold.train], about)
                joint = fitted.join([p[n][fold.test] for n in names])
                by_row[self.row(model, leads)] = Said(joint, fitted.rule(joint))
        return FoldAnswers(fold.test, by_row, 0)
