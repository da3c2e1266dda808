"""The values of names: what an expression sees where, facts of position, and lists."""

from __future__ import annotations

import pytest

from resnet_spec.ops.convolution import Conv2d
from tests.lowering.graphs import SHOW, graph_of, names, node, pads, rates, refusals

# --- scope --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "p"),
    [
        ("1 / 4", 0.25),
        ("q", 0.5),  # a param
        ("classes / 100", 0.1),
        ("in_channels / 16", 0.5),
        ("stage_index / 4", 0.25),
        ("block_index / 4", 0.75),
        ("block_count / 8", 0.5),
        ("0.5 if first else 0", 0.5),
        ("stride / 4", 0.5),
        ("other / 8", 0.75),  # another argument of the block, here a default that sees `hidden`
    ],
)
def test_an_argument_in_a_stage_sees_params_facts_stride_and_arguments(written: str, p: float) -> None:
    block = "{args: [p], defaults: {stride: 1, other: hidden * 2}, let: {hidden: 3}, branch: {d: {op: dropout, p: p}}}"
    text = f"classes: 10\nparams: {{q: 0.5}}\nblocks: {{b: {block}}}\nblock: b\n"
    text += f"stages: {{s: {{p: 0, depth: 3}}, t: {{p: {written}, stride: 2}}}}\n"
    assert rates(text)["t.0.d"] == p


@pytest.mark.parametrize(
    ("written", "name"), [("hidden", "hidden"), ("channels / 16", "channels"), ("nonsense", "nonsense"), ("classes", "classes")]
)
def test_an_argument_in_a_stage_does_not_see_the_blocks_own_names(written: str, name: str) -> None:
    text = "blocks: {b: {args: [p], let: {hidden: 1}, branch: {d: {op: dropout, p: p}}}}\n"
    (finding,) = refusals(f"{text}block: b\nstages: {{s: {{p: {written}}}}}\n")
    assert (finding.code, finding.message) == ("unknown-name", f"`{name}` is not defined here")


def test_a_param_of_the_arguments_name_is_passed_on() -> None:
    """In the stage `p` is the param; in the block it is the argument."""
    assert rates(f"params: {{p: 0.25}}\n{SHOW}block: show\nstages: {{s: {{p: p}}, t: {{p: p * 2}}}}\n") == {
        "s.0.d": 0.25,
        "t.0.d": 0.5,
    }


def test_an_argument_wins_over_a_param_inside_the_block() -> None:
    text = "params: {p: 0.25, q: 0.125}\nblocks: {b: {args: [p], branch: {d: {op: dropout, p: p}, e: {op: dropout, p: q}}}}\n"
    assert rates(f"{text}block: b\nstages: {{s: {{p: 0.5}}}}\n") == {"s.0.d": 0.5, "s.0.e": 0.125}


def test_without_a_param_an_argument_of_its_own_name_needs_itself() -> None:
    (finding,) = refusals(f"{SHOW}block: show\nstages: {{s: {{p: p}}}}\n")
    assert (finding.code, finding.message) == ("name-cycle", "`p: p` refers to itself: there is no param `p`")


def test_an_argument_of_a_nested_use_is_evaluated_in_the_block_around_it() -> None:
    """`width` is written in `outer`, so it is outer's, though `inner` has a default of this name."""
    text = (
        "blocks:\n"
        "  inner: {args: [p], defaults: {width: 1}, branch: {d: {op: dropout, p: p}}}\n"
        "  outer: {args: [width], let: {half: width / 2},\n"
        "    branch: {i: {op: inner, p: width / 100}, j: {op: inner, p: half / 100}}}\n"
        "block: outer\nstages: {s: {width: 50}}\n"
    )
    assert rates(text) == {"s.0.i.d": 0.5, "s.0.j.d": 0.25}


def test_a_nested_block_does_not_see_the_names_of_the_block_around_it() -> None:
    text = "blocks: {inner: {branch: {d: {op: dropout, p: q}}}, outer: {let: {q: 0.5}, branch: {i: inner}}}\n"
    (finding,) = refusals(f"{text}block: outer\nstages: {{s: {{}}}}\n")
    assert finding.message == "`q` is not defined here"


def test_defaults_and_let_are_one_lazy_scope() -> None:
    block = "{args: [a], defaults: {b: c * 2, d: 1 / 0}, let: {c: a / 8}, branch: {x: {op: dropout, p: b}}}"
    assert rates(f"blocks: {{k: {block}}}\nblock: k\nstages: {{s: {{a: 1}}, t: {{a: 2, b: 0.75}}}}\n") == {
        "s.0.x": 0.25,
        "t.0.x": 0.75,
    }


@pytest.mark.parametrize(
    ("block", "way"),
    [
        ("{let: {a: b, b: a}, branch: {x: {op: dropout, p: a}}}", "`a` -> `b` -> `a`"),
        ("{defaults: {a: a + 1}, branch: {x: {op: dropout, p: a}}}", "`a` -> `a`"),
        ("{let: {a: out_channels}, out_channels: a, branch: {x: {op: dropout, p: a}}}", "`a` -> `out_channels` -> `a`"),
    ],
)
def test_names_that_need_themselves_are_refused(block: str, way: str) -> None:
    (finding,) = refusals(f"blocks: {{k: {block}}}\nblock: k\nstages: {{s: {{}}}}\n")
    assert (finding.code, finding.message.partition(": ")[2]) == ("name-cycle", way)


def test_params_are_lazy_and_may_need_each_other() -> None:
    assert rates("params: {a: b / 2, b: 0.5, unused: 1 / 0}\nstem: {d: {op: dropout, p: a}}\n") == {"d": 0.25}


def test_channels_are_those_that_enter_the_operation() -> None:
    graph = graph_of(
        "stem:\n  a: {op: conv2d, out_channels: channels * 2, kernel_size: 1}\n"
        "  b: {op: conv2d, out_channels: channels, kernel_size: 3, groups: channels}\n"
        "  c: {op: dropout, if: channels == 16}\n  d: {op: dropout, if: channels == 8}\n"
    )
    assert names(graph) == ["a", "b", "c"]
    b = node(graph, "b").op
    assert isinstance(b, Conv2d)
    assert (b.groups, b.out_channels) == (16, 16)


def test_out_channels_is_the_blocks_and_not_the_operations() -> None:
    text = (
        "blocks: {b: {args: [width], out_channels: width * 4, branch: {\n"
        "  c: {op: conv2d, out_channels: width, kernel_size: 1},\n"
        "  d: {op: conv2d, out_channels: out_channels, kernel_size: 1}}}}\n"
        "block: b\nstages: {s: {width: 4}}\n"
    )
    assert [node.shape[0] for node in graph_of(text).nodes] == [4, 16]


def test_what_a_block_says_of_its_out_channels_is_checked() -> None:
    (finding,) = refusals("blocks: {b: {out_channels: 9, branch: {r: relu}}}\nblock: b\nstages: {s: {}}\n")
    assert (finding.code, finding.message) == (
        "out-channels",
        "s.0: the block `b` declares `out_channels` as 9, but its output has 8",
    )


@pytest.mark.parametrize(
    "name", ["in_channels", "first", "block_count", "channels", "depth", "op", "if", "from", "init", "insert_after", "classes"]
)
@pytest.mark.parametrize("place", ["params", "args", "defaults", "let"])
def test_the_words_of_the_language_cannot_be_names(name: str, place: str) -> None:
    if place == "params":
        text = f"params: {{{name}: 1}}\nstem: {{r: relu}}\n"
    else:
        body = f"args: [{name}]" if place == "args" else f"{place}: {{{name}: 1}}"
        text = f"blocks: {{b: {{{body}, branch: {{r: relu}}}}}}\nstem: {{r: relu}}\n"
    assert [finding.code for finding in refusals(text)] == ["reserved-name"]


# --- facts and lists ----------------------------------------------------------------------------------------------------


def test_facts_of_position_count_over_the_whole_network() -> None:
    """With operations between stages, which are no stages."""
    fact = "{args: [p], branch: {d: {op: pad, padding: [p, 0]}, c: {op: adaptive_avg_pool2d, output_size: 16}}}"
    stages = "s: {depth: 2, p: PPP}, pool: {op: relu}, t: {depth: 3, p: PPP}"
    text = f"blocks: {{b: {fact}}}\nblock: b\nstages: {{{stages}}}\n"
    assert pads(text.replace("PPP", "stage_index")) == [0, 0, 1, 1, 1]
    assert pads(text.replace("PPP", "block_index")) == [0, 1, 2, 3, 4]
    assert pads(text.replace("PPP", "block_count")) == [5] * 5
    assert pads(text.replace("PPP", "1 if first else 0")) == [1, 0, 1, 0, 0]


def test_a_nested_block_has_the_facts_of_the_block_around_it() -> None:
    text = (
        (
            "blocks: {in: {branch: {d: {op: dropout, p: block_index / block_count}}}, out: {branch: {i: in}}}\n"
            "block: out\nstages: {s: {depth: 4}}\n"
        )
        .replace("in:", "inside:")
        .replace("i: in}", "i: inside}")
    )
    assert list(rates(text).values()) == [0, 0.25, 0.5, 0.75]


def test_a_block_outside_of_a_stage_has_no_position() -> None:
    (finding,) = refusals("blocks: {b: {branch: {d: {op: dropout, p: block_index}}}}\nstem: {x: b}\n")
    assert finding.message == "`block_index` is only defined in the blocks of a stage"


def test_equal_arguments_written_differently_are_distinguished_by_the_facts_they_need() -> None:
    """The first block of `t` equals that of `s`, and the next ones do not: they must not become its copies."""
    block = "{args: [p], branch: {d: {op: pad, padding: [p, 0]}, c: {op: adaptive_avg_pool2d, output_size: 16}}}"
    assert pads(f"blocks: {{b: {block}}}\nblock: b\nstages: {{s: {{p: 1}}, t: {{p: block_index, depth: 3}}}}\n") == [1, 1, 2, 3]


def test_lists_give_one_value_for_each_block() -> None:
    text = f"{SHOW}block: show\nparams: {{q: 0.5}}\nstages: {{s: {{depth: 3, p: [0, q, q / 2]}}}}\n"
    assert list(rates(text).values()) == [0, 0.5, 0.25]


def test_a_single_stride_reaches_the_first_block_and_a_list_each() -> None:
    stages = "blocks: {b: {defaults: {stride: 1}, branch: {p: {op: max_pool2d, kernel_size: 1, stride: stride}}}}\nblock: b\n"
    assert [node.shape[1] for node in graph_of(stages + "stages: {s: {depth: 3, stride: 2}}\n").nodes] == [8, 8, 8]
    assert [node.shape[1] for node in graph_of(stages + "stages: {s: {depth: 3, stride: [1, 2, 4]}}\n").nodes] == [16, 8, 2]


@pytest.mark.parametrize("stage", ["depth: 3, p: [0, 1]", "depth: 1, p: [0, 1]", "p: []", "depth: 2, p: [0, 0, 0]"])
def test_a_list_of_another_length_than_the_depth_is_refused(stage: str) -> None:
    (finding,) = refusals(f"{SHOW}block: show\nstages: {{s: {{{stage}}}}}\n")
    assert finding.code == "wrong-length"
