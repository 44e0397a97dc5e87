"""Tables of a report in LaTeX, for a paper: a ``tabular`` with the rules of the package ``booktabs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from leadset.studies.tables import Line

#: What stands behind a score that is not told apart from the highest one.
BESIDE_BEST = r"\textsuperscript{$\dagger$}"
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''",
}  # fmt: skip
_SCORES_NOTE = (
    "Mean ± standard deviation over seeds of a model that was trained with several, else the score with its 95 % "
    "bootstrap interval over patients. Bold: the highest score of a column. Dagger: the paired 95 % interval of the "
    "difference to it includes zero; intervals are not corrected for the number of models."
)


def escaped(words: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SPECIAL.get(letter, letter) for letter in words)


def tabular(head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A table.

    Args:
        head: names of the columns, plain text.
        rows: cells, the first of each plain text, the others LaTeX.
        notes: what it shows, a comment each above it.
    """
    comments = [f"% {' '.join(note.split())}" for note in (*notes, r"Needs \usepackage{booktabs}.")]
    lines = [rf"{' & '.join([escaped(name), *cells])} \\" for name, *cells in rows]
    top = rf"{' & '.join(map(escaped, head))} \\"
    begin = rf"\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}"
    return "\n".join([*comments, begin, r"\toprule", top, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", ""])


def scores_table(lines: Sequence[Line], titles: Mapping[str, str], about: str) -> str:
    """The scores of a lead set's models, the highest of each column bold.

    Args:
        lines: of `leadset.studies.tables.scores`, one at least.
        titles: of the scores that become columns.
        about: what they are of, in words.
    """
    highest = {name: np.fmax.reduce([line[name] for line in lines]) for name in titles}
    rows = [[line["model"], *(_score(line, name, highest[name]) for name in titles)] for line in lines]
    return tabular(["Model", *titles.values()], rows, [about, _SCORES_NOTE])


def _score(line: Line, name: str, highest: float) -> str:
    value, ends = line[name], (line[f"{name}_low"], line[f"{name}_high"])
    if not np.isfinite(value):
        return "--"
    shown = marked(_number(value), value == highest, line[f"{name}_with_best"])
    if line["seeds"] > 1:
        return rf"{shown} $\pm$ {_number(line[f'{name}_sd'])}"
    return f"{shown} ({' to '.join(map(_number, ends))})"


def marked(shown: str, best: bool, beside_best: bool) -> str:
    """A number in bold where it is the best one, with `BESIDE_BEST` where it is not told apart from that."""
    if best:
        return rf"\textbf{{{shown}}}"
    return f"{shown}{BESIDE_BEST}" if beside_best else shown


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "$-$")
