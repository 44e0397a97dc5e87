"""The page of ``leadset app``, run without a browser."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("streamlit", reason="the extra app is not installed")
pytest.importorskip("plotly", reason="the extra app is not installed")

from files_on_disk import write_recording
from streamlit.testing.v1 import AppTest

from leadset.cli import main
from leadset.entry import load_entry
from leadset.explain import DEFAULT_METHOD, METHODS
from leadset.leads import LEADS
from leadset.recordings import Recording, read_recording
from leadset.serve import app
from leadset.serve import view as view_module
from leadset.serve.texts import list_languages, load_texts
from leadset.serve.uploads import grouped
from leadset.serve.view import View, interactive, lead_choices, stacked, thinned
from leadset.simulate import simulate

SCRIPT = Path(view_module.__file__).with_name("app.py")


@pytest.fixture(scope="module")
def view() -> View:
    return View(Recording(simulate(1, seed=3, labels="AF").signals[0], 500.0, LEADS, "AF", age=70, sex="male"),
                load_entry())  # fmt: skip


def opened(**choices) -> AppTest:
    page = AppTest.from_file(str(SCRIPT), default_timeout=120)
    for key, value in choices.items():
        page.session_state[key] = value
    return page.run()


def test_it_opens_with_the_disclaimer_and_nothing_else():
    page = opened()
    assert not page.exception and page.warning[0].value == load_texts("en")("disclaimer")
    assert page.info[0].value == load_texts("en")("nothing")


@pytest.mark.parametrize("code", list_languages())
def test_the_example_in_every_language(code):
    page = opened(example=True, language=code)
    text = load_texts(code)
    assert not page.exception and page.title[0].value == text("title")
    assert [tab.label for tab in page.tabs] == [
        text(f"{name}_tab") for name in ("recording", "diagnoses", "measurements", "anomaly", "compare", "report")
    ]
    likeliest = page.dataframe[0].value.iloc[0]
    assert likeliest[text("decided")] == text("yes") and text.diagnosis("RBBB", "") in likeliest[text("diagnosis")]


def test_leads_styles_and_lead_sets_can_be_chosen():
    page = opened(example=True)
    page.radio(key="style").set_value("paper").run()
    assert not page.exception and len(page.selectbox(key="layout").options) > 1
    page.radio(key="style").set_value("interactive").run()
    page.multiselect(key="leads-12").set_value([]).run()
    assert load_texts("en")("no_leads") in [info.value for info in page.info]
    page.selectbox(key="lead_set").select_index(3).run()
    assert not page.exception


def test_an_attribution_is_drawn_on_demand():
    page = opened(example=True)
    page.toggle(key="attribution").set_value(True).run()
    said = load_texts("en")("attribution_method", method=METHODS[DEFAULT_METHOD])
    assert not page.exception and not page.error and said in [caption.value for caption in page.caption]


def test_answers_are_those_of_the_entry(view):
    expected = view.entry.predict(view.recording)
    np.testing.assert_array_equal(view.answer.probabilities, expected.probabilities)
    two = view.answer_on(("I", "II"))
    alone = view.entry.predict(Recording(view.recording.signal[:2], 500.0, ("I", "II"), "AF", age=70, sex="male"))
    np.testing.assert_array_equal(two.probabilities, alone.probabilities)
    rows = view.table().splitlines()
    assert len(rows) == 27 and rows[1].startswith(f"AF,AF,atrial fibrillation,{expected.probabilities[0]:.6f}")


def test_reports_are_pictures_of_their_kind(view):
    assert view.sheet("pdf").startswith(b"%PDF") and view.sheet("png").startswith(b"\x89PNG")


def test_an_interactive_drawing_has_every_chosen_lead_and_its_marks(view):
    figure = interactive(view, ("II", "V1"), overlay=False, marks=True, axes=("s", "mV"))
    lines = [trace for trace in figure.data if trace.mode != "markers"]
    assert [line.name for line in lines] == list(figure.layout.yaxis.ticktext) == ["II", "V1"]
    for line, row, level in zip(lines, (1, 6), figure.layout.yaxis.tickvals, strict=True):
        np.testing.assert_array_equal(line.customdata, view.recording.signal[row])
        np.testing.assert_allclose(line.y, line.customdata - np.median(line.customdata) + level, atol=1e-5)
    peaks = next(trace for trace in figure.data if trace.name == "R")
    at = view.marks.marks[[1, 6], :, 6]
    np.testing.assert_allclose(np.array(peaks.x) * 500, at[np.isfinite(at)])
    drawn = np.concatenate([np.interp(at[i][np.isfinite(at[i])], np.arange(5000), lines[i].y) for i in range(2)])
    np.testing.assert_allclose(peaks.y, drawn, atol=0.2)
    together = interactive(view, LEADS, overlay=True, marks=False, axes=("s", "mV"))
    assert len(together.data) == 12
    np.testing.assert_array_equal(together.data[6].y, view.recording.signal[6])


def test_leads_lie_as_far_apart_as_their_traces_need():
    wave = np.sin(np.linspace(0, 6 * np.pi, 2000)).astype(np.float32)
    middles, levels = stacked([wave + 7, 3 * wave, np.full(2000, np.nan), 0 * wave])
    np.testing.assert_allclose(middles, [7, 0, 0, 0], atol=0.1)
    assert levels[0] == 0 and np.diff(levels) == pytest.approx([-4.2, -3.2, -0.8], abs=0.1)


def test_thinning_keeps_the_extremes_of_every_stretch():
    trace = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    trace[54_321], trace[77_777] = 50, -50
    few = thinned(trace, 500.0)
    assert len(few["y"]) <= 6000 and {50.0, -50.0} <= set(few["y"].tolist()) and (np.diff(few["x"]) > 0).all()
    whole = thinned(trace[:6000], 500.0)
    np.testing.assert_array_equal(whole["y"], trace[:6000])
    assert (whole["x0"], whole["dx"]) == (0, 1 / 500)


def test_uploads_are_grouped_by_recording(tmp_path):
    for name in ("A", "B"):
        write_recording(tmp_path, name)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()} | {"c.dcm": b"x"}
    assert {name: sorted(group) for name, group in grouped(files).items()} == {
        "A": ["A.hea", "A.mat"], "B": ["B.hea", "B.mat"], "c.dcm": ["c.dcm"]
    }  # fmt: skip


def test_why_an_upload_cannot_be_read_is_said_in_the_language_of_the_page(view, monkeypatch):
    said = []
    monkeypatch.setattr(app.st.sidebar, "error", said.append)
    upload = SimpleNamespace(name="A.hea", getvalue=lambda: b"A 1 500 1000\nA.mat 16 1000 12 0 0 0 0 I\n")
    assert not list(app.uploaded(load_texts("fr"), [upload], view.entry))
    assert said[0].startswith("A ne peut pas être lu : A.hea : trouvé « aucun autre fichier », attendu")


def test_a_recording_that_cannot_be_judged_is_shown_with_the_reason(view):
    noise = np.random.default_rng(0).standard_normal((12, 5000)).astype(np.float32)
    unusable = View(Recording(noise, 500.0, LEADS, "noise"), view.entry)
    assert not unusable.quality.usable and unusable.answer.failed
    assert all(np.isnan(item.value) for item in unusable.measurements.items)
    assert unusable.sheet("png").startswith(b"\x89PNG")


def test_lead_sets_of_few_leads(view):
    two = Recording(view.recording.signal[:2], 500.0, ("I", "II"), "two")
    assert lead_choices(two, view.entry) == [("I", "II"), ("I",)]
    assert len(lead_choices(view.recording, view.entry)) == 6


def test_recordings_are_shown(view, recorded):
    for path in sorted((recorded / "challenge" / "training").rglob("*.hea"))[::90]:
        shown = View(read_recording(path), view.entry)
        assert io.BytesIO(shown.sheet("png")).read(4) == b"\x89PNG"
        assert interactive(shown, shown.recording.leads[:2], False, True, ("s", "mV")).data


def test_an_entry_that_is_not_there_is_named_before_the_page_starts(tmp_path, capsys):
    assert main(["app", str(tmp_path / "gone")]) == 1
    assert "gone: no such folder, expected a trained entry" in capsys.readouterr().err
