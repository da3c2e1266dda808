"""Loads weights into a network: by an exact plan, or for training with other classes or images of other channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from resnet_spec._system.machine import available_memory
from resnet_spec.compiler import Analysis
from resnet_spec.diagnostics import Diagnostic, SpecError, WeightsError, printable
from resnet_spec.diagnostics.text import count_text, quote_first
from resnet_spec.weights.file import read_weights
from resnet_spec.weights.metadata import from_metadata
from resnet_spec.weights.other_network import describe_difference, read_network, same_classes
from resnet_spec.weights.planning import COPIED, EXACT, Plan, make_plan, shape_text
from resnet_spec.weights.plans import GivenMap, plan_start
from resnet_spec.weights.reading import StoredWeights, open_weights
from resnet_spec.weights.refusal import other_classes_help, require_consistent, require_exact, require_start
from resnet_spec.weights.source import WeightsLike, open_source, source_of
from resnet_spec.weights.starting import FOR_CLASSES, NO_CLASSIFIER, copy_tensor

OTHER_SPEC = "use the spec that they were trained with; in Python, any_fingerprint=True loads them where keys and shapes match"
_ALIGNMENT = 64  # bytes, of what torch allocates for CPUs
FEW = 1 << 16  # numbers of a mapped tensor that are looked at when a network is built; larger ones are read when they are used


def load_weights(
    module: nn.Module,
    analysis: Analysis,
    path: WeightsLike,
    any_fingerprint: bool = False,
    key: str | None = None,
    key_map: Path | None = None,
) -> tuple[str, ...]:
    """Load weights into the module of `analysis`, strictly, and return notes on what was not as expected. See `load_stored`."""
    return load_stored(module, analysis, open_source(path, key, analysis), path, any_fingerprint, key_map)


def load_stored(
    module: nn.Module,
    analysis: Analysis,
    weights: StoredWeights,
    path: WeightsLike,
    any_fingerprint: bool = False,
    key_map: Path | None = None,
) -> tuple[str, ...]:
    """Load weights that were opened into the module of `analysis`, and return notes on what was not as expected.

    Every tensor of the network must be in the file, under its name or one that a reported rule translates, and no other tensor.
    Weights take the module's dtype and device. If these equal the file's, most tensors stay memory-mapped until they change.
    `path` is what they are called in messages, `key_map` a file that says which of their tensors is which.

    Raises:
        SpecError: `key_map` is not YAML.
        WeightsError: their fingerprint is another network's (not checked with `any_fingerprint`), or `key_map` does not fit.
        WeightsMismatchError: their keys or shapes are not the module's.
    """
    if not any_fingerprint:
        require_fingerprint(analysis, weights, path)
    own = module.state_dict()
    mapping = GivenMap(key_map, own, weights)
    plan = mapping.plan(own, weights, analysis)
    require_consistent(plan, analysis, weights, path)
    mapping.check(plan, starts=False)
    return _load(module, weights, path, analysis.spec.name, plan)


def require_fingerprint(analysis: Analysis, weights: StoredWeights, path: WeightsLike, help: str = OTHER_SPEC) -> None:
    """Raise WeightsError for weights whose metadata name another network, with what differs where their spec is there too.

    `help` is the way out where the networks differ in more than the number of classes.
    """
    stored = from_metadata(weights.metadata).get("fingerprint", analysis.fingerprint)
    if stored == analysis.fingerprint:
        return
    shown, name = printable(str(path)), printable(analysis.spec.name)
    message = f"{shown} holds the weights of another network than {name}: {printable(stored)}, not {analysis.fingerprint}"
    lines: tuple[str, ...] = ()
    theirs = read_network(weights.metadata)
    if theirs is not None and theirs.fingerprint == stored:
        lines = describe_difference(theirs, analysis)
        message = f"{shown} holds the weights of a network that computes something else than {name}"
        message += " (what differs, from it to this one, is below)" if lines else ""
        if len(theirs.output) == 1 and theirs.output != analysis.output:
            fitted = read_network(weights.metadata, same_classes(analysis))
            if fitted is not None and fitted.fingerprint == analysis.fingerprint:
                message = f"{shown} holds the weights of {name} for other classes"
                help = other_classes_help(theirs.output[0])
    raise WeightsError([Diagnostic("other-fingerprint", message, None, help=help, notes=lines)])


def load_strictly(module: nn.Module, path: Path, name: str) -> None:
    """Load a file of weights into a module called `name` that is not from a spec, strictly. Raises as `load_weights`."""
    weights = open_weights(path)
    _load(module, weights, path, name, make_plan(module.state_dict(), weights.tensors))


def copy_weights(module: nn.Module, path: Path, name: str) -> None:
    """Copy a safetensors file into the tensors of a module called `name`, strictly. Raises as `load_weights`."""
    tensors = read_weights(path)[0]
    require_exact(make_plan(module.state_dict(), tensors), path, name)
    module.load_state_dict(tensors)


def _load(module: nn.Module, weights: StoredWeights, path: WeightsLike, name: str, plan: Plan) -> tuple[str, ...]:
    own = module.state_dict()
    require_exact(plan, path, name)
    tensors: dict[str, Tensor] = {}
    taken: set[int] = set()
    mapped = weights.path.suffix == ".safetensors"
    for step in plan.of(*EXACT):
        wanted = own[step.name]
        if step.action == "filled":
            tensors[step.name] = torch.zeros_like(wanted)
        else:
            tensor = weights.tensors[step.source].to(wanted.device, wanted.dtype)
            tensors[step.name] = _align(tensor) if mapped else _separate(tensor, taken)
    module.load_state_dict(tensors, strict=True, assign=True)
    small = {key: tensor for key, tensor in tensors.items() if not mapped or tensor.numel() <= FEW}
    return (*weights.notes, *plan.notes, *note_not_finite(small))


def _separate(tensor: Tensor, taken: set[int]) -> Tensor:
    """A tensor with numbers of its own: a pickle may hold several tensors that share them, or one that repeats them.

    `taken` are the addresses of the storages that other tensors have; that of this one is added.
    """
    storage = tensor.untyped_storage()
    whole = storage.nbytes() == tensor.numel() * tensor.element_size()
    if whole and tensor.is_contiguous() and storage.data_ptr() not in taken:
        taken.add(storage.data_ptr())
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def _align(tensor: Tensor) -> Tensor:
    """A mapped tensor; if it is a matrix at another address than torch allocates, a copy.

    Products of a matrix and a vector, such as the classifier's of a single image, are rounded by the address of the matrix. A
    copy returns the bits that the same weights give from any other file.
    """
    is_matrix = tensor.dim() >= 2 and tensor.numel() == tensor.shape[0] * tensor.shape[1]
    return tensor.clone() if is_matrix and tensor.data_ptr() % _ALIGNMENT else tensor


def note_not_finite(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """A note on tensors with numbers that are not finite, if there are any."""
    found = [key for key, tensor in tensors.items() if not _is_finite(tensor)]
    if not found:
        return ()
    return (f"numbers that are not finite (NaN or infinity) are in {count_text(len(found), 'tensor')}: {quote_first(found)}",)


def _is_finite(tensor: Tensor) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.device.type == "meta":
        return True
    if tensor.element_size() == 1:  # few operations know types of 8 bits
        tensor = tensor.float()
    if tensor.dtype == torch.float32 and bool(tensor.sum().isfinite()):  # the sum is faster, and not finite if a number is not
        return True
    return bool(tensor.isfinite().all())


def start_from_stored(
    module: nn.Module,
    analysis: Analysis,
    weights: StoredWeights,
    path: WeightsLike,
    *,
    transfer: bool = False,
    key_map: Path | None = None,
    classes: Sequence[str] = (),
) -> str:
    """Load weights that were opened into a module that will be trained, and return a note on what was loaded.

    Every tensor must match, with these exceptions. The last layer with weights has one row for each class: for other classes it
    keeps its random initialization, but for the rows of `classes` that the file has under the same name. The first convolution
    is adapted to images of other channels. What the file has outside the network is left out. A file whose network computes
    something else with the same tensors is accepted, and the note mentions it. With `transfer`, weights of another network are
    accepted: see `plan_transfer`.

    Raises:
        SpecError: `key_map` is not YAML.
        WeightsError: they have numbers that are not finite, or `key_map` does not fit.
        WeightsMismatchError: other keys or shapes differ.
    """
    own = module.state_dict()
    plan = plan_start(own, analysis, weights, transfer, key_map, classes)
    require_start(plan, path, analysis.spec.name, transfer)
    used = {step.source: weights.tensors[step.source] for step in plan.of(*COPIED)}
    if bad := note_not_finite(used):
        message = f"{printable(str(path))}: {bad[0]}"
        help = "the file is damaged, or from a run that diverged: use another one"
        raise WeightsError([Diagnostic("weights-not-finite", message, None, help=help)])
    with torch.no_grad():
        for step in plan.of(*COPIED, "filled"):
            copy_tensor(step, own[step.name], used.get(step.source))
    return _note_start(plan, analysis, weights, path)


def _note_start(plan: Plan, analysis: Analysis, weights: StoredWeights, path: WeightsLike) -> str:
    """What training starts from, in a line of the plan of a run."""
    note = f"{len(plan.of('kept', 'renamed', 'filled'))} tensors come from {path}"
    source, license = source_of(weights)
    if source and source != str(path):
        note += f", which is {source}" if weights.origin is not None else f", which come from {source}"
    if source:
        note += f" (license: {license or 'none is stated'})"
    heads = sorted(step.name for step in plan.of("drawn") if step.reason in (FOR_CLASSES, NO_CLASSIFIER))
    if heads:
        note += f"; {', '.join(heads)} reinitialized for {analysis.output[0]} classes"
    for step in plan.of("adapted"):
        note += f"; {step.name} adapted from {shape_text(step.stored)} to {shape_text(step.shape)}: {step.reason}"
    for action in ("sliced", "padded"):
        if fitted := [step.name for step in plan.of(action)]:
            note += f"; {count_text(len(fitted), 'tensor')} {action} to other widths: {quote_first(fitted)}"
    if others := [step.name for step in plan.of("drawn") if step.reason not in (FOR_CLASSES, NO_CLASSIFIER)]:
        note += f"; {count_text(len(others), 'tensor')} initialized at random, since the file differs: {quote_first(others)}"
    if unused := [step.source for step in plan.of("unused", "left out")]:
        note += f"; of the file, {count_text(len(unused), 'tensor')} left out: {quote_first(unused)}"
    return "; ".join((note, *map(printable, (*weights.notes, *plan.notes))))


def refuse_beyond_memory(analysis: Analysis) -> None:
    """Raise SpecError if the weights alone, with 4 bytes for each number, exceed the free memory of this machine."""
    needed = 4 * (analysis.total.params + analysis.total.buffers)
    free = available_memory()
    if free is not None and needed > free:
        message = f"the weights of {analysis.spec.name} take {needed:,} bytes, but only {free:,} are free on this machine"
        help = "make the network smaller, or pass --force (force=True in Python)"
        raise SpecError([Diagnostic("beyond-memory", message, analysis.spec.span, help=help)])
