"""What is recorded of signals: reading, waves, preparing, stores, simulation, as pairs of a name and a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from equality.inputs import Inputs, Items, challenge_paths, files_in, real_recordings, sha, simulated

from leadset import LEAD_SETS, delineate, read_recording
from leadset.preprocess import FILTERS, SCALINGS, InputSpec, Transform, cut_window, prepare, window_starts
from leadset.recordings import find_recordings, read_header, read_raw, to_millivolts
from leadset.simulate import ANOMALIES, SimulatedStream, simulate, simulate_anomalies
from leadset.simulate.write import write_dataset
from leadset.store.bank import build_bank
from leadset.store.beat_store import build_beats
from leadset.store.packed import build_store
from leadset.waves import extract_features
from leadset.waves.beats import find_beats

#: Rates in Hz and filters of the stores; rates that recordings are prepared at.
TRANSFORMS = ((250, "highpass"), (500, "restoration"))
RATES = (100, 125, 250, 257, 360, 500, 1000)
SIGNAL_FIELDS = (
    "file format samples_per_frame skew byte_offset gain baseline unit adc_resolution adc_zero initial checksum lead"
)


def reading(inputs: Inputs) -> Items:
    """Headers, counts and millivolts, or that a recording is refused."""
    counts = {"ludb": 2, "af_2017": 2, "mitdb": 2, "qtdb": 1, "quality_2011": 2, "ptbxl": 1, "ptbxl_raw": 1}
    paths = [*find_recordings(inputs.real / "quirks"), *challenge_paths(inputs.real, 3)]
    paths += [path for folder, n in counts.items() for path in find_recordings(inputs.real / folder)[:n]]
    for path in paths:
        key = f"reading/{path.relative_to(inputs.real).with_suffix('')}"
        try:
            header, found = read_header(path), read_recording(path)
            raw = read_raw(header, path.parent)
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
        yield f"{key}/mV", to_millivolts(raw, header)[:, :5000]
        yield f"{key}/mV digest", f"{found.signal.dtype} {found.signal.shape} {sha(found.signal.tobytes())}"


def waves(inputs: Inputs) -> Items:
    """Marks, quality and features by both methods; beats as networks get them."""
    ecgs = [*real_recordings(inputs.real), *simulated(6, 3, 500), *simulated(2, 4, 257), *simulated(2, 5, 1000)]
    for ecg in ecgs:
        for method in ("learned", "wavelet"):
            found = delineate(ecg.signal, ecg.fs, method)
            for name in ("marks", "fused", "quality", "beat_quality"):
                yield f"waves/{ecg.name}/{method}/{name}", getattr(found, name)
            yield f"waves/{ecg.name}/{method}/flags", [",".join(sorted(flags)) for flags in found.flags]
            features = extract_features(found, ecg.signal, ecg.leads)
            for name in ("beats", "leads", "record"):
                yield f"features/{ecg.name}/{method}/{name}", getattr(features, name)
    for ecg in ecgs[::2]:
        for rate, leads, reliable in ((250, 12, False), (500, 2, True), (100, 3, False)):
            prepared = prepare(ecg.signal, ecg.fs, ecg.leads, Transform(rate, "none"))
            arrays = prepared.samples, prepared.statistics
            beats = find_beats(*arrays, rate, LEAD_SETS[leads], reliable)
            for name in ("at", "features", "record"):
                yield f"beats/{ecg.name}/{rate}/{leads}/{name}", getattr(beats, name)


def preparing(inputs: Inputs) -> Items:
    """Prepared recordings of each rate and filter; windows of each scaling."""
    real = real_recordings(inputs.real)
    by_name = {ecg.name: ecg for ecg in (real[0], real[4], real[6], real[9], simulated(6, 3, 500)[-1])}
    for ecg in [*by_name.values(), simulated(2, 4, 257)[0]]:
        signal = ecg.signal[:, : round(12 * ecg.fs)]
        for rate in RATES:
            for name in FILTERS:
                prepared = prepare(signal, ecg.fs, ecg.leads, Transform(rate, name))
                for field in ("samples", "statistics", "flags"):
                    yield f"prepare/{ecg.name}/{rate}/{name}/{field}", getattr(prepared, field)
        for rate, filtered in ((257, "highpass"), (500, "none")):
            transform = Transform(rate, filtered)
            prepared = prepare(signal, ecg.fs, ecg.leads, transform)
            for scaling in SCALINGS:
                for kind, samples in (("crop", 1000), ("tail", 7000)):
                    spec = InputSpec(transform, samples, scaling, kind)
                    starts = window_starts(prepared.samples.shape[1], spec)
                    key = f"windows/{ecg.name}/{rate}/{scaling}/{kind}"
                    yield f"{key}/starts", np.asarray(starts)
                    cut = cut_window(prepared.samples, prepared.statistics, (0, 1, 7), int(starts[-1]), spec)
                    yield from zip((f"{key}/window", f"{key}/mask"), cut, strict=True)


def stores(inputs: Inputs) -> Items:
    """The packed store, the stores of beats and the bank."""
    for rate, filtered in TRANSFORMS:
        folder, key = inputs.scratch / f"store{rate}", f"store/{rate}"
        store = build_store(challenge_paths(inputs.real, 2), Transform(rate, filtered), folder, 1, False)
        for i, entry in enumerate(store.recordings):
            samples, statistics = store[i]
            yield f"{key}/{entry.name}/statistics", statistics
            yield f"{key}/{entry.name}/entry", [*(f"{k}={v}" for k, v in vars(entry).items()), sha(samples.tobytes())]
        yield from _packed(folder, key)
        for leads, reliable in ((3, False), (12, False), (2, True)):
            beats = build_beats(store, LEAD_SETS[leads], folder / f"b{leads}", 1, False, reliable)
            yield f"beat_store/{rate}/{leads}/at", np.concatenate([beats[i].at for i in range(len(beats))])
            yield from _packed(folder / f"b{leads}", f"beat_store/{rate}/{leads}")
    bank = build_bank(64, 3, Transform(250, "none"), inputs.scratch / "bank", 1, False)
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
        yield from _simulated(f"simulation/{seed}-{rate}", simulate(8, seed, 10.0, rate))
    yield from _simulated("simulation/labels", simulate(8, 7, 8.0, 500, "AF,PVC,LBBB,NSR"))
    yield from _simulated("simulation/exact", simulate(4, 8, 10.0, 250, start=30, noise=0.0, dtype=np.float64))
    signals, codes = next(SimulatedStream(8, 9, 10.0, 500))
    yield "simulation/stream/signals", signals
    yield "simulation/stream/codes", [" ".join(each) for each in codes]
    list(write_dataset(inputs.scratch / "simulated", 24, 11, faults=0.4))
    for name, digest in files_in(inputs.scratch / "simulated"):
        yield f"simulation/files/{name}", digest
    for kind in ANOMALIES:
        made = simulate_anomalies(2, 5, 10.0, 500, (kind,))
        for name in ("signals", "clean", "masks", "kinds"):
            yield f"anomalies/{kind}/{name}", getattr(made, name)
        yield f"anomalies/{kind}/codes", [" ".join(each) for each in made.codes]


def _simulated(key: str, made: Any) -> Items:
    for name in ("signals", "ages", "sexes", "noise"):
        yield f"{key}/{name}", getattr(made, name)
    yield f"{key}/codes", [" ".join(each) for each in made.codes]
    for i, marks in enumerate(made.marks):
        yield f"{key}/marks{i}", marks
