"""The API under load on this machine: throughput, waiting times, memory, and hostile uploads.

    python benchmarks/serve.py [--clients 50] [--requests 1000] [--hostile 1000] [--output benchmarks/serve.csv]

A server of its own answers a simulated recording of twelve leads and ten seconds; requests are bounded in number.
Beside them, in the same run, the bare forward passes of the entry's networks on the prepared recording, one at a time.
Hostile uploads are damaged headers, signals and JSON; each must be answered by a 4xx, and leave nothing on disk. At
the end, in seconds of the processor: what `leadset predict` takes for the recording, and the page of `leadset app`
until it draws it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tables import write_table

from leadset.config import default_config
from leadset.entry import load_entry
from leadset.leads import LEADS
from leadset.recordings import Recording
from leadset.serve.uploads import recording_of_files
from leadset.serve.view import View, interactive
from leadset.simulate import simulate

COLUMNS = ("what", "value", "unit")
BOUNDARY = "a7b3-leadset"


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process of a server whose temporary files lie in a folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "TMPDIR": str(folder)}
    process = subprocess.Popen([sys.executable, "-m", "leadset", "serve", "--port", str(port)], env=environment)
    try:
        for _ in range(300):
            if process.poll() is not None:
                raise RuntimeError("the server ended before it answered")
            try:
                ask(port, "GET", "/health")
                break
            except OSError:
                time.sleep(0.2)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(60)


def ask(port: int, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> tuple[int, bytes]:
    """Status and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def form(files: dict[str, bytes]) -> tuple[bytes, str]:
    """A form with files, and its media type."""
    head = '--{}\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\n'
    parts = [head.format(BOUNDARY, name).encode() + content + b"\r\n" for name, content in files.items()]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()]), f"multipart/form-data; boundary={BOUNDARY}"


def recording_files(signal: np.ndarray) -> dict[str, bytes]:
    """Header and signal file of a recording."""
    counts = np.rint(signal * 1000).astype("<i2")
    lines = [f"R 12 500 {counts.shape[1]}", *(f"R.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in LEADS)]
    return {"R.hea": ("\n".join(lines) + "\n").encode(), "R.dat": counts.T.tobytes()}


def hostile(files: dict[str, bytes], n: int, seed: int = 0) -> Iterator[tuple[bytes, str]]:
    """Bodies that are no recording, with their media types."""
    rng = np.random.default_rng(seed)
    header, signal = files["R.hea"], files["R.dat"]
    for i in range(n):
        kind = i % 8
        if kind == 0:  # a header with bytes at random
            damaged = np.frombuffer(header, np.uint8).copy()
            damaged[: len(damaged) // 2] = rng.integers(0, 256, len(damaged) // 2)
            yield form({"R.hea": damaged.tobytes(), "R.dat": signal})
        elif kind == 1:
            yield form({"R.hea": header, "R.dat": signal[: rng.integers(0, 100)]})
        elif kind == 2:
            yield form({"R.hea": header.replace(b"R.dat", b"../../../etc/passwd"), "passwd": signal})
        elif kind == 3:
            yield form({f"x.{rng.choice(['mat', 'xml', 'dcm', 'edf', 'scp', 'pdf'])}": rng.bytes(2000)})
        elif kind == 4:
            rate = f" {rng.integers(10**6, 10**12)} ".encode()
            yield form({"R.hea": header.replace(b" 500 ", rate, 1), "R.dat": signal})
        elif kind == 5:
            yield json.dumps({"samples": [[0.0] * int(rng.integers(0, 400))], "fs": 500, "leads": ["II"]}).encode(), (
                "application/json"
            )
        elif kind == 6:
            yield rng.bytes(300), "application/json"
        else:
            yield form({"R.hea": header})[0][: rng.integers(10, 400)], f"multipart/form-data; boundary={BOUNDARY}"


def memory_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def bare_ms(recording: Recording, n: int = 50) -> float:
    """Median milliseconds of the networks' forward passes alone."""
    entry = load_entry()
    prepared = entry.prepare(recording)
    trained = entry.trained_set(prepared.leads)
    predictors = [(entry.predictor(trained, member), member) for member in trained.members]
    times = []
    with torch.inference_mode():
        for _ in range(n):
            inputs = [[prepared.input_of(member.spec)] for _, member in predictors]
            started = time.perf_counter()
            for (predictor, _), given in zip(predictors, inputs, strict=True):
                predictor(given)
            times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


def drawing_s(files: dict[str, bytes], n: int = 5) -> float:
    """Seconds of the processor from an upload to the first drawing on the page; the longest of some."""
    entry, limits, taken = load_entry(), default_config().serve, []
    for _ in range(n):
        started = time.process_time()
        view = View(recording_of_files(files, entry.lead_names, limits), entry)
        view.quality  # noqa: B018 (stands above the drawing)
        interactive(view, view.recording.leads, False, True, ("s", "mV")).to_json()
        taken.append(time.process_time() - started)
    return max(taken)


def shell_s(files: dict[str, bytes], folder: Path, n: int = 3) -> float:
    """Seconds of the processor that `leadset predict` of one recording takes, imports included; the median of some."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    taken = []
    for _ in range(n):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "leadset", "predict", str(folder / "R.hea")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return float(np.median(taken))


def main() -> None:
    """Runs the server, asks it, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--hostile", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    signal = simulate(1, seed=5).signals[0]
    files = recording_files(signal)
    body, kind = form(files)
    rows: list[dict] = []

    def add(what: str, value: float, unit: str) -> None:
        rows.append({"what": what, "value": f"{value:.4g}", "unit": unit})
        print(what, rows[-1]["value"], unit, flush=True)

    def timed(_: int) -> tuple[float, int]:
        started = time.perf_counter()
        status, _ = ask(port, "POST", "/v1/predict", body, kind)
        return time.perf_counter() - started, status

    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (port, pid):
        alone = [timed(i)[0] for i in range(60)]
        add("one client, median", 1000 * float(np.median(alone)), "ms")
        bare = bare_ms(Recording(signal, 500.0, LEADS))
        add("bare forward passes, median", bare, "ms")
        add("one client, times bare forward passes", 1000 * float(np.median(alone)) / bare, "")
        before, started = memory_mb(pid), time.perf_counter()
        with ThreadPoolExecutor(arguments.clients) as clients:
            answers = list(clients.map(timed, range(arguments.requests)))
        seconds = time.perf_counter() - started
        many, slow = f"{arguments.clients} clients", np.quantile([duration for duration, _ in answers], 0.99)
        add(f"{many}, requests", arguments.requests, "")
        add(f"{many}, throughput", arguments.requests / seconds, "1/s")
        add(f"{many}, 99th percentile", 1000 * float(slow), "ms")
        add(f"{many}, errors", sum(status != 200 for _, status in answers), "")
        add("memory, growth", memory_mb(pid) - before, "MB")
        statuses = [ask(port, "POST", "/v1/predict", *one)[0] for one in hostile(files, arguments.hostile)]
        add("hostile uploads", len(statuses), "")
        add("hostile uploads answered by 4xx", sum(400 <= status < 500 for status in statuses), "")
        add("hostile uploads answered by 5xx", sum(status >= 500 for status in statuses), "")
        add("files left on disk", len(list(Path(folder).iterdir())), "")
    with tempfile.TemporaryDirectory() as folder:
        add("leadset predict of one recording, processor", shell_s(files, Path(folder)), "s")
    add("page, from upload to first drawing, processor", drawing_s(files), "s")
    write_table(arguments.output, COLUMNS, rows)


if __name__ == "__main__":
    main()
