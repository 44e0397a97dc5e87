"""How long does the page of `leadset app` take from an upload to the first drawing, in a headless browser?

    python benchmarks/page.py [--browsers 3] [--uploads 4] [--output benchmarks/page.csv]

Simulated recordings of twelve leads and ten seconds go into one page after the other: `--uploads` in each of so many
browsers, which start without anything stored. The browser takes the time itself: from the moment that files are chosen
to the frame after the one in which every trace is drawn. Server and browser share the machine. Needs Chromium, its
driver and Selenium; measure on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tables import write_table

from leadset.leads import LEADS
from leadset.simulate.write import write_dataset

COLUMNS = ("what", "recordings", "value", "unit")
#: Seconds that anything may take, and between two uploads, for what follows the drawing.
PATIENCE, SETTLED = 90, 4
#: Waits in the browser for files and then for a line of every lead.
STOPWATCH = """
window.drawnAfter = null;
document.addEventListener('change', () => {
  const chosen = performance.now();
  const look = () => {
    const lines = document.querySelectorAll('.js-plotly-plot .scatterlayer path.js-line').length;
    if (lines < arguments[0]) return requestAnimationFrame(look);
    requestAnimationFrame(() => { window.drawnAfter = performance.now() - chosen; });
  };
  look();
}, {capture: true, once: true});
"""


@contextmanager
def served() -> Iterator[str]:
    """Address of a page that runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "leadset", "app", "--port", address.rpartition(":")[2]]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urlopen(address, timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.3)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """A headless browser with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1300,1400"):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def drawn_after(driver: webdriver.Chrome, address: str, files: list[Path]) -> float:
    """Seconds from choosing files on a fresh page to their drawing."""
    wait = WebDriverWait(driver, PATIENCE, poll_frequency=0.1)
    driver.get(address)
    wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, 'input[type="file"]'))
    time.sleep(SETTLED)
    driver.execute_script(STOPWATCH, len(LEADS))
    driver.find_element(By.CSS_SELECTOR, 'input[type="file"]').send_keys("\n".join(map(str, files)))
    seconds = wait.until(lambda _: driver.execute_script("return window.drawnAfter")) / 1000
    time.sleep(SETTLED)
    return seconds


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--browsers", type=int, default=3)
    parser.add_argument("--uploads", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    taken = np.empty((arguments.browsers, arguments.uploads))
    with tempfile.TemporaryDirectory() as folder, served() as address:
        headers = list(write_dataset(Path(folder), arguments.uploads, seed=21, fs=500, labels="RBBB"))
        for i in range(arguments.browsers):
            with browser() as driver:
                for j, header in enumerate(headers):
                    taken[i, j] = drawn_after(driver, address, [header, header.with_suffix(".mat")])
                    print(f"browser {i}, recording {j}: {taken[i, j]:.2f} s", flush=True)
    groups = {"first recording of a browser": taken[:, 0], "further recordings": taken[:, 1:].ravel()}
    write_table(arguments.output, COLUMNS, [
        {"what": f"{name}, {word}", "recordings": len(some), "value": f"{of(some):.2f}", "unit": "s"}
        for name, some in groups.items() for word, of in (("median", np.median), ("longest", np.max))
    ])  # fmt: skip


if __name__ == "__main__":
    main()
