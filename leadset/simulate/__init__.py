"""Simulated 12-lead recordings with labels and exact fiducial marks.

The way of a recording: diagnoses (`mixture`), a heart (`heart`) changed by them (`conditions`), its beats (`rhythm`),
the heart vector they make (`loops`, `atria`, `render`), leads (`leadfield`), noise and recorder (`noise`, `device`),
put together in `scene`. `simulate` gives arrays, `SimulatedStream` endless batches, `simulate_anomalies` exact masks
of what is abnormal, `write` files.
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
