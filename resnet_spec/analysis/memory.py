"""The memory a network needs, in bytes: for training, for inference, and for its weights.

It includes the tensors that torch holds when it runs the module on a CPU, but not the workspace inside a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from resnet_spec.analysis.cost import Cost
from resnet_spec.graph.in_place import find_overwritten
from resnet_spec.graph.model import INPUT, Graph, Node
from resnet_spec.ops import Saved, Shape

INDEX_BYTES = 8
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
OPTIMIZER_STATES = {"sgd": 0, "momentum": 1, "adam": 2}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `saved` is kept from forward to backward; `peak` is the maximum allocated at one time in inference.

    `optimizer` is the state of SGD with momentum (one number for each parameter); Adam needs twice as much.
    """

    params: int
    buffers: int
    gradients: int
    optimizer: int
    saved: int
    peak: int

    @property
    def training(self) -> int:
        """Weights, gradients, optimizer state and what is kept for backward."""
        return self.params + self.buffers + self.gradients + self.optimizer + self.saved

    @property
    def inference(self) -> int:
        """Weights and the peak of live values."""
        return self.params + self.buffers + self.peak


def measure(
    graph: Graph,
    input: Shape,
    shapes: tuple[Shape, ...],
    cost: Cost,
    batch: int = 1,
    number: int = 4,
    optimizer: str = "momentum",
) -> Memory:
    """The memory for `batch` images of `input` (C, H, W) with numbers of `number` bytes."""
    params = cost.params * number
    states = OPTIMIZER_STATES[optimizer]
    saved = saved_for_backward(graph, input, shapes, batch, number)
    peak = peak_of_inference(graph, input, shapes, number, batch)
    return Memory(params, cost.buffers * number, params, params * states, saved, peak)


def storages(graph: Graph, training: bool) -> tuple[int, ...]:
    """For each node, the value whose memory its output uses: its own, or that of a value it returns or overwrites."""
    over = find_overwritten(graph)
    found: list[int] = []
    for position, node in enumerate(graph.nodes):
        source = over.get(position)
        if source is None and node.op.returns_input(training):
            source = node.inputs[0]
        if source is None:
            found.append(position)
        else:
            found.append(source if source == INPUT else found[source])
    return tuple(found)


def saved_for_backward(graph: Graph, input: Shape, shapes: tuple[Shape, ...], batch: int, number: int) -> int:
    """Bytes that autograd keeps of the activations, every storage once. The network's input needs no gradient."""
    places = storages(graph, training=True)
    differentiable = _differentiable(graph)
    kept: set[int] = set()
    extra = 0
    for position, node in enumerate(graph.nodes):
        if not differentiable[position]:
            continue
        x = input if node.inputs[0] == INPUT else shapes[node.inputs[0]]
        saved = node.op.saved(x, shapes[position])
        if saved.inputs and batch > 1 and _is_part(node, places, input, shapes):
            extra += batch * prod(x) * number  # of one image, the channels of a part are in a row
        elif saved.inputs:
            kept.update(INPUT if value == INPUT else places[value] for value in _read_backward(node, differentiable))
        if saved.output:
            kept.add(places[position])
        extra += batch * (saved.values * number + saved.indices * INDEX_BYTES) + (saved.statistics + saved.weights) * number
    return extra + batch * number * sum(prod(input if value == INPUT else shapes[value]) for value in kept)


def _is_part(node: Node, places: Sequence[int], input: Shape, shapes: tuple[Shape, ...]) -> bool:
    """Whether an operation copies its input, since that is a part of a larger value."""
    value = node.inputs[0]
    if not node.op.copies_parts or value == INPUT:
        return False
    whole = places[value]
    return prod(shapes[value]) != prod(input if whole == INPUT else shapes[whole])


def _differentiable(graph: Graph) -> list[bool]:
    """For each node, whether its output needs a gradient: it has parameters, or one of its inputs needs one."""
    found: list[bool] = []
    known: dict[int, bool] = {}
    for node in graph.nodes:
        learns = known.get(id(node.op))
        if learns is None:
            learns = known[id(node.op)] = any(not tensor.buffer for tensor in node.op.tensors())
        read = node.inputs[:1] if node.op.takes_like else node.inputs
        found.append(learns or any(value != INPUT and found[value] for value in read))
    return found


def _read_backward(node: Node, differentiable: Sequence[bool]) -> Iterator[int]:
    """The inputs that the backward pass of a node reads; for a product, those whose other factor needs a gradient."""
    if len(node.inputs) == 1:
        yield node.inputs[0]
        return
    for place, value in enumerate(node.inputs):
        others = (other for at, other in enumerate(node.inputs) if at != place)
        if any(other != INPUT and differentiable[other] for other in others):
            yield value


def peak_of_inference(graph: Graph, input: Shape, shapes: tuple[Shape, ...], number: int, batch: int = 1) -> int:
    """The peak of allocated bytes for `batch` images, including them, when the module runs without gradients.

    A value is freed after its last reader has run. The input of a stage or block is freed after all of it has run, since the
    caller holds a reference. What only outputs of training need does not run.
    """
    places = storages(graph, training=False)
    skipped = graph.skipped_in_evaluation()
    last = list(range(len(graph.nodes)))

    def hold(value: int, until: int) -> None:
        if value != INPUT and places[value] != INPUT:
            last[places[value]] = max(last[places[value]], until)

    for position, node in enumerate(graph.nodes):
        for value in node.inputs if position not in skipped else ():
            hold(value, position)
        hold(position, position)
    for region in graph.regions:
        if not region.inline and region.stop - 1 not in skipped:
            hold(region.input, region.stop - 1)
    for value in graph.returned:
        if value not in skipped:
            hold(value, len(graph.nodes) - 1)
    ends: dict[int, list[int]] = {}
    for value, end in enumerate(last):
        if places[value] == value:
            ends.setdefault(end, []).append(value)
    alive = prod(input) * number  # of one image
    peak = batch * alive
    for position, node in enumerate(graph.nodes):
        if position in skipped:
            continue
        if places[position] == position:
            alive += prod(shapes[position]) * number
        x = input if node.inputs[0] == INPUT else shapes[node.inputs[0]]
        reused = node.op.returns_input(training=False)
        made = Saved() if reused else node.op.saved(x, shapes[position])  # allocated in evaluation too, then freed
        scratch = 0 if reused else node.op.workspace(x, shapes[position]) * number + made.indices * INDEX_BYTES
        if batch > 1 and _is_part(node, places, input, shapes):
            scratch += prod(x) * number
        peak = max(peak, batch * (alive + scratch) + made.weights * number)
        alive -= sum(prod(shapes[value]) for value in ends.get(position, ())) * number
    return peak


def bytes_text(count: int) -> str:
    """`87.2 MiB`."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
