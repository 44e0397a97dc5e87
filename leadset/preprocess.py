"""The one path of a recording: training and `run_model` both go through `prepare` and `cut_window`.

Knows nothing of files or models. A recording in millivolts becomes a `Prepared` one (twelve leads in standard order,
repaired, resampled, filtered, quantised to int16), and windows are cut from that. What the store keeps on disk is
exactly a `Prepared` recording, so that a stored window and a window of a recording just read are the same tensor.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Transform:
    """What is done once to a whole recording; recordings prepared alike share one store.

    Attributes:
        rate: sampling rate in Hz after polyphase resampling.
        filter: a name out of `FILTERS`, applied without phase shift after resampling.
    """

    rate: int = 500
    filter: str = "none"


@dataclass(frozen=True)
class InputSpec:
    """The input a model wants.

    Attributes:
        transform: rate and filter of the recording that windows are cut from.
        samples: window length at that rate; shorter recordings are zero-padded and masked.
        scaling: ``"none"`` (millivolts), ``"lead"`` (zero mean, unit SD per lead over the whole recording),
            ``"recording"`` (one mean and SD for all leads), ``"range"`` (each lead's extremes to -1 and 1).
        window: ``"crop"`` (random crop in training, evenly spaced windows averaged at test, padding at the end) or
            ``"tail"`` (the last samples only, padding at the start).
        extras: names of further inputs.
    """

    transform: Transform = Transform()
    samples: int = 5000
    scaling: str = "none"
    window: str = "crop"
    extras: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Window length in seconds."""
        return self.samples / self.transform.rate
