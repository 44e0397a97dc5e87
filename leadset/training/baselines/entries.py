"""Training entries of baselines: features of the training recordings, a learner, thresholds on the validation part."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import leadset
from leadset.baselines.inputs import BaselineInput
from leadset.baselines.registry import BASELINES
from leadset.classes import label_space
from leadset.config import Config, load_config
from leadset.entry.ensemble import Ensemble
from leadset.entry.manifest import Manifest, Member, TrainedSet
from leadset.leads import lead_set_name
from leadset.recordings.dataset import DataSet
from leadset.recordings.importers import open_dataset
from leadset.training.baselines.learners import FITS
from leadset.training.data import Preparation, Split, TrainingData, beats_keys, in_label_space_of, load_training_data
from leadset.training.decision.ensemble import fit_weights
from leadset.training.decision.thresholds import fit_thresholds
from leadset.training.replacing import replacing
from leadset.training.steps.partial_labels import shares

SPLIT_FILE, WORK_FOLDER = "split.csv", "store"


def features_of(
    data: TrainingData, looks_at: BaselineInput, leads: tuple[str, ...], indices: Sequence[int]
) -> np.ndarray:
    """Features (n, d) of some recordings, as the trained baseline will see them."""
    store, contexts = data.stores[looks_at.spec.transform], data.contexts_for(looks_at.spec, leads)
    shown = tqdm(indices, f"{looks_at.title}, {lead_set_name(leads)} leads", unit="rec", leave=False)
    rows = looks_at.compute(((*store[i], contexts[i]) for i in shown), leads)
    return np.array(list(rows), dtype=np.float32)


def train_baselines(
    data: str | Path | DataSet,
    model_folder: str | Path,
    names: Sequence[str],
    config: Config | None = None,
    held_out: Collection[str] = (),
    validation: Collection[str] = (),
) -> Manifest:
    """Trains an entry of baselines, which answers as any other; arguments are those of `train_entry`.

    Args:
        data: recordings with labels.
        model_folder: made if missing; an entry in it is replaced. Prepared recordings are kept in it unless the
            configuration names a cache.
        names: out of `leadset.baselines.registry.BASELINES`; several answer together.
        config: lead sets, label space, seed, validation share, and for probes `start.weights` count; by default
            `leadset.config.load_config`.
        held_out, validation: paths of recordings, as of `train_entry`.

    Raises:
        OSError: no such data folder, or the model folder cannot be written.
        ValueError: no such baseline, no weights for a probe, or nothing to learn from.
    """
    for name in names:
        if name not in BASELINES:
            raise ValueError(f"baseline {name!r}: expected some of {', '.join(BASELINES)}")
    recordings, folder = open_dataset(data), Path(model_folder)
    with replacing(folder):
        config = in_label_space_of(recordings, config or load_config(), folder)
        return _train(recordings, folder, names, config, held_out, validation)


def _train(
    recordings: DataSet,
    folder: Path,
    names: Sequence[str],
    config: Config,
    held_out: Collection[str],
    validation: Collection[str],
) -> Manifest:
    """Trains the baselines and writes the entry; see `train_baselines`."""
    options = {name: BASELINES[name].options(config.start.weights) for name in names}
    space, specs = label_space(config.label_space), [BASELINES[name].input(options[name]).spec for name in names]
    cache = Path(config.cache) if config.cache else folder / WORK_FOLDER
    beats = [key for spec in specs for leads in config.lead_sets for key in beats_keys(spec, leads)]
    preparation = Preparation([spec.transform for spec in specs], cache, beats, config.workers, config.leads)
    split = Split(config.validation_share, config.seed, held_out, validation)
    loaded = load_training_data(recordings, space, preparation, split)
    folder.mkdir(parents=True, exist_ok=True)
    loaded.write_split(folder / SPLIT_FILE)
    counts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in loaded.counts().items())
    print(f"recordings: {counts}")
    largest_first = sorted(config.lead_sets, key=len, reverse=True)
    sets = [_train_set(loaded, folder, options, leads, config) for leads in largest_first]
    manifest = Manifest(
        space.copy_to(folder), space.keys, shares(loaded.targets[loaded.train]), tuple(sets),
        _provenance(loaded, config), config.leads,
    )  # fmt: skip
    manifest.write(folder)
    return manifest


def _train_set(
    data: TrainingData, folder: Path, baselines: Mapping[str, dict[str, Any]], leads: tuple[str, ...], config: Config
) -> TrainedSet:
    """Fits the baselines of a lead set on the training part, and weights and thresholds on the validation part.

    ``baselines`` holds the options of each by its name.
    """
    about = {"split": SPLIT_FILE, "part": data.valid_name, "seed": config.seed}
    labels, members, answers = data.labels[data.valid], [], []
    for name, options in baselines.items():
        baseline = BASELINES[name]
        looks_at = baseline.input(options)
        known = features_of(data, looks_at, leads, data.train)
        learner = FITS[baseline.learner](known, data.targets[data.train], config.seed)
        file = f"{name}-{lead_set_name(leads)}.safetensors"
        learner.write(folder / file)
        answers.append(learner(features_of(data, looks_at, leads, data.valid)))
        rule = fit_thresholds(answers[-1], labels, data.space, about)
        summary = {"learner": baseline.learner, "features": baseline.features, "recordings": len(data.train)}
        members.append(Member(name, options, looks_at.spec, file, rule, summary, 0))
    weights = fit_weights(answers, data.targets[data.valid])
    joint = sum(weight * p for weight, p in zip(weights, answers, strict=True))
    rule = fit_thresholds(joint, labels, data.space, about)
    print(f"{lead_set_name(leads):>6} leads: Challenge metric {rule.provenance['value']:.3f} on {data.valid_name}"
          " (thresholds fitted there)")
    return TrainedSet(leads, tuple(members), Ensemble(weights, rule))


def _provenance(data: TrainingData, config: Config) -> dict[str, Any]:
    import sklearn

    return {
        "versions": {"leadset": leadset.__version__, "scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "seed": config.seed,
        "configuration": config.provenance(),
        "data": {**data.counts(), "fingerprint": data.fingerprint, "split": SPLIT_FILE},
    }
