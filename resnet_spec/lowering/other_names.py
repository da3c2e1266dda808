"""Operations and fields by the names that other libraries give them, as edits of a use."""

from __future__ import annotations

from resnet_spec.diagnostics import SYNONYMS
from resnet_spec.language.editing import Edits, remove_entry, replace_text
from resnet_spec.language.fixes import Fixes, is_misspelling, propose
from resnet_spec.language.spec import Use
from resnet_spec.ops import OPERATIONS, fields_of

# What others call an operation, in lower case and without `_`: the operation, and the fields with which it is the same.
_OTHERS: dict[str, tuple[str, dict[str, str]]] = {
    **dict.fromkeys(
        ("globalaveragepooling2d", "globalavgpool2d", "globalavgpool", "globalaveragepooling", "globalpool", "gap"),
        ("adaptive_avg_pool2d", {"output_size": "1"}),
    ),
    **dict.fromkeys(
        ("globalmaxpooling2d", "globalmaxpool2d", "globalmaxpool", "gmp"), ("adaptive_max_pool2d", {"output_size": "1"})
    ),
    **dict.fromkeys(
        ("depthwiseconv2d", "depthwiseconv", "dwconv", "depthwise", "dwconv2d"),
        ("conv2d", {"out_channels": "channels", "groups": "channels"}),
    ),
    **dict.fromkeys(("pointwiseconv2d", "pointwiseconv", "pointwise", "pwconv", "conv1x1"), ("conv2d", {"kernel_size": "1"})),
    "conv3x3": ("conv2d", {"kernel_size": "3", "padding": "1"}),
    **dict.fromkeys(("averagepooling2d", "averagepool2d", "averagepool", "avgpooling"), ("avg_pool2d", {})),
    **dict.fromkeys(("maxpooling2d", "maxpooling"), ("max_pool2d", {})),
    **dict.fromkeys(("batchnormalization", "batchnormalization2d", "sync_bn", "syncbatchnorm"), ("batch_norm", {})),
    **dict.fromkeys(("dense", "fullyconnected", "innerproduct"), ("linear", {})),
    **dict.fromkeys(("concatenate", "concatenation"), ("concat", {})),
    **dict.fromkeys(("stochasticdepth", "droppath"), ("drop_path", {})),
    **dict.fromkeys(("none", "skip", "noop", "nn.identity"), ("identity", {})),
    **dict.fromkeys(("elementwiseadd", "eltwise", "+", "plus", "residual"), ("add", {})),
    **dict.fromkeys(("*", "mult", "scale_by"), ("multiply", {})),
}


def equivalent(word: str) -> tuple[str, dict[str, str]] | None:
    """The operation that another library calls `word`, and the fields that it needs to be the same."""
    plain_text = word.lower().removeprefix("nn.").removeprefix("torch.nn.").removeprefix("tf.keras.layers.").replace("_", "")
    return _OTHERS.get(plain_text)


def describe(word: str, op: str, fields: dict[str, str]) -> str:
    """What to write instead of the name of another library."""
    if not fields:
        return f"did you mean `{op}`?"
    written = ", ".join(f"{name}: {value}" for name, value in fields.items())
    return f"`{word}` is `{{op: {op}, {written}}}` here"


def write_as(use: Use, written: str, op: str, fields: dict[str, str], title: str) -> Fixes:
    """The fix that writes a use as the operation `op`, with its fields by their names here: first alone, then translated."""
    known = fields_of(OPERATIONS[op]) if op in OPERATIONS else {}
    edits: Edits = ()
    added = {name: value for name, value in fields.items() if name not in use.arguments}
    if use.op_span.anchor is not None or use.op_span.line != use.op_span.end_line:
        return ()
    bare = use.op_span.source.line(use.key.line)[use.key.end_column - 1 : use.op_span.column - 1].strip() == ":"
    head = ", ".join([op, *(f"{name}: {value}" for name, value in added.items())])
    edits += replace_text(use.op_span, f"{{op: {head}}}" if bare and added else head if bare or not _is_block(use) else op)
    if not bare and added and _is_block(use):
        indent = " " * _column_of_op(use)
        text = "".join(f"\n{indent}{name}: {value}" for name, value in added.items())
        edits = replace_text(use.op_span, op + text)
    taken = {*use.arguments, *added}
    for name, argument in use.arguments.items():
        meant = SYNONYMS.get(name.lower())
        if name not in known and (meant in known or meant == "from") and meant not in taken:
            edits += replace_text(argument.key, str(meant))
            taken.add(str(meant))
        elif name in ("in_channels", "in_features", "num_features", "inplace", "normalized_shape", "input_shape"):
            edits += remove_entry(argument.key)
    sure = is_misspelling(written, op) or equivalent(written) is not None
    return propose(title, edits, "safe" if sure else "likely")


def _is_block(use: Use) -> bool:
    """Whether the fields of a use are on lines of their own."""
    return use.op_span.line != use.key.line


def _column_of_op(use: Use) -> int:
    line = use.op_span.source.line(use.op_span.line)
    return len(line) - len(line.lstrip(" "))
