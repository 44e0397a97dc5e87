"""Tables as programs and people write them: separators, decimal commas, units, times; or they are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from leadset.cli import main
from leadset.recordings import ReadError, read_recording, survey

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
        ("Sample Time (s),I,V5", lambda i: str(i / 500), ("other_times",)),
        ("timestamp,I,V5", lambda i: str(1.6e9 + i / FS), ()),
        ("timestamp,I,V5", lambda i: str(1.6e9 + i / 500), ("other_times",)),
        ("time,I,V5", lambda i: f"23:59:{59 + i / FS:06.3f}" if i < FS else f"00:00:{i / FS - 1:06.3f}", ()),
        ("time,I,V5", lambda i: f"12:00:{i / 500:06.3f}", ("other_times",)),
        ("time,I,V5", lambda i: f"2020-01-02 12:00:{i / FS:09.6f}", ()),
        ("timestamp,I,V5", lambda i: str(1_600_000_000_000_000_000 + i * 10**9 // FS), ()),
        ("timestamp,I,V5", lambda i: str(1_600_000_000_000_000_000 + i * 2_000_000), ("other_times",)),
        ("time,I,V5", lambda i: str((i + 3 * FS * (i > 400)) / FS), ("other_times",)),  # a gap
        ("time,I,V5", lambda i: str((i - 60 * (i == 400)) / FS), ("other_times",)),  # one goes back
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
        ("I (uV),V5 (mV)", {"unit": "mV"}, r"r\.json: found unit 'mV', expected \['uV', 'mV'\], as r\.csv says"),
        ("I (uV),V5", {}, r"r\.csv: found no unit of V5, expected one of each lead"),
        ("I (adu),V5 (adu)", {"unit": "mV"}, r"r\.csv: found unit 'adu' of I \(adu\), expected a voltage"),
        ("I,V5\nadu,adu", {"unit": "mV"}, r"r\.csv: found unit 'adu' of I, expected a voltage"),
        ("I,V5\nmV", {}, r"r\.csv, line 2: found 1 cells, expected 2, as in the first line"),
        ("a,b", {"unit": "mV"}, r"r\.csv, line 1: found columns a, b, expected names of leads, or such that \[leads\]"),
        ("a,b", {"unit": "mV", "leads": ["I"]}, r"r\.csv, line 1: found columns a, b, expected names of leads"),
        ("I,V5", {"unit": "mV", "leads": ["V5", "I"]}, r"r\.json: found leads \['V5', 'I'\], expected \['I', 'V5'\]"),
        ("I,V5", {}, r"r\.csv: found an array without unit"),
    ],
)
def test_contradictions_are_refused(tmp_path, head, said, message):
    with pytest.raises(ReadError, match=message):
        read_recording(write(tmp_path, head, **said))


@pytest.mark.parametrize("word", ["NA", "NULL", "NaN", "", " n/a", "None", "#N/A", "--"])
def test_words_for_nothing_are_missing_samples(tmp_path, word):
    path = write(tmp_path, "I,V5", unit="mV")
    path.write_text(path.read_text().replace(f"{MILLIVOLTS[7, 0]:.3f},", f"{word},", 1))
    missing = np.isnan(read_recording(path).signal)
    assert missing.sum() == 1 and missing[0].any()


def test_a_column_of_words_is_no_line_of_units(tmp_path):
    path = write(tmp_path, "label,I,V5", first=lambda i: "AF", unit="mV")
    recording = read_recording(path)
    assert (recording.leads, recording.flags) == (("I", "V5"), ("other_channel",))
    np.testing.assert_allclose(recording.signal, MILLIVOLTS.T, atol=1e-6)


@pytest.mark.parametrize(("given", "leads"), [(["ECG"], ("ECG",)), (["II"], ("II",)), (None, None)])
def test_axes_of_an_accelerometer_are_no_leads_beside_an_ecg(tmp_path, given, leads):
    path = tmp_path / "r.csv"
    rows = [f"{i / FS},{value:.3f},0.1,9.8,0.2" for i, value in enumerate(MILLIVOLTS[:, 0])]
    path.write_text("\n".join(["time,ECG,X,Y,Z", *rows]))
    path.with_suffix(".json").write_text(json.dumps({"fs": FS, "unit": "mV"} | ({"leads": given} if given else {})))
    if leads is None:
        with pytest.raises(ReadError, match="found columns time, ECG, X, Y, Z, expected names of leads"):
            read_recording(path)
        return
    recording = read_recording(path)
    assert (recording.leads, recording.flags) == (leads, ("other_channel",))
    np.testing.assert_allclose(recording.signal[0], MILLIVOLTS[:, 0], atol=1e-6)


def test_channels_of_an_eeg_are_no_leads_of_a_table(tmp_path):
    recording = read_recording(write(tmp_path, "C3,I", unit="mV"))
    assert recording.leads == ("V3", "I")
    path = write(tmp_path, "C3,Cz", unit="mV")
    with pytest.raises(ReadError, match="found columns C3, Cz, expected names of leads"):
        read_recording(path)


def test_names_of_a_user_reach_the_names_of_columns(tmp_path):
    path = write(tmp_path, "Kanal A,Kanal B", unit="mV")
    recording = read_recording(path, {"Kanal A": "I", "kanal b": "-V5"})
    assert (recording.leads, recording.flags) == (("I", "V5"), ())
    np.testing.assert_allclose(recording.signal, MILLIVOLTS.T * [[1], [-1]], atol=1e-6)
    path = write(tmp_path, "time,Kanal A,V5", first=lambda i: str(i / FS), unit="mV")
    assert read_recording(path, {"Kanal A": "I"}).leads == ("I", "V5") and read_recording(path).leads == ("V5",)
    path = write(tmp_path, "a,b", unit="mV", leads=["a", "b"])
    assert read_recording(path, {"a": "V5", "b": "I"}).leads == ("V5", "I")
    assert survey(tmp_path).headers == [path]
    assert main(["describe", str(tmp_path)]) == 0


def test_a_users_names_in_leadset_toml_reach_verbs(tmp_path, monkeypatch, capsys):
    write(tmp_path, "Kanal A;Kanal B", sep=";", unit="mV")
    (tmp_path / "leadset.toml").write_text('[leads]\n"Kanal A" = "I"\n"Kanal B" = "V5"\n')
    monkeypatch.chdir(tmp_path)
    assert main(["describe", "."]) == 0
    assert "leads: I-V5 (1)" in capsys.readouterr().out


@pytest.mark.parametrize("names", ["0,1", ",0,1", "1,2,3"])
def test_columns_that_a_program_has_counted_are_no_samples(tmp_path, names):
    columns = names.count(",") + 1
    path = tmp_path / "r.csv"
    rows = [",".join([str(i)] * (names[0] == ",") + [f"{v:.3f}" for v in [*row, *row][: columns - (names[0] == ",")]])
            for i, row in enumerate(MILLIVOLTS)]  # fmt: skip
    path.write_text("\n".join([names, *rows]))
    leads = ["I", "V5", "V6"][: columns - (names[0] == ",")]
    path.with_suffix(".json").write_text(json.dumps({"fs": FS, "unit": "mV", "leads": leads}))
    if names == "0,1":  # two whole numbers may be samples as well
        assert read_recording(path).signal.shape == (2, 501)
    else:
        np.testing.assert_allclose(read_recording(path).signal[:2], MILLIVOLTS.T, atol=1e-6)


@pytest.mark.parametrize(
    ("ending", "encoding", "head", "sep"),
    [
        (".tsv", "utf-8", "I\tV5", "\t"), (".txt", "utf-8", "I V5", " "), (".csv", "utf-16", "I,V5", ","),
        (".csv", "utf-8", "# made by a program\n# I,V5", ","), (".txt", "utf-8", "", " "), (".csv", "utf-8", "", "  "),
        (".csv", "latin-1", "I (µV),V5 (µV)", ","),
    ],
)  # fmt: skip
def test_endings_encodings_and_comments_of_programs(tmp_path, ending, encoding, head, sep):
    micro = "µ" in head
    path = write(tmp_path, head, sep, scale=1000 if micro else 1, **({} if micro else {"unit": "mV"}),
                 **({} if head else {"leads": ["I", "V5"]}))  # fmt: skip
    other = path.with_suffix(ending)
    other.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    if other != path:
        path.unlink()
    assert survey(tmp_path).headers == [other]
    recording = read_recording(other)
    assert (recording.leads, recording.flags) == (("I", "V5"), ())
    np.testing.assert_allclose(recording.signal, MILLIVOLTS.T, atol=1e-6)


def test_a_line_may_be_a_lead(tmp_path):
    path = write(tmp_path, "", unit="mV")
    named = zip(("I", "V5"), MILLIVOLTS.T, strict=True)
    path.write_text("\n".join(",".join([name, *map(str, row)]) for name, row in named))
    recording = read_recording(path)
    assert recording.leads == ("I", "V5")
    np.testing.assert_allclose(recording.signal, MILLIVOLTS.T, atol=1e-6)


def test_each_lead_has_its_unit(tmp_path):
    path = write(tmp_path, "I (mV),V5 (V)")
    np.testing.assert_allclose(read_recording(path).signal, MILLIVOLTS.T * [[1], [1000]], rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "line", "message"),
    [("0.1", 302, "1 cells, expected 2"), ("0.1,x", 302, "'x', expected a number of V5"), ("I,V5", 302, "'I', exp")],
)
def test_a_line_that_is_none_of_numbers_is_named(tmp_path, row, line, message):
    path = write(tmp_path, "I,V5", unit="mV")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:301], row, *lines[301:]]))
    with pytest.raises(ReadError, match=rf"r\.csv, line {line}: found {message}"):
        read_recording(path)


@pytest.mark.parametrize(("sep", "comma"), [(",", False), (";", False), (";", True), ("\t", True), (" ", False)])
def test_tables_with_a_line_for_each_lead(tmp_path, sep, comma):
    path = write(tmp_path, sep.join(("I", "V5")), sep, comma, unit="mV")
    lines = zip(*(line.split(sep) for line in path.read_text().splitlines()), strict=True)
    path.write_text("\n".join(map(sep.join, lines)))
    np.testing.assert_allclose(read_recording(path).signal, MILLIVOLTS.T, atol=1e-6)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        (("950;-12", "1,074;-1,204", "7;8"), 3, "'1,074', with a comma of thousands or of decimals, expected whole"),
        (("1,07;0,950", "0.95;1"), 2, "'1,07', and '0.95' elsewhere, expected decimals behind a comma, or a point, in"),
        (("1,074;2", "0,95;0", "1;1"), None, ""),
    ],
)
def test_commas_that_may_not_be_decimal_are_refused(tmp_path, turned, rows, line, message):
    cells = [["I", "V5"], *(row.split(";") for row in rows)]
    path = tmp_path / "r.csv"
    path.write_text("\n".join(map(";".join, zip(*cells, strict=True) if turned else cells)))
    path.with_suffix(".json").write_text('{"fs": 500, "unit": "mV"}')
    if not message:
        np.testing.assert_allclose(read_recording(path).signal, [[1.074, 0.95, 1], [2, 0, 1]], rtol=1e-6)
        return
    with pytest.raises(ReadError, match=rf"r\.csv, line {1 if turned else line}: found {message}"):
        read_recording(path)


def test_a_table_of_numbers_without_leads_is_none_of_samples(tmp_path):
    (tmp_path / "arrays.json").write_text('{"fs": 500, "unit": "mV"}')
    for name, head in (("a", "ecg_id,AF,NORM"), ("b", "file,AF,NORM"), ("c", "patient_id,AF")):
        rows = [head, *[",".join([str(i)] + ["1"] * head.count(",")) for i in range(9)]]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
    assert survey(tmp_path).headers == []


def npz(folder: Path, said=None, **arrays) -> Path:
    """An NPZ file that says all of itself, but for what is given."""
    path = folder / "r.npz"
    np.savez(path, **{"signal": MILLIVOLTS.T, "fs": FS, "unit": "mV", "leads": np.array(["I", "V5"])} | arrays)
    if said is not None:
        path.with_suffix(".json").write_text(json.dumps(said))
    return path


def test_a_rate_that_contradicts_the_json_file_is_refused(tmp_path):
    with pytest.raises(ReadError, match=r"r\.json: found fs 500, expected 250, as r\.npz says"):
        read_recording(npz(tmp_path, {"fs": 500}))
    assert read_recording(npz(tmp_path, {"fs": 250.0})).fs == FS


@pytest.mark.parametrize(
    ("arrays", "flags"),
    [
        ({"labels": np.array(["AF"])}, ("diagnoses_elsewhere",)), ({"data": MILLIVOLTS}, ("first_of_several",)),
        ({"codes": 164889003, "labels": "AF"}, ()), ({"leads": np.array([b"I", b"V5"])}, ()),
    ],
)  # fmt: skip
def test_what_else_is_in_an_npz_file_is_said(tmp_path, arrays, flags):
    recording = read_recording(npz(tmp_path, **arrays))
    assert (recording.leads, recording.flags) == (("I", "V5"), flags)
    assert recording.codes == (("164889003",) if "codes" in arrays else ())


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_an_array_of_one_element_is_that_element(tmp_path, shape):
    said = {"fs": 500, "unit": "mV", "age": 61, "sex": b"F", "codes": "164889003", "patient": "P7"}
    recording = read_recording(npz(tmp_path, **{key: np.full(shape, value) for key, value in said.items()}))
    assert (recording.fs, recording.leads, recording.age, recording.sex) == (500, ("I", "V5"), 61, "female")
    assert (recording.codes, recording.patient, recording.flags) == (("164889003",), "P7", ())
    np.testing.assert_allclose(recording.signal, MILLIVOLTS.T, atol=1e-6)


def test_one_lead_is_a_list_of_one(tmp_path):
    assert read_recording(npz(tmp_path, signal=MILLIVOLTS[:, 0], leads=np.array(["V5"]))).leads == ("V5",)


def test_leads_that_occur_twice_are_flagged(tmp_path):
    assert read_recording(write(tmp_path, "II,lead II", unit="mV")).flags == ("duplicate_lead",)
