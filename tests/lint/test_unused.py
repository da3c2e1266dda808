"""What is defined or passed, and read by nothing. Names count where they are visible."""

from __future__ import annotations

import re

import pytest
from hypothesis import event, given, reject, settings

import resnet_spec
from resnet_spec.diagnostics import SpecError
from resnet_spec.language.library import library_block_names
from resnet_spec.language.spec import library
from resnet_spec.lint.reading import BlockReading, SpecReading
from tests.lint.examples import find, marked, only, spec
from tests.random_specs import Spec, random_specs

STEM = "stem: {c: {op: conv2d, out_channels: 8, kernel_size: 3, padding: 1}}\n"
RES = """
blocks:
  res:
    args: [width]
    defaults: {stride: 1}
    branch:
      conv1: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1, stride: stride}
      act1: act
block: res
stages:
  one: {width: 8, depth: 2}
  two: {width: 8, depth: 2, stride: 2}
"""
IGNORED = RES.replace(", stride: stride", "")


def test_a_stride_of_a_stage_that_its_block_ignores() -> None:
    finding = only(spec(STEM + IGNORED), "unused-argument")
    assert finding.span is not None
    assert (marked(finding), finding.span.source.line(finding.span.line).strip()) == (
        "stride",
        "two: {width: 8, depth: 2, stride: 2}",
    )
    assert "`stride: stride`" in finding.help
    assert find(spec(STEM + RES), "unused-argument") == []


def test_an_argument_that_several_stages_give_is_reported_once() -> None:
    text = spec(STEM + IGNORED.replace("two: {", "three: {width: 8, stride: 2}\n  two: {"))
    assert only(text, "unused-argument").notes == ("and in 1 more place",)
    default = IGNORED.replace("block: res", "block: {op: res, n: 1}").replace("stride: 1}", "stride: 1, n: 2}")
    assert [each.notes for each in find(spec(STEM + default), "unused-argument")] == [(), ()]


def test_an_argument_that_is_declared_only() -> None:
    finding = only(spec(STEM + IGNORED.replace(", stride: 2", "")), "unused-argument")
    assert finding.message == "nothing in the block `res` reads its argument `stride`"


@pytest.mark.parametrize(
    ("use", "place"),
    [("u: {op: b, n: 3}", "n"), ("u: b", "n")],
)
def test_an_argument_of_a_use_or_a_default(use: str, place: str) -> None:
    text = spec(f"blocks: {{b: {{defaults: {{n: 1}}, branch: {{r: relu}}}}}}\nstem: {{{use}}}\n")
    assert marked(only(text, "unused-argument")) == place


@pytest.mark.parametrize(
    "body",
    [
        "defaults: {n: 1}, branch: {r: {op: relu, if: n == 1}}",
        "defaults: {n: 1}, let: {m: n + 1}, branch: {r: {op: drop_path, p: 0.1 * m}}",
        "defaults: {n: 1, m: n + 1}, branch: {r: {op: drop_path, p: 0.1 * m}}",
        "defaults: {n: 3}, out_channels: n, branch: {r: relu}",
        "defaults: {n: 1}, branch: {s: {op: sequential, ops: {r: {op: drop_path, p: 0.1 * n}}}}",
        "defaults: {n: true}, branch: {r: relu}, join: {op: add, if: n}",
        "defaults: {n: 1}, branch: {r: relu}, shortcut: {d: {op: drop_path, p: 0.1 * n}}, join: add",
        "defaults: {n: 1}, branch: {r: {op: drop_path, if: 1 != 1, p: 0.1 * n}, q: relu}",
        "defaults: {n: 8}, branch: {r: {op: projection, width: n}}",
    ],
)
def test_every_way_to_read_an_argument(body: str) -> None:
    assert find(spec(f"blocks: {{b: {{{body}}}}}\nstem: {{u: b}}\n"), "unused-argument") == []


def test_an_argument_that_only_an_unread_name_reads() -> None:
    text = spec("blocks: {b: {defaults: {n: 1}, let: {m: n}, branch: {r: relu}}}\nstem: {u: {op: b, n: 2}}\n")
    assert marked(only(text, "unused-argument")) == "n"
    assert marked(only(text, "unused-definition")) == "m"


def test_a_patch_that_makes_a_block_ignore_its_stride() -> None:
    text = "spec: 1\nname: mine\nextends: resnet18\nblocks:\n  basic:\n    extends: basic\n    branch: {conv1: {stride: 1}}\n"
    text += "    shortcut: {downsample: {stride: 1}}\n    defaults: {project: in_channels != out_channels}\n"
    finding = only(text, "unused-argument")
    assert finding.message == "nothing in the block `basic` reads its argument `stride`"
    assert marked(finding) == "basic"


def test_a_patch_that_leaves_a_default_of_the_library_without_a_reader() -> None:
    text = "spec: 1\nname: mine\nextends: resnet18\nstages: {layer2: {stride: 1, width: 64}, layer3: {stride: 1, width: 64},"
    text += " layer4: {stride: 1, width: 64}}\nblocks: {basic: {extends: basic, shortcut: {downsample: null}}}\n"
    assert [marked(each) for each in find(text, "unused-argument")] == ["basic"]


@pytest.mark.parametrize("name", library_block_names())
def test_the_librarys_blocks_read_all_their_arguments(name: str) -> None:
    block = library(name)
    assert block is not None
    arguments = "".join(f", {each}: 8" for each in block.args)
    reading = SpecReading(resnet_spec.load(f"spec: 1\ninput: 8x8x8\nstem: {{b: {{op: {name}{arguments}}}}}\n"))
    assert reading.blocks[block].unread_arguments == {}
    assert BlockReading(block).unread_arguments.keys() == {*block.args, *block.defaults}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("params: {n: 8}\nstem: {c: {op: conv2d, out_channels: n, kernel_size: 1}}\n", []),
        ("params: {n: 8, m: n}\nstem: {c: {op: conv2d, out_channels: m, kernel_size: 1}}\n", []),
        ("params: {n: 8, m: n}\n" + STEM, ["n", "m"]),
        ("params: {n: 8}\nstem: {r: {op: relu, if: n == 9}, s: relu}\n", []),
        ("params: {n: 2}\nstages: {s: {block: plain, width: 8, depth: n}}\n", []),
        ("params: {n: 8}\nstages: {s: {block: plain, width: n}}\n", []),
        ("params: {n: 2}\nstages: {s: {block: plain, width: 8, stride: n}}\n", []),
        ("params: {n: 8}\nnorm: {op: group_norm, num_groups: n}\nstem: {g: norm}\n".replace("8", "3"), []),
        ("params: {n: 8}\nblocks: {b: {branch: {d: {op: drop_path, p: 0.01 * n}}}}\nstem: {u: b}\n", []),
        # The block's own argument has the name, so the param is not read.
        ("params: {n: 8}\nblocks: {b: {defaults: {n: 1}, branch: {d: {op: drop_path, p: 0.1 * n}}}}\nstem: {u: b}\n", ["n"]),
        # In a stage, the spec's names come first.
        ("params: {width: 8}\nstages: {s: {block: plain, width: width}}\n", []),
    ],
)
def test_params_are_read_where_they_are_visible(text: str, names: list[str]) -> None:
    assert [marked(each) for each in find(spec(text), "unused-definition")] == names


def test_a_chain_of_params_as_long_as_a_file_allows() -> None:
    chain = "".join(f"  p{n}: p{n + 1}\n" for n in range(2000))
    text = spec(f"params:\n{chain}  p2000: 1\n" + STEM)
    assert len(find(text, "unused-definition")) == 2001


@given(random_specs())
@settings(max_examples=40, deadline=None)
def test_an_argument_that_is_reported_has_no_effect(drawn: Spec) -> None:
    """Another default gives the same network; the random networks know nothing of the rule."""
    try:
        analysis = resnet_spec.analyze(drawn)
    except SpecError:
        reject()
    for finding in analysis.lints:
        if finding.code == "unused-argument":
            block = re.findall(r"the block `(\w+)`", finding.message)[0]
            (name,) = {*re.findall(r"`(\w+)`", finding.message)} - {block}
            changed = resnet_spec.analyze(drawn, set={f"blocks.{block}.defaults.{name}": 7})
            assert changed.fingerprint == analysis.fingerprint
            event("an argument was reported")
