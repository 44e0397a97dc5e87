"""The scores: by hand on small cases, against a plain implementation on random ones, against the official text."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import plain_scorer
import pytest

import evaluate_model
from leadset import label_space, scoring
from leadset.classes import Diagnosis, LabelSpace, list_label_spaces
from leadset.scoring.labels import read_labels
from leadset.scoring.metrics import Ranking, areas

ROOT = Path(evaluate_model.__file__).parent
CHALLENGE = label_space("challenge2021")
AF, AFL, NSR = (CHALLENGE.index[code] for code in ("164889003", "164890007", "426783006"))
THREE = LabelSpace(
    "three", "-", (Diagnosis(("1",), "A", "a"), Diagnosis(("3", "2"), "B", "b"), Diagnosis(("9",), "N", "normal")), "9"
)


def one_hot(*rows: tuple[int, ...]) -> np.ndarray:
    """Label matrix of the Challenge's classes from the positive classes of each recording."""
    matrix = np.zeros((len(rows), len(CHALLENGE)), dtype=bool)
    for i, classes in enumerate(rows):
        matrix[i, list(classes)] = True
    return matrix


def draw(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, decisions, scalars; ties where the seed is even, few positives where it is below 4.

    With more positives, some classes are all negative or all positive.
    """
    rng = np.random.default_rng(seed)
    labels = rng.random((n, k)) < (0.04 if seed < 4 else rng.choice([0, 0.1, 0.5, 1], k))
    decisions = rng.random((n, k)) < (0.02 if seed < 4 else 0.3)
    scalars = rng.random((n, k)) if seed % 2 else rng.integers(0, 5, (n, k)) / 5
    return labels, decisions, scalars


# --- values by hand ---------------------------------------------------------------------------------------------------


def test_areas_by_hand():
    labels = np.array([[1, 0, 1, 0]]).T
    scalars = np.array([[0.9, 0.8, 0.3, 0.1]]).T
    # One of the four pairs of a positive and a negative is in the wrong order; precision is 1 and 2/3 at the positives.
    assert scoring.auroc(labels, scalars) == [0.75]
    assert scoring.auprc(labels, scalars) == [0.5 * 1 + 0.5 * (2 / 3)]


def test_equal_scalars_say_nothing():
    labels = np.array([[1, 0, 0, 0]]).T
    auroc, auprc = areas(labels, np.full((4, 1), 0.3))
    assert (auroc, auprc) == ([0.5], [0.25])


@pytest.mark.parametrize(("label", "auroc", "auprc"), [(0, math.nan, math.nan), (1, math.nan, 1.0)])
def test_classes_of_one_kind_have_no_auroc(label: int, auroc: float, auprc: float):
    found = areas(np.full((3, 1), label), np.array([[0.1], [0.2], [0.3]]))
    np.testing.assert_equal(found, ([auroc], [auprc]))


def test_scalars_that_are_not_finite_count_as_zero():
    labels = np.array([[1, 0, 1, 0]]).T
    odd, zero = np.array([[0.9, math.inf, math.nan, 0.1]]).T, np.array([[0.9, 0, 0, 0.1]]).T
    assert scoring.auroc(labels, odd) == scoring.auroc(labels, zero)


def test_f_measure_and_accuracy_by_hand():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    decisions = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    np.testing.assert_equal(scoring.f_measure(labels, decisions), [2 / 3, 2 / 3, math.nan])
    assert scoring.accuracy(labels, decisions) == 1 / 3
    assert scoring.macro(np.array([math.nan, 0.25, 0.75])) == 0.5
    assert math.isnan(scoring.macro(np.array([math.nan])))


@pytest.mark.parametrize(
    ("labels", "decisions", "expected"),
    [
        ([(AF,)], [(AF,)], 1.0),
        ([(AF,)], [(NSR,)], 0.0),
        # Weights 1 and 0.5 over a union of two, against 0.25 over two for sinus rhythm.
        ([(AF,)], [(AF, AFL)], (0.75 - 0.125) / (1 - 0.125)),
        ([(AF,)], [()], (0 - 0.125) / (1 - 0.125)),
        # The labels themselves earn (1 + 0.5 + 0.5 + 1) / 2, sinus rhythm (0.25 + 0.25) / 3.
        ([(AF, AFL)], [(AF,)], (1.5 / 2 - 0.5 / 3) / (1.5 - 0.5 / 3)),
        # Sinus rhythm everywhere: nothing to be gained.
        ([(NSR,), (NSR,)], [(NSR,), (AF,)], 0.0),
        ([()], [(AF,)], 0.0),
    ],
)
def test_challenge_metric_by_hand(labels: list, decisions: list, expected: float):
    labels, decisions = one_hot(*labels), one_hot(*decisions)
    assert scoring.challenge_metric(labels, decisions, CHALLENGE) == pytest.approx(expected, abs=1e-12)
    assert scoring.ChallengeMetric(labels, CHALLENGE)(decisions) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", list_label_spaces())
def test_every_label_space_scores_from_normal_to_right(name: str):
    space = label_space(name)
    labels = np.eye(len(space), dtype=bool)
    normal = np.zeros_like(labels)
    normal[:, space.normal_index] = True
    scores = scoring.score(labels, labels, labels.astype(float), space)
    assert (scores.auroc, scores.auprc, scores.accuracy, scores.f_measure, scores.challenge_metric) == (1, 1, 1, 1, 1)
    assert scoring.challenge_metric(labels, normal, space) == 0
    assert scoring.class_scores_text(scores).startswith("Classes," + "|".join(sorted(space.classes[0].codes)) + ",")


@pytest.mark.parametrize("shape", [(3,), (0, 26), (3, 25)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="expected"):
        scoring.score(np.zeros(shape), np.zeros(shape), np.zeros(shape), CHALLENGE)
    with pytest.raises(ValueError, match=r"\(4, 26\), expected that of the labels \(3, 26\)"):
        scoring.score(np.zeros((3, 26)), np.zeros((4, 26)), np.zeros((3, 26)), CHALLENGE)


# --- against the definition written as loops --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_scores_are_those_of_the_loops_to_the_last_bit(seed: int):
    labels, decisions, scalars = draw(int(np.random.default_rng(seed).integers(1, 60)), len(CHALLENGE), seed)
    scores = scoring.score(labels, decisions, scalars, CHALLENGE)
    five, by_class = plain_scorer.scores(labels, decisions, scalars, CHALLENGE.weights, CHALLENGE.normal_index)
    found = [scores.auroc, scores.auprc, scores.accuracy, scores.f_measure, scores.challenge_metric]
    np.testing.assert_array_equal(found, five)
    np.testing.assert_array_equal([scores.class_auroc, scores.class_auprc, scores.class_f_measure], by_class)


@pytest.mark.parametrize("seed", range(8))
def test_searching_finds_the_same_score(seed: int):
    labels, decisions, scalars = draw(200, len(CHALLENGE), seed)
    metric = scoring.ChallengeMetric(labels, CHALLENGE)
    assert metric(decisions) == pytest.approx(scoring.challenge_metric(labels, decisions, CHALLENGE), abs=1e-12)
    thresholds, scores = metric.sweep(decisions, 3, scalars[:, 3])
    assert thresholds.tolist() == [math.inf, *sorted(set(scalars[:, 3]), reverse=True)]
    for threshold, score in zip(thresholds, scores, strict=True):
        candidate = decisions.copy()
        candidate[:, 3] = scalars[:, 3] >= threshold
        assert score == pytest.approx(scoring.challenge_metric(labels, candidate, CHALLENGE), abs=1e-12)


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_counted_recordings_are_repeated_ones(seed: int):
    labels, decisions, scalars = draw(40, len(CHALLENGE), seed)
    counts = np.random.default_rng(seed).integers(0, 4, 40)
    twice = [np.repeat(array, counts, axis=0) for array in (labels, decisions, scalars)]
    np.testing.assert_allclose(Ranking(labels, scalars).areas(counts), areas(twice[0], twice[2]), rtol=1e-12)
    assert scoring.accuracy(labels, decisions, counts) == pytest.approx(scoring.accuracy(*twice[:2]))
    np.testing.assert_allclose(scoring.f_measure(labels, decisions, counts), scoring.f_measure(*twice[:2]))
    metric = scoring.ChallengeMetric(labels, CHALLENGE)
    expected = scoring.challenge_metric(*twice[:2], CHALLENGE)
    assert metric.score(metric.rewards(decisions), counts) == pytest.approx(expected, abs=1e-12)


def test_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(0).standard_normal(400)
    found = scoring.bootstrap(lambda counts: np.average(values, weights=counts), 400, n=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half), rel=0.1)
    narrow = scoring.bootstrap(lambda counts: np.average(values, weights=counts), 400, n=4000, level=0.5)
    assert narrow.high - narrow.low == pytest.approx(2 * 0.6745 / 1.96 * half, rel=0.1)


def test_patients_are_drawn_whole_and_draws_follow_the_seed():
    patients = np.array(["a", "b", "a", "c", "c", "c", "d"])
    seen = []

    def remember(counts: np.ndarray) -> float:
        seen.append(counts)
        return float(counts[0])

    first = scoring.bootstrap(remember, 7, patients, n=50, seed=1)
    assert all(len({int(c) for c in counts[patients == p]}) == 1 for counts in seen for p in "abcd")
    assert all(sum(counts[patients == p][0] for p in "abcd") == 4 for counts in seen)
    assert len({counts.tobytes() for counts in seen}) > 10
    n_seen = len(seen)
    assert scoring.bootstrap(remember, 7, patients, n=50, seed=1) == first
    assert [c.tobytes() for c in seen[:n_seen]] == [c.tobytes() for c in seen[n_seen:]]
    scoring.bootstrap(remember, 7, patients, n=50, seed=2)
    assert [c.tobytes() for c in seen[:n_seen]] != [c.tobytes() for c in seen[2 * n_seen :]]


def test_grouped_interval_is_wider_where_patients_repeat():
    rng = np.random.default_rng(0)
    values, patients = np.repeat(rng.standard_normal(50), 8), np.repeat(np.arange(50), 8)

    def width(groups: np.ndarray | None) -> float:
        found = scoring.bootstrap(lambda counts: np.average(values, weights=counts), 400, groups)
        return found.high - found.low

    assert width(patients) > 2 * width(None)


def test_undefined_scores_are_left_out_of_an_interval():
    found = scoring.bootstrap(lambda counts: np.array([math.nan, math.nan if counts[0] else 2.0]), 5, n=20)
    np.testing.assert_equal([found.low, found.high], [[math.nan, 2.0]] * 2)


def test_intervals_of_the_scores():
    labels, _, scalars = draw(80, len(CHALLENGE), 5)
    decisions = labels ^ (np.random.default_rng(0).random(labels.shape) < 0.03)
    intervals = scoring.score_intervals(labels, decisions, scalars, CHALLENGE, n=60)
    scores = scoring.score(labels, decisions, scalars, CHALLENGE)
    for name, interval in intervals.items():
        assert interval.value == pytest.approx(getattr(scores, name))
        assert interval.low < interval.value < interval.high
    by_repeating = scoring.over(lambda y, p: scoring.macro(scoring.auroc(y, p)), labels, scalars)
    slow = scoring.bootstrap(by_repeating, 80, n=60)
    assert (slow.low, slow.high) == pytest.approx((intervals["auroc"].low, intervals["auroc"].high))


def test_wrong_bootstrap_arguments():
    with pytest.raises(ValueError, match="found 3 groups, expected one for each of 5 recordings"):
        scoring.bootstrap(np.mean, 5, groups=[1, 2, 3])
    with pytest.raises(ValueError, match="level"):
        scoring.bootstrap(np.mean, 5, level=95)


# --- output files -----------------------------------------------------------------------------------------------------


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


# --- folders ----------------------------------------------------------------------------------------------------------


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
    assert "no output names 23 of the 26 classes of label space challenge2021" in capsys.readouterr().err


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
def official_cases(real_data: Path) -> list[dict]:
    """Small data sets with the text that the official evaluator wrote for each."""
    path = real_data.parent / "reference" / "scoring_cases" / "cases.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there: the comparison with the official scores is skipped")
    return json.loads(path.read_text())


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
