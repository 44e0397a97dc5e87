"""Altered and missing values in headers, and signals without an ECG, in test and in training recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle

import numpy as np
from scipy.io import loadmat

from leadset.stress.bench import Bench
from leadset.stress.recordings import HeaderText, copy_recording, write_counts
from leadset.stress.registry import register_check

Alter = Callable[[HeaderText], HeaderText]


def _comment(key: str, values: tuple[str | None, ...]) -> dict[str, Alter]:
    return {f"{key}{i}": lambda header, v=value: header.with_comment(key, v) for i, value in enumerate(values)}


def _field(number: int, values: tuple[str, ...]) -> dict[str, Alter]:
    return {
        f"field{number}n{i}": lambda header, v=value: header.with_signal_field(number, v)
        for i, value in enumerate(values)
    }


def _without_comments(header: HeaderText) -> HeaderText:
    return HeaderText(header.record, header.signals, ())


_AGES = _comment("Age", (None, "", "NaN", "Unknown", "-5", "0", "300", "1000000000", "inf", "sixty"))
_SEXES = _comment("Sex", (None, "", "M", "F", "Unknown", "X", "male and female"))
_DIAGNOSES = _comment("Dx", (None, "", "Unknown", "1234", "426783006,426783006,1", "sinus rhythm"))
_GAINS = _field(2, ("0/mV", "0.001/mV", "1000000000/mV", "-1000/mV", "200/mV", "nan/mV"))
_BASELINES = _field(4, ("1024", "-32768", "100000"))
_NO_COMMENTS = {"bare": _without_comments}


def _ask(bench: Bench, name: str, alterations: Mapping[str, Alter]) -> str:
    """Asks the base model about a recording for each alteration, in turn."""
    folder = bench.work / name
    for path, (word, alter) in zip(cycle(bench.few), alterations.items(), strict=False):
        copy_recording(path, folder, f"{path.stem}{word}", alter)
    bench.answer(bench.base_model, folder, name)
    return f"{len(alterations)} alterations"


@register_check("ages", "answers whatever the age: missing, no number, negative, beyond any life")
def ages(bench: Bench) -> str:
    """Non-physiological and missing ages."""
    return _ask(bench, "ages", _AGES)


@register_check("sexes", "answers whatever the sex: missing, abbreviated, unknown")
def sexes(bench: Bench) -> str:
    """Altered and missing sexes."""
    return _ask(bench, "sexes", _SEXES)


@register_check("diagnoses", "answers whatever diagnoses a test header holds: none, unknown codes, words")
def diagnoses(bench: Bench) -> str:
    """Altered and missing diagnoses."""
    return _ask(bench, "diagnoses", _DIAGNOSES)


@register_check("gains", "answers whatever the gain: zero, negative, a millionth or a million times as large")
def gains(bench: Bench) -> str:
    """Non-physiological gains."""
    return _ask(bench, "gains", _GAINS)


@register_check("baselines", "answers whatever the count that stands for zero")
def baselines(bench: Bench) -> str:
    """Altered zeros of the converter."""
    return _ask(bench, "baselines", _BASELINES)


@register_check("no_comments", "answers headers without age, sex, diagnoses and any other comment")
def no_comments(bench: Bench) -> str:
    """Headers of nothing but the record and its signals."""
    folder = bench.work / "no_comments"
    for path in bench.few:
        copy_recording(path, folder, alter=_without_comments)
    bench.answer(bench.base_model, folder, "no_comments")
    return ""


@register_check("no_signal", "answers recordings with a flat lead, without any signal, at the limits of the converter")
def no_signal(bench: Bench) -> str:
    """Signals that many scalings turn into NaN."""
    folder = bench.work / "no_signal"
    path = bench.few[0]
    counts = loadmat(path.with_suffix(".mat"))["val"]
    one_flat = counts.copy()
    one_flat[0] = 0
    limits = np.where(np.arange(counts.shape[1]) % 2, 32767, -32768).astype(counts.dtype)
    spoilt = {
        "oneflat": one_flat, "flat": np.zeros_like(counts), "constant": np.full_like(counts, 1000),
        "limits": np.tile(limits, (len(counts), 1)), "invalid": np.full_like(counts, -32768),
    }  # fmt: skip
    for name, values in spoilt.items():
        write_counts(copy_recording(path, folder, f"{path.stem}{name}"), values)
    bench.answer(bench.base_model, folder, "no_signal")
    return f"{len(spoilt)} signals"


@register_check("training_headers", "trains although every third training header is altered or incomplete")
def training_headers(bench: Bench) -> str:
    """All alterations in turn, among the training recordings."""
    turns = cycle((_AGES | _SEXES | _DIAGNOSES | _GAINS | _BASELINES | _NO_COMMENTS).values())
    folder = bench.work / "training_headers"
    for i, path in enumerate(bench.training):
        copy_recording(path, folder, **({"alter": next(turns)} if i % 3 == 0 else {}))
    bench.answer(bench.train(folder, "training_headers"), bench.few_folder, "training_headers")
    return f"{-(-len(bench.training) // 3)} of {len(bench.training)} headers altered"
