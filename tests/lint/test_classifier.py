"""Rules about the last layer of a network, and what follows it."""

from __future__ import annotations

import pytest

import resnet_spec
from resnet_spec.diagnostics import SpecError
from tests.lint.examples import find, marked, only, spec

STEM = "stem: {c: {op: conv2d, out_channels: 8, kernel_size: 3, padding: 1}, r: relu}\n"
FEATURES = "head:\n  pool: {op: adaptive_avg_pool2d, output_size: 1}\n  flatten: flatten\n"
FC = "  fc: {op: linear, out_features: classes}\n"


def own(*lines: str) -> str:
    return spec(STEM, head=FEATURES + "".join(f"  {line}\n" for line in lines))


def patch(*lines: str, more: str = "") -> str:
    return f"spec: 1\nname: mine\nextends: resnet18\n{more}head:\n" + "".join(f"  {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (patch("drop: {op: dropout, p: 0.2}"), "drop"),
        (patch("drop: dropout", "fc: {out_features: classes}"), "drop"),
        (patch("bn: batch_norm"), "bn"),
        (patch("silu: silu"), "silu"),
    ],
)
def test_an_entry_added_behind_the_last_layer_of_an_inherited_head(text: str, place: str) -> None:
    finding = only(text, "after-classifier")
    assert marked(finding) == place
    assert f"write `insert_before: fc` in `{place}`" in finding.help


def test_the_help_for_such_an_entry_leads_to_a_network_without_the_warning() -> None:
    fixed = patch("drop: {op: dropout, p: 0.2, insert_before: fc}")
    assert find(fixed, "after-classifier") == []
    assert resnet_spec.analyze(fixed).graph.nodes[-2].name == "drop"


def test_a_mixin_that_adds_behind_the_last_layer() -> None:
    assert find("spec: 1\nname: mine\nextends: [resnet18, mixins/se]\n", "after-classifier") == []


def test_dropout_on_the_logits_of_an_own_head() -> None:
    finding = only(own(FC.strip(), "drop: dropout"), "after-classifier")
    assert (marked(finding), finding.help) == ("drop", "put `drop` before `fc`")


@pytest.mark.parametrize(
    "text",
    [
        own("drop: dropout", FC.strip()),
        own(FC.strip(), "drop: {op: dropout, p: 0}"),
        own(FC.strip(), "bn: batch_norm"),  # an embedding, as in ArcFace
        own("f1: {op: linear, out_features: 64}", "relu: act", "drop: dropout"),  # features
        patch("fc: {op: linear, out_features: 64}", "relu1: act", "drop: dropout", "out: {op: linear, out_features: classes}"),
        patch("fc: {op: linear, out_features: 64}", "bn: batch_norm"),
        patch("avgpool: null", "flatten: null", "fc: null", "drop: dropout"),
        spec(STEM, head="head: {conv: {op: conv2d, out_channels: classes, kernel_size: 1}, drop: dropout}\n"),  # a map
    ],
)
def test_heads_that_end_as_they_should(text: str) -> None:
    assert find(text, "after-classifier") == []


@pytest.mark.parametrize("activation", ["sigmoid", "hardsigmoid", "relu", "relu6"])
def test_an_activation_on_the_logits(activation: str) -> None:
    finding = only(own(FC.strip(), f"last: {activation}"), "activation-on-logits")
    assert marked(finding) == "last"
    assert "cross entropy" in finding.message


def test_an_activation_added_to_an_inherited_head() -> None:
    assert "`insert_before: fc`" in only(patch("last: sigmoid"), "activation-on-logits").help
    assert find(patch("last: sigmoid"), "after-classifier") == []


@pytest.mark.parametrize(
    "text",
    [
        own(FC.strip()),
        own("f1: {op: linear, out_features: 64}", "relu: act"),  # features
        own(FC.strip(), "last: sigmoid").replace("classes: 10", "classes: 1"),  # one probability
        own("conv: identity", "relu: act"),
        spec(STEM, head="head: {conv: {op: conv2d, out_channels: classes, kernel_size: 1}, relu: act}\n"),  # a map
    ],
)
def test_outputs_that_are_no_logits(text: str) -> None:
    assert find(text, "activation-on-logits") == []


def test_classes_that_nothing_reads() -> None:
    finding = only(patch("fc: {op: linear, out_features: 1000}", more="classes: 5\n"), "unused-classes")
    assert marked(finding) == "5"
    assert "fc always has 1000 outputs" in finding.message
    assert finding.help == "write `out_features: classes` in `fc`"


def test_classes_from_the_command_line_that_nothing_reads() -> None:
    analysis = resnet_spec.analyze(patch("fc: {op: linear, out_features: 1000}"), set="classes=5")
    assert "unused-classes" in [finding.code for finding in analysis.lints]


@pytest.mark.parametrize(
    "text",
    [
        own(FC.strip()),
        patch("fc: {op: linear, out_features: 5}", more="classes: null\n"),
        patch("avgpool: null", "flatten: null", "fc: null"),  # the file itself sets none
        spec(
            STEM + "blocks: {b: {defaults: {n: classes}, branch: {f: {op: linear, out_features: n}}}}\n",
            head=FEATURES + "  b: b\n",
        ),
    ],
)
def test_classes_that_are_read_or_not_set_here(text: str) -> None:
    assert find(text, "unused-classes") == []


def test_outputs_that_are_not_the_classes() -> None:
    hidden = "f1: {op: linear, out_features: 2 * classes}"
    finding = only(own(hidden, "a: act", "fc: {op: linear, out_features: 12}"), "outputs-not-classes")
    assert (marked(finding), finding.help) == ("12", "write `out_features: classes`")


def test_outputs_that_are_not_the_inherited_classes() -> None:
    finding = only(patch("fc: {out_features: 12}"), "outputs-not-classes")
    assert (marked(finding), finding.message) == ("12", "fc has 12 outputs, but `classes` is 1000")
    assert "`classes: 12`" in finding.help


@pytest.mark.parametrize(
    "text",
    [
        own(FC.strip()),
        own("fc: {op: linear, out_features: classes + 1}"),
        patch("fc: {out_features: 12}", more="classes: null\n"),
        patch("fc: {op: linear, out_features: 12}", more="classes: 5\n"),  # reported as unused
        spec(STEM),
    ],
)
def test_outputs_that_are_the_classes_or_computed(text: str) -> None:
    assert find(text, "outputs-not-classes") == []


@pytest.mark.parametrize(("key", "meant"), [("before", "insert_before"), ("after", "insert_after")])
def test_the_key_of_a_place_is_suggested(key: str, meant: str) -> None:
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(patch(f"drop: {{op: dropout, {key}: fc}}"))
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.help) == ("unknown-field", f"write `{meant}: fc`")


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("head: {flatten: {before: fc}}\n", "remove `before`: an existing entry keeps its place"),
        ("stages: {more: {width: 64, before: layer2}}\n", "write `insert_before: layer2`"),
    ],
)
def test_the_key_of_a_place_in_patches_and_stages(text: str, help: str) -> None:
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(f"spec: 1\nextends: resnet18\n{text}")
    assert [finding.help for finding in caught.value.diagnostics] == [help]


def test_a_block_may_have_an_argument_called_before() -> None:
    block = "blocks: {b: {args: [before], branch: {d: {op: drop_path, p: 0.1 * before}}}}\n"
    assert resnet_spec.analyze(spec(block + "stem: {d: {op: b, before: 1}}\n")).output == (10,)
