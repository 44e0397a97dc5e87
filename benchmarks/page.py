"""How long does the page of `leadset app` take from an upload to the first drawing, in a headless browser?

    python benchmarks/page.py [--browsers 3] [--uploads 4] [--output benchmarks/page.csv]

Simulated recordings of twelve leads and ten seconds go into one page after the other: `--uploads` in each of so many
browsers, which start without anything stored. The browser takes the time itself: from the moment that files are chosen
to the frame after the one in which every trace is drawn. Server and browser share the machine. Needs Chromium, its
driver and Selenium; measure on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tables import write_table

from leadset.leads import LEADS
from leadset.simulate.write import write_dataset

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from pages_in_browsers import PATIENCE, browser, served

COLUMNS = ("what", "recordings", "value", "unit")
#: Seconds between two uploads, for what follows the drawing.
SETTLED = 4
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
    with tempfile.TemporaryDirectory() as folder, served("app") as address:
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
