"""What to say about names that are not known: operations of other libraries, words that mean something else, misspellings."""

from __future__ import annotations

import re
from collections.abc import Collection, Container

from resnet_spec.diagnostics import SYNONYMS, Span, closest
from resnet_spec.diagnostics.suggestions import Vocabulary, show_suggestion
from resnet_spec.language.editing import remove_entry, replace_text, set_path
from resnet_spec.language.fixes import Fixes, is_misspelling, propose, propose_word, together
from resnet_spec.language.spec import ROLES, Block, Spec, Use, library
from resnet_spec.lowering.name_sets import Names
from resnet_spec.ops import OPERATIONS, fields_of

YAML_1_1_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
ARGUMENT_SYNONYMS = {
    **SYNONYMS,
    **dict.fromkeys(("planes", "channels", "filters", "out_channels", "num_filters", "features", "out_planes", "dim"), "width"),
    **dict.fromkeys(("num_layers", "n_blocks", "repeat", "layers", "num_repeats"), "depth"),
    **dict.fromkeys(("cardinality", "num_groups"), "groups"),
    "width_per_group": "base_width",
}
_WHERE_OPERATIONS_ARE = "`resnet-spec list --operations` and `resnet-spec list --blocks` list what there is"
_SIZE = re.compile(r"[1-9][0-9]*x[1-9][0-9]*x[1-9][0-9]*")
_CALL = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)\((.*)\)")
_SEQUENCES = "recurrent layers over a sequence"
_TOKENS = "use convolutions; a gate of channels or pixels is `mean`, `conv2d`, `sigmoid`, `multiply`"
_SHAPES = "a map stays C x H x W until `flatten` makes a vector of it; `pixel_shuffle` and `channel_shuffle` reorder it"
# What the language does not have on purpose: what it is, and what there is instead.
NOT_IN_THE_LANGUAGE: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("matmul", "bmm", "einsum", "outer"), ("products of two values as matrices", _TOKENS)),
    **dict.fromkeys(
        ("attention", "self_attention", "multihead_attention", "multiheadattention", "mha", "transformer", "cross_attention"),
        ("attention over tokens", _TOKENS),
    ),
    **dict.fromkeys(
        ("embedding", "positional_embedding", "pos_embed", "cls_token", "class_token"),
        ("tables of learned vectors", "the input is an image; `scale` has a learned factor for each channel"),
    ),
    **dict.fromkeys(
        ("reshape", "view", "permute", "transpose", "unflatten", "rearrange", "squeeze", "unsqueeze"), ("reshaping", _SHAPES)
    ),
    **dict.fromkeys(
        ("lstm", "gru", "rnn"), (_SEQUENCES, "the input is one image: use convolutions and pools, which see it as a whole")
    ),
    **dict.fromkeys(
        ("shared", "share", "tied", "tie", "weight_sharing", "reuse", "same_as"),
        ("sharing of weights", "give each use its own weights; a stage of `depth` blocks has equal ones"),
    ),
    **dict.fromkeys(
        ("lambda", "python", "custom", "function", "code"), ("Python code", "wrap the built module in one of your own")
    ),
    **dict.fromkeys(
        ("while", "for", "loop", "repeat"), ("loops", "a stage repeats a block: `layer1: {block: NAME, depth: 4}`")
    ),
}


def explain_operation(spec: Spec, use: Use, inside: Block | None, operations: Names) -> tuple[str, str, Fixes]:
    """The message about an operation that there is not, the help, and its fixes. `inside`: the block that it is in."""
    word = use.op.lower().removeprefix("torch.").removeprefix("nn.")
    if (found := NOT_IN_THE_LANGUAGE.get(word)) is not None and use.op not in operations:
        what, instead = found
        return f"not in this language: {what} (`{use.op}`)", instead, ()
    return f"there is no operation or block `{use.op}`", *_explain_word(spec, use, inside, operations)


def _explain_word(spec: Spec, use: Use, inside: Block | None, operations: Names) -> tuple[str, Fixes]:
    if inside is not None and (use.op in inside.args or use.op in inside.defaults):
        return (
            f"`{use.op}` is an argument, and the value of an argument cannot be an operation: name the operation here",
            (),
        )
    if (call := _CALL.fullmatch(use.op)) is not None:
        return _explain_call(spec, use, call[1], call[2], operations)
    if use.op in ("None", "none", "null") and use.name in ROLES:
        help = "write `identity` for none at all"
        return help, propose(help, replace_text(use.op_span, "identity"), "safe")
    if use.name == "input" and (size := _SIZE.fullmatch(use.op)) is not None:
        help = f"the size of the input belongs at the top: `input: {size[0]}`"
        source = use.key.source
        return help, propose(help, together(remove_entry(use.key), set_path(source, ("input",), size[0])), "safe")
    if use.op in ("None", "none", "null") and use.op_span.source.origin == "spec":
        help = "write `null` to delete the entry"
        return help, propose(help, replace_text(use.op_span, "null"))
    from resnet_spec.lowering.other_names import describe, equivalent, write_as  # only specs with this mistake need it

    other = equivalent(use.op)
    if other is not None:
        help = describe(use.op, *other)
        return help, write_as(use, use.op, *other, help)
    near = closest(use.op, operations.vocabulary, SYNONYMS)
    if near is None:
        return _WHERE_OPERATIONS_ARE, ()
    help = f"did you mean `{near}`?"
    return help, (*write_as(use, use.op, near, {}, help), *propose_word(use.op_span, near, use.op))


def _explain_call(spec: Spec, use: Use, name: str, given: str, operations: Names) -> tuple[str, Fixes]:
    """The help for an operation or a block that is written like a call: `GroupNorm(32)`."""
    near = name if name in operations else closest(name.rpartition(".")[2], operations.vocabulary, SYNONYMS)
    block = None if near is None else spec.find_block(near, use.op_span)
    required = list(block.args) if block is not None else []
    if near in OPERATIONS:
        required = [key for key, field in fields_of(OPERATIONS[near]).items() if field.required]
    if near is None or len(required) != 1 or not re.fullmatch(r"[0-9.]+", given.strip()):
        return f"name its fields: `{{op: {near or name}, NAME: {given}}}`", ()
    text = f"{{op: {near}, {required[0]}: {given.strip()}}}"
    return f"name its fields: `{text}`", propose(f"write `{text}`", replace_text(use.op_span, text))


def explain_variable(
    spec: Spec, name: str, span: Span, visible: Names, inside: Block | None, undeclared: Container[str], defined: str = ""
) -> tuple[str, Fixes]:
    """The help for a name in an expression that is not defined, and its fixes.

    Args:
        visible: the names that are defined.
        inside: the block that it is in.
        undeclared: arguments that the block reads and does not declare.
        defined: the name whose value the expression is.
    """
    if name == "classes":
        help = "add the number of classes at the top of the spec: `classes: 1000`"
        return help, propose(help, set_path(spec.span.source, ("classes",), "1000"))
    near = closest(name, visible.vocabulary, SYNONYMS)
    near = None if near == defined else near
    if near is None and (name in OPERATIONS or name in ROLES or library(name) is not None):
        return "an operation cannot be the value of an argument: name it as `op` where it is used", ()
    if inside is not None:
        if name in undeclared:
            near = None
        if near is None:
            return f"declare it in the block: `args: [{name}]`", ()
    return show_suggestion(near, visible.vocabulary), propose_word(span, near, name)


def meant_word(name: str, words: Collection[str]) -> str | None:
    """The keyword of a field, or the number, that a word most likely means: `SAME` is `same`, `valid` is no padding."""
    return "0" if name.lower() in ("valid", "none", "no") else closest(name, words)


def is_misspelled(name: str, words: Vocabulary, given: Container[str]) -> bool:
    """Whether an argument is most likely a misspelling of one of the words, which is not `given` itself."""
    near = closest(name, words)
    return near is not None and near not in given and is_misspelling(name, near)
