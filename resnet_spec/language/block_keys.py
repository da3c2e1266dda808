"""Keys of blocks, and words of a few fields, by the names that other libraries give them."""

from __future__ import annotations

from resnet_spec.diagnostics.effort import may_edit
from resnet_spec.language.editing import replace_text, replace_value
from resnet_spec.language.fixes import Fixes, propose, together
from resnet_spec.language.nodes import MappingNode, ScalarNode
from resnet_spec.language.restructuring import wrap_inside

PARTS_OF_BLOCKS: dict[str, str] = {  # what others call a part of a block
    **dict.fromkeys(("main", "body", "layers", "ops", "operations", "residual_branch", "path", "main_path"), "branch"),
    **dict.fromkeys(("skip", "identity", "downsample", "skip_connection", "skip_path", "bypass"), "shortcut"),
    **dict.fromkeys(("combine", "merge", "fusion", "aggregate"), "join"),
    **dict.fromkeys(("post", "final", "end", "tail"), "after"),
    **dict.fromkeys(("params", "parameters", "arguments", "inputs", "required"), "args"),
    **dict.fromkeys(("kwargs", "optional", "default"), "defaults"),
    **dict.fromkeys(("variables", "locals", "where", "vars"), "let"),
    **dict.fromkeys(("out", "out_planes", "output_channels", "channels_out"), "out_channels"),
    **dict.fromkeys(("doc", "description", "comment"), "about"),
    **dict.fromkeys(("base", "inherit", "inherits", "from"), "extends"),
}
WORDS: dict[str, str] = {  # what others call a word of a field
    **dict.fromkeys(("he", "he_normal", "kaiming", "kaiming_normal", "msra"), "kaiming_fan_out"),
    "he_uniform": "kaiming_fan_in",
    **dict.fromkeys(("glorot", "glorot_uniform", "xavier"), "xavier_uniform"),
    "glorot_normal": "xavier_normal",
    **dict.fromkeys(("truncated_normal", "normal"), "trunc_normal"),
    **dict.fromkeys(("default", "torch", "none"), "pytorch"),
    "zero": "zeros",
    "one": "ones",
}


def explain_key_of_block(extra: str, body: MappingNode) -> tuple[str, Fixes] | None:
    """The help for an unknown key of a block, and its fixes; None if there is no idea."""
    entry = body.entries[extra]
    if not may_edit(entry.key):
        return None
    if extra in ("residual", "add", "skip", "shortcut_add", "use_shortcut") and isinstance(entry.value, ScalarNode):
        title = "write `join: add`: without a shortcut, the input is added as it is"
        if "join" in body.entries or entry.value.value is not True:
            return title, ()
        return title, propose(title, together(replace_text(entry.key, "join"), replace_value(entry.value, "add")))
    if isinstance(entry.value, MappingNode) and "op" in entry.value.entries and "branch" not in body.entries:
        names = [name for name, each in body.entries.items() if _is_operation(each.value) and name not in _KEYS]
        title = "the operations of a block are in its `branch`: indent them under `branch:`"
        return title, propose(title, wrap_inside([body.entries[name].key for name in names], "branch"), is_help=True)
    if isinstance(entry.value, ScalarNode) and "branch" not in body.entries:
        return "the operations of a block are in its `branch`: indent them under `branch:`", ()
    return None


_KEYS = ("about", "extends", "args", "defaults", "let", "out_channels", "branch", "shortcut", "join", "after")


def _is_operation(value: object) -> bool:
    if isinstance(value, MappingNode):
        return "op" in value.entries
    return isinstance(value, ScalarNode) and isinstance(value.value, str)
