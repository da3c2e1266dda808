"""The text in the boxes and titles of a diagram."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from resnet_spec.analysis.cost import Cost
from resnet_spec.analysis.memory import bytes_text
from resnet_spec.diagnostics.text import join_words
from resnet_spec.graph.model import Item
from resnet_spec.ops import Operation, Pair, Shape, show

from .style import Show

TIMES = "×"  # noqa: RUF001


def operation_caption(op: Operation, strides: Collection[Pair] = ()) -> str:
    """`conv 3x3, 64, /2`. A box that represents operations with different strides shows all of them."""
    window = op.window()
    return op.caption() if window is None else op.caption() + stride_caption(strides or [window.stride])


def stride_caption(strides: Iterable[Pair]) -> str:
    """`, /2`, or `, /1 or /2` for several strides; empty for a stride of 1."""
    found = sorted(set(strides))
    if found == [(1, 1)]:
        return ""
    return ", " + join_words([f"/{high}" if high == wide else f"/{show((high, wide))}" for high, wide in found], "or")


def item_caption(item: Item, times: int) -> str:
    """`layer1`; for several equal blocks `0-17`."""
    if times == 1:
        return item.name
    return item.name + (f"-{int(item.name) + times - 1}" if item.name.isdigit() else f" and {times - 1} more")


def fact_lines(show_: Collection[Show], output: Shape, cost: Cost, numbers: int, times: int = 1) -> list[str]:
    """The lines that the option `show` selects.

    Args:
        output: the output shape.
        cost: of one of the `times` equal blocks that a box represents.
        numbers: the count of numbers in the outputs of one of them, for one image.
    """
    lines: list[str] = []
    if "shapes" in show_:
        lines.append(show(output))
    if "params" in show_ and cost.params:
        lines.append(f"{short_count(cost.params * times)} parameters")
    if "macs" in show_ and cost.macs:
        lines.append(f"{short_count(cost.macs * times)} multiply-adds")
    if "memory" in show_:
        lines.append(bytes_text(4 * numbers * times))
    return lines


def short_count(count: int) -> str:
    """`25.6M`."""
    value = float(count)
    for unit in ("", "k", "M", "G", "T"):
        if value < 1000:
            return f"{value:.3g}{unit}" if unit else f"{count}"
        value /= 1000
    return f"{value:.3g}P"


def wrap(text: str, width: int = 48) -> list[str]:
    """Wrap a text into lines of at most `width` characters, except for longer words."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
