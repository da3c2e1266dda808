"""Spec to graph: what names mean and where, lists, facts, `from`, `if`, nesting, roles, blocks, and the limits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.compiler import analyze, find
from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.graph.model import INPUT, Graph, Node
from resnet_spec.language.library import library_block, library_block_names
from resnet_spec.ops.convolution import Conv2d
from resnet_spec.ops.elementwise import Dropout
from resnet_spec.ops.joining import Concat
from resnet_spec.ops.reshaping import Pad

HEAD = "spec: 1\ninput: 8x16x16\n"


def graph_of(text: str, *sets: str) -> Graph:
    return analyze(find(HEAD + text), sets).graph


def refusals(text: str, *sets: str) -> list[Diagnostic]:
    with pytest.raises(SpecError) as caught:
        graph_of(text, *sets)
    return list(caught.value.diagnostics)


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def node(graph: Graph, name: str) -> Node:
    return next(node for node in graph.nodes if node.name == name)


def inputs(graph: Graph, name: str) -> list[str]:
    """The names of what a node reads."""
    return ["input" if value == INPUT else graph.nodes[value].name for value in node(graph, name).inputs]


def rates(text: str, *sets: str) -> dict[str, float]:
    """Each dropout and its `p`: a dropout takes any number from 0 to 1, so it shows the value of an expression."""
    return {node.name: node.op.p for node in graph_of(text, *sets).nodes if isinstance(node.op, Dropout)}


def pads(text: str, *sets: str) -> list[int]:
    """What is added on the left by each `pad`: an integer for each block."""
    return [node.op.padding[0] for node in graph_of(text, *sets).nodes if isinstance(node.op, Pad)]


# --- scope ----------------------------------------------------------------------------------------------------------------

# A block whose one operation shows the value of its argument `p`.
SHOW = "blocks: {show: {args: [p], branch: {d: {op: dropout, p: p}}}}\n"


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
        "s.0: the block `b` declares `out_channels` as 9, and its output has 8",
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


# --- facts and lists ------------------------------------------------------------------------------------------------------


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


# --- if and from ----------------------------------------------------------------------------------------------------------


def test_an_absent_operation_hands_its_input_on() -> None:
    graph = graph_of("stem: {a: relu, b: {op: sigmoid, if: false}, c: tanh}\n")
    assert names(graph) == ["a", "c"]
    assert inputs(graph, "c") == ["a"]


@pytest.mark.parametrize(
    ("condition", "there"), [("stride != 1", False), ("first", True), ("in_channels == 8 and first", True)]
)
def test_if_in_a_block(condition: str, there: bool) -> None:
    text = f"blocks: {{b: {{defaults: {{stride: 1}}, branch: {{a: relu, x: {{op: tanh, if: {condition}}}}}}}}}\n"
    assert ("s.0.x" in names(graph_of(f"{text}block: b\nstages: {{s: {{}}}}\n"))) is there


def test_join_can_be_absent_and_then_there_is_no_shortcut() -> None:
    """As MobileNetV2 needs: the sum only where nothing changes."""
    block = (
        "{args: [width], branch: {c: {op: conv2d, out_channels: width, kernel_size: 1}},\n"
        "  shortcut: {s: tanh}, join: {op: add, if: in_channels == width}, after: {r: relu}}"
    )
    graph = graph_of(f"blocks: {{b: {block}}}\nblock: b\nstages: {{s: {{width: 8}}, t: {{width: 4}}}}\n")
    assert names(graph) == ["s.0.c", "s.0.s", "s.0.join", "s.0.r", "t.0.c", "t.0.r"]
    assert inputs(graph, "t.0.r") == ["t.0.c"]


def test_the_condition_of_a_join_sees_the_channels_that_enter_it() -> None:
    block = (
        "{args: [width], branch: {c: {op: conv2d, out_channels: width, kernel_size: 1}}, join: {op: add, if: channels == 8}}"
    )
    graph = graph_of(f"blocks: {{b: {block}}}\nblock: b\nstages: {{s: {{width: 8}}, t: {{width: 4}}}}\n")
    assert names(graph) == ["s.0.c", "s.0.join", "t.0.c"]


def test_from_an_absent_shortcut_is_refused() -> None:
    block = "{branch: {c: relu}, shortcut: {s: tanh}, join: {op: add, if: false}, after: {r: {op: relu, from: s}}}"
    (finding,) = refusals(f"blocks: {{b: {block}}}\nblock: b\nstages: {{s: {{}}}}\n")
    assert finding.code == "unknown-name"


def test_shortcut_comes_first_in_a_join() -> None:
    graph = graph_of("blocks: {b: {branch: {c: relu}, shortcut: {s: tanh}, join: concat}}\nblock: b\nstages: {s: {}}\n")
    assert inputs(graph, "s.0.join") == ["s.0.s", "s.0.c"]
    assert node(graph, "s.0.join").shape == (16, 16, 16)


def test_branch_and_shortcut_start_from_the_input_of_the_block() -> None:
    graph = graph_of("stem: {x: relu}\nblocks: {b: {branch: {c: relu}, join: add}}\nblock: b\nstages: {s: {depth: 2}}\n")
    assert inputs(graph, "s.0.join") == ["x", "s.0.c"]
    assert inputs(graph, "s.1.join") == ["s.0.join", "s.1.c"]


def test_from_names_any_earlier_value_of_the_block() -> None:
    block = (
        "{branch: {a: relu, b: {op: tanh, from: input}, c: {op: concat, from: [input, a, b]}, 0: {op: relu, from: a}},\n"
        "  shortcut: {s: {op: sigmoid, from: a}}, join: add, after: {d: {op: relu, from: join}, e: {op: relu, from: 0}}}"
    )
    graph = graph_of(f"stem: {{x: relu}}\nblocks: {{b: {block}}}\nblock: b\nstages: {{s: {{}}}}\n")
    assert {name: inputs(graph, f"s.0.{name}") for name in ["b", "c", "0", "s", "join", "d", "e"]} == {
        "b": ["x"],
        "c": ["x", "s.0.a", "s.0.b"],
        "0": ["s.0.a"],
        "s": ["s.0.a"],
        "join": ["s.0.s", "s.0.0"],
        "d": ["s.0.join"],
        "e": ["s.0.0"],
    }
    assert isinstance(node(graph, "s.0.c").op, Concat)


def test_what_an_absent_operation_hands_on_has_its_name() -> None:
    block = "{branch: {a: relu, b: {op: tanh, if: false}, c: sigmoid, d: {op: relu, from: b}}}"
    assert inputs(graph_of(f"blocks: {{b: {block}}}\nblock: b\nstages: {{s: {{}}}}\n"), "s.0.d") == ["s.0.a"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("stem: {a: relu, b: {op: relu, from: a}}", "from-not-allowed"),
        ("stem: {a: {op: sequential, ops: {0: relu, 1: {op: relu, from: 0}}}}", "from-not-allowed"),
        ("stem: {join: add}", "missing-field"),
        ("blocks: {b: {branch: {a: {op: add, from: [input]}}}}\nblock: b\nstages: {s: {}}", "missing-field"),
        ("blocks: {b: {branch: {a: {op: relu, from: b}, b: relu}}}\nblock: b\nstages: {s: {}}", "unknown-name"),
        ("blocks: {b: {branch: {a: {op: relu, from: [input, input]}}}}\nblock: b\nstages: {s: {}}", "wrong-length"),
        ("blocks: {b: {branch: {a: relu}, join: {op: add, from: a}}}\nblock: b\nstages: {s: {}}", "from-not-allowed"),
        ("blocks: {b: {branch: {a: relu}, shortcut: {s: relu}}}\nblock: b\nstages: {s: {}}", "missing-field"),
        ("blocks: {b: {branch: {a: relu}, join: relu}}\nblock: b\nstages: {s: {}}", "unknown-operation"),
        ("blocks: {b: {branch: {a: relu}, after: {a: relu}}}\nblock: b\nstages: {s: {}}", "duplicate-name"),
        ("stem: {a: relu}\nhead: {a: relu}", "duplicate-name"),
    ],
)
def test_values_that_cannot_be_had(text: str, code: str) -> None:
    assert [finding.code for finding in refusals(text + "\n")] == [code]


# --- names, sequences, roles, operations between stages -------------------------------------------------------------------


def test_nested_names_get_the_prefix_of_what_is_around_them() -> None:
    graph = graph_of(
        "stem: {conv1: {op: sequential, ops: {0: {op: conv2d, out_channels: 16, kernel_size: 1}, 1: norm, x: relu}}}\n"
        "block: basic\nstages: {layer1: {width: 32, depth: 2}}\n"
    )
    assert names(graph)[:3] == ["conv1.0", "conv1.1", "conv1.x"]
    assert [name for name in names(graph) if name.startswith("layer1.0.")] == [
        *(f"layer1.0.{name}" for name in ("conv1", "bn1", "relu1", "conv2", "bn2")),
        *("layer1.0.downsample.0", "layer1.0.downsample.1", "layer1.0.join", "layer1.0.relu"),
    ]
    assert not any("downsample" in name for name in names(graph) if name.startswith("layer1.1."))


def test_regions_nest_around_their_nodes() -> None:
    graph = graph_of("block: basic\nstages: {layer1: {width: 16}}\n")
    position = names(graph).index("layer1.0.downsample.0")
    around = [(region.kind, region.name, region.label) for region in graph.around(position)]
    assert around == [
        ("stage", "layer1", "basic"),
        ("block", "layer1.0", "basic"),
        ("block", "layer1.0.downsample", "projection"),
    ]


def test_roles_give_defaults_and_a_use_has_the_last_word() -> None:
    graph = graph_of(
        "norm: {op: batch_norm, eps: 1e-3, momentum: 0.2}\nact: {op: leaky_relu, negative_slope: 1 / 4}\n"
        "stem: {a: norm, b: {op: norm, eps: 0.5}, c: act, d: {op: act, negative_slope: 1}}\n"
    )
    a, b, c, d = (node.op for node in graph.nodes)
    assert [(getattr(op, "eps", None), getattr(op, "momentum", None)) for op in (a, b)] == [(1e-3, 0.2), (0.5, 0.2)]
    assert [getattr(op, "negative_slope", None) for op in (c, d)] == [0.25, 1.0]


def test_one_line_turns_a_network_into_group_norm_and_silu() -> None:
    graph = graph_of("norm: {op: group_norm, num_groups: 4}\nact: silu\nblock: basic\nstages: {s: {width: 16}}\n")
    kinds = {node.op.name for node in graph.nodes}
    assert kinds == {"conv2d", "group_norm", "silu", "add"}


def test_a_role_may_mean_a_block_or_a_sequence() -> None:
    blocks = "blocks: {mine: {args: [p], branch: {d: {op: dropout, p: p}}}}\n"
    assert rates(f"{blocks}act: {{op: mine, p: 0.5}}\nstem: {{a: act, b: {{op: act, p: 0.25}}}}\n") == {"a.d": 0.5, "b.d": 0.25}
    graph = graph_of("norm: {op: sequential, ops: {0: batch_norm, 1: act}}\nstem: {n: norm}\n")
    assert names(graph) == ["n.0", "n.1"]


def test_what_a_role_says_is_evaluated_where_it_is_written() -> None:
    """The spec's `width` is meant, not that of the block which uses the role."""
    block = "blocks: {b: {args: [width], branch: {a: act}}}\nblock: b\nparams: {width: 0.5}\nstages: {s: {width: 0.25}}\n"
    assert rates(f"{block}act: {{op: dropout, p: width}}\n") == {"s.0.a": 0.5}
    assert rates(f"{block}act: {{op: sequential, ops: {{0: {{op: dropout, p: width}}}}}}\n") == {"s.0.a.0": 0.5}


@pytest.mark.parametrize(
    ("roles", "code"),
    [
        ("norm: act", "role-cycle"),
        ("norm: {op: sequential, ops: {0: norm}}", "role-cycle"),
        ("norm: {op: sequential, ops: {0: {op: sequential, ops: {0: norm}}}}", "role-cycle"),
        ("norm: {op: batch_norm, if: true}", "unknown-field"),
        ("norm: {op: batch_norm, insert_after: a}", "unknown-field"),
        ("norm: null", "unknown-name"),
        ("norm: nonsense", "unknown-operation"),
        ("act: {op: relu, p: 1}", "unknown-field"),
        ("act: add", "missing-field"),
    ],
)
def test_roles_that_mean_nothing(roles: str, code: str) -> None:
    assert {finding.code for finding in refusals(f"{roles}\nstem: {{a: norm, b: act}}\n")} == {code}


def test_two_roles_may_not_need_each_other() -> None:
    roles = "norm: {op: sequential, ops: {0: act}}\nact: {op: sequential, ops: {0: norm}}\n"
    assert [finding.code for finding in refusals(f"{roles}stem: {{a: norm}}\n")] == ["role-cycle", "role-cycle"]


def test_operations_stand_between_stages() -> None:
    graph = graph_of(
        "block: basic\nstages: {s: {width: 8}, pool: {op: max_pool2d, kernel_size: 2}, act1: relu, t: {width: 8}}\n"
    )
    order = list(dict.fromkeys(name.partition(".")[0] for name in names(graph)))
    assert order == ["s", "pool", "act1", "t"]
    assert inputs(graph, "t.0.conv1") == ["act1"]


def test_the_block_of_all_stages_is_patched_or_replaced_by_a_stage() -> None:
    stages = "{a: {width: 8}, b: {width: 8, block: {groups: 4}}, c: {width: 8, block: basic}, d: {width: 8, groups: 1}}"
    graph = graph_of(f"block: {{op: bottleneck, groups: 2, expansion: 1}}\nstages: {stages}\n")
    groups = {name: node.op.groups for node in graph.nodes if isinstance(node.op, Conv2d) for name in [node.name]}
    assert [groups[f"{stage}.0.conv2"] for stage in "abcd"] == [2, 4, 1, 1]
    assert "c.0.conv3" not in groups
    assert groups["d.0.conv3"] == 1


@pytest.mark.parametrize(
    ("block", "key"),
    [("{op: plain, depth: 2}", "depth"), ("{op: plain, stride: 2}", "stride"), ("{op: plain, if: false}", "if")],
)
def test_the_words_of_a_stage_are_no_arguments_of_its_block(block: str, key: str) -> None:
    (finding,) = refusals(f"block: {block}\nstages: {{s: {{width: 8}}, t: {{width: 8}}}}\n")
    assert finding.code == "unknown-field"
    assert finding.message.startswith(f"`{key}` belongs to")


# --- blocks are data ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["basic", "bottleneck", "plain", "basic_option_a"])
def test_a_copy_of_a_library_block_under_another_name_is_the_same_network(name: str) -> None:
    body = library_block(name)
    assert body is not None
    text = "\n".join(f"    {line}" for line in body.span.source.text.splitlines())
    network = "block: NAME\nstages: {layer1: {width: 8, depth: 2}, layer2: {width: 16, depth: 2, stride: 2}}\n"
    original = graph_of(network.replace("NAME", name))
    copied = graph_of(f"blocks:\n  mine:\n{text}\n" + network.replace("NAME", "mine"))
    assert copied == original
    assert names(copied) == names(original)


def test_a_patch_of_a_library_block_is_used_inside_library_blocks() -> None:
    patch = "blocks: {projection: {extends: projection, branch: {0: {bias: true}}}}\n"
    graph = graph_of(f"{patch}block: basic\nstages: {{s: {{width: 16}}}}\n")
    downsample = node(graph, "s.0.downsample.0").op
    assert isinstance(downsample, Conv2d)
    assert downsample.bias


def test_a_new_block_of_a_library_name_is_not_used_inside_library_blocks() -> None:
    new = "blocks: {projection: {args: [width], defaults: {stride: 1}, branch: {mine: relu}}}\n"
    graph = graph_of(f"{new}block: basic\nstem: {{x: {{op: projection, width: 1}}}}\nstages: {{s: {{width: 16}}}}\n")
    assert "x.mine" in names(graph)
    assert "s.0.downsample.0" in names(graph)


def test_no_block_of_the_library_is_known_to_the_code() -> None:
    """The compiler knows operations; a block's name as a string, a name or an attribute would be knowledge of blocks.

    Looked at are names and whole strings: help texts and docstrings may give examples. The trainer sees no blocks at all, and
    may call a variable `plain`.
    """
    blocks = set(library_block_names())
    found: list[str] = []
    package = Path(resnet_spec.__file__).parent
    compiler = [package / "api.py", package / "compiler.py"]
    compiler += [
        path
        for part in ("language", "lowering", "ops", "graph", "analysis", "lint", "outputs")
        for path in (package / part).rglob("*.py")
    ]
    for path in compiler:
        for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match item:
                case ast.Constant(value=str(word)) | ast.Name(id=word) | ast.Attribute(attr=word):
                    pass
                case ast.FunctionDef(name=word) | ast.ClassDef(name=word) | ast.arg(arg=word) | ast.keyword(arg=str(word)):
                    pass
                case _:
                    continue
            if word in blocks:
                found.append(f"{path.name}: {word}")
    assert found == []


# --- limits ---------------------------------------------------------------------------------------------------------------


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


# --- findings -------------------------------------------------------------------------------------------------------------


def test_a_failed_value_does_not_cascade() -> None:
    text = "stem: {a: {op: conv2d, out_channels: 0 + 0, kernel_size: 3}, b: norm, c: {op: linear, out_features: 2}}\n"
    assert [finding.code for finding in refusals(text)] == ["out-of-range"]


def test_a_mistake_in_a_repeated_block_is_reported_once() -> None:
    text = "blocks: {b: {branch: {c: {op: conv2d, out_channels: 8, kernel_size: 99}}}}\nblock: b\nstages: {s: {depth: 9}}\n"
    assert [finding.code for finding in refusals(text)] == ["kernel-too-large"]


def test_independent_mistakes_are_reported_together() -> None:
    text = "stem: {a: rleu, b: {op: dropout, p: q}}\nblock: basik\nstages: {s: {width: 8, depth: m}}\n"
    text += "head: {c: {op: norm, epz: 1}}\n"
    assert sorted(finding.message for finding in refusals(text)) == [
        "`m` is not defined here",
        "`norm` means `batch_norm` here, which has no field `epz`",
        "`q` is not defined here",
        "there is no block `basik`",
        "there is no operation or block `rleu`",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "block: basic\nstages: {s: {width: 0 - 1}}\n",
        "block: {op: basic, project: stride != 1}\nstages: {s: {width: 16}}\n",
        "block: {op: bottleneck, base_width: 3}\nstages: {s: {width: 8}}\n",
        "block: basic\nstages: {s: {width: in_channels / 2}}\n",
        "block: basic\nnorm: {op: group_norm, num_groups: 3}\nstages: {s: {width: 8}}\n",
        "blocks: {b: {branch: {x: {op: squeeze_excite, reduction: 0}}}}\nblock: b\nstages: {s: {}}\n",
        "block: basic\nblocks: {basic: {extends: basic, branch: {conv2: {padding: 0}}}}\nstages: {s: {width: 8}}\n",
    ],
)
def test_what_goes_wrong_inside_a_library_block_is_reported_in_the_users_file(text: str) -> None:
    for finding in refusals(text):
        assert finding.span is not None
        assert finding.span.source.origin == "spec", finding


def test_a_condition_on_channels_explains_an_absent_projection() -> None:
    """`channels` is known only where the operation stands; the explanation must not stumble over it."""
    block = (
        "{branch: {c: {op: conv2d, out_channels: 4, kernel_size: 1}},\n"
        "  shortcut: {d: {op: conv2d, if: channels == 4, out_channels: 4, kernel_size: 1}}, join: add}"
    )
    (finding,) = refusals(f"blocks: {{b: {block}}}\nblock: b\nstages: {{s: {{}}}}\n")
    assert [label.text for label in finding.related] == ["false here, so `d` is absent", "joined here", "4 channels from here"]


@pytest.mark.parametrize("join", ["add", "multiply", "concat"])
@pytest.mark.parametrize(
    ("sections", "flat"),
    [
        ("branch: {f: flatten}", "branch"),
        ("branch: {p: {op: adaptive_avg_pool2d, output_size: 1}, f: flatten}", "branch"),
        ("branch: {r: relu}, shortcut: {f: flatten}", "shortcut"),
    ],
)
def test_a_vector_does_not_join_an_image(join: str, sections: str, flat: str) -> None:
    (finding,) = refusals(f"blocks: {{b: {{{sections}, join: {join}}}}}\nblock: b\nstages: {{s: {{}}}}\n")
    assert finding.code == "shape-mismatch"
    assert finding.help.startswith(f"remove the flatten from the {flat}")


@pytest.mark.parametrize(("fields", "padding"), [("kernel_size: [1, 3]", "[0, 1]"), ("kernel_size: 3, dilation: 2", "2")])
def test_the_padding_that_is_suggested_makes_a_join_fit(fields: str, padding: str) -> None:
    block = f"{{branch: {{c: {{op: conv2d, out_channels: 8, {fields}PPP}}}}, join: add}}"
    text = f"blocks: {{b: {block}}}\nblock: b\nstages: {{s: {{}}}}\n"
    (finding,) = refusals(text.replace("PPP", ""))
    assert finding.help.startswith(f"write `padding: {padding}`")
    assert graph_of(text.replace("PPP", f", padding: {padding}")).nodes[-1].shape == (8, 16, 16)
