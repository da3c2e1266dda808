"""The page of a run: well formed, alone, inert whatever its texts are, and it says what the rows say."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_spec.report import page
from resnet_spec.report.page import RunReport, html_report
from resnet_spec.report.record import EpochRow
from tests.report.examples import HOSTILE, a_confusion, a_run, numbered, timings

ROWS = a_run(12)
DIAGRAM = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def full(text: str) -> RunReport:
    """Facts in which every text is `text`."""
    return RunReport(
        *(text, text, ROWS, timings(ROWS)),
        network=((text, text),),
        data=((text, text),),
        results=((text, text),),
        environment=((text, text),),
        confusion=a_confusion((text, "other")),
        confusion_of=text,
        recipe_text=text,
        spec_text=text,
        diagram_svg=DIAGRAM,
        notes=(text,),
        command=text,
    )


class Reader(HTMLParser):
    """Elements, attributes and text of a page; fails where an element is not closed in its turn."""

    EMPTY = frozenset({"meta", "img", "source"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.cells[-1] += data


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: pictures take time, and have tests of their own."""
    monkeypatch.setattr(page, "draw_curves", lambda *_: b"<svg/>")
    monkeypatch.setattr(page, "draw_confusion", lambda *_: b"<svg/>")


def test_the_page_is_well_formed_and_alone() -> None:
    text = html_report(full("resnet20"))
    read = Reader(text)
    assert {tag for tag, _ in read.elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base", "svg"})
    for _, attributes in read.elements:
        for key, value in attributes.items():
            assert not key.startswith("on")
            assert key not in ("src", "srcset") or (value or "").startswith("data:image/svg+xml;base64,")
            assert key != "href"
    assert "://" not in text
    assert "url(" not in text
    assert ("meta", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in [
        (tag, attributes.get("content")) for tag, attributes in read.elements
    ]


def test_the_same_facts_give_the_same_page(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    assert html_report(full("resnet20")) == html_report(full("resnet20"))


def shape(text: str) -> list[tuple[str, list[str]]]:
    """Elements and attributes, without the text that notes mark as code: that is the one thing their text may add."""
    marked = re.sub(r"<li>.*?</li>", lambda note: re.sub("</?code>", "", note[0]), text, flags=re.DOTALL)
    return [(tag, sorted(attributes)) for tag, attributes in Reader(marked).elements]


def test_what_notes_quote_is_code(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    text = html_report(replace(full("x"), notes=("`a<b` and `c` are `left", "none")))
    assert "<li><code>a&lt;b</code> and <code>c</code> are `left</li><li>none</li>" in text


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.strip()])
def test_a_hostile_text_adds_no_element_and_no_attribute(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    text = html_report(full(name))
    text.encode("utf-8")
    assert shape(text) == shape(html_report(full("harmless")))
    assert all(c == "\n" or c.isprintable() for c in text)


@settings(max_examples=50)
@given(st.text(st.sampled_from("<>&\"'`=/-!$\\{}% \n\r\0\x1bab\u2028\u202e\ud800"), min_size=1).map(lambda text: f"x{text}"))
def test_random_markup_adds_no_element_and_no_attribute(text: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        quick(monkeypatch)
        report = html_report(full(text))
        assert shape(report) == shape(html_report(full("x")))
        assert all(c == "\n" or c.isprintable() for c in report)


def test_texts_are_shown_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    recipe = "# <b> & \"quoted\" 'twice'\nlr: 0.1\n  nested: $x$\n"
    facts = replace(full("n"), recipe_text=recipe, command="resnet-spec train a --data 'images:b c' && <x>")
    read = Reader(html_report(facts))
    assert recipe.rstrip() in read.text
    assert facts.command in read.text


def test_numbers_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    rows = (
        EpochRow(1, 10, 0.1, 1.5, 0.5, 1.25, 0.61, 0.9, 1.125, 0.62, 0.91),
        EpochRow(2, 20, 0.05, 0.5, 0.8, 1.0, 0.75, 0.95, 1.0625, 0.7401, 0.96),
        EpochRow(3, 30, 0.01, 0.25, 0.9, 1.5, 0.7, 0.94, 1.75, 0.69, 0.93),
    )
    read = Reader(html_report(RunReport("n", "d", rows, timings(rows), test_accuracy=0.7401)))
    cells = read.cells
    start = cells.index("epoch 2, best on validation")
    assert " ".join(cells[start + 1 : start + 9]) == "0.5000 80.00% 1.0000 75.00% 95.00% 1.0625 74.01% 96.00%"
    assert "epoch 3, last" in cells
    start = cells.index("1", cells.index("learning rate"))
    assert cells[start : start + 3] == ["1", "10", "0.1"]
    assert cells[start + 11 : start + 13] == ["4.2", "11,765"]
    assert "74.01%test accuracyepoch 2, best on validation" in read.text
    assert "00:00:153 epochs30 steps, 11,765 images/s" in read.text


def test_test_images_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    rows = (EpochRow(1, 1, 0.1, 1.0, 0.5, test_accuracy=0.7), EpochRow(2, 2, 0.1, 1.0, 0.6, test_accuracy=0.6))
    page = html_report(RunReport("n", "d", rows, test_accuracy=0.6))
    assert "60.00%" in page
    assert "epoch 2, the last" in page
    assert "best on" not in page


def test_synthetic_data_is_said_loudly() -> None:
    facts = RunReport("n", "d", ())
    assert "Synthetic data" not in html_report(facts)
    assert "<strong>Synthetic data.</strong>" in html_report(replace(facts, synthetic=True))


def test_what_is_empty_is_left_out() -> None:
    text = html_report(RunReport("n", "d", ()))
    read = Reader(text)
    assert not [tag for tag, _ in read.elements if tag in ("h2", "img", "table", "section", "details", "pre")]


def test_pictures_are_there_for_light_and_dark() -> None:
    read = Reader(html_report(full("resnet20")))
    sources = [
        value for _, attributes in read.elements for key, value in attributes.items() if key in ("src", "srcset") and value
    ]
    pictures = [base64.b64decode(source.partition(",")[2]) for source in sources]
    assert DIAGRAM in pictures
    assert len(set(pictures)) == 5
    assert all(re.match(rb"(<\?xml|<svg)", picture) for picture in pictures)
    assert all(attributes.get("alt") for tag, attributes in read.elements if tag == "img")


def test_many_classes_fit_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    text = html_report(replace(full("n"), confusion=a_confusion(numbered(300))))
    assert Reader(text).cells.count("class 299") >= 1
