"""A page that runs on this machine, and a browser without a window to look at it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).resolve().parents[1]
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
#: Seconds that a page may take on a busy machine.
PATIENCE = 90


@contextmanager
def served(verb: str) -> Iterator[str]:
    """Address of a page that ``leadset VERB`` serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "leadset", verb, "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True)
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    try:
        while True:
            try:
                urlopen(address, timeout=5).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise TimeoutError(f"leadset {verb} does not answer") from error
                time.sleep(0.3)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


@contextmanager
def browser(downloads: Path | None = None) -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile; ``downloads`` is where its downloads go."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1300,1400"):
        options.add_argument(f"--{argument}")
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
