"""Writes a network as plain PyTorch: a file that needs torch alone, with the same keys, outputs and initial weights.

    parts        layers, sequences, blocks                  source.parts
    classes      one for each distinct kind of block        source.classes
    parameters   the numbers in which uses differ           source.parameters
    text         constructors, forwards, the whole file     source.constructors, source.forwards

Names and texts of the spec reach the file as attributes, literals and comments that they cannot end.
"""

from __future__ import annotations

import re
import textwrap

from resnet_spec.compiler import Analysis
from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops.source import SourceCall
from resnet_spec.outputs.source.class_calls import ClassCalls
from resnet_spec.outputs.source.class_count import find_classifiers
from resnet_spec.outputs.source.classes import BlockClass, Classes
from resnet_spec.outputs.source.constructors import BODY, Constructor
from resnet_spec.outputs.source.custom_layers import layer_sources
from resnet_spec.outputs.source.forwards import Forward, find_functional
from resnet_spec.outputs.source.initialization import write_initialization
from resnet_spec.outputs.source.layout import WIDTH, Call, Element, Text, lay_out, literal, remark, shape_literal
from resnet_spec.outputs.source.names import network_name
from resnet_spec.outputs.source.parameters import ABSENT
from resnet_spec.outputs.source.parts import Partition, SourcePart

_TEXTS = re.compile(r'"""[\s\S]*?"""|"(?:[^"\\]|\\.)*"|#.*')  # docstrings, literals and comments

MOST_LISTED = 4  # layers of a block that are its description


def python_source(analysis: Analysis) -> str:
    """The text of a Python file with the network of `analysis`: a class for each kind of block, and `build`.

    `build(num_classes, weights)` returns the module; its `state_dict` has the keys of `resnet_spec.build`.
    """
    return _File(analysis).text()


class _File:
    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.graph: Graph = analysis.graph
        classes = analysis.spec.classes
        count = classes.value if classes is not None and isinstance(classes.value, int) else None
        found = frozenset[int]() if count is None else find_classifiers(self.graph, count)
        self.partition = Partition(self.graph, analysis.input, analysis.shapes, found)
        self.num_classes = count if found else None
        self.custom: set[str] = set()
        self.initialization = write_initialization(self.graph)
        self.ordered_dict = self.any = False
        self.classes = Classes(self.partition.top, frozenset(layer_sources()))
        self.network = self.classes.names.give(network_name(self.graph.name, analysis.spec.about))
        self.classes.finish()
        self.calls: dict[int, tuple[ClassCalls, int]] = {}

    def text(self) -> str:
        written = [self._class(known, self._calls(known)) for known in self.classes.all]
        top = SourcePart(
            "block", (self.network,), 0, len(self.graph.nodes), (INPUT,), self.graph.output, parts=self.partition.top
        )
        network = BlockClass(self.network, "", top.parts, (), [top], [top.parts])
        written.append(self._class(network, self._calls(network), is_network=True))
        sources = layer_sources()
        text = "\n".join(written)
        layers = [sources[name] for name in sorted(self.custom) if re.search(rf"\b{name}\(", text)]
        initialization = ["\n".join(self.initialization.lines)] if self.initialization.lines else []
        sections = [*layers, *written, *initialization, self._build()]
        body = "\n\n\n".join(sections)
        return f"{self._header(body)}\n\n\n{body}\n"

    # --- classes ----------------------------------------------------------------------------------------------------------

    def _call_of(self, part: SourcePart) -> SourceCall:
        if part.kind != "block":
            assert part.call is not None
            if part.call.custom:
                self.custom.add(part.call.callee)
            return part.call
        calls, use = self.calls[id(part)]
        return calls.constructor(use)

    def _calls(self, known: BlockClass) -> ClassCalls:
        calls = ClassCalls(known, self._call_of, self.partition.shape_of)
        for number, use in enumerate(known.uses):
            self.calls[id(use)] = (calls, number)
        return calls

    def _class(self, known: BlockClass, calls: ClassCalls, is_network: bool = False) -> str:
        functional = find_functional(calls)
        names = frozenset(each.name for each in self.classes.all)
        constructor = Constructor(calls, names, functional)
        in_order = not is_network and _is_sequential(known, functional)
        base = "nn.Sequential" if in_order else "nn.Module"
        lines = [f"class {known.name}({base}):", *self._docstring(known, calls, is_network), ""]
        made = constructor.sequential() if in_order else constructor.statements()
        self.ordered_dict |= constructor.uses_ordered_dict
        self.any |= constructor.uses_any
        if made:
            lines += _signature(calls)
            lines += made if in_order else [f"{' ' * BODY}super().__init__()", *self._seeded(made, is_network)]
            lines.append("")
        if not in_order:
            outputs = self.graph.outputs if is_network else ()
            result = "dict[str, Tensor]" if outputs else "Tensor"
            lines.append(f"    def forward(self, x: Tensor) -> {result}:")
            lines += Forward(calls, functional, constructor.containers, outputs).statements()
        return "\n".join(lines).rstrip()

    def _seeded(self, made: list[str], is_network: bool) -> list[str]:
        margin = " " * BODY
        if not is_network or not self.initialization.lines:
            return made
        if not self.initialization.draws:
            return [*made, f"{margin}init_weights(self)"]
        before = [f"{margin}state = torch.get_rng_state()"]
        after = f"{margin}torch.set_rng_state(state)  # init_weights replaces what the layers drew"
        return [*before, *made, after, f"{margin}init_weights(self)"]

    def _docstring(self, known: BlockClass, calls: ClassCalls, is_network: bool) -> list[str]:
        if is_network:
            about = remark(self.analysis.spec.about) or f"The network {remark(self.graph.name)}"
            shapes = f"Images are {shape_literal(self.analysis.input)}, the output is {self._outputs()}."
            return _docstring(about, shapes, 4)
        block = self.analysis.spec.find_block(known.label, self.analysis.spec.span)
        about = remark(block.about) if block is not None else ""
        about = about or _layers(known) or f"The block {remark(known.label)}"
        entering = _entering(known, calls)
        leaving = calls.shape_text(known.uses)
        shapes = f"{entering} to {leaving}." if entering and leaving else ""
        return _docstring(about, shapes, 4)

    def _outputs(self) -> str:
        if not self.graph.outputs:
            return shape_literal(self.analysis.output)
        shapes = [
            f"{remark(output.name)} {shape_literal(self.partition.shape_of(output.value))}"
            + (" in training" if output.training_only else "")
            for output in self.graph.outputs
        ]
        return "a dict: " + ", ".join(shapes)

    # --- the file ---------------------------------------------------------------------------------------------------------

    def _header(self, body: str) -> str:
        from resnet_spec import __version__

        name = remark(self.graph.name)
        about = remark(self.analysis.spec.about)
        title = f"{name}: {about}" if about else f"{name}, in plain PyTorch"
        origin = f"Generated by resnet-spec {__version__} from the spec {name}, {self.analysis.fingerprint}."
        # No comment with texts of the spec in the first two lines: there it could declare another encoding of the file.
        lines = [*_docstring(title, origin, 0), "", "from __future__ import annotations", ""]
        code = _TEXTS.sub("", body)
        standard = ["import math"] * (re.search(r"\bmath\.", code) is not None)
        standard += ["from collections import OrderedDict"] * self.ordered_dict
        standard += ["from pathlib import Path"]
        standard += ["from typing import Any"] * self.any
        functional = ["import torch.nn.functional as F"] * (re.search(r"(?<![\w.])F\.", code) is not None)
        return "\n".join([*lines, *standard, "", "import torch", *functional, "from torch import Tensor, nn"])

    def _build(self) -> str:
        parameters = ["weights: str | Path | None = None"]
        argument = ""
        if self.num_classes is not None:
            parameters.insert(0, f"num_classes: int = {self.num_classes}")
            argument = "num_classes"
        items = tuple(Element(Text(each)) for each in parameters)
        lines = lay_out("", Call("def build", items), f" -> {self.network}:")
        lines += [
            '    """Build the network, with the weights of a file that holds its `state_dict`."""',
            f"    model = {self.network}({argument})",
            "    if weights is not None:",
            '        state = torch.load(weights, map_location="cpu", weights_only=True)',
            "        model.load_state_dict(state)",
            "    return model",
        ]
        return "\n".join(lines)


def _is_sequential(known: BlockClass, functional: frozenset[int]) -> bool:
    """Whether a class is a sequence of numbered modules."""
    parts = known.parts
    if not parts or known.optional or any(part.is_parameter or len(part.path) > 1 for part in parts):
        return False
    if [part.name for part in parts] != [str(place) for place in range(len(parts))]:
        return False
    value = known.model.inputs[0]
    for part in parts:
        if part.inputs != (value,):
            return False
        value = part.output
    return value == known.model.output


def _signature(calls: ClassCalls) -> list[str]:
    items = [Element(Text("self"))]
    for each in calls.parameters.ordered:
        default = "" if each.default is ABSENT else f" = {literal(each.default)}"
        default = f" = {literal(each.column[0])}" if each.name == "num_classes" and not default else default
        items.append(Element(Text(f"{each.name}: {each.annotation}{default}")))
    return lay_out("", Call("def __init__", tuple(items)), " -> None:", 4)


def _entering(known: BlockClass, calls: ClassCalls) -> str:
    shapes = [calls.shape_of(use.inputs[0]) for use in known.uses]
    if len(set(shapes)) == 1 and not (calls.is_generic and len(shapes[0]) == 3):
        return shape_literal(shapes[0])
    if any(len(shape) != 3 for shape in shapes):
        return ""
    channels = calls.parameters.text_of(tuple(shape[0] for shape in shapes), "channels")
    return f"(N, {channels or 'C'}, H, W)"


def _docstring(text: str, more: str, indent: int) -> list[str]:
    """A docstring of a sentence and, after a blank line, of more."""
    margin = " " * indent
    text = text[:1].upper() + text[1:] if indent else text
    text = text if text.endswith((".", "!", "?")) else f"{text}."
    rest = textwrap.wrap(more, WIDTH - indent, break_on_hyphens=False)
    if not rest and len(text) + indent + 6 <= WIDTH:
        return [f'{margin}"""{text}"""']
    width = WIDTH - indent - (3 if rest else 6)  # a formatter puts the quotes behind a single line, whatever its width
    first, *others = textwrap.wrap(text, width, break_on_hyphens=False)
    blank = [""] if rest else []
    body = [f"{margin}{line}" for line in others] + blank + [f"{margin}{line}" for line in rest]
    return [f'{margin}"""{first}', *body, f'{margin}"""']


def _layers(known: BlockClass) -> str:
    """The layers of a block that has only a few, in order."""
    names = [part.call.callee.removeprefix("nn.") for part in known.parts if part.call is not None]
    if known.optional or len(names) != len(known.parts) or len(names) > MOST_LISTED:
        return ""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
