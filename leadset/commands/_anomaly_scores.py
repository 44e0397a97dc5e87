"""What `leadset anomaly score` writes: a line for each recording, and how well scores detect and localise anomalies."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from leadset.anomaly.arrays import BENCHMARK, BENCHMARK_LABELS, TEST, TEST_LABELS, ArrayRecordings, read_labels
from leadset.anomaly.detector import Detector
from leadset.anomaly.features import FAMILIES
from leadset.anomaly.metrics import detection_auc, dice, dice_threshold, localisation_auc
from leadset.anomaly.score import PARTS, AnomalyScore
from leadset.classes import LabelSpace
from leadset.entry.detectors import DetectorFolder
from leadset.leads import lead_set_name
from leadset.models.cross_restoration import ATTRIBUTES
from leadset.models.prediction import lead_rows
from leadset.recordings import ReadError
from leadset.recordings.dataset import DataSet

# Share of benchmark recordings that choose the threshold of Dice and are not counted in it.
_VALIDATION_SHARE = 0.2
# What a score has of each lead.
_LEAD_PARTS = ("record", "beat")


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


class Table:
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


def score_folder(
    detectors: DetectorFolder, data: DataSet, table: Table, space: LabelSpace, lead_names: Mapping[str, str]
) -> int:
    """Scores recordings and prints how well the scores detect what is abnormal.

    Args:
        detectors: by lead set.
        data: the recordings.
        table: gets a line for each of them.
        space: says which labels are normal.
        lead_names: what names of leads stand for.

    Returns:
        The number of recordings that cannot be read, each with its reason on standard error.
    """
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


def score_arrays(detector: Detector, folder: Path, which: str, table: Table) -> None:
    """Scores recordings kept as arrays and prints how well anomalies are detected and localised.

    Args:
        detector: of all twelve leads.
        folder: holds the arrays and their labels (`leadset.anomaly.arrays`).
        which: of `MAPS`: the map that localisation is measured by.
        table: gets a line for each of them.
    """
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


def _scored_array(detector: Detector, path: Path, table: Table) -> Iterator[AnomalyScore]:
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
