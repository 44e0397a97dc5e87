"""Time to score one recording of ten seconds, beside the thirty forward passes of the published test.

    OMP_WAIT_POLICY=passive python benchmarks/anomaly_time.py [--threads 2] [--rounds 20] [--output …]

The recording is simulated, of twelve leads and with ten complete heartbeats, and already prepared; time does not depend
on what the weights are, which are random. All forms take turns, forwards and backwards alternately.

By the clock the fastest round, the median and the slowest; what they say depends on what else the machine does.
``processor_ms`` is the time of all threads on a processor, and ``own_ms`` that of the thread that calls, which works
all the time while the others help it: with passive waiting it is about what the clock would show if nothing else ran,
less what it takes to wake the others. Both are the least of all rounds. ``times_published`` is the median, over rounds,
of ``own_ms`` divided by that of the thirty passes in the same round; these have nothing around them. Writes
benchmarks/anomaly_time.csv.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from models import machine_name
from tables import write_table

from leadset.anomaly import Detector, Scoring
from leadset.anomaly.detector import TRANSFORM
from leadset.anomaly.windows import beats_within, centred_starts, due_places
from leadset.leads import LEADS
from leadset.models import create_model
from leadset.models.cross_restoration import CrossRestoration
from leadset.preprocess import Prepared, prepare
from leadset.simulate import simulate
from leadset.waves.beats import find_beats

WIDTHS = (32, 12)
PUBLISHED = "thirty forward passes"
#: Heartbeats of the recording; with the three passes of the published test they make the thirty.
HEARTBEATS, PUBLISHED_PASSES = 10, 3
SEED, CANDIDATES = 31, 40
CLOCKS = (time.perf_counter, time.process_time, time.thread_time)
COLUMNS = ("width", "form", "threads", "rounds", "fastest_ms", "median_ms", "slowest_ms", "processor_ms", "own_ms",
           "times_published", "torch", "machine")  # fmt: skip


def recording() -> Prepared:
    """The first simulated normal recording in whose window there are ten complete heartbeats."""
    spec = create_model("cross_restoration", 12, width=1).input_spec
    for signal in simulate(CANDIDATES, seed=SEED, labels="NSR", marks=False).signals:
        prepared = prepare(signal, 500, LEADS, TRANSFORM)
        (start,) = centred_starts(prepared.samples.shape[1], spec)
        places = due_places(find_beats(prepared.samples, prepared.statistics, TRANSFORM.rate, LEADS).r_peaks)
        if len(beats_within(places, start, spec.samples)[0]) == HEARTBEATS:
            return prepared
    raise RuntimeError(f"none of {CANDIDATES} recordings has {HEARTBEATS} heartbeats in its window")


@torch.inference_mode()
def thirty_passes(model: CrossRestoration) -> None:
    """Restores one recording with one heartbeat, thirty times."""
    leads, samples = len(model.leads), model.input_spec.samples
    record, beat, trend = (torch.rand(1, leads, n) for n in (samples, model.beat_samples, samples))
    for _ in range(HEARTBEATS * PUBLISHED_PASSES):
        model(record, beat, trend)


def forms(width: int, given: Prepared) -> dict[str, Callable[[], object]]:
    """What is timed."""
    torch.manual_seed(0)
    model = create_model("cross_restoration", 12, width=width)
    prepared = given.samples, given.statistics
    scored, paired = Detector(model), Detector(model, Scoring(pairing="published"))
    return {
        PUBLISHED: lambda: thirty_passes(model),
        "scored": lambda: scored.score_prepared(*prepared),
        "scored, each pair decoded": lambda: paired.score_prepared(*prepared),
        "delineation alone": lambda: find_beats(*prepared, TRANSFORM.rate, LEADS, reliable=True),
    }


def measure(timed: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds (3, rounds) of every form: by the clock, on processors, and of the calling thread on one."""
    times = defaultdict(list)
    for turn in range(rounds + 1):
        for name in timed if turn % 2 else reversed(timed):
            before = [now() for now in CLOCKS]
            timed[name]()
            spent = [1e3 * (now() - then) for now, then in zip(CLOCKS, before, strict=True)]
            if turn:  # the first round warms up
                times[name].append(spent)
    return {name: np.transpose(spent) for name, spent in times.items()}


def main() -> None:
    """Runs the benchmark and writes its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/anomaly_time.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    given, rows = recording(), []
    for width in WIDTHS:
        times = measure(forms(width, given), arguments.rounds)
        for name, spent in times.items():
            clock, processor, own = spent
            measured = {
                "fastest_ms": clock.min(), "median_ms": np.median(clock), "slowest_ms": clock.max(),
                "processor_ms": processor.min(), "own_ms": own.min(),
            }  # fmt: skip
            rows.append({
                "width": width, "form": name, "threads": arguments.threads, "rounds": arguments.rounds,
                **{column: f"{value:.0f}" for column, value in measured.items()},
                "times_published": f"{np.median(own / times[PUBLISHED][-1]):.3f}",
                "torch": torch.__version__, "machine": machine_name(),
            })  # fmt: skip
    write_table(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
