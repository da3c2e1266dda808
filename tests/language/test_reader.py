"""YAML text to a tree with places: scalars of YAML 1.2, what is refused, limits, and exact spans."""

from __future__ import annotations

import json
import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.diagnostics import Diagnostic, Source, Span, SpecError
from resnet_spec.language.files import decode
from resnet_spec.language.nodes import MappingNode, ScalarNode, SequenceNode, YamlNode, key_paths, to_data
from resnet_spec.language.python_data import from_data
from resnet_spec.language.reader import parse


def read(text: str) -> YamlNode:
    return parse(Source("x.yaml", text))[0]


def value_of(text: str) -> object:
    """What `text` means as the value of a key."""
    return to_data(read(f"a: {text}\n"))["a"]  # type: ignore[index]


def warnings_of(text: str) -> tuple[Diagnostic, ...]:
    return parse(Source("x.yaml", text))[1]


def refusal(text: str) -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        read(text)
    (finding,) = caught.value.diagnostics
    return finding


def place(span: Span | None) -> tuple[int, int, int, int]:
    assert span is not None
    return span.line, span.column, span.end_line, span.end_column


def entry(node: YamlNode, key: str) -> tuple[Span, YamlNode]:
    assert isinstance(node, MappingNode)
    return node.entries[key].key, node.entries[key].value


# --- scalars --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2.5e+1", -25.0),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("tRuE", "tRuE"),
        ("1.2.3", "1.2.3"),
        ("1e", "1e"),
        ("y", "y"),
        ("2024-01-31", "2024-01-31"),
        ("'12'", "12"),
        ('"true"', "true"),
        ('""', ""),
        ("width * expansion", "width * expansion"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, meaning: object) -> None:
    found = value_of(text)
    assert found == meaning
    assert type(found) is type(meaning)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("no", "write false"),
        ("on", "write true"),
        ("Yes", "write true"),
        ("OFF", "write false"),
        ("1:30", 'write "1:30" in quotes'),
        ("1_000", "write 1000"),
        ("0.5", ""),
        ("nothing", ""),
        ("'no'", ""),
        ("y", ""),
    ],
)
def test_words_that_yaml_1_1_read_otherwise_are_strings_with_a_warning(text: str, meant: str) -> None:
    warnings = warnings_of(f"a: {text}\n")
    assert [warning.code for warning in warnings] == (["yaml-1.1"] if meant else [])
    if meant:
        assert value_of(text) == text
        assert warnings[0].severity == "warning"
        assert warnings[0].help.startswith(meant)
        assert place(warnings[0].span) == (1, 4, 1, 4 + len(text))


def test_a_leading_zero_is_decimal_and_is_warned_about() -> None:
    assert value_of("010") == 10
    assert [warning.help for warning in warnings_of("a: 010")] == ["write 10"]


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", ".NaN", "1e999"])
def test_numbers_that_are_not_finite_are_refused(text: str) -> None:
    assert refusal(f"a: {text}").code == "number-too-large"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_read_as_python_reads_them(number: float) -> None:
    assert value_of(repr(number)) == number


# --- what YAML allows and a spec does not ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", (3, 1, 3, 2)),
        ("a: {b: 1, b: 2}\n", "duplicate-key", (1, 11, 1, 12)),
        ('1: x\n"1": y\n', "duplicate-key", (2, 1, 2, 4)),
        ("a: !!int 3\n", "yaml-tag", (1, 4, 1, 11)),
        ("a: !custom {b: 1}\n", "yaml-tag", (1, 4, 1, 13)),
        ("!!python/object:os.system {}\n", "yaml-tag", (1, 1, 1, 28)),
        ("a: 1\n---\nb: 2\n", "several-documents", (2, 1, 2, 2)),
        ("<<: {a: 1}\n", "merge-key", (1, 1, 1, 3)),
        ("1.5: a\n", "key-type", (1, 1, 1, 4)),
        ("01: a\n", "key-type", (1, 1, 1, 3)),
        ("-1: a\n", "key-type", (1, 1, 1, 3)),
        ("true: a\n", "key-type", (1, 1, 1, 5)),
        ("null: a\n", "key-type", (1, 1, 1, 5)),
        ("? [a, b]\n: c\n", "key-type", (1, 3, 1, 9)),
        ("a: *b\n", "unknown-alias", (1, 4, 1, 6)),
        ("a: &b\n  c: *b\n", "alias-cycle", (2, 6, 2, 8)),
        ("a: &b [*b]\n", "alias-cycle", (1, 8, 1, 10)),
        ("a: [1, 2\n", "yaml-syntax", (1, 9, 1, 10)),
        ("a: b: c\n", "yaml-syntax", (1, 5, 1, 6)),
        ("a:\n\tb: 1\n", "yaml-syntax", (2, 1, 2, 2)),
        ("a: \x07\n", "yaml-syntax", (1, 4, 1, 5)),
        ("\n", "empty-spec", (1, 1, 1, 2)),
        ("# nothing\n", "empty-spec", (1, 1, 1, 2)),
    ],
)
def test_refusals_name_the_place(text: str, code: str, where: tuple[int, int, int, int]) -> None:
    finding = refusal(text)
    assert (finding.code, place(finding.span)) == (code, where)


def test_a_duplicate_key_shows_where_it_stood_first() -> None:
    assert [str(label.span) for label in refusal("a: 1\nb: 2\na: 3\n").related] == ["x.yaml:1:1"]


def test_an_unclosed_bracket_shows_where_it_was_opened() -> None:
    assert [str(label.span) for label in refusal("a:\n  [1,\n   2\n").related] == ["x.yaml:2:3"]


def test_a_decimal_integer_is_a_key_as_written() -> None:
    assert to_data(read("0: a\n12: b\n")) == {"0": "a", "12": "b"}


def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    assert place(refusal('a: 1\nb: "\ud800"\n').span) == (2, 5, 2, 6)


def test_a_quoted_merge_key_is_a_string() -> None:
    assert to_data(read('"<<": 1\n')) == {"<<": 1}


# --- aliases --------------------------------------------------------------------------------------------------------------


def test_the_use_of_an_alias_is_the_place_and_the_anchor_the_second() -> None:
    node = read("a: &x {k: 1}\nb: *x\n")
    _, b = entry(node, "b")
    assert place(b.span) == (2, 4, 2, 6)
    assert b.span.anchor is not None
    assert place(b.span.anchor) == (1, 4, 1, 13)
    key, inner = entry(b, "k")
    assert place(key) == place(inner.span) == (2, 4, 2, 6)
    assert key.anchor is not None
    assert inner.span.anchor is not None
    assert (place(key.anchor), place(inner.span.anchor)) == ((1, 8, 1, 9), (1, 11, 1, 12))
    assert to_data(node) == {"a": {"k": 1}, "b": {"k": 1}}


def test_an_anchor_that_is_set_again_means_the_later_value() -> None:
    assert to_data(read("a: &x 1\nb: *x\nc: &x 2\nd: *x\n")) == {"a": 1, "b": 1, "c": 2, "d": 2}


# --- limits: each passes at the limit, and one past it is refused ---------------------------------------------------------


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def doubled(times: int, leaves: int) -> str:
    """`leaves` values, and then `times` aliases to a list of them."""
    listed = ", ".join(["0"] * leaves)
    return f"- &a [{listed}]\n" + "- *a\n" * times


@pytest.mark.parametrize(
    ("fits", "too_much", "code"),
    [
        ("#" * (1024 * 1024 - 5) + "\na: 1", "#" * (1024 * 1024 - 4) + "\na: 1", "too-large"),
        ("é" * 1 + ": " + "x" * (1024 * 1024 - 4), "é" * 1 + ": " + "x" * (1024 * 1024 - 3), "too-large"),
        (nested(32), nested(33), "too-deep"),
        ("- 1\n" * 49_999, "- 1\n" * 50_000, "too-many-nodes"),
        ("a: " + "9" * 18, "a: " + "9" * 19, "number-too-large"),
        ("a: -" + "9" * 18, "a: -" + "9" * 19, "number-too-large"),
        ("a: &x " + nested(30) + "\nb: [*x]", "a: &x " + nested(30) + "\nb: [[*x]]", "too-deep"),
        # the root, 20 lists of 9,999 values written or followed, and 19 aliases themselves: 1 + 20 * 9,999 + 19 = 200,000
        (doubled(19, 9_998), doubled(19, 9_999), "too-many-nodes"),
    ],
    ids=[
        "bytes",
        "bytes of UTF-8",
        "depth",
        "nodes",
        "digits",
        "negative digits",
        "depth after aliases",
        "nodes after aliases",
    ],
)
def test_limits(fits: str, too_much: str, code: str) -> None:
    read(fits)
    assert refusal(too_much).code == code


def test_leading_zeros_are_no_digits() -> None:
    assert value_of("000" + "9" * 18) == int("9" * 18)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a_hundred_thousand_brackets_are_refused(opening: str) -> None:
    assert refusal(opening * 100_000).code in ("too-deep", "yaml-syntax")


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    assert refusal("\n".join(lines)).code == "too-many-nodes"


# --- places ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "key_place", "value_place"),
    [
        ("abc:   12\n", "abc", (1, 1, 1, 4), (1, 8, 1, 10)),
        ("漢字: 'ü'\n", "漢字", (1, 1, 1, 3), (1, 5, 1, 8)),
        ("# ü\n{ 漢: x, b: [1, 2] }\n", "b", (2, 9, 2, 10), (2, 12, 2, 18)),
        ("a: 1\r\nb: 22\r\n", "b", (2, 1, 2, 2), (2, 4, 2, 6)),
        ("a: 1\rb: 22\r", "b", (2, 1, 2, 2), (2, 4, 2, 6)),
        ("\ufeffa: 1\n", "a", (1, 1, 1, 2), (1, 4, 1, 5)),
        ("a:\n  - 1\n  - 2\n", "a", (1, 1, 1, 2), (2, 3, 2, 4)),
        ("a:\n  b: 1\n  c: 2\n", "a", (1, 1, 1, 2), (2, 3, 2, 4)),
        ("a: {b: 1,\n    c: 2}\n", "a", (1, 1, 1, 2), (1, 4, 2, 10)),
        ('a: "x\n  y"\n', "a", (1, 1, 1, 2), (1, 4, 2, 5)),
    ],
)
def test_spans_are_in_characters_from_one(
    text: str, key: str, key_place: tuple[int, ...], value_place: tuple[int, ...]
) -> None:
    at, value = entry(read(text), key)
    assert place(at) == key_place
    assert place(value.span) == value_place


@given(st.lists(st.text(string.ascii_letters + "äß漢😀", min_size=1, max_size=8), min_size=1, max_size=6, unique=True))
def test_the_text_at_a_span_is_the_value(words: list[str]) -> None:
    source = Source("x.yaml", "".join(f"k{n}: '{word}'\n" for n, word in enumerate(words)))
    for n, word in enumerate(words):
        _, node = entry(parse(source)[0], f"k{n}")
        assert source.line(node.span.line)[node.span.column - 1 : node.span.end_column - 1] == f"'{word}'"


def test_a_byte_order_mark_stands_in_no_column() -> None:
    assert Source("x.yaml", "\ufeffa: 1\n").line(1) == "a: 1"
    assert decode(b"\xef\xbb\xbfa: 1\n", "x.yaml").text == "a: 1\n"


# --- the rest -------------------------------------------------------------------------------------------------------------

_DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(string.ascii_letters + " :#-é漢", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters, min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(_DATA)
def test_text_in_json_is_read_as_json(data: object) -> None:
    assert to_data(read(json.dumps(data))) == data


@given(_DATA)
def test_text_of_pyyaml_is_read_as_pyyaml_reads_it(data: object) -> None:
    """PyYAML quotes what its YAML 1.1 would read as anything but a string, so both agree."""
    assert to_data(read(yaml.safe_dump(data, allow_unicode=True))) == data


@given(_DATA)
def test_data_becomes_a_text_that_means_it(data: object) -> None:
    assert to_data(parse(from_data({"a": data}))[0]) == {"a": data}


@pytest.mark.parametrize("data", [{"a": float("nan")}, {"a": {1, 2}}, {"a": b"x"}, {(1, 2): 3}])
def test_data_that_yaml_cannot_say_is_refused(data: object) -> None:
    with pytest.raises(SpecError) as caught:
        from_data(data)
    assert [finding.code for finding in caught.value.diagnostics] == ["not-data"]


def test_data_that_holds_itself_is_refused() -> None:
    data: dict[str, object] = {}
    data["a"] = data
    with pytest.raises(SpecError):
        from_data(data)


def test_findings_in_data_have_lines() -> None:
    at, _ = entry(parse(from_data({"spec": 1, "name": "x"}))[0], "name")
    assert (at.source.name, at.line) == ("<dict>", 3)


def test_places_in_data_are_told_by_their_path() -> None:
    """A list counts from 0 and nests; a quote in a key, and a colon in a value, mislead nobody."""
    root = parse(from_data({"a": {"x": [[1], [2, 'b": c']], 'k": ': {}}, "c": ["]", 5], "d": None}))[0]
    assert isinstance(root, MappingNode)
    spans = [str(root.span)]

    def walk(node: YamlNode) -> None:
        spans.append(str(node.span).removeprefix("<dict>: "))
        for inner in node.items if isinstance(node, SequenceNode) else ():
            walk(inner)
        for each in node.entries.values() if isinstance(node, MappingNode) else ():
            walk(each.value)

    for each in root.entries.values():
        walk(each.value)
    lists = ["a.x", "a.x[0]", "a.x[0][0]", "a.x[1]", "a.x[1][0]", "a.x[1][1]"]
    assert spans == ["<dict>", "a", *lists, 'a.k\\": ', "c", "c[0]", "c[1]", "d"]


def test_a_key_is_found_where_it_is_the_least_deep() -> None:
    root = read("a: {b: {c: 1, d: 2}}\ne: {c: 3}\nf: 4\n")
    assert isinstance(root, MappingNode)
    paths = key_paths(root)
    assert [paths.get(key, []) for key in "cdfx"] == [["e.c", "a.b.c"], ["a.b.d"], ["f"], []]


def test_a_scalar_keeps_what_was_written() -> None:
    _, value = entry(read("a: 1e-3\nb: 'x'\n"), "a")
    assert isinstance(value, ScalarNode)
    assert (value.text, value.unquoted) == ("1e-3", True)


def test_comments_that_suppress_are_found_by_line() -> None:
    text = "a: 1\nb: 2  # resnet-spec: ignore[dead-bias, yaml-1.1]\nc: '# resnet-spec: ignore[x] and more'\n"
    assert Source("x.yaml", text).suppressions == {2: ("dead-bias", "yaml-1.1")}
