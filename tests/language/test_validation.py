"""The JSON Schema: what is checked in, what it accepts, and that our fast reading of it agrees with jsonschema's."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from resnet_spec.api import analyze, spec_schema
from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.language.conformance import known_keywords
from resnet_spec.language.files import read_file
from resnet_spec.language.library import library_block, library_block_names, shipped_mixins, shipped_path, shipped_root
from resnet_spec.language.merge import resolve
from resnet_spec.language.reader import MappingNode, from_data, parse, to_data
from resnet_spec.language.schemas import operation_names, schema_document
from resnet_spec.language.validation import validate_block, validate_whole
from resnet_spec.ops import OPERATIONS
from tests.networks import different_networks

SHIPPED = [f"{name}.yaml" for name in (*different_networks(), *shipped_mixins())]
FILE = Draft7Validator(schema_document())
BLOCK = Draft7Validator({**schema_document()["definitions"]["block"], "definitions": schema_document()["definitions"]})


def tree(data: object) -> MappingNode:
    node, _ = parse(from_data(data))
    assert isinstance(node, MappingNode)
    return node


def whole(data: object) -> list[Diagnostic]:
    """Our findings, but for the `input` that only the whole needs."""
    return [finding for finding in validate_whole(tree(data)).findings if finding.message != "the spec has no input size"]


def resolved(name: str) -> dict[str, object]:
    path = shipped_path(name)
    assert path is not None
    data = to_data(resolve(read_file(path), path.parent, shipped_root()).root)
    assert isinstance(data, dict)
    return data


def test_the_checked_in_schema_is_what_the_operations_say() -> None:
    assert spec_schema() == schema_document(), "run `make schema`"


def test_the_schema_is_valid_draft_7() -> None:
    assert schema_document()["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(schema_document())


@pytest.mark.parametrize("path", SHIPPED)
def test_every_shipped_file_is_a_valid_file(path: str) -> None:
    assert list(FILE.iter_errors(to_data(parse(read_file(shipped_root() / path))[0]))) == []


@pytest.mark.parametrize("name", library_block_names())
def test_every_library_block_is_valid(name: str) -> None:
    body = library_block(name)
    assert body is not None
    assert list(BLOCK.iter_errors(to_data(body))) == []
    assert validate_block(body).findings == ()


@pytest.mark.parametrize("name", library_block_names())
def test_editors_offer_the_library_blocks(name: str) -> None:
    assert name in schema_document()["definitions"]["operation"]["properties"]["op"]["examples"]


def test_the_least_file_is_the_version() -> None:
    assert FILE.is_valid({"spec": 1})
    assert [finding.code for finding in validate_whole(tree({"spec": 1})).findings] == ["missing-field"]


# --- ours against jsonschema's --------------------------------------------------------------------------------------------

CONV = {"op": "conv2d", "out_channels": 8, "kernel_size": 3}


@pytest.mark.parametrize(
    ("data", "good"),
    [
        ({"spec": 1}, True),
        ({"spec": 1.0}, True),
        ({"spec": 2}, False),
        ({"spec": True}, False),
        ({}, False),
        ({"spec": 1, "nonsense": 2}, False),
        ({"spec": 1, "input": "3x32x32"}, True),
        ({"spec": 1, "input": "3x0x32"}, False),
        ({"spec": 1, "input": "3x32"}, False),
        ({"spec": 1, "input": [3, 32, 32]}, False),
        ({"spec": 1, "classes": 0}, False),
        ({"spec": 1, "classes": 10}, True),
        ({"spec": 1, "classes": "10"}, False),
        ({"spec": 1, "init": "nonsense"}, False),
        ({"spec": 1, "init": "ones"}, True),
        ({"spec": 1, "params": {"n": [1, 2]}}, True),
        ({"spec": 1, "params": {"n": {}}}, False),
        ({"spec": 1, "params": {"n-m": 1}}, False),
        ({"spec": 1, "stem": {"c": CONV}}, True),
        ({"spec": 1, "stem": {"c": {**CONV, "kernel_size": [3, 5]}}}, True),
        ({"spec": 1, "stem": {"c": {**CONV, "kernel_size": [3]}}}, False),
        ({"spec": 1, "stem": {"c": {**CONV, "kernel_size": [3, 5, 7]}}}, False),
        ({"spec": 1, "stem": {"c": {**CONV, "kernel_size": 0}}}, False),
        ({"spec": 1, "stem": {"c": {**CONV, "kernel_size": 1.5}}}, False),
        ({"spec": 1, "stem": {"c": {**CONV, "kernel_size": "k + 1"}}}, True),
        ({"spec": 1, "stem": {"c": {**CONV, "padding": "same"}}}, True),
        ({"spec": 1, "stem": {"c": {**CONV, "padding_mode": "mirror"}}}, False),
        ({"spec": 1, "stem": {"c": {**CONV, "bias": 1}}}, False),
        ({"spec": 1, "stem": {"c": {**CONV, "filters": 1}}}, False),
        ({"spec": 1, "stem": {"c": {**CONV, "if": "n == 1", "init": "zeros"}}}, True),
        ({"spec": 1, "stem": {"c": {**CONV, "from": []}}}, False),
        ({"spec": 1, "stem": {"c": {**CONV, "from": ["a", 0]}}}, True),
        ({"spec": 1, "stem": {"c": {"op": "conv2d"}}}, False),
        ({"spec": 1, "stem": {"c": {"op": "my_block", "anything": [1]}}}, True),
        ({"spec": 1, "stem": {"c": {"op": 3}}}, False),
        ({"spec": 1, "stem": {"c": 3}}, False),
        ({"spec": 1, "stem": {"c": "relu"}}, True),
        ({"spec": 1, "stem": {"c.d": "relu", "e-f.0.g": "relu"}}, True),
        ({"spec": 1, "stem": {"c..d": "relu"}}, False),
        ({"spec": 1, "stem": {"c\n": "relu"}}, False),
        ({"spec": 1, "stem": {"": "relu"}}, False),
        ({"spec": 1, "stem": {"01": "relu"}}, False),
        ({"spec": 1, "stem": {"10": "relu"}}, True),
        ({"spec": 1, "stem": {"größe": "relu"}}, True),
        ({"spec": 1, "stem": {"s": {"op": "sequential"}}}, False),
        ({"spec": 1, "stem": {"s": {"op": "sequential", "ops": {"0": {"op": "conv2d"}}}}}, False),
        ({"spec": 1, "stem": {"s": {"op": "sequential", "ops": {"0": CONV}}}}, True),
        ({"spec": 1, "stages": {"a": {"depth": 0}}}, False),
        ({"spec": 1, "stages": {"a": {"depth": "n", "width": [1, "n"]}}}, True),
        ({"spec": 1, "stages": {"a": {"stride": [1, 0]}}}, False),
        ({"spec": 1, "stages": {"a": {"width": {"b": 1}}}}, False),
        ({"spec": 1, "stages": {"a": CONV}}, True),
        ({"spec": 1, "stages": {"a": {"op": "conv2d"}}}, False),
        ({"spec": 1, "block": {"op": "basic", "groups": [1, 2]}}, True),
        ({"spec": 1, "block": ["basic"]}, False),
        ({"spec": 1, "expect": {"params": -1}}, False),
        ({"spec": 1, "expect": {"output": []}}, False),
        ({"spec": 1, "expect": {"output": [10], "params": 5, "macs": 0}}, True),
        ({"spec": 1, "expect": {"squares": [1, None]}}, True),
        ({"spec": 1, "expect": {"squares": [None, 5]}}, False),
        ({"spec": 1, "expect": {"squares": [1]}}, False),
        ({"spec": 1, "expect": {"speed": 1}}, False),
    ],
)
def test_documents(data: dict[str, object], good: bool) -> None:
    assert FILE.is_valid(data) is good
    assert (whole(data) == []) is good


_PIECES: list[object] = [
    *(None, True, 0, -1, 3, 1.5, 10**12, "", "relu", "norm", "nonsense", "n * 2", "3x8x8", "1"),
    *([], [1], [1, 2], ["a", "b"], [{}], [None], [1.5, 2]),
    *({}, {"op": "relu"}, {"op": "conv2d"}, {"op": 1}, {"op": "basic", "width": 1}, {"a": 1}, {"0": "relu"}, {"a b": "relu"}),
    *(CONV, {"op": "sequential", "ops": {"0": CONV, "1": {"op": "linear"}}}, {"depth": 2}, {"stride": [0]}, {"ops": {}}),
]
_NEW_KEYS = [
    "op",
    "if",
    "else",
    "from",
    "init",
    "ops",
    "depth",
    "stride",
    "width",
    "nonsense",
    "a b",
    "7",
    "bias",
    "output_size",
]


@st.composite
def mutations(draw: st.DrawFn, originals: list[dict[str, object]]) -> dict[str, object]:
    """A good document with one to three places changed, deleted or added."""
    data = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        at: dict[str, object] = data
        while True:
            deeper = [value for value in at.values() if isinstance(value, dict)]
            if not deeper or draw(st.integers(0, 3)) == 0:
                break
            at = draw(st.sampled_from(deeper))
        key = draw(st.sampled_from([*at, *_NEW_KEYS]))
        if key in at and draw(st.booleans()):
            del at[key]
        else:
            at[key] = copy.deepcopy(draw(st.sampled_from(_PIECES)))
    return data


def has_bare_word_that_needs_fields(data: object) -> bool:
    """`branch: {op: conv2d}` is an operation called `op`, a bare word. What the whole says of it is tested below."""
    if not isinstance(data, dict):
        return False
    places = [data.get(key) for key in ("stem", "head", "stages", "branch", "shortcut", "after", "ops")]
    bare = any(isinstance(place, dict) and place.get("op") in ("conv2d", "sequential") for place in places)
    return bare or any(has_bare_word_that_needs_fields(value) for value in data.values())


@given(mutations([resolved(name) for name in different_networks()]))
def test_a_changed_spec_is_refused_exactly_when_jsonschema_refuses_it(data: dict[str, object]) -> None:
    assume(not has_bare_word_that_needs_fields(data))
    assert (whole(data) == []) is FILE.is_valid(data)


@given(
    mutations([body for name in library_block_names() if isinstance(body := to_data(library_block(name) or tree({})), dict)])
)
def test_a_changed_block_is_refused_exactly_when_jsonschema_refuses_it(data: dict[str, object]) -> None:
    assume(not has_bare_word_that_needs_fields(data))
    assert (validate_block(tree(data)).findings == ()) is BLOCK.is_valid(data)


@pytest.mark.parametrize(("word", "missing"), [("conv2d", "`out_channels` and `kernel_size`"), ("group_norm", "`num_groups`")])
def test_a_bare_word_whose_fields_must_be_written_is_refused_in_the_whole_only(word: str, missing: str) -> None:
    """In a file it may stand, for another file to patch."""
    data = {"spec": 1, "input": "3x8x8", "stem": {"x": word}}
    assert FILE.is_valid(data)
    assert [finding.message for finding in validate_whole(tree(data)).findings] == [f"`stem.x` ({word}) needs {missing}"]


# --- names of other libraries ---------------------------------------------------------------------------------------------

OF_OTHERS = [
    "Conv2d",
    "BatchNorm2d",
    "ReLU",
    "nn.Conv2d",
    "torch.nn.functional.relu",
    "GlobalAveragePooling2D",
    "Dense",
    "Softmax",
]


def torch_names() -> list[str]:
    return sorted(operation.torch for operation in OPERATIONS.values() if operation.torch)


@pytest.mark.parametrize("word", [*OF_OTHERS, *torch_names()])
@pytest.mark.parametrize("place", ["stem", "norm", "blocks", "stages"])
def test_editors_refuse_the_layers_of_other_libraries(word: str, place: str) -> None:
    for written in (word, {"op": word}):
        places: dict[str, object] = {
            "stem": {"c": written},
            "norm": written,
            "blocks": {"b": {"branch": {"c": "relu"}, "join": written}},
            "stages": {"c": written},
        }
        document = {"spec": 1, place: places[place]}
        (error,) = FILE.iter_errors(document)
        assert error.validator == "pattern"
        assert isinstance(error.schema, dict)
        assert "`conv2d`" in error.schema["patternErrorMessage"]


@pytest.mark.parametrize(
    "word", ["BasicBlock", "Bottleneck", "ConvBNReLU", "BasicConv2d", "conv", "fc", "my_block", "Conv2dBlock", "_", "X2"]
)
def test_editors_accept_the_names_that_blocks_of_a_spec_have(word: str) -> None:
    assert FILE.is_valid({"spec": 1, "blocks": {word: {"branch": {"r": "relu"}}}, "stem": {"c": word, "d": {"op": word}}})


def test_editors_accept_every_operation_role_and_library_block() -> None:
    for word in (*operation_names(), "norm", "act", *library_block_names()):
        assert not [error for error in FILE.iter_errors({"spec": 1, "stem": {"c": word}}) if error.validator == "pattern"]


@pytest.mark.parametrize("word", OF_OTHERS)
def test_the_compiler_reports_them_as_unknown_operations(word: str) -> None:
    with pytest.raises(SpecError) as caught:
        analyze({"spec": 1, "input": "3x8x8", "stem": {"c": {"op": word, "bias": True}}})
    assert [finding.code for finding in caught.value.diagnostics] == ["unknown-operation"]


def test_a_block_of_the_spec_may_have_such_a_name() -> None:
    block = {"branch": {"c": {"op": "conv2d", "out_channels": 4, "kernel_size": 1}}}
    found = analyze({"spec": 1, "input": "3x8x8", "blocks": {"Conv2d": block}, "stem": {"c": "Conv2d"}})
    assert found.output == (4, 8, 8)


# --- findings -------------------------------------------------------------------------------------------------------------


def test_all_findings_are_told_and_each_once() -> None:
    data = {"spec": 1, "input": "3x8", "classes": 0, "stem": {"c": {**CONV, "filters": 1, "bias": 2}}, "nonsense": 1}
    codes = sorted(finding.code for finding in validate_whole(tree(data)).findings)
    assert codes == ["invalid-input", "out-of-range", "unknown-field", "unknown-field", "wrong-type"]


@pytest.mark.parametrize(
    ("key", "word"), [("filters", "out_channels"), ("kernel", "kernel_size"), ("strides", "stride"), ("pading", "padding")]
)
def test_the_synonyms_of_the_field_and_slips_are_understood(key: str, word: str) -> None:
    (finding,) = whole({"spec": 1, "stem": {"c": {**CONV, key: 1}}})
    assert (finding.code, finding.help) == ("unknown-field", f"did you mean `{word}`?")


def test_the_operations_are_those_of_the_schema() -> None:
    assert {"conv2d", "batch_norm", "add", "sequential"} <= operation_names()
    assert not operation_names() & {"norm", "act", *library_block_names()}


def keywords_in(schema: Any) -> set[str]:
    """Every keyword of a schema; names of properties and definitions are none."""
    if isinstance(schema, list):
        return set().union(*map(keywords_in, schema))
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for key, value in schema.items():
        if key in ("properties", "definitions"):
            found |= keywords_in(list(value.values()))
        elif key in ("items", "additionalProperties", "propertyNames", "if", "then", "else", "allOf", "anyOf"):
            found |= keywords_in(value)
    return found


def test_the_quick_check_knows_every_keyword_of_the_schema() -> None:
    assert keywords_in(schema_document()) <= known_keywords()


# --- what editors show ----------------------------------------------------------------------------------------------------

DEFINITIONS = schema_document()["definitions"]


def fields_in(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every property below a schema: its path, the property with what it refers to, and whether it must be written."""
    for name, field in schema.get("properties", {}).items():
        if field is not True:  # described beside, for all operations
            whole = {**DEFINITIONS[field["$ref"].rpartition("/")[2]], **field} if "$ref" in field else field
            yield f"{path}.{name}", whole, name in schema.get("required", ())
    for member in schema.get("allOf", ()):
        yield from fields_in(member["then"], f"{path}.{member['if']['properties']['op']['const']}")


ALL_FIELDS = [
    *fields_in(schema_document(), "spec"),
    *(found for name, definition in DEFINITIONS.items() for found in fields_in(definition, name)),
]


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, field, _ in ALL_FIELDS])
def test_every_field_has_a_title_a_description_and_examples_that_fit(path: str, field: dict[str, Any]) -> None:
    assert {"title", "description", "examples"} <= field.keys(), path
    validator = Draft7Validator({**field, "definitions": DEFINITIONS})
    for value in field["examples"]:
        assert validator.is_valid(value), (path, value)


@pytest.mark.parametrize(
    ("path", "field"), [(path, field) for path, field, must in ALL_FIELDS if path.count(".") == 2 and not must]
)
def test_every_field_of_an_operation_that_may_be_left_out_says_its_default(path: str, field: dict[str, Any]) -> None:
    assert "default" in field or "(default: " in field["description"], path


def test_every_definition_has_a_title_and_a_description() -> None:
    assert [name for name, each in DEFINITIONS.items() if not {"title", "description"} <= each.keys()] == []
