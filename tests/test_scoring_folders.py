"""Folders that are scored: by hand, by the script of the Challenge, and against the official text."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import plain_scorer
import pytest

import evaluate_model
from leadset import label_space, scoring

ROOT = Path(evaluate_model.__file__).parent
OFFICIAL = Path(__file__).parent / "data" / "official_scores.json.gz"
CHALLENGE = label_space("challenge2021")


def write_case(folder: Path, headers: dict[str, str], outputs: dict[str, str]) -> tuple[Path, Path]:
    """Writes texts under ``labels`` (paths without ``.hea``) and ``outputs``."""
    label_folder, output_folder = folder / "labels", folder / "outputs"
    for base, extension, texts in ((label_folder, "hea", headers), (output_folder, "csv", outputs)):
        base.mkdir(parents=True)
        for name, text in texts.items():
            (base / f"{name}.{extension}").parent.mkdir(parents=True, exist_ok=True)
            (base / f"{name}.{extension}").write_text(text)
    return label_folder, output_folder


HEADERS = {
    "g1/R1": "R1 12 500 5000\nR1.mat 16x1+24 1000.0(0)/mV 16 0 0 0 0 I\n# Age: 60\n# Dx: 164889003,55827005\n",
    "g1/R2": "R2 12 500 5000 12-May-2020 12:33:59\n#Age: 60\n#Sex: Male\n#Dx: 426783006\n#Rx: Unknown\n",
    "g2/R3": "R3 12 500 5000\r\n#Dx: RBBB\r\n",
    "R4": "R4 12 500 5000\n# Dx: \n",
}
CLASS_LINE = "164889003,426783006,713427006"
OUTPUTS = {
    "R1": f"#R1\n{CLASS_LINE}\n1,0,0\n0.9,0.1,0.1\n",
    "R2": f"#R2\n{CLASS_LINE}\n0,1,0\n0.2,0.8,0.1\n",
    "R3": f"#R3\n{CLASS_LINE}\n0,1,0\n0.3,0.9,0.2\n",
    "R4": "#R4\n\n\n\n",
}
# AF: perfect. Sinus rhythm: R3 ranks above R2, so 2/3, precision 1/2, F 2/3. RBBB: R3 ranks first, F 0.
# Rewards: 1 for R1, 1 for R2, 0.35 / 2 for R3. Sinus rhythm everywhere: 0.25 / 2, 1, 0.35 / 2. Labels: 1 each.
EXPECTED_METRIC = (2.175 - 1.3) / (3 - 1.3)
EXPECTED = f"AUROC,AUPRC,Accuracy,F-measure,Challenge metric\n0.889,0.833,0.750,0.556,{EXPECTED_METRIC:.3f}"


def test_folders_by_hand(tmp_path: Path):
    scores = scoring.evaluate(*write_case(tmp_path, HEADERS, OUTPUTS))
    assert scoring.scores_text(scores) == EXPECTED
    rows = {line.split(",")[0]: line.split(",")[1:] for line in scoring.class_scores_text(scores).split("\n")}
    assert list(rows) == ["Classes", "AUROC", "AUPRC", "F-measure"]
    columns = [rows["Classes"].index(code) for code in ("164889003", "426783006", "59118001|713427006")]
    assert [rows["AUROC"][c] for c in columns] == ["1.000", "0.667", "1.000"]
    assert [rows["AUPRC"][c] for c in columns] == ["1.000", "0.500", "1.000"]
    assert [rows["F-measure"][c] for c in columns] == ["1.000", "0.667", "0.000"]
    assert rows["AUROC"].count("nan") == 23
    assert scoring.notices(scores)[0].startswith("4 recordings; AUROC is the mean over 3 of 26 classes: ")
    assert scores.n_recordings == 4 and [Path(path).name for path in scores.unanswered] == ["R4.csv"]


# Outputs in the nine classes of CPSC 2018, the columns in another order than there.
NINE = (
    "164931005,429622005,164884008|427172004|17338001,63593006|284470004,59118001|713427006,"
    "733534002|164909002,270492004,164889003,426783006"
)
NINE_OUTPUTS = {
    "R1": f"#R1\n{NINE}\n0,0,0,0,0,0,0,1,0\n0,0,0,0,.1,0,0,.9,.1\n",
    "R2": f"#R2\n{NINE}\n0,0,0,0,0,0,0,0,1\n0,0,0,0,.1,0,0,.2,.8\n",
    "R3": f"#R3\n{NINE}\n0,0,0,0,0,0,0,0,1\n0,0,0,0,.2,0,0,.3,.9\n",
    "R4": "#R4\n\n\n\n",
}


def test_outputs_are_scored_in_their_own_label_space(tmp_path: Path):
    folders = write_case(tmp_path, HEADERS, NINE_OUTPUTS)
    for space in (None, "cpsc2018", label_space("cpsc2018")):
        scores = scoring.evaluate(*folders, space)
        assert scores.space == label_space("cpsc2018") and len(scores.class_auroc) == 9
        assert (scores.auroc, scores.f_measure) == pytest.approx(((1 + 2 / 3 + 1) / 3, (1 + 2 / 3 + 0) / 3))
        assert scores.unnamed == ()
    ours, classes = tmp_path / "scores.csv", tmp_path / "classes.csv"
    assert evaluate_model.main([*map(str, folders), str(ours), str(classes)]) == 0
    assert ours.read_text() == scoring.scores_text(scores) and len(classes.read_text().split("\n")[0].split(",")) == 10


@pytest.mark.parametrize(
    ("outputs", "space", "found", "expected"),
    [
        (NINE_OUTPUTS, "challenge2021", "the 9 classes of label space cpsc2018 (164931005,", "challenge2021 (16488900"),
        (OUTPUTS, "cpsc2018", "the 3 classes (164889003, 426783006, 713427006)", "9 classes of label space cpsc2018"),
        (OUTPUTS | {"R2": NINE_OUTPUTS["R2"]}, None, "R1.csv: found the 3 classes (164889003", "label space cpsc2018"),
        ({name: f"#R\nNORM,MI\n1,0\n.{i},0\n" for i, name in enumerate(OUTPUTS)}, None, "(NORM, MI)", "challenge"),
    ],
)
def test_outputs_of_one_label_space_are_not_scored_in_another(
    tmp_path: Path, capsys: pytest.CaptureFixture, outputs: dict, space: str | None, found: str, expected: str
):
    folders = write_case(tmp_path, HEADERS, outputs)
    with pytest.raises(ValueError, match=r"R\d\.csv: found the ") as raised:
        scoring.evaluate(*folders, space)
    before, after = str(raised.value).split(", expected ")
    assert found in before and expected in after
    option = [] if space is None else ["--label-space", space]
    assert evaluate_model.main([*map(str, folders), *option]) == 1
    assert capsys.readouterr() == ("", f"evaluate_model: {raised.value}\n")


def test_classes_that_no_output_names_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture):
    folders = write_case(tmp_path, HEADERS, OUTPUTS)
    unnamed = scoring.evaluate(*folders).unnamed
    assert len(unnamed) == 23 and not set(unnamed) & set(CLASS_LINE.split(","))
    assert evaluate_model.main([*map(str, folders)]) == 0
    told = capsys.readouterr().err
    assert "no output names 23 of the 26 classes of label space challenge2021" in told
    assert "; if they are of another label space: --label-space FILE\n" in told


def test_doubts_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture):
    folders = write_case(tmp_path, HEADERS, OUTPUTS | {"R2": OUTPUTS["R1"]})
    assert evaluate_model.main([*map(str, folders)]) == 0
    expected = "1 of 4 outputs have the name of another recording in the first line; the first is "
    assert f"{expected}{folders[1] / 'R2.csv'}: found 'R1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("headers", "outputs", "error", "message"),
    [
        (HEADERS, {"R1": OUTPUTS["R1"]}, FileNotFoundError, r"R2\.hea: .* expected .*R2\.csv \(and for 2 more"),
        (HEADERS | {"g9/R1": HEADERS["g1/R1"]}, OUTPUTS, FileNotFoundError, r"g1.R1\.hea: .* expected .*g1.R1\.csv"),
        ({}, OUTPUTS, ValueError, r"labels: no recording"),
        (HEADERS, {}, ValueError, r"outputs: found no output file"),
        ({"R1": "R1 12 500 5000\n"}, OUTPUTS, ValueError, "no '#Dx' line in any of 1 headers"),
    ],
)
def test_folders_that_cannot_be_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture, headers: dict, outputs: dict, error: type, message: str
):
    folders = write_case(tmp_path, headers, outputs)
    with pytest.raises(error, match=message) as raised:
        scoring.evaluate(*folders)
    assert evaluate_model.main([*map(str, folders)]) == 1
    assert capsys.readouterr() == ("", f"evaluate_model: {raised.value}\n")


def test_hidden_files_and_further_outputs_are_ignored(tmp_path: Path):
    folders = write_case(tmp_path, HEADERS | {".R5": "x"}, OUTPUTS | {"R9": OUTPUTS["R1"]})
    assert scoring.scores_text(scoring.evaluate(*folders)) == EXPECTED


# --- the command line -------------------------------------------------------------------------------------------------


def run_script(*arguments: object) -> subprocess.CompletedProcess:
    """Runs ``evaluate_model.py`` as a user does."""
    command = [sys.executable, str(ROOT / "evaluate_model.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_script_prints_or_writes(tmp_path: Path):
    folders = write_case(tmp_path, HEADERS, OUTPUTS)
    printed = run_script(*folders)
    assert (printed.returncode, printed.stdout) == (0, EXPECTED + "\n")
    assert "1 of 4 outputs" in printed.stderr and "R4.csv" in printed.stderr
    written = run_script(*folders, tmp_path / "scores.csv", tmp_path / "class_scores.csv")
    assert (written.returncode, written.stdout) == (0, "")
    assert (tmp_path / "scores.csv").read_text() == EXPECTED
    expected = scoring.class_scores_text(scoring.evaluate(*folders))
    assert (tmp_path / "class_scores.csv").read_text() == expected


def test_script_says_what_is_wrong(tmp_path: Path):
    wrong = run_script(tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "") and wrong.stderr.startswith("usage: evaluate_model.py LABELS")
    assert run_script("a", "b", "c", "d", "e").returncode == 2
    missing = run_script(tmp_path / "nowhere", tmp_path)
    assert (missing.returncode, missing.stdout) == (1, "") and "nowhere: no such folder" in missing.stderr


# --- the official text ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def official_cases() -> list[dict]:
    """Small data sets, made up, with the text that the official evaluator wrote for each."""
    return json.loads(gzip.decompress(OFFICIAL.read_bytes()))


def test_official_text_character_by_character(official_cases: list[dict], tmp_path: Path):
    assert len(official_cases) == 45
    for case in official_cases:
        folder = tmp_path / str(case["id"])
        records = case["records"]
        headers = {f"g{i % 3}/{name}": record["header"] for i, (name, record) in enumerate(records.items())}
        folders = write_case(folder, headers, {name: record["output"] for name, record in records.items()})
        scores = scoring.evaluate(*folders)
        assert scoring.scores_text(scores) == case["scores"], case["id"]
        assert scoring.class_scores_text(scores) == case["class_scores"], case["id"]
        files = [folder / "scores.csv", folder / "class_scores.csv"]
        assert evaluate_model.main([*map(str, (*folders, *files))]) == 0
        assert [file.read_text() for file in files] == [case["scores"], case["class_scores"]], case["id"]


def test_organisers_own_scorer_writes_the_same(official_cases: list[dict], tmp_path: Path):
    """Their file as it is, where ``LEADSET_ORGANISERS`` names a folder with it, with the weights that ship.

    Its early versions take no ``1.0`` for a decision, and see no diagnoses behind ``# Dx``.
    """
    theirs = Path(os.environ.get("LEADSET_ORGANISERS", tmp_path))
    if not (theirs / "evaluate_model.py").is_file():
        pytest.skip("LEADSET_ORGANISERS names no folder with the organisers' own evaluate_model.py")
    for name in ("evaluate_model.py", "helper_code.py"):
        shutil.copy(theirs / name, tmp_path)
    shutil.copy(CHALLENGE.weight_file, tmp_path / "weights.csv")
    for case in (case for case in official_cases if case["kind"] != "words"):
        headers, outputs = (
            {name: record[part] for name, record in case["records"].items()} for part in ("header", "output")
        )
        headers = {name: text.replace("\n# ", "\n#") for name, text in headers.items()}
        folders = write_case(tmp_path / str(case["id"]), headers, outputs)
        files = [tmp_path / "scores.csv", tmp_path / "class_scores.csv"]
        command = [sys.executable, "-W", "ignore", "evaluate_model.py", *map(str, (*folders, *files))]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        scores = scoring.evaluate(*folders)
        ours = [scoring.scores_text(scores), scoring.class_scores_text(scores)]
        assert [file.read_text() for file in files] == ours, case["id"]


def test_plain_implementation_is_the_official_one_too(official_cases: list[dict], tmp_path: Path):
    codes = [diagnosis.codes for diagnosis in CHALLENGE.classes]
    for case in official_cases:
        if case["kind"] == "empty":  # its reader knows no empty answers
            continue
        records = case["records"]
        headers, outputs = ({name: record[part] for name, record in records.items()} for part in ("header", "output"))
        arrays = plain_scorer.read_folders(*map(str, write_case(tmp_path / str(case["id"]), headers, outputs)), codes)
        five, _ = plain_scorer.scores(*arrays, CHALLENGE.weights, CHALLENGE.normal_index)
        assert case["scores"].split("\n")[1] == ",".join(f"{value:.3f}" for value in five), case["id"]
