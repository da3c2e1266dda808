"""Findings as text: carets under what is meant, whatever the line holds, and nothing that steers a terminal."""

from __future__ import annotations

import json
import re

import pytest

import resnet_spec
from resnet_spec.diagnostics import Diagnostic, Label, Source, Span, SpecError, closest, printable, suggestion
from resnet_spec.diagnostics.rendering import render
from resnet_spec.diagnostics.text import display_width


def finding(text: str, line: int, column: int, end: int, **more: str) -> Diagnostic:
    span = Span(Source("x.yaml", text), line, column, line, end)
    return Diagnostic("some-code", "something is wrong", span, more.get("label", ""), help=more.get("help", ""))


def carets(text: str, line: int, column: int, end: int) -> list[str]:
    return render([finding(text, line, column, end)]).splitlines()[3:5]


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("a: 1", (4, 5), ["1 | a: 1", "  |    ^"]),
        ("\ta: 1", (5, 6), ["1 |     a: 1", "  |        ^"]),
        ("a\t: 1", (5, 6), ["1 | a   : 1", "  |       ^"]),
        ("漢字: 1", (5, 6), ["1 | 漢字: 1", "  |       ^"]),
        ("a: 漢字", (4, 6), ["1 | a: 漢字", "  |    ^^^^"]),
        ("e\u0301: 1", (5, 6), ["1 | e\u0301: 1", "  |    ^"]),
        ("a: \x1bx", (5, 6), ["1 | a: \\x1bx", "  |        ^"]),
        ("a: 1", (5, 6), ["1 | a: 1", "  |     ^"]),
        ("a: 1", (9, 10), ["1 | a: 1", "  |         ^"]),
        ("", (1, 2), ["1 |", "  | ^"]),
    ],
)
def test_carets_stand_under_the_text(text: str, columns: tuple[int, int], shown: list[str]) -> None:
    assert carets(text, 1, *columns) == shown


def test_long_lines_are_cut() -> None:
    line, marks = carets("a" * 1000, 1, 10, 900)
    assert len(line) < 200
    assert len(marks) < 200


@pytest.mark.parametrize(("column", "end"), [(161, 162), (500, 510), (155, 170), (991, 1001), (1000, 1001), (400, 900)])
def test_the_excerpt_of_a_long_line_is_around_the_place(column: int, end: int) -> None:
    text = "".join(f"{number:04}" for number in range(250))
    line, marks = carets(text, 1, column, end)
    assert len(line) < 200
    at = marks.index("^")
    marked = line[at : at + marks.count("^")]
    shown = text[column - 1 : end - 1]
    assert marked == shown if end - column < 100 else shown.startswith(marked[:50]) and line.endswith("...")
    assert line.startswith("1 | ...")
    assert line[7:at] in text[: column - 1]
    assert line.endswith("...") is (end < 970)


def test_an_excerpt_that_is_cut_counts_columns_as_a_terminal_does() -> None:
    line, marks = carets("漢\t" * 300 + "x", 1, 601, 602)
    assert line.endswith("x")
    assert display_width(line) == display_width(marks)


def test_places_far_apart_on_a_long_line_have_an_excerpt_each() -> None:
    source = Source("x.yaml", "a" * 300 + "b" + "c" * 300 + "d")
    labels = (Label(Span(source, 1, 301, 1, 302), "near"), Label(Span(source, 1, 602, 1, 603), "far"))
    (_, place, _, line, marks, near, again, _, end, under, *_) = render(
        [Diagnostic("some-code", "wrong", Span(source, 1, 290, 1, 291), related=labels)]
    ).splitlines()
    assert place == " --> x.yaml:1:290"
    assert line[near.index("-")] == "b"
    assert line[marks.index("^")] == "a"
    assert again == " ::: x.yaml:1:602"
    assert end[under.index("-")] == "d"
    assert under.endswith("- far")


def test_an_excerpt_of_a_file_that_was_checked() -> None:
    """A line of 205 columns with the mistake at its end."""
    text = (
        "stem: {conv1: {op: conv2d, out_channels: 64, kernel_size: 7, stride: 2, padding: 3, bias: false}, bn1: {op: norm,"
        " eps: 1.0e-5}, relu: act, maxpool: {op: max_pool2d, kernel_size: 3, stride: 2, paddin: 1}}\n"
    )
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze("spec: 1\nextends: resnet18\n" + text)
    lines = render(caught.value.diagnostics).splitlines()
    assert lines[3] == "3 | ...: act, maxpool: {op: max_pool2d, kernel_size: 3, stride: 2, paddin: 1}}"
    assert lines[4].index("^") == lines[3].index("paddin")


def test_a_finding_in_full() -> None:
    source = Source("x.yaml", "one: 1\n" * 12)
    whole = Diagnostic(
        "some-code",
        "something is wrong",
        Span(source, 10, 1, 10, 4),
        "here",
        (Label(Span(source, 2, 6, 2, 7), "because of this"),),
        "fix it",
        ("it is so", "and so"),
        "warning",
    )
    assert render([whole]) == (
        "warning[some-code]: something is wrong\n"
        "  --> x.yaml:10:1\n"
        "   |\n"
        "10 | one: 1\n"
        "   | ^^^ here\n"
        "  ::: x.yaml:2:6\n"
        "   |\n"
        " 2 | one: 1\n"
        "   |      - because of this\n"
        "   |\n"
        "   = help: fix it\n"
        "   = note: it is so\n"
        "   = note: and so\n\n"
    )


def test_a_value_that_came_through_an_alias_shows_its_anchor() -> None:
    source = Source("x.yaml", "a: &x 1\nb: *x\n")
    span = Span(source, 2, 4, 2, 6, anchor=Span(source, 1, 4, 1, 8))
    text = render([Diagnostic("some-code", "wrong", span)])
    assert " --> x.yaml:2:4\n" in text
    assert " ::: x.yaml:1:4\n" in text
    document = json.loads(render([Diagnostic("some-code", "wrong", span)], "json"))
    assert document["diagnostics"][0]["location"]["anchor"]["line"] == 1


@pytest.mark.parametrize("style", ["text", "concise", "json"])
def test_nothing_foreign_comes_through_unescaped(style: str) -> None:
    evil = "\x1b[31m\u202e\x07\n"
    source = Source(f"{evil}.yaml", f"a: {evil}")
    span = Span(source, 1, 1, 1, 20)
    text = render([Diagnostic("some-code", evil, span, evil, (Label(span, evil),), evil, (evil,))], style)  # type: ignore[arg-type]
    assert not set("\x1b\u202e\x07") & set(text)


def test_no_findings_are_no_text() -> None:
    assert render([]) == render([], "concise") == ""


def test_findings_come_in_the_order_of_the_source() -> None:
    source, other = Source("x.yaml", ""), Source("y.yaml", "")
    places = [(source, 3, 1), (other, 1, 1), (source, 1, 5), (source, 1, 2), (other, 1, 1)]
    error = SpecError(
        Diagnostic("c", str(n), Span(s, line, column, line, column + 1)) for n, (s, line, column) in enumerate(places)
    )
    assert [finding.message for finding in error.diagnostics] == ["3", "2", "0", "1", "4"]


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("strid", ["stride", "padding"], "stride"),
        ("Stride", ["stride"], "stride"),
        ("filters", ["out_channels", "stride"], "out_channels"),
        ("filters", ["stride"], None),
        ("xyz", ["stride"], None),
    ],
)
def test_the_closest_word(word: str, known: list[str], near: str | None) -> None:
    assert closest(word, known, {"filters": "out_channels"}) == near


@pytest.mark.parametrize(
    ("most", "help"),
    [(12, "known here: `a`, `b`, `c`"), (2, "known here: `a`, `b`, and 1 more"), (0, ""), (3, "known here: `a`, `b`, `c`")],
)
def test_a_list_of_known_words_is_short(most: int, help: str) -> None:
    assert suggestion("xyz", ["a", "b", "c"], most=most) == help


@pytest.mark.parametrize(
    ("text", "inert"),
    [("größe 漢", "größe 漢"), ("\x1b[31m", "\\x1b[31m"), ("a\nb", "a\\nb"), ("\u202e", "\\u202e"), ("\udcff", "\\udcff")],
)
def test_printable(text: str, inert: str) -> None:
    assert printable(text) == inert


HOSTILE = 'spec: 1\ninput: 3x8x8\nstem:\n  "a\\n::error::b,c:d%0A\\e[31m": {op: relu}\n'


def hostile_findings() -> tuple[resnet_spec.Diagnostic, ...]:
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.analyze(HOSTILE)
    return caught.value.diagnostics


def test_a_github_annotation_is_one_line_and_starts_no_other() -> None:
    lines = render(hostile_findings(), "github").splitlines()
    assert len(lines) == len(hostile_findings())
    for line in lines:
        assert line.startswith("::error file=<text>,line=4,col=3,title=invalid-name")
        assert line.count("::error") == 2  # the command, and the inert text of the name
        assert "\x1b" not in line
        assert "%250A" in line


def test_sarif_has_what_code_scanning_asks_for() -> None:
    document = json.loads(render(hostile_findings(), "sarif"))
    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["invalid-name"]
    (result,) = run["results"]
    assert result["ruleId"] == "invalid-name"
    assert result["level"] == "error"
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"]) == (4, 3)
    assert " " not in result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


def test_colors_are_the_only_difference_between_colored_and_plain() -> None:
    colored = render(hostile_findings(), color=True)
    assert "\x1b[1;31merror[invalid-name]\x1b[0m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render(hostile_findings())


def test_the_text_of_an_error_is_inert_too() -> None:
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.analyze(HOSTILE)
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    assert str(caught.value).startswith(
        "<text>:4:3: error[invalid-name]: `a\\n::error::b,c:d%0A\\x1b[31m` is not a valid name\n"
    )
