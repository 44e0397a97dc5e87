"""The sheet: true size in pixels and points, nothing cut off or written over, and what is said of odd recordings."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from leadset.cli import main
from leadset.leads import LEADS
from leadset.plots import (
    LAYOUTS,
    Finding,
    SheetOptions,
    SignalMap,
    draw_measured_sheet,
    draw_sheet,
    findings_of,
    save_sheet,
)
from leadset.plots.layouts import plan_rows
from leadset.plots.sheet import DPI
from leadset.recordings import Recording, read_recording
from leadset.simulate import simulate

pytest.importorskip("matplotlib")

#: Pixels to a millimetre of a PNG at the usual resolution.
PER_MM = round(DPI / 25.4)
FINDINGS = [Finding("AF", "atrial fibrillation", 0.93, True), Finding("LBBB", "left bundle branch block", 0.31, False)]


@pytest.fixture(scope="module")
def normal() -> Recording:
    """Twelve leads in sinus rhythm."""
    made = simulate(1, seed=3, labels="NSR", marks=False, noise=0.3)
    return Recording(made.signals[0], 500, LEADS, name="normal", age=float(made.ages[0]), sex="female")


def steps(seconds: float = 10.0, at: tuple[float, ...] = (6.0, 7.0), height: float = 1.0) -> Recording:
    """Lead I that is 0 mV and rises to ``height`` from one second to another."""
    time = np.arange(round(500 * seconds)) / 500
    return Recording(np.where((time >= at[0]) & (time < at[1]), height, 0.0)[None], 500, ("I",), name="steps")


def pixels(figure) -> np.ndarray:
    """(rows, columns, 3) of the PNG, 0 to 1, from top to bottom."""
    from matplotlib.image import imread

    target = BytesIO()
    figure.savefig(target, format="png", dpi=DPI)
    target.seek(0)
    return imread(target)[:, :, :3]


def ink(image: np.ndarray) -> np.ndarray:
    """Where it is nearly black."""
    return image.max(axis=2) < 0.45


def text_of(figure) -> str:
    return "\n".join(text.get_text() for text in figure.axes[0].texts)


# --- True size -------------------------------------------------------------------------------------------------------


def test_a_square_of_the_grid_is_a_millimetre() -> None:
    image = pixels(draw_sheet(steps()))
    row = image[len(image) // 4 * 3, :, 1]  # green: the redder a line, the less of it
    for axis_values in (row, image[200:-150, 1000, 1]):
        lines = np.flatnonzero((axis_values[1:-1] < axis_values[:-2]) & (axis_values[1:-1] <= axis_values[2:])) + 1
        assert np.bincount(np.diff(lines)).argmax() == PER_MM
        strong = lines[axis_values[lines] < np.median(axis_values[lines]) - 0.04]
        assert np.bincount(np.diff(strong)).argmax() == 5 * PER_MM


@pytest.mark.parametrize("gain", [5, 10, 20])
def test_a_millivolt_of_trace_and_pulse_is_as_high_as_the_gain_says(gain: int) -> None:
    dark = ink(pixels(draw_sheet(steps(), SheetOptions(gain=gain))))
    dark[: 19 * PER_MM], dark[-15 * PER_MM :] = False, False  # header and footer
    columns = np.flatnonzero(dark.sum(axis=0) > 4 * PER_MM)
    pulse = columns[columns < 20 * PER_MM]
    step = columns[columns > 100 * PER_MM]
    for found, width in ((pulse, 5), (step, 25)):
        rows = np.flatnonzero(dark[:, found].any(axis=1))
        assert rows[-1] - rows[0] == pytest.approx(gain * PER_MM, abs=4)
        assert found[-1] - found[0] == pytest.approx(width * PER_MM, abs=4)


@pytest.mark.parametrize("speed", [25, 50])
def test_a_second_is_as_long_as_the_speed_says(speed: int) -> None:
    dark = ink(pixels(draw_sheet(steps(), SheetOptions(speed=speed))))
    dark[: 19 * PER_MM], dark[-15 * PER_MM :] = False, False
    edges = np.flatnonzero(dark.sum(axis=0) > 6 * PER_MM)
    edges = edges[edges > 100 * PER_MM]
    assert edges[-1] - edges[0] == pytest.approx(speed * PER_MM, abs=4)


def test_files_say_their_size(normal: Recording, tmp_path: Path) -> None:
    from PIL import Image

    figure = draw_sheet(normal)
    for kind in ("png", "svg", "pdf"):
        save_sheet(figure, tmp_path / f"sheet.{kind}")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (297 * PER_MM, 210 * PER_MM)
        assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
    width, height = 297 / 25.4 * 72, 210 / 25.4 * 72
    svg = re.search(r'width="([\d.]+)pt" height|height="([\d.]+)pt"', (tmp_path / "sheet.svg").read_text())
    assert float(svg[1] or svg[2]) in (pytest.approx(width, abs=0.01), pytest.approx(height, abs=0.01))
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", (tmp_path / "sheet.pdf").read_bytes())
    assert (float(box[1]), float(box[2])) == (pytest.approx(width, abs=0.01), pytest.approx(height, abs=0.01))
    with pytest.raises(ValueError, match=r"expected one of \.png, \.svg, \.pdf"):
        save_sheet(figure, tmp_path / "sheet.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet.pdf", "sheet.png", "sheet.svg"]


# --- Nothing written over or cut off ---------------------------------------------------------------------------------


def overlaps(figure) -> list[str]:
    """Pairs of texts that touch each other, and texts that leave the page."""
    renderer = figure.canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.axes[0].texts]
    page = figure.bbox
    wrong = [f"{text!r} leaves the page" for text, box in boxes
             if box.x0 < page.x0 or box.x1 > page.x1 or box.y0 < page.y0 or box.y1 > page.y1]  # fmt: skip
    for (one, a), (other, b) in combinations(boxes, 2):
        if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1:
            wrong.append(f"{one!r} over {other!r}")
    return wrong


def odd_recordings(normal: Recording) -> dict[str, Recording]:
    """Recordings that fill labels, header and footer with words."""
    noise = np.random.default_rng(0).normal(0, 0.3, normal.signal.shape)
    paper = np.full_like(normal.signal, np.nan)
    for row in range(12):
        column = row // 3
        paper[row, 1250 * column : 1250 * (column + 1)] = normal.signal[row, 1250 * column : 1250 * (column + 1)]
    flat = normal.signal.copy()
    flat[[3, 7]], flat[9] = 0, np.nan
    wild = normal.signal + 30 * (np.arange(5000) % 900 < 5) * np.linspace(-1, 1, 12)[:, None]
    few = [0, 6]
    return {
        "noise": replace(normal, signal=noise, name="a name that goes on and on " * 8),
        "paper": replace(normal, signal=paper),
        "flat": replace(normal, signal=flat, age=None, sex=None), "wild": replace(normal, signal=wild),
        "few": replace(normal, signal=normal.signal[few], leads=("I", "V1")),
        "other leads": replace(normal, leads=(*LEADS[:10], "V8", "a very long name of a lead, and then some more")),
        "short": replace(normal, signal=normal.signal[:, :700]), "dollars": replace(normal, name=r"$x_1$ \alpha $"),
        "signs": replace(normal, name="\u5fc3\u96fb\n\u202e\x00", age=None, sex=None),
    }  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_text_touches_another(normal: Recording, layout: str) -> None:
    for name, recording in {"normal": normal, **odd_recordings(normal)}.items():
        labels = {"label": "a label of a map that is rather long", "label_low": "another label that is just as long"}
        heat = SignalMap(np.abs(recording.signal), 500, recording.leads, 1.0, signed=True, **labels)
        figure = draw_measured_sheet(recording, SheetOptions(layout), answer=FINDINGS * 4, heat=heat)
        assert overlaps(figure) == [], f"{name} in {layout}"


def test_rows_make_room_for_their_traces(normal: Recording) -> None:
    high = replace(normal, signal=1.3 * normal.signal)
    figure = draw_sheet(high, SheetOptions("12x1", seconds=5))
    axes = figure.axes[0]
    traces = [line for collection in axes.collections for line in collection.get_segments() if len(line) > 1000]
    assert len(traces) == 12
    spans = [(line[:, 1].min(), line[:, 1].max()) for line in traces]
    assert all(below[1] < above[0] for above, below in pairwise(spans))
    assert spans[-1][0] > 15
    assert spans[0][1] < axes.get_ylim()[1] - 18
    reach = [np.ptp(high.signal[row, :2500]) * 10 for row in range(12)]
    assert [top - low for low, top in spans] == pytest.approx(reach, abs=0.01)


def test_what_is_cut_off_is_red_and_said() -> None:
    figure = draw_sheet(steps(height=5.0))
    assert "cut off: 5 mV" in text_of(figure)
    red = np.array([0xB0, 0x00, 0x20]) / 255
    assert (np.abs(pixels(figure) - red).max(axis=2) < 0.1).sum() > 25 * PER_MM
    assert "cut off" not in text_of(draw_sheet(steps(height=4.0)))


# --- Words -----------------------------------------------------------------------------------------------------------


def test_missing_flat_and_short_leads_say_so(normal: Recording) -> None:
    odd = odd_recordings(normal)
    flat = text_of(draw_measured_sheet(odd["flat"]))
    assert "aVR  flat" in flat
    assert "V4  no signal" in flat
    assert "aVR  flat" in text_of(draw_sheet(odd["flat"]))  # whoever did not ask for the quality
    assert "V3  not recorded" in text_of(draw_sheet(replace(normal, signal=normal.signal[:8], leads=LEADS[:8])))
    assert "II  partly missing" in text_of(draw_measured_sheet(odd["paper"]))
    assert "all columns show the same seconds" in text_of(draw_sheet(odd["short"]))
    assert "not recorded here" in text_of(draw_sheet(odd["paper"], SheetOptions("strip", lead="I", start=4)))


def test_an_unusable_recording_has_a_sheet_that_says_so(normal: Recording) -> None:
    words = text_of(draw_measured_sheet(odd_recordings(normal)["noise"], answer=()))
    assert "UNUSABLE: no heartbeats" in words
    assert "no diagnosis could be given" in words
    assert "bpm" not in words


def test_header_box_and_footer(normal: Recording) -> None:
    words = text_of(draw_measured_sheet(normal, SheetOptions(date="2021-03-04", speed=50, gain=5), answer=FINDINGS))
    for part in ("normal", f"{normal.age:g} years · female · 2021-03-04", "50 mm/s · 5 mm/mV · filter: none", "93%",
                 "AF  atrial fibrillation", "QTc Framingham", "391 to 459", "not a medical device"):  # fmt: skip
        assert part in words


def test_findings_are_the_decided_ones_and_what_is_likely(entry_folder: Path, normal: Recording) -> None:
    import leadset

    entry = leadset.load_entry(entry_folder)
    answer = entry.predict(normal)
    found = findings_of(answer, entry.space)
    assert {finding.abbreviation for finding in found if finding.decided} == {
        one for one, label in zip(entry.space.abbreviations, answer.labels, strict=True) if label
    }
    assert findings_of(replace(answer, flags=("unanswered: noise",)), entry.space) == ()


# --- Layers and layouts ----------------------------------------------------------------------------------------------


def test_maps_colour_what_they_say_and_nothing_else(normal: Recording) -> None:
    values = np.full((12, 1000), np.nan)
    values[0, 100:200] = 5.0  # lead I from 1 to 2 s
    plain = pixels(draw_sheet(normal))
    coloured = pixels(draw_sheet(normal, heat=SignalMap(values, 100, LEADS, 5.0, "odd")))
    footer = len(plain) - 15 * PER_MM
    columns = np.flatnonzero(np.abs(plain - coloured).max(axis=2)[:footer].any(axis=0)) / PER_MM
    start = 8.5 + 10 + 25
    assert columns.min() == pytest.approx(start, abs=0.5)
    assert columns.max() == pytest.approx(start + 25, abs=0.5)
    low = pixels(draw_sheet(normal, attribution=SignalMap(-values, 100, LEADS, 5.0, "for", True, "against")))
    assert not np.array_equal(low, coloured)
    with pytest.raises(ValueError, match="expected \\(leads, t\\)"):
        SignalMap(values[0], 100, LEADS, 1.0, "odd")


def test_layouts_show_each_lead_once_in_order() -> None:
    for layout in ("3x4", "6x2", "12x1"):
        plan = plan_rows(LEADS, 10.0, layout)
        grid = plan.rows[: len(plan.rows) - LAYOUTS[layout][1]]
        by_column = [strip.lead for column in zip(*grid, strict=True) for strip in column]
        assert tuple(by_column) == LEADS
        assert all(strip.stop - strip.start == pytest.approx(10 / len(row)) for row in grid for strip in row)
    lines = plan_rows(("II",), 65.0, "strip", line_seconds=10).rows
    assert [row[0].start for row in lines] == [0, 10, 20, 30, 40, 50]
    assert plan_rows(("V1", "II", "X"), 10.0, "3x4").title == "3 × 1"
    assert plan_rows(LEADS, 10.0, "3x4", lead="V1").rows[-1][0].lead == "V1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "4x3"}, "no layout '4x3': expected one of 3x4"), ({"gain": 7}, "gain 7: expected one of 5, 10, 20"),
        ({"speed": 10}, "speed 10: expected one of 25, 50"), ({"lead": "V9"}, "no lead 'V9'"),
        ({"seconds": 61.0}, "room for 60 s"),
        ({"start": 10.0}, "the recording has 10 s"), ({"seconds": -1.0}, "the recording has 10 s"),
    ],
)  # fmt: skip
def test_choices_that_are_not_there_are_refused(normal: Recording, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_sheet(normal, SheetOptions(**options))


def test_threads_draw_the_same_as_one_after_the_other(normal: Recording) -> None:
    def drawn(scale: int) -> bytes:
        target = BytesIO()
        draw_measured_sheet(replace(normal, signal=normal.signal * scale, name=f"{scale}")).savefig(target, dpi=60)
        return target.getvalue()

    alone = [drawn(scale) for scale in (1, 2, 3)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(drawn, (1, 2, 3) * 3)) == alone * 3


# --- The verb --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, normal: Recording) -> Path:
    """Two recordings of one name and a damaged one."""
    import wfdb

    for group in ("a", "b"):
        (tmp_path / group).mkdir()
        wfdb.wrsamp("rec", fs=500, units=["mV"] * 12, sig_name=list(LEADS), fmt=["16"] * 12,
                    write_dir=str(tmp_path / group), p_signal=normal.signal.T.astype(float))  # fmt: skip
    (tmp_path / "b" / "broken.hea").write_text("broken 2 500 5000\n")
    return tmp_path


def test_the_verb_draws_what_it_can_and_counts_the_rest(folder: Path, capsys) -> None:
    assert main(["sheet", str(folder), "-o", str(folder / "out"), "--format", "pdf", "--marks"]) == 1
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a_rec.pdf", "b_rec.pdf"]
    said = capsys.readouterr()
    assert "broken.hea" in said.err
    assert "2 of 3 recordings drawn" in said.out


def test_the_verb_lists_diagnoses(folder: Path, entry_folder: Path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr("leadset.commands.sheet.save_sheet", lambda figure, path: drawn.append(text_of(figure)))
    assert main(["sheet", str(folder / "a"), "--diagnoses", "--entry", str(entry_folder)]) == 0
    assert re.search(r"^\d+%$", drawn[0], re.MULTILINE)
    with pytest.raises(SystemExit):
        main(["sheet", str(folder / "a"), "--entry", str(entry_folder)])


def test_sheets_of_recordings(recorded: Path) -> None:
    paths = sorted(recorded.rglob("*.hea"))[:: max(1, len(list(recorded.rglob("*.hea"))) // 12)]
    drawn = 0
    for path in paths:
        try:
            recording = read_recording(path)
        except ValueError:
            continue
        assert overlaps(draw_measured_sheet(recording)) == [], path
        drawn += 1
    assert drawn
