"""A run as one HTML page, for people: what was trained, on what, how it went, and how to do it again.

Goes in: `Facts`. Comes out: the text of a page that needs nothing beside itself: no script, no network, pictures as data. All
of its text may be foreign and is escaped; the page's own policy forbids whatever an escape might miss.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from resnet_spec.diagnostics import printable
from resnet_spec.report.curves import ChartTheme, draw_confusion, draw_curves
from resnet_spec.report.names import short_name
from resnet_spec.report.page_frame import PAGE, STYLE
from resnet_spec.report.record import Confusion, EpochRow, Timing, chosen_row, clock_text
from resnet_spec.report.tables import percent_text

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a page tells. Pairs are a label and a value, both as they shall be read; what is empty is left out of the page.

    `name` is the network's, `data_text` the `--data` argument. `synthetic` says that the images were made up. `test_accuracy`
    is that of the weights that count, on all test images, and `confusion_of` says which images and weights `confusion` is of
    ("test images, best epoch"). `diagram_svg` is a picture of the network. `notes` are warnings, images passed over, and
    whatever else a reader must know to judge the numbers.
    """

    name: str
    data_text: str
    rows: tuple[EpochRow, ...]
    timings: tuple[Timing, ...] = ()
    synthetic: bool = False
    network: Pairs = ()
    data: Pairs = ()
    results: Pairs = ()
    environment: Pairs = ()
    test_accuracy: float | None = None
    confusion: Confusion | None = None
    confusion_of: str = ""
    recipe_text: str = ""
    spec_text: str = ""
    diagram_svg: bytes | None = None
    notes: tuple[str, ...] = ()
    command: str = ""


def html_report(facts: RunReport) -> str:
    """The page, the same for the same facts."""
    title = _text(f"{facts.name} on {facts.data_text}")
    body = [
        f"<header><h1>{_text(facts.name)}</h1><p>trained on {_text(facts.data_text)}</p></header>",
        _SYNTHETIC if facts.synthetic else "",
        _section("Notes", _notes(facts.notes)),
        _section("Results", _cards(facts) + _results(facts.rows) + _pairs(facts.results)),
        _section("Curves", _curves(facts)),
        _section("Network", _pairs(facts.network) + _diagram(facts) + _folded("the spec", _code(facts.spec_text))),
        _section("Data", _pairs(facts.data)),
        _section("Recipe", _code(facts.recipe_text)),
        _section("Epochs", _epochs(facts)),
        _section(_confusion_title(facts), _confusion(facts)),
        _section("Environment", _code(facts.command, "wrap") + _pairs(facts.environment)),
    ]
    return PAGE.format(title=title, style=STYLE, body="\n".join(part for part in body if part))


def _text(text: str) -> str:
    """Foreign text of one line, inert."""
    return escape(printable(text))


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>" if content else ""


def _notes(notes: Sequence[str]) -> str:
    return "".join(["<ul>", *(f"<li>{_text(note)}</li>" for note in notes), "</ul>"]) if notes else ""


def _pairs(pairs: Pairs) -> str:
    lines = "".join(f'<tr><th scope="row">{_text(label)}</th><td>{_text(value)}</td></tr>' for label, value in pairs)
    return f'<table class="pairs"><tbody>{lines}</tbody></table>' if pairs else ""


def _code(text: str, kind: str = "long") -> str:
    shown = escape("\n".join(printable(line.expandtabs(4)) for line in text.splitlines()))
    return f'<pre class="{kind}"><code>{shown}</code></pre>' if text.strip() else ""


def _folded(summary: str, content: str, opened: bool = False) -> str:
    return f"<details{' open' if opened else ''}><summary>{summary}</summary>{content}</details>" if content else ""


def _cards(facts: RunReport) -> str:
    found = chosen_row(facts.rows)
    if found is None:
        return ""
    chosen, best = found
    last = facts.rows[-1]
    which = f"epoch {chosen.epoch}, {'best on validation' if best else 'the last'}"
    cards = []
    if facts.test_accuracy is not None:
        cards.append(("test accuracy", percent_text(facts.test_accuracy), which))
    if best:
        cards.append(("validation accuracy", percent_text(chosen.validation_accuracy), f"epoch {chosen.epoch}, the best"))
    cards.append(("training accuracy", percent_text(last.train_accuracy), f"epoch {last.epoch}, the last"))
    cards.append(("epochs", f"{last.epoch:,}", f"{last.step:,} steps"))
    if facts.timings:
        speed = sorted(timing.images_per_second for timing in facts.timings)[len(facts.timings) // 2]
        cards.append(("time", clock_text(facts.timings[-1].total_seconds), f"{speed:,.0f} images/s"))
    shown = "".join(f"<div><b>{value}</b><span>{of}</span><small>{more}</small></div>" for of, value, more in cards)
    return f'<div class="cards">{shown}</div>'


def _results(rows: Sequence[EpochRow]) -> str:
    found = chosen_row(rows)
    if found is None:
        return ""
    (chosen, best), last = found, rows[-1]
    lines = [(f"epoch {last.epoch}, last", last)]
    if best:
        lines = [(f"epoch {chosen.epoch}, best on validation{' and last' if chosen is last else ''}", chosen)]
        lines += [(f"epoch {last.epoch}, last", last)] if chosen is not last else []
    heads = _measured(rows)
    return _table(["", *heads], ([name, *_measured_cells(row, heads)] for name, row in lines))


_MEASURED: dict[str, Callable[[EpochRow], float | None]] = {
    "train loss": lambda row: row.train_loss,
    "train accuracy": lambda row: row.train_accuracy,
    "validation loss": lambda row: row.validation_loss,
    "validation accuracy": lambda row: row.validation_accuracy,
    "validation top-5": lambda row: row.validation_top5,
    "test loss": lambda row: row.test_loss,
    "test accuracy": lambda row: row.test_accuracy,
    "test top-5": lambda row: row.test_top5,
}


def _measured(rows: Sequence[EpochRow]) -> list[str]:
    """The heads of what was measured in any of the rows."""
    return [head for head, value in _MEASURED.items() if any(value(row) is not None for row in rows)]


def _measured_cells(row: EpochRow, heads: Sequence[str]) -> list[str]:
    values = [(head, _MEASURED[head](row)) for head in heads]
    return [_loss(value) if head.endswith("loss") else percent_text(value) for head, value in values]


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 1e6 else f"{value:.3g}"


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already. A `tall` one scrolls; in a table of `names` the second column is text too."""
    head = "".join(f'<th scope="col">{cell.replace("-", "&#8209;")}</th>' for cell in heads)  # no line ends within top-5
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="scroll {kind}"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _epochs(facts: RunReport) -> str:
    if not facts.rows:
        return ""
    measured = _measured(facts.rows)
    times = {timing.epoch: timing for timing in facts.timings}
    heads = ["epoch", "step", "learning rate", *measured]
    if times:
        heads += ["seconds", "images/s"]

    def cells(row: EpochRow) -> list[str]:
        line = [str(row.epoch), f"{row.step:,}", f"{row.lr:.4g}", *_measured_cells(row, measured)]
        if times:
            timing = times.get(row.epoch)
            line += ["-", "-"] if timing is None else [f"{timing.seconds:,.1f}", f"{timing.images_per_second:,.0f}"]
        return line

    return _table(heads, map(cells, facts.rows), "tall")


def _curves(facts: RunReport) -> str:
    if not facts.rows:
        return ""
    return _picture(lambda theme: draw_curves(facts.rows, "svg", "", theme), "loss, accuracy and learning rate over the epochs")


def _picture(draw: Callable[[ChartTheme], bytes], alt: str) -> str:
    """A picture for light and for dark pages. In an `img`, an SVG runs no script and loads nothing."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{_data_uri(draw("dark"))}">'
        f'<img alt="{alt}" src="{_data_uri(draw("light"))}"></picture>'
    )


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def _diagram(facts: RunReport) -> str:
    if facts.diagram_svg is None:
        return ""
    picture = f'<img class=paper alt="diagram of the network" src="{_data_uri(facts.diagram_svg)}">'
    return _folded("the diagram", picture, opened=True)


def _confusion_title(facts: RunReport) -> str:
    return "Classes" + (f": {_text(facts.confusion_of)}" if facts.confusion_of else "")


def _confusion(facts: RunReport) -> str:
    matrix = facts.confusion
    if matrix is None:
        return ""
    picture = _picture(lambda theme: draw_confusion(matrix, "svg", theme), "confusion matrix")
    names = [f'<span title="{escape(short_name(name, 200))}">{escape(short_name(name, 40))}</span>' for name in matrix.classes]
    mistakes = [(names[i], names[j], f"{n:,}", percent_text(n / sum(matrix.counts[i]), 1)) for i, j, n in matrix.mistakes(10)]
    lines = [
        (
            names[i],
            f"{sum(row):,}",
            f"{row[i]:,}",
            _bar(matrix.recall(i)),
            percent_text(matrix.precision(i), 1),
            percent_text(matrix.f1(i), 1),
        )
        for i, row in enumerate(matrix.counts)
    ]
    return (
        picture
        + _table(["class", "images", "correct", "recall", "precision", "F1"], lines, "tall")
        + ("<h3>The most frequent mistakes</h3>" if mistakes else "")
        + (_table(["true class", "taken for", "images", "of the class"], mistakes, "names") if mistakes else "")
    )


def _bar(share: float) -> str:
    """A share with a bar of its length."""
    width = 0 if math.isnan(share) else round(100 * share)
    return f'<span class="bar"><i style="width:{width}%"></i></span><span class="share">{percent_text(share, 1)}</span>'


_SYNTHETIC = (
    '<p class="loud"><strong>Synthetic data.</strong> These images were made up by a program. The numbers show that training'
    " works; they say nothing about how well the network does on real images.</p>"
)
