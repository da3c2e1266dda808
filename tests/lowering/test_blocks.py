"""Operations and blocks in the graph: `if` and `from`, names, sequences, roles, nesting, blocks in YAML."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.language.library import library_block, library_block_names
from resnet_spec.ops.convolution import Conv2d
from resnet_spec.ops.joining import Concat
from tests.lowering.graphs import graph_of, inputs, names, node, rates, refusals

# --- if and from --------------------------------------------------------------------------------------------------------


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
        ("stem: {a: {op: relu, from: b}, b: relu}", "unknown-name"),
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


# --- names, sequences, roles, operations between stages -----------------------------------------------------------------


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


# --- blocks are data ----------------------------------------------------------------------------------------------------


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
