"""A page in HTML that holds all it shows: text, tables and figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_STYLE = """
:root{--line:#e3e6ea;--faint:#667;--mark:#eef4fb}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;color:#1c2430;margin:0;background:#fff}
main{max-width:1080px;margin:0 auto;padding:2.2rem 1.4rem 4rem}
h1{font-size:1.7rem;font-weight:600;margin:0 0 .3rem}
h2{font-size:1.2rem;font-weight:600;margin:2.6rem 0 .5rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:.98rem;font-weight:600;margin:1.5rem 0 .4rem}
p{margin:.4rem 0 .8rem;max-width:74ch}
p.note{color:var(--faint);font-size:.88rem}
nav{font-size:.88rem;margin:.8rem 0 0}nav a{margin-right:1rem;white-space:nowrap}
a{color:#1f5fa8;text-decoration:none}a:hover{text-decoration:underline}
.wide{overflow-x:auto;margin:.3rem 0 1rem}
table{border-collapse:collapse;font-size:.84rem;font-variant-numeric:tabular-nums}
th,td{padding:.26rem .65rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600;color:var(--faint);vertical-align:bottom;white-space:normal;max-width:8.5em;line-height:1.25}
th:first-child,td:first-child{text-align:left}
td.text{text-align:left}tr.mark td{background:var(--mark)}td b{font-weight:650}
td small{display:block;color:var(--faint);line-height:1.1}
figure{margin:1rem 0}figure svg{display:block;height:auto}
figcaption{color:var(--faint);font-size:.86rem;max-width:74ch}
details{margin:.6rem 0}summary{cursor:pointer;color:#1f5fa8}
pre{font-size:.78rem;background:#f7f8fa;padding:.8rem;overflow-x:auto}
"""


def number(value: Any, digits: int = 3) -> str:
    """A value as a table shows it; an unknown number is a dash."""
    if isinstance(value, float):
        return f"{value:.{digits}f}" if math.isfinite(value) else "–"
    return escape(str(value))


def with_interval(value: float, low: float, high: float, sign: str = "", digits: int = 3) -> str:
    """A number with its interval below it, smaller; ``sign`` is that of a format."""
    if not math.isfinite(value):
        return "–"
    form = f"{sign}.{digits}f"
    return f"{value:{form}}<small>{low:{form}} to {high:{form}}</small>"


class Page:
    """Collects sections and makes a page of them.

    Args:
        title: of the page.
    """

    def __init__(self, title: str) -> None:
        self.title, self._parts, self._sections = title, [], []

    def section(self, title: str) -> None:
        """Begins a section."""
        anchor = f"s{len(self._sections)}"
        self._sections.append((anchor, title))
        self._parts.append(f'<h2 id="{anchor}">{escape(title)}</h2>')

    def heading(self, title: str) -> None:
        """A heading inside a section."""
        self._parts.append(f"<h3>{escape(title)}</h3>")

    def text(self, words: str, note: bool = False) -> None:
        """A paragraph of plain text; a note is smaller."""
        self._parts.append(f"<p{' class=note' if note else ''}>{escape(words)}</p>")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]], marked: Iterable[int] = ()) -> None:
        """A table; cells are HTML as `number` and `with_interval` give it.

        Args:
            head: names of the columns.
            rows: cells.
            marked: numbers of the rows to shade.
        """
        marked = set(marked)
        cells = "".join(f"<th>{escape(name).replace('_', '_<wbr>')}</th>" for name in head)
        body = "".join(
            f"<tr{' class=mark' if i in marked else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
            for i, row in enumerate(rows)
        )
        self._parts.append(f'<div class="wide"><table><tr>{cells}</tr>{body}</table></div>')

    def figure(self, svg: str, caption: str) -> None:
        """A figure with its caption."""
        self._parts.append(f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>")

    def details(self, summary: str, values: Any) -> None:
        """Plain values that are folded away."""
        text = values if isinstance(values, str) else json.dumps(values, indent=1, ensure_ascii=False)
        self._parts.append(f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>")

    def html(self) -> str:
        """The page."""
        links = "".join(f'<a href="#{anchor}">{escape(title)}</a>' for anchor, title in self._sections)
        first, _, rest = "".join(self._parts).partition("<h2")
        body = f"<h1>{escape(self.title)}</h1>{first}<nav>{links}</nav>" + (f"<h2{rest}" if rest else "")
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><main>{body}</main></html>\n'
        )
