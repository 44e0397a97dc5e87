"""Tables for a paper: their structure, what is marked, and names that LaTeX would misread."""

from __future__ import annotations

import re

import pytest

from leadset.studies.latex import BESIDE_BEST, escaped, scores_table, tabular

TITLES = {"auroc": "AUROC", "f1": "F1 & more"}


def line(model, auroc, f1, beside=(False, False), sd=float("nan"), seeds=1):
    values = {"leads": "12", "model": model, "seeds": seeds}
    for name, value, with_best in zip(TITLES, (auroc, f1), beside, strict=True):
        values |= {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1, f"{name}_sd": sd,
                   f"{name}_with_best": with_best}  # fmt: skip
    return values


def test_a_table_has_as_many_cells_in_each_row_as_columns():
    text = tabular(["Model", "x_1"], [["a&b", "1"], ["c", "2"]], ["two\nlines % of a note"])
    lines = text.splitlines()
    assert lines[:2] == ["% two lines % of a note", r"% Needs \usepackage{booktabs}."]
    assert lines[2:] == [
        r"\begin{tabular}{lc}", r"\toprule", r"Model & x\_1 \\", r"\midrule", r"a\&b & 1 \\", r"c & 2 \\",
        r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "written"), [
    ("s4d (tuned_100%)", r"s4d (tuned\_100\%)"), (r"a\b{c}", r"a\textbackslash{}b\{c\}"), ('"q"', "''q''"),
    ("x<y^2~#$", None),
])  # fmt: skip
def test_names_are_escaped(name, written):
    shown = escaped(name)
    assert written in (None, shown)
    assert not re.search(r"(?<!\\)[_%&#$^~<>]", re.sub(r"\\[a-z]+\{\}", "", shown))


def test_the_best_is_bold_and_those_not_told_apart_are_marked():
    lines = [
        line("one_net", 0.9, 0.5, (True, True), 0.012, 3), line("two", 0.89, 0.6, (True, True)),
        line("three", 0.2, -0.05), line("four", 0.1, float("nan")),
    ]  # fmt: skip
    text = scores_table(lines, TITLES, "x")
    rows = [row.removesuffix(r" \\").split(" & ") for row in text.splitlines() if " & " in row]
    assert all(len(row) == 3 for row in rows) and rows[0] == ["Model", "AUROC", r"F1 \& more"]
    assert rows[1] == [r"one\_net", r"\textbf{0.900} $\pm$ 0.012", rf"0.500{BESIDE_BEST} $\pm$ 0.012"]
    assert rows[2] == ["two", rf"0.890{BESIDE_BEST} (0.790 to 0.990)", r"\textbf{0.600} (0.500 to 0.700)"]
    assert rows[3] == ["three", "0.200 (0.100 to 0.300)", r"$-$0.050 ($-$0.150 to 0.050)"]
    assert rows[4] == ["four", "0.100 (0.000 to 0.200)", "--"]
