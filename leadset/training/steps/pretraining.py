"""Learning from simulated recordings before and beside the real ones, where there are few of those."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from leadset.config import Config
from leadset.preprocess import Transform
from leadset.store.bank import build_bank
from leadset.store.beat_store import BeatStore, build_beats
from leadset.store.packed import CHUNK, Store
from leadset.training.data import SIMULATED, BeatsKey, TrainingData
from leadset.training.steps.curriculum import Curriculum, Phase, Pool, top_up
from leadset.training.steps.source_labels import draw_targets
from leadset.utils.workers import available_cores

#: Validations of a network that starts from weights, at most: many more would take long where recordings are few.
TUNING_REPORTS = 10


def training_curriculum(data: TrainingData, config: Config) -> Curriculum:
    """What a network that starts from nothing learns from, and for how long without a time limit.

    Simulated recordings first, if there are any; then the real ones, among which simulated ones of rare classes are
    mixed.
    """
    pretrain, simulated = config.pretrain, data.simulated
    if not len(simulated):
        return Curriculum((_phase("real", Pool(data.train), config, config.epochs, config.min_steps, 1.0),))
    mixed = _mixed(data, simulated, config)
    return Curriculum((
        _phase("simulated", Pool(simulated), config, pretrain.epochs, 1, 1.0),
        _phase("real", mixed, config, config.epochs, config.min_steps, pretrain.tuning_rate),
    ))  # fmt: skip


def tuning_curriculum(data: TrainingData, config: Config) -> Curriculum:
    """What a network that starts from weights learns from: the real recordings, with simulated ones of rare classes."""
    simulated = data.simulated[: config.start.recordings]
    pool = _mixed(data, simulated, config) if len(simulated) else Pool(data.train)
    phase = _phase("tuning", pool, config, config.epochs, config.min_steps, config.start.rate)
    return Curriculum((replace(phase, steps=tuning_steps(phase.steps, config), reports=TUNING_REPORTS),))


def tuning_steps(steps: int, config: Config) -> int:
    """Steps of a network that starts from weights, which would take so many from nothing."""
    return max(1, round(config.start.steps * steps))


def _mixed(data: TrainingData, simulated: np.ndarray, config: Config) -> Pool:
    pretrain = config.pretrain
    return top_up(data.targets == 1, data.train, simulated, pretrain.rare_below, pretrain.mixed_share)


def _phase(name: str, pool: Pool, config: Config, epochs: int, least: int, rate: float) -> Phase:
    phase = Phase(name, pool, 0, rate * config.learning_rate)
    return replace(phase, steps=max(epochs * phase.epoch_steps(config.batch_size), least))


def affordable_bank(data: TrainingData, wanted: int, seconds: float, workers: int, folder: Path) -> int:
    """How many recordings a bank can have, so that building it takes no longer than ``seconds``; whole chunks.

    Measured on one chunk, prepared for everything that the data are prepared for and then thrown away.

    Args:
        data: real recordings.
        wanted: no more than these.
        seconds: for all transforms and lead sets together.
        workers: processes that will build it, as joblib counts them.
        folder: where the measured chunk may lie for a moment.
    """
    processes = workers if workers > 0 else available_cores()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        started = time.monotonic()
        _build(data, CHUNK, 0, Path(scratch), 1, progress=False)
        per_chunk = (time.monotonic() - started) / processes
    return CHUNK * min(-(-wanted // CHUNK), int(seconds / per_chunk))


def add_bank(
    data: TrainingData, size: int, seed: int, cache: Path, workers: int = -1, as_sources: bool = False
) -> TrainingData:
    """The data with a bank of simulated recordings behind the real ones, one for all networks.

    Args:
        data: real recordings.
        size: simulated recordings; 0: none.
        seed: of the bank.
        cache: where prepared recordings are kept.
        workers: processes, as joblib counts them.
        as_sources: what is learnt of them is what a source might call them, as the networks that ship have learnt it
            (`leadset.training.steps.source_labels.draw_targets`); otherwise what is simulated.
    """
    if not size:
        return data
    stores, beats = _build(data, size, seed, cache, workers)
    recordings = next(iter(stores.values())).recordings
    targets = data.space.targets_for_training(recordings)
    if as_sources:
        rng = np.random.default_rng(seed)
        targets = np.array([draw_targets(recording.codes, data.space, rng) for recording in recordings], np.float32)
    return replace(
        data,
        stores={transform: store.joined(stores[transform]) for transform, store in data.stores.items()},
        beats={key: store.joined(beats[key]) for key, store in data.beats.items()},
        labels=np.concatenate([data.labels, [data.space.encode(recording.codes) for recording in recordings]]),
        targets=np.concatenate([data.targets, targets]),
        part=np.concatenate([data.part, np.full(len(recordings), SIMULATED)]),
    )


def _build(
    data: TrainingData, size: int, seed: int, cache: Path, workers: int, progress: bool = True
) -> tuple[dict[Transform, Store], dict[BeatsKey, BeatStore]]:
    """Stores and beats of a bank, by what those of the data are kept by; all number the recordings alike."""
    stores = {transform: build_bank(size, seed, transform, cache, workers, progress) for transform in data.stores}
    beats = {
        key: build_beats(stores[key[0]], key[1], cache, workers, progress, reliable=key[2]) for key in data.beats
    }
    kept: list[Store | BeatStore] = [*stores.values(), *beats.values()]
    failed = {failure.path for store in kept for failure in store.failures}
    return (
        {transform: store.without(failed) for transform, store in stores.items()},
        {key: store.without(failed) for key, store in beats.items()},
    )
