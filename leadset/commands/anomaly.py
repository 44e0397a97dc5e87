"""``leadset anomaly fit|score|localise``: detecting and localising what is not normal."""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

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
from leadset.config import load_config
from leadset.leads import resolve_leads
from leadset.models.cross_restoration import ATTRIBUTES, LOG_VARIANCE_RANGES
from leadset.models.prediction import lead_rows
from leadset.plots.anomaly import plot_map
from leadset.recordings import ReadError, Recording, find_recordings, read_recording
from leadset.training.detector import all_r_peaks, fit_detector
from leadset.training.normals import FEWEST, hold_out, plain_sinus_rhythm
from leadset.training.tasks.restoration_fit import SCHEDULES, FitSettings
from leadset.utils.files import write_atomically
from leadset.waves import delineate

# Share of benchmark recordings that choose the threshold of Dice and are not counted in it.
_VALIDATION_SHARE = 0.2
_HELD_OUT_SHARE = 0.15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    tasks = parser.add_subparsers(dest="task", required=True)
    fit = tasks.add_parser("fit", help="learn from the recordings whose only label is sinus rhythm")
    fit.add_argument("data", type=Path, help=f"folder of recordings, or one that holds {TRAIN}")
    fit.add_argument("model", type=Path, help="folder to write; an interrupted run in it goes on")
    fit.add_argument("--leads", default="12", help="size of a lead set or names (default: %(default)s)")
    fit.add_argument("--width", type=int, default=32, help="of the first layer (default: %(default)s, as published)")
    fit.add_argument("--log-variance", choices=LOG_VARIANCE_RANGES, default="wide", help="its range")
    fit.add_argument(
        "--attributes", action="store_true",
        help="learn age, sex, rate and intervals of the normal recordings too, and classes of all with a header",
    )  # fmt: skip
    fit.add_argument("--start", type=Path, metavar="MODEL", help="learn on from these weights instead of random ones")
    fit.add_argument("--cache", type=Path, help="folder to keep prepared recordings in")
    defaults = FitSettings()
    fit.add_argument("--masking", choices=MASKINGS, default=defaults.masking, help="default: %(default)s")
    fit.add_argument("--schedule", choices=SCHEDULES, default=defaults.schedule, help="default: %(default)s")
    for name, text in (
        ("epochs", "passes over the recordings"), ("steps", "instead of passes, 0 for none"),
        ("minutes", "time limit, 0 for none"), ("batch_size", "recordings per step"),
        ("learning_rate", "at its peak"), ("seed", "of weights, batches and masks"),
    ):  # fmt: skip
        value = getattr(defaults, name)
        option = f"--{name.replace('_', '-')}"
        fit.add_argument(option, type=type(value), default=value, help=f"{text} (default: {value})")
    score = tasks.add_parser("score", help="a score with its parts for each recording")
    score.add_argument("model", type=Path, help="folder that fit has written")
    score.add_argument("data", type=Path, help=f"folder of recordings, or one that holds {TEST} or {BENCHMARK}")
    score.add_argument("-o", "--output", type=Path, required=True, metavar="scores.csv")
    for task in (fit, score):
        task.add_argument("--label-space", metavar="NAME", help="whose normal class is normal (default: as configured)")
    localise = tasks.add_parser("localise", help="where a recording is abnormal: CSV and NPZ, and a picture")
    localise.add_argument("model", type=Path, help="folder that fit has written")
    localise.add_argument("record", type=Path, help="header or signal file of a recording")
    localise.add_argument("-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="default: here")
    localise.add_argument("--plot", action="store_true", help="draw NAME.png as well")
    for task in (score, localise):
        task.add_argument(
            "--map", choices=MAPS, default=MAPS[1],
            help="how a sample differs from normal hearts, or from the recording's other heartbeats (default)",
        )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Runs one of the tasks; returns the exit status."""
    return {"fit": _fit, "score": _score, "localise": _localise}[arguments.task](arguments)


# --- fit -------------------------------------------------------------------------------------------------------------


def _fit(arguments: argparse.Namespace) -> int:
    chosen = ("masking", "epochs", "steps", "minutes", "batch_size", "learning_rate", "schedule", "seed")
    settings = FitSettings(**{name: getattr(arguments, name) for name in chosen})
    leads = resolve_leads(arguments.leads)
    space = label_space(arguments.label_space or load_config().label_space)
    options = {"width": arguments.width, "log_variance": arguments.log_variance, "attributes": arguments.attributes}
    if arguments.attributes:
        options["classes"] = len(space)
    initial = None if arguments.start is None else _weights(arguments.start, leads)
    targets = None
    cache = arguments.cache or arguments.model / "store"
    if has_arrays(arguments.data):
        if arguments.attributes:
            raise ValueError(f"{arguments.data}: --attributes needs recordings with headers, found {TRAIN}")
        recordings = ArrayRecordings(arguments.data / TRAIN)
        order = np.random.default_rng(settings.seed).permutation(len(recordings))
        held_out, train = np.split(order, [round(_HELD_OUT_SHARE * len(order)) if len(order) >= FEWEST else 0])
    else:
        from leadset.store.groups import patient_groups
        from leadset.store.packed import build_store

        recordings = build_store(find_recordings(arguments.data), TRANSFORM, cache)
        for failure in recordings.failures:
            print(f"skipped {failure.path}: {failure.message}", file=sys.stderr)
        normal = plain_sinus_rhythm(recordings, space)
        groups = patient_groups(recordings, arguments.data, workers=-1)
        train, held_out = hold_out(recordings, normal, groups, _HELD_OUT_SHARE, settings.seed)
        print(f"{len(recordings)} recordings, of which {len(normal)} with sinus rhythm as their only label")
        if arguments.attributes:
            labelled = np.setdiff1d(np.arange(len(recordings)), held_out)
            targets = targets_of(recordings, leads, train, labelled, all_r_peaks(recordings, leads, labelled), space)
    detector = fit_detector(
        recordings, train, held_out, leads, arguments.model, settings, options, initial, targets=targets
    )
    if arguments.cache is None:
        shutil.rmtree(cache, ignore_errors=True)
    done, loss = detector.training["steps"], detector.training["loss"]
    print(f"trained {done} steps on {len(train)} recordings, loss {loss}; reference: {detector.reference.part}")
    return 0


def _weights(folder: Path, leads: tuple[str, ...]) -> dict[str, Tensor]:
    """Weights of a detector to go on from.

    Raises:
        ValueError: it has other leads.
    """
    model = Detector.load(folder).model
    if model.leads != leads:
        raise ValueError(f"{folder}: weights for {', '.join(model.leads)}, expected {', '.join(leads)}")
    return model.state_dict()


# --- score -----------------------------------------------------------------------------------------------------------


def _score(arguments: argparse.Namespace) -> int:
    detector = Detector.load(arguments.model)
    failed = 0
    with write_atomically(arguments.output) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_columns(detector))
        if has_arrays(arguments.data):
            _score_arrays(detector, arguments.data, arguments.map, table)
        else:
            space = label_space(arguments.label_space or load_config().label_space)
            failed = _score_folder(detector, arguments.data, table, space)
    return 1 if failed else 0


def _columns(detector: Detector) -> list[str]:
    by_lead = [f"{lead}_{part}" for part in ("record", "beat") for lead in detector.leads]
    return [
        "recording", "score", "score_percentile", "peak", "peak_percentile", "surprise",
        "surprise_lasting", *(f"surprise_{family}" for family in FAMILIES), *PARTS, "worst_beat",
        "beat_sd", "log_variance", "high_share", "beats", "flags", *by_lead, *_readings(detector),
    ]  # fmt: skip


def _readings(detector: Detector) -> tuple[str, ...]:
    return (*ATTRIBUTES, *detector.training["classes"]) if detector.model.has_attributes else ()


def _row(name: str, detector: Detector, found: AnomalyScore) -> list[str]:
    percentile = detector.reference.percentile
    numbers = [
        found.score, percentile("score", found.score), found.peak, percentile("peak", found.peak),
        detector.surprise(found), detector.lasting_surprise(found), *detector.surprises(found).values(),
        *(found.parts[part] for part in PARTS),
        found.worst_beat, found.beats.std(), found.log_variance, detector.high_share(found),
    ]  # fmt: skip
    more = [found.lead_errors.ravel()]
    if found.attributes is not None:
        more += [found.attributes, found.classes]
    last = (f"{value:.6g}" for value in np.concatenate(more))
    return [name, *(f"{n:.6g}" for n in numbers), str(len(found.beats)), " ".join(found.flags), *last]


def _score_folder(detector: Detector, folder: Path, table, space: LabelSpace) -> int:
    """Scores a folder's recordings; the number of those that cannot be read, each with its reason on stderr."""
    from tqdm import tqdm

    abnormal, scored, failed = [], [], 0
    for path in tqdm(find_recordings(folder), desc="score", unit="rec", leave=False):
        try:
            recording = read_recording(path)
            found = detector.score(recording.signal, recording.fs, recording.leads)
        except (ReadError, OSError, ValueError) as error:
            failed += 1
            print(f"skipped {path}: {error}", file=sys.stderr)
            continue
        table.writerow(_row(recording.name, detector, found))
        if space.diagnoses(recording.codes):
            abnormal.append(not space.is_plain_normal(recording.codes))
            scored.append(_detected_by(detector, found))
    print(f"{len(scored)} labelled recordings scored, {failed} skipped")
    if len(set(abnormal)) == 2:
        print(f"detection AUC, sinus rhythm alone against the rest: {_detection(np.array(abnormal), scored)}")
    return failed


def _detected_by(detector: Detector, found: AnomalyScore) -> dict[str, float]:
    """What a recording may be detected by."""
    lasting = detector.lasting_surprise(found)
    return {"surprise": detector.surprise(found), "lasting surprise": lasting, "score": found.score}


def _detection(abnormal: np.ndarray, scored: Sequence[dict[str, float]]) -> str:
    """Detection AUC by each of these numbers, as text."""
    return ", ".join(f"{detection_auc(abnormal, [s[name] for s in scored]):.4f} by {name}" for name in scored[0])


def _score_arrays(detector: Detector, folder: Path, which: str, table) -> None:
    if (folder / TEST).is_file():
        labels = read_labels(folder / TEST_LABELS, len(ArrayRecordings(folder / TEST)))
        scored = [_detected_by(detector, found) for found in _scored_array(detector, folder / TEST, table)]
        print(f"detection AUC of {len(scored)} recordings: {_detection(labels == 1, scored)}")
    if (folder / BENCHMARK).is_file():
        maps = [getattr(found, which) for found in _scored_array(detector, folder / BENCHMARK, table)]
        labels = read_labels(folder / BENCHMARK_LABELS, len(maps))
        masks = [np.asarray(label).T[lead_rows(detector.leads)] == 1 for label in labels]
        print(f"localisation AUC: {localisation_auc(masks, maps):.4f} of {len(maps)} recordings")
        _print_dice(masks, maps)


def _scored_array(detector: Detector, path: Path, table) -> Iterator[AnomalyScore]:
    recordings = ArrayRecordings(path)
    for i, found in enumerate(detector.score_all(recordings, range(len(recordings)), path.stem)):
        table.writerow(_row(f"{path.stem}-{i}", detector, found))
        yield found


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
    detector = Detector.load(arguments.model)
    recording = read_recording(arguments.record)
    found = detector.score(recording.signal, recording.fs, recording.leads)
    # A name may hold a dot: what follows it is no suffix to be replaced.
    target = {kind: arguments.output / f"{recording.name}.{kind}" for kind in ("npz", "csv", "png")}
    rate = TRANSFORM.rate
    arguments.output.mkdir(parents=True, exist_ok=True)
    with write_atomically(target["npz"], "wb") as file:
        np.savez_compressed(
            file, map=found.map, deviation=found.deviation, rate=rate, leads=np.array(detector.leads),
            r_peaks=found.r_peaks, score=found.score, peak=found.peak,
        )  # fmt: skip
    with write_atomically(target["csv"]) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["seconds", *detector.leads])
        for sample, errors in enumerate(getattr(found, arguments.map).T):
            values = ["" if np.isnan(error) else f"{error:.6g}" for error in errors]
            table.writerow([f"{sample / rate:.3f}", *values])
    if arguments.plot:
        _draw(detector, recording, found, arguments.map, target["png"])
    percentile, peak_percentile = (
        detector.reference.percentile(name, getattr(found, name)) for name in ("score", "peak")
    )
    print(f"{recording.name}: score {found.score:.4g}, peak {found.peak:.4g}, above", end=" ")
    print(f"{percentile:.0f} and {peak_percentile:.0f} % of normal recordings", *found.flags)
    return 0


def _draw(detector: Detector, recording: Recording, found: AnomalyScore, which: str, target: Path) -> None:
    """The leads that recording and detector share."""
    shared = [lead for lead in detector.leads if lead in recording.leads]
    rows = [recording.leads.index(lead) for lead in shared]
    own = [detector.leads.index(lead) for lead in shared]
    signal = recording.signal[rows]
    high = detector.reference.high[which][own]
    title = f"{recording.name}: score {found.score:.3g} {' '.join(found.flags)}"
    marks = delineate(signal, recording.fs)
    heat = getattr(found, which)[own]
    plot_map(signal, recording.fs, shared, heat, TRANSFORM.rate, high, marks, target, title)
