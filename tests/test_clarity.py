"""How clearly complexes stand out, by which most recordings are found usable without looking for any beat."""

from __future__ import annotations

import numpy as np
import pytest

from leadset.leads import LEADS
from leadset.simulate import simulate
from leadset.waves import assessment
from leadset.waves.assessment import CLEAR, unusable_because
from leadset.waves.delineator import clarity

FS = 500
SECONDS = np.arange(10 * FS) / FS


@pytest.fixture(scope="module")
def heart() -> np.ndarray:
    """A simulated normal recording (12, t)."""
    return next(iter(simulate(1, seed=3, labels="NSR", marks=False).signals))


def noise(seed: int = 0) -> np.ndarray:
    """White noise of 0.1 mV."""
    return 0.1 * np.random.default_rng(seed).standard_normal((12, 10 * FS))


def test_complexes_are_clear_and_noise_is_not(heart: np.ndarray) -> None:
    assert clarity(heart, FS) > 0.8
    assert clarity(noise(), FS) < 0.1
    assert clarity(np.full((12, 5000), np.nan), FS) == 0


def test_bursts_of_noise_are_no_clear_complexes() -> None:
    """They are as high above their surroundings, but far longer."""
    bursts = noise() * np.where(np.sin(2 * np.pi * 0.7 * SECONDS) > 0.6, 3, 0.1)
    assert clarity(bursts, FS) < CLEAR


@pytest.mark.parametrize("clear", [0, 1, 2])
def test_one_clear_part_of_a_recording_is_enough(heart: np.ndarray, monkeypatch, clear: int) -> None:
    monkeypatch.setattr(assessment, "delineate", None)
    parts = [noise(seed) for seed in range(3)]
    parts[clear] = heart
    assert unusable_because(np.concatenate(parts, axis=1), FS, LEADS) == ""


@pytest.mark.parametrize("leads", [1, 2, 5])
def test_any_number_of_leads_will_do(heart: np.ndarray, monkeypatch, leads: int) -> None:
    monkeypatch.setattr(assessment, "delineate", None)
    assert unusable_because(heart[:leads], FS, LEADS[:leads]) == ""


def test_more_leads_are_looked_at_where_the_first_is_not_clear(heart: np.ndarray, monkeypatch) -> None:
    looked: list[int] = []

    def noting(signal: np.ndarray, fs: float) -> float:
        looked.append(len(signal))
        return clarity(signal, fs)

    monkeypatch.setattr(assessment, "clarity", noting)
    monkeypatch.setattr(assessment, "delineate", None)
    assert unusable_because(heart, FS, LEADS) == "" and looked == [1]
    looked.clear()
    heart = heart.copy()
    heart[0] = noise()[0]
    assert unusable_because(heart, FS, LEADS) == "" and looked == [1, 4]
