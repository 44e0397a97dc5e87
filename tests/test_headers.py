"""Header text as it circulates: read alike, or refused with a message that says where and why."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from files_on_disk import header_text, make_counts

from leadset.leads import LEADS
from leadset.recordings import Header, ReadError, parse_header, read_header, to_millivolts
from leadset.signals import FLAGS


def test_both_dialects_say_the_same():
    old = header_text(record_line="A0001 12 500 1000 12-May-2020 12:33:59")
    new = header_text(form="16x1+24", gain="1000.0(0)/mv", comments=("# Age: 74", "# Sex: Male", "# Dx: 426783006"))
    old, new = parse_header(old), parse_header(new)
    assert (old.dialect, new.dialect) == ("2021", "current")
    for header in (old, new):
        assert (header.name, header.fs, header.n_samples, header.leads) == ("A0001", 500.0, 1000, LEADS)
        assert (header.age, header.sex, header.codes, header.flags) == (74.0, "male", ("426783006",), ())
    assert old.signals == new.signals
    assert parse_header(header_text(form="16x1+24")).dialect == "mixed"
    assert parse_header(header_text(comments=())).dialect == "wfdb"


@pytest.mark.parametrize(
    ("gain", "expected", "flags"),
    [
        ("1000", (1000, 0, "mV", 1000), ()),
        ("1000/mV", (1000, 0, "mV", 1000), ()),
        ("1000.0(0)/mV", (1000, 0, "mV", 1000), ()),
        ("1000(-5)/uV", (1000, -5, "uV", 1e6), ()),
        ("2.5/\N{MICRO SIGN}V", (2.5, 0, "uV", 2500), ()),
        ("2.5/\N{GREEK SMALL LETTER MU}V", (2.5, 0, "uV", 2500), ()),
        ("1e6/V", (1e6, 0, "V", 1000), ()),
        ("4880/mv", (4880, 0, "mV", 4880), ()),
        ("-200(12.5)/mV", (-200, 12.5, "mV", -200), ()),
        ("0/mV", (200, 0, "mV", 200), ("default_gain",)),
        ("nan(nan)/mV", (200, 0, "mV", 200), ("default_gain",)),
        ("0(3)", (200, 3, "mV", 200), ("default_gain",)),
        ("100/mmHg", (100, 0, "mmHg", 100), ("unknown_unit",)),
        ("1/microvolts", (1, 0, "uV", 1000), ()),
        ("1/uV/bit", (1, 0, "uV", 1000), ()),
        ("1/uVolt", (1, 0, "uV", 1000), ()),
        ("1/MicroVolts", (1, 0, "uV", 1000), ()),
        ("1/millivolts", (1, 0, "mV", 1), ()),
        ("1/mV/LSB", (1, 0, "mV", 1), ()),
        ("1/nanovolt", (1, 0, "nV", 1e6), ()),
        ("1/Volts", (1, 0, "V", 1e-3), ()),
        # The micro sign in UTF-8, read as Latin-1; and lost.
        ("1/\N{LATIN CAPITAL LETTER A WITH CIRCUMFLEX}\N{MICRO SIGN}V", (1, 0, "uV", 1000), ()),
        ("1/?V", (1, 0, "uV", 1000), ("garbled_unit",)),
        ("1/\N{REPLACEMENT CHARACTER}V", (1, 0, "uV", 1000), ("garbled_unit",)),
        ("1/NU", (1, 0, "NU", 1), ("unknown_unit",)),
        ("1/kV", (1, 0, "kV", 1), ("unknown_unit",)),
    ],
)
def test_gain_field(gain, expected, flags):
    header = parse_header(header_text(gain=gain))
    spec = header.signals[0]
    assert (spec.gain, spec.baseline, spec.unit) == expected[:3]
    assert spec.counts_per_mv == pytest.approx(expected[3])
    assert header.flags == flags


@pytest.mark.parametrize(
    ("line", "lead", "gain", "baseline", "flags"),
    [
        ("A.mat 16+24", "signal 1", 200, 0, ("default_gain",)),
        ("A.mat 16+24 1000/mV", "signal 1", 1000, 0, ()),
        ("A.mat 16+24 1000/mV 16 1024", "signal 1", 1000, 1024, ()),
        ("A.mat 16+24 1000(5)/mV 16 1024 0 0 0 v1", "V1", 1000, 5, ()),
        ("A.mat 16+24 1000/mV 16 0 NaN NaN 0 avr", "aVR", 1000, 0, ()),
        ("A.mat 16+24 1000/mV 16 0 II", "II", 1000, 0, ()),
        ("A.mat 16+24 1000/mV 16 0 0 0 0 V1 electrode replaced at 10:30", "V1", 1000, 0, ()),
        ("A.mat 16+24 1000(3)/mV 16 0 0 0 0 -aVR", "aVR", -1000, 3, ()),
        ("A.mat\t16+24\t1000/mV\t16\t0\t0\t0\t0\tECG lead 1 ", "ECG lead 1", 1000, 0, ()),
    ],
)
def test_signal_line_with_missing_fields(line, lead, gain, baseline, flags):
    header = parse_header(f"A 1 500 1000\n{line}\n")
    spec = header.signals[0]
    assert (spec.lead, spec.gain, spec.baseline, header.flags) == (lead, gain, baseline, flags)


@pytest.mark.parametrize(
    ("line", "name", "fs", "n_samples", "flags"),
    [
        ("E00015.mat 1 500 5000 05-May-2020 14:50:55", "E00015", 500, 5000, ("record_name_extension",)),
        ("A0001 1 500 7500 12-May-2020 12:33:59", "A0001", 500, 7500, ()),
        ("A0001 1 500 7500 05:05:15 1/05/2000", "A0001", 500, 7500, ()),
        ("A0001 1 500/1000(12.5) 7500", "A0001", 500, 7500, ()),
        ("A0001 1 257.5 7500.0", "A0001", 257.5, 7500, ()),
        ("A0001 1 500", "A0001", 500, None, ()),
        ("A0001 1 500 0", "A0001", 500, None, ()),
        ("A0001 1 500 Unknown", "A0001", 500, None, ("sample_count_unreadable",)),
        ("A0001 1 500 7_500", "A0001", 500, None, ("sample_count_unreadable",)),
        ("A0001 1", "A0001", 250, None, ("default_rate",)),
        ("A-1_b 1 100 10", "A-1_b", 100, 10, ()),
        ("A0001 1 500Hz 7500", "A0001", 500, 7500, ()),
    ],
)
def test_record_line(line, name, fs, n_samples, flags):
    header = parse_header(f"{line}\nA.mat 16+24 1000/mV 16 0 0 0 0 I\n")
    assert (header.name, header.fs, header.n_samples, header.flags) == (name, fs, n_samples, flags)


@pytest.mark.parametrize(
    ("text", "line", "found", "expected"),
    [
        ("", None, "no record line", "name, number of signals"),
        ("# only a comment\n", None, "no record line", "name, number of signals"),
        ("A/3 1 500 100\nA.mat 16\n", 1, "multi-segment header (3 segments)", "a single recording"),
        ("../A 1 500 100\nA.mat 16\n", 1, "'../A'", "without a path"),
        ("A\nA.mat 16\n", 1, "number of signals missing", "above 0"),
        ("A twelve 500 100\nA.mat 16\n", 1, "number of signals twelve", "above 0"),
        ("A 1_2 500 100\nA.mat 16\n", 1, "number of signals 1_2", "above 0"),
        ("A 0 500 100\n", 1, "number of signals 0", "above 0"),
        ("#c\n\nA 1 0 100\nA.mat 16\n", 3, "sampling rate 0", "50 to 10000 Hz"),
        ("A 1 NaN 100\nA.mat 16\n", 1, "sampling rate NaN", "50 to 10000 Hz"),
        ("A 1 -500 100\nA.mat 16\n", 1, "sampling rate -500", "50 to 10000 Hz"),
        ("A 1 1e12 100\nA.mat 16\n", 1, "sampling rate 1e12", "50 to 10000 Hz"),
        ("A 1 1 100\nA.mat 16\n", 1, "sampling rate 1", "50 to 10000 Hz"),
        ("A 2 500 1000000/mV 16 0 I\nA.mat 16\n", 1, "'A 2 500 1000000/mV 16 0 I' that runs into one", "2"),
        ("A 2 500 100\nA.mat 16\n", 1, "1 signal lines", "2 as the record line says"),
        ("A 1 500 100\nA.mat 16\nA.mat 16\n", 1, "2 signal lines", "1 as the record line says"),
        ("A 1 500 100\nA.mat\n", 2, "signal line 'A.mat'", "file name, format"),
        ("A 1 500 100\nA.mat sixteen\n", 2, "format sixteen", "such as 16"),
        ("A 1 500 100\nA.mat 16x0\n", 2, "format 16x0", "such as 16"),
        ("A 1 500 100\nA.mat 16 much/mV\n", 2, "gain much/mV", "such as 1000/mV"),
        ("A 1 500 100\nA.mat 16 1e-300/mV\n", 2, "gain 1e-300/mV", "such as 1000/mV"),
        ("A 1 500 100\nA.mat 16 1000(1e300)/mV\n", 2, "gain 1000(1e300)/mV", "such as 1000/mV"),
    ],
)
def test_refused_headers_say_where_and_why(text, line, found, expected):
    with pytest.raises(ReadError) as caught:
        parse_header(text, "folder/A.hea")
    message = str(caught.value)
    assert (caught.value.path, caught.value.line) == ("folder/A.hea", line)
    assert message.startswith("folder/A.hea" + (f", line {line}: " if line else ": "))
    assert found in message.split("expected")[0]
    assert expected in message.split("expected", 1)[1]


@pytest.mark.parametrize("gain", ["1000(5) /mV", "1000(5)/ uV", "1e3(5) / mV", "1000(5) mV", "1(5) µV"])
def test_gain_in_several_words(gain):
    plain = parse_header(header_text(gain=gain.replace(" ", "" if "/" in gain else "/")))
    assert parse_header(header_text(gain=gain)) == plain
    assert plain.signals[0].baseline == 5
    assert parse_header("A 1 500 600\nA.dat 16 1000 I / V1\n").leads == ("I / V1",)


def test_leads_of_devices_and_of_a_users_names():
    text = header_text(leads=("DI", "DII", "Lead -aVR", "Kanal 7"))
    header = parse_header(text)
    assert header.leads == ("I", "II", "aVR", "Kanal 7")
    assert [signal.gain for signal in header.signals] == [1000, 1000, -1000, 1000]
    named = parse_header(text, lead_names={"kanal 7": "-V1", "DI": "V2"})
    assert (named.leads, named.signals[3].gain) == (("V2", "II", "aVR", "V1"), -1000)


@pytest.mark.parametrize("file", ["../A.mat", "/etc/passwd", "a/../../A.mat", "..\\A.mat", "~", "A\0.mat"])
def test_signal_files_outside_the_folder_are_refused(file):
    with pytest.raises(ReadError, match="expected a file in the folder of the header"):
        parse_header(header_text(file=file))


def test_white_space_line_ends_byte_order_mark_and_case_change_nothing(tmp_path):
    clean = header_text(gain="2.5/\N{MICRO SIGN}V")
    untidy = clean.replace(" ", "  \t").replace("\n", " \t\r\n").replace("aVR", "avr").replace("V1", "v1")
    contents = {
        "clean": clean.encode(),
        "untidy": ("\ufeff" + untidy + "\r\n\r\n").encode(),
        "latin": clean.encode("latin-1"),
        "old_mac": clean.replace("\n", "\r").encode(),
        "utf16": clean.encode("utf-16"),
    }
    headers = []
    for stem, content in contents.items():
        (tmp_path / f"{stem}.hea").write_bytes(content)
        headers.append(read_header(tmp_path / f"{stem}.hea"))
    headers.append(parse_header("\ufeff" + untidy))
    # Comments are kept as they are, blanks included; what they say is the same.
    assert len({replace(header, comments=()) for header in headers}) == 1
    assert headers[0].age == 74


@pytest.mark.parametrize(
    "mark", ["\x85", "\x0b", "\x0c", "\x1c", "\u2028"], ids=["next line", "tab", "page", "file", "separator"]
)
def test_a_line_ends_at_line_ends_alone(tmp_path, mark):
    """In Windows' encoding the next line of Latin-1 is an ellipsis; other such characters come from word processors."""
    text = header_text(comments=(f"#Note: pain{mark}since Monday", "#Dx: 426783006"))
    codes = [parse_header(text).codes]
    if mark == "\x85":
        (tmp_path / "windows.hea").write_bytes(text.replace(mark, "…").encode("cp1252"))
        codes.append(read_header(tmp_path / "windows.hea").codes)
    assert set(codes) == {("426783006",)}


@pytest.mark.parametrize("end", ["\x1a", "\r\n\x1a", "\0\0\0", "\0\r\n"])
def test_marks_of_a_files_end_are_no_line(end):
    assert parse_header(header_text() + end) == parse_header(header_text())


def test_errors_survive_pickling():
    error = ReadError("A.hea", "this", "that", 3)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.line) == ("A.hea, line 3: found this, expected that", "A.hea", 3)
    assert isinstance(copy, ValueError)


def _mutations(text: str, rng: np.random.Generator):
    """One to four random edits: characters replaced, tokens swapped for nasty ones, lines dropped or doubled."""
    nasty = ["", "nan", "-1", "0", "1e400", "9" * 30, "\0", "((", "/", "x", "+", "16x", "\u0661", "#", "inf", "1_0"]
    for _ in range(rng.integers(1, 5)):
        kind = rng.integers(4)
        lines = text.split("\n")
        row = rng.integers(len(lines))
        if kind == 0 and text:
            at = rng.integers(len(text))
            text = text[:at] + chr(rng.integers(1, 0x2FF)) + text[at + rng.integers(3) :]
        elif kind == 1:
            tokens = lines[row].split(" ")
            tokens[rng.integers(len(tokens))] = nasty[rng.integers(len(nasty))]
            lines[row] = " ".join(tokens)
            text = "\n".join(lines)
        elif kind == 2:
            text = "\n".join(lines[:row] + lines[row + 1 :])
        else:
            text = "\n".join([*lines[:row], lines[row], *lines[row:]])
    return text


def test_damaged_headers_are_read_or_refused():
    rng = np.random.default_rng(0)
    originals = [header_text(leads=LEADS[:2]), header_text(leads=LEADS[:2], form="16x1+24", gain="1000.0(0)/mV")]
    counts = make_counts(2, 600)
    outcomes = {True: 0, False: 0}
    for i in range(4000):
        text = _mutations(originals[i % 2], rng)
        try:
            header = parse_header(text)
            read = isinstance(header, Header) and set(header.flags) <= set(FLAGS)
            assert read, text
            if len(header.signals) == 2:
                assert to_millivolts(counts, header).dtype == np.float32
        except ReadError:
            read = False
        outcomes[read] += 1
    assert min(outcomes.values()) > 400  # both ways were walked


@pytest.mark.parametrize("filler", ["1", " ", "a", "1 ", ", ", "<"])
def test_long_lines_do_not_stall_the_patterns(filler):
    """Quadratic patterns would take hours on these."""
    run = filler * (300_000 // len(filler))
    assert parse_header(header_text(comments=(f"#Dx: {run}x", f"#Age: {run}x", f"#{run}x", f"#a{run}:x"))).age is None
    for line in (f"A {run}x 500 100", f"A 1 {run}x", f"A 1 500 {run}x"):
        with pytest.raises(ReadError):
            parse_header(f"{line}\nA.mat x\n")
    for line in (f"A.mat 16 {run}(x", f"A.mat 16{run}x", f"A.mat 16 1000/mV {run}x y", f"A.mat 16 1 2 {run}x"):
        try:
            assert parse_header(f"A 1 500 100\n{line}\n").n_samples == 100
        except ReadError:
            continue


def test_oversized_header_is_refused(tmp_path):
    path = tmp_path / "A.hea"
    path.write_bytes(b"A 1 500 100\nA.mat 16\n" + b"#\n" * (1 << 20))
    with pytest.raises(ReadError, match="a header of a few lines"):
        read_header(path)
