"""Slips in expressions: each correction is an expression with the value that was meant."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_spec.language.expression_slips import find_slip
from resnet_spec.language.expressions import Expression, Number, evaluate, parse

VALUES: dict[str, Number] = {"w": 8, "n": 3, "flag": True}


def is_expression(text: str) -> bool:
    return isinstance(parse(text), Expression)


MEANT: list[tuple[str, Number]] = [
    ("w*2)", 16),
    ("(w + 1) * 2)", 18),
    ("(w + 1", 9),
    ("max(w, n", 8),
    ("w x 2", 16),
    ("2 w", 16),
    ("2w", 16),
    ("2(w + 1)", 18),
    ("(w)(n)", 24),
    ("w \u00d7 2", 16),
    ("w \u2212 2", 6),
    ("\uff08w + 1\uff09 * 2", 18),
    ("\uff16\uff14", 64),
    ("w > 4 && n < 9", True),
    ("w > 9 || !flag", False),
    ("w > 4 AND NOT flag", False),
    ("w <> 8", False),
    ("w => 8", True),
    ("w === 8", True),
    ("w = 8", True),
    ("w is 8", True),
    ("w is not 8", False),
    ("w in [4, 8]", True),
    ("w not in (4, 8)", False),
    ("n == 3 and w in [4, 8]", True),
    ("w > 3 ? 8 : 4", 8),
    ("${w}", 8),
    ("{w} * 2", 16),
    ("$w", 8),
    ("params.w + self.n", 11),
    ("int(w / 2)", 4),
    ("int(w)", 8),
    ("math.ceil(w / 3)", 3),
    ("w > 4:", True),
    ("50%", 0.5),
    ("=w * 2", 16),
]


@pytest.mark.parametrize(("text", "value"), MEANT)
def test_the_correction_has_the_value_that_was_meant(text: str, value: Number) -> None:
    assert not is_expression(text)
    slip = find_slip(text, is_expression)
    assert slip is not None
    parsed = parse(slip.text)
    assert isinstance(parsed, Expression)
    found = evaluate(parsed, VALUES.__getitem__)
    assert (found, isinstance(found, bool)) == (value, isinstance(value, bool))
    assert slip.help


@pytest.mark.parametrize("text", ["w +", "'big'", "lambda: 1", "w[0]", "a.b.c", "# w", "", "\u6211"])
def test_what_is_no_slip_has_no_correction(text: str) -> None:
    assert find_slip(text, is_expression) is None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="wn12 +-*/()=!<>&|?:,.x%{}$[]in\u00d7\uff08", max_size=30))
def test_every_correction_is_an_expression(text: str) -> None:
    slip = find_slip(text, is_expression)
    assert slip is None or (slip.text != text and is_expression(slip.text))
