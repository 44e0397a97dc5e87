"""The entry that ships in the place of a trained one, where there are too few recordings to tune its networks."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from leadset.classes import LabelSpace
from leadset.config import Config
from leadset.config_rules import SHIPPED
from leadset.entry.manifest import FILE_NAME, Manifest
from leadset.models.shipped import FOLDER


def can_stand_in(config: Config, space: LabelSpace, architectures: Collection[str]) -> bool:
    """Whether the entry that ships answers the classes of a run, with networks that it may use."""
    if config.start.weights != SHIPPED or not (FOLDER / FILE_NAME).is_file():
        return False
    shipped = Manifest.read(FOLDER)
    members = {member.architecture for trained in shipped.sets for member in trained.members}
    return shipped.classes == space.keys and members <= set(architectures)


def write_shipped_entry(folder: Path, config: Config, reason: str, provenance: dict[str, Any]) -> Manifest:
    """Writes the entry that ships into a model folder; it answers any leads.

    Args:
        folder: where to.
        config: of the run, whose names of leads it keeps.
        reason: why nothing was tuned; `entry.json` keeps it among the flags of its provenance.
        provenance: of the run.
    """
    shipped = Manifest.read(FOLDER)
    for name in {member.weights for trained in shipped.sets for member in trained.members}:
        shutil.copyfile(FOLDER / name, folder / name)
    about = {**provenance, "flags": [reason], "shipped": shipped.provenance}
    manifest = replace(shipped, provenance=about, lead_names=config.leads)
    manifest.write(folder)
    return manifest
