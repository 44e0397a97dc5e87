"""Formats that the library ecgdatakit decodes: from its record to `Contents`, with nothing it says taken unchecked."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import Contents, Layout, main_rate
from leadset.recordings.header import voltage_unit

LIBRARY = "ecgdatakit"
_SEXES = {"F": "Female", "M": "Male"}


def reader(
    module: str, parser: str, exact_rate: Callable[[dict[str, Any]], float | None] = lambda said: None
) -> Callable[[Path, Layout | None], Contents]:
    """What reads a format by a parser of the library.

    Args:
        module, parser: where the parser is.
        exact_rate: the sampling rate out of what the parser says beside its record, which rounds it; None: the same.
    """

    def read(path: Path, layout: Layout | None) -> Contents:
        parse = getattr(import_module(f"{LIBRARY}.parsing.parsers.{module}"), parser)().parse
        record = parse(path)
        return _contents(path, record, exact_rate(record.raw_metadata))

    return read


def _contents(path: Path, record: Any, exact: float | None) -> Contents:
    voltages = [lead for lead in record.leads if voltage_unit(_unit(lead)) and len(lead.samples)]
    if not voltages:
        named = ", ".join(f"{lead.label} ({_unit(lead) or 'no unit'})" for lead in record.leads)
        raise ReadError(path, named or "no lead", "leads in volts")
    rate, length = main_rate([(lead.label, (lead.sampling_rate, len(lead.samples))) for lead in voltages])
    leads = [lead for lead in voltages if lead.sampling_rate == rate]
    if any(len(lead.samples) != length for lead in leads):
        lengths = ", ".join(f"{lead.label} {len(lead.samples)}" for lead in leads)
        raise ReadError(path, f"leads of different lengths ({lengths})", "one length")
    flags = ("other_rate",) if len(leads) < len(voltages) else ()
    flags += ("other_channel",) if len(voltages) < len(record.leads) else ()
    patient = record.patient
    return Contents(
        np.stack([lead.samples for lead in leads]), float(rate if exact is None else exact),
        [lead.label for lead in leads], [_unit(lead) for lead in leads],
        [lead.resolution if lead.is_raw else 1.0 for lead in leads],
        [lead.offset if lead.is_raw else 0.0 for lead in leads],
        age="" if patient.age is None else str(patient.age), sex=_SEXES.get(patient.sex, ""),
        patient=patient.patient_id or None, flags=flags,
    )  # fmt: skip


def _unit(lead: Any) -> str:
    return lead.resolution_unit if lead.is_raw else lead.units

