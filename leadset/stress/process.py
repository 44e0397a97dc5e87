"""Running a program of an entry, with its time, its memory and a limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# `ru_maxrss` counts kilobytes, on macOS bytes (getrusage(2)).
_MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024


class Ended(NamedTuple):
    """How a program ended: status (negative: killed by that signal), seconds, and bytes of its largest process."""

    status: int
    seconds: float
    memory: int


def run_program(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], limit: float, log: Path
) -> Ended:
    """Runs a program to its end, or kills it and whatever it has started after ``limit`` seconds.

    Args:
        command: program and arguments.
        folder: to start it in.
        environment: all of its variables.
        limit: in seconds.
        log: file for what it prints.

    Raises:
        OSError: it cannot be started, or the log cannot be written.
    """
    started = time.monotonic()
    with open(log, "wb") as shown:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=shown,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        stop = threading.Timer(min(limit, threading.TIMEOUT_MAX), os.killpg, (process.pid, signal.SIGKILL))
        stop.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            stop.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, time.monotonic() - started, usage.ru_maxrss * _MEMORY_UNIT)


def last_line(log: Path) -> str:
    """The last line that a program printed."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "nothing printed"
