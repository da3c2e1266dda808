"""The part of a page that shows which images are wrong: the worst mistakes, the confusion matrix whose cells open their images,
and the figures of each class.

There is no script. A number in the matrix is a link to the images of its cell, which are shown while they are its target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from resnet_spec.diagnostics.text import count_text, html_text
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.gallery import Gallery, Shown
from resnet_spec.report.names import short_name
from resnet_spec.report.page_parts import bar, class_name, folded, table
from resnet_spec.report.tables import percent_text

MOST_CELLS = 40  # classes up to which the matrix is a table, whose cells can be opened
FIRST = 10  # mistakes that are shown at once: whole rows of two and of five
FEW_PAIRS, MOST_PAIRS = 10, 100  # mistakes that are listed after a table, and where there are too many classes for one
_KEY = "&#10007; what it predicts, &#10003; what is true, each with its probability"
_GAMMA, _TOP = 0.65, 0.5  # small shares are amplified, as in the picture of the matrix


@dataclass(frozen=True, slots=True)
class ShownImages:
    """The images that a page may show.

    Attributes:
        gallery: what was chosen of them.
        of: what they are, such as "test images".
        most: how many of them may be shown, besides the worst mistakes.
        pictures: where the picture of an image is, by its position: a data URI, or a path relative to the page.
        small: positions of those that are shown enlarged, pixel by pixel.
    """

    gallery: Gallery
    of: str
    most: int = 2000
    pictures: Mapping[int, str] = field(default_factory=dict, repr=False)
    small: frozenset[int] = frozenset()


def worst_mistakes(matrix: ConfusionMatrix, images: ShownImages) -> str:
    """The mistakes that the network is surest of, as HTML; empty if there is none."""
    worst = images.gallery.worst[: images.most]
    if not worst:
        return ""
    wrong = matrix.images - matrix.correct
    which = f"All {wrong:,}" if wrong == len(worst) else f"{len(worst):,} of the {wrong:,}"
    hint = f"{which} wrong {html_text(images.of)}, those first that the network is surest of: {_KEY}." + _rest_hint()
    first, rest = worst[:FIRST], worst[FIRST:]
    more = folded(f"{len(rest)} more", _grid(matrix, images, rest)) if rest else ""
    return f'<p class="hint">{hint}</p>' + _grid(matrix, images, first) + more


def _rest_hint() -> str:
    return " Every image with the probability of each class is in <code>predictions.csv</code>."


def _grid(matrix: ConfusionMatrix, images: ShownImages, shown: Sequence[Shown]) -> str:
    return '<div class="grid">' + "".join(_figure(matrix, images, each) for each in shown) + "</div>"


def _figure(matrix: ConfusionMatrix, images: ShownImages, shown: Shown) -> str:
    source = images.pictures.get(shown.index)
    kind = ' class="small"' if shown.index in images.small else ""
    picture = '<span class="none">no picture</span>' if source is None else f'<img{kind} loading="lazy" alt="" src="{source}">'
    lines = _line("true", "&#10003;", matrix.classes[shown.true], shown.true_probability)
    if shown.is_wrong:
        lines = _line("predicted", "&#10007;", matrix.classes[shown.predicted], shown.probability) + lines
    name = html_text(short_name(shown.name, 60))
    return (
        f'<figure><div class="frame">{picture}</div><figcaption>{lines}'
        f'<small title="{html_text(short_name(shown.name, 200))}">{name}</small></figcaption></figure>'
    )


def _line(kind: str, mark: str, name: str, probability: float) -> str:
    """A class and its probability, behind a mark."""
    share = percent_text(probability, 1)
    return f'<span class="{kind}"><i role="img" aria-label="{kind}">{mark}</i><b>{class_name(name)}</b><em>{share}</em></span>'


def confusion_table(matrix: ConfusionMatrix, images: ShownImages) -> str:
    """The matrix as a table whose cells open their images, and these images."""
    names, cells = [class_name(name) for name in matrix.classes], opened_cells(matrix, images)
    head = "".join(f'<th scope="col"><span class="up">{name}</span></th>' for name in names)
    opened = set(cells)
    rows = "".join(
        f'<tr><th scope="row">{names[i]}</th>{"".join(_cell(matrix, i, j, (i, j) in opened) for j in range(len(names)))}</tr>'
        for i in range(len(names))
    )
    share = f" ({percent_text(matrix.accuracy)})" if matrix.images else ""
    hint = (
        f"{matrix.correct:,} of {matrix.images:,} images correct{share}. A row for each true class, a column for each predicted"
        " one. Choose a number to see its images."
    )
    return (
        f'<p class="hint" id="matrix">{hint}</p><div class="scroll"><table class="matrix"><thead><tr>'
        f'<th class="corner" scope="col">true / predicted</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        + _panels(matrix, images, cells, "matrix")
    )


def _cell(matrix: ConfusionMatrix, i: int, j: int, opens: bool) -> str:
    count = matrix.counts[i][j]
    if not count:
        return '<td class="zero">&middot;</td>'
    share = count / sum(matrix.counts[i])
    depth = round(100 * min(1.0, share if i == j else share / _TOP) ** _GAMMA)
    kind = ("right" if i == j else "wrong") + (" deep" if depth > 55 else "")
    text = f'<a href="#c{i}-{j}">{count:,}</a>' if opens else f"{count:,}"
    return f'<td class="{kind}" style="--v:{depth}%">{text}</td>'


def opened_cells(matrix: ConfusionMatrix, images: ShownImages) -> list[tuple[int, int]]:
    """The cells that can be opened: those of the most frequent mistakes first, then those of correct predictions.

    Where there are too many classes for a table, those of the mistakes that are listed.
    """
    is_table = len(matrix.classes) <= MOST_CELLS
    wrong = [(i, j) for i, j, _ in matrix.mistakes(MOST_CELLS**2 if is_table else MOST_PAIRS)]
    right = [(i, i) for i, row in enumerate(matrix.counts) if row[i]] if is_table else []
    return [cell for cell in [*wrong, *right] if images.gallery.cell(*cell)]


def count_shown(matrix: ConfusionMatrix, images: ShownImages) -> Counter[int]:
    """How often the page shows each image, by its position."""
    found = Counter(shown.index for shown in images.gallery.worst[: images.most])
    for _, shown in _shared_out(images, opened_cells(matrix, images)):
        found.update(each.index for each in shown)
    return found


def _panels(matrix: ConfusionMatrix, images: ShownImages, cells: Sequence[tuple[int, int]], back: str) -> str:
    """The images of cells, each shown while it is the target of a link. `back` is where closing leads."""
    return "".join(_panel(matrix, images, i, j, shown, back) for (i, j), shown in _shared_out(images, cells))


def _shared_out(images: ShownImages, cells: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], tuple[Shown, ...]]]:
    """The images of each cell: as many of each as all of them can have."""
    chosen = [images.gallery.cell(*cell) for cell in cells]
    most, left = 0, images.most
    while left > 0 and (more := sum(len(shown) > most for shown in chosen)):
        most, left = most + 1, left - more
    yield from zip(cells, (shown[:most] for shown in chosen), strict=True)


def _panel(matrix: ConfusionMatrix, images: ShownImages, i: int, j: int, shown: Sequence[Shown], back: str) -> str:
    count = matrix.counts[i][j]
    true, guess = class_name(matrix.classes[i]), class_name(matrix.classes[j])
    number = count_text(count, "image")
    title = f"{number} of {true} predicted correctly" if i == j else f"{number} of {true} predicted as {guess}"
    order = "the least sure" if i == j else "the surest"
    some = f'<p class="hint">The {len(shown)} of which it is {order}. The others are in <code>predictions.csv</code>.</p>'
    return (
        f'<div class="panel" id="c{i}-{j}"><a class="close" href="#{back}">close</a><h3>{title}</h3>'
        + (some if len(shown) < count else "")
        + _grid(matrix, images, shown)
        + "</div>"
    )


def frequent_mistakes(matrix: ConfusionMatrix, images: ShownImages | None) -> str:
    """The most frequent mistakes as a table; with `images`, each leads to its images, which follow."""
    names = [class_name(name) for name in matrix.classes]
    mistakes = matrix.mistakes(FEW_PAIRS if images is None else MOST_PAIRS)
    if not mistakes:
        return ""
    cells = [] if images is None else opened_cells(matrix, images)
    linked = set(cells)
    lines = [
        (
            *(names[i], names[j]),
            f'<a href="#c{i}-{j}">{n:,}</a>' if (i, j) in linked else f"{n:,}",
            percent_text(n / sum(matrix.counts[i]), 1),
        )
        for i, j, n in mistakes
    ]
    title = '<h3 id="mistakes">The most frequent mistakes</h3>' if linked else "<h3>The most frequent mistakes</h3>"
    shown = table(["true class", "predicted class", "images", "of the class"], lines, "names tall" if linked else "names")
    return title + shown + ("" if images is None else _panels(matrix, images, cells, "mistakes"))


def class_figures(matrix: ConfusionMatrix, most: int) -> str:
    """Images, recall, precision and F1 of each class, with bars; of many classes, those of the lowest recall."""
    order = list(range(len(matrix.classes)))
    hint = ""
    if len(order) > most:
        order = sorted(order, key=lambda i: -1.0 if not sum(matrix.counts[i]) else matrix.recall(i))[:most]
        hint = f'<p class="hint">The {most:,} classes of the lowest recall. All are in <code>per_class.csv</code>.</p>'
    lines = (
        (
            *(class_name(matrix.classes[i]), f"{sum(matrix.counts[i]):,}", f"{matrix.counts[i][i]:,}"),
            *(bar(share) for share in (matrix.recall(i), matrix.precision(i), matrix.f1(i))),
        )
        for i in order
    )
    return hint + table(["class", "images", "correct", "recall", "precision", "F1"], lines, "tall")
