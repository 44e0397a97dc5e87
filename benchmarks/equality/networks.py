"""What is recorded of networks: weights, logits, gradients, reconstructions, as pairs of a name and a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from equality.inputs import Ecg, Inputs, Items, challenge_paths, read, sha, simulated

from leadset import LEAD_SETS, create_model, list_models
from leadset.anomaly.scoring import Scoring, score_recording
from leadset.config import load_config
from leadset.models.extra_inputs import RecordingContext
from leadset.models.extra_inputs import extra_inputs as window_inputs
from leadset.models.prediction import predict, window_logits
from leadset.preprocess import cut_window, prepare, window_starts
from leadset.waves.beats import find_beats

#: Architectures whose published size is quick enough.
PUBLISHED = ("cnn_heartmaasters", "crnn_pqrst", "mvms_net", "resnet34", "star")
#: Options of a ResUNet-LC wider than those of the presets.
WIDE = {"width": 64, "samples": 512, "rate": 100}


def seeded(name: str, leads: int, **options: Any) -> torch.nn.Module:
    """A network with weights and running statistics out of a seed, in evaluation mode."""
    torch.manual_seed(7)
    model = create_model(name, leads, **options).eval()
    for key, values in model.state_dict().items():
        if key.endswith("running_mean"):
            values.normal_(0, 0.1)
        elif key.endswith("running_var"):
            values.uniform_(0.5, 1.5)
    return model


def state(model: torch.nn.Module) -> list[str]:
    """Names and digests of the weights."""
    return [f"{name} {sha(values.numpy().tobytes())}" for name, values in model.state_dict().items()]


@cache
def model_recordings(real: Path) -> list[Ecg]:
    """One of several windows, a short one, which is padded, and one with gaps."""
    paths = challenge_paths(real, 1)
    return [read(paths[4], 22), read(paths[3], 3.7), simulated(6, 3, 500)[-1]]


def extra_inputs(ecg: Ecg, prepared: Any, leads: Sequence[str], spec: Any) -> tuple[tuple, Callable[[int], dict]]:
    """What a network gets besides samples: for `predict`, and by the start of a window for `window_logits`."""
    arrays = prepared.samples, prepared.statistics, spec.transform.rate, leads
    if not spec.extra:
        return (), lambda start: {}
    context = RecordingContext(ecg.age, ecg.sex, {kind: find_beats(*arrays, kind) for kind in (False, True)})
    return (context,), lambda start: window_inputs(context, start, spec, len(leads))


def architectures(kind: str) -> list[str]:
    """Names of the classifiers, or of all others."""
    classifiers = list_models("classifier")
    return classifiers if kind == "classifier" else [name for name in list_models() if name not in classifiers]


def model_sizes(config: Any, kind: str) -> Iterator[tuple[str, str, dict]]:
    """Architecture, name of the size, options."""
    for name in architectures(kind):
        for preset in ("demo", "compact"):
            yield name, preset, config.options(name, preset)
        if name in PUBLISHED:
            yield name, "published", {}
    if kind == "classifier":
        for variant in ("res2d_lc", "res2d_maxpool", "res1d_maxpool"):
            yield "resunet_lc", variant, {"width": 8, "samples": 512, "rate": 100, "variant": variant}
        yield "resunet_lc", "wide", WIDE
        yield "mvms_net", "teacher", {"width": 16, "samples": 500, "student": False}


def classifiers(inputs: Inputs) -> Items:
    """Weights, logits of windows and probabilities of recordings."""
    for name, size, options in model_sizes(load_config(), "classifier"):
        for n_leads in (12, 3, 2):
            model, leads, key = seeded(name, n_leads, **options), LEAD_SETS[n_leads], f"{name}/{size}/{n_leads}"
            spec, rows = model.input_spec, [LEAD_SETS[12].index(lead) for lead in leads]
            yield f"weights/{key}", state(model)
            asked = []
            for ecg in model_recordings(inputs.real):
                prepared = prepare(ecg.signal, ecg.fs, ecg.leads, spec.transform)
                arrays = prepared.samples, prepared.statistics
                more, by_window = extra_inputs(ecg, prepared, leads, spec)
                starts = window_starts(prepared.samples.shape[1], spec)[:2]
                windows, masks = zip(*(cut_window(*arrays, rows, start, spec) for start in starts), strict=True)
                told = [by_window(start) for start in starts]
                told = {argument: np.stack([one[argument] for one in told]) for argument in told[0]}
                yield f"logits/{key}/{ecg.name}", window_logits(model, np.stack(windows), np.stack(masks), told)
                asked.append((*arrays, *more))
            yield f"probabilities/{key}", np.stack(list(predict(model, asked, leads, spec)))


def gradients(inputs: Inputs) -> Items:
    """Logits and gradients in training mode, of ResUNet-LC at a larger width too."""
    config = load_config()
    cases = [(name, "demo", 12, config.options(name, "demo")) for name in architectures("classifier")]
    cases += [("resunet_lc", "wide", leads, WIDE) for leads in (12, 2)]
    for name, size, leads, options in cases:
        model, key = seeded(name, leads, **options).train(), f"gradients/{name}/{size}/{leads}"
        torch.manual_seed(11)
        x = torch.randn(2, leads, model.input_spec.samples)
        logits = model(x)
        torch.nn.functional.softplus(logits).mean().backward()
        parts = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        yield f"{key}/logits", logits.detach().numpy()
        yield f"{key}/gradient", torch.cat(parts).numpy()


def restorers(inputs: Inputs) -> Items:
    """What a restorer puts out, and the scores of recordings."""
    cases = [(*case, {}) for case in model_sizes(load_config(), "restorer")]
    name, _, options = cases[0][:3]
    published = dict.fromkeys(("overlap", "pairing", "places"), "published")
    cases += [
        (name, "attributes", {**options, "attributes": True, "classes": 5}, {}),
        (name, "as published", {**options, "log_variance": "published"}, published),
    ]
    for name, size, options, scoring in cases:
        for leads in (12, 3, 2):
            model, key = seeded(name, leads, **options), f"{name}/{size}/{leads}"
            yield f"weights/{key}", state(model)
            torch.manual_seed(13)
            samples = model.input_spec.samples
            inputs_of_model = (torch.rand(2, leads, t) * 2 - 1 for t in (samples, model.beat_samples, samples))
            with torch.inference_mode():
                (record, log_variance), (beat, _), trend, *_ = model(*inputs_of_model)
            parts = {"record": record, "variance": log_variance, "beat": beat, "trend": trend}
            yield from ((f"restored/{key}/{part}", values.numpy()) for part, values in parts.items())
            for ecg in model_recordings(inputs.real):
                prepared = prepare(ecg.signal, ecg.fs, ecg.leads, model.input_spec.transform)
                arrays = prepared.samples, prepared.statistics
                found = score_recording(model.folded(), *arrays, Scoring(**scoring), prepared.flags)
                for field, value in vars(found).items():
                    yield f"scores/{key}/{ecg.name}/{field}", list(value.values()) if field == "parts" else value
