"""A network as a table: for a terminal, as Markdown, and as JSON.

The columns are layer, input size, output size, channels, kernel, stride, padding and parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import groupby
from math import prod
from typing import Literal

from resnet_spec.analysis.cost import Cost, total
from resnet_spec.analysis.memory import Memory, bytes_text
from resnet_spec.analysis.receptive_field import ReceptiveField
from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.diagnostics.text import display_width, pad, printable
from resnet_spec.graph.model import INPUT, Item, tree
from resnet_spec.ops import Shape, Window, show

SummaryDetail = Literal["stage", "block", "op"]
JSON_VERSION = 1


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One row: an operation, or a block or stage with everything in it. Shapes are without the batch."""

    name: str
    kind: str
    input: Shape
    output: Shape
    kernel: str
    stride: str
    padding: str
    cost: Cost
    arithmetic: str = ""
    count: int = 1
    last: str = ""  # the name of the last of several equal rows
    field: ReceptiveField | None = None  # the receptive field of its output

    @property
    def title(self) -> str:
        return self.name if self.count == 1 else f"{self.name} ... {self.last}"


def make_rows(sized: SizedGraph, detail: SummaryDetail, fields: Sequence[ReceptiveField] | None = None) -> list[SummaryRow]:
    """Make the rows of a network. Equal neighboring blocks are one row, with the cost of all of them.

    With `fields` (from `analysis.receptive_field`) rows also show receptive fields; then no two blocks are equal.
    """
    maker = _Rows(sized, detail, fields)
    rows = [row for item in tree(sized.graph) for row in maker.rows(item, "")]
    return _collapse(rows) if detail == "block" else rows


class _Rows:
    def __init__(self, sized: SizedGraph, detail: SummaryDetail, fields: Sequence[ReceptiveField] | None) -> None:
        self.sized, self.graph = sized, sized.graph
        self.detail, self.fields = detail, fields

    def rows(self, item: Item, prefix: str) -> list[SummaryRow]:
        name = item.name if item.region is not None and item.region.inline else prefix + item.name
        if item.region is None:
            return [self.operation(item, name)]
        opened = self.detail == "op" or (self.detail == "block" and item.region.kind == "stage")
        if opened:
            below = prefix if item.region.inline else name + "."
            return [row for each in item.items for row in self.rows(each, below)]
        return [self.group(item, name)]

    def operation(self, item: Item, name: str) -> SummaryRow:
        node = self.graph.nodes[item.start]
        x, output, window = self.sized.shape_of(node.inputs[0]), self.sized.shapes[item.start], node.op.window()
        kernel, stride, padding = ("", "", "") if window is None else _columns(window)
        cost, lesson = self.sized.costs[item.start], node.op.arithmetic(x)
        return SummaryRow(name, node.op.name, x, output, kernel, stride, padding, cost, lesson, field=self.field(item.start))

    def group(self, item: Item, name: str) -> SummaryRow:
        region = item.region
        assert region is not None
        blocks = sum(1 for each in item.items if each.region is not None and each.region.kind == "block")
        kind = f"{blocks} x {region.label}" if region.kind == "stage" else region.label
        windows = self.main_path(item) if region.kind != "stage" else []
        kernels = ", ".join(_pair(window.kernel) for window in windows)
        strides = _pair((prod(w.stride[0] for w in windows), prod(w.stride[1] for w in windows))) if windows else ""
        paddings = ", ".join(_pair(window.padding) for window in windows)
        cost = self.sized.total(item.start, item.stop)
        entering, leaving = self.sized.shape_of(item.inputs[0]), self.sized.shape_of(item.output)
        return SummaryRow(name, kind, entering, leaving, kernels, strides, paddings, cost, field=self.field(item.output))

    def field(self, value: int) -> ReceptiveField | None:
        return self.fields[value] if self.fields is not None and value != INPUT else None

    def main_path(self, item: Item) -> list[Window]:
        """The windows on the path from a region's input to its output, following the branch at joins."""
        found: list[Window] = []
        value = item.output
        while value != INPUT and value >= item.start:
            node = self.graph.nodes[value]
            window = node.op.window()
            if window is not None:
                found.append(window)
            value = node.inputs[-1]
        return found[::-1]


def _collapse(rows: list[SummaryRow]) -> list[SummaryRow]:
    """Merge neighboring rows that differ only in their names."""
    found: list[SummaryRow] = []
    for _, group in groupby(rows, key=lambda row: (replace(row, name=""), row.name.rpartition(".")[0])):
        same = list(group)
        first = same[0]
        if "." in first.name and len(same) > 1:
            found.append(replace(first, cost=total(row.cost for row in same), count=len(same), last=same[-1].name))
        else:
            found.extend(same)
    return found


def _pair(pair: tuple[int | Fraction, int | Fraction]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _columns(window: Window) -> tuple[str, str, str]:
    return _pair(window.kernel), _pair(window.stride), _pair(window.padding)


def size_text(shape: Shape, batch: int | None) -> str:
    """`64x56x56`, or `2x64x56x56` with a batch."""
    return show(shape) if batch is None else show((batch, *shape))


def channels_text(row: SummaryRow) -> str:
    before, after = row.input[0], row.output[0]
    return str(after) if before == after else f"{before} -> {after}"


_HEADINGS = ("layer", "kind", "input", "output", "channels", "kernel", "stride", "padding", "parameters")
_FIELD_HEADINGS = ("field", "jump", "reach")
_RIGHT = {"parameters"}


def _headings(rows: Sequence[SummaryRow]) -> tuple[str, ...]:
    return (*_HEADINGS, *_FIELD_HEADINGS) if any(row.field is not None for row in rows) else _HEADINGS


def _field_data(field: ReceptiveField) -> dict[str, object]:
    """A receptive field as JSON data, in pixels of the input."""
    jump = [value if isinstance(value, int) else float(value) for value in field.jump]
    return {"size": field.size, "jump": jump, "start": field.start, "whole": field.whole}


def _field_cells(field: ReceptiveField | None) -> tuple[str, ...]:
    """Size, jump and reach into the padding of a receptive field, in pixels of the input."""
    if field is None:
        return ()
    return ("whole", "", "") if field.whole else (_pair(field.size), _pair(field.jump), _pair(field.padding))


def cells(rows: Sequence[SummaryRow], batch: int | None) -> list[tuple[str, ...]]:
    """The table's cells, row by row, without headings."""
    return [
        (
            printable(row.title),
            printable(row.kind) + (f" x{row.count}" if row.count > 1 else ""),
            size_text(row.input, batch),
            size_text(row.output, batch),
            channels_text(row),
            row.kernel,
            row.stride,
            row.padding,
            f"{row.cost.params:,}",
            *_field_cells(row.field),
        )
        for row in rows
    ]


def text_table(rows: Sequence[SummaryRow], batch: int | None = None) -> str:
    """The table for a terminal."""
    heads = _headings(rows)
    body = [heads, *cells(rows, batch)]
    widths = [max(display_width(line[column]) for line in body) for column in range(len(heads))]
    lines = [
        "  ".join(pad(cell, width, head in _RIGHT) for cell, width, head in zip(line, widths, heads, strict=True)).rstrip()
        for line in body
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def arithmetic_text(rows: Sequence[SummaryRow]) -> str:
    """The worked formula of each layer's size or weights, a line for each layer that has one."""
    shown = [(printable(row.title), row.kind, row.arithmetic) for row in rows if row.arithmetic]
    wide = max((display_width(name) for name, _, _ in shown), default=0)
    kinds = max((len(kind) for _, kind, _ in shown), default=0)
    return "".join(f"{pad(name, wide)}  {kind:<{kinds}}  {text}\n" for name, kind, text in shown)


def markdown_table(rows: Sequence[SummaryRow], batch: int | None = None) -> str:
    """The table in Markdown."""
    heads = _headings(rows)
    head = "| " + " | ".join(heads) + " |\n"
    rule = "|" + "|".join(" ---: " if name in _RIGHT else " --- " for name in heads) + "|\n"
    body = "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in cells(rows, batch))
    return head + rule + body


def json_document(facts: Mapping[str, object], rows: Sequence[SummaryRow], batch: int | None) -> str:
    """`facts` about the network and one entry for each row, as versioned JSON; sizes begin with `batch` unless it is None."""
    lead = [] if batch is None else [batch]
    layers = [
        {
            "name": row.name,
            **({"last": row.last, "count": row.count} if row.count > 1 else {}),
            "kind": row.kind,
            "input": [*lead, *row.input],
            "output": [*lead, *row.output],
            "kernel": row.kernel,
            "stride": row.stride,
            "padding": row.padding,
            **asdict(row.cost),
            **({"arithmetic": row.arithmetic} if row.arithmetic else {}),
            **({"field": _field_data(row.field)} if row.field is not None else {}),
        }
        for row in rows
    ]
    return json.dumps({"version": JSON_VERSION, **facts, "layers": layers}, indent=2) + "\n"


def totals_text(cost: Cost) -> str:
    """The last lines under a table."""
    return (
        f"{cost.params:,} parameters, {cost.buffers:,} buffer values\n"
        f"{cost.macs:,} multiply-adds for one image (conv2d and linear), {cost.other_ops:,} other operations\n"
    )


def outputs_text(sized: SizedGraph) -> str:
    """A line for each named output: its shape, and for a map how many input pixels there are for one of its pixels. Then a line
    about what only training needs."""
    outputs = sized.graph.outputs
    wide = max((display_width(printable(output.name)) for output in outputs), default=0)
    lines = []
    for output in outputs:
        shape = sized.shape_of(output.value)
        steps = [Fraction(whole, part) for whole, part in zip(sized.input[1:], shape[1:], strict=False)]
        reduction = f", 1 pixel for {_pair((_plain(steps[0]), _plain(steps[1])))} of the input" if len(steps) == 2 else ""
        only = ", in training only" if output.training_only else ""
        lines.append(f"output {pad(printable(output.name), wide)}  {show(shape)}{reduction}{only}\n")
    skipped = sized.graph.skipped_in_evaluation()
    if skipped:
        cost = total(sized.costs[position] for position in skipped)
        lines.append(f"of all this, {cost.params:,} parameters and {cost.macs:,} multiply-adds are for training only\n")
    return "".join(lines)


def _plain(number: Fraction) -> int | Fraction:
    return int(number) if number.denominator == 1 else number


def outputs_data(sized: SizedGraph) -> dict[str, object]:
    """The named outputs as JSON data; empty for a network that returns a single tensor."""
    outputs = {
        output.name: {"shape": sized.shape_of(output.value), "training_only": output.training_only}
        for output in sized.graph.outputs
    }
    return {"outputs": outputs} if outputs else {}


def memory_text(memory: Memory, batch: int, dtype: str) -> str:
    """The memory that training and inference need, in binary units."""
    lines = [
        f"memory for a batch of {batch} in {dtype}:",
        f"  training   {bytes_text(memory.training):>10}  = weights {bytes_text(memory.params + memory.buffers)}"
        f" + gradients {bytes_text(memory.gradients)} + momentum {bytes_text(memory.optimizer)} (Adam: twice that)"
        f" + kept for backward {bytes_text(memory.saved)}",
        f"  inference  {bytes_text(memory.inference):>10}  = weights {bytes_text(memory.params + memory.buffers)}"
        f" + live values at the peak {bytes_text(memory.peak)}",
    ]
    return "\n".join(lines) + "\n"
