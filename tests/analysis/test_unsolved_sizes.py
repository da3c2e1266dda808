"""Networks whose sizes the solver does not handle: shape inference decides about a size, and `expect` is not broken by that."""

from __future__ import annotations

import pickle

import pytest

import resnet_spec
from tests.analysis.test_sizes import runs

TWO_FLAT_BRANCHES = """
spec: 1
name: two-branches
input: 3x8x8
classes: 10
blocks:
  two:
    branch: {a: {op: max_pool2d, kernel_size: 2}, b: flatten}
    shortcut: {c: {op: max_pool2d, kernel_size: 4}, d: flatten}
    join: concat
stages: {x: two}
head: {fc: {op: linear, out_features: classes}}
expect: {squares: [8, 8]}
"""


def test_expect_is_not_broken_where_the_sizes_are_not_solved() -> None:
    analysis = resnet_spec.analyze(TWO_FLAT_BRANCHES.replace("[8, 8]", "[8, 9]"))
    assert analysis.accepted.unsolved
    with pytest.raises(resnet_spec.SpecError, match="does not run on squares of 10"):
        resnet_spec.analyze(TWO_FLAT_BRANCHES.replace("[8, 8]", "[8, 10]"))
    with pytest.raises(resnet_spec.SpecError, match="also runs on squares of 8"):
        resnet_spec.analyze(TWO_FLAT_BRANCHES.replace("[8, 8]", "[9, 9]"))
    with pytest.raises(resnet_spec.SpecError, match="does not run on squares of 7"):
        resnet_spec.analyze(TWO_FLAT_BRANCHES.replace("[8, 8]", "[7, null]"))


def test_inference_decides_about_a_size() -> None:
    analysis = resnet_spec.analyze(TWO_FLAT_BRANCHES.partition("expect")[0])
    assert analysis.input[1:] in analysis.accepted
    for height in range(20):
        for width in range(20):
            assert ((height, width) in analysis.accepted) == (min(height, width) > 0 and runs(analysis.graph, height, width))
    again = pickle.loads(pickle.dumps(analysis.accepted))
    assert (8, 8) in again
    assert (16, 16) not in again


SOLVED = {
    "a norm of groups over vectors": "{f: flatten, n: {op: group_norm, num_groups: 4}}",
    "a concatenation of vectors that were fixed": "{f: flatten, l: {op: linear, out_features: 6}, c: twice}",
    "a flatten of channels and height": "{f: {op: flatten, end_dim: 2}, l: {op: linear, out_features: 3}}",
    "a flatten in two steps": "{f: {op: flatten, end_dim: 2}, g: flatten, l: {op: linear, out_features: 3}}",
    "a pad of vectors that were fixed": "{f: flatten, l: {op: linear, out_features: 6}, p: {op: pad, padding: [1, 2]}}",
}


@pytest.mark.parametrize("case", SOLVED)
def test_these_are_solved(case: str) -> None:
    text = f"""
spec: 1
input: 4x6x5
blocks:
  twice: {{branch: {{a: relu}}, shortcut: {{b: silu}}, join: concat}}
stages: {SOLVED[case]}
"""
    analysis = resnet_spec.analyze(text)
    assert not analysis.accepted.unsolved
    for height in range(1, 40):
        for width in range(1, 40):
            assert ((height, width) in analysis.accepted) == runs(analysis.graph, height, width), (height, width)


def test_a_pad_of_a_flattened_image_is_not_solved_wrongly() -> None:
    analysis = resnet_spec.analyze(
        "spec: 1\ninput: 2x3x4\nstages: {f: flatten, p: {op: pad, padding: [1, 0]}, l: {op: linear, out_features: 2}}\n"
    )
    assert (3, 4) in analysis.accepted
    assert (2, 6) in analysis.accepted
    assert (5, 5) not in analysis.accepted
