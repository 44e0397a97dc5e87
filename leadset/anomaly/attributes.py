"""Targets of the attributes and classes that a reconstruction model may read off its latents (arXiv 2408.17154).

Age, sex and classes come from the header, rate and intervals from our own delineation. What is unknown is NaN, and has
no say in any loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from leadset.classes import LabelSpace
from leadset.models.cross_restoration import ATTRIBUTES, RATE
from leadset.models.prediction import lead_rows
from leadset.store.packed import Store

#: Typical value and spread of each attribute; the network answers in units of the spread.
SCALES: dict[str, tuple[float, float]] = {
    "age": (60, 20), "sex": (0.5, 0.5), "rate": (75, 20), "pr_interval": (0.16, 0.03), "qt_interval": (0.39, 0.05),
    "qtc": (0.42, 0.03), "qrs_duration": (0.095, 0.02),
}  # fmt: skip
_MEASURED = {"rate": "heart_rate"}  # attributes that the delineation calls otherwise
_SEXES = {"female": 0.0, "male": 1.0}
# Of the asymmetric loss, as published: focus of what is there and of what is not, shift of the latter's probability.
_FOCUS_POSITIVE, _FOCUS_NEGATIVE, _SHIFT = 10, 4, 0.05


class Targets(NamedTuple):
    """What to read off the latents of recordings, by index.

    Attributes:
        attributes: (n, 7) float32, scaled, NaN where unknown.
        classes: (n, k) float32, 0 or 1, NaN where the source does not annotate the class.
        labelled: indices of the recordings to learn classes from, normal or not.
        r_peaks: of these, by the index of the recording.
        names: of the k classes.
    """

    attributes: Tensor
    classes: Tensor
    labelled: np.ndarray
    r_peaks: Mapping[int, np.ndarray]
    names: tuple[str, ...]


def attributes_of(
    samples: np.ndarray, statistics: np.ndarray, leads: Sequence[str], age: float | None, sex: str | None
) -> np.ndarray:
    """Scaled `ATTRIBUTES` (7,) of a prepared recording, NaN where unknown."""
    from leadset.waves import RECORD_FEATURES, delineate, extract_features

    rows = lead_rows(leads)
    signal = np.asarray(samples)[rows] * statistics[0, rows, None]
    measured = dict(zip(
        (feature.name for feature in RECORD_FEATURES),
        extract_features(delineate(signal, RATE), signal, leads).record, strict=True,
    ))  # fmt: skip
    known = {"age": np.nan if age is None else age, "sex": _SEXES.get(sex, np.nan)}
    values = [known[name] if name in known else measured[_MEASURED.get(name, name)] for name in ATTRIBUTES]
    centres, spreads = np.array([SCALES[name] for name in ATTRIBUTES]).T
    return ((np.array(values) - centres) / spreads).astype(np.float32)


def targets_of(
    store: Store, leads: Sequence[str], normal: np.ndarray, labelled: Mapping[int, np.ndarray], space: LabelSpace
) -> Targets:
    """Targets out of the headers and the waves of stored recordings.

    Args:
        store: prepared for the network.
        leads: its lead set.
        normal: indices of the recordings whose attributes are learnt.
        labelled: R peaks of those to learn classes from, by index.
        space: the classes.
    """
    attributes = np.full((len(store), len(ATTRIBUTES)), np.nan, dtype=np.float32)
    for i in tqdm(normal, desc="attributes", unit="rec", leave=False):
        recording = store.recordings[i]
        attributes[i] = attributes_of(*store[i], leads, recording.age, recording.sex)
    classes = torch.from_numpy(space.targets_for_training(store.recordings))
    indices = np.array(sorted(labelled))
    return Targets(torch.from_numpy(attributes), classes, indices, labelled, space.abbreviations)


def in_units(scaled: np.ndarray) -> np.ndarray:
    """The inverse of the scaling: attributes (…, 7) in years, share of male, 1/min and seconds."""
    centres, spreads = np.array([SCALES[name] for name in ATTRIBUTES]).T
    return scaled * spreads + centres


def attribute_loss(answers: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of attributes (b, 7) over those that are known; zero where none is."""
    known = ~torch.isnan(wanted)
    return torch.where(known, answers - wanted.nan_to_num(), 0).square().sum() / known.sum().clamp(min=1)


def asymmetric_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Asymmetric loss of logits (b, k) against classes 0 or 1, summed (Ridnik et al. 2021); weights have no gradient.

    NaN is unknown and adds nothing. What is rightly refused counts next to nothing, so that many absent classes do not
    drown the rare present one.
    """
    present = torch.sigmoid(logits)
    absent = (1 - present + _SHIFT).clamp(max=1)
    likelihood = torch.where(wanted > 0, present, absent)
    focus = torch.where(wanted > 0, float(_FOCUS_POSITIVE), float(_FOCUS_NEGATIVE))
    terms = (1 - likelihood.detach()) ** focus * likelihood.clamp(min=1e-8).log()
    return -torch.where(torch.isnan(wanted), 0, terms).sum()
