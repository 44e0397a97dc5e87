"""The pages in a browser, as a person uses them: upload, language, leads, report. Skipped where no Chromium is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("selenium", reason="selenium is not installed")
pytest.importorskip("streamlit", reason="the extra app is not installed")
pytest.importorskip("fastapi", reason="the extra serve is not installed")

import pages_in_browsers
from files_on_disk import write_recording
from pages_in_browsers import BROWSER, DRIVER, PATIENCE, served
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from leadset.serve.texts import load_texts
from leadset.simulate import simulate

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no chromium and chromedriver here: pages are not tried in a browser"
)
#: The sides at which a drawing got more room than it came with.
_GROWN = """
const { _size, margin } = document.querySelector('.js-plotly-plot:has(path.js-line)')._fullLayout;
return ['l', 'r', 't', 'b'].filter(side => _size[side] > margin[side]);
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    """Header of a simulated recording."""
    counts = np.rint(simulate(1, seed=21, labels="RBBB").signals[0] * 1000).astype(np.int16)
    return write_recording(tmp_path_factory.mktemp("upload"), "SIM1", counts)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads) -> Iterator[webdriver.Chrome]:
    with pages_in_browsers.browser(downloads) as driver:
        yield driver


@pytest.fixture(scope="module")
def api_page() -> Iterator[str]:
    with served("serve") as address:
        yield address


@pytest.fixture(scope="module")
def app_page() -> Iterator[str]:
    with served("app") as address:
        yield address


def until(browser, found):
    """What ``found`` returns once that is true."""
    return WebDriverWait(browser, PATIENCE).until(lambda _: found())


def shown(browser, css: str) -> list:
    return [element for element in browser.find_elements(By.CSS_SELECTOR, css) if element.is_displayed()]


def upload(browser, css: str, header: Path) -> None:
    files = "\n".join(str(path) for path in sorted(header.parent.iterdir()))
    browser.find_element(By.CSS_SELECTOR, css).send_keys(files)


def test_the_page_of_the_api_shows_answer_and_sheet(browser, api_page, recording):
    browser.get(api_page)
    browser.find_element(By.CSS_SELECTOR, "button").click()
    assert browser.find_element(By.ID, "message").text == "Choose a recording first."
    upload(browser, "#files", recording)
    browser.find_element(By.CSS_SELECTOR, "button").click()
    until(browser, lambda: shown(browser, "#sheet") and browser.execute_script(
        "const s = document.getElementById('sheet'); return s.complete && s.naturalWidth > 0"))  # fmt: skip
    assert "bundle branch block" in browser.find_element(By.ID, "decided").text
    assert len(browser.find_elements(By.CSS_SELECTOR, "#classes tr")) == 26
    outside = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(address.startswith((api_page, "blob:")) for address in outside)


def test_the_app_from_upload_to_report(browser, app_page, recording, downloads):
    browser.get(app_page)
    until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, 'input[type="file"]'))
    upload(browser, 'input[type="file"]', recording)
    until(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, ".js-plotly-plot path.js-line")) == 12)
    browser.execute_script("return document.fonts.ready")
    assert browser.execute_script(_GROWN) == [], "margins grew, so that everything was drawn twice"
    tabs = browser.find_elements(By.CSS_SELECTOR, '[role="tab"]')
    tabs[-1].click()
    until(browser, lambda: shown(browser, '[data-testid="stDownloadButton"] button'))[0].click()
    report = downloads / "SIM1.pdf"
    until(browser, lambda: report.is_file() and not list(downloads.glob("*.crdownload")))
    assert report.read_bytes().startswith(b"%PDF")


def choose_language(browser, code: str) -> None:
    until(browser, lambda: shown(browser, '[data-testid="stSidebar"] [role="combobox"], '
                                          '[data-testid="stSidebar"] [data-baseweb="select"]'))[0].click()  # fmt: skip
    options = until(browser, lambda: shown(browser, '[role="option"]'))
    next(option for option in options if option.text == load_texts(code).name).click()


def test_another_language_keeps_the_recording(browser, app_page, recording):
    browser.get(app_page)
    until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, 'input[type="file"]'))
    upload(browser, 'input[type="file"]', recording)
    until(browser, lambda: shown(browser, '[role="tab"]'))
    choose_language(browser, "fr")
    until(browser, lambda: load_texts("fr")("title") in browser.find_element(By.CSS_SELECTOR, "h1").text)
    until(browser, lambda: load_texts("fr")("report_tab") in [tab.text for tab in shown(browser, '[role="tab"]')])


def test_the_app_speaks_arabic_from_right_to_left(browser, app_page):
    browser.get(app_page)
    choose_language(browser, "ar")
    last = load_texts("ar")("nothing")
    until(browser, lambda: last in browser.find_element(By.CSS_SELECTOR, ".stApp").text)
    title = browser.find_element(By.CSS_SELECTOR, "h1")
    assert load_texts("ar")("title") in title.text
    looks = {"direction": "rtl", "text-align": "right"}
    until(browser, lambda: {name: title.value_of_css_property(name) for name in looks} == looks)
