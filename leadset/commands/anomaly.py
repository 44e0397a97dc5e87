"""``leadset anomaly fit|score|localise``: detecting and localising what is not normal."""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from leadset.anomaly.arrays import (
    BENCHMARK,
    BENCHMARK_LABELS,
    TEST,
    TEST_LABELS,
    TRAIN,
    ArrayRecordings,
    has_arrays,
    read_labels,
)
from leadset.anomaly.attributes import targets_of
from leadset.anomaly.detector import TRANSFORM, Detector
from leadset.anomaly.features import FAMILIES
from leadset.anomaly.masks import MASKINGS
from leadset.anomaly.metrics import detection_auc, dice, dice_threshold, localisation_auc
from leadset.anomaly.scores import MAPS, PARTS, AnomalyScore
from leadset.classes import LabelSpace, label_space
from leadset.commands._data import add_chosen_folds, add_task, open_chosen
from leadset.config import load_config, load_lead_names
from leadset.entry.detectors import SHIPPED, DetectorFolder
from leadset.leads import LEADS, lead_set_name, resolve_leads
from leadset.models.cross_restoration import ATTRIBUTES, LOG_VARIANCE_RANGES, CrossRestoration
from leadset.models.prediction import lead_rows
from leadset.plots import SignalMap, draw_measured_sheet, save_sheet
from leadset.recordings import ReadError, Recording, read_recording
from leadset.recordings.dataset import DataSet
from leadset.store.groups import patient_groups
from leadset.store.packed import build_store
from leadset.training.detector import all_r_peaks, fit_detector, untrained_model
from leadset.training.normals import FEWEST, hold_out, plain_sinus_rhythm
from leadset.training.schedules import SCHEDULES
from leadset.training.tasks.restoration import RestorationSettings
from leadset.utils.files import write_atomically
from leadset.utils.weights import check_weights

# Share of benchmark recordings that choose the threshold of Dice and are not counted in it.
_VALIDATION_SHARE = 0.2
_HELD_OUT_SHARE = 0.15
# The strongest heat: this many times the error that one in a hundred samples of normal recordings exceeds.
_DARKEST = 4.0
# Options for recordings with headers or a data set, not for arrays.
_OF_DATA_SETS = ("label_space", "task", "data_option", "fold")
# What a score has of each lead.
_LEAD_PARTS = ("record", "beat")
_SPACE_HELP = "whose normal class is normal (default: that of a trained entry, else as configured)"
_MODEL_HELP = f"folder that fit has written, a trained entry, or '{SHIPPED}' for the detector that ships"
_MAP_HELP = "how a sample differs from normal hearts, or from the recording's other heartbeats (default: deviation)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    tasks = parser.add_subparsers(dest="work", required=True)
    fit = tasks.add_parser("fit", help="learn from the recordings whose only label is sinus rhythm")
    fit.add_argument("data", help=f"folder of recordings, or one that holds {TRAIN}; or a data set (ptbxl:FOLDER)")
    fit.add_argument("model", type=Path, help="folder to write; an interrupted run in it goes on")
    fit.add_argument("--leads", default="12", help="size of a lead set or names (default: %(default)s)")
    fit.add_argument("--width", type=int, default=32, help="of the first layer (default: %(default)s, as published)")
    fit.add_argument("--log-variance", choices=LOG_VARIANCE_RANGES, default="wide", help="its range")
    fit.add_argument(
        "--attributes", action="store_true",
        help="learn age, sex, rate and intervals of the normal recordings too, and classes of all with a header",
    )  # fmt: skip
    fit.add_argument("--start", type=Path, metavar="MODEL", help=f"learn on from its weights ({_MODEL_HELP})")
    fit.add_argument("--cache", type=Path, help="folder to keep prepared recordings in")
    defaults = RestorationSettings()
    fit.add_argument("--masking", choices=MASKINGS, default=defaults.masking, help="default: %(default)s")
    fit.add_argument("--schedule", choices=SCHEDULES, default=defaults.schedule, help="default: %(default)s")
    for name, text in (
        ("minutes", "time limit, 0 for none"), ("batch_size", "recordings per step"),
        ("learning_rate", "at its peak"), ("seed", "of weights, batches and masks"),
    ):  # fmt: skip
        value = getattr(defaults, name)
        option = f"--{name.replace('_', '-')}"
        fit.add_argument(option, type=type(value), default=value, help=f"{text} (default: {value})")
    length = fit.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=int, default=defaults.epochs, help="passes over the recordings (default: %(default)s)"
    )
    length.add_argument("--steps", type=int, default=defaults.steps, help="instead of passes")
    score = tasks.add_parser("score", help="a score with its parts for each recording")
    score.add_argument("model", type=Path, help=_MODEL_HELP)
    score.add_argument(
        "data", help=f"folder of recordings, or one that holds {TEST} or {BENCHMARK}; or a data set (ptbxl:FOLDER)"
    )
    score.add_argument("-o", "--output", type=Path, required=True, metavar="scores.csv")
    for task in (fit, score):
        task.add_argument("--label-space", metavar="NAME", help=_SPACE_HELP)
        add_task(task)
        add_chosen_folds(task)
    localise = tasks.add_parser("localise", help="where a recording is abnormal: CSV and NPZ, and a picture")
    localise.add_argument("model", type=Path, help=_MODEL_HELP)
    localise.add_argument("record", type=Path, help="header or signal file of a recording")
    localise.add_argument("-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="default: here")
    localise.add_argument("--plot", action="store_true", help="draw the sheet NAME_anomaly.png as well")
    score.add_argument("--map", choices=MAPS, help=f"{_MAP_HELP}; localisation in {BENCHMARK} is measured by it")
    localise.add_argument("--map", choices=MAPS, default=MAPS[1], help=_MAP_HELP)


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
    folder = Path(arguments.data)
    chosen = ("masking", "epochs", "steps", "minutes", "batch_size", "learning_rate", "schedule", "seed")
    settings = RestorationSettings(**{name: getattr(arguments, name) for name in chosen})
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
    folder = Path(arguments.data)
    if arguments.map is not None and not (folder / BENCHMARK).is_file():
        raise ValueError(f"{folder}: --map says what localisation is measured by, expected {BENCHMARK} in it")
    detectors = DetectorFolder(arguments.model)
    data = None if has_arrays(folder) else open_chosen(arguments)
    if data is None:
        _refuse_for_arrays(arguments, *_OF_DATA_SETS)
    failed = 0
    with write_atomically(arguments.output) as file:
        table = _Table(file, detectors)
        if data is None:
            _score_arrays(detectors.for_leads(LEADS), folder, arguments.map or MAPS[1], table)
        else:
            of_entry = detectors.space if arguments.label_space is None and data.label_space is None else None
            space = of_entry or _space_of(data, arguments.label_space)
            names = {**detectors.lead_names, **load_lead_names(arguments.call.folder)}
            failed = _score_folder(detectors, data, table, space, names)
    return 1 if failed else 0


def _percentile(name: str) -> Callable[[Detector, AnomalyScore], float]:
    return lambda detector, score: detector.known_reference.percentile(name, getattr(score, name))


def _family(name: str) -> Callable[[Detector, AnomalyScore], float]:
    return lambda detector, score: detector.deviations(score)[name]


def _part(name: str) -> Callable[[Detector, AnomalyScore], float]:
    return lambda _, score: score.parts[name]


#: Numbers of a recording by their column; those of `_COMPARED` need a reference of normal recordings.
_COLUMNS: dict[str, Callable[[Detector, AnomalyScore], float]] = {
    "score": lambda _, score: score.score,
    "score_percentile": _percentile("score"),
    "peak": lambda _, score: score.peak,
    "peak_percentile": _percentile("peak"),
    "deviation": Detector.deviation_score,
    "deviation_lasting": Detector.lasting_deviation_score,
    **{f"deviation_{name}": _family(name) for name in FAMILIES},
    **{name: _part(name) for name in PARTS},
    "worst_beat": lambda _, score: score.worst_beat,
    "beat_sd": lambda _, score: score.beats.std(),
    "log_variance": lambda _, score: score.log_variance,
    "high_share": Detector.high_share,
}
_COMPARED = tuple(name for name in _COLUMNS if name.startswith("deviation") or name.endswith(("percentile", "share")))


class _Table:
    """A line for each recording; columns that its detector cannot fill stay empty, and stderr says so once."""

    def __init__(self, file: IO[str], detectors: DetectorFolder) -> None:
        by_lead = [f"{lead}_{part}" for part in _LEAD_PARTS for lead in detectors.leads]
        some = detectors.for_leads(detectors.leads)
        self._readings = (*ATTRIBUTES, *some.training["classes"]) if some.model.has_attributes else ()
        header = ("recording", "leads", *_COLUMNS, "beats", "flags", *by_lead, *self._readings)
        self._table = csv.DictWriter(file, header, lineterminator="\n")
        self._table.writeheader()
        self._without_reference: set[tuple[str, ...]] = set()

    def write(self, name: str, detector: Detector, score: AnomalyScore) -> None:
        """Adds a recording."""
        numbers = {column: value(detector, score) for column, value in _COLUMNS.items() if column not in _COMPARED}
        if detector.reference is not None:
            numbers |= {column: _COLUMNS[column](detector, score) for column in _COMPARED}
        elif detector.leads not in self._without_reference:
            self._without_reference.add(detector.leads)
            leads = lead_set_name(detector.leads)
            print(f"no percentiles and deviation scores on {leads} leads: {detector.no_reference}", file=sys.stderr)
        for part, errors in zip(_LEAD_PARTS, score.lead_errors, strict=True):
            numbers |= {f"{lead}_{part}": error for lead, error in zip(detector.leads, errors, strict=True)}
        if score.attributes is not None:
            numbers |= dict(zip(self._readings, [*score.attributes, *score.classes], strict=True))
        self._table.writerow({
            "recording": name, "leads": lead_set_name(detector.leads), "beats": len(score.beats),
            "flags": " ".join(score.flags), **{column: f"{number:.6g}" for column, number in numbers.items()},
        })  # fmt: skip


def _score_folder(
    detectors: DetectorFolder, data: DataSet, table: _Table, space: LabelSpace, lead_names: Mapping[str, str]
) -> int:
    """Scores recordings; the number of those that cannot be read, each with its reason on stderr."""
    abnormal, scored, failed = [], [], 0
    for path in tqdm(data.paths, desc="score", unit="rec", leave=False):
        try:
            recording = data.recording(path, lead_names)
            detector = detectors.for_leads(recording.leads)
            score = detector.score(recording.signal, recording.fs, recording.leads)
        except (ReadError, OSError, ValueError) as error:
            failed += 1
            print(f"skipped {path}: {error}", file=sys.stderr)
            continue
        table.write(recording.name, detector, score)
        if space.diagnoses(recording.codes):
            abnormal.append(not space.is_plain_normal(recording.codes))
            scored.append(_detected_by(detector, score))
    print(f"{len(scored)} labelled recordings scored, {failed} skipped")
    if len(set(abnormal)) == 2:
        print(f"detection AUC, sinus rhythm alone against the rest: {_detection(np.array(abnormal), scored)}")
    return failed


def _detected_by(detector: Detector, score: AnomalyScore) -> dict[str, float]:
    """What a recording may be detected by."""
    if detector.reference is None:
        return {"score": score.score}
    deviation, lasting = detector.deviation_score(score), detector.lasting_deviation_score(score)
    return {"deviation score": deviation, "lasting deviation score": lasting, "score": score.score}


def _detection(abnormal: np.ndarray, scored: Sequence[dict[str, float]]) -> str:
    """Detection AUC by each of the numbers that all recordings have, as text."""
    common = [name for name in scored[0] if all(name in numbers for numbers in scored)]
    return ", ".join(f"{detection_auc(abnormal, [s[name] for s in scored]):.4f} by {name}" for name in common)


def _score_arrays(detector: Detector, folder: Path, which: str, table: _Table) -> None:
    if (folder / TEST).is_file():
        labels = read_labels(folder / TEST_LABELS, len(ArrayRecordings(folder / TEST)))
        scored = [_detected_by(detector, score) for score in _scored_array(detector, folder / TEST, table)]
        print(f"detection AUC of {len(scored)} recordings: {_detection(labels == 1, scored)}")
    if (folder / BENCHMARK).is_file():
        maps = [getattr(score, which) for score in _scored_array(detector, folder / BENCHMARK, table)]
        labels = read_labels(folder / BENCHMARK_LABELS, len(maps))
        masks = [np.asarray(label).T[lead_rows(detector.leads)] == 1 for label in labels]
        print(f"localisation AUC: {localisation_auc(masks, maps):.4f} of {len(maps)} recordings")
        _print_dice(masks, maps)


def _scored_array(detector: Detector, path: Path, table: _Table) -> Iterator[AnomalyScore]:
    recordings = ArrayRecordings(path)
    for i, score in enumerate(detector.score_all(recordings, range(len(recordings)), path.stem)):
        table.write(f"{path.stem}-{i}", detector, score)
        yield score


def _print_dice(masks: list[np.ndarray], maps: list[np.ndarray]) -> None:
    order = np.random.default_rng(0).permutation(len(maps))
    chosen, tested = np.split(order, [max(1, round(_VALIDATION_SHARE * len(order)))])
    if not len(tested):
        return
    threshold = dice_threshold([masks[i] for i in chosen], [maps[i] for i in chosen])
    rest = [masks[i] for i in tested], [maps[i] for i in tested]
    print(
        f"Dice: {dice(*rest, threshold):.4f} of {len(tested)} recordings at the threshold of {len(chosen)} others "
        f"(at their own best threshold {dice(*rest, dice_threshold(*rest)):.4f})"
    )


# --- localise --------------------------------------------------------------------------------------------------------


def _localise(arguments: argparse.Namespace) -> int:
    detectors = DetectorFolder(arguments.model)
    names = {**detectors.lead_names, **load_lead_names(arguments.call.folder)}
    recording = read_recording(arguments.record, names)
    detector = detectors.for_leads(recording.leads)
    if arguments.plot and detector.reference is None:
        raise ValueError(f"{arguments.model}: --plot draws in units of normal recordings, {detector.no_reference}")
    score = detector.score(recording.signal, recording.fs, recording.leads)
    # A name may hold a dot: what follows it is no suffix to be replaced.
    target = {kind: arguments.output / f"{recording.name}.{kind}" for kind in ("npz", "csv")}
    rate = TRANSFORM.rate
    arguments.output.mkdir(parents=True, exist_ok=True)
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
        _draw(detector, recording, score, arguments.map, arguments.output / f"{recording.name}_anomaly.png")
    ranks = f"score {score.score:.4g}, peak {score.peak:.4g}"
    print(f"{recording.name}: {ranks}, {_compared(detector, score)}", *score.flags)
    return 0


def _compared(detector: Detector, score: AnomalyScore) -> str:
    """What share of normal recordings score and peak are above."""
    if detector.reference is None:
        return f"not compared with normal recordings: {detector.no_reference}"
    ranks = (detector.reference.percentile(name, getattr(score, name)) for name in ("score", "peak"))
    return "above {:.0f} and {:.0f} % of normal recordings".format(*ranks)


def _draw(detector: Detector, recording: Recording, score: AnomalyScore, which: str, target: Path) -> None:
    """The sheet, with heat behind the leads that recording and detector share."""
    shared = [lead for lead in detector.leads if lead in recording.leads]
    own = [detector.leads.index(lead) for lead in shared]
    full = _DARKEST * detector.known_reference.high[which][own]
    label = f"{_DARKEST:g} times the 99th percentile of normal errors"
    heat = SignalMap(getattr(score, which)[own], TRANSFORM.rate, shared, full, label)
    save_sheet(draw_measured_sheet(recording, show_marks=False, heat=heat), target)
