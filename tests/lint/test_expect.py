"""The `expect` of a spec: exact values, bounds, accepted sizes, and rewriting the exact ones."""

from __future__ import annotations

import pytest

import resnet_spec
from resnet_spec import compiler
from resnet_spec.diagnostics import Source, SpecError
from resnet_spec.diagnostics.edits import apply_edits

# 3 * 8 * 3 * 3 weights of a convolution without bias, used at 8 x 8 places, and a batch norm of 8 channels.
SPEC = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 8, kernel_size: 3, padding: 1, bias: false}, n: norm}\n"
PARAMS, BUFFERS, MACS = 3 * 8 * 9 + 16, 17, 3 * 8 * 9 * 64


def broken(expect: str, text: str = SPEC) -> list[str]:
    """The messages about an `expect`."""
    try:
        resnet_spec.analyze(f"{text}expect: {expect}\n")
    except SpecError as error:
        return [f"{'' if finding.code == 'expect-broken' else finding.code}{finding.message}" for finding in error.diagnostics]
    return []


@pytest.mark.parametrize(("name", "actual"), [("params", PARAMS), ("buffers", BUFFERS), ("macs", MACS)])
def test_bounds_include_their_ends(name: str, actual: int) -> None:
    for good in (
        f"{{most: {actual}}}",
        f"{{least: {actual}}}",
        f"{{least: {actual}, most: {actual}}}",
        f"{{least: 0, most: {actual + 1}}}",
        "{most: 1e9}",
    ):
        assert broken(f"{{{name}: {good}}}") == []
    assert len(broken(f"{{{name}: {{most: {actual - 1}}}}}")) == 1
    assert len(broken(f"{{{name}: {{least: {actual + 1}}}}}")) == 1
    assert len(broken(f"{{{name}: {{least: {actual + 1}, most: {actual + 2}}}}}")) == 1


def test_a_finding_is_at_the_bound_that_is_broken() -> None:
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(SPEC + "expect:\n  params:\n    least: 1\n    most: 2\n  macs: {least: 1e9}\n")
    assert [finding.span.line for finding in caught.value.diagnostics if finding.span] == [7, 8]


def test_sizes_are_those_that_the_module_runs_on() -> None:
    """A convolution of 3 without padding and one of stride 2 with a kernel of 4: torch is asked about each size."""
    import torch

    stem = "{a: {op: conv2d, out_channels: 2, kernel_size: 3}, b: {op: conv2d, out_channels: 2, kernel_size: 4, stride: 2}}"
    text = f"spec: 1\ninput: 3x16x16\nstem: {stem}\n"
    network = resnet_spec.build(text).eval()
    for height, width in [(5, 5), (6, 6), (6, 5), (100, 6), (1, 9), (7, 31)]:
        try:
            network(torch.zeros(1, 3, height, width))
            runs = True
        except RuntimeError:
            runs = False
        assert (broken(f"{{accepts: [{height}x{width}]}}", text) == []) is runs


def test_each_size_that_is_not_accepted_is_reported() -> None:
    text = SPEC + "head: {f: flatten, l: {op: linear, out_features: 2}}\n"
    found = broken("{accepts: [8x8, 9x8, 16x16]}", text)
    assert [message.partition(" are accepted")[0].rpartition(" ")[2] for message in found] == ["9x8", "16x16"]


@pytest.mark.parametrize(
    ("expect", "code"),
    [
        ("{params: {}}", "missing-field"),
        ("{params: {least: 2, most: 1}}", "out-of-range"),
        ("{params: {least: -1}}", "out-of-range"),
        ("{params: {most: 1.5}}", "wrong-type"),
        ("{params: {maximum: 5}}", "unknown-field"),
        ("{accepts: []}", "wrong-length"),
        ("{accepts: [8]}", "wrong-type"),
        ("{accepts: [3x8x8]}", "invalid-input"),
        ("{accepts: [08x8]}", "invalid-input"),
    ],
)
def test_the_form_of_bounds_is_checked(expect: str, code: str) -> None:
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(f"{SPEC}expect: {expect}\n")
    assert [finding.code for finding in caught.value.diagnostics] == [code]


def test_bounds_are_not_checked_for_another_network() -> None:
    text = SPEC + f"expect: {{params: {{most: {PARAMS}}}}}\n"
    assert not resnet_spec.analyze(text, set=["stem.c.out_channels=16"]).expect_checked
    assert not resnet_spec.analyze(text, input="3x9x9").expect_checked


# --- rewriting ---------------------------------------------------------------------------------------------------------------


def rewritten(text: str) -> str:
    source = Source("x.yaml", text)
    analysis = compiler.analyze(compiler.Target(source, None, None), enforce_expect=False)
    edits = [edit for each in compiler.rewrite_expect(analysis).values() for edit in each]
    return apply_edits(analysis.spec.span.source, edits)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("expect: {params: 5}", f"expect: {{params: {PARAMS}}}"),
        ("expect:\n  params: 5   # counted", f"expect:\n  params: {PARAMS}   # counted"),
        ("expect: {buffers: 0x0, macs: 1e3}", f"expect: {{buffers: {BUFFERS}, macs: {MACS}}}"),
        ("expect: {output: [ 8,  9, 9 ]}", "expect: {output: [ 8,  8, 8 ]}"),
        ("expect: {output: [10]}", "expect: {output: [8, 8, 8]}"),
        (
            "expect:\n  output:\n    - 8   # in\n    - 9\n    - 8",
            "expect:\n  output:\n    - 8   # in\n    - 8\n    - 8",
        ),
        ("expect: {squares: [3, 7]}", "expect: {squares: [1, null]}"),
        ("expect: {params: {most: 3}, macs: 3}", f"expect: {{params: {{most: 3}}, macs: {MACS}}}"),
        (f"expect: {{params: {PARAMS}.0}}", f"expect: {{params: {PARAMS}.0}}"),
    ],
)
def test_exact_values_are_rewritten_in_their_place(before: str, after: str) -> None:
    assert rewritten(f"# é\n{SPEC}{before}\n# end\n") == f"# é\n{SPEC}{after}\n# end\n"


@pytest.mark.parametrize(
    "expect",
    [
        "expect: {params: &p 5}",
        "expect: {params: &p 5, macs: *p}",
        "expect:\n  output:\n    - 10",
        "expect: {output: [10,\n  11]}",
        "expect: {params: {most: 5}, accepts: [1x1]}",
    ],
)
def test_what_cannot_be_changed_in_its_place_is_left(expect: str) -> None:
    assert rewritten(f"{SPEC}{expect}\n") == f"{SPEC}{expect}\n"


def test_a_rewritten_spec_satisfies_its_expect() -> None:
    text = SPEC + "expect: {output: [1], params: 1, buffers: 1, macs: 1, squares: [5, 9]}\n"
    assert len(broken("{output: [1], params: 1, buffers: 1, macs: 1, squares: [5, 9]}")) == 5
    analysis = resnet_spec.analyze(rewritten(text))
    assert analysis.expect_checked
    assert (analysis.total.params, analysis.total.buffers, analysis.total.macs) == (PARAMS, BUFFERS, MACS)
