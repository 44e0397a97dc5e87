"""Reports of models that were trained with several seeds: means, deviations, and intervals over patients and seeds."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from made_results import write_cohort, write_run

from leadset.classes import label_space
from leadset.cli import main
from leadset.config import default_config
from leadset.scoring import ChallengeMetric, macro
from leadset.scoring.metrics import areas
from leadset.studies.answers import Row, Said
from leadset.studies.compared import Comparison, _drawn_seeds, compare
from leadset.studies.entrants import Given, Trained, TrainedBaseline, Untuned, with_seeds
from leadset.studies.report import write_report
from leadset.studies.results import read_results
from leadset.studies.tables import by_part, classes, scores, thresholds

SPACE, N, SEEDS = label_space("cpsc2018"), 120, (2021, 5, 77)
CONFIG = replace(default_config(), seed=2021)
NET, OTHER = Row("net", "12"), Row("other", "12")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two networks trained with three seeds, which do both of them good or harm, and a baseline with one of them."""
    folder = tmp_path_factory.mktemp("seeds")
    rng = np.random.default_rng(3)
    labels = rng.random((N, len(SPACE))) < 0.25
    folds = np.array(["1", "2"])[np.arange(N) % 2]
    write_cohort(folder, SPACE, labels, np.array(["a", "b"])[rng.integers(0, 2, N)], folds)
    said = {}
    for seed, noise in zip(SEEDS, (0.4, 0.8, 1.6), strict=True):
        for row, more in ((NET, 0.0), (OTHER, 0.1)):
            p = np.clip(labels + rng.normal(0, noise + more, labels.shape), 0.01, 0.99).astype(np.float32)
            said[row, seed] = Said(p.astype(float), p > 0.6)
    for name, row in (("net", NET), ("other", OTHER)):
        for entrant, seed in zip(with_seeds([Trained(name, "", CONFIG)], SEEDS), SEEDS, strict=True):
            write_run(folder, entrant, folds, {row: said[row, seed]})
    example = TrainedBaseline("example", "", CONFIG)
    write_run(folder, example, folds, {Row("example", "12"): said[NET, SEEDS[0]]})
    return folder, labels, said


def auroc(labels, said):
    return macro(areas(labels, said.probabilities)[0])


def test_answers_are_read_by_seed(made):
    folder, _, said = made
    results = read_results(folder)
    assert results.seeds == {Row("example", "12"): (2021,), NET: tuple(sorted(SEEDS)), OTHER: tuple(sorted(SEEDS))}
    for row in (NET, OTHER):
        for seed, answers in zip(results.seeds[row], results.said[row], strict=True):
            assert (answers.probabilities == said[row, seed].probabilities).all()


def test_scores_are_means_over_seeds_beside_their_deviation(made):
    folder, labels, said = made
    results = read_results(folder)
    comparison = compare(results, results.rows, 50)
    lines = {line["model"]: line for line in scores(results, {"12": comparison})}
    values = [auroc(labels, said[NET, seed]) for seed in SEEDS]
    metric = ChallengeMetric(labels, SPACE)
    assert lines["net"]["seeds"] == 3 and lines["example"]["seeds"] == 1
    assert lines["net"]["auroc"] == pytest.approx(np.mean(values))
    assert lines["net"]["auroc_sd"] == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(lines["example"]["auroc_sd"])
    mean = np.mean([metric(said[NET, seed].decisions) for seed in SEEDS])
    assert lines["net"]["challenge_metric"] == pytest.approx(mean)
    assert next(line for line in thresholds(results) if line["model"] == "net")["challenge_metric_validation"] == (
        pytest.approx(mean)
    )
    first = next(line for line in classes(results) if line["model"] == "net")
    by_class = [areas(labels, said[NET, seed].probabilities)[0][0] for seed in SEEDS]
    assert first["auroc"] == pytest.approx(np.mean(by_class))
    here = results.folds == "1"
    part = next(line for line in by_part(results, results.folds) if (line["part"], line["model"]) == ("1", "net"))
    parts = [macro(areas(labels[here], said[NET, seed].probabilities[here])[0]) for seed in SEEDS]
    assert part["auroc"] == pytest.approx(np.mean(parts))


def test_intervals_hold_the_variance_of_seeds_and_differences_are_paired_in_both(made):
    results = read_results(made[0])
    comparison = compare(results, [NET, OTHER, Row("example", "12")], 400)
    widths = (lambda interval: interval.high - interval.low)(comparison.interval())
    of_seeds, alone = widths[0, 1], widths[2, 1]
    assert of_seeds > 3 * alone, "seeds differ more than samples of patients"
    paired = comparison.difference(1)
    assert (paired.high - paired.low)[0, 1] < of_seeds / 3, "both networks gain and lose by the same seeds"


def test_the_variance_of_a_mean_over_seeds_is_right_for_few_seeds():
    rng, values = np.random.default_rng(0), np.array([0.1, 0.4, 0.2])
    means = [values[_drawn_seeds(3, rng)].mean() for _ in range(20000)]
    assert np.var(means) == pytest.approx(values.var(ddof=1) / 3, rel=0.05)
    assert set(_drawn_seeds(1, rng)) == {0}


def test_what_is_not_told_apart_from_the_best_is_by_paired_differences():
    """The second is lower in every draw, the third only on the whole."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.1, (200, 1, 5))
    drawn = np.array([0.9, 0.88, 0.89])[None, :, None] + common + rng.normal(0, [[0], [0], [0.05]], (200, 3, 5))
    runs = [np.full((1, 5), value) for value in (0.9, 0.88, 0.89)]
    found = Comparison([NET, OTHER, Row("third", "12")], [(1,)] * 3, runs, drawn).with_best()
    assert found.T.tolist() == [[True, False, True]] * 5


def test_the_report_shows_seeds(made, capsys):
    folder, labels, said = made
    page = write_report(folder, draws=20).read_text()
    assert "over patients and seeds" in page and "<td>5, 77, 2021</td>" in page
    assert page.count("net, other: trained anew in each fold") == 1, "a run of another seed is nobody else"
    with open(folder / "report" / "seeds.csv") as file:
        lines = list(csv.DictReader(file))
    assert [(line["model"], int(line["seed"])) for line in lines] == [
        (row.model, seed) for row in (NET, OTHER) for seed in sorted(SEEDS)
    ]
    assert float(lines[0]["auroc"]) == pytest.approx(auroc(labels, said[NET, 5]), abs=1e-4)
    assert main(["report", str(folder)]) == 0
    values = [auroc(labels, said[NET, seed]) for seed in SEEDS]
    assert f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" in capsys.readouterr().out


def test_a_seed_that_has_not_answered_is_named_and_left_out(made, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    for path in made[0].iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "answers").mkdir()
    for path in (made[0] / "answers").iterdir():
        if path.name != "net@77-2.npz":
            (folder / "answers" / path.name).write_bytes(path.read_bytes())
    results = read_results(folder)
    assert results.seeds[NET] == (5, 2021) and results.seeds[OTHER] == (5, 77, 2021)
    assert results.unfinished == {"net@77": ["2"]}


def test_two_entrants_that_answer_under_one_name_are_not_mixed(made, tmp_path):
    folder, labels, said = made
    folds = read_results(folder).folds
    write_cohort(tmp_path, SPACE, labels, np.array(["a"] * N), folds)
    for name, seed in (("entry", 5), ("net", 77)):
        write_run(tmp_path, Trained(name, "", CONFIG), folds, {NET: said[NET, seed]})
    results = read_results(tmp_path)
    assert (results.probabilities[NET] == said[NET, 5].probabilities).all()
    assert (results.probabilities[Row("net (net)", "12")] == said[NET, 77].probabilities).all()


def test_all_are_trained_with_the_first_seed_first_and_those_without_seeds_once():
    entrants = [Given("mine", "mine", CONFIG), Untuned("untuned", "untuned", CONFIG), Trained("entry", "", CONFIG)]
    names = [(one.name, one.config.seed) for one in with_seeds(entrants, [2021, 1])]
    assert names == [("mine", 2021), ("untuned", 2021), ("entry", 2021), ("entry@1", 1)]
    assert [one.name for one in with_seeds(entrants, [1, 2])] == ["mine", "untuned", "entry@1", "entry@2"]


@pytest.mark.parametrize("words", ["1,1", "one", "-1", "1,,2", str(2**32)])
def test_other_seeds_are_refused(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["crossval", "data", "out", f"--seeds={words}"])
    assert "argument --seeds: found" in capsys.readouterr().err
