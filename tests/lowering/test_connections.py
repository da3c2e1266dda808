"""Values across stages: `from` in stem, stages and head, `else`, roles by place, pairs as arguments, several outputs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

import resnet_spec
from resnet_spec.compiler import Feature
from resnet_spec.diagnostics import SpecError
from resnet_spec.graph.model import INPUT

HEAD = "spec: 1\ninput: 3x16x16\n"


def analyzed(text: str, **arguments: Any) -> resnet_spec.Analysis:
    return resnet_spec.analyze(HEAD + text + "\n", **arguments)


def reads(text: str, name: str) -> list[str]:
    """The names of the values that an operation reads."""
    graph = analyzed(text).graph
    (node,) = [node for node in graph.nodes if node.name == name]
    return ["input" if value == INPUT else graph.nodes[value].name for value in node.inputs]


def findings(text: str) -> list[tuple[str, int]]:
    with pytest.raises(SpecError) as caught:
        analyzed(text)
    return [(each.code, each.span.line if each.span else 0) for each in caught.value.diagnostics]


def test_an_entry_reads_an_earlier_one_of_any_section() -> None:
    text = "stem: {a: relu}\nstages: {b: tanh, c: {op: sigmoid, from: a}}\nhead: {d: {op: add, from: [b, c, input]}}"
    assert reads(text, "c") == ["a"]
    assert reads(text, "d") == ["b", "c", "input"]


def test_a_stage_reads_an_earlier_one_and_stands_for_its_last_value() -> None:
    text = "block: basic\nstages: {a: {width: 4, depth: 2}, b: {width: 4}, c: {width: 8, from: a, project: true}}"
    assert reads(text, "c.0.conv1") == ["a.1.relu"]
    assert reads(text, "c.0.downsample.0") == ["a.1.relu"]


def test_a_name_in_a_group_is_looked_up_from_the_inside_outward() -> None:
    text = """
stem: {x: relu, g: {stages: {x: tanh, y: {op: sigmoid, from: x}}}}
stages: {h: {stages: {y: {op: relu6, from: x}, z: {op: add, from: [g.x, g]}}}}
"""
    assert reads(text, "g.y") == ["g.x"]
    assert reads(text, "h.y") == ["x"]
    assert reads(text, "h.z") == ["g.x", "g.y"]


def test_an_absent_operation_passes_on_what_its_else_names() -> None:
    block = "blocks: {b: {branch: {p: relu, q: tanh, r: {op: sigmoid, if: 1 > 2, else: p}, s: relu6}}}\n"
    assert reads(f"{block}stages: {{x: b}}", "x.s") == ["x.p"]
    assert reads("stem: {a: relu, b: {op: tanh, if: 1 > 2, else: input}, c: sigmoid}", "c") == ["input"]
    assert reads("stem: {a: relu, b: {op: tanh, if: 1 > 2}, c: sigmoid}", "c") == ["a"]


def test_the_else_of_a_join_replaces_the_branch() -> None:
    block = "blocks: {b: {branch: {p: relu, q: tanh}, join: {op: add, if: 1 > 2, else: p}, after: {z: sigmoid}}}\n"
    assert reads(f"{block}stages: {{x: b}}", "x.z") == ["x.p"]


def test_an_absent_value_without_else_cannot_be_read_at_the_top() -> None:
    assert findings("stem: {a: relu, b: {op: tanh, if: 1 > 2}}\nhead: {c: {op: add, from: [a, b]}}") == [("absent-value", 4)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("stem: {a: {op: relu, from: b}, b: relu}", "unknown-name"),  # a cycle needs a later name
        ("stem: {a: {op: relu, from: a}}", "unknown-name"),
        ("block: basic\nstages: {s: {width: 4}}\nhead: {a: {op: relu, from: s.0.conv1}}", "unknown-name"),
        ("block: basic\nstages: {s: {width: 4}}\nhead: {a: {op: relu, from: s.0}}", "unknown-name"),
        ("stem: {a: relu}\nhead: {j: {op: add, from: a}}", "missing-field"),
        ("stem: {a: relu}\nhead: {j: {op: relu, from: [a, input]}}", "wrong-length"),
        ("block: basic\nstages: {s: {width: 4, from: [input]}}", "wrong-type"),
        ("stem: {a: relu}\noutputs: b", "unknown-name"),
        ("stem: {a: relu}\noutputs: {}", "no-output"),
        ("stem: {a: relu}\noutputs: {x: {from: a, training_only: true}}", "no-output"),
        ("stem: {a: relu, b: tanh}\noutputs: {x: a, y: {from: a}}", "same-output"),
        ("stem: {a: {op: slice, stop: 4}}", "out-of-range"),
        ("stem: {a: {op: slice, start: 2, stop: 2}}", "out-of-range"),
        ("stem: {a: {op: channel_shuffle, groups: 2}}", "groups-do-not-divide"),
        ("stem: {f: flatten, a: {op: upsample, like: f, from: input}}", "wrong-rank"),
        ("stem: {a: {op: upsample, like: b}}", "unknown-name"),
        ("block: basic\nstages: {s: {width: 4, depth: 2, names: '{index'}}", "invalid-name"),
        ("block: basic\nstages: {s: {width: 4, depth: 2, names: '{nonsense}'}}", "unknown-name"),
        ("block: basic\nstages: {s: {width: 4, norm: {op: sequential, ops: {0: norm}}}}", "role-cycle"),
        ("roles: {conv2d: relu}\nstem: {a: relu}", "reserved-name"),
        ("roles: {a: relu}\nblocks: {a: {branch: {x: relu}}}\nstem: {a: relu}", "reserved-name"),
    ],
)
def test_mistakes_have_one_finding(text: str, code: str) -> None:
    assert [each for each, _ in findings(text)] == [code]


# --- roles and pairs ---------------------------------------------------------------------------------------------------------

PLACES = """
roles: {gate: sigmoid}
blocks:
  inner: {branch: {a: act, g: gate}}
  own: {act: tanh, branch: {a: act, i: inner}}
"""


def kinds(text: str) -> dict[str, str]:
    return {node.name: node.op.name for node in analyzed(PLACES + text).graph.nodes}


def test_a_role_means_what_the_innermost_place_says() -> None:
    text = """
stages:
  x: inner
  y: {op: inner, act: silu}
  z: {block: inner, act: elu, gate: hardsigmoid}
  w: own
  v: {op: own, act: mish}
"""
    found = kinds(text)
    assert (found["x.a"], found["x.g"]) == ("relu", "sigmoid")
    assert (found["y.a"], found["y.g"]) == ("silu", "sigmoid")
    assert (found["z.0.a"], found["z.0.g"]) == ("elu", "hardsigmoid")
    assert (found["w.a"], found["w.i.a"]) == ("tanh", "tanh")
    assert (found["v.a"], found["v.i.a"]) == ("mish", "mish")


def test_a_role_in_a_definition_means_what_it_means_around_it() -> None:
    text = "stages: {x: {op: inner, act: {op: sequential, ops: {0: norm, 1: {op: gate}}}, norm: layer_norm}}"
    found = kinds(text)
    assert (found["x.a.0"], found["x.a.1"]) == ("layer_norm", "sigmoid")


def test_a_file_keeps_its_own_block_and_arguments_of_names_that_the_language_got_later() -> None:
    text = """
blocks:
  scale: {args: [width], branch: {c: {op: conv2d, out_channels: width, kernel_size: 1}}}
  mine:
    args: [norm, names]
    defaults: {inline: 1}
    branch: {c: {op: conv2d, out_channels: norm + names + inline, kernel_size: 1}}
stages:
  a: {op: scale, width: 5}
  b: {block: mine, norm: 2, names: 3}
"""
    analysis = analyzed(text)
    assert analysis.output == (6, 16, 16)
    assert {"shadowed-operation"} <= {each.code for each in analysis.lints}


def test_a_pair_is_passed_on_whole_and_a_stage_takes_one_for_each_block() -> None:
    text = """
blocks:
  conv: {args: [k], defaults: {pad: [0, 3]}, branch: {c: {op: conv2d, out_channels: 3, kernel_size: k, padding: pad}}}
stages:
  a: {op: conv, k: [1, 7]}
  b: {block: conv, depth: 2, k: [[7, 1], 3], pad: [[3, 0], 1]}
"""
    windows = [node.op.window() for node in analyzed(text).graph.nodes]
    assert [(w.kernel, w.padding) for w in windows if w is not None] == [((1, 7), (0, 3)), ((7, 1), (3, 0)), ((3, 3), (1, 1))]


# --- outputs -----------------------------------------------------------------------------------------------------------------

TWO = "stem: {a: {op: conv2d, out_channels: 4, kernel_size: 1}}\nhead: {b: tanh, c: {op: relu, from: a}}\n"


def test_the_last_value_is_the_output_unless_another_is_named() -> None:
    assert analyzed(TWO).graph.output == 2
    assert analyzed(TWO + "outputs: b").graph.output == 1
    assert not analyzed(TWO + "outputs: b").graph.outputs


def test_named_outputs_have_shapes_channels_and_reductions() -> None:
    text = """
block: basic
stages: {s: {width: 4, stride: 2}, t: {width: 8, stride: 2}}
head: {p: {op: adaptive_avg_pool2d, output_size: 1}, v: flatten}
"""
    analysis = analyzed(text, outputs=["s", "t", "v"])
    assert analysis.outputs == {"s": (4, 8, 8), "t": (8, 4, 4), "v": (8,)}
    assert analysis.features["t"] == Feature(8, (Fraction(4), Fraction(4)))
    assert analysis.features["v"] == Feature(8, None)


def test_logits_is_the_main_output_or_else_the_first() -> None:
    assert analyzed(TWO + "outputs: {x: b, logits: c}").graph.output == 2
    assert analyzed(TWO + "outputs: {x: b, y: c}").graph.output == 1


def test_outputs_of_an_argument_leave_out_what_they_do_not_need() -> None:
    whole, part = analyzed(TWO), analyzed(TWO, outputs="b")
    assert [node.name for node in part.graph.nodes] == ["a", "b"]
    assert whole.total.params == part.total.params
    with pytest.raises(SpecError, match="has no entry `d`"):
        analyzed(TWO, outputs=["d"])


def test_a_dead_operation_is_reported_with_what_it_costs() -> None:
    text = "stem: {a: relu}\nhead: {b: {op: conv2d, out_channels: 4, kernel_size: 1}, c: {op: tanh, from: a}}"
    (found,) = [each for each in analyzed(text).lints if each.code == "dead-operation"]
    assert "16 parameters" in found.message


def test_the_fingerprint_covers_named_outputs_and_is_as_before_without() -> None:
    plain, named = analyzed(TWO), analyzed(TWO + "outputs: {x: b, y: c}")
    other, only = analyzed(TWO + "outputs: {x: c, y: b}"), analyzed(TWO + "outputs: {x: b, y: {from: c, training_only: true}}")
    assert plain.fingerprint.startswith("rs1:")
    assert all(each.fingerprint.startswith("rs2:") for each in (named, other, only))
    assert len({each.fingerprint for each in (plain, named, other, only)}) == 4


def test_expect_names_the_shapes_of_outputs() -> None:
    analyzed(TWO + "outputs: {x: b, y: c}\nexpect: {outputs: {x: [4, 16, 16], y: [4, 16, 16]}}")
    assert findings(TWO + "outputs: {x: b, y: c}\nexpect: {outputs: {x: [5, 16, 16], z: [4]}}") == [("expect-broken", 6)] * 2
