"""Loads a file of weights into a network: strictly, or for training with another number of classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from resnet_spec import compiler
from resnet_spec._system.machine import available_memory
from resnet_spec.compiler import Analysis, Target
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError, Source, SpecError, WeightsError, printable
from resnet_spec.ops import show
from resnet_spec.weights.file import read_weights
from resnet_spec.weights.metadata import from_metadata

SHOWN = 3  # the number of differing tensors that a message names


class WeightsMismatchError(WeightsError, RuntimeError):
    """The keys or shapes of a file are not those of the network. Also a RuntimeError, as `load_state_dict` raises."""


def load_weights(module: nn.Module, analysis: Analysis, path: Path, any_fingerprint: bool = False) -> None:
    """Load a safetensors file into the module of `analysis`, strictly.

    Weights take the module's dtype and device. If these equal the file's, tensors stay memory-mapped until they change.

    Raises:
        ArgumentError: the file cannot be read.
        WeightsError: the file's fingerprint is another network's (not checked with `any_fingerprint`).
        WeightsMismatchError: its keys or shapes are not the module's.
    """
    tensors, metadata = read_weights(path)
    stored = from_metadata(metadata).get("fingerprint", analysis.fingerprint)
    if stored != analysis.fingerprint and not any_fingerprint:
        shown = printable(str(path))
        message = f"{shown} holds the weights of another network: {printable(stored)}, not {analysis.fingerprint}"
        help = "pass any_fingerprint=True if it is enough that keys and shapes match"
        raise WeightsError([Diagnostic("other-fingerprint", message, None, help=help)])
    _load(module, tensors, path, analysis.spec.name)


def load_strictly(module: nn.Module, path: Path, name: str) -> None:
    """Load a safetensors file into a module called `name` that is not from a spec, strictly. Raises as `load_weights`."""
    _load(module, read_weights(path)[0], path, name)


def copy_weights(module: nn.Module, path: Path, name: str) -> None:
    """Copy a safetensors file into the tensors of a module called `name`, strictly. Raises as `load_weights`."""
    tensors = read_weights(path)[0]
    _require_same(module.state_dict(), tensors, path, name)
    module.load_state_dict(tensors)


def _load(module: nn.Module, tensors: dict[str, Tensor], path: Path, name: str) -> None:
    own = module.state_dict()
    _require_same(own, tensors, path, name)
    for key in own:
        tensors[key] = tensors[key].to(own[key].device, own[key].dtype)
    module.load_state_dict(tensors, strict=True, assign=True)


def _require_same(own: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Raise WeightsMismatchError if the tensors of a file are not, in keys and shapes, those of a module called `name`."""
    if differing := find_differences(own, found):
        raise WeightsMismatchError([_other_weights(path, name, list(differing.values()))])


def start_from(module: nn.Module, analysis: Analysis, path: Path) -> str:
    """Load a safetensors file into a module that will be trained, and return a note on what was loaded.

    Every tensor must match, except those of the last layer with weights, which has one row for each class: for another number
    of classes it keeps its random initialization. A file whose network computes something else with the same tensors is
    accepted, and the note mentions it.

    Raises:
        ArgumentError: the file cannot be read.
        WeightsMismatchError: other keys or shapes differ.
    """
    tensors, metadata = read_weights(path)
    own = module.state_dict()
    head = next((name for name in reversed(own) if name.endswith(".weight")), "").removesuffix("weight")

    def is_for_other_classes(key: str) -> bool:
        mine, theirs = own.get(key), tensors.get(key)
        if mine is None or theirs is None or not key.startswith(head):
            return False
        return tuple(mine.shape) != tuple(theirs.shape) and tuple(mine.shape[1:]) == tuple(theirs.shape[1:])

    differing = find_differences(own, tensors)
    drawn = sorted(filter(is_for_other_classes, differing))
    if wrong := [text for key, text in differing.items() if key not in drawn]:
        help = "use weights of this spec, or none"
        raise WeightsMismatchError([_other_weights(path, analysis.spec.name, wrong, help)])
    module.load_state_dict({key: tensor for key, tensor in tensors.items() if key not in drawn}, strict=False)
    note = f"{len(own) - len(drawn)} tensors come from {path}"
    if drawn:
        note += f"; {', '.join(drawn)} reinitialized for {analysis.output[0]} classes"
    if _computes_other(analysis, metadata):
        note += "; they were trained in a network that computes something else"
    return note


def find_differences(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, str]:
    """The keys in which a file differs from a module, in the module's order, each with a description of the difference."""
    texts: dict[str, str] = {}
    for key, tensor in own.items():
        name = f"`{printable(key)}`"
        if key not in found:
            texts[key] = f"{name} is missing"
        elif tensor.shape != found[key].shape:
            there, wanted = _shape(found[key]), _shape(tensor)
            texts[key] = f"{name} is {there} and should be {wanted}"
        elif not _converts(found[key], tensor):
            dtypes = [str(each.dtype).removeprefix("torch.") for each in (found[key], tensor)]
            texts[key] = f"{name} is {dtypes[0]}, which cannot be converted to {dtypes[1]}"
    return texts | {key: f"`{printable(key)}` is not expected" for key in sorted(found.keys() - own.keys())}


def _converts(found: Tensor, wanted: Tensor) -> bool:
    """Whether numbers of one type can be converted to another. Some small types are for storage only."""
    if found.is_complex() and not wanted.is_complex():
        return False
    try:
        found.flatten()[:1].to(wanted.dtype)
    except NotImplementedError:
        return False
    return True


def _shape(tensor: Tensor) -> str:
    return show(tuple(tensor.shape)) if tensor.ndim else "a single number"


def _other_weights(path: Path, name: str, differing: list[str], help: str = "") -> Diagnostic:
    more = f", and {len(differing) - SHOWN} more differ" if len(differing) > SHOWN else ""
    message = f"{printable(str(path))} holds the weights of another network than {printable(name)}: "
    return Diagnostic("other-weights", message + "; ".join(differing[:SHOWN]) + more, None, help=help)


def _computes_other(analysis: Analysis, metadata: Mapping[str, str]) -> bool:
    """Whether the metadata of a file describe another network, apart from the number of classes."""
    stored = from_metadata(metadata)
    if stored.get("fingerprint", analysis.fingerprint) == analysis.fingerprint:
        return False
    if (spec := stored.get("spec")) is None:
        return True
    classes = analysis.spec.classes
    sets = [] if classes is None else [f"classes={classes.text}"]
    try:
        theirs = compiler.analyze(Target(Source("the spec of the weights", spec), None, None), sets)
    except ResnetSpecError:
        return True
    return theirs.fingerprint != analysis.fingerprint


def refuse_beyond_memory(analysis: Analysis) -> None:
    """Raise SpecError if the weights alone, with 4 bytes for each number, exceed the free memory of this machine."""
    needed = 4 * (analysis.total.params + analysis.total.buffers)
    free = available_memory()
    if free is not None and needed > free:
        message = f"the weights of {analysis.spec.name} take {needed:,} bytes, but only {free:,} are free on this machine"
        help = "make the network smaller, or pass --force (force=True in Python)"
        raise SpecError([Diagnostic("beyond-memory", message, analysis.spec.span, help=help)])
