"""The recordings in a folder that the fixture ``recorded`` gives."""

from __future__ import annotations

from pathlib import Path

from leadset.recordings import find_recordings


def recordings_in(folder: Path, few: int = 0) -> list[Path]:
    """Headers of the Challenge's recordings, then those with quirks; of the former about so many if ``few``."""
    paths = find_recordings(folder / "challenge")
    quirks = find_recordings(folder / "quirks") if (folder / "quirks").is_dir() else []
    return paths[:: max(1, len(paths) // few) if few else 1] + quirks
