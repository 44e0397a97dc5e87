"""Draws pictures of the documents, all of them or some: sheet, explain, page.

    python docs/pictures.py [NAME …]

The recordings are simulated. The page is that of `leadset app`, in a Chromium without a window.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import leadset
from leadset.explain import explain
from leadset.leads import LEADS
from leadset.plots import SheetOptions, draw_measured_sheet, findings_of
from leadset.plots.attributions import attribution_layer
from leadset.simulate import simulate
from leadset.utils.files import write_atomically

#: Port of the page, the size of its window, seconds that it may take, and that its drawing takes to settle.
PORT, SIZE, PATIENCE, SETTLED = 8631, "1400,1260", 900, 5


def recording_of(label: str, seed: int) -> leadset.Recording:
    """A simulated recording."""
    made = simulate(1, seed=seed, labels=label, marks=False)
    age, sex = float(made.ages[0]), made.sexes[0].casefold()
    return leadset.Recording(made.signals[0], made.fs, LEADS, name="simulated recording", age=age, sex=sex)


def drawn(figure, dpi: float) -> BytesIO:
    """A figure as PNG."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file


def write(name: str, png: BytesIO, colours: int, method: int | None = None, dpi: float = 72) -> None:
    """Writes a picture with few colours: small enough for a page that loads at once."""
    from PIL import Image

    picture = Image.open(png).convert("RGB").quantize(colours, method)
    with write_atomically(Path(__file__).with_name(f"{name}.png"), "wb") as file:
        picture.save(file, format="png", optimize=True, dpi=(dpi, dpi))


def draw_sheet() -> None:
    """The sheet of a recording with marks, measurements and what the shipped entry says."""
    recording, entry, dpi = recording_of("RBBB", 12), leadset.load_entry(), 4 * 25.4  # four dots to a millimetre
    answer = findings_of(entry.predict(recording), entry.space)
    figure = draw_measured_sheet(recording, SheetOptions(date="simulated"), answer=answer)
    write("sheet", drawn(figure, dpi), 32, dpi=dpi)


def draw_explain() -> None:
    """What the shipped entry's answer about a recording rests on."""
    from PIL import Image

    recording, entry, dpi = recording_of("PVC", 8), leadset.load_entry(), 90
    found = explain(entry, recording, ["PVC"])
    layer = attribution_layer(found.classes[0].map, found.rate, found.leads, "PVC")
    figure = draw_measured_sheet(
        recording, SheetOptions("12x1", date="simulated"), marks=found.delineation, show_marks=False,
        attribution=layer, answer=findings_of(found.answer, entry.space),
    )  # fmt: skip
    write("explain", drawn(figure, dpi), 128, Image.Quantize.MAXCOVERAGE, dpi)


def draw_page() -> None:
    """The page with its simulated example."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", f"window-size={SIZE}"):
        options.add_argument(f"--{argument}")
    command = [sys.executable, "-m", "leadset", "app", "--port", str(PORT)]
    page = subprocess.Popen(command, start_new_session=True)
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        open_page(driver)
        wait = WebDriverWait(driver, PATIENCE)
        wait.until(lambda _: [b for b in driver.find_elements(By.TAG_NAME, "button") if "example" in b.text])[0].click()
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, ".js-plotly-plot path.js-line"))
        time.sleep(SETTLED)
        write("page", BytesIO(driver.get_screenshot_as_png()), 256)
    finally:
        driver.quit()
        os.killpg(page.pid, signal.SIGTERM)


def open_page(driver) -> None:
    """Opens the page as soon as it answers."""
    from selenium.common.exceptions import WebDriverException

    end = time.monotonic() + PATIENCE
    while True:
        try:
            return driver.get(f"http://127.0.0.1:{PORT}")
        except WebDriverException:
            if time.monotonic() > end:
                raise
            time.sleep(1)


PICTURES: dict[str, Callable[[], None]] = {"sheet": draw_sheet, "explain": draw_explain, "page": draw_page}

if __name__ == "__main__":
    for asked in sys.argv[1:] or PICTURES:
        PICTURES[asked]()
