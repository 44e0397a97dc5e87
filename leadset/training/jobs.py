"""The networks of a run: architectures on lead sets, each with the weights that it starts from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from leadset.classes import LabelSpace
from leadset.config import Config
from leadset.config_rules import NOTHING
from leadset.leads import LEADS, lead_set_name
from leadset.models import create_network, list_models, model_entry
from leadset.training.context import Job
from leadset.training.start import Start, Starts, can_be_cut, nearest_classes


def make_jobs(config: Config, space: LabelSpace, preset: str) -> list[Job]:
    """The networks of a run, whatever its data.

    Raises:
        ValueError: weights to start from that are damaged, or of another version.
    """
    starts = Starts(config.start.weights)
    names = list_models() if "all" in config.architectures else config.architectures
    return [job for name in names for job in _jobs_of(name, config, space, preset, starts)]


def _jobs_of(name: str, config: Config, space: LabelSpace, preset: str, starts: Starts) -> Iterator[Job]:
    lead_sets = tuple(sorted(config.lead_sets, key=len, reverse=True))
    classifies = model_entry(name).kind == "classifier"
    if config.start.one_pass and len(lead_sets) > 1 and classifies:
        start = _start_for(name, LEADS, config, preset, starts)
        options = _options(name, config, preset, starts, start)
        whole, smallest = (create_network(name, leads, len(space), options) for leads in (LEADS, lead_sets[-1]))
        if start is not None and can_be_cut(smallest):
            yield Job(name, options, LEADS, whole.input_spec, start, lead_sets)
            return
    for leads in lead_sets:
        start = _start_for(name, leads, config, preset, starts)
        options = _options(name, config, preset, starts, start)
        model = create_network(name, leads, len(space), options)
        if start is not None and start.leads != leads and not can_be_cut(model):
            start = None
        yield Job(name, options, leads, model.input_spec, start)


def _start_for(
    name: str, leads: tuple[str, ...], config: Config, preset: str, starts: Starts
) -> Start | None:
    start = starts.find(name, leads)
    if start is None or starts.gives_options or start.has_options(name, config.options(name, preset)):
        return start
    return None


def _options(name: str, config: Config, preset: str, starts: Starts, start: Start | None) -> dict:
    return start.options if start is not None and starts.gives_options else config.options(name, preset)


def describe_starts(jobs: Iterable[Job], config: Config, space: LabelSpace) -> Iterator[str]:
    """What networks start from, a line for each kind of start."""
    by_start: dict[str, dict[str, None]] = {}
    for job in jobs:
        by_start.setdefault(_described(job, config, space), {})[_shown(job)] = None
    for described, names in by_start.items():
        yield f"{', '.join(names)}: {described}"


def _shown(job: Job) -> str:
    return job.architecture if job.start is None or job.cut_to else f"{job.architecture} ({lead_set_name(job.leads)})"


def _described(job: Job, config: Config, space: LabelSpace) -> str:
    weights = config.start.weights
    if job.start is None:
        why = "" if weights == NOTHING else f", as no {weights} weights are of this network in this size"
        return f"from nothing{why}"
    known, words = len(nearest_classes(space, job.start)), ""
    if job.kind == "classifier" and known < len(space):
        words = f", {known} of {len(space)} classes known" if known else ", no common class, so with a new head"
    tuned = "heads tuned" if config.start.freeze else "tuned"
    times = "once for all lead sets" if job.cut_to else "for each lead set"
    return f"from {job.start.about} weights{words}, {tuned} {times}"
