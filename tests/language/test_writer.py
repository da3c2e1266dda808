"""A document written flat: the same network or recipe, with nothing left to look up and nothing read otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec import compiler
from resnet_spec.compiler import Target
from resnet_spec.diagnostics import Source
from resnet_spec.language.library import shipped_root
from resnet_spec.language.merge import resolve
from resnet_spec.language.reader import MappingNode, from_data, parse, to_data
from resnet_spec.language.writer import write_document, write_value
from tests.networks import different_networks

MIXINS = sorted(path.stem for path in (shipped_root() / "mixins").glob("*.yaml"))
TOGETHER = [mixin for mixin in MIXINS if mixin != "aa"]  # which does in another way what `blur` does
PATCHES = [
    "norm={op: group_norm, num_groups: 4}",
    "act=silu",
    "block=basic",
    "classes=7",
    "blocks.projection.branch.1.eps=0.01",
    "blocks.basic.after.relu=silu",
]


def flat(target: Target, *patches: str) -> tuple[str, compiler.Analysis]:
    return compiler.flatten_text(target, patches, "flat"), compiler.analyze(target, patches)


def alone(text: str) -> compiler.Analysis:
    """What a text gives that may extend nothing."""
    document = yaml.safe_load(text)
    assert "extends" not in document
    assert "expect" not in document
    assert not any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
    return compiler.analyze(Target(Source("flat", text), None, None))


@pytest.mark.parametrize("name", different_networks())
def test_a_shipped_spec_written_flat_is_the_same_network(name: str) -> None:
    text, whole = flat(compiler.find(name))
    again = alone(text)
    assert again.fingerprint == whole.fingerprint
    assert (again.total, again.output, again.input) == (whole.total, whole.output, whole.input)
    assert again.spec.name == "flat"
    assert again.warnings == ()


@pytest.mark.parametrize("name", different_networks())
def test_writing_flat_what_is_flat_changes_nothing(name: str) -> None:
    text, _ = flat(compiler.find(name))
    again, _ = flat(Target(Source("flat", text), None, None))
    assert yaml.safe_load(again) == yaml.safe_load(text)


@pytest.mark.parametrize("mixins", [*((mixin,) for mixin in MIXINS), ("d", "se"), tuple(TOGETHER)])
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet34"])
def test_a_spec_with_mixins_written_flat_is_the_same_network(name: str, mixins: tuple[str, ...]) -> None:
    spec = {"spec": 1, "name": "mixed", "extends": [name, *(f"mixins/{mixin}" for mixin in mixins)]}
    text, whole = flat(compiler.find(spec))
    assert alone(text).fingerprint == whole.fingerprint
    initial_only = mixins == ("zero_init",)
    assert (whole.fingerprint == compiler.analyze(compiler.find(name)).fingerprint) == initial_only


@pytest.mark.parametrize("patch", PATCHES)
def test_a_patched_spec_written_flat_is_the_same_network(patch: str) -> None:
    """A patch of a library block reaches the other library blocks that use it."""
    target = compiler.find("cifar_resnet20" if patch == "block=basic" else "variants/cifar_resnet20_projection")
    text, whole = flat(target, patch)
    assert alone(text).fingerprint == whole.fingerprint
    assert whole.fingerprint != compiler.analyze(target).fingerprint


def test_a_block_that_patches_the_librarys_is_written_with_all_that_use_it() -> None:
    spec = {
        "spec": 1,
        "name": "mine",
        "extends": "resnet50",
        "blocks": {"projection": {"extends": "projection", "branch": {"1": {"eps": 0.5}}}},
    }
    text, whole = flat(compiler.find(spec))
    blocks = yaml.safe_load(text)["blocks"]
    assert {"projection", "bottleneck"} <= blocks.keys()
    assert alone(text).fingerprint == whole.fingerprint


# --- values ---------------------------------------------------------------------------------------------------------------

DOUBTFUL = [
    *("007", "7", "-7", "+7", "1e3", "1.5", ".5", "5.", "1_000", "0x10", "0o17", "0b1", "1:30", "-.inf", ".nan", ".NaN"),
    *("no", "No", "NO", "yes", "on", "off", "y", "n", "true", "True", "TRUE", "false", "null", "Null", "NULL", "~", ""),
    *(" ", " a", "a ", "a b", "a  b", "a: b", "a:", ": a", "a #b", "#a", "- a", "-", "---", "...", "? a", "?", "!", "!a", "&a"),
    *("*a", "@a", "`a", "%a", "|", ">", "'", '"', "''", '""', "a'b", 'a"b', "[", "]", "{", "}", ",", "a,b", "[a]", "{a: b}"),
    *("<<", "=", "\n", "a\n", "a\nb", "\na", "a\n\nb", "\t", "a\tb", "\r", "\r\n", "\x07", "\x1b[31m", "\x7f", "\x85", "\xa0"),
    *("\u2028", "\u2029", "\ufeff", "ö", "日本", "\U0001f600", "\u202e", "2026-01-01", "12:30:00", "x" * 500, "a " * 200),
]
TEXTS = st.sampled_from(DOUBTFUL) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def tree(value: object) -> MappingNode:
    """`value` under a key, as the reader has it; from JSON, which quotes every string."""
    node, _ = parse(from_data({"key": value}))
    assert isinstance(node, MappingNode)
    return node


def kinds(value: object) -> Iterator[object]:
    """Every scalar with its type, for 1 is not True nor 1.0."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from kinds(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from kinds(inner)
    else:
        yield type(value), value


def read(text: str) -> object:
    node, warnings = parse(Source("text", text))
    assert warnings == ()
    return to_data(node)


@pytest.mark.parametrize("text", DOUBTFUL)
def test_a_string_stays_a_string_as_a_value_a_key_and_in_a_list(text: str) -> None:
    for value in (text, {text: 1}, {"a": {text: text}}, [text], [[text, text]]):
        written = write_document(tree(value))
        assert read(written) == {"key": value}


@given(VALUES)
def test_every_value_is_read_back_as_it_was(value: object) -> None:
    found = read(write_document(tree(value)))
    assert found == {"key": value}
    assert list(kinds(found)) == list(kinds({"key": value}))


@given(VALUES)
def test_a_value_on_one_line_is_read_back_as_it_was(value: object) -> None:
    text = write_value(value)
    assert "\n" not in text
    assert read(f"key: {text}\n") == {"key": value}


def test_one_value_in_two_places_is_written_twice() -> None:
    node, _ = parse(Source("text", "a: &x {b: [1, 2]}\nc: *x\nd: [*x, *x]\n"))
    assert isinstance(node, MappingNode)
    assert read(write_document(node)) == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": [{"b": [1, 2]}] * 2}
    assert "&" not in write_document(node)


def test_a_spec_that_came_through_an_alias_is_written_flat() -> None:
    text = "spec: 1\nname: a\nextends: resnet18\nstem: {relu: &act {op: silu}}\nact: *act\n"
    source = Source("text", text)
    folder = shipped_root()
    assert resolve(source, folder, folder).root.get("act") is not None
    written, whole = flat(Target(source, folder, folder))
    assert alone(written).fingerprint == whole.fingerprint
