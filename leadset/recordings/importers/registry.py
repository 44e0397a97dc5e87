"""The registry of importers: a file of this folder registers itself, and no other file changes.

An importer is a function ``(folder: Path, task: str, **options) -> DataSet``, whose options are texts. It reads the
tables of a data set as published, names every recording that it leaves out, and copies nothing. ``folder`` is there;
``task`` is one of those that it was registered with, empty where there are none. What it is registered with comes into
the data set by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from leadset.recordings.dataset import DataSet, counted, remarks_on_codes, remarks_on_folds
from leadset.utils.modules import import_modules


@dataclass(frozen=True)
class Importer:
    """A registered importer.

    Attributes:
        name: what stands before the colon of ``NAME:FOLDER``.
        build: the function.
        title, citation, licence: of the data set.
        published: number of recordings by release, as its authors give it.
        tasks: label space by task, the default task first; empty where labels come with no task.
        classes: number of recordings by task, release and code, as its authors give it.
        more_options: names of options that the function takes together, as ``**more``.
        mark: name of a file by which the folder of the data set is known; empty: there is none.
    """

    name: str
    build: Callable[..., DataSet]
    title: str
    citation: str
    licence: str
    published: Mapping[str, int]
    tasks: Mapping[str, str]
    classes: Mapping[str, Mapping[str, Mapping[str, int]]]
    more_options: tuple[str, ...] = ()
    mark: str = ""

    @property
    def options(self) -> list[str]:
        """Names of the options that it takes."""
        parameters = inspect.signature(self.build).parameters.values()
        return [*self.more_options, *(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)]

    def open(self, folder: Path, task: str | None = None, /, **options: str) -> DataSet:
        """Reads the data set; see `leadset.recordings.importers.open_dataset`."""
        if task is not None and task not in self.tasks:
            expected = f"one of {', '.join(self.tasks)}" if self.tasks else "none: this importer has no tasks"
            raise ValueError(f"{self.name}:{folder}: found task {task!r}, expected {expected}")
        for option in options.keys() - set(self.options):
            expected = f"one of {', '.join(self.options)}" if self.options else "none"
            raise ValueError(f"{self.name}:{folder}: found the option {option!r}, expected {expected}")
        data = self.build(folder, task or next(iter(self.tasks), ""), **options)
        remarks = [*data.remarks, *remarks_on_folds(data.items, data.label_space)]
        remarks += remarks_on_codes(data.items, data.label_space) if data.label_space else []
        opened = f"{self.name}:{folder}"
        if not data.items:
            why = "".join(f"; {line}" for line in [*(f"left out: {line}" for line in counted(data.left_out)), *remarks])
            raise ValueError(f"{opened}: found no recording that can take part, expected some{why}")
        return replace(
            data, opened=opened, remarks=tuple(remarks), published=data.published or self.published,
            title=data.title or self.title, citation=self.citation, licence=self.licence,
            published_classes=self.classes.get(task or next(iter(self.tasks), ""), {}),
        )  # fmt: skip


_REGISTRY: dict[str, Importer] = {}


def register_importer(
    name: str,
    *,
    title: str,
    citation: str,
    licence: str,
    published: Mapping[str, int] | None = None,
    tasks: Mapping[str, str] | None = None,
    classes: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None,
    more_options: Iterable[str] = (),
    mark: str = "",
) -> Callable[[Callable[..., DataSet]], Callable[..., DataSet]]:
    """Function decorator that registers an importer under ``name``; the rest are attributes of `Importer`."""

    def register(build: Callable[..., DataSet]) -> Callable[..., DataSet]:
        counts = published or {}, tasks or {}, classes or {}
        _REGISTRY[name] = Importer(name, build, title, citation, licence, *counts, tuple(more_options), mark)
        return build

    return register


def list_importers() -> list[str]:
    """Names of the registered importers, sorted."""
    import_modules(__package__)
    return sorted(_REGISTRY)


def importer_for(folder: Path) -> Importer | None:
    """The importer whose mark is in a folder."""
    importers = map(importer, list_importers())
    return next((one for one in importers if one.mark and (folder / one.mark).is_file()), None)


def importer(name: str) -> Importer:
    """The importer of a name.

    Raises:
        ValueError: no such importer; the message lists those there are.
    """
    import_modules(__package__)
    if name not in _REGISTRY:
        raise ValueError(f"found no importer {name!r}, expected one of {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name]
