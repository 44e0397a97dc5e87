"""How many training windows a second a core makes for each classifier at its published size, from the packed store.

    python benchmarks/data_path.py

Batches as training takes them, augmented, of 256 simulated recordings of 10 s at 500 Hz on twelve leads; the processor
time of the fastest of some rounds. A GPU is fed by four such processes: where its network takes more windows a second
than four times the row's, it waits (`benchmarks/models_gpu.py` measures the networks). Writes benchmarks/data_path.csv.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tables import write_table

from leadset.leads import LEADS
from leadset.models import create_model, list_models
from leadset.models.extra_inputs import delineations
from leadset.preprocess import InputSpec
from leadset.recordings import find_recordings
from leadset.simulate.write import write_dataset
from leadset.store.beat_store import build_beats
from leadset.store.packed import build_store
from leadset.training.data import Contexts
from leadset.training.steps.batches import StepBatches
from leadset.training.steps.curriculum import Curriculum, Phase, Pool

RECORDINGS, BATCH, STEPS, ROUNDS = 256, 32, 4, 3
COLUMNS = ("model", "rate", "samples", "extra", "windows_per_core_s", "batch")


def batches_of(spec: InputSpec, leads: Sequence[str], folder: Path, steps: int, batch_size: int) -> StepBatches:
    """Training batches of the recordings below a folder, out of a store that is built there if it is not there yet."""
    store = build_store(find_recordings(folder / "data"), spec.transform, folder / "store", 1, progress=False)
    beats = {
        reliable: build_beats(store, leads, folder / "store", 1, progress=False, reliable=reliable)
        for reliable in delineations(spec)
    }
    everything = Phase("all", Pool(np.arange(len(store))), steps, 0.0)
    return StepBatches(
        store, Curriculum((everything,)), np.zeros((len(store), 26)), leads=leads, spec=spec, batch_size=batch_size,
        seed=0, contexts=Contexts(store.recordings, beats),
    )  # fmt: skip


def measured(name: str, folder: Path) -> dict:
    """The row of a classifier."""
    spec = create_model(name, 12).input_spec
    batches = batches_of(spec, LEADS, folder, STEPS * ROUNDS, BATCH)
    fastest = float("inf")
    for turn in range(ROUNDS):
        started = time.process_time()
        for step in range(turn * STEPS, (turn + 1) * STEPS):
            batches[step]
        fastest = min(fastest, time.process_time() - started)
    return {
        "model": name, "rate": spec.transform.rate, "samples": spec.samples, "extra": " ".join(spec.extra),
        "windows_per_core_s": f"{STEPS * BATCH / fastest:.0f}", "batch": BATCH,
    }  # fmt: skip


def main() -> None:
    """Measures and writes the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for _ in write_dataset(folder / "data", RECORDINGS, fs=500):
            pass
        rows = [measured(name, folder) for name in list_models("classifier")]
    write_table(Path(__file__).with_suffix(".csv"), COLUMNS, rows)
    for row in rows:
        print("  ".join(str(row[column]) for column in COLUMNS))


if __name__ == "__main__":
    main()
