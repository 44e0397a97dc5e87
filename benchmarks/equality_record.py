"""A record of what the package computes, and its comparison with another record: does a rewrite change any result?

    python benchmarks/equality_record.py --make-entry FOLDER                       train a small entry, once
    python benchmarks/equality_record.py OUT.npz --real FOLDER [--entry FOLDER]    write a record
    python benchmarks/equality_record.py OUT.npz --against OTHER.npz               compare OUT with OTHER

The package of the current folder is recorded, whatever folder this file lies in: an older tree is recorded from within
it. Whatever is computed is reached by the names of `NAMES`, the place to adapt where a name has moved. All is computed
in one process, on one thread. The comparison is of bits; a difference fails where its absolute value is above the
tolerance of its group: `--tolerance logits=1e-5`, or `--tolerance 1e-5` for all groups. Texts, digests, shapes and
types that differ, and what is in one record only, count as infinite. A relative difference is one divided by the
largest magnitude in its array.

Longer than 400 lines because the file must run from within an older tree, alone, and reach all of it by one table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

#: Where each name is found: the first of the paths that exists counts. None: it may be missing.
NAMES: dict[str, tuple[str | None, ...]] = {
    "LEAD_SETS": ("leadset.LEAD_SETS",),
    "read_recording": ("leadset.read_recording",),
    "delineate": ("leadset.delineate",),
    "list_models": ("leadset.list_models",),
    "create_model": ("leadset.create_model",),
    "load_entry": ("leadset.load_entry",),
    "evaluate": ("leadset.scoring.evaluate",),
    "scores_text": ("leadset.scoring.scores_text",),
    "class_scores_text": ("leadset.scoring.class_scores_text",),
    "load_config": ("leadset.config.load_config",),
    "train_entry": ("leadset.training.run.train_entry",),
    "run_model": ("leadset.challenge.run_model",),
    "test_entry": ("leadset.challenge.test_entry",),
    "extract_main": ("extract_leads_wfdb.main",),
    "find_recordings": ("leadset.recordings.find_recordings",),
    "read_header": ("leadset.recordings.read_header",),
    "read_raw": ("leadset.recordings.read_raw",),
    "to_millivolts": ("leadset.recordings.to_millivolts",),
    "extract_features": ("leadset.waves.extract_features",),
    "find_beats": ("leadset.beats.find_beats", "leadset.waves.beats.find_beats"),
    "prepare": ("leadset.preprocess.prepare",),
    "cut_window": ("leadset.preprocess.cut_window",),
    "window_starts": ("leadset.preprocess.window_starts",),
    "Transform": ("leadset.preprocess.Transform",),
    "InputSpec": ("leadset.preprocess.InputSpec",),
    "FILTERS": ("leadset.preprocess.FILTERS",),
    "SCALINGS": ("leadset.preprocess.SCALINGS",),
    "window_logits": ("leadset.inference.window_logits", "leadset.models.prediction.window_logits"),
    "predict": ("leadset.inference.predict", "leadset.models.prediction.predict"),
    "window_inputs": ("leadset.beats.tell", "leadset.models.extra_inputs.extra_inputs"),
    "RecordingContext": ("leadset.models.extra_inputs.RecordingContext", None),
    "lead_conv": ("leadset.models.layers.lead_conv", None),
    "score_recording": ("leadset.anomaly.scoring.score_recording",),
    "Scoring": ("leadset.anomaly.scoring.Scoring",),
    "build_store": ("leadset.recordings.store.build_store", "leadset.store.packed.build_store"),
    "build_beats": ("leadset.recordings.beat_store.build_beats", "leadset.store.beat_store.build_beats"),
    "build_bank": ("leadset.simulate.bank.build_bank", "leadset.store.bank.build_bank"),
    "simulate": ("leadset.simulate.simulate",),
    "simulate_anomalies": ("leadset.simulate.simulate_anomalies",),
    "SimulatedStream": ("leadset.simulate.SimulatedStream",),
    "ANOMALIES": ("leadset.simulate.ANOMALIES",),
    "write_dataset": ("leadset.simulate.write.write_dataset",),
}
api = SimpleNamespace()  # filled by `find_names`

SOURCES = ("chapman_ningbo", "cpsc_2018", "cpsc_2018_extra", "georgia", "ptb", "ptb-xl")
#: Rates and filters of the stores; rates in Hz that recordings are prepared at.
TRANSFORMS = ((250, "highpass"), (500, "restoration"))
RATES = (100, 125, 250, 257, 360, 500, 1000)
#: Architectures whose published size is quick enough.
PUBLISHED = ("cnn_heartmaasters", "crnn_pqrst", "mvms_net", "resnet34", "star")
SIGNAL_FIELDS = (
    "file format samples_per_frame skew byte_offset gain baseline unit adc_resolution adc_zero initial checksum lead"
)
ENTRY_CONFIG = """preset = "demo"
lead_sets = ["12", "2"]
epochs = 1
min_steps = 6
batch_size = 16
workers = 1
time_limit_hours = 0.1
[pretrain]
below = 0
"""
ENTRY_RECORDINGS, ENTRY_LABELS = 40, {"NSR": 4.0, "AF": 1.0, "PVC": 1.0, "RBBB": 1.0, "SB": 1.0}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}

Items = Iterator[tuple[str, Any]]


class Ecg(NamedTuple):
    """A recording: signal (l, t) in mV."""

    name: str
    signal: np.ndarray
    fs: float
    leads: tuple[str, ...]
    age: float | None = None
    sex: str | None = None


class Inputs(NamedTuple):
    """Folders: real recordings, the entry (None: no answers are recorded), and an empty one for files."""

    real: Path
    entry: Path | None
    scratch: Path


# --- names and inputs ------------------------------------------------------------------------------------------------


def find_names() -> None:
    """Fills `api`; ends with a message that lists what was not found."""
    missing = []
    for name, paths in NAMES.items():
        try:
            setattr(api, name, next(iter(found for path in paths for found in _at(path))))
        except StopIteration:
            missing.append(f"NAMES[{name!r}]: found at none of {', '.join(map(str, paths))}")
    if missing:
        raise SystemExit("\n".join([*missing, "say in NAMES where they are now"]))


def _at(path: str | None) -> list:
    if path is None:
        return [None]
    module, _, name = path.rpartition(".")
    try:
        return [getattr(import_module(module), name)]
    except (ModuleNotFoundError, AttributeError):
        pass
    try:
        return [import_module(path)]
    except ModuleNotFoundError:
        return []


def challenge_paths(real: Path, per_source: int) -> list[Path]:
    """The first headers of each source."""
    return [p for s in SOURCES for p in api.find_recordings(real / "challenge" / "training" / s)[:per_source]]


def read(path: Path, seconds: float, start: float = 0) -> Ecg:
    """A stretch of a recording; a single lead without a name of the twelve counts as lead I."""
    found = api.read_recording(path)
    signal = found.signal[:, round(start * found.fs) : round((start + seconds) * found.fs)]
    leads = ("I",) if found.leads == ("ECG",) else found.leads
    return Ecg(f"{path.parent.name}-{found.name}", signal, found.fs, leads, found.age, found.sex)


@cache
def simulated(n: int, seed: int, rate: float) -> list[Ecg]:
    """Simulated recordings; the last one has a gap, a flat lead and a clipped one."""
    made = api.simulate(n, seed, 10.0, rate)
    signals = made.signals.copy()
    signals[-1, 1, 300:900] = np.nan
    signals[-1, 4] = 0
    signals[-1, 7] = signals[-1, 7].clip(-0.1, 0.1)
    return [Ecg(f"sim{seed}-{rate}-{i}", signals[i], rate, api.LEAD_SETS[12]) for i in range(n)]


@cache
def real_recordings(real: Path) -> list[Ecg]:
    """Fifteen recordings of several kinds, half a minute of each at most."""
    paths = [*challenge_paths(real, 1), *(p for f in ("ludb", "af_2017") for p in api.find_recordings(real / f)[:3])]
    slices = [read(path, 30, 60.0 * (i + 1)) for i, path in enumerate(api.find_recordings(real / "mitdb")[:3])]
    return [*(read(path, 30) for path in paths), *slices]


def sha(data: bytes) -> str:
    """Digest of bytes."""
    return sha256(data).hexdigest()


def files_in(folder: Path, pattern: str = "*") -> Items:
    """Names and digests of the files of a folder."""
    for path in sorted(p for p in folder.rglob(pattern) if p.is_file()):
        yield str(path.relative_to(folder)), sha(path.read_bytes())


# --- what is recorded: each function yields "group/…" and a value -----------------------------------------------------


def reading(inputs: Inputs) -> Items:
    """Headers, counts and millivolts, or that a recording is refused."""
    counts = {"ludb": 2, "af_2017": 2, "mitdb": 2, "qtdb": 1, "quality_2011": 2, "ptbxl": 1, "ptbxl_raw": 1}
    paths = [*api.find_recordings(inputs.real / "quirks"), *challenge_paths(inputs.real, 3)]
    paths += [path for folder, n in counts.items() for path in api.find_recordings(inputs.real / folder)[:n]]
    for path in paths:
        key = f"reading/{path.relative_to(inputs.real).with_suffix('')}"
        try:
            header, found = api.read_header(path), api.read_recording(path)
            raw = api.read_raw(header, path.parent)
        except (OSError, ValueError):
            yield f"{key}/refused", True
            continue
        fields = "name fs n_samples leads age sex codes patient flags comments dialect"
        yield f"{key}/header", [f"{field}={getattr(header, field)!r}" for field in fields.split()]
        yield f"{key}/signals", [f"{f}={getattr(spec, f)!r}" for spec in header.signals for f in SIGNAL_FIELDS.split()]
        fields = "name fs leads age sex codes flags patient seconds"
        yield f"{key}/recording", [f"{field}={getattr(found, field)!r}" for field in fields.split()]
        yield f"{key}/counts", raw[:, :5000]
        yield f"{key}/counts digest", f"{raw.dtype} {raw.shape} {sha(raw.tobytes())}"
        yield f"{key}/mV", api.to_millivolts(raw, header)[:, :5000]
        yield f"{key}/mV digest", f"{found.signal.dtype} {found.signal.shape} {sha(found.signal.tobytes())}"


def waves(inputs: Inputs) -> Items:
    """Marks, quality and features by both methods; beats as networks get them."""
    ecgs = [*real_recordings(inputs.real), *simulated(6, 3, 500), *simulated(2, 4, 257), *simulated(2, 5, 1000)]
    for ecg in ecgs:
        for method in ("learned", "wavelet"):
            found = api.delineate(ecg.signal, ecg.fs, method)
            for name in ("marks", "fused", "quality", "beat_quality"):
                yield f"waves/{ecg.name}/{method}/{name}", getattr(found, name)
            yield f"waves/{ecg.name}/{method}/flags", [",".join(sorted(flags)) for flags in found.flags]
            features = api.extract_features(found, ecg.signal, ecg.leads)
            for name in ("beats", "leads", "record"):
                yield f"features/{ecg.name}/{method}/{name}", getattr(features, name)
    for ecg in ecgs[::2]:
        for rate, leads, reliable in ((250, 12, False), (500, 2, True), (100, 3, False)):
            prepared = api.prepare(ecg.signal, ecg.fs, ecg.leads, api.Transform(rate, "none"))
            arrays = prepared.samples, prepared.statistics
            beats = api.find_beats(*arrays, rate, api.LEAD_SETS[leads], reliable)
            for name in ("at", "features", "record"):
                yield f"beats/{ecg.name}/{rate}/{leads}/{name}", getattr(beats, name)


def preparing(inputs: Inputs) -> Items:
    """Prepared recordings of each rate and filter; windows of each scaling."""
    real = real_recordings(inputs.real)
    by_name = {ecg.name: ecg for ecg in (real[0], real[4], real[6], real[9], simulated(6, 3, 500)[-1])}
    for ecg in [*by_name.values(), simulated(2, 4, 257)[0]]:
        signal = ecg.signal[:, : round(12 * ecg.fs)]
        for rate in RATES:
            for name in api.FILTERS:
                prepared = api.prepare(signal, ecg.fs, ecg.leads, api.Transform(rate, name))
                for field in ("samples", "statistics", "flags"):
                    yield f"prepare/{ecg.name}/{rate}/{name}/{field}", getattr(prepared, field)
        for rate, filtered in ((257, "highpass"), (500, "none")):
            transform = api.Transform(rate, filtered)
            prepared = api.prepare(signal, ecg.fs, ecg.leads, transform)
            for scaling in api.SCALINGS:
                for kind, samples in (("crop", 1000), ("tail", 7000)):
                    spec = api.InputSpec(transform, samples, scaling, kind)
                    starts = api.window_starts(prepared.samples.shape[1], spec)
                    key = f"windows/{ecg.name}/{rate}/{scaling}/{kind}"
                    yield f"{key}/starts", np.asarray(starts)
                    cut = api.cut_window(prepared.samples, prepared.statistics, (0, 1, 7), int(starts[-1]), spec)
                    yield from zip((f"{key}/window", f"{key}/mask"), cut, strict=True)


def stores(inputs: Inputs) -> Items:
    """The packed store, the stores of beats and the bank."""
    for rate, filtered in TRANSFORMS:
        folder, key = inputs.scratch / f"store{rate}", f"store/{rate}"
        store = api.build_store(challenge_paths(inputs.real, 2), api.Transform(rate, filtered), folder, 1, False)
        for i, entry in enumerate(store.recordings):
            samples, statistics = store[i]
            yield f"{key}/{entry.name}/statistics", statistics
            yield f"{key}/{entry.name}/entry", [*(f"{k}={v}" for k, v in vars(entry).items()), sha(samples.tobytes())]
        yield from _packed(folder, key)
        for leads, reliable in ((3, False), (12, False), (2, True)):
            beats = api.build_beats(store, api.LEAD_SETS[leads], folder / f"b{leads}", 1, False, reliable)
            yield f"beat_store/{rate}/{leads}/at", np.concatenate([beats[i].at for i in range(len(beats))])
            yield from _packed(folder / f"b{leads}", f"beat_store/{rate}/{leads}")
    bank = api.build_bank(64, 3, api.Transform(250, "none"), inputs.scratch / "bank", 1, False)
    yield "bank/codes", [" ".join(entry.codes) for entry in bank.recordings]
    yield "bank/statistics", np.stack([bank[i][1] for i in range(len(bank))])
    yield from _packed(inputs.scratch / "bank", "bank")


def _packed(folder: Path, key: str) -> Items:
    """Contents of the files; in a group of their own their names, in which versions of formats take part."""
    found = [item for pattern in ("*.i16", "*.f32") for item in files_in(folder, pattern) if "/" not in item[0]]
    yield f"file_names/{key}", [name for name, _ in found]
    yield f"{key}/contents", sorted(digest for _, digest in found)


def simulation(inputs: Inputs) -> Items:
    """Simulated recordings with labels and marks, streams, files, and each anomaly."""
    for seed, rate in ((0, 500), (1, 257), (2021, 1000)):
        yield from _simulated(f"simulation/{seed}-{rate}", api.simulate(8, seed, 10.0, rate))
    yield from _simulated("simulation/labels", api.simulate(8, 7, 8.0, 500, "AF,PVC,LBBB,NSR"))
    yield from _simulated("simulation/exact", api.simulate(4, 8, 10.0, 250, start=30, noise=0.0, dtype=np.float64))
    signals, codes = next(api.SimulatedStream(8, 9, 10.0, 500))
    yield "simulation/stream/signals", signals
    yield "simulation/stream/codes", [" ".join(each) for each in codes]
    list(api.write_dataset(inputs.scratch / "simulated", 24, 11, faults=0.4))
    for name, digest in files_in(inputs.scratch / "simulated"):
        yield f"simulation/files/{name}", digest
    for kind in api.ANOMALIES:
        made = api.simulate_anomalies(2, 5, 10.0, 500, (kind,))
        for name in ("signals", "clean", "masks", "kinds"):
            yield f"anomalies/{kind}/{name}", getattr(made, name)
        yield f"anomalies/{kind}/codes", [" ".join(each) for each in made.codes]


def _simulated(key: str, made: Any) -> Items:
    for name in ("signals", "ages", "sexes", "noise"):
        yield f"{key}/{name}", getattr(made, name)
    yield f"{key}/codes", [" ".join(each) for each in made.codes]
    for i, marks in enumerate(made.marks):
        yield f"{key}/marks{i}", marks


# --- networks --------------------------------------------------------------------------------------------------------


def seeded(name: str, leads: int, seed: int = 7, **options: Any) -> Any:
    """A network with weights and running statistics out of a seed, in evaluation mode."""
    import torch

    torch.manual_seed(seed)
    model = api.create_model(name, leads, **options).eval()
    for key, values in model.state_dict().items():
        if key.endswith("running_mean"):
            values.normal_(0, 0.1)
        elif key.endswith("running_var"):
            values.uniform_(0.5, 1.5)
    return model


def state(model: Any) -> list[str]:
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
    if api.RecordingContext is None:
        if not spec.delineated:
            return (), lambda start: {}
        beats = api.find_beats(*arrays, spec.reliable_beats)
        return (beats,), lambda start: api.window_inputs(beats, start, spec)
    if not spec.extra:
        return (), lambda start: {}
    context = api.RecordingContext(ecg.age, ecg.sex, {kind: api.find_beats(*arrays, kind) for kind in (False, True)})
    return (context,), lambda start: api.window_inputs(context, start, spec, len(leads))


def architectures(kind: str) -> list[str]:
    """Names of the classifiers, or of all others."""
    classifiers = api.list_models("classifier")
    return classifiers if kind == "classifier" else [name for name in api.list_models() if name not in classifiers]


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
        yield "resunet_lc", "minimal", {"width": 64, "samples": 512, "rate": 100}
        yield "mvms_net", "teacher", {"width": 16, "samples": 500, "student": False}


def classifiers(inputs: Inputs) -> Items:
    """Weights, logits of windows and probabilities of recordings."""
    for name, size, options in model_sizes(api.load_config(), "classifier"):
        for n_leads in (12, 3, 2):
            model, leads, key = seeded(name, n_leads, **options), api.LEAD_SETS[n_leads], f"{name}/{size}/{n_leads}"
            spec, rows = model.input_spec, [api.LEAD_SETS[12].index(lead) for lead in leads]
            yield f"weights/{key}", state(model)
            asked = []
            for ecg in model_recordings(inputs.real):
                prepared = api.prepare(ecg.signal, ecg.fs, ecg.leads, spec.transform)
                arrays = prepared.samples, prepared.statistics
                more, by_window = extra_inputs(ecg, prepared, leads, spec)
                starts = api.window_starts(prepared.samples.shape[1], spec)[:2]
                windows, masks = zip(*(api.cut_window(*arrays, rows, start, spec) for start in starts), strict=True)
                told = [by_window(start) for start in starts]
                told = {argument: np.stack([one[argument] for one in told]) for argument in told[0]}
                yield f"logits/{key}/{ecg.name}", api.window_logits(model, np.stack(windows), np.stack(masks), told)
                asked.append((*arrays, *more))
            yield f"probabilities/{key}", np.stack(list(api.predict(model, asked, leads, spec)))


def gradients(inputs: Inputs) -> Items:
    """Logits and gradients in training mode; of ResUNet-LC with minimal filtering, if there is, and without."""
    import torch

    config = api.load_config()
    cases = [(name, "demo", 12, config.options(name, "demo")) for name in architectures("classifier")]
    wide = {"width": 64, "samples": 512, "rate": 100}
    cases += [("resunet_lc", form, leads, wide) for form in ("minimal", "direct") for leads in (12, 2)]
    for name, form, leads, options in cases:
        direct = form == "direct" and api.lead_conv is not None
        model, key = seeded(name, leads, **options).train(), f"gradients/{name}/{form}/{leads}"
        torch.manual_seed(11)
        x = torch.randn(2, leads, model.input_spec.samples)
        with mock.patch.object(api.lead_conv, "minimal_pays", return_value=False) if direct else nullcontext():
            logits = model(x)
            torch.nn.functional.softplus(logits).mean().backward()
        parts = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        yield f"{key}/logits", logits.detach().numpy()
        yield f"{key}/gradient", torch.cat(parts).numpy()


def restorers(inputs: Inputs) -> Items:
    """What a restorer puts out, and the scores of recordings."""
    import torch

    cases = [(*case, {}) for case in model_sizes(api.load_config(), "restorer")]
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
                prepared = api.prepare(ecg.signal, ecg.fs, ecg.leads, model.input_spec.transform)
                arrays = prepared.samples, prepared.statistics
                found = api.score_recording(model.folded(), *arrays, api.Scoring(**scoring), prepared.flags)
                for field, value in vars(found).items():
                    yield f"scores/{key}/{ecg.name}/{field}", list(value.values()) if field == "parts" else value


# --- commands and entries --------------------------------------------------------------------------------------------


def copied_recordings(inputs: Inputs) -> Path:
    """A folder with two recordings of each source."""
    folder = inputs.scratch / "copies"
    if not folder.exists():
        for path in challenge_paths(inputs.real, 2):
            there = folder / path.relative_to(inputs.real / "challenge" / "training").parent
            there.mkdir(parents=True, exist_ok=True)
            for file in path.parent.glob(f"{path.stem}.*"):
                shutil.copy(file, there)
    return folder


def extracted_recordings(inputs: Inputs, *leads: str) -> Path:
    """The same with some of their leads."""
    folder = inputs.scratch / f"extracted {' '.join(leads)}"
    if not folder.exists():
        arguments = ["-i", str(copied_recordings(inputs)), "-o", str(folder), "-l", *leads]
        if api.extract_main(arguments):
            raise SystemExit("extract_leads_wfdb.py failed")
    return folder


def extraction(inputs: Inputs) -> Items:
    """Bytes of extracted recordings."""
    for leads in (("I", "II"), ("V5", "aVR", "I", "II")):
        for name, digest in files_in(extracted_recordings(inputs, *leads)):
            yield f"extract/{' '.join(leads)}/{name}", digest


def scores(inputs: Inputs) -> Items:
    """Scores and texts of small data sets."""
    path = inputs.real.parent / "reference" / "scoring_cases" / "cases.json"
    for case in json.loads(path.read_text()):
        folders = [inputs.scratch / "cases" / str(case["id"]) / part for part in ("labels", "outputs")]
        for folder in folders:
            folder.mkdir(parents=True)
        for name, record in case["records"].items():
            (folders[0] / f"{name}.hea").write_text(record["header"])
            (folders[1] / f"{name}.csv").write_text(record["output"])
        found, key = api.evaluate(*folders), f"scoring/{case['id']}"
        fields = ("n_recordings", "auroc", "auprc", "accuracy", "f_measure", "challenge_metric")
        yield f"{key}/five", np.array([getattr(found, field) for field in fields])
        yield f"{key}/by class", np.stack([found.class_auroc, found.class_auprc, found.class_f_measure])
        yield f"{key}/text", [api.scores_text(found), api.class_scores_text(found)]


def answers(inputs: Inputs) -> Items:
    """What the entry says of recordings: one at a time as the organisers' driver asks, and by the batched driver."""
    if inputs.entry is None:
        return
    entry = api.load_entry(inputs.entry)
    folders = {"12": copied_recordings(inputs), "2": extracted_recordings(inputs, "I", "II")}
    for leads, folder in folders.items():
        paths = api.find_recordings(folder)
        for path, answer in zip(paths, entry.predict(paths), strict=True):
            key, text = f"entry/{leads}/{path.stem}", path.read_text()
            codes, labels, probabilities = api.run_model(entry, text, api.read_raw(api.read_header(path), path.parent))
            yield f"{key}/run_model", np.stack([labels, probabilities])
            yield f"{key}/codes", [*codes, *answer.codes]
            for field in ("labels", "probabilities", "abnormality", "flags"):
                yield f"{key}/{field}", getattr(answer, field)
            for architecture, (decided, probable) in sorted(answer.by_model.items()):
                yield f"{key}/by model/{architecture}", np.stack([decided, probable])
        out = inputs.scratch / f"outputs {leads}"
        api.test_entry(inputs.entry, folder, out, per_model=True)
        for path in sorted(out.rglob("*.csv")):
            key, lines = f"outputs/{leads}/{path.relative_to(out)}", path.read_text().splitlines()
            yield f"{key}/text", lines[:3]
            yield f"{key}/probabilities", np.array(lines[3].split(","), dtype=float)


RECORDED: tuple[Callable[[Inputs], Items], ...] = (
    *(reading, waves, preparing, stores, simulation, classifiers, gradients, restorers, extraction, scores, answers),
)


# --- writing and comparing -------------------------------------------------------------------------------------------


def as_array(value: Any) -> np.ndarray:
    """A value as an array that needs no pickle."""
    array = np.array("None" if value is None else value)
    if array.dtype == object:
        raise TypeError(f"cannot record {type(value).__name__}")
    return array


def write_record(out: Path, real: Path, entry: Path | None) -> None:
    """Computes everything and writes it."""
    record: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for function in RECORDED:
            started, before = time.process_time(), len(record)
            for key, value in function(Inputs(real, entry, Path(scratch))):
                if key in record:
                    raise KeyError(f"{key} is recorded twice")
                record[key] = as_array(value)
            seconds = time.process_time() - started
            print(f"{function.__name__:12} {len(record) - before:6} arrays {seconds:6.1f} s of a core", flush=True)
    if entry is None:
        print("no entry was named (--entry): its answers are not recorded")
    np.savez(out, **record)


def difference(one: np.ndarray | None, other: np.ndarray | None) -> tuple[float, float] | None:
    """Largest absolute and relative difference of two arrays; None where all bits agree."""
    if one is None or other is None:
        return np.inf, np.inf
    if one.dtype.kind == other.dtype.kind == "U":
        return None if np.array_equal(one, other) else (np.inf, np.inf)
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return np.inf, np.inf
    if one.tobytes() == other.tobytes():
        return None
    one, other = one.astype(float), other.astype(float)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0, np.nan_to_num(np.abs(one - other), nan=np.inf))
    scale = np.nanmax(np.abs([one, other]), initial=0)
    return float(apart.max()), float(apart.max() / scale) if scale else 0.0


def compare(out: Path, against: Path, tolerances: dict[str, float]) -> int:
    """Prints what differs; returns the exit status."""
    groups: dict[str, list[tuple[str, tuple[float, float] | None]]] = {}
    with np.load(out) as one, np.load(against) as other:
        for key in dict.fromkeys([*other.files, *one.files]):
            pair = (record[key] if key in record.files else None for record in (one, other))
            groups.setdefault(key.split("/")[0], []).append((key, difference(*pair)))
    status = 0
    print(f"{'group':14}{'arrays':>8}{'differ':>8}{'absolute':>12}{'relative':>12}{'tolerance':>12}")
    for group, found in groups.items():
        apart = [(key, *largest) for key, largest in found if largest is not None]
        tolerance = tolerances.get(group, tolerances.get("", 0.0))
        absolute, relative = (max((row[i] for row in apart), default=0.0) for i in (1, 2))
        failed = absolute > tolerance
        status |= failed
        figures = f"{absolute:12.3g}{relative:12.3g}{tolerance:12.3g}{'  FAILED' if failed else ''}"
        print(f"{group:14}{len(found):8}{len(apart):8}{figures}")
        for key, *largest in sorted(apart, key=lambda row: -row[1])[:5]:
            print(f"    {key}: {largest[0]:.3g}, {largest[1]:.3g}")
    print("different" if status else "equal, or within the tolerances")
    return int(status)


def make_entry(folder: Path) -> None:
    """Trains a small entry on simulated recordings."""
    with tempfile.TemporaryDirectory() as scratch:
        list(api.write_dataset(Path(scratch) / "data", ENTRY_RECORDINGS, 1, labels=ENTRY_LABELS))
        config = Path(scratch) / "entry.toml"
        config.write_text(ENTRY_CONFIG)
        api.train_entry(Path(scratch) / "data", folder, api.load_config(config))


def parsed_tolerances(texts: Sequence[str]) -> dict[str, float]:
    """Tolerances by group; that of all others has no name."""
    parts = [text.rpartition("=") for text in texts]
    return {group: float(value) for group, _, value in parts}


def main() -> int:
    """Writes a record, compares two, or trains the entry; returns the exit status."""
    parser = argparse.ArgumentParser(description="Record what the package computes, or compare two records.")
    parser.add_argument("out", type=Path, nargs="?", help="the record")
    parser.add_argument("--real", type=Path, default=os.environ.get("LEADSET_REAL_DATA"), help="real recordings")
    parser.add_argument("--entry", type=Path, help="model folder whose answers are recorded")
    parser.add_argument("--make-entry", type=Path, metavar="FOLDER", help="train an entry, write nothing else")
    parser.add_argument("--against", type=Path, metavar="OTHER", help="compare the record with this one")
    parser.add_argument("--tolerance", nargs="+", default=[], metavar="[GROUP=]VALUE", help="absolute; 0 by default")
    arguments = parser.parse_args()
    if arguments.against and arguments.out:
        return compare(arguments.out, arguments.against, parsed_tolerances(arguments.tolerance))
    if not arguments.make_entry and not (arguments.out and arguments.real):
        parser.error("expected OUT and --real FOLDER, OUT and --against OTHER, or --make-entry FOLDER")
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()) or "LEADSET_CONFIG" in os.environ:
        kept = {name: value for name, value in os.environ.items() if name != "LEADSET_CONFIG"}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**kept, **ONE_THREAD})
    sys.path.insert(0, os.getcwd())
    import torch

    torch.set_num_threads(1)
    find_names()
    print(f"package: {Path(sys.modules['leadset'].__file__).parent}")
    if arguments.make_entry:
        make_entry(arguments.make_entry)
    else:
        write_record(arguments.out, arguments.real, arguments.entry)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
