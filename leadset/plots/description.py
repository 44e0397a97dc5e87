"""The page of a data set: one HTML file with tables, bars and small pictures of recordings, without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from leadset.recordings.dataset import counted, fold_order
from leadset.recordings.description import UNKNOWN, Description
from leadset.recordings.reader import Recording
from leadset.utils.files import write_atomically

# How many classes are shown by an example, how long an example is, and the size of its picture in pixels.
_EXAMPLES, _SECONDS, _WIDTH, _HEIGHT = 12, 10.0, 500, 90
# Millivolts from the middle of a picture to its edge, at least.
_LEAST_MV = 0.75
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b2733; background: #fff; max-width: 1080px; margin: 2em auto;
       padding: 0 1.2em }
h1 { font-size: 1.6em; margin-bottom: .2em }
h2 { font-size: 1.15em; margin: 2em 0 .5em; border-bottom: 1px solid #dde3e8 }
h3 { font-size: 1em; margin-bottom: .2em }
table { border-collapse: collapse } td, th { padding: .15em .6em; text-align: left; vertical-align: top }
th { font-weight: 600; color: #51606e } .n { text-align: right; font-variant-numeric: tabular-nums }
.bar { display: inline-block; height: .75em; background: #2f6f9f; border-radius: 2px }
.bar.female { background: #b4597a } .bar.male { background: #2f6f9f } .bar.unknown { background: #a9b4bd }
.note { color: #51606e }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 0 2em }
.matrix { overflow-x: auto } .matrix td { width: 2.6em; text-align: right; font-size: .78em; padding: .1em .3em }
.matrix th { font-size: .78em; padding: .1em .3em } .matrix thead th { writing-mode: vertical-rl; height: 6em }
figure { display: inline-block; margin: .4em 1em .4em 0 } figcaption { font-size: .85em; color: #51606e }
svg { background: #fff7f5; border: 1px solid #f0d9d3; max-width: 100% }
"""


def write_page(description: Description, path: str | Path) -> None:
    """Writes the page of a data set.

    Args:
        description: its counts; signals of some recordings are read for the examples.
        path: of the HTML file.
    """
    data = description.data
    title = data.title or str(data)
    parts = [f"<h1>{escape(title)}</h1>", *_head(description), *_classes(description)]
    parts += [_section("Subjects, signals and sources", f'<div class="grid">{"".join(_tables(description))}</div>')]
    parts += [*_together(description), *_folds(description), *_examples(description), *_left_out(description)]
    page = "\n".join(
        ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
         '<meta name="viewport" content="width=device-width, initial-scale=1">',
         f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>", *parts, "</body></html>", ""]
    )  # fmt: skip
    with write_atomically(path) as file:
        file.write(page)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _head(description: Description) -> Iterator[str]:
    data = description.data
    published = [f"{count} in {release}" if release else str(count) for release, count in data.published.items()]
    beside = f" (published: {', '.join(published)})" if published else ""
    yield f"<p><strong>{description.recordings}</strong> recordings{escape(beside)}</p>"
    if description.told:
        yield f'<p class="note">{escape(description.told)}</p>'
    for label, text in (("Source", data.citation), ("Licence", data.licence), ("Read from", str(data))):
        if text:
            yield f'<p class="note">{label}: {escape(text)}</p>'


def _bar(count: int, most: int, kind: str = "") -> str:
    return f'<span class="bar {kind}" style="width:{160 * count / max(most, 1):.1f}px"></span>'


def _classes(description: Description) -> Iterator[str]:
    counts, n = description.counts, max(description.recordings, 1)
    rows = [
        f"<tr><td>{escape(d.abbreviation)}</td><td>{escape(d.name)}</td><td class=n>{count}</td>"
        f"<td class=n>{100 * count / n:.1f} %</td><td>{_bar(count, counts.max())}</td></tr>"
        for d, count in zip(description.space.classes, counts.tolist(), strict=True)
    ]
    heading = "<tr><th>class<th>name<th class=n>recordings<th class=n>share<th></tr>"
    each = ", ".join(f"{n} in {count}" for n, count in sorted(description.labels_each.items()))
    note = f'<p class="note">Classes in a recording: {each} recordings.</p>'
    yield _section(f"Classes of {description.space.name}", f"<table>{heading}{''.join(rows)}</table>{note}")


def _tables(description: Description) -> Iterator[str]:
    """Small tables of counts with bars."""
    decades = sorted({name for name, _ in description.ages}, key=lambda name: (name == UNKNOWN, len(name), name))
    sexes = sorted(description.sexes)
    most = max((sum(description.ages[name, sex] for sex in sexes) for name in decades), default=1)
    rows = [
        f"<tr><td>{name}</td><td class=n>{sum(description.ages[name, sex] for sex in sexes)}</td>"
        f"<td>{''.join(_bar(description.ages[name, sex], most, sex) for sex in sexes)}</td></tr>"
        for name in decades
    ]
    yield f"<div><h3>Age, years (colours: sex)</h3><table>{''.join(rows)}</table></div>"
    yield _counts("Sex", description.sexes)
    yield _counts("Duration", description.durations)
    yield _counts("Sampling rate", description.rates)
    yield _counts("Leads", description.leads)
    yield _counts("Source", description.sources)


def _counts(title: str, counts: Mapping[str, int]) -> str:
    most = max(counts.values(), default=1)
    rows = [
        f"<tr><td>{escape(name)}</td><td class=n>{count}</td>"
        f"<td>{_bar(count, most, name if title == 'Sex' else '')}</td></tr>"
        for name, count in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    return f"<div><h3>{title}</h3><table>{''.join(rows)}</table></div>"


def _matrix(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[int], Sequence[float]]]) -> str:
    """A table of numbers, each shaded by a share of 0 to 1."""
    lines = [f"<thead><tr><th>{''.join(f'<th>{escape(head)}' for head in heads)}</tr></thead>"]
    for name, values, shades in rows:
        cells = [
            f'<td style="background:rgba(47,111,159,{shade:.2f})">{value or ""}</td>'
            for value, shade in zip(values, shades, strict=True)
        ]
        lines.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>")
    return f'<div class="matrix"><table>{"".join(lines)}</table></div>'


def _together(description: Description) -> Iterator[str]:
    present = np.flatnonzero(description.counts)
    if len(present) < 2:
        return
    counts = description.together[np.ix_(present, present)]
    names = [description.space.abbreviations[i] for i in present]
    shares = 0.75 * counts / np.diagonal(counts)[:, None]
    table = _matrix(names, zip(names, counts.tolist(), shares.tolist(), strict=True))
    note = '<p class="note">Recordings with both classes; shaded by the share of the row’s class.</p>'
    yield _section("Classes that occur together", note + table)


def _folds(description: Description) -> Iterator[str]:
    if not description.folds:
        return
    names = sorted(description.folds, key=fold_order)
    columns = np.array([description.by_fold[name] for name in names])
    rows = [("recordings", [description.folds[name] for name in names], [0.0] * len(names))]
    for i in np.flatnonzero(description.counts):
        shares = 0.75 * columns[:, i] / columns[:, i].max()
        rows.append((description.space.abbreviations[i], columns[:, i].tolist(), shares.tolist()))
    test = ", ".join(description.data.test_folds)
    note = f'<p class="note">Its authors test on fold {escape(test)}.</p>' if test else ""
    yield _section("Folds", note + _matrix(names, rows))


def _examples(description: Description) -> Iterator[str]:
    figures = [_figure(name, recording) for name, recording in description.read_examples(_EXAMPLES)]
    if figures:
        yield _section("Examples", "".join(figures))


def _figure(name: str, recording: Recording) -> str:
    """The first seconds of lead II, or of the first lead, on a grid of 0.2 s and 0.5 mV."""
    i = recording.leads.index("II") if "II" in recording.leads else 0
    signal_mv = recording.signal[i, : int(_SECONDS * recording.fs)].astype(float)
    step = max(1, len(signal_mv) // _WIDTH)
    # The extremes of each pixel, so that no QRS complex is lost.
    kept = signal_mv[: len(signal_mv) // step * step].reshape(-1, step)
    line = np.column_stack([np.fmin.reduce(kept, axis=1), np.fmax.reduce(kept, axis=1)]).ravel()
    middle = float(np.nanmedian(line)) if np.isfinite(line).any() else 0.0
    reach = max(_LEAST_MV, float(np.nanmax(np.abs(line - middle), initial=0)))
    x = np.linspace(0, _WIDTH * len(signal_mv) / (_SECONDS * recording.fs), len(line))
    y = _HEIGHT / 2 * (1 - (line - middle) / reach)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
    second, half = _WIDTH / _SECONDS, _HEIGHT / 2 * 0.5 / reach
    grid = "".join(f"M{k * second / 5:.1f} 0V{_HEIGHT}" for k in range(1, int(_SECONDS * 5)))
    levels = int(_HEIGHT / 2 // half)
    grid += "".join(f"M0 {_HEIGHT / 2 + k * half:.1f}H{_WIDTH}" for k in range(-levels, levels + 1))
    caption = f"{name}: {recording.name}, lead {recording.leads[i]}, grid 0.2 s and 0.5 mV"
    return (
        f'<figure><svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(caption)}"><path d="{grid}" stroke="#f3d5cd" stroke-width=".6" fill="none"/>'
        f'<polyline points="{points}" fill="none" stroke="#1b2733" stroke-width="1"/></svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _left_out(description: Description) -> Iterator[str]:
    lines = counted([*description.data.left_out, *description.unreadable])
    without = description.labels_each[0]
    lines += [f"{without} recordings have no class of {description.space.name}"] if without else []
    if description.other_codes:
        named = [f"{code} ({count})" for code, count in description.other_codes.most_common()]
        lines.append(f"{len(named)} codes are of no class: {', '.join(named)}")
    remarks = [f"<li>{escape(line)}</li>" for line in [*lines, *description.data.remarks]]
    content = f"<ul>{''.join(remarks)}</ul>" if remarks else "<p>Nothing.</p>"
    yield _section("Left out and remarkable", content)
