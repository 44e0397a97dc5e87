"""Draws docs/page.png: the page of `leadset app` with its simulated example, in a browser without a window.

    python docs/example_page.py [OUTPUT.png]
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

from leadset.utils.files import write_atomically

PORT, SIZE, COLOURS = 8631, "1400,1020", 256
#: Seconds that the page may take.
PATIENCE = 900


def main(target: Path) -> None:
    """Starts the page, clicks on the example and writes the picture."""
    from PIL import Image
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", f"window-size={SIZE}"):
        options.add_argument(f"--{argument}")
    command = [sys.executable, "-m", "leadset", "app", "--port", str(PORT)]
    page = subprocess.Popen(command, start_new_session=True)
    options.binary_location = shutil.which("chromium")
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        _open(driver, f"http://127.0.0.1:{PORT}")
        wait = WebDriverWait(driver, PATIENCE)
        wait.until(lambda _: [b for b in driver.find_elements(By.TAG_NAME, "button") if "example" in b.text])[0].click()
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, ".js-plotly-plot .scatterlayer"))
        wait.until(lambda _: not driver.find_elements(By.CSS_SELECTOR, '[data-testid="stStatusWidget"]'))
        drawn = Image.open(BytesIO(driver.get_screenshot_as_png()))
    finally:
        driver.quit()
        os.killpg(page.pid, signal.SIGTERM)
    with write_atomically(target, "wb") as file:
        drawn.convert("RGB").quantize(COLOURS).save(file, format="png", optimize=True)


def _open(driver, address: str) -> None:
    """Opens the page as soon as it answers."""
    from selenium.common.exceptions import WebDriverException

    end = time.monotonic() + PATIENCE
    while True:
        try:
            return driver.get(address)
        except WebDriverException:
            if time.monotonic() > end:
                raise
            time.sleep(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("page.png"))
