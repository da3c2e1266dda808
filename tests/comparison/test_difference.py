"""What differs between two networks, by cause, and what follows."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_spec import analyze
from resnet_spec.comparison.difference import Difference, compare
from resnet_spec.comparison.settings import Setting, apply_settings, compare_settings
from resnet_spec.compiler import Analysis
from resnet_spec.diagnostics import SpecError
from resnet_spec.diagnostics.text import display_width
from resnet_spec.language.library import shipped_names
from resnet_spec.language.merge import NOT_INHERITED
from resnet_spec.language.nodes import to_data

SE = "spec: 1\nextends: [resnet50, mixins/se]\nname: seresnet50\n"


def difference(before: str, after: str, *sets: str) -> Difference:
    return compare(analyze(before), analyze(after, set=sets))


def written(found: Difference) -> list[tuple[str, str, object, object]]:
    return [(".".join(s.path), s.kind, s.before, s.after) for cause in found.causes for s in cause.settings]


def check(found: Difference) -> None:
    """What holds for any two networks: the parts add up, the totals are those of `analyze`, the texts are narrow."""
    one, other = found.before, found.after
    assert sum(part.params for part in found.parts) == other.total.params - one.total.params == found.params
    assert sum(part.macs for part in found.parts) == other.total.macs - one.total.macs == found.macs
    assert [(facts.params, facts.macs, facts.output) for facts in found.facts] == [
        (each.total.params, each.total.macs, each.output) for each in (one, other)
    ]
    if found.equal:
        assert one.fingerprint == other.fingerprint
    elif one.fingerprint != other.fingerprint:
        assert found.parts
    assert all(display_width(line) <= 100 for line in found.text().splitlines())
    assert json.loads(json.dumps(found.data()))["equal"] == found.equal
    assert found.markdown()


def test_a_deeper_stage_is_the_cause_of_more_blocks() -> None:
    found = difference("resnet50", "resnet101")
    assert written(found) == [("stages.layer3.depth", "changed", 6, 23)]
    (part,) = found.parts
    assert (part.kind, part.what, part.within, part.count) == ("added", "bottleneck", "layer3", 17)
    assert (part.params, part.macs) == (44549160 - 25557032, found.macs)
    assert found.causes[0].effect is not None
    assert found.causes[0].effect.parts == found.parts
    assert repr(found) == "<Difference: resnet50 -> resnet101, 1 cause, +18.99M parameters, +3.712G multiply-adds>"
    assert str(found).splitlines()[:3] == ["resnet50 -> resnet101", "", "  stages.layer3.depth: 6 -> 23"]


def test_another_activation() -> None:
    found = difference("resnet50", "resnet50", "act=silu")
    assert written(found) == [("act", "changed", "relu", "silu")]
    assert [(part.kind, part.changes, part.count) for part in found.parts] == [("changed", (("", "relu", "silu"),), 49)]
    assert (found.params, found.macs, found.equal) == (0, 0, False)


def test_an_operation_that_a_block_has_in_addition() -> None:
    found = difference("resnet50", SE)
    assert ("blocks.bottleneck.branch.se", "added", None, "squeeze_excite") in written(found)
    (part,) = found.parts
    assert (part.kind, part.what, part.count) == ("added", "squeeze_excite", 16)
    assert part.params == sum(
        2 * c * (c // 16) + c + c // 16 for c, n in ((256, 3), (512, 4), (1024, 6), (2048, 3)) for _ in range(n)
    )
    effects = {cause.settings[0].path[1]: cause.effect for cause in found.causes}
    assert effects["basic"] is not None
    assert effects["basic"].nothing  # no stage has it
    assert effects["bottleneck"] is not None
    assert effects["bottleneck"].params == part.params


def test_each_cause_is_measured_alone() -> None:
    found = difference("resnet18", "resnet18", "classes=10", "stages.layer2.width=160", "input=3x96x96")
    base = analyze("resnet18").total
    for cause, change in zip(found.causes, ("input=3x96x96", "classes=10", "stages.layer2.width=160"), strict=True):
        alone = analyze("resnet18", set=[change]).total
        assert cause.effect is not None
        assert (cause.effect.params, cause.effect.macs) == (alone.params - base.params, alone.macs - base.macs)


def test_a_cause_without_an_effect_of_its_own_is_measured_last() -> None:
    """A bias of the projection matters only once a block has projections."""
    found = difference("cifar_resnet20", "variants/cifar_resnet20_projection")
    effects = {".".join(cause.settings[0].path): cause.effect for cause in found.causes}
    bias = effects["blocks.projection.branch.0.bias"]
    assert bias is not None
    assert (bias.last, bias.params) == (True, 32 + 64)
    renamed = [(path, after) for path, kind, _, after in written(found) if kind == "renamed"]
    assert renamed == [(f"stages.layer{n}", f"conv{n + 1}_x") for n in (1, 2, 3)]


def test_equal_networks_give_nothing() -> None:
    flat = "spec: 1\nextends: resnet50\nname: other\nabout: another text\nparams: {}\nhead: {flatten: {op: flatten}}\n"
    for other in ("resnet50", flat):
        found = difference("resnet50", other)
        assert (found.equal, found.causes, found.parts) == (True, (), ())
    assert difference("resnet50", "resnet50").text() == "resnet50 and resnet50 are the same network\n"


def test_specs_that_are_written_differently_and_equal() -> None:
    found = difference("cifar_resnet20", "cifar_resnet20", "stages.layer1.depth=3")
    assert (found.equal, found.parts) == (True, ())
    assert "stages.layer1.depth" in found.text()


def test_initialization_and_recipe_are_differences() -> None:
    for change in ("init=pytorch", "recipe="):
        found = difference("resnet18", "resnet18", change)
        assert (found.equal, found.parts, len(found.causes)) == (False, (), 1)


def mirror(found: Difference) -> tuple[object, ...]:
    settings_ = Counter((s.path, s.kind, repr(s.before), repr(s.after)) for cause in found.causes for s in cause.settings)
    parts = Counter((part.kind, part.what, part.count, part.params, part.macs) for part in found.parts)
    return settings_, parts, found.params, found.macs, found.equal


@pytest.mark.parametrize("other", [SE, "resnet101", "resnet152", "variants/resnet50_biased_shortcut", "resnet34"])
def test_swapping_the_networks_mirrors(other: str) -> None:
    before, after = analyze("resnet50"), analyze(other)
    there, back = compare(before, after), compare(after, before)
    assert there.alignment == back.alignment.mirrored()
    swapped = {"added": "removed", "removed": "added"}
    expected = Counter(
        (s.path, s.kind, repr(s.before), repr(s.after)) for cause in back.causes for s in map(Setting.mirrored, cause.settings)
    )
    assert mirror(there)[0] == expected
    assert mirror(there)[1] == Counter(
        (swapped.get(part.kind, part.kind), part.what, part.count, -part.params, -part.macs) for part in back.parts
    )
    assert (there.params, there.macs) == (-back.params, -back.macs)


@pytest.fixture(scope="module")
def networks() -> dict[str, Analysis]:
    return {name: analyze(name) for name in shipped_names()[::3] if "1202" not in name}


@pytest.mark.slow
@pytest.mark.parametrize("shift", [1, 7])
def test_any_two_networks_can_be_compared(networks: dict[str, Analysis], shift: int) -> None:
    names = list(networks)
    for at, name in enumerate(names):
        check(compare(networks[name], networks[names[(at + shift) % len(names)]]))


@pytest.mark.parametrize(
    ("before", "after"), [("resnet50", SE), ("resnet34", "variants/resnet34_wide_stages"), ("resnet18", "examples/unet")]
)
def test_all_settings_of_the_other_spec_give_its_network(before: str, after: str) -> None:
    first, second = analyze(before).spec.document, analyze(after).spec.document
    merged = apply_settings(first, compare_settings(first, second), second)
    assert compare_settings(merged, second) == ()
    found, expected = (_data(root.without(NOT_INHERITED)) for root in (merged.root, second.root))
    assert found == expected


def _data(node: object) -> dict[str, object]:
    data = to_data(node)  # type: ignore[arg-type]
    assert isinstance(data, dict)
    return data


CHANGES = st.lists(
    st.sampled_from(
        [
            *("act=silu", "act={op: leaky_relu, negative_slope: 0.2}", "norm={op: group_norm, num_groups: 8}", "norm=identity"),
            *("classes=10", "input=3x96x96", "stages.layer2.depth=1", "stages.layer3.depth=4", "stages.layer3.width=96"),
            *("stem.maxpool=", "stem.conv1.kernel_size=5", "stages.layer4=", "block={op: bottleneck, expansion: 2}"),
            *("head.fc.bias=false", "init=pytorch", "recipe=", "stages.layer2.stride=1"),
        ]
    ),
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=25)
@given(CHANGES, CHANGES)
def test_random_changes(before: list[str], after: list[str]) -> None:
    try:
        one, other = (analyze("resnet18", set=changes) for changes in (before, after))
    except SpecError:
        return
    found = compare(one, other)
    check(found)
    check(compare(other, one))
    assert found.equal == compare(other, one).equal


HOSTILE = """spec: 1
name: "</svg>|`x`\\n# heading \\u202e"
input: 3x8x8
stem: {"a`|b": {op: conv2d, out_channels: 4, kernel_size: 1}}
head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, flatten: flatten, fc: {op: linear, out_features: 2}}
params: {n: "'</td>|``[x](javascript:alert(1))\\u202e'"}
"""


def test_nothing_of_a_spec_is_markup_or_a_control_character() -> None:
    name = "a`</svg>|![x](y)\u202e\n# title"
    found = compare(analyze("resnet18"), analyze("resnet18", set=["classes=3"]), (name, "```"))
    for text in (found.text(), found.markdown(), repr(found)):
        assert "\u202e" not in text
        assert "\n# title" not in text
    first = found.markdown().splitlines()[0]
    assert first == "**``a`</svg>|![x](y)\\u202e\\n# title`` → ```` ``` ````**"


def test_it_is_fast() -> None:
    before, after = analyze("resnet50"), analyze("resnet101")
    compare(before, after).text()
    start = time.process_time()
    compare(before, after).text()
    assert time.process_time() - start < 0.3
