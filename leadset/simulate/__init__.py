"""Simulated 12-lead recordings with labels and exact fiducial marks.

How a recording is made: diagnoses are drawn (`mixture`), a heart is drawn (`heart`) and changed by them (`conditions`);
follow its beats (`rhythm`), the heart vector in time (`loops`, `atria`, `render`), the leads (`leadfield`), noise and
recorder (`noise`, `device`). `scene` puts them together. `simulate` returns arrays, `SimulatedStream` endless batches,
`simulate_anomalies` recordings with masks of what is abnormal; `write` writes files.
"""

from __future__ import annotations

from leadset.simulate.anomalies import ANOMALIES, Anomalous, simulate_anomalies
from leadset.simulate.faults import flatten_leads, swap_electrodes
from leadset.simulate.generator import Simulated, simulate
from leadset.simulate.stream import SimulatedStream

__all__ = [
    "ANOMALIES",
    "Anomalous",
    "Simulated",
    "SimulatedStream",
    "flatten_leads",
    "simulate",
    "simulate_anomalies",
    "swap_electrodes",
]
