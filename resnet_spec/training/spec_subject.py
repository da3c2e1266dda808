"""From a spec to the module that is trained, and to what is known about it: where the compiler meets the trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from resnet_spec.analysis.cost import count
from resnet_spec.analysis.memory import OPTIMIZER_STATES, measure
from resnet_spec.analysis.shapes import infer
from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.compiler import Analysis, Target, analyze, flatten_text
from resnet_spec.data import Data
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import DataError, Diagnostic, Source, SpecError
from resnet_spec.ops import show
from resnet_spec.outputs.torch_module import build_module
from resnet_spec.training.randomness import Purpose, seed_of
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.subject import Subject


@dataclass(frozen=True, slots=True)
class CompiledSpec:
    """A compiled spec, with the text and the patches (`key.path=value`) that it was compiled from."""

    target: Target
    patches: tuple[str, ...]
    analysis: Analysis

    @property
    def outputs(self) -> int | None:
        """How many numbers the network returns for an image; None where it returns more than a vector."""
        return self.analysis.output[0] if len(self.analysis.output) == 1 else None


def compile_spec(target: Target, patches: tuple[str, ...] = ()) -> CompiledSpec:
    """Compile a spec with patches. Raises SpecError."""
    return CompiledSpec(target, patches, analyze(target, patches))


def set_init(spec: CompiledSpec, init: str | None) -> CompiledSpec:
    """The spec with the initialization of a recipe instead of its own. Nothing else in the graph depends on it."""
    if init is None:
        return spec
    analysis = spec.analysis
    changed = replace(analysis, spec=replace(analysis.spec, init=init), graph=replace(analysis.graph, init=init))
    return CompiledSpec(spec.target, (*spec.patches, f"init={init}"), changed)


def fit_classes(spec: CompiledSpec, data: Data) -> tuple[CompiledSpec, tuple[str, ...]]:
    """The spec with as many outputs as the data have classes, and notes on what was changed. Raises DataError."""
    analysis, classes = spec.analysis, len(data.classes)
    if analysis.output == (classes,):
        return spec, ()
    if analysis.spec.classes is not None:
        adapted = compile_spec(spec.target, (*spec.patches, f"classes={classes}"))
        if adapted.analysis.output == (classes,):
            note = f"the head has {classes} outputs, one for each class of the data; the spec has {show(analysis.output)}"
            return adapted, (note,)
    message = f"{analysis.spec.name} returns {show(analysis.output)}, and the data have {classes} classes"
    span, help = analysis.spec.span, "write `classes: N` in the spec, and `out_features: classes` in its last linear"
    if len(analysis.output) > 1 and analysis.graph.nodes:
        last = analysis.graph.nodes[analysis.graph.output]
        message = (
            f"{analysis.spec.name} returns {show(analysis.output)}, and one number for each of {classes} classes is needed"
        )
        span, _ = analysis.graph.place(analysis.graph.output)
        help = "end the head with `flatten: flatten` and `fc: {op: linear, out_features: classes}`"
        if last.op.family == "linear":
            help = f"put `flatten: flatten` before `{last.name}`"
    raise DataError([Diagnostic("data-classes", message, span, help=help)])


def note_activated_logits(analysis: Analysis) -> tuple[str, ...]:
    """A note on an activation after the last layer, since the loss of a run is cross entropy."""
    return tuple(each.message for each in analysis.lints if each.code == "activation-on-logits")


def check_size(analysis: Analysis, size: tuple[int, int]) -> None:
    """Raise DataError where the network does not run on images of the size to which they are prepared."""
    if not analysis.accepted.unsolved and size not in analysis.accepted:
        height, width = analysis.input[1:]
        given = show((analysis.spec.input[0], *size))
        message = f"{analysis.spec.name} does not run on {given}; it accepts {analysis.accepted.describe()}"
        help = f"`--set-recipe 'resize=[{height}, {width}]'` resizes them to the size that it is built for"
        raise DataError([Diagnostic("data-size", message, None, help=help)])


def fit_input(spec: CompiledSpec, recipe: Recipe, size: tuple[int, int]) -> tuple[CompiledSpec, tuple[str, ...]]:
    """The spec with the input size to which its recipe prepares images, and a note where the spec has another.

    So a run has one size: in its spec, its diagram and its figures. `size` is accepted (see `check_size`). Raises RecipeError
    where layers of the spec depend on its input: they would be others.
    """
    analysis = spec.analysis
    if analysis.input[1:] == size:
        return spec, ()
    old, new = (show((analysis.input[0], *each)) for each in (analysis.input[1:], size))
    key = "resize" if recipe.crop is None else "crop"
    try:
        adapted = compile_spec(spec.target, (*spec.patches, f"input={new}"))
    except SpecError:
        adapted = None
    if adapted is None or adapted.analysis.fingerprint != analysis.fingerprint:
        message = f"`{key}` of the recipe gives images of {new}, and {analysis.spec.name} is built for {old}"
        help = f"`--set input={old}` fits the recipe to the network, `--set input={new}` builds a network for these images"
        raise recipe.refuse("recipe-crop", message, key, help=help)
    note = f"the network takes {new}, as `{key}` of the recipe says; the spec has {old} (`--set input={old}` keeps that)"
    return adapted, (note,)


def subject_of_spec(spec: CompiledSpec, recipe: Recipe, preparation: Preparation, *, prove: bool = True) -> Subject:
    """Build the module of a spec, with weights drawn from the recipe's seed.

    The run keeps the spec as one document, in its folder and in its weights, and is resumed and evaluated by that alone.
    `prove` compiles the document once more and compares fingerprints: a difference would be found out only then, too late.
    """
    analysis = spec.analysis
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(Purpose.WEIGHTS, recipe.seed))
        module = build_module(analysis.graph)
    sized = _resize(analysis, (analysis.spec.input[0], *preparation.size))
    text = flatten_text(spec.target, spec.patches, analysis.spec.name)
    if prove:
        again = analyze(Target(Source(f"{analysis.spec.name} as trained", text), None, None))
        assert again.fingerprint == analysis.fingerprint, "the spec as one document is another network"
    return Subject(
        name=analysis.spec.name,
        module=module,
        input=analysis.input,
        outputs=analysis.output[0],
        params=analysis.total.params,
        macs=sized.total().macs,
        spec=text,
        fingerprint=analysis.fingerprint,
        memory=lambda batch: _training_memory(sized, batch, recipe),
        diagram=lambda is_cancelled: _draw(sized, is_cancelled),
        named_outputs={output.name: sized.shape_of(output.value) for output in analysis.graph.outputs},
    )


def _resize(analysis: Analysis, input: tuple[int, int, int]) -> SizedGraph:
    """The graph at the size of the images that it is trained on."""
    if input == analysis.input:
        return analysis.sized
    shapes = infer(analysis.graph, input)
    return SizedGraph(analysis.graph, input, shapes, count(analysis.graph, shapes))


def _training_memory(sized: SizedGraph, batch: int, recipe: Recipe) -> int:
    """Bytes that training takes in a process with `batch` images at once."""
    states, cost = _optimizer_states(recipe), sized.total()
    whole = measure(sized.graph, sized.input, sized.shapes, cost, batch, optimizer=states)
    if recipe.precision == "fp32":
        return whole.training
    half = measure(sized.graph, sized.input, sized.shapes, cost, batch, 2, states)
    return whole.training - whole.saved + half.saved + half.params  # autocast keeps copies of the weights, too


def _optimizer_states(recipe: Recipe) -> str:
    """The key of `OPTIMIZER_STATES` for an optimizer: how many numbers it keeps for each parameter."""
    if recipe.optimizer == "SGD":
        return "momentum" if recipe.optimizer_arguments.get("momentum") else "sgd"
    assert "adam" in OPTIMIZER_STATES
    return "adam"


def _draw(sized: SizedGraph, is_cancelled: Callable[[], bool]) -> bytes:
    """The diagram of a network as SVG. Raises SpecError if it is too large, ArgumentError if a package for it is missing."""
    from resnet_spec.outputs.diagram import Style, draw_graph
    from resnet_spec.outputs.render_dot import render_picture

    return render_picture(draw_graph(sized, Style()), "svg", is_cancelled=is_cancelled)
