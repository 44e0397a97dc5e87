"""The page of ``leadset app``, a Streamlit script: look at recordings, and at what the entry says of them.

Streamlit runs it from top to bottom whenever something is chosen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import streamlit as st

from leadset.config import load_config
from leadset.entry import Entry, load_entry
from leadset.entry.detectors import has_detector
from leadset.leads import LEADS, lead_set_name
from leadset.plots import LAYOUTS
from leadset.recordings import Recording
from leadset.serve.problems import Problem
from leadset.serve.texts import Texts, list_languages, load_texts
from leadset.serve.uploads import grouped, recording_of_files
from leadset.serve.view import View, blank, interactive, lead_choices
from leadset.simulate import SimulatedStream
from leadset.waves.reference import Range, sources

#: The environment variable by which the verb names the entry.
ENTRY_VARIABLE = "LEADSET_APP_ENTRY"
_EXAMPLE_RATE, _EXAMPLE_SEED, _EXAMPLE_LABEL = 500.0, 5, "RBBB"
#: Whoever reads none of the languages but one finds it.
_LANGUAGE = " / ".join(load_texts(code)("language") for code in list_languages())
#: Words run from right to left; drawings and tables stay as they are.
_RIGHT_TO_LEFT = """<style>
.stApp, .stSidebar { direction: rtl !important; }
.stApp, .stSidebar, .stApp h1, .stApp h3, .stApp p { text-align: right !important; }
.js-plotly-plot, .stDataFrame { direction: ltr; }
</style>"""
#: Quality from which on nothing needs to be said.
_GOOD = 0.7


@st.cache_resource(show_spinner=False)
def entry_of(folder: str | None) -> Entry:
    """The entry, loaded once for all visitors."""
    return load_entry(folder, lead_names=load_config().leads)


@st.cache_resource(show_spinner=False)
def example() -> Recording:
    """A simulated recording."""
    stream = SimulatedStream(1, _EXAMPLE_SEED, fs=_EXAMPLE_RATE, labels=_EXAMPLE_LABEL)
    return Recording(next(stream)[0][0], _EXAMPLE_RATE, LEADS, "simulated", age=60, sex="female")


@st.cache_resource(show_spinner=False)
def warmed_up(folder: str | None) -> None:
    """Loads once what the first drawing needs, while the visitor looks for a file."""
    view = View(example(), entry_of(folder))
    interactive(view, view.recording.leads, False, True, ("", "")).to_json()


def main(folder: str | None) -> None:
    """The whole page."""
    st.set_page_config("Leadset", layout="wide")
    codes = list_languages()
    code = st.sidebar.selectbox(_LANGUAGE, codes, format_func=lambda code: load_texts(code).name, key="language")
    text = load_texts(code)
    if text.right_to_left:
        st.html(_RIGHT_TO_LEFT)
    st.title(text("title"))
    st.warning(text("disclaimer"))
    view = chosen(text, entry_of(folder))
    if view is None:
        st.info(text("nothing"))
        # An empty drawing, for which the browser loads what it draws with while the visitor looks for a file.
        st.plotly_chart(blank(), config={"staticPlot": True})
        warmed_up(folder)
        return
    show_subject(text, view.recording)
    show_quality(text, view)
    names = ("recording", "diagnoses", "measurements", "anomaly", "compare", "report")
    tabs = st.tabs([text(f"{name}_tab") for name in names])
    shown = (show_recording, show_diagnoses, show_measurements, show_anomaly, show_comparison, show_report)
    for tab, show in zip(tabs, shown, strict=True):
        with tab:
            show(text, view)


def chosen(text: Texts, entry: Entry) -> View | None:
    """The recording that is looked at: one of the uploads, or the example."""
    uploads = st.sidebar.file_uploader(
        text("upload"), accept_multiple_files=True, help=text("upload_help"), key="uploads"
    )  # with a key the files stay when the language, and with it the label, changes
    if st.sidebar.button(text("example")):
        st.session_state["example"] = True
    recordings = list(uploaded(text, uploads or [], entry))
    if st.session_state.get("example"):
        recordings.append(example())
    if not recordings:
        return None
    number = st.sidebar.selectbox(
        text("record"), range(len(recordings)), format_func=lambda i: recordings[i].name, key="record"
    )
    recording = recordings[number or 0]
    views = st.session_state.setdefault("views", {})
    key = (recording.name, recording.signal.shape, recording.signal.tobytes()[:4096])
    if key not in views:
        views.clear()
        views[key] = View(recording, entry)
    return views[key]


def uploaded(text: Texts, uploads: Iterable, entry: Entry) -> Iterable[Recording]:
    """Recordings of the uploads that can be read; of the others the page says why not."""
    contents = {upload.name: upload.getvalue() for upload in uploads}
    for name, files in grouped(contents).items():
        try:
            yield recording_of_files(files, entry.lead_names, load_config().serve)
        except Problem as problem:
            st.sidebar.error(text("unreadable", name=name, reason=text.reason(problem.detail)))


def show_subject(text: Texts, recording: Recording) -> None:
    """Name, leads, and who it was recorded from."""
    st.subheader(recording.name)
    facts = [text("subject", leads=len(recording.leads), rate=f"{recording.fs:g}", seconds=f"{recording.seconds:.4g}")]
    if recording.age is not None:
        facts.append(text("age", age=f"{recording.age:g}"))
    if recording.sex:
        facts.append(text(recording.sex))
    st.caption(" · ".join(facts))


def show_quality(text: Texts, view: View) -> None:
    """Quality as a whole, and what is wrong or suspected."""
    quality = view.quality
    if not quality.usable:
        st.error(text("unusable", reason=text.reason(quality.unusable_because)))
        return
    percent = f"{100 * quality.overall:.0f}"
    good = quality.overall >= _GOOD
    (st.success if good else st.warning)(text("quality_good" if good else "quality_poor", quality=percent))
    if quality.flags:
        st.warning("\n\n".join(text.quality(quality.flags)))


def show_recording(text: Texts, view: View) -> None:
    """The traces: interactive, or on paper."""
    styles = {"interactive": text("interactive"), "paper": text("paper")}
    style = st.radio(text("style"), list(styles), format_func=styles.get, horizontal=True, key="style")
    if style == "paper":
        layout = st.selectbox(text("layout"), LAYOUTS, key="layout")
        st.image(view.sheet("png", layout))
        return
    leads = view.recording.leads
    some = st.multiselect(text("leads"), leads, default=list(leads), key=f"leads-{len(leads)}")
    left, right = st.columns(2)
    overlay = left.checkbox(text("overlay"), key="overlay")
    marks = right.checkbox(text("marks"), value=True, key="marks")
    if not some:
        st.info(text("no_leads"))
        return
    axes = text("seconds_axis"), text("millivolts_axis")
    st.plotly_chart(interactive(view, tuple(some), overlay, marks, axes), width="stretch", key="traces")


def show_diagnoses(text: Texts, view: View) -> None:
    """Probabilities beside thresholds, and the decision."""
    choices = lead_choices(view.recording, view.entry)
    names = [text("all_leads"), *map(lead_set_name, choices[1:])]
    number = st.selectbox(text("lead_set"), range(len(choices)), format_func=names.__getitem__, key="lead_set") or 0
    answer = view.answer_on(choices[number]) if number else view.answer
    if answer.failed:
        st.error(text("unusable", reason=text.reason(answer.flags[-1].partition(": ")[2])))
        return
    trained = view.entry.trained_set(choices[number])
    st.caption(text("leads_used", leads=", ".join(trained.leads)))
    thresholds = trained.ensemble.rule.thresholds
    rows = [
        {
            text("diagnosis"): f"{one.abbreviation} – {text.diagnosis(one.abbreviation, one.name)}",
            text("probability"): 100 * float(p),
            text("threshold"): f"{100 * threshold:.1f} %",
            text("decided"): text("yes") if label else "",
        }
        for one, p, threshold, label in zip(
            view.entry.space.classes, answer.probabilities, thresholds, answer.labels, strict=True
        )
    ]
    rows.sort(key=lambda row: -row[text("probability")])
    share = st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100)
    st.dataframe(rows, column_config={text("probability"): share}, hide_index=True, width="stretch")
    st.caption(text("calibrated"))
    show_attribution(text, view)


def show_attribution(text: Texts, view: View) -> None:
    """What a diagnosis rests on, computed when it is asked for."""
    if not st.toggle(text("attribution"), key="attribution"):
        return
    names = view.entry.space.abbreviations
    likeliest = view.answer.probabilities.argsort()[::-1]
    chosen = st.selectbox(
        text("attribution_of"), [names[k] for k in likeliest], key="attribution_of",
        format_func=lambda name: text.diagnosis(name, name),
    )  # fmt: skip
    try:
        layer, method = view.attribution(chosen or names[likeliest[0]])
    except ValueError as error:
        st.error(text("no_attribution", reason=text.reason(str(error))))
        return
    st.caption(text("attribution_method", method=method))
    st.image(view.sheet("png", attribution=layer))


def show_measurements(text: Texts, view: View) -> None:
    """Rate, intervals and axes with their reference ranges."""
    measured = [item for item in view.measurements.items if np.isfinite(item.value)]
    if not measured:
        st.info(text("no_measurements"))
        return
    rows = [
        {
            text("measurement"): text.measurement(item.name, item.label),
            text("value"): f"{item.value:.0f} {item.unit}",
            text("reference"): _range(item.range) if item.range else text("no_range"),
            " ": text("outside") if item.status in ("low", "high") else "",
        }
        for item in measured
    ]
    st.dataframe(rows, hide_index=True, width="stretch")
    for source in sorted({item.range.source for item in measured if item.range}):
        st.caption(sources()[source])


def _range(limits: Range) -> str:
    return f"{limits.low:g} – {limits.high:g}".replace("-", "−")


def show_anomaly(text: Texts, view: View) -> None:
    """How far from normal, and where, by the entry's detector or the one that ships."""
    if view.anomaly is None:
        st.info(text("not_scored"))
        return
    if not has_detector(view.entry, view.recording.leads):
        st.caption(text("shipped_detector"))
    if view.answer.abnormality is not None:
        st.write(text("abnormality", probability=f"{100 * view.answer.abnormality:.0f}"))
    st.caption(text("anomaly_help"))
    st.image(view.sheet("png", heat=view.anomaly))


def show_comparison(text: Texts, view: View) -> None:
    """The same recording answered by each network and on fewer leads."""
    st.caption(text("compare_help"))
    columns: dict[str, np.ndarray] = {}
    for leads in lead_choices(view.recording, view.entry):
        answer = view.answer if leads == view.recording.leads else view.answer_on(leads)
        columns[f"{text('together')}, {lead_set_name(leads)}"] = answer.probabilities
    columns |= {name: own[1] for name, own in view.answer.by_model.items()}
    classes = view.entry.space.classes
    order = np.argsort(-np.max(list(columns.values()), axis=0))
    rows = [
        {
            text("diagnosis"): text.diagnosis(classes[k].abbreviation, classes[k].name),
            **{name: f"{100 * p[k]:.0f} %" for name, p in columns.items()},
        }
        for k in order
    ]
    st.dataframe(rows, hide_index=True, width="stretch")


def show_report(text: Texts, view: View) -> None:
    """Files to keep."""
    st.caption(text("report_help"))
    name = "".join(c for c in view.recording.name if c.isalnum() or c in "-_") or "recording"
    st.download_button(text("download_pdf"), view.sheet("pdf"), f"{name}.pdf", "application/pdf")
    st.download_button(text("download_png"), view.sheet("png"), f"{name}.png", "image/png")
    st.download_button(text("download_csv"), view.table(), f"{name}.csv", "text/csv")


if __name__ == "__main__":
    main(os.environ.get(ENTRY_VARIABLE))
