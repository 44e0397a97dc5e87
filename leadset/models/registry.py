"""The registry of architectures: a model file registers itself, and no other file changes.

The contract that every registered classifier honours:

* the constructor takes ``leads`` (a tuple of lead names in standard order) and ``n_classes`` first, then options;
* ``model.input_spec`` (`leadset.preprocess.InputSpec`) states its input: rate, filter, length, scaling, extra inputs;
* ``model(x, mask=None)`` takes ``x`` (b, l, t) float32 and ``mask`` (b, t) bool, true where a sample was recorded and
  false where it is padding (None: no padding), and returns logits (b, k). No sigmoid inside;
* it names its extra inputs (beats, age, sex) in ``model.input_spec.extra`` and takes them as keyword arguments of these
  names, in the shapes of `leadset.models.extra_inputs.extra_shapes`; an argument that is left out is missing.

Networks of another ``kind`` say in their docstring what they take and return; their constructor takes ``leads`` first,
no ``n_classes``, and they too state their ``input_spec``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from leadset.classes import CHALLENGE, label_space
from leadset.leads import LEADS, resolve_leads
from leadset.models.extra_inputs import check_extra_inputs
from leadset.models.layers.extra_term import ExtraTerm
from leadset.models.layers.fast import use_fast_forms
from leadset.models.layers.zero_leads import ZeroLeads
from leadset.preprocess import InputSpec
from leadset.utils.modules import import_modules

#: Options that every classifier has beside its own.
COMMON_OPTIONS: tuple[str, ...] = ("extra", "zero_leads")

#: Options that change how a network learns and none of its weights, so that weights fit whatever they are.
LEARNING_OPTIONS: tuple[str, ...] = ("dropout",)

#: What a registered network computes: logits of classes, or a reconstruction of its own input.
KINDS: tuple[str, ...] = ("classifier", "reconstruction")


@dataclass(frozen=True)
class ModelEntry:
    """A registered architecture.

    Attributes:
        name: of `create_model`.
        build: its constructor.
        title: what its authors call it. citation: the publication, with its year.
        after: authors, venue and year, as tables have them behind the title; by default the whole citation.
        url: where the publication is; empty: nowhere.
        reduced: options of a network that is small enough for tests, which build every registered architecture.
        kind: what it computes, one of `KINDS`.
    """

    name: str
    build: Callable[..., nn.Module]
    title: str
    citation: str
    reduced: dict[str, Any]
    kind: str = "classifier"
    after: str = ""
    url: str = ""

    @property
    def card(self) -> str:
        """Path of its model card inside the repository."""
        return f"docs/models/{self.name}.md"


_REGISTRY: dict[str, ModelEntry] = {}


def register_model(
    name: str, *, title: str, citation: str, reduced: dict[str, Any], kind: str = "classifier", after: str = "",
    url: str = "",
) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Class decorator that registers an architecture under ``name``; the rest are attributes of `ModelEntry`."""
    if kind not in KINDS:
        raise ValueError(f"model {name!r} is of kind {kind!r}: expected one of {', '.join(KINDS)}")

    def register(build: type[nn.Module]) -> type[nn.Module]:
        if name in _REGISTRY:
            raise ValueError(f"model {name!r} is registered twice")
        _REGISTRY[name] = ModelEntry(name, build, title, citation, reduced, kind, after or citation, url)
        return build

    return register


def list_models(kind: str | None = None) -> list[str]:
    """Names of the registered architectures, sorted: all of them, or those of one of `KINDS`."""
    import_modules("leadset.models")
    return sorted(name for name, entry in _REGISTRY.items() if kind in (None, entry.kind))


def model_entry(name: str) -> ModelEntry:
    """The registration of ``name``.

    Raises:
        ValueError: no such model; the message lists those there are.
    """
    import_modules("leadset.models")
    if name not in _REGISTRY:
        raise ValueError(f"no model {name!r}: expected one of {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name]


def create_model(
    name: str,
    leads: int | str | Sequence[str] = 12,
    n_classes: int | None = None,
    pretrained: bool | str = False,
    **options: Any,
) -> nn.Module:
    """Builds a network: untrained, or with the weights that ship.

    Args:
        name: one of `list_models`.
        leads: a lead set's size, its text (``"II,V5"``) or its lead names.
        n_classes: number of logits of a classifier; the scored classes of the Challenge by default.
        pretrained: load the weights that ship, cut to the leads (`leadset.models.shipped.load_shipped`); options then
            come from them. ``"simulated"`` takes those that learned from simulation alone, for experiments on
            recordings that the others may have seen.
        options: the architecture's own options, by name; and for any classifier ``extra``, the extra inputs (``"age"``,
            ``"sex"``) of which its logits gain a linear term, and ``zero_leads=True``, a network of all twelve leads in
            which those that are missing are zero.

    Returns:
        The network; its ``leads`` are those of its input, in their order, and its ``input_spec`` says what samples it
        wants, which `leadset.entry.network_inputs` makes of a recording. Outputs are logits (b, k).

    Raises:
        ValueError: unknown model, lead set or option value, ``n_classes`` for a model that is no classifier, no
            shipped weights that fit, or a network that does not keep the contract above.
        TypeError: an option that the architecture does not have.

    Example:
        >>> network = leadset.create_model("star", leads=("I", "II", "V2"), n_classes=9)
        >>> network.leads, network.input_spec.transform.rate, network.input_spec.samples
        (('I', 'II', 'V2'), 100, 1000)
    """
    if pretrained:
        from leadset.models.shipped import folder_of, load_shipped

        return load_shipped(name, leads, n_classes, folder_of(pretrained), **options)
    entry, leads = model_entry(name), resolve_leads(leads)
    if entry.kind == "classifier":
        n_classes = len(label_space(CHALLENGE)) if n_classes is None else n_classes
        model = _classifier(entry, leads, n_classes, options)
        if "extra" in options:
            model = ExtraTerm(model, options["extra"], n_classes)
    elif n_classes is None:
        model = entry.build(leads, **options)
        _check_input_spec(entry, model)
    else:
        raise ValueError(f"{name} is a {entry.kind} model: found n_classes={n_classes}, expected none")
    check_extra_inputs(model.input_spec)
    model.model_name, model.options, model.leads = name, options, leads
    return use_fast_forms(model)


def _classifier(entry: ModelEntry, leads: tuple[str, ...], n_classes: int, options: dict[str, Any]) -> nn.Module:
    own = {option: value for option, value in options.items() if option not in COMMON_OPTIONS}
    zeroed = bool(options.get("zero_leads")) and leads != LEADS
    model = entry.build(LEADS if zeroed else leads, n_classes, **own)
    _check_input_spec(entry, model)
    _check_arguments(entry, model)
    return ZeroLeads(model, leads) if zeroed else model


def _check_input_spec(entry: ModelEntry, model: nn.Module) -> None:
    found = getattr(model, "input_spec", None)
    if not isinstance(found, InputSpec):
        raise ValueError(f"{entry.name}: found input_spec = {found!r}, expected an InputSpec that its constructor sets")


def _check_arguments(entry: ModelEntry, model: nn.Module) -> None:
    """Raises a `ValueError` where a classifier does not take what it is called with."""
    signature, extra = inspect.signature(model.forward), model.input_spec.extra
    try:
        signature.bind("x", "mask", **dict.fromkeys(extra))
        signature.bind("x", mask="mask")
    except TypeError as error:
        expected = ", ".join(["x", "mask=None", *(f"{name}=None" for name in extra)])
        raise ValueError(f"{entry.name}: found forward{signature}, expected ({expected}): {error}") from None


def create_network(name: str, leads: Sequence[str], n_classes: int, options: dict[str, Any]) -> nn.Module:
    """`create_model` for an entry with so many classes, whatever the kind of the model."""
    return create_model(name, leads, n_classes if model_entry(name).kind == "classifier" else None, **options)


def model_options(name: str) -> list[str]:
    """Names of the options that `create_model` takes for an architecture, its own first."""
    entry = model_entry(name)
    parameters = inspect.signature(entry.build).parameters.values()
    own = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    return [*own, *COMMON_OPTIONS] if entry.kind == "classifier" else own


def same_options(name: str, some: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether two sets of options make networks of the same weights; those that are not named have their default."""
    parameters = inspect.signature(model_entry(name).build).parameters
    defaults = {option: parameters[option].default for option in model_options(name) if option in parameters}
    ignored = dict.fromkeys(LEARNING_OPTIONS)
    one, other = (json.dumps(defaults | given | ignored, sort_keys=True) for given in (some, others))
    return one == other


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
