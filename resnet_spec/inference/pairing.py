"""A spec and weights that are named apart from it: `eval SPEC --weights W`.

What `train` stores with weights, or their publisher says, are the classes and how images are prepared. What nothing says is
assumed, and each assumption is a note.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from resnet_spec import compiler
from resnet_spec.compiler import Analysis
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ArgumentError, DataError, Diagnostic, WeightsError, printable
from resnet_spec.diagnostics.arguments import wrong_argument
from resnet_spec.diagnostics.text import count_text
from resnet_spec.inference.arguments import require_device, require_run
from resnet_spec.inference.naming import NAMED, make_distinct, number_classes, require_classes
from resnet_spec.inference.preparing import refuse_size, require_settings, settle_preparation
from resnet_spec.inference.trained import Trained, load_trained
from resnet_spec.ops import show
from resnet_spec.outputs.torch_module import build_module
from resnet_spec.training.device import find_device
from resnet_spec.weights.file_names import MODELS, WEIGHT_SUFFIXES
from resnet_spec.weights.loading import load_stored, note_not_finite, refuse_beyond_memory, require_fingerprint
from resnet_spec.weights.metadata import WeightsFacts, facts_from_metadata, from_metadata
from resnet_spec.weights.reading import StoredWeights
from resnet_spec.weights.source import WeightsLike, check_source, open_source, preparation_of

_SUFFIXES = (*WEIGHT_SUFFIXES, ".h5", ".onnx")


@dataclass(frozen=True, slots=True)
class Pairing:
    """A compiled spec, and the weights to load into it; and names of classes and settings of the preparation, if any."""

    analysis: Analysis
    weights: WeightsLike
    key: str | None
    key_map: Path | None
    classes: tuple[str, ...] | None
    settings: Mapping[str, object]


def require_pair(
    path: object,
    *,
    weights: WeightsLike | None,
    weights_key: str | None = None,
    weights_map: str | Path | None = None,
    set: Iterable[str] | Mapping[str, object] = (),
    spec_root: str | Path | None = None,
    classes: object = None,
    prepare: object = (),
) -> Pairing | Path:
    """Check the arguments that are about weights: a spec with `weights`, or the path of a run or of a file of `train`.

    `path` is a spec, or the result of `analyze`, where `weights` is given.

    Raises:
        ArgumentError: they do not go together, or name something that is missing or cannot be read.
        SpecError: the spec is wrong.
        DataError: its output is not a number for each class.
    """
    patches = compiler.list_patches(set)
    if weights is None:
        given = {
            "set": patches,
            "spec_root": spec_root,
            "weights_key": weights_key,
            "weights_map": weights_map,
            "classes": classes,
            "prepare": prepare,
        }
        for name, value in given.items():
            if value:
                message = f"`{name}` is for a spec whose weights are named apart from it, and `weights` names none"
                raise wrong_argument(message, "write `SPEC --weights FILE`; in Python, `weights=FILE`")
        return require_run(path)
    names, settings = require_classes(classes), require_settings(prepare)
    refuse_weights_as_spec(path)
    if isinstance(path, Analysis):
        if patches:
            raise wrong_argument("`set` changes a spec, but an Analysis is already compiled", "pass `set` to `analyze`")
        analysis = path
    else:
        analysis = compiler.analyze(compiler.find(path, None, spec_root), patches)
    if len(analysis.output) != 1:
        message = f"{printable(analysis.spec.name)} returns {show(analysis.output)}, and one number for each class is needed"
        raise DataError([Diagnostic("data-classes", message, analysis.spec.span)])
    check_source(weights, analysis)
    key_map = None if weights_map is None else Path(weights_map)
    return Pairing(analysis, weights, weights_key, key_map, names, settings)


def refuse_weights_as_spec(path: object) -> None:
    """Raise ArgumentError where a file or a folder of weights is named as the spec of other weights."""
    if not isinstance(path, str | Path) or "\n" in str(path):
        return
    shown, file = printable(str(path)), Path(path)
    if compiler.is_run(path):
        return
    if file.suffix.lower() in _SUFFIXES and _is(file):
        message = f"{shown} is a file of weights, and `--weights` names others: a spec is expected here"
        help = "write `SPEC --weights FILE`, or leave `--weights` out for a file that `train` wrote"
    elif any(_is(file / name) for name in MODELS):
        message = f"{shown} is a folder of weights, and `--weights` names others: a spec is expected here"
        help = f"write `SPEC --weights {shown}`"
    else:
        return
    raise ArgumentError([Diagnostic("invalid-argument", message, None, help=help)])


def _is(path: Path) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # an impossible path
        return False


def load_named(path: object, device: str, module: nn.Module | None) -> tuple[Trained, Path]:
    """Load a pair, or what the path of a run or a file names; returns it with the path of the weights.

    Raises as `load_pair` and `load_trained`.
    """
    if isinstance(path, Pairing):
        if module is not None:
            message = "`module` and `weights` are given: weights are loaded into a module, or into the network of a spec"
            raise wrong_argument(message)
        return load_pair(path, device)
    run = require_run(path)
    return load_trained(run, device, module=module), run


def load_pair(pair: Pairing, device: str = "auto", force: bool = False) -> tuple[Trained, Path]:
    """Build the network of a spec with its weights, by an exact plan, in evaluation mode; returns it with their file.

    Raises:
        ArgumentError: the weights cannot be read, or settings do not fit the network.
        DataError: the network does not run on images of the size that they are prepared to.
        SpecError: the network exceeds the memory.
        WeightsError: they are those of another network, have numbers that are not finite, or contradicting metadata.
    """
    analysis, notes = pair.analysis, list[str]()
    where = find_device(require_device(device))
    stored = open_source(pair.weights, pair.key, analysis)
    shown = printable(str(pair.weights))
    facts = _stored_facts(stored, shown)
    require_fingerprint(analysis, stored, pair.weights, *([] if facts is None or not facts.spec else [_OWN_SPEC.format(shown)]))
    if not force:
        refuse_beyond_memory(analysis)
    network = build_module(analysis.graph, None, initialize=False)
    loaded = load_stored(network, analysis, stored, pair.weights, any_fingerprint=True, key_map=pair.key_map)
    if bad := note_not_finite(network.state_dict()):
        help = "the file is damaged, or from a run that diverged: use another one"
        raise WeightsError([Diagnostic("weights-not-finite", f"{shown}: {bad[0]}", None, help=help)])
    classes, known = _choose_classes(pair, stored, facts, shown)
    preparation = _choose_preparation(pair, stored, facts, shown, notes)
    refuse_size(analysis, preparation)
    origin = () if stored.origin is None else stored.origin.notes
    if facts is None:
        facts = WeightsFacts(analysis.spec.name, analysis.fingerprint, "", classes, preparation, "", "", 0, 0)
    else:
        facts = replace(facts, name=analysis.spec.name, classes=classes, preparation=preparation)
    said = tuple(dict.fromkeys((*loaded, *origin, *notes)))
    return Trained(facts, analysis, network.to(where).eval(), where, said, known), stored.path


_OWN_SPEC = "leave the spec out: `eval {0}` and `predict {0}` use the one that is stored with these weights"


def _stored_facts(stored: StoredWeights, shown: str) -> WeightsFacts | None:
    """What `train` stored with weights; None for those of others. Raises WeightsError where it is malformed."""
    if "classes" not in from_metadata(stored.metadata):
        return None
    try:
        return facts_from_metadata(stored.metadata, stored.path.stem)
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        message = f"the classes in {shown}, or how images are prepared for it, are not written as `train` writes them"
        raise WeightsError([Diagnostic("weights-without-facts", message, None)]) from None


def _choose_classes(
    pair: Pairing, stored: StoredWeights, facts: WeightsFacts | None, shown: str
) -> tuple[tuple[str, ...], bool]:
    """The names of the classes, and whether they are known; else they are numbers. Raises WeightsError or ArgumentError."""
    count = pair.analysis.output[0]
    returns = f"{printable(pair.analysis.spec.name)} returns {count_text(count, 'value')}"
    if pair.classes is not None:
        if len(pair.classes) != count:
            message = f"`--classes` names {count_text(len(pair.classes), 'class')}, and {returns}"
            raise wrong_argument(message, "name each of them, in the order of the network")
        return pair.classes, True
    names = facts.classes if facts is not None else None if stored.origin is None else stored.origin.classes
    if names is None:
        return number_classes(count), False
    if len(names) != count:
        message = f"{shown} names {count_text(len(names), 'class')}, and {returns}"
        raise WeightsError([Diagnostic("weights-without-facts", message, None, help=NAMED)])
    return make_distinct(names), True


def _choose_preparation(
    pair: Pairing, stored: StoredWeights, facts: WeightsFacts | None, shown: str, notes: list[str]
) -> Preparation:
    """How images are prepared. Raises ArgumentError or WeightsError."""
    input = pair.analysis.input
    known = facts.preparation if facts is not None else preparation_of(stored)
    if known is not None and known.channels != input[0]:
        message = f"{shown} prepares images of {known.channels} channels, but its network takes {input[0]}"
        raise WeightsError([Diagnostic("weights-without-facts", message, None)])
    changed, assumed = settle_preparation(known, pair.settings, input)
    notes += assumed
    if known is not None and changed.size != input[1:] and "crop" not in pair.settings and "resize" not in pair.settings:
        notes.append(
            f"images are prepared in {show(changed.size)}, as the weights say, though the spec has {show(input[1:])} "
            f"(`--prepare crop={show(input[1:])}` cuts them to that)"
        )
    return changed
