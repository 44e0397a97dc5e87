"""Protocols of evaluation, cross-validation of entries by them, and the published studies repeated."""

from __future__ import annotations

from pathlib import Path

#: Folder of the published studies, a TOML file each.
STUDY_FOLDER = Path(__file__).with_name("published")


def study_names() -> list[str]:
    """Names of the published studies, sorted."""
    return sorted(path.stem for path in STUDY_FOLDER.glob("*.toml"))
