"""What of a spec with mistakes is marked as invalid, so that what follows from a mistake is not reported as another one."""

from __future__ import annotations

import pytest

import resnet_spec
from resnet_spec.diagnostics import Source
from resnet_spec.language.merge import resolve
from resnet_spec.language.nodes import MappingNode, SequenceNode, YamlNode, mark_invalid
from resnet_spec.language.parsing import ParsedSpec, parse_partial
from resnet_spec.language.reader import parse
from resnet_spec.language.spec import Spec, Stage, Use, library
from resnet_spec.lowering.names import check_names


def parsed(text: str) -> ParsedSpec:
    return parse_partial(resolve(Source("x.yaml", f"spec: 1\ninput: 3x32x32\n{text}"), None, None))


def marked(node: YamlNode, path: str = "") -> list[str]:
    """The paths of the nodes that are marked."""
    found = [path] if node.invalid else []
    match node:
        case MappingNode():
            for key, entry in node.entries.items():
                found += marked(entry.value, f"{path}.{key}")
        case SequenceNode():
            for number, item in enumerate(node.items):
                found += marked(item, f"{path}[{number}]")
    return found


def test_nodes_are_marked_at_their_paths_and_nowhere_else() -> None:
    root, _ = parse(Source("x.yaml", "a: {b: [1, 2], c: 3}\nd: 4\n"))
    assert marked(root) == []
    assert marked(mark_invalid(root, [("a", "b", 1), ("d",), ("a",), ("e", "f")])) == [".a", ".a.b[1]", ".d"]
    assert marked(mark_invalid(root, [()])) == [""]
    assert mark_invalid(root, []) is root


def test_a_use_of_the_wrong_form_is_marked() -> None:
    found = parsed("stem:\n  good: relu\n  bad: {op: conv2d, out_channels: 8}\n")
    assert [finding.code for finding in found.findings] == ["missing-field"]
    assert found.spec is not None
    assert [(use.name, use.invalid) for use in found.spec.entries if isinstance(use, Use)] == [("good", False), ("bad", True)]


def test_a_stage_whose_top_level_block_is_invalid_is_marked_whatever_it_changes() -> None:
    found = parsed("block: {op: basic, from: {a: 1}}\nstages:\n  a: {width: 8}\n  b: {width: 8, block: {width: 16}}\n")
    assert found.spec is not None
    assert [entry.block.invalid for entry in found.spec.stages if isinstance(entry, Stage)] == [True, True]


def test_a_use_in_a_library_block_is_marked_for_the_spec_that_breaks_it_only() -> None:
    found = parsed("act: {op: conv2d, out_channels: 8, kernel_size: 1, bias: false}\nstem: {x: {op: act, size: 3}}\n")
    assert found.spec is not None
    findings, spec = check_names(found.spec)
    assert [finding.code for finding in findings] == ["unknown-field"]
    (use,) = spec.entries
    assert isinstance(use, Use)
    assert use.invalid
    findings, spec = check_names(without_norm("block: basic\nstages: {a: {width: 8}}\n"))
    assert {finding.code for finding in findings} == {"unknown-name"}
    block = spec.find_block("basic", spec.span)
    assert block is not None
    assert any(use.invalid for use in block.branch)
    shipped = library("basic")
    assert shipped is not None
    assert not any(use.invalid for use in shipped.branch)
    assert resnet_spec.analyze("resnet18").total.params == 11689512


def without_norm(text: str) -> Spec:
    found = parsed(f"norm: null\n{text}")
    assert found.spec is not None
    return found.spec


@pytest.mark.parametrize("text", ["stem: 3\n", "stemm: {c: relu}\n", "norm: act\nact: norm\nstem: {c: relu}\n"])
def test_a_spec_of_which_most_would_be_a_guess_is_not_read(text: str) -> None:
    assert parsed(text).spec is None


def test_without_an_input_the_rest_is_read() -> None:
    found = parse_partial(resolve(Source("x.yaml", "spec: 1\nstem: {c: relu}\n"), None, None))
    assert found.spec is not None
    assert not found.whole
    assert [use for use in found.spec.stem if not isinstance(use, Use)] == []
