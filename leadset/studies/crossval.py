"""Cross-validation: entrants learn from the training part of each fold and answer its test part.

What is done stays done: a fold that was answered is not repeated, and one that was interrupted goes on where the
training's own state left it. `leadset.studies.answers` reads what is written here.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import leadset
from leadset.classes import label_space
from leadset.config import Config, load_config
from leadset.preprocess import Transform
from leadset.recordings.dataset import DataSet
from leadset.recordings.importers import open_dataset
from leadset.studies.answers import file_of, missing, without_seed
from leadset.studies.entrants import Entrant, Setting, store_in, with_seeds
from leadset.studies.protocols import Cohort, Fold, Protocol
from leadset.training.data import (
    REASONS,
    Preparation,
    Split,
    TrainingData,
    in_label_space_of,
    load_training_data,
)
from leadset.utils.files import write_atomically
from leadset.utils.workers import available_cores, worker_pool

ABOUT_FILE, FOLDS_FILE, DROPPED_FILE = "crossval.json", "folds.csv", "dropped.csv"
# What recordings of one patient are found by, and the labels read from: the transform of most networks that ship.
_TRANSFORM = Transform(rate=100)


class CrossValidation(NamedTuple):
    """What is divided, and how."""

    setting: Setting
    folds: tuple[Fold, ...]


def cross_validate(
    data: str | Path | DataSet,
    out: str | Path,
    protocol: Protocol,
    entrants: Sequence[Entrant],
    processes: int | None = None,
    seeds: Sequence[int] = (),
) -> None:
    """Runs a cross-validation, or goes on with one; results of other entrants in the same folder stay.

    Args:
        data: recordings with labels: a folder, or what `open_dataset` takes or returns. One with a label space of its
            own is answered in that one.
        out: where results go.
        protocol: how recordings are divided.
        entrants: who takes part; their configurations agree in label space and seed.
        processes: folds at a time; by default one per core, one on a GPU.
        seeds: entrants are trained with each of them, in the same folds; by default with the seed that they have.

    Raises:
        OSError: no such data folder, or results cannot be written.
        ValueError: nothing to divide, an entrant that cannot take part, or the folder holds a cross-validation of other
            data, another protocol, or an entrant of the same name that is another one.
    """
    data = open_dataset(data)
    for entrant in entrants:
        entrant.check(data.label_space or label_space(entrant.config.label_space))
    Path(out).mkdir(parents=True, exist_ok=True)
    entrants = [replace(one, config=in_label_space_of(data, one.config, Path(out))) for one in entrants]
    setting, folds = plan(data, Path(out), protocol, entrants[0].config)
    names = [fold.name for fold in folds]
    entrants = with_seeds(entrants, seeds or [entrants[0].config.seed])
    for entrant in entrants:
        _claim_entrant(entrant, Path(out))
    todo = [
        (entrant, fold) for entrant in entrants for fold in folds
        if fold.name in missing(setting.out, names, entrant.name)
    ]  # fmt: skip
    for entrant in {entrant.name: entrant for entrant, _ in todo}.values():
        entrant.prepare(setting)
    _run(setting, todo, processes)


def _run(setting: Setting, todo: Sequence[tuple[Entrant, Fold]], processes: int | None) -> None:
    """Answers what is to be answered, several at a time."""
    import torch

    one = processes is None and torch.cuda.is_available()
    processes = available_cores() if processes is None else processes
    at_a_time = 1 if one else max(1, min(processes, len(todo)))
    workers, waiting, running = max(1, processes // at_a_time), list(todo), set()
    with worker_pool(at_a_time) as pool, tqdm(total=len(todo), desc="folds", unit="fold") as bar:
        while waiting or running:
            while waiting and len(running) < at_a_time:
                running.add(pool.submit(_answer, *waiting.pop(0), setting, workers))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                bar.set_postfix(done=future.result())
                bar.update()


def _answer(entrant: Entrant, fold: Fold, setting: Setting, workers: int) -> str:
    entrant.answer(setting, fold, workers).write(file_of(setting.out, fold.name, entrant.name))
    return f"{entrant.name}-{fold.name}"


# --- the plan ----------------------------------------------------------------------------------------------------


def plan(data: DataSet, out: Path, protocol: Protocol, config: Config) -> CrossValidation:
    """Divides the recordings and writes how, or finds that it is what was divided before; see `cross_validate`."""
    space = label_space(config.label_space)
    preparation = Preparation([_TRANSFORM], store_in(out), workers=config.workers, lead_names=config.leads)
    loaded = load_training_data(data, space, preparation, Split(config.validation_share, config.seed))
    setting = Setting(data, out, _cohort(loaded, data), space)
    folds = protocol.divide(setting.cohort)
    about = {
        "protocol": {"name": protocol.name, **asdict(protocol)},
        "label_space": space.copy_to(out),
        "data": {"name": _name(data), "fingerprint": loaded.fingerprint, "recordings": len(setting.cohort)},
        "versions": _versions(),
    }
    _claim(out / ABOUT_FILE, about, "a cross-validation", ignored=("versions",))
    _write_folds(out / FOLDS_FILE, setting, folds)
    _write_dropped(out / DROPPED_FILE, loaded)
    counts = ", ".join(f"{len(fold.test)} ({fold.name})" for fold in folds)
    print(f"{protocol.title}: {len(setting.cohort)} recordings, tested on {counts}")
    for fold in folds:
        if len(fold.related):
            print(f"  fold {fold.name}: {len(fold.related)} recordings of patients who are tested on are left out")
    return CrossValidation(setting, folds)


def _versions() -> dict[str, str]:
    import torch

    return {"leadset": leadset.__version__, "torch": torch.__version__, "numpy": np.__version__}


def _name(data: DataSet) -> str:
    """Its importer and the name of its folder."""
    return f"{data.name}:{data.folder.name}" if data.name else data.folder.name


def _cohort(loaded: TrainingData, data: DataSet) -> Cohort:
    """The recordings with a diagnosis."""
    chosen = np.flatnonzero(loaded.part >= 0)
    recordings = [loaded.first.recordings[i] for i in chosen]
    return Cohort(
        tuple(recording.path for recording in recordings),
        tuple(recording.codes for recording in recordings),
        loaded.labels[chosen],
        loaded.targets[chosen],
        np.array([recording.source for recording in recordings]),
        loaded.groups[chosen],
        np.array([data.by_path[recording.path].fold for recording in recordings]),
    )


def _claim(
    path: Path, values: dict[str, Any], what: str, ignored: Sequence[str] = (), instead: str = "another folder"
) -> None:
    """Writes what a folder is for, or checks that it is for that.

    Raises:
        ValueError: it is for something else.
    """
    values = json.loads(json.dumps(values))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        with write_atomically(path) as file:
            json.dump(values, file, indent=1)
        return
    except ValueError as error:
        raise ValueError(f"{path}: found no JSON ({error}), expected what {what} is") from None
    for key in values.keys() - set(ignored):
        if found.get(key) != values[key]:
            one, other = _first_difference(found.get(key), values[key], key)
            raise ValueError(f"{path}: found {what} with {one}, expected {other}; give it {instead}")


def _claim_entrant(entrant: Entrant, out: Path) -> None:
    """Writes who takes part, or checks that it is who took part; runs with other seeds differ by the seed alone.

    Raises:
        ValueError: another one has the name.
    """
    own = out / f"{entrant.name}.json"
    runs = {path for path in out.glob("*.json") if without_seed(path.stem) == without_seed(entrant.name)}
    for path in [*sorted(runs - {own}), own]:
        values = entrant.provenance()
        if path != own:
            values["configuration"]["seed"] = _configuration(path).get("seed")
        _claim(path, {"name": path.stem, **_as_it_was(path, values)}, "an entrant",
               instead="another --name, or another folder")  # fmt: skip


def _as_it_was(path: Path, provenance: dict[str, Any]) -> dict[str, Any]:
    """What an entrant is, as far as the version that wrote its file could say it.

    A choice that there was not yet changes nothing at its default, and makes another entrant at any other value. One
    that there is no longer stays as it was.
    """
    known = _configuration(path)
    if not known:
        return provenance  # nothing there yet, or `_claim` says what is wrong
    defaults = json.loads(json.dumps(load_config(folder=None).provenance()["values"]))
    chosen = json.loads(json.dumps(provenance["configuration"]))
    kept = {key: value for key, value in chosen.items() if key in known or value != defaults[key]}
    return {**provenance, "configuration": kept | {key: known[key] for key in known.keys() - chosen.keys()}}


def _configuration(path: Path) -> dict[str, Any]:
    """The choices in the file of an entrant; none where there is no such file, or a damaged one."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["configuration"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _first_difference(found: Any, wanted: Any, key: str) -> tuple[str, str]:
    """The innermost values that differ, each as text with its key."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in sorted(found.keys() | wanted.keys()):
            if found.get(name) != wanted.get(name):
                return _first_difference(found.get(name), wanted.get(name), f"{key}.{name}")
    return f"{key} = {found!r}", f"{key} = {wanted!r}"


def _write_folds(path: Path, setting: Setting, folds: Sequence[Fold]) -> None:
    """One line a recording: source, group, the fold that tests on it, and the codes of its diagnoses."""
    cohort = setting.cohort
    tested = {int(i): fold.name for fold in folds for i in fold.test}
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "source", "group", "fold", "codes"])
        for i, name in enumerate(cohort.paths):
            shown = Path(name)
            shown = shown.relative_to(setting.data.folder) if shown.is_relative_to(setting.data.folder) else shown
            codes = ",".join(cohort.codes[i])
            writer.writerow([shown.as_posix(), cohort.sources[i], cohort.groups[i], tested.get(i, ""), codes])


def _write_dropped(path: Path, data: TrainingData) -> None:
    """The recordings that take no part, and why."""
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "reason"])
        for i in np.flatnonzero(data.part < 0):
            writer.writerow([data.first.recordings[i].name, REASONS[int(data.part[i])]])
        for failure in data.failures:
            writer.writerow([Path(failure.path).stem, failure.message])
        writer.writerows(data.left_out)
