"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tensors as small as those of tests only wait for a second thread; where a test wants one, it sleeps while it waits, as
# other tests want the cores. PyTorch and NumPy read this when they are imported (by test modules, later than this), and
# processes that tests start inherit it.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

#: The slowest test files, slowest first. They start first, so that none of them is waited for at the end, and an idle
#: worker, which takes tests from the end of another one's list, does not set their fixtures up a second time.
SLOWEST_FILES = (
    "test_wheel.py", "test_adding.py", "test_models.py", "test_head.py", "test_entry.py", "test_training.py",
    "test_documents_run.py", "test_one_path.py", "test_pretraining.py", "test_star.py", "test_beats.py",
    "test_entry_bad_input.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slowest files first; all else stays in order."""
    rank = {name: place for place, name in enumerate(SLOWEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


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


@pytest.fixture(scope="session")
def simulated_data(tmp_path_factory) -> Path:
    """Simulated recordings of every recorder, with exchanged electrodes and unplugged leads, laid out like the real."""
    from leadset.simulate.write import write_dataset

    folder = tmp_path_factory.mktemp("simulated")
    list(write_dataset(folder / "challenge" / "training", 24, seed=7, faults=0.2))
    return folder


@pytest.fixture(params=["simulated", "real"])
def recorded(request) -> Path:
    """Simulated recordings, and the real ones where there are some: ``challenge`` and, of real ones, ``quirks``."""
    return request.getfixturevalue(f"{request.param}_data")


@pytest.fixture(scope="session")
def half_normal(tmp_path_factory) -> Path:
    """Sixty simulated recordings of six seconds, half of them normal; to be read alone."""
    from leadset.simulate.write import write_dataset

    folder = tmp_path_factory.mktemp("half_normal")
    list(write_dataset(folder, 60, seed=3, seconds=6.0, labels={"NSR": 1, "AF": 1}))
    return folder


@pytest.fixture
def rng():
    """A random generator."""
    import numpy as np

    return np.random.default_rng(5)


@pytest.fixture
def signal(rng):
    """(12, 5000) mV at 500 Hz with consistent limb leads."""
    x = rng.standard_normal((12, 5000)).cumsum(axis=1).astype("float32") / 200
    x -= x.mean(axis=1, keepdims=True)
    first, second = x[0], x[1]
    x[2:6] = second - first, -(first + second) / 2, first - second / 2, second - first / 2
    return x


@pytest.fixture
def two_threads():
    """PyTorch on two threads, where a test says that answers do not depend on what users have many of."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def entry_folder(tmp_path_factory) -> Path:
    """An entry of untrained networks, to be read alone."""
    from untrained_entry import write_untrained_entry

    folder = tmp_path_factory.mktemp("entry")
    write_untrained_entry(folder)
    return folder


@pytest.fixture(scope="session")
def normals() -> list[tuple]:
    """Samples and statistics of twelve simulated normal recordings of 10 s, prepared for the restoring network."""
    from leadset.anomaly.detector import TRANSFORM
    from leadset.leads import LEADS
    from leadset.preprocess import prepare
    from leadset.simulate import simulate

    signals = simulate(12, seed=5, labels="NSR", marks=False).signals
    prepared = [prepare(signal, 500, LEADS, TRANSFORM) for signal in signals]
    return [(p.samples, p.statistics) for p in prepared]
