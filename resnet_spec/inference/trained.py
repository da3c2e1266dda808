"""Loads a trained network from a run folder or a file of weights.

A file contains its spec, its classes and how images are prepared. They are untrusted: the spec cannot extend files and is
subject to the limits of specs, and classes and preparation must match the network.
"""

from __future__ import annotations

import copy
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from resnet_spec import compiler
from resnet_spec.compiler import Analysis, Target
from resnet_spec.diagnostics import ArgumentError, Diagnostic, Source, WeightsError, printable
from resnet_spec.diagnostics.arguments import quote, wrong_argument
from resnet_spec.inference.arguments import require_device, require_run
from resnet_spec.inference.naming import make_distinct
from resnet_spec.language.files import SUFFIXES
from resnet_spec.language.library import shipped_path
from resnet_spec.ops import show
from resnet_spec.outputs.torch_module import build_module
from resnet_spec.training.data_place import find_data
from resnet_spec.training.device import find_device
from resnet_spec.training.recipe import Precision
from resnet_spec.training.run_folder import BEST, LAST
from resnet_spec.training.run_record import RUN_FILE, read_record
from resnet_spec.training.spec_subject import check_size
from resnet_spec.training.subject import subject_of_module
from resnet_spec.weights.file_names import MODELS
from resnet_spec.weights.loading import load_strictly, load_weights, refuse_beyond_memory
from resnet_spec.weights.metadata import WeightsFacts
from resnet_spec.weights.reading import find_file, open_facts


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with trained weights, in evaluation mode on `device`, and how its images are prepared.

    `notes` say what was assumed, and what was not as expected. Classes that are not known have numbers for names.
    """

    facts: WeightsFacts
    analysis: Analysis | None  # None for a module that is not from a spec
    module: nn.Module
    device: torch.device
    notes: tuple[str, ...] = ()
    classes_known: bool = True

    @property
    def input(self) -> tuple[int, int, int]:
        """(C, H, W) in pixels: what the spec says, or the size of the training images."""
        return (self.facts.preparation.channels, *self.facts.preparation.size) if self.analysis is None else self.analysis.input


def load_trained(path: str | Path, device: str = "auto", force: bool = False, module: nn.Module | None = None) -> Trained:
    """Load a trained network from a run folder (its best weights, else the last), from a file of weights or a folder with one.

    Args:
        path: the folder or the file.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"mps"`.
        force: load weights even if they exceed this machine's free memory.
        module: takes the weights in place of the network of the spec; it is copied, and stays as it is.

    Raises:
        ArgumentError: there is no such folder, file or device, or it cannot be read.
        WeightsError: the file lacks what is needed besides weights, or its weights do not match its spec.
        SpecError: the spec in the file is wrong.
    """
    device = require_device(device)
    file = _find_weights(require_run(path))
    facts = open_facts(file)
    facts = replace(facts, classes=make_distinct(facts.classes))
    where = find_device(device)
    if module is not None:
        return Trained(facts, None, _load_into(module, file, facts).to(where).eval(), where)
    analysis = _analyze(file, facts)
    check_size(analysis, facts.preparation.size)
    if not force:
        refuse_beyond_memory(analysis)
    network = build_module(analysis.graph, None, initialize=False)
    load_weights(network, analysis, file)
    return Trained(facts, analysis, network.to(where).eval(), where)


def refuse_not_finite(trained: Trained, precision: Precision) -> WeightsError:
    """The error for a network that returns values that are not finite."""
    message = f"the network {printable(trained.facts.name)} returns values that are not finite"
    help = "its weights are damaged, or of a run that diverged: use others"
    if precision == "fp16":
        help = "its values may be too large for fp16: use `--precision bf16` or `fp32`"
    return WeightsError([Diagnostic("output-not-finite", message, None, help=help)])


def find_data_of(path: Path, text: str) -> str:
    """The `--data` argument of the data that weights were trained with, as they are found now. Raises ArgumentError.

    `path` is a run folder or a file, `text` the argument that the weights name. The run, in whose folder the weights may be,
    knows the place of its data.
    """
    run = path if path.is_dir() else path.parent
    place = None
    if (run / RUN_FILE).is_file():
        with suppress(ArgumentError):  # a file of weights needs no run
            record = read_record(run)
            place = record.place if record.data == text else None
    return find_data(text, place, run)


def _find_weights(path: Path) -> Path:
    """Find the file of weights of a path. Raises ArgumentError."""
    shown = printable(str(path))
    if os.path.isdir(path):
        if not (path / RUN_FILE).exists() and any((path / name).is_file() for name in MODELS):
            return find_file(path)
        read_record(path)
        stored = [path / name for name in (BEST, LAST) if (path / name).exists()]
        if not stored:
            help = "continue the run: `resnet-spec train --resume`"
            raise ArgumentError([Diagnostic("not-a-run", f"{shown} has no weights yet", None, help=help)])
        return stored[0]
    if not os.path.isfile(path):
        message = f"there is no run folder or file of weights {shown}"
        raise ArgumentError([Diagnostic("missing-file", message, None, help=_spec_help(path))])
    if path.suffix in SUFFIXES:
        message = f"{shown} is a spec, and a run folder or a file of weights is expected here"
        raise ArgumentError([Diagnostic("invalid-argument", message, None, help=_spec_help(path))])
    return path


def _spec_help(path: Path) -> str:
    """The way out where a spec is named without weights."""
    is_spec = path.suffix in SUFFIXES or shipped_path(str(path)) is not None
    return f"name the weights of this spec: `{printable(str(path))} --weights FILE`" if is_spec else ""


def _load_into(module: nn.Module, file: Path, facts: WeightsFacts) -> nn.Module:
    """A copy of a module with the weights of a file. Raises WeightsError where they are those of another one."""
    if not isinstance(module, nn.Module):
        raise wrong_argument(f"`module` takes an nn.Module, not {quote(module)}")
    network = copy.deepcopy(module)
    load_strictly(network, file, type(module).__name__)
    outputs = subject_of_module(network, (facts.preparation.channels, *facts.preparation.size)).outputs
    if outputs != len(facts.classes):
        message = f"{printable(str(file))} names {len(facts.classes)} classes, and the module returns {outputs} values"
        raise WeightsError([Diagnostic("weights-without-facts", message, None)])
    return network


def _analyze(file: Path, facts: WeightsFacts) -> Analysis:
    """Analyze the spec in a file of weights. Raises SpecError, or WeightsError if the network does not match the facts."""
    shown = printable(str(file))
    if not facts.spec:
        message = f"{shown} contains the weights of a module that was not built from a spec"
        raise WeightsError([Diagnostic("weights-without-facts", message, None, help="in Python, give the module: module=...")])
    analysis = compiler.analyze(Target(Source(f"the spec in {file}", facts.spec), None, None))
    if analysis.output != (len(facts.classes),):
        message = f"{shown} names {len(facts.classes)} classes, but the output of its network is {show(analysis.output)}"
        raise WeightsError([Diagnostic("weights-without-facts", message, None)])
    if facts.preparation.channels != analysis.input[0]:
        message = f"{shown} prepares images of {facts.preparation.channels} channels, but its network takes {analysis.input[0]}"
        raise WeightsError([Diagnostic("weights-without-facts", message, None)])
    return analysis
