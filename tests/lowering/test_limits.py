"""The limits of a network: blocks, operations, nesting, and names that depend on each other."""

from __future__ import annotations

import pytest

from tests.lowering.graphs import graph_of, names, rates, refusals


def test_twenty_thousand_blocks_are_the_most() -> None:
    text = "blocks: {b: {branch: {r: relu}}}\nblock: b\nparams: {n: 20_000}\n".replace("20_000", "20000")
    assert len(graph_of(f"{text}stages: {{s: {{depth: n}}}}\n").nodes) == 20_000
    (finding,) = refusals(f"{text}stages: {{s: {{depth: n}}, t: {{}}}}\n")
    assert (finding.code, finding.message) == ("too-many-blocks", "a network has at most 20,000 blocks")


def test_blocks_inside_blocks_count() -> None:
    text = "blocks: {a: {branch: {r: relu}}, b: {branch: {x: a, y: a}}}\nblock: b\nstages: {s: {depth: NNN}}\n"
    assert len(graph_of(text.replace("NNN", "6666")).nodes) == 2 * 6666
    assert [finding.code for finding in refusals(text.replace("NNN", "6667"))] == ["too-many-blocks"]


def test_two_hundred_thousand_operations_are_the_most() -> None:
    branch = ", ".join(f"r{n}: relu" for n in range(20))
    text = f"blocks: {{b: {{branch: {{{branch}}}}}}}\nblock: b\nstages: {{s: {{depth: 10000}}}}\n"
    assert len(graph_of(text).nodes) == 200_000
    assert [finding.code for finding in refusals(f"stem: {{x: relu}}\n{text}")] == ["too-many-operations"]


def test_empty_sequences_count_as_operations() -> None:
    """Or a network of nothing but 20 million names would take all memory."""
    branch = ", ".join(f"s{n}: {{op: sequential, ops: {{}}}}" for n in range(1000))
    text = f"blocks: {{b: {{branch: {{r: relu, {branch}}}}}}}\nblock: b\nstages: {{s: {{depth: 20000}}}}\n"
    assert [finding.code for finding in refusals(text)] == ["too-many-operations"]


def test_blocks_that_double_are_refused_before_they_fill_memory() -> None:
    doubling = "".join(f"  b{n}: {{branch: {{x: b{n - 1}, y: b{n - 1}, z: b{n - 1}, w: b{n - 1}}}}}\n" for n in range(1, 15))
    text = f"blocks:\n  b0: {{branch: {{r: relu}}}}\n{doubling}block: b14\nstages: {{s: {{}}}}\n"
    assert {finding.code for finding in refusals(text)} <= {"too-many-blocks", "too-many-operations"}


def test_sixteen_blocks_nest_and_seventeen_do_not() -> None:
    def nested(depth: int) -> str:
        inner = "".join(f"  b{n}: {{branch: {{x: b{n - 1}}}}}\n" for n in range(1, depth))
        return f"blocks:\n  b0: {{branch: {{r: relu}}}}\n{inner}block: b{depth - 1}\nstages: {{s: {{}}}}\n"

    assert names(graph_of(nested(16))) == ["s.0." + "x." * 15 + "r"]
    assert [finding.code for finding in refusals(nested(17))] == ["too-deep"]


@pytest.mark.parametrize(
    "blocks", ["{a: {branch: {x: a}}}", "{a: {branch: {x: b}}, b: {branch: {x: a}}}", "{a: {branch: {x: norm}}}"]
)
def test_a_block_inside_itself_is_refused(blocks: str) -> None:
    role = "norm: a\n" if "norm" in blocks else ""
    assert [finding.code for finding in refusals(f"{role}blocks: {blocks}\nblock: a\nstages: {{s: {{}}}}\n")] == ["too-deep"]


def test_names_may_need_each_other_thirty_two_deep() -> None:
    def chain(length: int) -> str:
        return ", ".join(f"a{n}: a{n + 1}" for n in range(length - 1)) + f", a{length - 1}: 0.5"

    assert rates(f"params: {{{chain(32)}}}\nstem: {{d: {{op: dropout, p: a0}}}}\n") == {"d": 0.5}
    for text in (
        f"params: {{{chain(33)}}}\nstem: {{d: {{op: dropout, p: a0}}}}\n",
        f"params: {{{chain(5000)}}}\nstem: {{d: {{op: dropout, p: a0}}}}\n",
        f"blocks: {{b: {{let: {{{chain(5000)}}}, branch: {{d: {{op: dropout, p: a0}}}}}}}}\nblock: b\nstages: {{s: {{}}}}\n",
    ):
        assert [finding.code for finding in refusals(text)] == ["too-deep"]


def test_thousands_of_blocks_inside_each_other_are_refused() -> None:
    inner = "".join(f"  b{n}: {{branch: {{x: b{n - 1}}}}}\n" for n in range(1, 3000))
    text = f"blocks:\n  b0: {{branch: {{r: relu}}}}\n{inner}block: b2999\nstages: {{s: {{}}}}\n"
    assert [finding.code for finding in refusals(text)] == ["too-deep"]
