"""A graph run by the book: every operation out of place, every value kept, no module tree and no plan of registers.

Takes the tensors of a network and nothing else of it, so that what the network computes can be compared with what its graph
says, and its gradients with those of a run in which nothing was ever written over.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call

from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.ops import fields_of
from tests.naive_layers import naive_layer


def interpret(graph: Graph, network: nn.Module, x: Tensor) -> list[Tensor]:
    """Every value of the graph for images `x` (N, C, H, W), in order; parameters are the network's own, buffers are copies.

    Each layer is in training where the network's is.
    """
    tensors = {**dict(network.named_parameters()), **{key: buffer.clone() for key, buffer in network.named_buffers()}}
    values: list[Tensor] = []
    for node in graph.nodes:
        inputs = [x if value == INPUT else values[value] for value in node.inputs]
        written = {name: getattr(node.op, name) for name in fields_of(type(node.op))}
        layer = naive_layer(node.op.name, written, tuple(inputs[0].shape[1:])).to(x.dtype)
        layer.train(network.training if node.op.own_tensor else network.get_submodule(node.name).training)
        own = {key.removeprefix(node.name + "."): tensor for key, tensor in tensors.items() if key.startswith(node.name + ".")}
        if node.op.own_tensor:  # its key is its own name, and the naive layer has one parameter
            (key,) = [key for key, _ in layer.named_parameters()]
            (tensor,) = own.values() if own else [tensors[node.name]]
            own = {key: tensor}
        values.append(functional_call(layer, own, tuple(inputs)) if own else layer(*inputs))
    return values
