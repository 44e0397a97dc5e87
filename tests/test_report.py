"""The report of a cross-validation: its numbers are those of the metrics, its page holds everything by itself."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from made_results import write_cohort, write_run
from sklearn.metrics import average_precision_score, fbeta_score, hamming_loss, precision_score, roc_auc_score

from leadset.classes import label_space
from leadset.cli import main
from leadset.config import default_config
from leadset.scoring import ChallengeMetric, accuracy, f_measure, macro
from leadset.studies import report
from leadset.studies.answers import FoldAnswers, Row, Said, file_of
from leadset.studies.compared import compare
from leadset.studies.entrants import Trained, TrainedBaseline
from leadset.studies.report import _best_first, write_report
from leadset.studies.results import read_results
from leadset.studies.tables import by_part, pairs, scores, thresholds

SPACE = label_space("cpsc2018")
N, FOLDS = 120, ("1", "2", "3")
ROWS = [Row("good", "12"), Row("poor", "12"), Row("good", "2")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of made-up answers: labels, and by row the probabilities and decisions in the order of the table."""
    folder = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(3)
    labels = rng.random((N, len(SPACE))) < 0.25
    labels[:, -1] = False
    sources, folds = np.array(["a", "b"])[rng.integers(0, 2, N)], np.array(FOLDS)[np.arange(N) % 3]
    (folder / "later.json").write_text(
        json.dumps({"name": "later", **TrainedBaseline("example", "", default_config()).provenance()})
    )
    write_cohort(folder, SPACE, labels, sources, folds)
    (folder / "dropped.csv").write_text("recording,reason\nbad,no <signal>\n")
    said = {}
    for row, noise in zip(ROWS, (0.3, 1.0, 0.4), strict=True):
        p = np.clip(labels + rng.normal(0, noise, labels.shape), 0.01, 0.99).astype(np.float32)
        said[row] = Said(p, p > 0.6)
    write_run(folder, Trained("entry", "", default_config()), folds, said)
    return folder, labels, said, sources


def compared(results, draws):
    return {leads: compare(results, results.of_leads(leads), draws) for leads in results.lead_sets}


def scored(folder, draws):
    results = read_results(folder)
    return scores(results, compared(results, draws))


def test_results_are_the_answers_in_the_order_of_the_table(made):
    folder, labels, said, sources = made
    results = read_results(folder)
    assert (results.labels == labels).all()
    assert (results.sources == sources).all()
    assert results.rows == [ROWS[0], ROWS[1], ROWS[2]]
    for row in ROWS:
        assert (results.decided[row] == said[row].decisions).all()
        assert (results.probabilities[row] == said[row].probabilities).all()
    assert results.unfinished == {"later": list(FOLDS)}


def test_scores_are_those_of_the_metrics_and_of_scikit_learn(made):
    folder, labels, said, _ = made
    seen = labels.any(axis=0)
    for line in scored(folder, draws=20):
        p, decided = said[Row(line["model"], line["leads"])]
        mean_of = {"average": "macro", "zero_division": np.nan}
        either = (labels | decided).any(axis=0)
        expected = {
            "challenge_metric": ChallengeMetric(labels, SPACE)(decided),
            "auroc": roc_auc_score(labels[:, seen], p[:, seen]),
            "auroc_frequent": roc_auc_score(labels[:, seen], p[:, seen]),
            "auprc": average_precision_score(labels[:, seen], p[:, seen]),
            "f1": macro(f_measure(labels, decided)),
            "f2": fbeta_score(labels[:, either], decided[:, either], beta=2, **mean_of),
            "precision": precision_score(labels, decided, **mean_of),
            "accuracy": accuracy(labels, decided),
            "hamming_loss": hamming_loss(labels, decided),
        }
        for name, value in expected.items():
            assert line[name] == pytest.approx(value, abs=1e-9), name
        for name in ("challenge_metric", "auroc", "auprc", "f1"):
            assert line[f"{name}_low"] <= line[name] <= line[f"{name}_high"] or name != "challenge_metric"


def test_differences_are_paired_and_to_the_better_row(made):
    by_model = {line["model"]: line for line in scored(made[0], draws=200) if line["leads"] == "12"}
    assert by_model["good"]["reference"]
    assert not by_model["poor"]["reference"]
    poor, good = by_model["poor"], by_model["good"]
    assert poor["auroc_difference"] == pytest.approx(poor["auroc"] - good["auroc"])
    assert poor["auroc_difference_high"] < 0
    # Narrower than if the two had been resampled apart from one another.
    width = poor["challenge_metric_difference_high"] - poor["challenge_metric_difference_low"]
    apart = np.hypot(*(line["challenge_metric_high"] - line["challenge_metric_low"] for line in (poor, good)))
    assert width < apart


def test_a_model_is_compared_with_itself_in_another_entry(made):
    results = read_results(made[0])
    assert pairs(compared(results, draws=5)) == []
    names = {"good": "net (tuned)", "poor": "net"}
    renamed = {
        which: {row._replace(model=names[row.model]): values for row, values in getattr(results, which).items()}
        for which in ("said", "seeds")
    }
    (line,) = pairs(compared(replace(results, **renamed), draws=200))
    assert (line["leads"], line["model"], line["other"]) == ("12", "net (tuned)", "net")
    poor = next(line for line in scored(made[0], draws=200) if (line["model"], line["leads"]) == ("poor", "12"))
    assert line["auroc_difference"] == pytest.approx(-poor["auroc_difference"])
    assert line["auroc_difference_low"] == pytest.approx(-poor["auroc_difference_high"])


def test_sources_are_scored_apart(made):
    folder, labels, said, sources = made
    for line in by_part(read_results(folder), read_results(folder).sources):
        here = sources == line["part"]
        decided = said[Row(line["model"], line["leads"])].decisions[here]
        assert line["challenge_metric"] == pytest.approx(ChallengeMetric(labels[here], SPACE)(decided))
        assert line["recordings"] == here.sum()


def test_the_oracle_is_no_worse_than_the_thresholds_it_outbids(made):
    for line in thresholds(read_results(made[0])):
        assert line["challenge_metric_oracle"] >= line["challenge_metric_fixed"] - 0.02


class Outside(HTMLParser):
    """Collects what a page would fetch, and checks that elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        links = (values.get(key) or "" for key in ("src", "href", "xlink:href"))
        self.fetched += [link for link in links if link and not link.startswith(("#", "data:"))]


def test_the_page_needs_nothing_else_and_escapes_what_it_is_given(made):
    text = write_report(made[0], draws=20).read_text()
    parser = Outside()
    parser.feed(text)
    assert not parser.fetched
    assert "made &lt;up&gt;" in text
    assert "no &lt;signal&gt;" in text
    assert "<up>" not in text
    assert text.count("<svg") == 11
    assert "later: 1, 2, 3" in text
    assert "entry: trained anew in each fold" in text
    assert re.search(r"oracle \(knows the labels\)", text)
    names = {path.name for path in (made[0] / "report").iterdir()}
    wanted = (
        "scores", "classes", "thresholds", "sources", "folds", "cooccurrence", "confusion_12", "confusion_2", "ranks",
        "rank_pairs",
    )  # fmt: skip
    assert names == {f"{name}.csv" for name in wanted} | {"scores_12.tex", "scores_2.tex", "ranks_12.tex"}


def test_models_are_listed_by_falling_score(made):
    lines = [{"leads": leads, "challenge_metric": score} for leads in ("12", "2") for score in (0.1, 0.5, 0.3)]
    assert [line["challenge_metric"] for line in _best_first(lines, "2")] == [0.5, 0.3, 0.1]


def test_scores_beside_those_of_another_folder(made):
    write_report(made[0], made[0], draws=20)
    with open(made[0] / "report" / "drops.csv") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * len(ROWS)
    assert all(float(line["auroc_difference"]) == 0 for line in lines)
    (made[0] / "report" / "drops.csv").unlink()


def copy_with_names(folder, target, names):
    """A copy of a folder of answers, with other names of the models."""
    shutil.copytree(folder, target)
    results = read_results(folder)
    for fold in FOLDS:
        tested = np.flatnonzero(results.folds == fold)
        said = {row: Said(results.probabilities[row][tested], results.decided[row][tested]) for row in results.rows}
        renamed = {row._replace(model=names[row.model]): answers for row, answers in said.items()}
        FoldAnswers(tested, renamed, 0).write(file_of(target, fold, "entry"))
    return target


def test_the_page_compares_a_model_with_itself_in_another_entry(made, tmp_path):
    folder = copy_with_names(made[0], tmp_path / "named", {"good": "net (tuned)", "poor": "net"})
    text = write_report(folder, draws=20).read_text()
    section = text.partition("The same model in several entries")[2]
    assert re.search(r"net \(tuned\).*?<td[^>]*>net<", section, re.DOTALL)
    (line,) = csv.DictReader((folder / "report" / "pairs.csv").open())
    assert (line["model"], line["other"]) == ("net (tuned)", "net")


def test_the_verb_prints_the_main_scores_of_the_table(made, capsys):
    assert main(["report", str(made[0])]) == 0
    head, *lines, done = capsys.readouterr().out.splitlines()
    titles = ["leads", "model", "Challenge metric", "AUROC", "F1", "AUROC rank, 2 data sets", "AUROC rank, 8 classes"]
    assert re.split(r"  +", head) == titles and done.endswith("report.html")
    assert [line.split()[-2:] for line in lines] == [["1.00", "1.00"], ["2.00", "2.00"], ["–", "–"]]
    with open(made[0] / "report" / "scores.csv") as file:
        table = list(csv.DictReader(file))
    assert [line.split()[:2] for line in lines] == [[row["leads"], row["model"]] for row in table]
    for line, row in zip(lines, table, strict=True):
        auroc, low, high = (f"{float(row[f'auroc{end}']):.3f}" for end in ("", "_low", "_high"))
        assert f"{auroc} ({low} to {high})" in line


def test_a_folder_with_no_model_in_common_is_refused(made, tmp_path):
    other = copy_with_names(made[0], tmp_path / "other", {"good": "a", "poor": "b"})
    with pytest.raises(ValueError, match="other: found no model and source that"):
        write_report(made[0], other, draws=5)


def test_without_matplotlib_the_page_says_what_to_install(made, tmp_path, monkeypatch):
    folder = copy_with_names(made[0], tmp_path / "plain", {"good": "good", "poor": "poor"})
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    text = write_report(folder, draws=5).read_text()
    assert "pip install leadset[plots]" in text and "<svg" not in text


def test_a_folder_without_results_or_with_damaged_ones_is_named(made, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"crossval\.json: no such file, expected the folder of"):
        read_results(tmp_path)
    path = file_of(made[0], "1", "entry")
    content = path.read_bytes()
    try:
        path.write_bytes(content[:100])
        with pytest.raises(ValueError, match=r"entry-1\.npz: not answers of a cross-validation"):
            read_results(made[0])
        path.unlink()
        with pytest.raises(ValueError, match="entry lacks 1 of 3"):
            read_results(made[0])
    finally:
        path.write_bytes(content)
