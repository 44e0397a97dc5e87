"""What the values of the configuration may be: a rule takes a value as TOML has it and returns it checked."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from leadset.classes import label_space, list_label_spaces
from leadset.leads import LEADS, own_lead_names, resolve_leads

#: Takes a value; returns it, converted, or raises `Refused`.
Rule = Callable[[Any], Any]


class Refused(Exception):
    """A value that does not fit.

    Attributes:
        found: the value. expected: what would fit, as text.
        inside: the keys that lead to it, where it is a part of the value that was checked.
    """

    def __init__(self, found: Any, expected: str, *inside: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected, self.inside = found, expected, inside


# --- numbers and text ------------------------------------------------------------------------------------------------


def at_least(least: float) -> tuple[Callable[[float], bool], str]:
    """The limit of `number` that includes its bound."""
    return lambda value: value >= least, f"a finite number that is {least} or more"


def number(limit: tuple[Callable[[float], bool], str]) -> Rule:
    """Finite numbers inside a limit, which is a test and what it asks for."""
    fits, expected = limit

    def read(value: Any) -> float:
        if not _is_finite(value) or not fits(value):
            raise Refused(value, expected)
        return float(value)

    return read


def whole(least: int, most: int | None = None) -> Rule:
    """Whole numbers from ``least`` to ``most``."""
    upper = "" if most is None else f" to {most}"

    def read(value: Any) -> int:
        if not _is_number(value) or isinstance(value, float) or value < least or (most is not None and value > most):
            raise Refused(value, f"a whole number from {least}{upper or ' on'}")
        return value

    return read


positive = number((lambda value: value > 0, "a finite positive number"))
share_or_all = number((lambda value: 0 < value <= 1, "a number above 0, 1 at most"))
share = number((lambda value: 0 < value < 1, "a number between 0 and 1"))


def workers(value: Any) -> int:
    """A number of processes, or -1 for one per core."""
    if not _is_number(value) or isinstance(value, float) or (value < 1 and value != -1):
        raise Refused(value, "a whole number from 1 on, or -1 for one per core")
    return value


def text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise Refused(value, "text")
    return value


#: What ``start.weights`` may be besides a folder: weights that ship, those of simulation alone, or none.
SHIPPED, SIMULATED, NOTHING = "shipped", "simulated", "none"


def start_weights(value: Any) -> str:
    """A word for the weights to start from, or a folder that is there."""
    words = (SHIPPED, SIMULATED, NOTHING)
    if not isinstance(value, str) or not (value in words or Path(value).is_dir()):
        raise Refused(value, f"one of {', '.join(words)}, or a folder of weights")
    return value


def one_of(*known: str) -> Rule:
    """One of some words."""

    def read(value: Any) -> str:
        if value not in known:
            raise Refused(value, f"one of {', '.join(known)}")
        return value

    return read


#: Names of `leadset.training.steps.losses.LOSSES` and of `leadset.training.steps.schedules.CLASSIFIER_SCHEDULES`.
LOSSES, SCHEDULES = ("cross_entropy", "focal", "asymmetric"), ("one_cycle", "cosine", "halving", "tenth", "constant")


def on_or_off(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Refused(value, "true or false")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and abs(value) <= sys.float_info.max  # an integer may be beyond all floats


# --- names -----------------------------------------------------------------------------------------------------------


def label_space_name(value: Any) -> str:
    """The name of a label space, or the path of its file."""
    known = f"one of {', '.join(list_label_spaces())}, or the path of a .toml file"
    if not isinstance(value, str):
        raise Refused(value, known)
    try:
        label_space(value)
    except ValueError as error:
        raise Refused(value, f"{known} that is sound ({error})" if value.endswith(".toml") else known) from None
    return value


def lead_sets(value: Any) -> tuple[tuple[str, ...], ...]:
    """Distinct lead sets, each a size, its text or its names."""
    if not isinstance(value, list) or not value:
        raise Refused(value, 'a list of at least one lead set, such as ["12", "II,V5"]')
    resolved_sets: list[tuple[str, ...]] = []
    for leads in value:
        names = leads if isinstance(leads, list) else [str(leads)]
        if isinstance(leads, bool | float | dict) or not all(isinstance(name, str) for name in names):
            raise Refused(value, 'lead sets by size or names, such as ["12", "II,V5"]')
        try:
            resolved = resolve_leads(leads)
        except ValueError as error:
            raise Refused(value, f'lead sets by size or names, such as ["12", "II,V5"]: {error}') from None
        if resolved in resolved_sets:
            raise Refused(value, f"each lead set once, found {','.join(resolved)} twice")
        resolved_sets.append(resolved)
    return tuple(resolved_sets)


def lead_names(value: Any) -> dict[str, str]:
    """A table of lead names, each with the lead that it stands for, as `leadset.leads.own_lead_names` returns it."""
    _refuse_all_but_tables(value)
    names: dict[str, str] = {}
    for written, meant in value.items():
        try:
            own = own_lead_names({written: meant})
        except ValueError:
            expected = f"one of {' '.join(LEADS)}, behind '-' where it was recorded upside down"
            raise Refused(meant, expected, written) from None
        if own.keys() & names.keys():
            raise Refused(meant, "each name once, in upper or lower case", written)
        names |= own
    return names


@cache
def _known_models() -> tuple[str, ...]:
    from leadset.models import list_models

    return tuple(list_models())


def architectures(value: Any) -> tuple[str, ...]:
    """``["all"]``, or distinct names of registered architectures."""
    known = ", ".join(_known_models())
    expected = f'["all"], or a list of distinct names out of {known}'
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise Refused(value, expected)
    if value != ["all"] and (not set(value) <= set(_known_models()) or len(set(value)) < len(value)):
        raise Refused(value, expected)
    return tuple(value)


# --- presets ---------------------------------------------------------------------------------------------------------


def presets(value: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """Tables NAME.ARCHITECTURE of options that the architecture has."""
    _refuse_all_but_tables(value)
    for name, by_architecture in value.items():
        _refuse_all_but_tables(by_architecture, name)
        for architecture, options in by_architecture.items():
            if architecture not in _known_models():
                raise Refused(options, f"architectures out of {', '.join(_known_models())}", name, architecture)
            _refuse_all_but_tables(options, name, architecture)
            _check_names(architecture, options, name)
    return value


def _check_names(architecture: str, options: dict[str, Any], preset: str) -> None:
    """Refuses options that the architecture does not have, and values that are no option's."""
    from leadset.models import model_options

    known = model_options(architecture)
    for option, setting in options.items():
        if option not in known:
            raise Refused(setting, f"options out of {', '.join(known)}", preset, architecture, option)
        if not _is_plain(setting):
            expected = "a finite number, true, false, text or a list of such"
            raise Refused(setting, expected, preset, architecture, option)


def checked_options(architecture: str, options: dict[str, Any]) -> None:
    """Refuses option values that the architecture cannot be built with."""
    import torch

    from leadset.models import create_model

    expected = f"options that {architecture} can be built with"
    try:
        with torch.device("meta"), warnings.catch_warnings():  # no weight is drawn
            warnings.simplefilter("ignore")  # of layers without weights, which are refused
            model = create_model(architecture, **options)
            if not all(parameter.numel() for parameter in model.parameters()):
                raise ValueError("a layer without weights")
    except Exception as error:  # constructors meet wrong values with errors of many kinds
        raise Refused(options, f"{expected} ({type(error).__name__}: {error})") from None


def _refuse_all_but_tables(value: Any, *inside: str) -> None:
    if not isinstance(value, dict):
        raise Refused(value, "a table", *inside)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, bool | str) or _is_finite(value)
