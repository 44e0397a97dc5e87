"""The checks by name: `register_check` adds one, `list_checks` finds those of all modules of `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadset.utils.modules import import_modules

if TYPE_CHECKING:
    from leadset.stress.bench import Bench


class FailedCheck(Exception):
    """The entry did not do what the check expects; the message says what it did."""


class SkippedCheck(Exception):
    """The check cannot be made here; the message says why."""


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: for ``--only`` and tables.
        shows: what an entry shows that passes.
        run: makes it; returns a remark, raises `FailedCheck` or `SkippedCheck`.
    """

    name: str
    shows: str
    run: Callable[[Bench], str]


_CHECKS: dict[str, Check] = {}
#: The check that trains the entry that others ask; it is always made.
BASE = "base"


def register_check(name: str, shows: str) -> Callable[[Callable[[Bench], str]], Callable[[Bench], str]]:
    """Decorates a function that makes a check; see `Check`."""

    def register(run: Callable[[Bench], str]) -> Callable[[Bench], str]:
        _CHECKS[name] = Check(name, shows, run)
        return run

    return register


def list_checks(only: Iterable[str] = ()) -> list[Check]:
    """All checks, or those of some names and `BASE`, in their order.

    Raises:
        ValueError: there is no check of a name.
    """
    import_modules("leadset.stress.checks")
    # A module may have been imported before its turn.
    checks = sorted(_CHECKS.values(), key=lambda check: check.run.__module__)
    only = list(only)
    for name in only:
        if name not in _CHECKS:
            raise ValueError(f"found no check {name!r}, expected some of {', '.join(check.name for check in checks)}")
    return [check for check in checks if not only or check.name in (BASE, *only)]
