"""A hash of what a network computes for given weights.

Two networks can have the same keys and shapes and compute different things: the stride on the 1x1 or on the 3x3, another eps,
`ceil_mode`, the order of relu and add. A checkpoint therefore carries the fingerprint of its network.
"""

from __future__ import annotations

import dataclasses

from resnet_spec.graph.model import Graph
from resnet_spec.ops import Operation, fields_of

VERSION = "rs1"
VERSION_WITH_OUTPUTS = "rs2"


def fingerprint(graph: Graph) -> str:
    """`rs1:` and 32 hexadecimal digits of a SHA-256 over names, operations, wiring and attributes, in order.

    A network with named outputs has `rs2:`, and its outputs are among what is hashed.

    The spec's `name`, `about` and `input`, the kinds of blocks and the initialization do not change what is computed from given
    weights, and are left out. Fields at their default are left out, so that a field added later changes no fingerprint.
    """
    import hashlib  # importing it takes longer than compiling most networks

    version = VERSION_WITH_OUTPUTS if graph.outputs else VERSION
    digest = hashlib.sha256(version.encode())
    known: dict[int, str] = {}
    for node in graph.nodes:
        text = known.get(id(node.op))
        if text is None:
            text = known[id(node.op)] = _attributes(node.op)
        digest.update(f"{node.name} {text} {node.inputs}\n".encode())
    digest.update(f"output {graph.output}\n".encode())
    for output in graph.outputs:
        digest.update(f"{output.name} {output.value} {output.training_only}\n".encode())
    return f"{version}:{digest.hexdigest()[:32]}"


def _attributes(op: Operation) -> str:
    defaults = {name: field.default for name, field in fields_of(type(op)).items()}
    parts = [
        f"{field.name}={value!r}"
        for field in dataclasses.fields(op)
        if (value := getattr(op, field.name)) != defaults.get(field.name)
    ]
    return f"{op.name}({', '.join(parts)})"
