"""Pieces of HTML that the parts of a page share. Texts are escaped here; what is called HTML has been."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from resnet_spec.diagnostics.text import html_text
from resnet_spec.report.names import short_name
from resnet_spec.report.tables import percent_text


def section(title: str, content: str) -> str:
    """A section under a title, both HTML; nothing for no content."""
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>" if content else ""


def folded(summary: str, content: str, opened: bool = False) -> str:
    """HTML that can be opened and closed; nothing for no content."""
    return f"<details{' open' if opened else ''}><summary>{summary}</summary>{content}</details>" if content else ""


def table(headers: Sequence[str], lines: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table; its cells are HTML already. A `tall` one scrolls; in a table of `names` the second column is text too."""
    head = "".join(f'<th scope="col">{cell.replace("-", "&#8209;")}</th>' for cell in headers)  # no line break within top-5
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="scroll {kind}"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


@lru_cache(maxsize=4096)
def class_name(name: str) -> str:
    """The name of a class, shortened; a tooltip shows more of it."""
    return f'<span title="{html_text(short_name(name, 200))}">{html_text(short_name(name, 40))}</span>'


def bar(share: float) -> str:
    """A share with a bar of its length."""
    width = 0 if math.isnan(share) else round(100 * share)
    return f'<span class="bar"><i style="width:{width}%"></i></span><span class="share">{percent_text(share, 1)}</span>'
