"""EDF, EDF+ and BDF: Kemp and Olivan, Clin. Neurophysiol. 114(9):1755-1761, 2003; https://www.edfplus.info."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import Contents, Format, Layout, main_rate
from leadset.recordings.header import voltage_unit

_BDF = b"\xffBIOSEMI"
_VERSION = b"0".ljust(8)
_HEADER_BYTES = 256


def _recognises(path: Path, start: bytes) -> bool:
    return start.startswith((_BDF, _VERSION)) and len(start) >= _HEADER_BYTES


def _read(path: Path, layout: Layout | None) -> Contents:
    import edfio

    with open(path, "rb") as file:
        is_bdf = file.read(len(_BDF)) == _BDF
    recorded = edfio.read_bdf(path) if is_bdf else edfio.read_edf(path, header_encoding="latin-1")
    if not recorded.is_continuous:
        raise ReadError(path, "interrupted recording (EDF+D)", "a continuous one")
    # Channels of another rate, or of no voltage where there are voltages, are no leads.
    voltages = [signal for signal in recorded.signals if voltage_unit(signal.physical_dimension)]
    if not voltages:
        units = ", ".join(f"{signal.label} ({signal.physical_dimension})" for signal in recorded.signals)
        raise ReadError(path, units or "no signal", "signals in volts")
    fs = main_rate([(signal.label, signal.sampling_frequency) for signal in voltages])
    leads = [signal for signal in voltages if signal.sampling_frequency == fs]
    flags = ("other_rate",) if len(leads) < len(voltages) else ()
    flags += ("other_channel",) if len(voltages) < len(recorded.signals) else ()
    scales = [
        (signal.physical_max - signal.physical_min) / (signal.digital_max - signal.digital_min) for signal in leads
    ]
    offsets = [
        _offset(signal.physical_max, scale, signal.digital_max) for signal, scale in zip(leads, scales, strict=True)
    ]
    return Contents(
        np.stack([signal.digital for signal in leads]), float(fs), [signal.label for signal in leads],
        [signal.physical_dimension for signal in leads], scales, offsets, sex=_sex(recorded),
        patient=_patient(recorded), flags=flags,
    )  # fmt: skip


def _offset(physical_max: float, scale: float, digital_max: int) -> float:
    """Units of the count zero; what is left of eight decimal characters is no offset."""
    counts = physical_max / scale - digital_max
    return 0.0 if abs(counts) < 0.01 else counts * scale


def _sex(recorded: object) -> str:
    try:
        return {"F": "Female", "M": "Male"}.get(recorded.patient.sex, "")
    except ValueError:  # plain EDF says it in no form of its own
        return ""


def _patient(recorded: object) -> str | None:
    try:
        code = recorded.patient.code
    except ValueError:
        return None
    return code if code not in ("", "X") else None


FORMAT = Format("EDF", (".edf", ".bdf", ".rec"), _recognises, _read, "edfio")
