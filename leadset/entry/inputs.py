"""A recording as one network takes it, for those who use a network on its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from leadset.entry.preparing import prepare_unjudged
from leadset.models.extra_inputs import extra_inputs
from leadset.models.prediction import device_of, lead_rows
from leadset.preprocess import cut_window, signal_windows
from leadset.recordings import Recording, read_recording


def network_inputs(
    network: nn.Module, recording: Recording | str | Path, lead_names: Mapping[str, str] | None = None
) -> dict[str, Tensor]:
    """What a network of `leadset.create_model` takes of a recording, as entries prepare it, by argument of its forward.

    Leads that the recording lacks are zero.

    Args:
        network: a classifier; its ``input_spec`` and ``leads`` say what it wants.
        recording: one, or its path.
        lead_names: as for `leadset.read_recording`.

    Returns:
        ``x`` (windows, leads, samples) float32 in mV, ``mask`` (windows, samples) bool, true where recorded, and the
        extra inputs that it asks for, on its device.

    Raises:
        ReadError: the recording cannot be read.
        ValueError: it cannot be prepared: no lead of the twelve has a signal.

    Example:
        >>> network = leadset.create_model("resnet34", leads=("I", "II"), pretrained=True).eval()
        >>> logits = network(**network_inputs(network, "data/A0001.hea"))       # (windows, classes)
        >>> probabilities = logits.sigmoid().mean(0)                            # one for each of leadset.CLASSES
    """
    spec, rows = network.input_spec, lead_rows(network.leads)
    recording = recording if isinstance(recording, Recording) else read_recording(recording, lead_names)
    samples, statistics, context = prepare_unjudged(recording, lambda _: (network.leads, [spec])).input_of(spec)
    starts = signal_windows(samples, statistics, rows, spec)
    windows, masks = zip(*(cut_window(samples, statistics, rows, start, spec) for start in starts), strict=True)
    extra = [extra_inputs(context, start, spec, len(rows)) for start in starts]
    stacked = {"x": np.stack(windows), "mask": np.stack(masks)}
    stacked |= {name: np.stack([one[name] for one in extra]) for name in extra[0]}
    return {name: torch.tensor(values, device=device_of(network)) for name, values in stacked.items()}
