"""Tables as programs and people write them: separators, decimal commas, units, times; or they are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from leadset.recordings import ReadError, read_recording

MILLIVOLTS = np.random.default_rng(0).integers(-900, 900, (500, 2)).astype(np.float32) / 1000
FS = 250


def write(folder: Path, head: str, sep: str = ",", comma: bool = False, scale: float = 1, first=None, **said) -> Path:
    """A table with these first lines, and the JSON file beside it."""
    rows = [[f"{value * scale:.3f}".replace(".", "," if comma else ".") for value in row] for row in MILLIVOLTS]
    rows = rows if first is None else [[first(i), *row] for i, row in enumerate(rows)]
    path = folder / "r.csv"
    path.write_text("\n".join([*([head] if head else []), *map(sep.join, rows)]) + "\n", encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps({"fs": FS} | said))
    return path


@pytest.mark.parametrize(
    ("head", "more"),
    [
        ("I;V5", {"sep": ";", "comma": True, "unit": "mV"}),
        ("I\tV5", {"sep": "\t", "comma": True, "unit": "mV"}),
        ("", {"sep": ";", "comma": True, "unit": "mV", "leads": ["I", "V5"]}),
        ("I (uV),V5 [µV]", {"scale": 1000}),
        ("I (uV),V5 (uV)", {"scale": 1000, "unit": "microvolt"}),
        ("I_uV,V5_uV", {"scale": 1000}),
        ("I,V5\nuV,uV", {"scale": 1000}),
        ("I,V5", {"unit": "mV", "leads": ["Lead I", "v5"]}),
    ],
)
def test_tables_say_units_and_use_decimal_commas(tmp_path, head, more):
    recording = read_recording(write(tmp_path, head, **more))
    assert (recording.leads, recording.fs, recording.flags) == (("I", "V5"), FS, ())
    np.testing.assert_allclose(recording.signal, MILLIVOLTS.T, atol=1e-6)


@pytest.mark.parametrize(
    ("head", "first", "flags"),
    [
        ("time,I,V5", lambda i: str(i / FS), ()),
        ("Time (ms),I,V5", lambda i: str(i * 1000 / FS), ()),
        ("t,I,V5", str, ()),
        ("time,I,V5", lambda i: str(i / 500), ("other_times",)),
        ("timestamp,I,V5", lambda i: str(1.6e9 + i / FS), ()),  # in 32 bits its steps are lost
        ("'Elapsed time','I','V5'\n'hh:mm:ss.mmm','mV','mV'", lambda i: f"'0:{i / FS:06.3f}'", ()),
    ],
)
def test_times_that_contradict_the_rate_are_flagged(tmp_path, head, first, flags):
    recording = read_recording(write(tmp_path, head, first=first, unit="mV"))
    assert (recording.leads, recording.flags) == (("I", "V5"), ("other_channel", *flags))
    np.testing.assert_allclose(recording.signal, MILLIVOLTS.T, atol=1e-6)


@pytest.mark.parametrize(
    ("head", "said", "message"),
    [
        ("I (uV),V5 (uV)", {"unit": "mV"}, r"r\.json: found unit 'mV', expected 'uV', as r\.csv says"),
        ("I uV,V5-uV", {"unit": "mV"}, r"r\.json: found unit 'mV', expected 'uV', as r\.csv says"),
        ("I (uV),V5 (mV)", {}, r"r\.csv: found leads in mV, uV, expected one unit"),
        ("I,V5", {"unit": "mV", "leads": ["V5", "I"]}, r"r\.json: found leads \['V5', 'I'\], expected \['I', 'V5'\]"),
        ("I,V5", {}, r"r\.csv: found an array without unit"),
    ],
)
def test_contradictions_are_refused(tmp_path, head, said, message):
    with pytest.raises(ReadError, match=message):
        read_recording(write(tmp_path, head, **said))


@pytest.mark.parametrize("word", ["NA", "NULL", "NaN", "", " n/a", "None"])
def test_words_for_nothing_are_missing_samples(tmp_path, word):
    path = write(tmp_path, "I,V5", unit="mV")
    path.write_text(path.read_text().replace(f"{MILLIVOLTS[7, 0]:.3f},", f"{word},", 1))
    missing = np.isnan(read_recording(path).signal)
    assert missing.sum() == 1 and missing[0].any()


def test_leads_that_occur_twice_are_flagged(tmp_path):
    assert read_recording(write(tmp_path, "II,lead II", unit="mV")).flags == ("duplicate_lead",)
