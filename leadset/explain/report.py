"""Explanations as files: a table by class, lead and wave; the maps; shares and what else there is to know."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from leadset.explain.explanation import ALL, METHODS, ClassExplanation, Explanation
from leadset.explain.segments import WAVES
from leadset.signals import explain_flag
from leadset.utils.files import write_atomically

#: Columns of the table: ``attribution`` is the sum of the map in log odds, ``share`` that of its absolute values, and
#: ``even`` the share that an even map would have; ``without`` by how much the log odds fall without the part.
CSV_COLUMNS: tuple[str, ...] = (
    "recording", "class", "lead", "wave", "attribution", "share", "even", "without",
)  # fmt: skip


def csv_rows(explanation: Explanation, name: str) -> Iterator[tuple]:
    """Rows of every class: each wave of each lead, all waves of each lead, each wave of all leads, each extra input."""
    times = explanation.segments.time_shares()
    for one in explanation.classes:
        sums, shares = one.sums(explanation.segments), one.shares(explanation.segments)
        for i, lead in enumerate(explanation.leads):
            for j, wave in enumerate(WAVES):
                yield _row(name, one, lead, wave, sums[i, j], shares[i, j], times[j] / len(shares))
            yield _row(name, one, lead, ALL, sums[i].sum(), shares[i].sum(), 1 / len(shares))
        for j, wave in enumerate(WAVES):
            yield _row(name, one, ALL, wave, sums[:, j].sum(), shares[:, j].sum(), times[j])
        for feature, value in one.extra.items():
            yield name, one.name, "", feature, f"{value:.6f}", "", "", ""


def _row(name: str, one: ClassExplanation, lead: str, wave: str, total: float, share: float, time: float) -> tuple:
    without = one.without.get((lead, wave))
    numbers = (f"{value:.6f}" for value in (total, share, time))
    return name, one.name, lead, wave, *numbers, "" if without is None else f"{without:.6f}"


def plain_explanation(explanation: Explanation, name: str) -> dict[str, Any]:
    """An explanation without its maps, as plain values."""
    amplitude = _amplitudes(explanation)
    return {
        "recording": name,
        "method": METHODS[explanation.method],
        "leads": list(explanation.leads),
        "waves": list(WAVES),
        "stretches": [list(limits) for limits in explanation.stretches.limits],
        "time_shares": _rounded(explanation.segments.time_shares()),
        "rms_mv": _rounded(amplitude),
        "classes": {
            one.name: {
                "probability": round(one.probability, 6),
                "decided": one.decided,
                "log_odds": round(one.log_odds, 6),
                "baseline_log_odds": _number(one.baseline),
                "completeness_error": _number(one.completeness_error),
                "nodes": one.nodes,
                "steps": {step: round(value, 6) for step, value in one.steps.items()},
                "attribution": _rounded(one.sums(explanation.segments)),
                "share": _rounded(one.shares(explanation.segments)),
                "extra": {feature: round(value, 6) for feature, value in one.extra.items()},
                "without": {" ".join(part): round(value, 6) for part, value in one.without.items()},
            }
            for one in explanation.classes
        },
        "flags": [explain_flag(flag) for flag in explanation.answer.flags],
        "notes": list(explanation.notes),
        "provenance": explanation.provenance,
        "seconds": round(explanation.seconds, 2),
    }


def write_tables(explanation: Explanation, name: str, folder: Path) -> None:
    """Writes ``NAME.csv`` and ``NAME.npz``."""
    with write_atomically(folder / f"{name}.csv") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(CSV_COLUMNS)
        table.writerows(csv_rows(explanation, name))
    with write_atomically(folder / f"{name}.npz", "wb") as file:
        np.savez_compressed(
            file,
            maps=np.stack([one.map for one in explanation.classes]).astype(np.float32),
            classes=np.array([one.name for one in explanation.classes]),
            leads=np.array(explanation.leads),
            rate=np.array(float(explanation.rate)),
            wave=explanation.segments.wave,
            beat=explanation.segments.beat,
            waves=np.array(WAVES),
            seen=explanation.seen,
            stretches=np.array(explanation.stretches.limits),
        )


def write_json(values: dict[str, Any], path: Path) -> None:
    """Writes plain values."""
    with write_atomically(path) as file:
        json.dump(values, file, indent=1)


def _amplitudes(explanation: Explanation) -> np.ndarray:
    """(l, waves) root mean square in mV of the recording in each lead and wave, around the lead's mean; NaN: none."""
    recording, segments = explanation.recording, explanation.segments
    parts = explanation.stretches.slices(explanation.rate, explanation.samples)
    at = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    at = at * recording.signal.shape[1] // explanation.samples
    amplitude = np.full((len(explanation.leads), len(WAVES)), np.nan)
    for i, lead in enumerate(explanation.leads):
        if lead in recording.leads:
            signal = np.nan_to_num(recording.signal[recording.leads.index(lead), at])
            squares = np.bincount(segments.wave, (signal - signal.mean()) ** 2, minlength=len(WAVES))
            counts = np.bincount(segments.wave, minlength=len(WAVES))
            amplitude[i] = np.sqrt(np.divide(squares, counts, out=np.full(len(WAVES), np.nan), where=counts > 0))
    return amplitude


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _rounded(values: np.ndarray) -> list:
    if values.ndim > 1:
        return [_rounded(row) for row in values]
    return [_number(value) for value in values]
