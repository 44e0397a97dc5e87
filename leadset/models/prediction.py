"""Probabilities of recordings by one network: windows in groups of constant size, averaged per recording.

Validation, `run_model` and the batched `test_model.py` all predict here. Empty windows fill up each group to a constant
size, because the last bit of a convolution may depend on the size of its batch: with one size, the prediction for a
recording is the same to the bit whichever other recordings are in its group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from leadset.leads import LEADS
from leadset.models.extra_inputs import RecordingContext, extra_inputs, missing_inputs
from leadset.preprocess import InputSpec, cut_window, signal_windows

# Large enough to use the hardware, small enough that a single recording has few empty windows beside it.
GROUP = 4


def lead_rows(leads: Sequence[str]) -> list[int]:
    """Rows of a prepared recording that hold these leads."""
    return [LEADS.index(lead) for lead in leads]


def device_of(model: nn.Module) -> torch.device:
    """Where the network's weights are."""
    return next(model.parameters()).device


@torch.inference_mode()
def window_logits(
    model: nn.Module, windows: np.ndarray, masks: np.ndarray, extra: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Logits (b, k) float32 of windows (b, l, t) with masks (b, t); a mask that is all true is not handed over.

    ``extra`` holds the extra inputs of the network, as `leadset.models.extra_inputs.extra_shapes` lists them.
    """
    device = device_of(model)
    # Copied, so that memory is aligned alike every time: matrix products may round differently where it is not.
    x = torch.tensor(windows, device=device)
    mask = None if masks.all() else torch.tensor(masks, device=device)
    arguments = {name: torch.tensor(values, device=device) for name, values in extra.items()}
    return model(x, mask, **arguments).float().cpu().numpy()


def mean_probabilities(logits: np.ndarray) -> np.ndarray:
    """Probabilities (k,) of a recording from the logits (n, k) of its windows."""
    return expit(logits).mean(axis=0)


def mean_features(features: np.ndarray) -> np.ndarray:
    """Features (f,) of a recording from those (n, f) of its windows."""
    return features.mean(axis=0)


def predict(
    model: nn.Module,
    recordings: Iterable[tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, RecordingContext]],
    leads: Sequence[str],
    spec: InputSpec,
    group: int = GROUP,
    finish: Callable[[np.ndarray], np.ndarray] = mean_probabilities,
) -> Iterator[np.ndarray]:
    """Probabilities (k,) float64 of each recording, in order, as soon as its last window has been through the network.

    Args:
        model: in evaluation mode.
        recordings: (samples, statistics) of prepared recordings, as a `Store` or a `Prepared` holds them; with a
            context as third for a network with extra inputs.
        leads: the lead set of the network.
        spec: its input.
        group: windows per forward pass.
        finish: what is said of a recording, from the outputs (n, k) of its windows.
    """
    rows = lead_rows(leads)
    windows = np.zeros((group, len(rows), spec.samples), dtype=np.float32)
    masks = np.ones((group, spec.samples), dtype=bool)
    missing = missing_inputs(spec, len(rows), group)
    extra = {name: values.copy() for name, values in missing.items()}
    waiting: list[list] = []  # [windows still to come, logits so far] of recordings in flight, oldest first
    owners: list[int] = []  # position in `waiting` of each window in the group

    def run() -> Iterator[np.ndarray]:
        windows[len(owners) :], masks[len(owners) :] = 0, True
        for name, values in extra.items():
            values[len(owners) :] = missing[name][len(owners) :]
        for owner, logits in zip(owners, window_logits(model, windows, masks, extra), strict=False):
            waiting[owner][0] -= 1
            waiting[owner][1].append(logits)
        owners.clear()
        while waiting and waiting[0][0] == 0:
            yield finish(np.stack(waiting.pop(0)[1]).astype(np.float64))

    for samples, statistics, *context in recordings:
        starts = signal_windows(samples, statistics, rows, spec)
        waiting.append([len(starts), []])
        for start in starts:
            windows[len(owners)], masks[len(owners)] = cut_window(samples, statistics, rows, start, spec)
            if extra:
                for name, values in extra_inputs(*context, start, spec, len(rows)).items():
                    extra[name][len(owners)] = values
            owners.append(len(waiting) - 1)
            if len(owners) == group:
                yield from run()
    if owners:
        yield from run()
