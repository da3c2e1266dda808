"""Accepted sizes against brute force: every size up to 512 pixels, with torch-free shape rules that are tested on their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import resnet_spec
from resnet_spec.analysis.axis import IDENTITY, Piece, Steps, contains, describe, simplify
from resnet_spec.analysis.sizes import accepted_sizes
from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import OPERATIONS, Problem, Shape
from tests.networks import different_networks

ZOO = sorted((Path(__file__).parent.parent / "networks" / "zoo").glob("*.yaml"))
MOST = 512


def runs(graph: Graph, height: int, width: int) -> bool:
    """Whether every operation accepts what enters it at this size."""
    shapes: list[Shape] = []
    for node in graph.nodes:
        entering = [(graph.input[0], height, width) if value == INPUT else shapes[value] for value in node.inputs]
        shape = node.op.shape(*entering)
        if isinstance(shape, Problem):
            return False
        shapes.append(shape)
    return True


@pytest.mark.parametrize(
    "name", [*(name for name in different_networks() if "1202" not in name and "110" not in name), *map(str, ZOO)]
)
def test_squares_are_those_that_brute_force_finds(name: str) -> None:
    graph = resnet_spec.analyze(name).graph
    accepted = accepted_sizes(graph)
    assert [n for n in range(1, MOST + 1) if contains(accepted.squares, n)] == [
        n for n in range(1, MOST + 1) if runs(graph, n, n)
    ]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("pokemon_resnet18", 219, 326),
        ("variants/resnet34_avgpool7", 193, 416),
        ("variants/resnet34_wide_stages", 193, 416),
        ("variants/resnet18_96px", 71, 166),
        ("resnet152", 1, None),
        ("cifar_resnet1202", 1, None),
    ],
)
def test_measured_squares(name: str, least: int, most: int | None) -> None:
    assert resnet_spec.analyze(name).accepted.squares == (Piece(least, most),)


def spec(stages: str, size: str = "3x32x32") -> str:
    return f"""
spec: 1
input: {size}
blocks:
  even:
    branch: {{a: {{op: conv2d, out_channels: 3, kernel_size: 3, stride: 2, padding: 1}}}}
    shortcut: {{b: {{op: avg_pool2d, kernel_size: 2}}}}
    join: add
  gated:
    branch: {{a: {{op: max_pool2d, kernel_size: 5, stride: 5}}}}
    shortcut: {{b: {{op: conv2d, out_channels: 3, kernel_size: 3, stride: 3, padding: 1}}}}
    join: multiply
stages: {stages}
"""


RECTANGLES = {
    "even sizes only": ("{x: even}", "3x32x32"),
    "even twice": ("{x: even, y: even}", "3x32x32"),
    "a gate that is one pixel for some sizes only": ("{x: gated}", "3x5x5"),
    "a gate after a stride": ("{x: even, y: gated}", "3x10x10"),
    "a product of axes": ("{x: even, f: flatten, l: {op: linear, out_features: 2}}", "3x24x32"),
    "a flatten of height and width": (
        "{x: even, p: {op: pad, mode: reflect, padding: [3, 2, 1, 5]},"
        " f: {op: flatten, start_dim: 2}, l: {op: linear, out_features: 3}}",
        "3x32x32",
    ),
    "a linear over the width": ("{l: {op: linear, out_features: 2}, p: {op: max_pool2d, kernel_size: [3, 1]}}", "3x9x7"),
    "ceil_mode and reflection": (
        "{p: {op: max_pool2d, kernel_size: 3, stride: 2, ceil_mode: true, padding: 1},"
        " c: {op: conv2d, out_channels: 2, kernel_size: 7, padding: 3, padding_mode: reflect}}",
        "3x32x32",
    ),
    "a norm of one channel a group": (
        "{p: {op: max_pool2d, kernel_size: 3}, n: {op: group_norm, num_groups: 3}, q: {op: max_pool2d, kernel_size: [2, 1]}}",
        "3x9x9",
    ),
    "a kernel that never fits": (
        "{p: {op: adaptive_avg_pool2d, output_size: 4}, c: {op: avg_pool2d, kernel_size: [4, 2]}}",
        "3x9x9",
    ),
}


@pytest.mark.parametrize("case", RECTANGLES)
def test_rectangles_are_those_that_brute_force_finds(case: str) -> None:
    graph = resnet_spec.analyze(spec(*RECTANGLES[case])).graph
    accepted = accepted_sizes(graph)
    assert not accepted.unsolved
    for height in range(1, 66):
        for width in range(1, 66):
            assert ((height, width) in accepted) == runs(graph, height, width), (height, width)


def test_even_sizes_are_told_as_such() -> None:
    assert "2 or more, multiples of 2" in resnet_spec.analyze(spec("{x: even}")).accepted.describe()


def test_training_alone_needs_more_than_one_value_for_each_norm() -> None:
    accepted = resnet_spec.analyze("resnet18").accepted
    assert accepted.squares == (Piece(1, None),)
    assert accepted.squares_alone == (Piece(33, None),)  # the last stage of 32x32 pixels has one pixel


windows = st.builds(
    lambda kernel, stride, dilation, share, ceil: {
        "kernel_size": (kernel, kernel),
        "stride": (stride, stride),
        "dilation": (dilation, dilation),
        "padding": (share % ((dilation * (kernel - 1) + 1) // 2 + 1),) * 2,
        "ceil_mode": ceil,
    },
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 10),
    st.booleans(),
)


@given(st.lists(windows, min_size=1, max_size=4), st.integers(0, 9))
def test_steps_are_the_sizes_that_pools_give(pools: list[dict[str, object]], level: int) -> None:
    steps, needed = IDENTITY, 1
    made = []
    for fields in pools:
        pool = OPERATIONS["max_pool2d"](**fields)
        along = pool.along(0)
        if along is not None:
            needed = max(needed, steps.reaches(along.least) or 0)
            steps = steps.then(along)
        made.append(pool)
    wanted = steps.level(level)
    for n in range(1, 200):
        shape: Shape | Problem = (1, n, n)
        for pool in made:
            shape = shape if isinstance(shape, Problem) else pool.shape(shape)
        assert isinstance(shape, Problem) == (n < needed)
        if not isinstance(shape, Problem):
            assert shape[1] == steps.at(n)
            assert contains(wanted, n) == (shape[1] == level)


functions = st.builds(
    lambda values, gain: Steps(tuple(sorted(value % (gain + 1) for value in values)), gain),
    st.lists(st.integers(0, 20), min_size=1, max_size=6),
    st.integers(0, 4),
)


@given(functions, functions)
def test_functions_agree_where_they_are_equal(first: Steps, second: Steps) -> None:
    agree = first.equals(second)
    for n in range(1, 150):
        assert contains(agree, n) == (first.at(n) == second.at(n))


pieces = st.builds(
    lambda least, length, period, residues: Piece(
        least, None if length is None else least + length, period, frozenset(r % period for r in residues)
    ),
    st.integers(1, 30),
    st.none() | st.integers(0, 30),
    st.integers(1, 6),
    st.lists(st.integers(0, 5), max_size=4),
)


@given(st.lists(pieces, max_size=4))
def test_simplifying_keeps_every_size(sizes: list[Piece]) -> None:
    simple = simplify(sizes)
    for n in range(1, 130):
        assert contains(simple, n) == contains(tuple(sizes), n)
    assert describe(simple)
