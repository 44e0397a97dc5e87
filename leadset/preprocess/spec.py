"""What a model wants as input: how a recording is transformed once, and how windows of it are cut and scaled."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from leadset.preprocess.filters import FILTERS
from leadset.preprocess.scaling import SCALINGS
from leadset.signals import HIGHEST_RATE


@dataclass(frozen=True)
class Transform:
    """What is done once to a whole recording; recordings prepared alike share one store.

    Attributes:
        rate: sampling rate in Hz after polyphase resampling.
        filter: a name out of `FILTERS`, applied without phase shift after resampling.
    """

    rate: int = 500
    filter: str = "none"

    def __post_init__(self) -> None:
        if not isinstance(self.rate, int) or not 1 <= self.rate <= HIGHEST_RATE:
            raise ValueError(f"rate={self.rate}: expected a whole number of Hz, 1 to {HIGHEST_RATE}")
        if self.filter not in FILTERS:
            raise ValueError(f"filter={self.filter!r}: expected one of {', '.join(FILTERS)}")


@dataclass(frozen=True)
class InputSpec:
    """The input a model wants.

    Attributes:
        transform: rate and filter of the recording that windows are cut from.
        samples: window length at that rate; shorter recordings are zero-padded and masked.
        scaling: a name out of `SCALINGS`.
        window: ``"crop"`` (random crop in training, evenly spaced windows averaged at test, padding at the end) or
            ``"tail"`` (the last samples only, padding at the start).
        extra: what the model wants besides samples, by name with an option (`leadset.models.extra_inputs`), such as
            ``{"beats": 40, "age": True}``.
    """

    transform: Transform = field(default_factory=Transform)
    samples: int = 5000
    scaling: str = "none"
    window: str = "crop"
    extra: dict[str, int | bool] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.samples, int) or self.samples < 1:
            raise ValueError(f"samples={self.samples}: expected a number of samples")
        if self.scaling not in SCALINGS:
            raise ValueError(f"scaling={self.scaling!r}: expected one of {', '.join(SCALINGS)}")
        if self.window not in ("crop", "tail"):
            raise ValueError(f"window={self.window!r}: expected 'crop' or 'tail'")

    @property
    def seconds(self) -> float:
        """Window length in seconds."""
        return self.samples / self.transform.rate

    def to_json(self) -> dict:
        """As plain values, for `entry.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> InputSpec:
        """The inverse of `to_json`; reads the three fields for beats too that entries had before `extra`."""
        values = {**values, "transform": Transform(**values["transform"])}
        before = {name: values.pop(name) for name in ("beats", "record", "reliable_beats") if name in values}
        extra = values.pop("extra", {name: option for name, option in before.items() if option})
        return cls(**values, extra=dict(extra))
