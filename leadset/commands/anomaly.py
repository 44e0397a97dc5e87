"""``leadset anomaly fit|score|localise``: detect and localise what is not normal.

Examples:
    leadset anomaly fit data detector --leads 12
    leadset anomaly score shipped data -o scores.csv
    leadset anomaly localise shipped data -o where --plot
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadset.anomaly.arrays import BENCHMARK, TEST, TRAIN, ArrayRecordings, has_arrays
from leadset.anomaly.masks import MASKINGS
from leadset.anomaly.score import MAPS, AnomalyScore
from leadset.classes import LabelSpace, label_space
from leadset.commands._data import add_chosen_folds, add_records, add_task, find_records, open_chosen
from leadset.commands.train import hours
from leadset.config import load_config, load_lead_names
from leadset.leads import LEADS, resolve_leads
from leadset.recordings import Recording
from leadset.recordings.dataset import DataSet
from leadset.recordings.names import distinct_names
from leadset.signals import join_flags
from leadset.training.steps.schedules import SCHEDULES
from leadset.training.tasks.restoration_settings import RestorationSettings
from leadset.utils.files import folder_to_write, write_atomically

if TYPE_CHECKING:
    from leadset.anomaly.detector import Detector
    from leadset.entry.detectors import DetectorFolder
    from leadset.models.cross_restoration import CrossRestoration

GROUP = "look at recordings and answers"

# What each task does, and an example.
_TASKS = {
    "fit": (
        "learn from the recordings whose only label is sinus rhythm", "leadset anomaly fit data detector --leads 12"
    ),
    "score": ("write a score with its parts for each recording", "leadset anomaly score shipped data -o scores.csv"),
    "localise": (
        "write where recordings are abnormal, as CSV and NPZ",
        "leadset anomaly localise shipped data -o where --plot",
    ),
}
_HELD_OUT_SHARE = 0.15
# The strongest heat: this many times the error that one in a hundred samples of normal recordings exceeds.
_DARKEST = 4.0
# Options for recordings with headers or a data set, not for arrays.
_OF_DATA_SETS = ("label_space", "task", "data_option", "fold")
_DATA_HELP = "folder of recordings, or one that holds {}; or a data set (ptbxl:FOLDER)"
_SPACE_HELP = "whose normal class is normal (default: that of a trained entry, else as configured)"
_MODEL_HELP = "folder that fit has written, a trained entry, or 'shipped' for the detector that ships"
_MAP_HELP = "how a sample differs from normal hearts, or from the recording's other heartbeats (default: deviation)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    tasks = parser.add_subparsers(dest="work", required=True, metavar="TASK")
    fit, score, localise = (
        tasks.add_parser(
            name, help=does, description=f"{does[:1].upper()}{does[1:]}.", epilog=f"examples:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, (does, example) in _TASKS.items()
    )  # fmt: skip
    _add_fit(fit)
    score.add_argument("model", type=Path, metavar="MODEL", help=_MODEL_HELP)
    score.add_argument("data", metavar="DATA", help=_DATA_HELP.format(f"{TEST} or {BENCHMARK}"))
    score.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                       help="CSV file, one row a recording")
    for task in (fit, score):
        task.add_argument("--label-space", metavar="NAME", help=_SPACE_HELP)
        add_task(task)
        add_chosen_folds(task)
    score.add_argument("--map", choices=MAPS, help=f"{_MAP_HELP}; localisation in {BENCHMARK} is measured by it")
    localise.add_argument("model", type=Path, metavar="MODEL", help=_MODEL_HELP)
    add_records(localise)
    localise.add_argument("-o", "--output", type=folder_to_write, default=Path(), metavar="FOLDER",
                          help="default: here")
    localise.add_argument("--plot", action="store_true", help="draw sheets NAME_anomaly.png as well")
    localise.add_argument("--map", choices=MAPS, default=MAPS[1], help=_MAP_HELP)


def _add_fit(fit: argparse.ArgumentParser) -> None:
    fit.add_argument("data", metavar="DATA", help=_DATA_HELP.format(TRAIN))
    fit.add_argument("model", type=folder_to_write, metavar="MODEL",
                     help="folder to write; an interrupted run in it goes on")
    fit.add_argument("--leads", default="12", metavar="SET", help="a lead set's size or names (default: %(default)s)")
    fit.add_argument("--width", type=int, default=32, metavar="N",
                     help="of the first layer (default: %(default)s, as published)")
    fit.add_argument("--log-variance", default="wide", metavar="NAME",
                     help="range of the variance that it may expect: wide or published (default: %(default)s)")
    fit.add_argument(
        "--attributes", action="store_true",
        help="learn age, sex, heart rate and intervals of the normal recordings too, and classes of all with a header",
    )  # fmt: skip
    fit.add_argument("--start", type=Path, metavar="MODEL", help=f"learn on from its weights ({_MODEL_HELP})")
    fit.add_argument("--cache", type=folder_to_write, metavar="FOLDER", help="to keep prepared recordings in")
    defaults, default = RestorationSettings(), "(default: %(default)s)"
    fit.add_argument("--masking", choices=MASKINGS, default=defaults.masking,
                     help=f"what is hidden of a recording while it is restored {default}")
    fit.add_argument("--schedule", choices=SCHEDULES, default=defaults.schedule,
                     help=f"of the learning rate {default}")
    fit.add_argument(
        "--time-limit", type=hours, default=0.0, metavar="HOURS",
        help="of the steps; 30m and 90s are minutes and seconds (default: none)",
    )  # fmt: skip
    for name, value, metavar, text in (
        ("batch-size", defaults.batch_size, "N", "recordings per step"),
        ("lr", defaults.learning_rate, "RATE", "peak learning rate"),
        ("seed", defaults.seed, "N", "of weights, batches and masks"),
    ):
        fit.add_argument(f"--{name}", type=type(value), default=value, metavar=metavar, help=f"{text} {default}")
    length = fit.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=int, default=defaults.epochs, metavar="N", help=f"passes over the recordings {default}"
    )
    length.add_argument("--steps", type=int, default=defaults.steps, metavar="N", help="instead of passes")


def run(arguments: argparse.Namespace) -> int:
    """Runs one of the tasks; returns the exit status."""
    return {"fit": _fit, "score": _score, "localise": _localise}[arguments.work](arguments)


def _space_of(data: DataSet | None, named: str | None) -> LabelSpace:
    """The label space of that name, that of the data set, or the configured one."""
    if named is None and data is not None and data.label_space is not None:
        return data.label_space
    return label_space(named or load_config().label_space)


# --- fit -------------------------------------------------------------------------------------------------------------


def _fit(arguments: argparse.Namespace) -> int:
    from leadset.anomaly.attributes import targets_of
    from leadset.anomaly.detector import TRANSFORM
    from leadset.store.groups import patient_groups
    from leadset.store.packed import build_store
    from leadset.training.detector import all_r_peaks, fit_detector, untrained_model
    from leadset.training.normals import FEWEST, hold_out, plain_sinus_rhythm

    folder = Path(arguments.data)
    chosen = ("masking", "epochs", "steps", "batch_size", "schedule", "seed")
    settings = RestorationSettings(
        **{name: getattr(arguments, name) for name in chosen},
        learning_rate=arguments.lr, minutes=60 * arguments.time_limit,
    )  # fmt: skip
    data = None if has_arrays(folder) else open_chosen(arguments)
    if data is None:
        _refuse_for_arrays(arguments, "attributes", "cache", *_OF_DATA_SETS)
    options = {"width": arguments.width, "log_variance": arguments.log_variance, "attributes": arguments.attributes}
    space = _space_of(data, arguments.label_space)
    if arguments.attributes:
        options["classes"] = len(space)
    model = untrained_model(resolve_leads(arguments.leads), settings.seed, **options)
    if arguments.start is not None:
        _start_from(arguments.start, model)
    targets, cache = None, arguments.cache or arguments.model / "store"
    if data is None:
        recordings = ArrayRecordings(folder / TRAIN)
        order = np.random.default_rng(settings.seed).permutation(len(recordings))
        held_out, train = np.split(order, [round(_HELD_OUT_SHARE * len(order)) if len(order) >= FEWEST else 0])
    else:
        names = load_lead_names(arguments.call.folder)
        recordings = build_store(data.paths, TRANSFORM, cache, lead_names=names, read=data.read).described(data)
        for failure in recordings.failures:
            print(f"skipped {failure.path}: {failure.message}", file=sys.stderr)
        normal = plain_sinus_rhythm(recordings, space)
        groups = patient_groups(recordings, data.folder, workers=-1)
        train, held_out = hold_out(recordings, normal, groups, _HELD_OUT_SHARE, settings.seed)
        print(f"{len(recordings)} recordings, of which {len(normal)} with sinus rhythm as their only label")
        if arguments.attributes:
            labelled = np.setdiff1d(np.arange(len(recordings)), held_out)
            r_peaks = all_r_peaks(recordings, model.leads, labelled)
            targets = targets_of(recordings, model.leads, train, r_peaks, space)
    detector = fit_detector(
        recordings, train, held_out, model, arguments.model, settings=settings, targets=targets
    )  # fmt: skip
    if arguments.cache is None:
        shutil.rmtree(cache, ignore_errors=True)
    done, loss = detector.training["steps"], detector.training["train_loss"]
    print(f"trained {done} steps on {len(train)} recordings, loss {loss}; reference: {detector.reference.part}")
    return 0


def _refuse_for_arrays(arguments: argparse.Namespace, *options: str) -> None:
    """Raises a ValueError where an option was given that would do nothing with arrays."""
    for option in options:
        if getattr(arguments, option):
            name = option.replace("_", "-")
            raise ValueError(f"{arguments.data}: --{name} is for recordings with headers, found arrays without")


def _start_from(folder: Path, model: CrossRestoration) -> None:
    """Gives a model the weights of a detector to go on from.

    Raises:
        ValueError: it has other leads, or is another network.
    """
    from leadset.entry.detectors import DetectorFolder
    from leadset.utils.weights import check_weights

    start = DetectorFolder(folder).for_leads(model.leads).model
    if start.leads != model.leads:
        raise ValueError(f"{folder}: weights for {', '.join(start.leads)}, expected {', '.join(model.leads)}")
    try:
        check_weights(start.state_dict(), model.state_dict(), str(folder))
    except ValueError as error:
        raise ValueError(f"{error}; the weights to start from do not fit a network with {model.options}") from None
    model.load_state_dict(start.state_dict())


# --- score -----------------------------------------------------------------------------------------------------------


def _score(arguments: argparse.Namespace) -> int:
    from leadset.commands._anomaly_scores import Table, score_arrays, score_folder
    from leadset.entry.detectors import DetectorFolder

    folder = Path(arguments.data)
    if arguments.map is not None and not (folder / BENCHMARK).is_file():
        raise ValueError(f"{folder}: --map says what localisation is measured by, expected {BENCHMARK} in it")
    detectors = DetectorFolder(arguments.model)
    data = None if has_arrays(folder) else open_chosen(arguments)
    if data is None:
        _refuse_for_arrays(arguments, *_OF_DATA_SETS)
    failed = 0
    with write_atomically(arguments.output) as file:
        table = Table(file, detectors)
        if data is None:
            score_arrays(detectors.for_leads(LEADS), folder, arguments.map or MAPS[1], table)
        else:
            of_entry = detectors.space if arguments.label_space is None and data.label_space is None else None
            space = of_entry or _space_of(data, arguments.label_space)
            names = {**detectors.lead_names, **load_lead_names(arguments.call.folder)}
            failed = score_folder(detectors, data, table, space, names)
    return 1 if failed else 0


# --- localise --------------------------------------------------------------------------------------------------------


def _localise(arguments: argparse.Namespace) -> int:
    from leadset.entry.detectors import DetectorFolder

    detectors = DetectorFolder(arguments.model)
    lead_names = {**detectors.lead_names, **load_lead_names(arguments.call.folder)}
    records = find_records(arguments.records, arguments)
    failed = 0
    for path, name in zip(records.paths, distinct_names(records.paths), strict=True):
        try:
            _localise_one(detectors, records.read(path, lead_names), name, arguments)
        except (OSError, ValueError) as error:
            failed += 1
            print(f"{arguments.call.name}: {error}", file=sys.stderr)
    return 1 if failed else 0


def _localise_one(detectors: DetectorFolder, recording: Recording, name: str, arguments: argparse.Namespace) -> None:
    from leadset.anomaly.detector import TRANSFORM

    detector = detectors.for_leads(recording.leads)
    if arguments.plot and detector.reference is None:
        raise ValueError(f"{arguments.model}: --plot draws in units of normal recordings, {detector.no_reference}")
    score = detector.score(recording.signal, recording.fs, recording.leads)
    # A name may hold a dot: what follows it is no suffix to be replaced.
    target = {kind: arguments.output / f"{name}.{kind}" for kind in ("npz", "csv")}
    rate = TRANSFORM.rate
    with write_atomically(target["npz"], "wb") as file:
        np.savez_compressed(
            file, map=score.map, deviation=score.deviation, rate=rate, leads=np.array(detector.leads),
            r_peaks=score.r_peaks, score=score.score, peak=score.peak,
        )  # fmt: skip
    with write_atomically(target["csv"]) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["seconds", *detector.leads])
        for sample, errors in enumerate(getattr(score, arguments.map).T):
            values = ["" if np.isnan(error) else f"{error:.6g}" for error in errors]
            table.writerow([f"{sample / rate:.3f}", *values])
    if arguments.plot:
        _draw(detector, recording, score, arguments.map, arguments.output / f"{name}_anomaly.png")
    ranks = f"score {score.score:.4g}, peak {score.peak:.4g}"
    flags = f"; flags: {join_flags(score.flags)}" if score.flags else ""
    print(f"{name}: {ranks}, {_compared(detector, score)}{flags}")


def _compared(detector: Detector, score: AnomalyScore) -> str:
    """What share of normal recordings score and peak are above."""
    if detector.reference is None:
        return f"not compared with normal recordings: {detector.no_reference}"
    ranks = (detector.reference.percentile(name, getattr(score, name)) for name in ("score", "peak"))
    return "above {:.0f} and {:.0f} % of normal recordings".format(*ranks)


def _draw(detector: Detector, recording: Recording, score: AnomalyScore, which: str, target: Path) -> None:
    """The sheet, with heat behind the leads that recording and detector share."""
    from leadset.anomaly.detector import TRANSFORM
    from leadset.plots import SignalMap, draw_measured_sheet, save_sheet

    shared = [lead for lead in detector.leads if lead in recording.leads]
    own = [detector.leads.index(lead) for lead in shared]
    full = _DARKEST * detector.known_reference.high[which][own]
    label = f"{_DARKEST:g} times the 99th percentile of normal errors"
    heat = SignalMap(getattr(score, which)[own], TRANSFORM.rate, shared, full, label)
    save_sheet(draw_measured_sheet(recording, show_marks=False, heat=heat), target)
