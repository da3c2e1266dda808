"""Random networks: what is computed without torch is what torch does, or both refuse.

They are so small that torch runs them in less time than its meta device takes to do the same without numbers.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

import resnet_spec
from resnet_spec.analysis.shapes import infer
from resnet_spec.diagnostics import SpecError
from resnet_spec.ops import NEW_IN_0_2, OPERATIONS
from tests.measure import REFUSALS, measure
from tests.naive_layers import Shape, naive_layer
from tests.random_specs import Drawer, Spec, random_specs, wild_operations

pytestmark = pytest.mark.torch

EXAMPLES = 300
GEOMETRY = {
    *("shape-mismatch", "kernel-too-large", "padding-too-large", "groups-do-not-divide", "wrong-rank"),
    *("wrong-axis", "too-few-values", "size-not-divisible", "conflicting-fields", "missing-field"),
    "out-of-range",  # `basic_option_a` cannot take channels away: its pad would be negative
}


# 3x3 convolutions and 2x2 pools with stride 2 agree on even sizes only
SIDES: Spec = {
    "branch": {"conv": {"op": "conv2d", "out_channels": 2, "kernel_size": 3, "stride": 2, "padding": 1}},
    "shortcut": {"pool": {"op": "avg_pool2d", "kernel_size": 2}},
    "join": "add",
}
UNEVEN: Spec = {"spec": 1, "input": "2x8x8", "blocks": {"sides": SIDES}, "stem": {"sides": "sides"}}


FEATURES = ("outputs", "grouped", "cross", "like", "from in a section", "roles by place")


def is_in(feature: str, spec: Spec) -> bool:
    """Whether a random spec has a feature of the language."""
    entries = [*spec["stages"].values(), *spec["head"].values()]
    keys = {key for entry in entries if isinstance(entry, dict) for key in entry}
    match feature:
        case "outputs":
            return "outputs" in spec
        case "grouped":
            return "grouped" in spec["stem"]
        case "cross":
            return "cross" in spec["stages"]
        case "from in a section":
            return "from" in keys
        case "roles by place":
            return "act" in {key for entry in spec["stages"].values() if isinstance(entry, dict) for key in entry}
    return feature in keys


def compiled(spec: Spec) -> resnet_spec.Analysis | None:
    """The analysis; None where the geometry is refused. Anything else that goes wrong is a failure of the test."""
    try:
        return resnet_spec.analyze(spec)
    except SpecError as error:
        codes = {finding.code for finding in error.diagnostics if finding.severity == "error"}
        if not codes <= GEOMETRY:
            raise
        for code in codes:
            event(f"refused: {code}")
        return None


def test_shapes_and_counts_are_those_of_the_real_module() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(random_specs())
    def agrees(spec: Spec) -> None:
        seen["examples"] += 1
        analysis = compiled(spec)
        if analysis is None:
            return
        seen["accepted"] += 1
        for name in {node.op.name for node in analysis.graph.nodes}:
            seen[name] += 1
            event(f"operation: {name}")
        for feature in FEATURES:
            seen[feature] += is_in(feature, spec)
        network = resnet_spec.build(analysis, initialize=False).eval()
        network.training = True  # of itself alone: it also runs what it has in training only
        found = measure(network, analysis.input, device="cpu")
        static = {
            node.name: shape
            for node, shape in zip(analysis.graph.nodes, analysis.shapes, strict=True)
            if not node.op.own_tensor  # a parameter, and no module
        }
        assert {name: found.layers.get(name) for name in static} == static
        assert found.output == analysis.output
        total = analysis.total
        assert (total.params, total.buffers, total.macs) == (found.params, found.buffers, found.macs)

    agrees()
    assert seen["accepted"] >= 0.6 * seen["examples"]
    least = {name: 0.03 if name in NEW_IN_0_2 else 0.05 for name in OPERATIONS} | dict.fromkeys(FEATURES, 0.03)
    rare = {name: seen[name] for name, share in least.items() if seen[name] < share * seen["examples"]}
    assert not rare, f"too rare to say that they were tested, in {seen['examples']} examples: {rare}"


def test_at_another_size_analysis_and_module_agree() -> None:
    """A network built for one size, asked for another: the module runs exactly where the analysis says so.

    An add or a multiply may be refused although torch would broadcast.
    """
    seen: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(random_specs(), st.tuples(st.integers(1, 24), st.integers(1, 24)))
    @example(UNEVEN, (7, 7))
    def agrees(spec: Spec, size: tuple[int, int]) -> None:
        analysis = compiled(spec)
        if analysis is None:
            return
        network = resnet_spec.build(analysis, initialize=False).eval()
        network.training = True
        other = (analysis.input[0], *size)
        try:
            shapes = infer(analysis.graph, other)
        except SpecError as error:
            (finding,) = error.diagnostics
            name = finding.message.partition(" at input ")[0]
            (node,) = [node for node in analysis.graph.nodes if node.name == name]
            broadcast = node.op.name in ("add", "subtract", "multiply")
            seen["broadcast" if broadcast else "refused"] += 1
            if broadcast:
                return
            with pytest.raises(REFUSALS):
                measure(network, other, batch=1, device="cpu")
            return
        seen["accepted"] += 1
        found = measure(network, other, batch=1, device="cpu")
        for node, shape in zip(analysis.graph.nodes, shapes, strict=True):
            assert node.op.own_tensor or found.layers.get(node.name) == shape, node.name

    agrees()
    assert seen["accepted"] > 20
    assert seen["refused"] > 20
    assert seen["broadcast"] > 0


@st.composite
def suspects(draw: st.DrawFn) -> tuple[Spec, Spec, str, Spec]:
    """A spec that ends in one wild operation, the same without it, and the operation's name and fields."""
    d = Drawer(draw)
    before = {"spec": 1, "input": "x".join(str(d.number(2, 9)) for _ in range(3)), "classes": 2}
    x = tuple(map(int, str(before["input"]).split("x")))
    stem, _ = d.sequence((x[0], x[1], x[2]), d.number(0, 2), 50)
    stem = {"start": "identity", **stem}
    if d.chance(15):
        stem["flat"] = {"op": "flatten", "start_dim": d.number(1, 2)}
    name, fields = draw(wild_operations())
    suspect = {"op": name, **fields}
    match d.one_of("plain", "sequence", "block", "stage", "head"):
        case "plain":
            after: Spec = {"stem": {**stem, "suspect": suspect}}
        case "sequence":
            after = {"stem": {**stem, "seq": {"op": "sequential", "ops": {"0": suspect}}}}
        case "block":
            unused = {"first": "relu", "suspect": {**suspect, "from": "input"}}
            after = {"stem": {**stem, "inside": "own"}, "blocks": {"own": {"branch": unused}}}
        case "stage":
            after = {"stem": stem, "stages": {"layer1": {"block": "own"}}, "blocks": {"own": {"branch": {"suspect": suspect}}}}
        case _:
            after = {"stem": stem, "head": {"suspect": suspect}}
    return {**before, **after}, {**before, "stem": stem}, name, fields


def torch_keywords(fields: Spec) -> dict[str, Any]:
    """Lists of a spec as torch's tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def runs(layer: Any, *inputs: Shape) -> Shape | None:
    """What torch makes of one image of each shape; None where it refuses."""
    try:
        return tuple(layer(*[torch.empty((1, *x)) for x in inputs]).shape[1:])
    except REFUSALS:
        return None


def naive(name: str, fields: Spec, x: Shape) -> Shape | None:
    """What torch makes of an operation, made and run for one image of shape `x`; None where it refuses either."""
    try:
        layer = naive_layer(name, torch_keywords(fields), x).eval()
    except REFUSALS:
        return None
    return runs(layer, x)


def test_what_the_compiler_refuses_torch_refuses_and_the_other_way_round() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=2 * EXAMPLES)
    @given(suspects())
    def agrees(drawn: tuple[Spec, Spec, str, Spec]) -> None:
        spec, prefix, name, fields = drawn
        entering = compiled(prefix)
        if entering is None:
            return
        if name == "pad" and len(fields["padding"]) // 2 > len(entering.output):
            assert compiled(spec) is None  # torch would pad the batch
            return
        analysis = compiled(spec)
        expected = naive(name, fields, entering.output)
        if name == "conv2d" and len(entering.output) != 3:
            expected = None  # a batch of rows is no image, although torch would take it for one
        if name in ("max_pool2d", "avg_pool2d", "blur_pool2d") and len(entering.output) != 3:
            expected = None
        seen[f"{name} {'refused' if expected is None else 'accepted'}"] += 1
        assert (None if analysis is None else analysis.output) == expected

    agrees()
    for name in (
        *("conv2d", "max_pool2d", "avg_pool2d", "group_norm", "pad", "blur_pool2d", "conv_transpose2d", "slice"),
        *("pixel_shuffle", "pixel_unshuffle", "conv1d", "prelu"),
    ):
        assert seen[f"{name} refused"] > 0, f"{name} was never refused: {seen}"
        assert seen[f"{name} accepted"] > 0, f"{name} was never accepted: {seen}"


@st.composite
def meetings(draw: st.DrawFn) -> tuple[Spec, str, Spec, Spec]:
    """A block whose two sides are pools of their own geometry, and its join."""
    d = Drawer(draw)
    join = d.one_of("add", "multiply", "concat")
    sides = [{"kernel_size": d.number(1, 3), "stride": d.number(1, 3), "ceil_mode": d.chance(50)} for _ in range(2)]
    left, right = ({"op": "max_pool2d", **side} for side in sides)
    block = {"branch": {"left": left}, "shortcut": {"right": right}, "join": join}
    size = f"2x{d.number(3, 9)}x{d.number(3, 9)}"
    return {"spec": 1, "input": size, "blocks": {"meet": block}, "stem": {"meet": "meet"}}, join, sides[0], sides[1]


def test_two_sides_that_do_not_meet_are_refused_by_torch_too_unless_it_broadcasts() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(meetings())
    def agrees(drawn: tuple[Spec, str, Spec, Spec]) -> None:
        spec, join, branch, shortcut = drawn
        x = tuple(map(int, spec["input"].split("x")))
        analysis = compiled(spec)
        sides = [naive("max_pool2d", fields, x) for fields in (shortcut, branch)]
        assert sides[0] is not None
        assert sides[1] is not None
        expected = runs(naive_layer(join, {}, sides[0]) if join != "add" else torch.add, sides[0], sides[1])
        gate = sides[1] == (2, 1, 1) or sides[0] == (2, 1, 1)
        if join == "add" or (join == "multiply" and not gate):
            expected = expected if sides[0] == sides[1] else None  # torch may broadcast
        seen["refused" if expected is None else "accepted"] += 1
        assert (None if analysis is None else analysis.output) == expected

    agrees()
    assert seen["refused"] > 20
    assert seen["accepted"] > 20
