"""Edits of the text of a document: what is read afterwards is what the same change of the data gives, and comments survive."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_spec.diagnostics import Source, Span
from resnet_spec.diagnostics.edits import apply_edits, written_ranges
from resnet_spec.diagnostics.effort import MOST, limit_effort
from resnet_spec.language.editing import (
    MOST_LINES,
    Edits,
    indent_under_sibling,
    insert_first_line,
    remove_entry,
    remove_field,
    rename_field,
    replace_value,
    set_field,
    set_path,
)
from resnet_spec.language.nodes import MappingNode, to_data
from resnet_spec.language.reader import parse


def key_at(source: Source, path: Sequence[str]) -> Span:
    """The place of the key at a path."""
    node, _ = parse(source)
    span = node.span
    for name in path:
        assert isinstance(node, MappingNode)
        span, node = node.entries[name].key, node.entries[name].value
    return span


def edited(text: str, path: str, change: str, *arguments: str) -> str:
    """The text after a change at the key of a path; unchanged if it cannot be made."""
    source = Source("x.yaml", text)
    key = key_at(source, path.split("."))
    changes = {"set": set_field, "remove": remove_entry, "rename": rename_field, "remove field": remove_field}
    edits: Edits = changes[change](key, *arguments)  # type: ignore[operator]
    return apply_edits(source, edits)


def read(text: str) -> object:
    return to_data(parse(Source("x.yaml", text))[0])


# --- a field is set ----------------------------------------------------------------------------------------------------------


def test_a_field_is_added_to_a_mapping_in_braces() -> None:
    assert edited("a: {b: 1}  # c\n", "a", "set", "d", "2") == "a: {b: 1, d: 2}  # c\n"


def test_a_field_is_added_below_the_last_line_of_a_mapping() -> None:
    text = "a:\n  b: 1  # first\n\n  # about c\n  c: 2\nd: 3\n"
    assert edited(text, "a", "set", "e", "4") == "a:\n  b: 1  # first\n\n  # about c\n  c: 2\n  e: 4\nd: 3\n"


def test_a_field_is_added_below_a_nested_last_entry() -> None:
    text = "a:\n    b:\n      c: {d: 1}\ne: 2\n"
    assert edited(text, "a", "set", "f", "3") == "a:\n    b:\n      c: {d: 1}\n    f: 3\ne: 2\n"


def test_a_field_is_added_behind_a_list_at_the_indentation_of_its_key() -> None:
    assert edited("a:\n  b:\n  - 1\n  - 2\n", "a", "set", "c", "3") == "a:\n  b:\n  - 1\n  - 2\n  c: 3\n"


def test_a_field_that_is_there_gets_a_new_value_in_its_place() -> None:
    assert edited("a: {b: 'x y', c: [1, 2]}\n", "a", "set", "b", "3") == "a: {b: 3, c: [1, 2]}\n"
    assert edited("a: {b: 1, c: [1, 2]}\n", "a", "set", "c", "3") == "a: {b: 1, c: 3}\n"


def test_a_bare_word_becomes_a_mapping_with_op() -> None:
    assert edited("bn: norm  # role\n", "bn", "set", "eps", "0.1") == "bn: {op: norm, eps: 0.1}  # role\n"


def test_an_empty_mapping_gets_its_first_field() -> None:
    assert edited("a: {}\nb: 1\n", "a", "set", "c", "2") == "a: {c: 2}\nb: 1\n"


def test_the_last_line_may_lack_a_line_break() -> None:
    assert edited("a:\n  b: 1", "a", "set", "c", "2") == "a:\n  b: 1\n  c: 2"
    assert edited("a: 1\nb: 2", "b", "remove") == "a: 1\n"


def test_line_breaks_of_windows_are_kept() -> None:
    assert edited("a:\r\n  b: 1\r\nd: 2\r\n", "a", "set", "c", "3") == "a:\r\n  b: 1\r\n  c: 3\r\nd: 2\r\n"
    assert edited("a: 1\r\nb: 2\r\nc: 3\r\n", "b", "remove") == "a: 1\r\nc: 3\r\n"


def test_a_byte_order_mark_does_not_shift_the_edits() -> None:
    source = Source("x.yaml", "\ufeffa: {b: 1}\nc: 2\n")
    assert apply_edits(source, set_field(key_at(source, ["a"]), "b", "3")) == "\ufeffa: {b: 3}\nc: 2\n"


def test_missing_mappings_on_the_way_are_made() -> None:
    source = Source("x.yaml", "a: 1\n")
    assert apply_edits(source, set_path(source, ("b", "c", "d"), "2")) == "a: 1\nb: {c: {d: 2}}\n"
    source = Source("x.yaml", "b:\n  e: 1\n")
    assert apply_edits(source, set_path(source, ("b", "c", "d"), "2")) == "b:\n  e: 1\n  c: {d: 2}\n"


# --- an entry is removed -----------------------------------------------------------------------------------------------------


def test_an_entry_is_removed_with_all_of_its_lines() -> None:
    assert edited("a: 1\nb:\n  c: {d: 2}\n  e:\n    - 3\nf: 4  # kept\n", "b", "remove") == "a: 1\nf: 4  # kept\n"


@pytest.mark.parametrize(
    ("path", "left"), [("m.a", "m: {b: 2, c: 3}\n"), ("m.b", "m: {a: 1, c: 3}\n"), ("m.c", "m: {a: 1, b: 2}\n")]
)
def test_an_entry_in_braces_is_removed_with_its_comma(path: str, left: str) -> None:
    assert edited("m: {a: 1, b: 2, c: 3}\n", path, "remove") == left


def test_the_only_entry_is_not_removed() -> None:
    assert edited("a: {b: 1}\n", "a.b", "remove") == "a: {b: 1}\n"


def test_an_entry_without_a_value_is_removed() -> None:
    assert edited("a:\nb: 1\n", "a", "remove") == "b: 1\n"
    assert edited("a: 1\nb:  # nothing\n", "b", "remove") == "a: 1\n"


def test_comments_of_neighbors_are_kept() -> None:
    text = "# about a\na: 1  # one\n# about b\nb: 2  # two\n# about c\nc: 3  # three\n"
    assert edited(text, "b", "remove") == "# about a\na: 1  # one\n# about b\n# about c\nc: 3  # three\n"


def test_a_field_is_renamed_unless_the_new_name_is_taken() -> None:
    assert edited("a: {b: 1, c: 2}\n", "a", "rename", "b", "d") == "a: {d: 1, c: 2}\n"
    assert edited("a: {b: 1, c: 2}\n", "a", "rename", "b", "c") == "a: {b: 1, c: 2}\n"
    assert edited("a: {b: 1, c: 2}\n", "a", "remove field", "b") == "a: {c: 2}\n"


# --- what is left alone ------------------------------------------------------------------------------------------------------


def test_what_an_alias_repeats_is_not_edited() -> None:
    text = "a: &x {b: 1}\nc: *x\n"
    assert edited(text, "c", "set", "d", "2") == text
    assert edited(text, "a", "set", "d", "2") == text  # it would change what the alias repeats


def test_an_entry_with_an_alias_is_removed_as_any_other() -> None:
    assert edited("a: &x {b: 1}\nc: *x\nd: 2\n", "c", "remove") == "a: &x {b: 1}\nd: 2\n"


@pytest.mark.parametrize("style", ["|", ">", "|-"])
def test_texts_of_several_lines_are_not_edited(style: str) -> None:
    text = f"a: {style}\n  one\n  two\nb: 1\n"
    source = Source("x.yaml", text)
    assert remove_entry(key_at(source, ["a"])) == ()
    assert edited(text, "a", "set", "c", "2") == text


def test_a_mapping_that_ends_in_a_text_of_several_lines_is_not_edited() -> None:
    text = "m:\n  a: |\n    one\nb: 1\n"
    assert edited(text, "m", "set", "c", "2") == text


def test_a_list_and_a_number_have_no_fields() -> None:
    assert edited("a: [1, 2]\n", "a", "set", "b", "1") == "a: [1, 2]\n"
    assert edited("a: 1\n", "a", "set", "b", "1") == "a: 1\n"
    assert edited("a: 'b'\n", "a", "set", "c", "1") == "a: 'b'\n"


def test_data_and_files_of_the_package_are_not_edited() -> None:
    for source in (
        Source("x", "{\n  'a': 1\n}\n", data=True),
        Source("x", "a: 1\n", "shipped"),
        Source("x", "a: 1\n", "library"),
    ):
        node, _ = parse(source)
        assert isinstance(node, MappingNode)
        assert replace_value(node.entries["a"].value, "2") == ()
        assert set_path(source, ("b",), "2") == ()
        assert remove_entry(node.entries["a"].key) == ()


def test_a_text_that_is_not_yaml_is_not_edited() -> None:
    assert set_path(Source("x.yaml", "a: {\n"), ("b",), "1") == ()


# --- lines -------------------------------------------------------------------------------------------------------------------


def test_the_first_line_goes_below_the_comments_at_the_beginning() -> None:
    source = Source("x.yaml", "# mine\n# 2026\na: 1\n")
    assert apply_edits(source, insert_first_line(source, "spec: 1")) == "# mine\n# 2026\nspec: 1\na: 1\n"


def test_an_entry_is_indented_under_the_one_before_it_that_has_no_value() -> None:
    source = Source("x.yaml", "s:\n# about a\na:\n  b: 1\nc: 2\n")
    above, edits = indent_under_sibling(key_at(source, ["a"]))
    assert above == "s"
    assert apply_edits(source, edits) == "s:\n# about a\n  a:\n    b: 1\nc: 2\n"


def test_the_ranges_of_edits_are_where_their_texts_are_afterwards() -> None:
    source = Source("x.yaml", "a: {b: 1, c: 2}\nd: 3\n")
    edits = (*set_field(key_at(source, ["a"]), "b", "100"), *set_field(key_at(source, ["a"]), "c", "x"))
    edits += set_path(source, ("e",), "5") + set_path(source, ("d",), "44")
    after = apply_edits(source, edits)
    lines = after.splitlines()
    for edit, ((line, column), (last, end)) in zip(
        sorted(edits, key=lambda each: (each.span.line, each.span.column)), written_ranges(edits), strict=True
    ):
        found = lines[line - 1][column - 1 : end - 1] if line == last else "\n" + lines[last - 1][: end - 1]
        assert found == edit.text


# --- any document ------------------------------------------------------------------------------------------------------------

NAMES = [f"k{number}" for number in range(6)]
WORDS = ["1", "2.5", "true", "word", "'quoted: #'", '"double"', "a + b"]


@dataclass(frozen=True)
class Document:
    text: str
    paths: tuple[tuple[str, ...], ...]


Tree = dict[str, "Tree | list[str] | str"]


def trees(depth: int) -> st.SearchStrategy[Tree]:
    leaf = st.sampled_from(WORDS) | st.lists(st.sampled_from(WORDS[:4]), min_size=1, max_size=3)
    inner = leaf if not depth else leaf | st.deferred(lambda: trees(depth - 1))
    return st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=4)


def paths_of(tree: Tree, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, value in tree.items():
        found.append((*before, name))
        if isinstance(value, dict):
            found += paths_of(value, (*before, name))
    return found


def flow(value: Tree | list[str] | str, space: str) -> str:
    if isinstance(value, dict):
        return "{" + space + ", ".join(f"{name}: {flow(each, space)}" for name, each in value.items()) + space + "}"
    return "[" + ", ".join(value) + "]" if isinstance(value, list) else value


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A document in block and flow style, with comments, blank lines and one of two kinds of line breaks."""
    tree = draw(trees(2))
    counter = iter(range(1000))
    lines: list[str] = []

    def write(mapping: Tree, indent: int) -> None:
        step = draw(st.sampled_from([2, 4]))
        for name, value in mapping.items():
            if draw(st.integers(0, 4)) == 0:
                lines.append(draw(st.sampled_from(["", " " * indent + f"# comment {next(counter)}"])))
            remark = f"  # remark {next(counter)}" if draw(st.booleans()) else ""
            if isinstance(value, dict) and draw(st.booleans()):
                lines.append(f"{' ' * indent}{name}:{remark}")
                write(value, indent + step)
            elif isinstance(value, list) and draw(st.booleans()):
                lines.append(f"{' ' * indent}{name}:{remark}")
                dash = indent + draw(st.sampled_from([0, 2]))
                lines.extend(f"{' ' * dash}- {item}" for item in value)
            else:
                lines.append(f"{' ' * indent}{name}: {flow(value, draw(st.sampled_from(['', ' '])))}{remark}")

    write(tree, 0)
    line_break = draw(st.sampled_from(["\n", "\r\n"]))
    text = line_break.join(lines) + draw(st.sampled_from(["", line_break]))
    return Document(text, tuple(paths_of(tree)))


def comments(text: str) -> list[str]:
    return re.findall(r"# (?:comment|remark) [0-9]+", text)


def value_at(data: object, path: Sequence[str]) -> object:
    for name in path:
        assert isinstance(data, dict)
        data = data[name]
    return data


@settings(max_examples=300, deadline=None)
@given(documents(), st.data())
def test_setting_a_field_in_the_text_sets_it_in_the_data(document: Document, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(document.paths))
    name = data.draw(st.sampled_from([*NAMES, "new"]))
    source = Source("x.yaml", document.text)
    edits = set_field(key_at(source, path), name, "99")
    expected = deepcopy(read(document.text))
    target = value_at(expected, path)
    if not edits:
        is_plain_word = isinstance(target, str) and not re.search(r": ['\"]", source.line(key_at(source, path).line))
        block = isinstance(target, dict) and isinstance(target.get(name), dict | list)
        assert not isinstance(target, dict) or block
        assert not is_plain_word
        return
    around = value_at(expected, path[:-1])
    assert isinstance(around, dict)
    around[path[-1]] = {**target, name: 99} if isinstance(target, dict) else {"op": target, name: 99}
    after = apply_edits(source, edits)
    assert read(after) == expected
    assert comments(after) == comments(document.text)
    assert ("\r\n" in after) == ("\r\n" in document.text) or "\n" not in document.text


@settings(max_examples=300, deadline=None)
@given(documents(), st.data())
def test_removing_an_entry_from_the_text_removes_it_from_the_data(document: Document, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(document.paths))
    source = Source("x.yaml", document.text)
    key = key_at(source, path)
    edits = remove_entry(key)
    expected = deepcopy(read(document.text))
    around = value_at(expected, path[:-1])
    assert isinstance(around, dict)
    if not edits:
        assert len(around) == 1
        return
    del around[path[-1]]
    after = apply_edits(source, edits)
    assert read(after) == expected
    removed = [number for edit in edits for number in range(edit.span.line, edit.span.end_line)]
    gone = [comment for number in removed for comment in comments(source.line(number))]
    assert sorted([*comments(after), *gone]) == sorted(comments(document.text))


# --- many mistakes -----------------------------------------------------------------------------------------------------------


def test_only_so_many_places_of_a_text_are_edited() -> None:
    count = MOST["place"] + 10
    source = Source("x.yaml", "".join(f"a{n}: {{op: relu}}\n" for n in range(count)))
    keys = [Span(source, n + 1, 1, n + 1, 1) for n in range(count)]
    with limit_effort():
        made = [bool(set_field(key, "inplace", "true")) for key in keys]
        assert made == [True] * MOST["place"] + [False] * 10
        assert set_field(keys[0], "inplace", "true")  # a place counts once
    assert set_field(keys[-1], "inplace", "true")


@pytest.mark.parametrize(("lines", "indented"), [(MOST_LINES, MOST_LINES), (MOST_LINES + 1, 0)])
def test_only_so_many_lines_are_indented(lines: int, indented: int) -> None:
    source = Source("x.yaml", "a:\nb:\n" + "".join(f"  c{n}: 1\n" for n in range(lines - 1)))
    name, edits = indent_under_sibling(Span(source, 2, 1, 2, 2))
    assert (name, len(edits)) == ("a", indented)
