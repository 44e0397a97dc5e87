"""How close simulated recordings are to real ones, what they teach about real ones, and what they cost.

    python benchmarks/simulator.py DATA [--plots docs] [--output benchmarks/simulator.csv]

DATA holds ``challenge/training``. Three parts, one CSV:

- ``normal``: measurements of recordings with no other label than sinus rhythm, simulated against real, as the 2nd, 50th
  and 98th percentile and the two-sample Kolmogorov-Smirnov distance, beside published reference ranges. All are
  measured by the same program, `leadset.delineate`.
- ``transfer``: area under the ROC curve on the real recordings of trees that saw only simulated recordings, and of the
  same trees in five-fold cross-validation on the real ones, with the same measurements; 95 % intervals by bootstrap.
- ``speed``: simulated 10-s recordings a second on one core, and how many times faster than NeuroKit2's
  ``ecg_simulate(method="multileads")`` where that is installed.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tables import write_table

from leadset import delineate
from leadset.classes import label_space
from leadset.leads import LEADS
from leadset.recordings import ReadError, find_recordings, read_recording
from leadset.simulate import SimulatedStream, simulate
from leadset.simulate.conditions import CONDITIONS
from leadset.utils import nan_statistics
from leadset.waves.marks import PEND, PON, QRSEND, QRSON, TEND

COLUMNS = ("part", "name", "reference", "simulated", "real", "value", "low", "high", "n_real", "n_simulated")

#: 2nd and 98th percentiles of 46 129 persons without heart disease: Mason et al., J. Electrocardiol. 40:228-234, 2007.
REFERENCE = {
    "rate": (48, 98), "PR": (113, 212), "QRS": (69, 109), "QT": (325, 452), "QTc": (359, 445), "QRS axis": (-40, 91),
}  # fmt: skip
SHOWN = (
    "rate", "RR variation", "P", "PR", "QRS", "QT", "QTc", "QRS axis", "T axis",
    "P II", "P V1", "R I", "R II", "R V1", "S V1", "R V2", "S V2", "R V4", "R V5", "S V5", "R V6",
    "J V2", "J V5", "T I", "T II", "T V1", "T V2", "T V4", "T V6",
)  # fmt: skip
CLASSES = ("AF", "NSR", "SB", "STach", "RBBB", "LBBB", "IAVB", "PAC", "PVC", "LAD", "TAb")
N_NORMAL, N_TEACHING, SEED = 300, 2000, 71
MISSING = -99.0  # what trees get for a measurement that could not be taken


def measure(signal: np.ndarray, fs: float) -> dict[str, float]:
    """Intervals (ms), rate (a minute), axes (degrees) and amplitudes (mV) of a recording (12, samples)."""
    fused = delineate(signal, fs).fused
    fused = fused[np.isfinite(fused[:, [QRSON, QRSEND]]).all(axis=1)]
    if len(fused) < 3:
        return {}
    onset, end = fused[:, QRSON], fused[:, QRSEND]
    rr = np.diff(onset) / fs
    out = {
        "rate": 60 / np.median(rr),
        "RR variation": rr.std() / rr.mean(),
        "P": nan_statistics.median(fused[:, PEND] - fused[:, PON]) / fs * 1e3,
        "PR": nan_statistics.median(onset - fused[:, PON]) / fs * 1e3,
        "QRS": np.median(end - onset) / fs * 1e3,
        "QT": nan_statistics.median(fused[:, TEND] - onset) / fs * 1e3,
        "P share": np.isfinite(fused[:, PON]).mean(),
    }
    out["QTc"] = out["QT"] / np.cbrt(np.median(rr))
    for i, lead in enumerate(LEADS):
        out |= {f"{wave} {lead}": value for wave, value in _amplitudes(signal[i], fs, fused).items()}
    for name, heights in (("QRS axis", ("R", "S")), ("T axis", ("T",))):
        one, foot = (sum(out[f"{h} {lead}"] for h in heights) for lead in ("I", "aVF"))
        out[name] = np.degrees(np.arctan2(foot * 2 / np.sqrt(3), one))
    return out


def _amplitudes(lead: np.ndarray, fs: float, fused: np.ndarray) -> dict[str, float]:
    """Median heights of a lead's waves over the beats (P, R, S, J + 40 ms, T), relative to the PQ segment."""
    heights: dict[str, list[float]] = {wave: [] for wave in "PRSJT"}

    def largest(start: float, stop: float) -> float:
        part = lead[max(int(start), 0) : int(stop) + 1] - base
        return part[np.abs(part).argmax()] if len(part) else np.nan

    for beat in fused:
        onset, end = int(beat[QRSON]), int(beat[QRSEND])
        base = np.median(lead[max(onset - round(0.02 * fs), 0) : onset + 1])
        qrs = lead[onset : end + 1] - base
        after = round(0.04 * fs)
        heights["R"].append(qrs.max())
        heights["S"].append(qrs.min())
        heights["J"].append(lead[end + after] - base if end + after < len(lead) else np.nan)
        if np.isfinite(beat[TEND]):
            heights["T"].append(largest(end + 2 * after, beat[TEND]))
        if np.isfinite(beat[[PON, PEND]]).all():
            heights["P"].append(largest(beat[PON], beat[PEND]))
    return {wave: nan_statistics.median(np.array(values)) for wave, values in heights.items()}


def real_measurements(folder: Path) -> tuple[list[dict[str, float]], list[tuple[str, ...]]]:
    """Measurements and codes of the first 10 s of every real recording that can be read."""
    values, codes = [], []
    for path in find_recordings(folder):
        try:
            recording = read_recording(path)
        except ReadError:
            continue
        measured = measure(recording.signal[:, : round(10 * recording.fs)], recording.fs)
        if measured:
            values.append(measured)
            codes.append(recording.codes)
    return values, codes


def simulated_measurements(n: int, labels: str | None) -> tuple[list[dict[str, float]], list[tuple[str, ...]]]:
    """The same of ``n`` simulated recordings."""
    made = simulate(n, seed=SEED, labels=labels, marks=False)
    pairs = [(measure(signal, made.fs), codes) for signal, codes in zip(made.signals, made.codes, strict=True)]
    return [measured for measured, _ in pairs if measured], [codes for measured, codes in pairs if measured]


def compare_normals(real: list[dict], simulated: list[dict]) -> list[dict]:
    """One row a measurement."""
    rows = []
    for name in SHOWN:
        a, b = (np.array([m[name] for m in values if np.isfinite(m[name])]) for values in (real, simulated))
        rows.append({
            "part": "normal", "name": name,
            "reference": "{} {}".format(*REFERENCE[name]) if name in REFERENCE else "",
            "simulated": " ".join(f"{v:.4g}" for v in np.percentile(b, [2, 50, 98])),
            "real": " ".join(f"{v:.4g}" for v in np.percentile(a, [2, 50, 98])),
            "value": f"{ks_2samp(a, b).statistic:.3f}", "n_real": len(a), "n_simulated": len(b),
        })  # fmt: skip
    return rows


def compare_teaching(real: tuple, simulated: tuple) -> list[dict]:
    """Two rows a class: trees taught by simulated recordings, and by other real ones."""
    names = sorted(set().union(*real[0]))
    x, x_simulated = (
        np.nan_to_num([[m.get(name, np.nan) for name in names] for m in values], nan=MISSING)
        for values in (real[0], simulated[0])
    )
    rows = []
    for name in CLASSES:
        codes = set(CONDITIONS[name].codes) | (set(CONDITIONS["VEB"].codes) if name == "PVC" else set())
        y, y_simulated = (np.array([bool(codes & set(c)) for c in labels]) for labels in (real[1], simulated[1]))
        trees = ExtraTreesClassifier(400, min_samples_leaf=2, class_weight="balanced", random_state=0, n_jobs=-1)
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        scores = {
            "real, cross-validated": cross_val_predict(trees, x, y, cv=folds, method="predict_proba")[:, 1],
            "simulated only": trees.fit(x_simulated, y_simulated).predict_proba(x)[:, 1],
        }
        for teacher, score in scores.items():
            area, low, high = (f"{v:.3f}" for v in (roc_auc_score(y, score), *_interval(y, score)))
            rows.append({
                "part": "transfer", "name": f"{name}: {teacher}", "value": area, "low": low, "high": high,
                "n_real": int(y.sum()), "n_simulated": int(y_simulated.sum()),
            })  # fmt: skip
    return rows


def _interval(y: np.ndarray, score: np.ndarray, draws: int = 500) -> tuple[float, float]:
    """95 % interval of the area under the curve, by resampling recordings."""
    rng = np.random.default_rng(0)
    areas = []
    while len(areas) < draws:
        chosen = rng.integers(0, len(y), len(y))
        if 0 < y[chosen].sum() < len(y):
            areas.append(roc_auc_score(y[chosen], score[chosen]))
    return tuple(np.percentile(areas, [2.5, 97.5]))


def time_it(batches: int = 20) -> list[dict]:
    """Recordings a processor second, and the ratio to the peer."""
    stream = SimulatedStream(batch=32, seed=SEED)
    next(stream)
    start = time.process_time()
    for _ in range(batches):
        next(stream)
    rate = 32 * batches / (time.process_time() - start)
    rows = [{"part": "speed", "name": "recordings a second", "value": f"{rate:.0f}"}]
    try:
        import neurokit2
    except ImportError:
        print("neurokit2 is not installed: no ratio")
        return rows
    start = time.process_time()
    for seed in range(3):
        neurokit2.ecg_simulate(duration=10, sampling_rate=500, method="multileads", random_state=seed)
    peer = 3 / (time.process_time() - start)
    name = f"ratio to NeuroKit2 {neurokit2.__version__}"
    return [*rows, {"part": "speed", "name": name, "value": f"{rate / peer:.0f}"}]


def plot_normals(folder: Path, real: list[dict], simulated: list[dict]) -> None:
    """Histograms of simulated and real normal recordings side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(5, 6, figsize=(13, 9))
    for axis in axes.flat[len(SHOWN) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, SHOWN, strict=False):
        a, b = (np.array([m[name] for m in values if np.isfinite(m[name])]) for values in (real, simulated))
        bins = np.linspace(*np.percentile(np.concatenate([a, b]), [0.5, 99.5]), 22)
        axis.hist(b, bins, density=True, color="0.75", label="simulated")
        axis.hist(a, bins, density=True, histtype="step", color="tab:red", label="real")
        for limit in REFERENCE.get(name, ()):
            axis.axvline(limit, color="tab:blue", lw=0.8, ls="--")
        axis.set_title(name, fontsize=8)
        axis.set_yticks([])
        axis.tick_params(labelsize=6)
    axes.flat[0].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(folder / "simulator_normals.png", dpi=75)
    plt.close(figure)


def plot_examples(folder: Path, labels: Sequence[str] = ("NSR", "AF", "LBBB", "RBBB", "PVC", "STE")) -> None:
    """One simulated recording of some classes, all from the same person."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(LEADS), len(labels), figsize=(13, 11), sharex=True, sharey=True)
    for column, label in enumerate(labels):
        made = simulate(1, seed=SEED, labels=label, seconds=4, marks=False)
        for row, lead in enumerate(LEADS):
            axis = axes[row, column]
            axis.plot(np.arange(made.signals.shape[2]) / made.fs, made.signals[0, row], color="k", lw=0.6)
            axis.set_ylim(-1.6, 1.6)
            axis.grid(lw=0.2)
            axis.tick_params(labelsize=5)
            axis.text(0.02, 0.8, lead, transform=axis.transAxes, fontsize=7)
        axes[0, column].set_title(label, fontsize=9)
    figure.tight_layout(pad=0.3)
    figure.savefig(folder / "simulator_examples.png", dpi=75)
    plt.close(figure)


def main() -> None:
    """Compares simulated with real recordings and writes the table and, if asked, the plots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "All-NaN slice|Mean of empty", RuntimeWarning)

    real = real_measurements(arguments.data / "challenge" / "training")
    space = label_space("challenge2021")
    normal = [m for m, codes in zip(*real, strict=True) if space.is_plain_normal(codes)]
    simulated_normal, _ = simulated_measurements(N_NORMAL, "NSR")
    rows = compare_normals(normal, simulated_normal)
    rows += compare_teaching(real, simulated_measurements(N_TEACHING, None))
    rows += time_it()
    write_table(arguments.output, COLUMNS, rows)
    for row in rows:
        print("  ".join(f"{row.get(column, '')}" for column in COLUMNS))
    if arguments.plots:
        plot_normals(arguments.plots, normal, simulated_normal)
        plot_examples(arguments.plots)


if __name__ == "__main__":
    main()
