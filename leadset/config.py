"""`leadset.toml`: every choice a user may make, read into one checked, frozen object."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from leadset.classes import list_label_spaces
from leadset.leads import resolve_leads

ENVIRONMENT_VARIABLE = "LEADSET_CONFIG"
DEFAULT_FILE = Path(__file__).resolve().parent.parent / "leadset.toml"


@dataclass(frozen=True)
class Pretrain:
    """The table ``[pretrain]`` of `leadset.toml`; what each means and why it has its value is said there."""

    below: int = 0
    recordings: int = 20_000
    epochs: int = 2
    bank_time_share: float = 0.1
    tuning_rate: float = 0.25
    rare_below: int = 50
    mixed_share: float = 0.5


@dataclass(frozen=True)
class Config:
    """The choices of `leadset.toml`; what each means and why it has its value is said there."""

    label_space: str = "challenge2021"
    lead_sets: tuple[tuple[str, ...], ...] = tuple(resolve_leads(n) for n in (12, 6, 4, 3, 2))
    architectures: tuple[str, ...] = ("all",)
    preset: str = "auto"
    seed: int = 2021
    time_limit_hours: float = 44.0
    epochs: int = 30
    min_steps: int = 600
    restorer_steps: float = 1.0
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    validation_share: float = 0.15
    workers: int = -1
    keep_work: bool = False
    cache: str = ""
    pretrain: Pretrain = field(default_factory=Pretrain)
    presets: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.preset not in ("auto", *self.presets):
            raise ValueError(f"preset = {self.preset!r}; expected one of {', '.join(('auto', *self.presets))}")

    def options(self, architecture: str, preset: str) -> dict[str, Any]:
        """The model options that a preset gives an architecture."""
        return dict(self.presets.get(preset, {}).get(architecture, {}))


_POSITIVE = (
    *("time_limit_hours", "epochs", "min_steps", "restorer_steps", "batch_size", "learning_rate"),
    *("recordings", "tuning_rate"),
)
_NOT_NEGATIVE = ("below", "rare_below")
_SHARES = ("validation_share", "bank_time_share", "mixed_share")
_LIMITS: dict[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(_POSITIVE, (lambda value: value > 0, "a positive number")),
    **dict.fromkeys(_NOT_NEGATIVE, (lambda value: value >= 0, "zero or a positive number")),
    **dict.fromkeys(_SHARES, (lambda value: 0 < value < 1, "between 0 and 1")),
}


def _check_types(values: dict[str, Any], kind: type, source: str) -> None:
    """Names, types and limits of a table; every mistake is an error that names file, key, found and expected."""
    known = {f.name: f for f in fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{source}: unknown key {key!r}; expected one of {', '.join(known)}")
        wanted = type(getattr(kind(), key))
        accepted = {float: (int, float), tuple: list, Pretrain: dict}.get(wanted, wanted)
        if not isinstance(value, accepted) or (isinstance(value, bool) and wanted is not bool):
            expected = "a table" if wanted in (Pretrain, dict) else wanted.__name__
            raise ValueError(f"{source}: {key} = {value!r}; expected {expected}")
        fits, expected = _LIMITS.get(key, (lambda _: True, ""))
        if not fits(value):
            raise ValueError(f"{source}: {key} = {value!r}; expected {expected}")


def _checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    """The values of a file, converted to those of `Config`; the table ``[pretrain]`` stays one, to be merged."""
    _check_types(values, Config, source)
    _check_types(values.get("pretrain", {}), Pretrain, f"{source}: [pretrain]")
    try:
        if "lead_sets" in values:
            values["lead_sets"] = tuple(resolve_leads(leads) for leads in values["lead_sets"])
    except ValueError as error:
        raise ValueError(f"{source}: lead_sets: {error}") from None
    if "architectures" in values:
        values["architectures"] = tuple(values["architectures"])
    if values.get("label_space", "challenge2021") not in list_label_spaces():
        expected = ", ".join(list_label_spaces())
        raise ValueError(f"{source}: label_space = {values['label_space']!r}; expected one of {expected}")
    return values


def load_config(path: str | Path | None = None) -> Config:
    """Reads a configuration.

    Args:
        path: a TOML file whose keys take the place of those in the `leadset.toml` beside the package; by default the
            one that the environment variable ``LEADSET_CONFIG`` names, if it does.

    Raises:
        OSError: the named file cannot be read.
        ValueError: not TOML, an unknown key, or a value that does not fit.
    """
    values = _read(DEFAULT_FILE) if DEFAULT_FILE.exists() else {}
    path = path or os.environ.get(ENVIRONMENT_VARIABLE)
    if path:
        own = _read(Path(path))
        tables = {name: {**values.get(name, {}), **own.get(name, {})} for name in ("presets", "pretrain")}
        values = {**values, **own, **tables}
    return Config(**{**values, "pretrain": Pretrain(**values.get("pretrain", {}))})


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from None
    return _checked(values, str(path))
