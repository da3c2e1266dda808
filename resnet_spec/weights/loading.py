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
from resnet_spec.weights.plan_report import difference_lines
from resnet_spec.weights.planning import (
    EXACT,
    FOR_CLASSES,
    STARTING,
    Plan,
    Step,
    adapt_channels,
    make_plan,
    plan_training,
    shape_text,
)
from resnet_spec.weights.reading import StoredWeights, open_weights
from resnet_spec.weights.source import WeightsLike, open_source, source_of, suggest_spec

OTHER_SPEC = "use the spec that they were trained with; in Python, any_fingerprint=True loads them where keys and shapes match"
SHOWN = 3  # the number of differing tensors that a message names
_ALIGNMENT = 64  # bytes, of what torch allocates for CPUs
FEW = 1 << 16  # numbers of a mapped tensor that are looked at when a network is built; larger ones are read when they are used


class WeightsMismatchError(WeightsError, RuntimeError):
    """The keys or shapes of a file are not those of the network. Also a RuntimeError, as `load_state_dict` raises."""


def load_weights(
    module: nn.Module, analysis: Analysis, path: WeightsLike, any_fingerprint: bool = False, key: str | None = None
) -> tuple[str, ...]:
    """Load weights into the module of `analysis`, strictly, and return notes on what was not as expected. See `load_stored`."""
    return load_stored(module, analysis, open_source(path, key, analysis), path, any_fingerprint)


def load_stored(
    module: nn.Module, analysis: Analysis, weights: StoredWeights, path: WeightsLike, any_fingerprint: bool = False
) -> tuple[str, ...]:
    """Load weights that were opened into the module of `analysis`, and return notes on what was not as expected.

    Every tensor of the network must be in the file, under its name or one that a reported rule translates, and no other tensor.
    Weights take the module's dtype and device. If these equal the file's, most tensors stay memory-mapped until they change.
    `path` is what they are called in messages.

    Raises:
        WeightsError: their fingerprint is another network's (not checked with `any_fingerprint`).
        WeightsMismatchError: their keys or shapes are not the module's.
    """
    if not any_fingerprint:
        require_fingerprint(analysis, weights, path)
    return _load(module, weights, path, analysis.spec.name)


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


def other_classes_help(classes: int) -> str:
    """The way out for weights of another number of classes."""
    return f"they are for {classes:,} classes: `--set classes={classes}` builds the network for them"


def load_strictly(module: nn.Module, path: Path, name: str) -> None:
    """Load a file of weights into a module called `name` that is not from a spec, strictly. Raises as `load_weights`."""
    _load(module, open_weights(path), path, name)


def copy_weights(module: nn.Module, path: Path, name: str) -> None:
    """Copy a safetensors file into the tensors of a module called `name`, strictly. Raises as `load_weights`."""
    tensors = read_weights(path)[0]
    _require_exact(make_plan(module.state_dict(), tensors), path, name)
    module.load_state_dict(tensors)


def _load(module: nn.Module, weights: StoredWeights, path: WeightsLike, name: str) -> tuple[str, ...]:
    own = module.state_dict()
    plan = make_plan(own, weights.tensors)
    _require_exact(plan, path, name)
    tensors: dict[str, Tensor] = {}
    mapped = weights.path.suffix == ".safetensors"
    for step in plan.of(*EXACT):
        wanted = own[step.name]
        if step.action == "filled":
            tensors[step.name] = torch.zeros_like(wanted)
        else:
            tensor = weights.tensors[step.source].to(wanted.device, wanted.dtype)
            tensors[step.name] = _align(tensor) if mapped else _separate(tensor)
    module.load_state_dict(tensors, strict=True, assign=True)
    small = {key: tensor for key, tensor in tensors.items() if not mapped or tensor.numel() <= FEW}
    return (*weights.notes, *plan.notes, *note_not_finite(small))


def _separate(tensor: Tensor) -> Tensor:
    """A tensor with numbers of its own: a pickle may hold several tensors that share them, or one that repeats them."""
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole and tensor.is_contiguous() else tensor.clone(memory_format=torch.contiguous_format)


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


def _require_exact(plan: Plan, path: WeightsLike, name: str) -> None:
    """Raise WeightsMismatchError if a plan is not exact."""
    if differing := plan.outside(EXACT):
        raise WeightsMismatchError([_other_weights(path, name, differing, _classes_help(differing))])


def _classes_help(differing: Sequence[Step]) -> str:
    """The way out where tensors differ in nothing but the number of classes."""
    counts = {step.stored[0] for step in differing if step.action == "other shape" and step.stored and step.shape}
    in_rows = all(step.action == "other shape" and step.stored[1:] == step.shape[1:] for step in differing)
    return other_classes_help(counts.pop()) if in_rows and len(counts) == 1 else ""


def start_from(
    module: nn.Module, analysis: Analysis, path: WeightsLike, *, key: str | None = None, transfer: bool = False
) -> str:
    """Load weights into a module that will be trained, and return a note on what was loaded. See `start_from_stored`."""
    return start_from_stored(module, analysis, open_source(path, key, analysis), path, transfer)


def start_from_stored(
    module: nn.Module, analysis: Analysis, weights: StoredWeights, path: WeightsLike, transfer: bool = False
) -> str:
    """Load weights that were opened into a module that will be trained, and return a note on what was loaded.

    Every tensor must match, with two exceptions. The last layer with weights has one row for each class: for another number of
    classes it keeps its random initialization. The first convolution is adapted to images of other channels. A file whose
    network computes something else with the same tensors is accepted, and the note mentions it. With `transfer`, tensors of
    equal name and shape are kept, and the others keep their random initialization.

    Raises:
        WeightsError: they have numbers that are not finite.
        WeightsMismatchError: other keys or shapes differ.
    """
    plan = plan_start(module, analysis, weights, transfer)
    own = module.state_dict()
    require_start(plan, path, analysis.spec.name, transfer)
    used = {step.source: weights.tensors[step.source] for step in plan.of("kept", "renamed", "adapted")}
    if bad := note_not_finite(used):
        message = f"{printable(str(path))}: {bad[0]}"
        help = "the file is damaged, or from a run that diverged: use another one"
        raise WeightsError([Diagnostic("weights-not-finite", message, None, help=help)])
    with torch.no_grad():
        for step in plan.of("kept", "renamed", "filled", "adapted"):
            if step.action == "filled":
                own[step.name].zero_()
            else:
                tensor = used[step.source]
                own[step.name].copy_(adapt_channels(tensor, step.shape[1]) if step.action == "adapted" else tensor)
    return _note_start(plan, analysis, weights, path)


def plan_start(module: nn.Module, analysis: Analysis, weights: StoredWeights, transfer: bool = False) -> Plan:
    """The plan by which training of a module starts from weights. Nothing is loaded."""
    parameters = frozenset(name for name, _ in module.named_parameters(remove_duplicate=False))
    plan = make_plan(module.state_dict(), weights.tensors, parameters)
    return plan_training(plan, analysis.input[0], transfer)


def require_start(plan: Plan, path: WeightsLike, name: str, transfer: bool = False) -> None:
    """Raise WeightsMismatchError if training does not start from a plan: more differs than is adapted."""
    wrong = plan.outside((*STARTING, "unused") if transfer else STARTING)
    if wrong:
        help = "use weights of this spec, or none; `--transfer` keeps the tensors of equal name and shape and draws the rest"
        raise WeightsMismatchError([_other_weights(path, name, wrong, help)])
    if not plan.of("kept", "renamed", "adapted"):
        message = f"{printable(str(path))} has no tensor of {printable(name)}: no name and shape is equal"
        raise WeightsMismatchError([Diagnostic("other-weights", message, None, help="use weights of this spec, or none")])


def _note_start(plan: Plan, analysis: Analysis, weights: StoredWeights, path: WeightsLike) -> str:
    """What training starts from, in a line of the plan of a run."""
    note = f"{len(plan.of('kept', 'renamed', 'filled'))} tensors come from {path}"
    source, license = source_of(weights)
    if source and source != str(path):
        note += f", which is {source}" if weights.origin is not None else f", which come from {source}"
    if source:
        note += f" (license: {license or 'none is stated'})"
    heads = sorted(step.name for step in plan.of("drawn") if step.reason == FOR_CLASSES)
    if heads:
        note += f"; {', '.join(heads)} reinitialized for {analysis.output[0]} classes"
    for step in plan.of("adapted"):
        note += f"; {step.name} adapted from {shape_text(step.stored)} to {shape_text(step.shape)}: {step.reason}"
    if others := [step.name for step in plan.of("drawn") if step.reason != FOR_CLASSES]:
        note += f"; {count_text(len(others), 'tensor')} initialized at random, since the file differs: {quote_first(others)}"
    if unused := [step.source for step in plan.of("unused")]:
        note += f"; of the file, {count_text(len(unused), 'tensor')} left out: {quote_first(unused)}"
    if (other := _describe_other(analysis, weights.metadata)) is not None:
        note += "; they were trained in a network that computes something else" + (
            f" (from it to this one: {other})" if other else ""
        )
    return "; ".join((note, *map(printable, (*weights.notes, *plan.notes))))


def _other_weights(path: WeightsLike, name: str, differing: Sequence[Step], help: str = "") -> Diagnostic:
    """The finding for weights of another network: the first differences in its message, all of them by stage in its notes."""
    more = f", and {len(differing) - SHOWN} more differ" if len(differing) > SHOWN else ""
    message = f"{printable(str(path))} holds the weights of another network than {printable(name)}: "
    message += "; ".join(step.describe() for step in differing[:SHOWN]) + more
    notes = difference_lines(differing) if more else ()
    notes = (*notes, *filter(None, [suggest_spec(path, name)]))
    return Diagnostic("other-weights", message, None, help=help, notes=notes)


def _describe_other(analysis: Analysis, metadata: Mapping[str, str]) -> str | None:
    """What differs, from the network that the metadata of a file describe to this one, apart from the number of classes.

    Empty where that is not known, None where nothing differs.
    """
    stored = from_metadata(metadata)
    if stored.get("fingerprint", analysis.fingerprint) == analysis.fingerprint:
        return None
    theirs = read_network(metadata, same_classes(analysis))
    if theirs is None:
        return ""
    return None if theirs.fingerprint == analysis.fingerprint else "; ".join(describe_difference(theirs, analysis))


def refuse_beyond_memory(analysis: Analysis) -> None:
    """Raise SpecError if the weights alone, with 4 bytes for each number, exceed the free memory of this machine."""
    needed = 4 * (analysis.total.params + analysis.total.buffers)
    free = available_memory()
    if free is not None and needed > free:
        message = f"the weights of {analysis.spec.name} take {needed:,} bytes, but only {free:,} are free on this machine"
        help = "make the network smaller, or pass --force (force=True in Python)"
        raise SpecError([Diagnostic("beyond-memory", message, analysis.spec.span, help=help)])
