"""Every choice of a training run, read from `default.toml` and what overrides it into one checked, frozen object.

`default.toml` is the only source of defaults: the classes here have none. What overrides it, key by key, in this order:
`leadset.toml` in the current folder, the file that the environment variable ``LEADSET_CONFIG`` names, a file given by
name, and single settings.
"""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

from leadset import config_rules as rules
from leadset.classes import LabelSpace, label_space
from leadset.config_rules import Refused, Rule

DEFAULT_FILE = Path(__file__).with_name("default.toml")
OWN_FILE = "leadset.toml"
ENVIRONMENT_VARIABLE = "LEADSET_CONFIG"
AUTO = "auto"


@dataclass(frozen=True)
class Pretrain:
    """The table ``[pretrain]``; `default.toml` says what each key means and why it has its value."""

    below: Annotated[int, rules.whole(0)]
    recordings: Annotated[int, rules.whole(1)]
    epochs: Annotated[int, rules.whole(1)]
    bank_time_share: Annotated[float, rules.share]
    tuning_rate: Annotated[float, rules.positive]
    rare_below: Annotated[int, rules.whole(0)]
    mixed_share: Annotated[float, rules.share]


@dataclass(frozen=True)
class Serve:
    """The table ``[serve]``; `default.toml` says what each key means and why it has its value."""

    upload_mb: Annotated[float, rules.positive]
    recording_s: Annotated[float, rules.positive]
    waiting: Annotated[int, rules.whole(1)]
    timeout_s: Annotated[float, rules.positive]
    batch: Annotated[int, rules.whole(1)]


@dataclass(frozen=True)
class Start:
    """The table ``[start]``; `default.toml` says what each key means and why it has its value."""

    weights: Annotated[str, rules.start_weights]
    steps: Annotated[float, rules.positive]
    rate: Annotated[float, rules.positive]
    trunk_rate: Annotated[float, rules.positive]
    blend: Annotated[float, rules.share_or_all]
    freeze: Annotated[bool, rules.on_or_off]
    one_pass: Annotated[bool, rules.on_or_off]
    recordings: Annotated[int, rules.whole(0)]
    fewest: Annotated[int, rules.whole(0)]
    fitted_to: Annotated[int, rules.whole(0)]


#: Tables with keys of their own, and what holds them.
_TABLES: dict[str, type] = {"pretrain": Pretrain, "serve": Serve, "start": Start}


@dataclass(frozen=True)
class Config:
    """The choices of a run; `default.toml` says what each key means and why it has its value.

    Attributes:
        files: the files that were read, in this order.
        overrides: settings given one by one, by dotted key.
    """

    label_space: Annotated[str, rules.label_space_name]
    lead_sets: Annotated[tuple[tuple[str, ...], ...], rules.lead_sets]
    architectures: Annotated[tuple[str, ...], rules.architectures]
    preset: Annotated[str, rules.text]
    seed: Annotated[int, rules.whole(0, 2**32 - 1)]
    time_limit_hours: Annotated[float, rules.positive]
    epochs: Annotated[int, rules.whole(1)]
    min_steps: Annotated[int, rules.whole(1)]
    reconstruction_steps: Annotated[float, rules.positive]
    batch_size: Annotated[int, rules.whole(1)]
    learning_rate: Annotated[float, rules.positive]
    weight_decay: Annotated[float, rules.number(rules.at_least(0))]
    loss: Annotated[str, rules.one_of(*rules.LOSSES)]
    schedule: Annotated[str, rules.one_of(*rules.SCHEDULES)]
    validation_share: Annotated[float, rules.share]
    folds: Annotated[int, rules.whole(2)]
    test_share: Annotated[float, rules.share]
    workers: Annotated[int, rules.workers]
    scheduler: Annotated[str, rules.text]
    keep_work: Annotated[bool, rules.on_or_off]
    cache: Annotated[str, rules.text]
    leads: Annotated[dict[str, str], rules.lead_names]
    abnormality: Annotated[bool, rules.on_or_off]
    pretrain: Pretrain
    serve: Serve
    start: Start
    presets: Annotated[dict[str, dict[str, dict[str, Any]]], rules.presets]
    files: tuple[str, ...] = field(compare=False)
    overrides: dict[str, Any] = field(compare=False)

    def options(self, architecture: str, preset: str) -> dict[str, Any]:
        """The model options that a preset gives an architecture."""
        return dict(self.presets.get(preset, {}).get(architecture, {}))

    def summary(self) -> str:
        """Where the values come from, in one line."""
        items = self.overrides.items()
        settings = [f"{key}={f'{value:.4g}' if isinstance(value, float) else value}" for key, value in items]
        return "configuration: " + ", ".join([*self.files, *settings])

    def provenance(self) -> dict[str, Any]:
        """Files, single settings and every effective value, as plain values for `entry.json`."""
        values = asdict(self)
        return {"files": list(values.pop("files")), "overrides": values.pop("overrides"), "values": values}


class Setting(NamedTuple):
    """One value that overrides what files say.

    Attributes:
        source: what messages call it (``--epochs``).
        key: its key; that of a table's value is dotted (``pretrain.below``).
        value: as TOML would have it.
    """

    source: str
    key: str
    value: Any


def parse_setting(words: str, source: str = "--set") -> Setting:
    """``KEY=VALUE`` with a value in TOML; one that is no TOML is text, so that ``preset=compact`` needs no quotes.

    Raises:
        ValueError: there is no key or no equals sign.
    """
    key, equals, value = map(str.strip, words.partition("="))
    if not (key and equals and all(part.strip() for part in key.split("."))):
        raise ValueError(f"{source}: found {words!r}, expected KEY=VALUE")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = {}
    return Setting(source, key, parsed["value"] if parsed.keys() == {"value"} else value)


def load_config(
    path: str | Path | None = None, *, folder: str | Path | None = ".", settings: Iterable[Setting] = ()
) -> Config:
    """Reads the configuration: `default.toml` and what overrides it.

    Args:
        path: a file that overrides `leadset.toml` and the file that ``LEADSET_CONFIG`` names.
        folder: its `leadset.toml` is read, if there is one; None: none is.
        settings: single values that override all files.

    Raises:
        OSError: a file that is named cannot be read.
        ValueError: a file is no TOML; an unknown key, or a value that does not fit; a setting that is given twice. The
            message names file (or option), key, what was found and what was expected.
    """
    paths, settings = _files(path, folder), list(settings)
    _refuse_repeats(settings)
    layers = [(str(path), _read(path)) for path in paths]
    layers += [(setting.source, _table(setting)) for setting in settings]
    return _assemble(layers, tuple(map(str, paths)), {setting.key: setting.value for setting in settings})


def load_lead_names(folder: str | Path | None = ".") -> dict[str, str]:
    """The table ``[leads]`` alone, for verbs that need no more of it; see `load_config`.

    Checking presets imports every architecture, which takes longer than delineating a recording.
    """
    names: dict[str, str] = {}
    for file in _files(None, folder):
        names |= _apply(rules.lead_names, _read(file).get("leads", {}), str(file), "leads")
    return names


def load_label_space(folder: str | Path | None = ".") -> LabelSpace:
    """The label space that the configuration names, alone, for verbs that need no more of it; see `load_lead_names`."""
    named = [(file, _read(file)) for file in _files(None, folder)]
    spaces = [_apply(rules.label_space_name, table["label_space"], str(file), "label_space")
              for file, table in named if "label_space" in table]  # fmt: skip
    return label_space(spaces[-1])


def _files(path: str | Path | None, folder: str | Path | None) -> list[Path]:
    """The files of a configuration, later ones override earlier ones."""
    own = None if folder is None else Path(folder) / OWN_FILE
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    files = [DEFAULT_FILE]
    files += [own] if own is not None and own.is_file() else []
    return files + [Path(name) for name in (named, path) if name]


def default_config() -> Config:
    """The values of `default.toml` alone."""
    return _assemble([(str(DEFAULT_FILE), _read(DEFAULT_FILE))], (str(DEFAULT_FILE),), {})


def _assemble(layers: list[tuple[str, dict]], files: tuple[str, ...], overrides: dict[str, Any]) -> Config:
    """Checks each layer, merges them in order, and checks what depends on more than one."""
    merged: dict[str, Any] = {}
    for source, layer in layers:
        merged = _merge(merged, _checked(layer, source))
    tables = {name: kind(**merged[name]) for name, kind in _TABLES.items()}
    config = Config(**{**merged, **tables}, files=files, overrides=overrides)
    for source, layer in layers[1:]:  # a test holds that those of `default.toml` are sound
        for name, by_architecture in layer.get("presets", {}).items():
            for architecture in by_architecture:
                buildable, options = partial(rules.checked_options, architecture), config.options(architecture, name)
                _apply(buildable, options, source, f"presets.{name}.{architecture}")
    known = (AUTO, *config.presets)
    if config.preset not in known:
        source = next(source for source, layer in reversed(layers) if "preset" in layer)
        raise ValueError(f"{source}: found preset = {config.preset!r}, expected one of {', '.join(known)}")
    return config


def _checked(layer: dict[str, Any], source: str) -> dict[str, Any]:
    """The values of a layer, converted to those of `Config`; its tables stay tables, to be merged."""
    checked = _by_rule({key: value for key, value in layer.items() if key not in _TABLES}, Config, source, "")
    for name in layer.keys() & _TABLES.keys():
        if not isinstance(layer[name], dict):
            raise ValueError(f"{source}: found {name} = {layer[name]!r}, expected a table")
        checked[name] = _by_rule(layer[name], _TABLES[name], source, f"{name}.")
    return checked


def _by_rule(values: Mapping[str, Any], kind: type, source: str, prefix: str) -> dict[str, Any]:
    by_key = _rules(kind)
    for key in values:
        if key not in by_key:
            raise ValueError(f"{source}: found the unknown key {prefix + key!r}, {_expected_keys(key, by_key, prefix)}")
    return {key: _apply(by_key[key], value, source, prefix + key) for key, value in values.items()}


def _expected_keys(found: str, by_key: Iterable[str], prefix: str) -> str:
    """The keys that there are, tables included, and the one that is meant; it may be inside of a table."""
    tables = {} if prefix else _TABLES
    inside = {name: f"{table}.{name}" for table, kind in tables.items() for name in _rules(kind)}
    own = {name: prefix + name for name in (*by_key, *tables)}
    meant = {**inside, **own}
    near = get_close_matches(found, meant, n=1)
    return f"expected one of {', '.join(own)}" + (f" (did you mean {meant[near[0]]!r}?)" if near else "")


@cache
def _rules(kind: type) -> dict[str, Rule]:
    """What the value of each key of a table may be."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def _apply(rule: Rule, value: Any, source: str, key: str) -> Any:
    """The value as the rule returns it; what it refuses, as an error that names source and key."""
    try:
        return rule(value)
    except Refused as refused:
        where = ".".join([key, *refused.inside])
        raise ValueError(f"{source}: found {where} = {refused.found!r}, expected {refused.expected}") from None


def checked_value(setting: Setting) -> Any:
    """The value of a setting of no table, as the configuration would have it.

    Raises:
        ValueError: no such key, or a value that does not fit.
    """
    return _by_rule({setting.key: setting.value}, Config, setting.source, "")[setting.key]


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``; tables are merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _table(setting: Setting) -> dict[str, Any]:
    """A dotted key and its value as nested tables."""
    value = setting.value
    for part in reversed(setting.key.split(".")):
        value = {part.strip(): value}
    return value


def _refuse_repeats(settings: list[Setting]) -> None:
    for key, count in Counter(setting.key for setting in settings).items():
        if count > 1:
            given = " and ".join(f"{s.source} {s.value!r}" for s in settings if s.key == key)
            raise ValueError(f"found {key} given {count} times ({given}), expected once")


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        by = f", which {ENVIRONMENT_VARIABLE} names" if str(path) == os.environ.get(ENVIRONMENT_VARIABLE) else ""
        raise FileNotFoundError(f"{path}: no such file{by}, expected a configuration in TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from None
