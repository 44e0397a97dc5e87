"""What each diagnosis changes in a heart: one function a diagnosis, registered under its abbreviation.

The modules are imported in the order in which their conditions are applied: the rhythm, the way the ventricles are
activated, how thick they are, how they repolarise, then premature beats.
"""

from __future__ import annotations

from leadset.simulate.conditions import rhythms  # isort: skip
from leadset.simulate.conditions import conduction  # isort: skip
from leadset.simulate.conditions import hypertrophy  # isort: skip
from leadset.simulate.conditions import repolarization  # isort: skip
from leadset.simulate.conditions import ectopy  # isort: skip
from leadset.simulate.conditions.registry import CONDITIONS, Condition

__all__ = ["CONDITIONS", "Condition", "conduction", "ectopy", "hypertrophy", "repolarization", "rhythms"]
