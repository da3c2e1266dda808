"""Entries that move to another level, and names for the items of lists."""

from __future__ import annotations

import pytest

from resnet_spec.diagnostics import Source, Span
from resnet_spec.diagnostics.edits import apply_edits
from resnet_spec.language.nodes import MappingNode, SequenceNode, to_data
from resnet_spec.language.reader import parse
from resnet_spec.language.restructuring import (
    indent_following,
    insert_entries_after,
    item_names,
    move_before,
    move_to_part,
    name_items,
    unwrap_entry,
    wrap_entries,
    wrap_inside,
)


def source_of(text: str) -> tuple[Source, MappingNode]:
    source = Source("x.yaml", text)
    root, _ = parse(source)
    assert isinstance(root, MappingNode)
    return source, root


def key(root: MappingNode, path: str) -> Span:
    node = root
    *above, last = path.split(".")
    for name in above:
        below = node.entries[name].value
        assert isinstance(below, MappingNode)
        node = below
    return node.entries[last].key


def test_neighbors_move_below_a_new_entry() -> None:
    source, _ = source_of("x: 0\na: 1  # one\n# about b\nb:\n  c: 2\ny: 3\n")
    edits = wrap_entries(source, ["a", "b"], "p")
    assert apply_edits(source, edits) == "x: 0\np:\n  a: 1  # one\n  # about b\n  b:\n    c: 2\ny: 3\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("p:\n  x: 0\ny: 1\na: 2  # two\n", "p:\n  x: 0\n  a: 2  # two\ny: 1\n"),
        ("a: 2\np:\n    x: 0\ny: 1\n", "p:\n    x: 0\n    a: 2\ny: 1\n"),
        ("p: {x: 0}\ny: 1\na: {b: 2}\n", "p: {x: 0, a: {b: 2}}\ny: 1\n"),
    ],
)
def test_an_entry_moves_to_the_end_of_one_that_is_there(text: str, after: str) -> None:
    source, _ = source_of(text)
    assert apply_edits(source, wrap_entries(source, ["a"], "p")) == after


def test_an_entry_is_unwrapped() -> None:
    source, root = source_of("s: 1\nm:  # all\n    a: 1\n    # about b\n    b: {c: 2}\nz: 3\n")
    assert apply_edits(source, unwrap_entry(key(root, "m"))) == "s: 1\na: 1\n# about b\nb: {c: 2}\nz: 3\n"
    source, root = source_of("a: 0\nm:\n  a: 1\n")
    assert unwrap_entry(key(root, "m")) == ()  # the key would be there twice


def test_what_follows_an_entry_without_a_value_is_indented_up_to_a_known_one() -> None:
    source, root = source_of("s:\na: 1\nb: 2\nh: 3\n")
    assert apply_edits(source, indent_following(key(root, "s"), stop=["h"])) == "s:\n  a: 1\n  b: 2\nh: 3\n"
    assert apply_edits(source, indent_following(key(root, "s"), only=["a"])) == "s:\n  a: 1\nb: 2\nh: 3\n"
    assert indent_following(key(root, "h")) == ()


def test_entries_are_inserted_behind_another() -> None:
    source, root = source_of("m:\n  a: 1  # one\n  c: 3\nf: {a: 1, c: 3}\n")
    edits = insert_entries_after(key(root, "m.a"), [("b", "2"), ("d", "4")])
    assert apply_edits(source, edits) == "m:\n  a: 1  # one\n  b: 2\n  d: 4\n  c: 3\nf: {a: 1, c: 3}\n"
    edits = insert_entries_after(key(root, "f.a"), [("b", "2")])
    assert apply_edits(source, edits) == "m:\n  a: 1  # one\n  c: 3\nf: {a: 1, b: 2, c: 3}\n"
    assert insert_entries_after(key(root, "f.a"), [("c", "2")]) == ()


def test_an_entry_moves_before_another() -> None:
    source, root = source_of("m:\n  a: 1\n  b:\n    c: 2\n  d: 3")
    assert apply_edits(source, move_before(key(root, "m.b"), key(root, "m.a"))) == "m:\n  b:\n    c: 2\n  a: 1\n  d: 3"


def test_the_last_entries_of_a_part_become_a_part_of_their_own() -> None:
    source, root = source_of("s:\n  a: 1\n  b: 2\n  c: 3\nt: 4\n")
    edits = move_to_part([key(root, "s.b"), key(root, "s.c")], "h")
    assert apply_edits(source, edits) == "s:\n  a: 1\nt: 4\nh:\n  b: 2\n  c: 3\n"
    assert move_to_part([key(root, "s.a")], "h") == ()  # not the last
    source, root = source_of("s:\n  a: 1\n  b: 2\nt: 4")
    assert to_data(parse(Source("y", apply_edits(source, move_to_part([key(root, "s.b")], "h"))))[0]) == {
        "s": {"a": 1},
        "t": 4,
        "h": {"b": 2},
    }


def test_entries_of_a_block_move_below_a_new_entry_of_it() -> None:
    source, root = source_of("b:\n  args: [w]\n  c1: {op: x}\n  bn: norm\n")
    edits = wrap_inside([key(root, "b.c1"), key(root, "b.bn")], "branch")
    assert apply_edits(source, edits) == "b:\n  args: [w]\n  branch:\n    c1: {op: x}\n    bn: norm\n"


LISTS = {
    "flow": "s: [{op: conv2d, k: 3}, norm]\nz: 1\n",
    "one line each": "s:\n  - {op: conv2d, k: 3}  # first\n  - norm\nz: 1\n",
    "several lines each": "s:\n  - op: conv2d\n    k: 3\n  - norm\nz: 1\n",
    "at the indentation of the key": "s:\n- op: conv2d\n  k: 3\n- norm\nz: 1\n",
    "deep": "s:\n    -   op: conv2d\n        k: 3\n    -   norm\nz: 1\n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS.keys())
def test_the_items_of_a_list_get_names(text: str) -> None:
    source, root = source_of(text)
    items = root.entries["s"].value
    assert isinstance(items, SequenceNode)
    names = item_names(items, "op")
    assert names == ["conv1", "bn1"]
    after = apply_edits(source, name_items(items, names))
    assert to_data(parse(Source("x.yaml", after))[0]) == {"s": {"conv1": {"op": "conv2d", "k": 3}, "bn1": "norm"}, "z": 1}
    assert after.count("#") == text.count("#")


NAMED = {
    "several lines each": "s:\n  - name: a\n    w: 1\n    d: 2\n  - name: b\n    w: 3\nz: 1\n",
    "one line each": "s:\n  - {name: a, w: 1, d: 2}\n  - {name: b, w: 3}\nz: 1\n",
    "flow": "s: [{name: a, w: 1, d: 2}, {name: b, w: 3}]\nz: 1\n",
    "entries": "s:\n  - a: {w: 1, d: 2}\n  - b:\n      w: 3\nz: 1\n",
}


@pytest.mark.parametrize("text", NAMED.values(), ids=NAMED.keys())
def test_items_keep_the_names_that_they_have(text: str) -> None:
    source, root = source_of(text)
    items = root.entries["s"].value
    assert isinstance(items, SequenceNode)
    after = apply_edits(source, name_items(items, item_names(items, "op")))
    assert to_data(parse(Source("x.yaml", after))[0]) == {"s": {"a": {"w": 1, "d": 2}, "b": {"w": 3}}, "z": 1}


def test_a_list_with_an_alias_is_left_alone() -> None:
    _, root = source_of("x: &x {op: relu}\ns: [*x, norm]\n")
    items = root.entries["s"].value
    assert isinstance(items, SequenceNode)
    assert name_items(items, ["a", "b"]) == ()
