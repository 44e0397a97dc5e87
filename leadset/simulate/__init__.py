"""Simulated 12-lead recordings with labels and exact fiducial marks.

The way of a recording: diagnoses and a person (`mixture`), a heart (`heart`) changed by them (`conditions`), its beats
(`rhythm`), the heart vector they make (`loops`, `render`), leads (`leadfield`), noise and recorder (`noise`,
`device`), files (`write`).
"""

from __future__ import annotations

from leadset.simulate.generator import Simulated, simulate

__all__ = ["Simulated", "simulate"]
