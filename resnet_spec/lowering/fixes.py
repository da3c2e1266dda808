"""Fixes of blocks: where a stride, a padding or a shortcut is missing, as edits of the spec."""

from __future__ import annotations

from resnet_spec.language.editing import set_field
from resnet_spec.language.fixes import Fixes, propose, together
from resnet_spec.language.spec import Block, ScalarNode, Spec, Stage, Use
from resnet_spec.ops import OPERATIONS, fields_of

MOST_TRIED = 8  # operations of a shortcut that may need the stride
# Where a shortcut has to project: the identity is kept in all other blocks.
_WHERE_NEEDED = "stride != 1 or in_channels != {width}"


def give_stride(block: Block) -> Fixes:
    """Give a block an argument `stride` that its first window of stride 1 uses, and its shortcut too if it has one."""
    strided = next((use for use in block.branch if _takes_stride(use)), None)
    if strided is None or block.key.source.origin == "library":
        return ()
    declared = set_field(block.key, ("defaults", "stride"), "1")
    edits = together(declared, set_field(strided.key, "stride", "stride"))
    title = f"declare it and use it: `defaults: {{stride: 1}}` in the block, and `stride: stride` at `{strided.name}`"
    fixes = propose(title, edits, is_help=True)
    for use in block.shortcut[:MOST_TRIED]:
        more = together(edits, set_field(use.key, "stride", "stride"))
        fixes += propose(f"{title} and at `{use.name}`", more, is_help=True)
    if block.join is not None and not block.shortcut:
        added = set_field(block.key, "shortcut", f"{{downsample: {text_of_projection(branch_width(block), True)}}}")
        fixes += propose(f"{title}; and project the shortcut where the shape changes", together(edits, added), is_help=True)
    return fixes


def likely_widths(spec: Spec) -> dict[Use, str]:
    """The widths that stages most likely have: that of the stage before it, doubled where the stage has a stride of 2."""
    found: dict[Use, str] = {}
    before = 0
    for stage in spec.entries:
        if not isinstance(stage, Stage):
            continue
        stride = stage.stride.value if stage.stride is not None else None
        doubled = isinstance(stride, ScalarNode) and stride.value == 2
        found[stage.block] = str(before * 2 if doubled else before) if before else "64"
        width = stage.block.arguments.get("width")
        value = width.value.value if width is not None and isinstance(width.value, ScalarNode) else None
        before = value if isinstance(value, int) else before
    return found


def text_of_projection(width: str, strided: bool) -> str:
    """The text of a projection that is present only where the shapes differ."""
    if strided:
        return f'{{op: projection, if: "{_WHERE_NEEDED.format(width=width)}", width: {_quoted(width)}, stride: stride}}'
    return f'{{op: projection, if: "in_channels != {width}", width: {_quoted(width)}}}'


def _quoted(expression: str) -> str:
    return f'"{expression}"' if set(expression) & set(",:{}[]#&*!|>%@`") else expression


def _takes_stride(use: Use) -> bool:
    operation = OPERATIONS.get(use.op)
    return operation is not None and "stride" in fields_of(operation) and "stride" not in use.arguments


def branch_width(block: Block) -> str:
    """The text of the number of channels that a branch most likely returns."""
    for use in reversed(block.branch):
        operation = OPERATIONS.get(use.op)
        written = use.arguments.get("out_channels")
        if operation is not None and written is not None and hasattr(written.value, "text"):
            return str(written.value.text)
    return "in_channels"
