"""Recordings as objects of other libraries (extra ``adapters``)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from leadset.recordings import Recording

if TYPE_CHECKING:
    import mne
    import xarray


def to_xarray(recording: Recording) -> xarray.DataArray:
    """Millivolts with dimensions ``lead`` and ``time`` (s from the start); the rest as attributes.

    Raises:
        ValueError: xarray is not installed.
    """
    _require("xarray")
    import xarray

    known = {name: getattr(recording, name) for name in ("age", "sex") if getattr(recording, name) is not None}
    return xarray.DataArray(
        recording.signal, dims=("lead", "time"), name=recording.name,
        coords={"lead": list(recording.leads), "time": np.arange(recording.signal.shape[1]) / recording.fs},
        attrs={"units": "mV", "fs": recording.fs, "codes": list(recording.codes), **known},
    )  # fmt: skip


def to_mne(recording: Recording) -> mne.io.RawArray:
    """Channels of kind ``ecg`` in volts; missing samples are NaN.

    Raises:
        ValueError: MNE is not installed.
    """
    _require("mne")
    import mne

    info = mne.create_info(list(recording.leads), recording.fs, "ecg", verbose="error")
    info["description"] = recording.name
    return mne.io.RawArray(recording.signal.astype(np.float64) / 1e3, info, verbose="error")


def _require(library: str) -> None:
    if find_spec(library) is None:
        raise ValueError(f"found no {library}, expected it: install leadset[adapters]")
