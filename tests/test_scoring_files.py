"""The files that are scored: outputs, written and read back, and the labels of headers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadset import scoring
from leadset.classes import Diagnosis, LabelSpace
from leadset.recordings.names import distinct_names
from leadset.scoring import outputs
from leadset.scoring.labels import read_labels
from leadset.scoring.outputs import output_names

THREE = LabelSpace(
    "three", "-", (Diagnosis(("1",), "A", "a"), Diagnosis(("3", "2"), "B", "b"), Diagnosis(("9",), "N", "normal")), "9"
)


def write(folder: Path, name: str, *lines: str, end: str = "\n") -> Path:
    """Writes an output file of the given lines after the recording id."""
    path = folder / f"{name}.csv"
    path.write_bytes("".join(line + end for line in (f"#{name}", *lines)).encode())
    return path


def test_written_outputs_are_read_back(tmp_path: Path):
    labels, probabilities = np.array([True, False, True]), np.array([0.1, 1e-17, 2 / 3], dtype=np.float32)
    scoring.write_output(tmp_path / "R1.csv", "R1", THREE.keys, labels, probabilities)
    text = (tmp_path / "R1.csv").read_text()
    assert text.startswith("#R1\n1,3|2,9\n1,0,1\n") and text.count("\n") == 4
    answers = scoring.read_outputs([tmp_path / "R1.csv"], THREE)
    assert answers.decisions.tolist() == [[True, False, True]]
    assert answers.scalars.tolist() == [[float(p) for p in probabilities]]
    assert [path.name for path in tmp_path.iterdir()] == ["R1.csv"]


def test_recordings_of_one_folder_have_names_of_their_own(tmp_path: Path):
    """Archives name DICOM files by numbers; a table may name files that differ in their ending alone."""
    files = [tmp_path / name for name in ("1.2.840.7", "1.2.840.8", "x.edf", "x.npy", "b/y.npy", "c/y.npy", "z.hea")]
    assert output_names(tmp_path, files) == {
        "1.2.840.7": str(files[0]), "1.2.840.8": str(files[1]), "b/y": str(files[4]), "c/y": str(files[5]),
        "x.edf": str(files[2]), "x.npy": str(files[3]), "z": str(files[6]),
    }  # fmt: skip
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert distinct_names(files) == ["1.2.840.7", "1.2.840.8", "x_edf", "x_npy", "b_y", "c_y", "z"]


@pytest.mark.parametrize(
    ("files", "own", "names"),
    [
        (("a/r.hea", "b/s.hea"), ("set/r", "s"), ["set/r", "s"]),
        (("a/r.hea", "b/r.hea", "b/s.hea"), ("r", "r", "other"), ["a_r", "b_r", "other"]),
        (("a/r.hea", "a/s.hea"), ("x", "x"), ["r", "s"]),  # two headers that name one record
        (("a/r.hea", "a/s.hea", "b/t.hea"), ("x", "x", "s"), ["r", "a_s", "b_t"]),
        (("a/r.hea", "a/r.hea"), ("x", "x"), ["x", "x"]),  # one file
        ((), (), []),
    ],
)
def test_names_are_changed_where_another_recording_has_them(files: tuple, own: tuple, names: list[str]):
    assert distinct_names(list(map(Path, files)), own) == names


def test_an_empty_answer_is_a_file_of_empty_lines(tmp_path: Path):
    scoring.write_output(tmp_path / "R1.csv", "R1", [], [], [])
    assert (tmp_path / "R1.csv").read_text() == "#R1\n\n\n\n"
    answers = scoring.read_outputs([tmp_path / "R1.csv"], THREE)
    assert not answers.decisions.any() and not answers.scalars.any()
    assert answers.unanswered == (str(tmp_path / "R1.csv"),)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError("no space left")

    path = tmp_path / "R1.csv"
    scoring.write_output(path, "R1", ["1"], [1], [0.5])
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"):
        scoring.write_output(path, "R1", ["1"], [0], [0.25])
    assert path.read_text() == "#R1\n1\n1\n0.5\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("recording_id", "codes", "labels"), [("R1", ["1"], [1, 0]), ("R1\nR2", ["1"], [1]), ("R1", ["1,2"], [1])]
)
def test_outputs_that_would_break_the_lines_are_refused(
    tmp_path: Path, recording_id: str, codes: list[str], labels: list[int]
):
    with pytest.raises(ValueError, match=r"R1\.csv: found"):
        scoring.write_output(tmp_path / "R1.csv", recording_id, codes, labels, [0.5])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("lines", "decisions", "scalars"),
    [
        (("1,2|3,9", "1,0,0", "0.5,0.25,0"), [1, 0, 0], [0.5, 0.25, 0]),
        (("9,2,1,3", "0,0,1,1", "0,0.25,0.5,0.75"), [1, 1, 0], [0.5, 0.5, 0]),  # columns of one class: any, mean
        (("77,3", "1,1", "1,0.5"), [0, 1, 0], [0, 0.5, 0]),  # unscored and missing codes
        (("1|9,3", "1,0", "0.5,0"), [1, 0, 1], [0.5, 0, 0.5]),  # one column, two classes
        ((" 1 , 2 |3,9", " 1,T ,\t0", " .5 ,1e-1, 0"), [1, 1, 0], [0.5, 0.1, 0]),
        (("1,2,9", "True,true,t", "1,1,1"), [1, 1, 1], [1, 1, 1]),
        (("1,2,9", "1.0,2,TRUE", "1,1,1"), [1, 0, 0], [1, 1, 1]),
        (("1,2,9", ",nan,yes", ",inf,abc"), [0, 0, 0], [0, 0, 0]),
        (("1,2,9", "1,1,1", "-inf,nan,1e-3"), [1, 1, 1], [0, 0, 1e-3]),
        (("1,2,9", "1,1", "1,1"), [0, 0, 0], [0, 0, 0]),  # lines that do not fit together
        (("1,2,9", "1,1,1"), [0, 0, 0], [0, 0, 0]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_reading_outputs(tmp_path: Path, lines: tuple[str, ...], decisions: list, scalars: list, end: str):
    answers = scoring.read_outputs([write(tmp_path, "R1", *lines, end=end)], THREE)
    assert answers.decisions.tolist() == [[bool(decision) for decision in decisions]]
    assert answers.scalars.tolist() == [scalars]
    assert bool(answers.unanswered) == (len({line.count(",") for line in lines}) > 1 or len(lines) < 3)


DOUBTS = [
    (("1,2,9", "0.2,1,0", "0.2,1,0"), outputs.NO_DECISIONS, "0.2"),
    (("1,2,9", "1,0,", "1,0,0"), outputs.NO_DECISIONS, ""),
    (("1,2,9", "1,0,0", "1,nan,0"), outputs.NO_NUMBERS, "nan"),
    (("1,2,9", "1,0,0", "high,0,0"), outputs.NO_NUMBERS, "high"),
    (("9,2,9", "1,0,0", "1,0,0"), outputs.SEVERAL_COLUMNS, "9"),
    (("1,2,9", "1,0,0", "1,0"), outputs.UNEQUAL_LINES, "3, 3, 2 entries"),
    (("1,2,9", "1,0,F", "1,0,2.5"), None, ""),
]


@pytest.mark.parametrize(("lines", "kind", "found"), DOUBTS)
def test_what_was_probably_not_meant_is_noted(tmp_path: Path, lines: tuple[str, ...], kind: str | None, found: str):
    good = write(tmp_path, "R1", "1,2,9", "1,0,0", "1,0,0")
    path = write(tmp_path, "R2", *lines)
    doubts = outputs.Tables([good, path, path]).doubts
    assert doubts == ({kind: outputs.Doubt(2, str(path), found)} if kind else {})


def test_the_first_line_names_the_recording_of_the_file(tmp_path: Path):
    path = write(tmp_path, "R1", "1,2,9", "1,0,0", "1,0,0")
    for name, is_doubtful in (("R1", False), ("g1/R1.mat", False), ("", False), ("R2", True)):
        path.write_text(f"#{name}\n1,2,9\n1,0,0\n1,0,0\n")
        assert (outputs.OTHER_RECORDING in outputs.Tables([path]).doubts) == is_doubtful


def test_a_byte_order_mark_is_no_line(tmp_path: Path):
    path = write(tmp_path, "R1", "1,2,9", "1,0,0", "1,0,0")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert scoring.read_outputs([path], THREE).unanswered == ()


def test_a_file_without_any_of_the_classes_answers_nothing(tmp_path: Path):
    lines = {"R1": ("1,9", "1,0", "0.5,0"), "R2": ("<html>", "<body>", "</body>"), "R3": ("77", "1", "1")}
    paths = [write(tmp_path, name, *text) for name, text in lines.items()]
    answers = scoring.read_outputs(paths, THREE)
    assert answers.unanswered == tuple(map(str, paths[1:]))
    assert answers.scalars.tolist() == [[0.5, 0, 0], *[[0, 0, 0]] * 2]


def test_files_with_other_class_lines_keep_their_rows(tmp_path: Path):
    paths = [
        write(tmp_path, "R1", "1,9", "1,0", "0.5,0"),
        write(tmp_path, "R2", "9,1", "1,0", "0.75,0"),
        write(tmp_path, "R3", "1,9", "0,1", "0,1"),
    ]
    answers = scoring.read_outputs(paths, THREE)
    assert answers.scalars.tolist() == [[0.5, 0, 0], [0, 0, 0.75], [0, 0, 1]]
    assert answers.decisions.tolist() == [[True, False, False], [False, False, True], [False, False, True]]


@pytest.mark.parametrize(
    ("line", "classes"),
    [
        ("#Dx: 1,3", [1, 1, 0]), ("# Dx: 1 , 3", [1, 1, 0]), ("#Dx:2\r", [0, 1, 0]), ("  # dx :\t9", [0, 0, 1]),
        ("#Dx: 1,1,77", [1, 0, 0]), ("#Dx: 2,3\n#Dx: 9", [0, 1, 1]), ("#Dx: ", [0, 0, 0]), ("#Dx: 11", [0, 0, 0]),
        ("#Rx: Dx: 1", [0, 0, 0]),
    ],
)  # fmt: skip
def test_reading_labels(tmp_path: Path, line: str, classes: list[int]):
    labelled, other = tmp_path / "R1.hea", tmp_path / "R2.hea"
    labelled.write_text(f"R1 12 500 5000\nR1.mat 16+24 1000/mV 16 0 0 0 0 I\n#Age: 2\n{line}\n#Sx: 9\n")
    other.write_text("R2 12 500 5000\n#Dx: 1\n")
    assert read_labels([labelled, other], THREE).astype(int).tolist() == [classes, [1, 0, 0]]


def test_reading_labels_of_unusual_headers(tmp_path: Path):
    text = "R1 1 500 5000\nR1.mat 16 1000/mV 16 0 0 0 0 I\n#Age: 2\n#Dx: 3\n"
    contents = [text.encode("utf-16"), text.encode("utf-16-le"), text.replace("\n", "\r").encode(),
                text.replace("\n#Dx", " Sex: M Dx").encode(), text.replace("3", "3 Age: 4").encode()]  # fmt: skip
    paths = [tmp_path / f"R{i}.hea" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert read_labels(paths, THREE).astype(int).tolist() == [[0, 1, 0]] * len(paths)
