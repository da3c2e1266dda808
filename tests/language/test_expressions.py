"""Expressions against Python's own arithmetic, and everything else against refusal."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resnet_spec.diagnostics import Source
from resnet_spec.language.expressions import Expression, ExpressionError, Value, diagnose, evaluate, make_divisible, parse
from resnet_spec.language.reader import MappingNode, ScalarNode
from resnet_spec.language.reader import parse as parse_yaml

NAMES: dict[str, Value] = {"width": 64, "stride": 2, "ratio": 0.25, "first": True, "zero": 0}


def lookup(name: str) -> Value:
    return NAMES[name]


def value(text: str, names: Callable[[str], Value] = lookup) -> Value:
    parsed = parse(text)
    assert isinstance(parsed, Expression), parsed
    return evaluate(parsed, names)


def refusal(text: str) -> ExpressionError:
    parsed = parse(text)
    if isinstance(parsed, ExpressionError):
        return parsed
    with pytest.raises(ExpressionError) as caught:
        evaluate(parsed, lookup)
    return caught.value


# --- against Python -------------------------------------------------------------------------------------------------------

_PYTHON: dict[str, object] = {"__builtins__": {}, "min": min, "max": max, "round": round, "ceil": math.ceil}
_PYTHON |= {"floor": math.floor, "log2": math.log2, "true": True, "false": False, **NAMES}


_NUMBERS = ["width", "stride", "ratio", "zero", "0", "1", "3", "7", "100", "0.5", "2.", ".25", "1e2", "1.5e-1"]
_TRUTHS = ["first", "true", "false", "(stride != 1)", "(width == 64)", "(ratio<1)"]
_NUMBER_FORMS = [
    *(f"(N {op} N)" for op in ("+", "-", "*", "/", "//", "%")),
    *("-N", "+N", "(N if T else N)", "min(N, N)", "max(N, N, N)"),
    *(f"{function}(N)" for function in ("round", "ceil", "floor", "log2")),
]
_TRUTH_FORMS = [
    *("(T and T)", "(T or T)", "(T and T or T)", "(not T)", "(T == T)", "(T != T)", "(T if T else T)"),
    *(f"(N {op} N)" for op in ("==", "!=", "<", "<=", ">", ">=")),
    *("(N < N <= N)", "(N != N == N > N)"),
]


@st.composite
def expressions(draw: st.DrawFn, kind: str, depth: int) -> str:
    """A number (`N`) or a boolean (`T`), as a text of the grammar."""
    leaves, forms = (_NUMBERS, _NUMBER_FORMS) if kind == "N" else (_TRUTHS, _TRUTH_FORMS)
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(leaves))
    form = draw(st.sampled_from(forms))
    return "".join(draw(expressions(piece, depth - 1)) if piece in ("N", "T") else piece for piece in form)


@given(st.sampled_from(["N", "T"]).flatmap(lambda kind: expressions(kind, 3)))
@example("width // 16 + 1")
@example("-7 // 2")
@example("-7 % 3")
@example("round(2.5)")
@example("1 < 2 > 1")
@example("1 if first else 1 / zero")
def test_expressions_have_the_value_that_python_gives_them(text: str) -> None:
    parsed = parse(text)
    if isinstance(parsed, ExpressionError):
        assert parsed.code == "expression-too-long"
        assert len(text) > 200
        return
    try:
        expected = eval(text, dict(_PYTHON))
    except ZeroDivisionError:
        assert refusal(text).code == "division-by-zero"
        return
    except ValueError:
        assert refusal(text).code == "expression-domain"
        return
    try:
        found = evaluate(parsed, lookup)
    except ExpressionError:
        assert refusal(text).code == "expression-too-large"
        return
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("7 / 2", 3.5),
        ("6 / 2", 3.0),
        ("7 // 2", 3),
        ("7 // 2.0", 3.0),
        ("- width", -64),
        ("not first and true", False),
        ("not (stride == 1) or false", True),
        ("width if stride == 2 else 0", 64),
        ("  width  ", 64),
        ("make_divisible(64 / 16, 8)", 8),
        ("max(1, 2, 3)", 3),
        ("ceil(64 * 0.8)", 52),
        ("log2(8)", 3.0),
        ("2147483648", 2**31),
        ("00", 0),
    ],
)
def test_values(text: str, expected: Value) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


def _reference_make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """`_make_divisible` of torchvision.models._utils, copied."""
    if min_value is None:
        min_value = divisor
    new_v = max(min_value, int(v + divisor / 2) // divisor * divisor)
    if new_v < 0.9 * v:
        new_v += divisor
    return new_v


@given(st.floats(0, 5000), st.integers(1, 64), st.none() | st.integers(1, 64))
@example(12.0, 8, None)
@example(11.9, 8, None)
@example(91.0, 8, 16)
def test_make_divisible_is_that_of_torchvision(v: float, divisor: int, least: int | None) -> None:
    assert make_divisible(v, divisor, least) == _reference_make_divisible(v, divisor, least)


# --- the language's own rules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "width and first",
        "1 or first",
        "not width",
        "1 if width else 2",
        "first + 1",
        "-first",
        "first * 2",
        "max(first, 1)",
        "first == 1",
        "width != true",
        "first < true",
        "true < false",
        "first and (width or true)",
    ],
)
def test_numbers_and_truth_values_do_not_mix(text: str) -> None:
    assert refusal(text).code == "expression-type"


@pytest.mark.parametrize("text", ["width ** 2", "2 ** 2 ** 2"])
def test_there_is_no_power(text: str) -> None:
    error = refusal(text)
    assert error.code == "expression-syntax"
    assert error.help.startswith("multiply instead")


@pytest.mark.parametrize(
    "text",
    [
        "width.bit_length",
        "width.__class__",
        "width[0]",
        "'a'",
        '"a"',
        "f'{width}'",
        "b'a'",
        "lambda: 1",
        "lambda x: x",
        "(x := 3)",
        "[1, 2]",
        "(1, 2)",
        "1, 2",
        "{1}",
        "{1: 2}",
        "[x for x in width]",
        "(x for x in width)",
        "0x10",
        "0b1",
        "0o7",
        "1_000",
        "1j",
        "True",
        "False",
        "None",
        "...",
        "~width",
        "width & 1",
        "width | 1",
        "width ^ 1",
        "width << 1",
        "width >> 1",
        "width @ 2",
        "width in width",
        "width is 1",
        "width not in width",
        "max(*width)",
        "max(1, b=2)",
        "max()",
        "max(1)",
        "round(1.5, 1)",
        "log2(2, 2)",
        "make_divisible(1)",
        "min(1, 2, 3, 4, 5, 6, 7, 8, 9)",
        "max(1, 2)(3)",
        "await width",
        "yield",
        "x = 1",
        "width; stride",
        "import os",
        "width  # channels",
        "width \\",
        "01",
        "",
        " ",
        "1 +",
        "(1",
        "1)",
        "a b",
        "a!b",
        "wïdth",
        "width\n+ 1",
        "width\t+ 1",
        "\x00",
        "1 if true",
        "!= 3",
    ],
)
def test_everything_outside_the_grammar_is_refused(text: str) -> None:
    parsed = parse(text)
    assert isinstance(parsed, ExpressionError)
    assert parsed.code == "expression-syntax"


@pytest.mark.parametrize("name", ["abs", "int", "eval", "__import__", "open", "sqrt", "width", "make_divisable"])
def test_only_the_listed_functions_are_called(name: str) -> None:
    error = refusal(f"{name}(1)")
    assert error.code == "unknown-function"
    node, _ = parse_yaml(Source("x.yaml", f"a: {name}(1)"))
    assert isinstance(node, MappingNode)
    scalar = node.get("a")
    assert isinstance(scalar, ScalarNode)
    assert ("`make_divisible`?" in diagnose(error, scalar).help) == (name == "make_divisable")


@given(st.text(max_size=40))
def test_no_text_does_worse_than_a_refusal(text: str) -> None:
    parsed = parse(text)
    if isinstance(parsed, Expression):
        with contextlib.suppress(ExpressionError):
            evaluate(parsed, lambda name: 3)
    else:
        assert 0 <= parsed.start <= parsed.stop <= len(text)


@pytest.mark.parametrize("text", ["false and 1 / 0 == 1", "true or 1 / 0 == 1", "1 if true else 1 / 0", "2 < 1 < 1 / 0"])
def test_what_is_not_needed_is_not_evaluated(text: str) -> None:
    assert value(text) in (True, False, 1)


def test_names_are_asked_for_only_on_the_path_taken() -> None:
    asked: list[str] = []

    def asking(name: str) -> Value:
        asked.append(name)
        return NAMES[name]

    assert value("width if first else unknown", asking) == 64
    assert value("stride == 2 or unknown", asking) is True
    assert asked == ["first", "width", "stride"]


def test_the_names_of_an_expression_are_listed_with_their_places() -> None:
    parsed = parse(" width + max(stride, true if first else 2)")
    assert isinstance(parsed, Expression)
    assert parsed.names == (("width", 1, 6), ("stride", 13, 19), ("first", 29, 34))


# --- bounds ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fits", "too_much", "code"),
    [
        ("1" + " + 1" * 19 + " " * 123, "1" + " + 1" * 19 + " " * 124, "expression-too-long"),
        ("1" + " + 1" * 19, "1" + " + 1" * 20, "expression-too-deep"),
        ("-" * 19 + "1", "-" * 20 + "1", "expression-too-deep"),
        ("2147483648", "2147483649", "expression-too-large"),
        ("65536 * 32768", "65536 * 32769", "expression-too-large"),
        ("-2147483647 - 1", "-2147483647 - 2", "expression-too-large"),
        ("2e9", "3e9", "expression-too-large"),
        ("1 / 1e-9", "1 / 1e-10", "expression-too-large"),
    ],
)
def test_bounds(fits: str, too_much: str, code: str) -> None:
    assert isinstance(parse(fits), Expression)
    value(fits)
    assert refusal(too_much).code == code


@pytest.mark.parametrize("text", ["(" * 100 + "1" + ")" * 99, "(" * 101, "-" * 200, "not " * 50, "1" * 200, "9" * 5000])
def test_long_and_deep_texts_are_refused(text: str) -> None:
    assert isinstance(parse(text), ExpressionError)


@pytest.mark.parametrize("text", ["1 / 0", "width // zero", "1 % 0", "1 / 0.0", "3 // (stride - 2)"])
def test_division_by_zero(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.message) == ("division-by-zero", f"`{text}` divides by zero")


@pytest.mark.parametrize("text", ["log2(0)", "log2(-1)", "make_divisible(3, 0)"])
def test_functions_without_a_value(text: str) -> None:
    assert refusal(text).code == "expression-domain"


# --- places ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("1 + width ** 2", "width ** 2"),
        ("  1 + width.real", "width.real"),
        ("max(1, sqrt(2))", "sqrt(2)"),
        ("width / (stride - 2) + 1", "width / (stride - 2)"),
        ("1 + (true and width)", "width"),
        ("3 * log2(0)", "log2(0)"),
        ("1 + 9999999999", "9999999999"),
        ("True", "True"),
    ],
)
def test_errors_point_to_the_piece_that_is_wrong(text: str, piece: str) -> None:
    error = refusal(text)
    assert text[error.start : error.stop] == piece


@pytest.mark.parametrize(
    ("yaml_text", "columns"),
    [
        ("a: 1 + width / 0", (8, 17)),
        ("a: '1 + width / 0'", (9, 18)),
        ('a: "1 + width / 0"', (9, 18)),
        ('a: "1 + width \\u002f 0"', (4, 24)),
        ("a: &x 1 + width / 0", (4, 20)),
    ],
    ids=["plain", "single quotes", "double quotes", "escaped: the whole", "anchored: the whole"],
)
def test_errors_in_a_file_point_into_the_line(yaml_text: str, columns: tuple[int, int]) -> None:
    node, _ = parse_yaml(Source("x.yaml", yaml_text))
    assert isinstance(node, MappingNode)
    scalar = node.get("a")
    assert isinstance(scalar, ScalarNode)
    finding = diagnose(refusal(str(scalar.value)), scalar)
    assert finding.span is not None
    assert (finding.span.column, finding.span.end_column) == columns


def test_a_type_error_keeps_the_names_as_written() -> None:
    assert refusal("first == width").message == "`first == width` compares true with 64"
