"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings, named by ``LEADSET_REAL_DATA``; tests that need it are skipped without it."""
    value = os.environ.get("LEADSET_REAL_DATA")
    if not value:
        pytest.skip("LEADSET_REAL_DATA is not set: tests on real recordings are skipped")
    path = Path(value)
    if not path.is_dir():
        pytest.fail(f"LEADSET_REAL_DATA names {path}, which is not a folder")
    return path


@pytest.fixture(scope="module")
def one_thread():
    """PyTorch on one thread: tensors as small as those of most tests only wait for a second one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
