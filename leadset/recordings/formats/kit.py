"""Formats that the library ecgdatakit decodes: from its record to `Contents`, with nothing it says taken unchecked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import Contents, Layout, in_time, main_rate
from leadset.recordings.header import voltage_unit

LIBRARY = "ecgdatakit"
_SEXES = {"F": "Female", "M": "Male"}


def reader(
    module: str,
    parser: str,
    exact_rates: Callable[[dict[str, Any]], Sequence[float]] = lambda said: (),
    announced: Callable[[dict[str, Any]], int | None] = lambda said: None,
    stretches: Callable[[dict[str, Any]], Sequence[tuple[int, int]]] = lambda said: (),
) -> Callable[[Path, Layout | None, Mapping[str, str] | None], Contents]:
    """What reads a format by a parser of the library.

    Args:
        module, parser: where the parser is.
        exact_rates: sampling rates of channels out of what the parser says beside its record, which rounds them.
        announced: how many samples a lead should have, out of the same; some writers count those of all leads.
        stretches: start and length in samples of each stretch of an interrupted recording, out of the same.
    """

    def read(path: Path, layout: Layout | None, lead_names: Mapping[str, str] | None) -> Contents:
        parse = getattr(import_module(f"{LIBRARY}.parsing.parsers.{module}"), parser)().parse
        record = parse(path)
        contents = _contents(path, record, exact_rates(record.raw_metadata), lead_names)
        flags = _length_flags(contents.counts.shape[1], announced(record.raw_metadata), len(record.leads))
        counts = _with_gaps(contents.counts, stretches(record.raw_metadata))
        return replace(contents, counts=counts, flags=(*contents.flags, *flags))

    return read


def _length_flags(present: int, announced: int | None, leads: int) -> tuple[str, ...]:
    """Compares the samples of a lead with the announced number, which may be that of all leads."""
    if not announced or announced in (present, present * leads):
        return ()
    return ("short_file",) if present < announced else ("long_file",)


def _with_gaps(counts: np.ndarray, stretches: Sequence[tuple[int, int]]) -> np.ndarray:
    """Counts with the gaps between stretches, where these are all of the counts and follow each other."""
    starts, lengths = zip(*stretches, strict=True) if stretches else ((), ())
    if sum(lengths) != counts.shape[1]:
        return counts
    spread = in_time(counts, starts, lengths)
    return counts if spread is None else spread


def _contents(
    path: Path, record: Any, exact: Sequence[float], lead_names: Mapping[str, str] | None
) -> Contents:
    voltages = [lead for lead in record.leads if voltage_unit(_unit(lead)) and len(lead.samples)]
    if not voltages:
        named = ", ".join(f"{lead.label} ({_unit(lead) or 'no unit'})" for lead in record.leads)
        raise ReadError(path, named or "no lead", "leads in volts")
    of_leads = [(lead.label, (lead.sampling_rate, len(lead.samples))) for lead in voltages]
    rate, length = main_rate(of_leads, lead_names)
    leads = [lead for lead in voltages if lead.sampling_rate == rate]
    if any(len(lead.samples) != length for lead in leads):
        lengths = ", ".join(f"{lead.label} {len(lead.samples)}" for lead in leads)
        raise ReadError(path, f"leads of different lengths ({lengths})", "one length")
    unscaled = [lead.label for lead in leads if lead.adc_resolution_unit and not lead.adc_resolution]
    if unscaled:
        raise ReadError(path, f"no number of {_unit(leads[0])} a count in {', '.join(unscaled)}", "a scale")
    flags = ("other_rate",) if len(leads) < len(voltages) else ()
    flags += ("other_channel",) if len(voltages) < len(record.leads) else ()
    flags += ("other_lead_times",) if len({lead.annotations.get("LeadTimeOffset") for lead in leads}) > 1 else ()
    patient = record.patient
    return Contents(
        _in_time(path, leads), next((fs for fs in exact if round(fs) == rate), float(rate)),
        [lead.label for lead in leads], [_unit(lead) for lead in leads],
        [lead.resolution if lead.is_raw else 1.0 for lead in leads],
        [lead.offset if lead.is_raw else 0.0 for lead in leads],
        age=_age(record), sex=_SEXES.get(patient.sex, ""),
        patient=patient.patient_id or None, flags=flags,
    )  # fmt: skip


def _age(record: Any) -> str:
    """Years, or the age as it is stated where its unit is missing or unknown, which is then flagged."""
    if record.patient.age is not None:
        return str(record.patient.age)
    stated = record.raw_metadata.get("age")
    if not (isinstance(stated, dict) and stated.get("value")):
        return ""
    return f"{stated['value']} {stated.get('units') or '(no unit)'}"


def _in_time(path: Path, leads: Sequence[Any]) -> np.ndarray:
    """Counts (leads, samples), NaN before and after a lead that was recorded at another time than others."""
    starts = np.array([int(lead.annotations.get("start_sample", 1)) for lead in leads])
    if (starts == starts[0]).all():
        return np.stack([lead.samples for lead in leads])
    starts, length = starts - starts.min(), len(leads[0].samples)
    if starts.max() > length * len(leads):  # gaps beyond what is recorded would only take memory
        raise ReadError(path, f"a lead {starts.max()} samples behind another", "leads that follow each other")
    joined = np.full((len(leads), starts.max() + length), np.nan)
    for row, start, lead in zip(joined, starts, leads, strict=True):
        row[start : start + length] = lead.samples
    return joined


def _unit(lead: Any) -> str:
    return lead.resolution_unit if lead.is_raw else lead.units

