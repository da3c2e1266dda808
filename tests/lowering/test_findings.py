"""Findings of lowering: each once, independent ones together, at lines of the author's."""

from __future__ import annotations

import pytest

from tests.lowering.graphs import graph_of, refusals


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
    """`channels` is known only at the operation; the explanation must handle that."""
    block = (
        "{branch: {c: {op: conv2d, out_channels: 4, kernel_size: 1}},\n"
        "  shortcut: {d: {op: conv2d, if: channels == 4, out_channels: 4, kernel_size: 1}}, join: add}"
    )
    (finding,) = refusals(f"blocks: {{b: {block}}}\nblock: b\nstages: {{s: {{}}}}\n")
    labels = [label.text for label in finding.related]
    assert labels == ["false here, so `d` is absent", "joined here", "4 channels are set here"]


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
