"""The function that initializes the weights, where a spec does not leave that to the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_spec.graph.model import Graph, Node
from resnet_spec.outputs.source.layout import WIDTH, call, flat, lay_out, literal, quoted

_METHODS = {
    "kaiming_fan_out": 'nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")',
    "kaiming_fan_in": 'nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")',
    "xavier_uniform": "nn.init.xavier_uniform_(module.weight)",
    "xavier_normal": "nn.init.xavier_normal_(module.weight)",
    "trunc_normal": "nn.init.trunc_normal_(module.weight, std=0.02)",
    "zeros": "nn.init.zeros_(module.weight)",
    "ones": "nn.init.ones_(module.weight)",
}
_SAID = {
    "kaiming_fan_out": "Normal weights for ReLUs, by the outputs of each convolution (He et al. 2015).",
    "kaiming_fan_in": "Normal weights for ReLUs, by the inputs of each convolution (He et al. 2015).",
    "xavier_uniform": "Uniform weights by inputs and outputs (Glorot and Bengio 2010).",
    "xavier_normal": "Normal weights by inputs and outputs (Glorot and Bengio 2010).",
    "trunc_normal": "Truncated normal weights with a deviation of 0.02.",
}


@dataclass(frozen=True, slots=True)
class Initialization:
    """The function as lines; empty if the layers' own initialization is that of the spec.

    `draws`: the layers draw random numbers first that are then replaced.
    """

    lines: tuple[str, ...] = ()
    draws: bool = False


def word_of(graph: Graph, node: Node) -> str:
    """How the weight of a node is initialized."""
    applies = node.op.draws_weight and (node.op.family == "convolution" or not graph.init.startswith("kaiming"))
    return node.init or (graph.init if applies else "pytorch")


def write_initialization(graph: Graph) -> Initialization:
    nodes = [node for node in graph.nodes if not node.op.own_tensor and node.op.tensors()]
    words = {node.name: word_of(graph, node) for node in nodes}
    if all(word == "pytorch" for word in words.values()):
        return Initialization()
    drawing = [node for node in nodes if node.op.draws_weight]
    draws = any(words[node.name] != "pytorch" for node in drawing)
    special = [node for node in nodes if node.init and node.init != "pytorch"]
    if draws:
        special += [node for node in drawing if node.init == "pytorch"]
    tuples: list[str] = []
    branches: list[tuple[str, list[str]]] = []
    for word, callee in dict.fromkeys((words[node.name], node.op.module_call().callee) for node in special):
        group = [node for node in special if (words[node.name], node.op.module_call().callee) == (word, callee)]
        others = [node for node in nodes if node not in group and node.op.module_call().callee == callee]
        names = [node.name for node in group]
        is_callee = f"isinstance(module, {callee})"
        condition = f"{_condition(names, [node.name for node in others])} and {is_callee}" if others else is_callee
        if len(condition) > WIDTH - len("        elif :"):
            listed = f"names{len(tuples) + 1}" if tuples else "names"
            condition = f"name in {listed} and {is_callee}"
            tuples += lay_out(f"{listed} = ", call("", [quoted(name) for name in names]), "", 4)
        branches.append((condition, _body(word, group)))
    if draws:
        usual: dict[str, list[Node]] = {}
        for node in drawing:
            if not node.init:
                usual.setdefault(words[node.name], []).append(node)
        for word, group in usual.items():
            callees = list(dict.fromkeys(node.op.module_call().callee for node in group))
            kinds = callees[0] if len(callees) == 1 else f"({', '.join(callees)})"
            branches.append((f"isinstance(module, {kinds})", _body(word, group)))
    said = _SAID.get(graph.init, "As the layers initialize themselves, with a few exceptions.")
    if not draws:
        said = "Weights that the layers do not initialize as wanted."
    is_named = any("name " in condition or "name." in condition for condition, _ in branches)
    loop = "for name, module in model.named_modules():" if is_named else "for module in model.modules():"
    lines = ["def init_weights(model: nn.Module) -> None:", f'    """{said}"""', *tuples, f"    {loop}"]
    for number, (condition, body) in enumerate(branches):
        lines.append(f"        {'elif' if number else 'if'} {condition}:")
        lines += [f"            {line}" for line in body]
    return Initialization(tuple(lines), draws)


def _body(word: str, nodes: Sequence[Node]) -> list[str]:
    if word == "pytorch":
        return ["module.reset_parameters()"]
    lines: list[str] = []
    if nodes[0].op.draws_weight:
        biased = [any(tensor.name == "bias" for tensor in node.op.tensors()) for node in nodes]
        if any(biased):
            lines += [
                "if module.bias is not None:",
                "    bound = 1 / math.sqrt(module.weight[0].numel())",
                "    nn.init.uniform_(module.bias, -bound, bound)",
            ]
    return [*lines, _METHODS.get(word) or f"nn.init.constant_(module.weight, {literal(float(word))})"]


def _condition(names: Sequence[str], others: Sequence[str]) -> str:
    """A condition on the variable `name` that holds for some names and for none of the others."""
    wanted = set(names)
    rest = [name for name in others if name not in wanted]
    last = {name.rpartition(".")[2] for name in names}
    if len(last) == 1 and all("." in name for name in names):
        ending = f".{last.pop()}"
        if not any(name.endswith(ending) for name in rest):
            return f"name.endswith({quoted(ending)})"
    if len(names) == 1:
        return f"name == {quoted(names[0])}"
    return f"name in {flat(call('', [quoted(name) for name in names]))}"
