"""The operation part of the JSON Schema, generated from the definitions of the operations.

`resnet-spec schema` prints the completed document, and the checked-in file is its output.
"""

from __future__ import annotations

import copy
from typing import Any

from resnet_spec.ops import OPERATIONS
from resnet_spec.ops.definition import Field, FieldKind, Operation, fields_of

ROLES = ("norm", "act")
# Layers that people write as they know them from torch or Keras, besides those that operations declare. Words that a spec
# may well give to a block of its own are not among them, such as `BasicBlock` or `conv`.
OTHER_NAMES = (
    *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNormalization", "LayerNorm", "Upsample", "UpSampling2D"),
    *("Conv1d", "Conv3d", "Conv2DTranspose", "LazyConv2d", "Bilinear", "Sequential", "ModuleList", "ZeroPad2d", "Unflatten"),
    *("MaxPool1d", "AvgPool1d", "MaxPool3d", "AvgPool3d", "Softmax", "Softmax2d", "LogSoftmax", "Relu", "RELU", "Swish"),
    *("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization", "LayerNormalization", "ZeroPadding2D"),
    *("MaxPool2D", "MaxPooling2D", "AvgPool2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
    *("BatchNorm", "MaxPool", "AvgPool", "Concat", "Concatenate"),
)
_ABOUT_OP = "The operation, role or block: `conv2d`, not `Conv2d` or `nn.Conv2d`."
_TYPES: dict[FieldKind, list[str]] = {
    "int": ["integer", "string"],
    "float": ["number", "string"],
    "bool": ["boolean", "string"],
    "word": ["string"],
    "pair": ["integer", "string", "array"],
    "ints": ["array"],
}


def complete(document: dict[str, Any], blocks: tuple[str, ...]) -> dict[str, Any]:
    """The document with `definitions.operation` generated; `blocks` are the names of the blocks in the library."""
    made = copy.deepcopy(document)
    names = [*OPERATIONS, "sequential"]
    common = _common([*names, *ROLES, *blocks])
    operation = made["definitions"]["operation"]
    operation |= _refusal()
    operation["properties"] = common
    operation["allOf"] = [
        {"if": {"required": ["op"], "properties": {"op": {"const": name}}}, "then": _fields_schema(name, common)}
        for name in names
    ]
    return made


def _common(completions: list[str]) -> dict[str, Any]:
    """The keys that any operation may have."""
    path = {"$ref": "#/definitions/path"}
    words = {"title": "Operation", "description": _ABOUT_OP, "type": "string", "examples": completions}
    words |= _refusal()
    return {
        "op": words,
        "if": {
            "title": "If",
            "description": "The operation is absent if this is false.",
            "type": ["boolean", "string", "null"],
            "default": True,
            "examples": ["stride != 1", "first", "classes == 10"],
        },
        "else": {
            "title": "Else",
            "description": "The earlier value that the operation passes on where it is absent; otherwise the one before it.",
            "type": ["string", "integer", "null"],
            "examples": ["input"],
        },
        "from": {
            "title": "From",
            "description": "An earlier value, or `input`, instead of the previous value; a join takes a list.",
            "type": ["string", "integer", "array", "null"],
            "items": {"type": ["string", "integer"]},
            "minItems": 1,
            "examples": ["input", ["conv1", "conv2"]],
        },
        "init": {"$ref": "#/definitions/weight_init"},
        "insert_before": {
            **path,
            "title": "Insert before",
            "description": "The sibling before which a new entry is inserted.",
            "examples": ["relu"],
        },
        "insert_after": {
            **path,
            "title": "Insert after",
            "description": "The sibling after which a new entry is inserted.",
            "examples": ["conv1"],
        },
    }


def _refusal() -> dict[str, str]:
    """What editors refuse in place of an operation: the names that other libraries have for layers, and all with a dot.

    A block of the spec may have any other name, and a JSON Schema cannot look into `blocks`. `patternErrorMessage` is what
    VS Code and yaml-language-server show.
    """
    layers = {operation.torch for operation in OPERATIONS.values() if operation.torch}
    names = "|".join(sorted({*layers, *OTHER_NAMES} - {*OPERATIONS}))
    message = (
        "This is the name of a layer in another library. Operations are written in lower case: `conv2d`, `batch_norm`, "
        "`linear`, `max_pool2d`, `relu`; `norm` and `act` are the roles. `resnet-spec list --operations` lists all."
    )
    return {"pattern": rf"^(?!({names})$)[^.]*$", "patternErrorMessage": message}


def _fields_schema(name: str, common: dict[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = dict.fromkeys(common, True)
    if name == "sequential":
        keys["ops"] = {
            "$ref": "#/definitions/operations",
            "title": "Operations",
            "description": "The operations, by name and in order.",
            "examples": [{"0": {"op": "conv2d", "out_channels": 16, "kernel_size": 3}, "1": "norm", "2": "act"}],
        }
        flag = {"type": ["boolean", "null"], "default": False, "examples": [True]}
        keys["numbered"] = {"title": "Numbered", "description": "Whether the modules are called 0, 1, 2, ...", **flag}
        keys["inline"] = {"title": "Inline", "description": "Whether the modules are children of the module around.", **flag}
        about, required = "a nested sequence of operations", ["ops"]
    else:
        operation: type[Operation] = OPERATIONS[name]
        fields = fields_of(operation).values()
        keys |= {field.name: _field_schema(field) for field in fields}
        if operation.takes_like:
            keys["like"] = {
                "title": "Like",
                "description": "An earlier value, whose height and width the output has (default: none).",
                "type": ["string", "integer", "null"],
                "examples": ["conv1"],
            }
        about, required = (operation.__doc__ or ""), [field.name for field in fields if field.required]
    schema: dict[str, Any] = {"title": name, "description": about, "properties": keys, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def _field_schema(field: Field) -> dict[str, Any]:
    """The schema of one field. Bounds apply to numbers only; expressions are checked after they are evaluated."""
    schema: dict[str, Any] = {"title": field.name, "description": field.doc, "type": [*_TYPES[field.kind], "null"]}
    if field.kind == "word":
        schema["enum"] = [*field.words, None]
    if field.kind in ("pair", "ints"):
        schema["items"] = {"type": ["integer", "string"]} | _bounds(field)
        lengths = field.lengths or (2,)
        schema |= {"minItems": min(lengths), "maxItems": max(lengths)}
    if field.kind != "ints":
        schema |= _bounds(field)
    if field.default_doc:
        schema["description"] += f" (default: {field.default_doc})"
    elif field.default is not None:
        same = isinstance(field.default, tuple) and len(set(field.default)) == 1
        schema["default"] = field.default[0] if isinstance(field.default, tuple) and same else field.default
    schema["examples"] = _examples(field, schema)
    return schema


def _examples(field: Field, schema: dict[str, Any]) -> list[Any]:
    """Values that an editor may suggest: those of the definition, else all possible values, else the default."""
    if field.examples:
        return [list(value) if isinstance(value, tuple) else value for value in field.examples]
    if field.kind == "bool":
        return [True, False]
    return list(field.words) if field.kind == "word" else [schema["default"]]


def _bounds(field: Field) -> dict[str, float]:
    return {key: value for key, value in (("minimum", field.least), ("maximum", field.most)) if value is not None}
