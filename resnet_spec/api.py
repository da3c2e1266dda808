"""The public functions. Importing this module does not import torch; `build` does.

Shapes are without the batch: (C, H, W), channels, height and width in pixels. Errors that a user can correct are subclasses of
`ResnetSpecError`, with every independent finding: `ArgumentError` for an argument that is not accepted or names a file that
cannot be read, `SpecError` for a mistake in a spec.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from resnet_spec import compiler as pipeline
from resnet_spec._system.files import write_atomically
from resnet_spec._system.packages import NETWORKS, TRAINING, require_packages
from resnet_spec.compiler import Analysis, ImageSize, Sketch
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.diagnostics.arguments import require_choice, require_choices, wrong_argument
from resnet_spec.language.library import library_block_names
from resnet_spec.language.spec import Spec, SpecLike
from resnet_spec.language.validation import schema_document
from resnet_spec.ops import Shape, show
from resnet_spec.ops.schema import complete

if TYPE_CHECKING:
    import torch
    from torch import nn

    from resnet_spec.inference.evaluate import Evaluation
    from resnet_spec.inference.predict import Prediction
    from resnet_spec.outputs.diagram import Picture, Show, Style
    from resnet_spec.outputs.torch_module import Network
    from resnet_spec.training.console import Console
    from resnet_spec.training.recipe import Precision, RecipeLike
    from resnet_spec.training.session import Result
    from resnet_spec.training.stop import Stop

Patches = Iterable[str] | Mapping[str, object]
_OUR_BUG = "this is a bug in resnet-spec; please report it"
_SYNONYMS = {"flops": "macs", "gflops": "macs", "mac": "macs", "parameters": "params", "shape": "shapes", "bytes": "memory"}


def load(spec: SpecLike, *, set: Patches = (), spec_root: str | Path | None = None) -> Spec:
    """Read a spec, apply its patches, and validate it. Expressions are not evaluated yet.

    Args:
        spec: a path, the name of a shipped spec (`"resnet50"`), YAML text (any string with a line break), or a dict.
        set: patches: `["stages.layer3.depth=23"]`, where the value is YAML and an empty one deletes the key, or
            `{"stages.layer3.depth": 23}`, where it is Python data and None deletes.
        spec_root: the folder that `extends` may not leave. Default: the working directory if the spec is inside it, else the
            spec's own folder.

    Raises:
        ArgumentError: `spec` is not a spec or names a file that cannot be read; `set` is not a set of patches.
        SpecError: the spec is wrong.
    """
    return pipeline.read_spec(pipeline.find(spec, root=spec_root), set)[0]


def analyze(
    spec: SpecLike,
    *,
    input: str | ImageSize | None = None,
    set: Patches = (),
    spec_root: str | Path | None = None,
) -> Analysis:
    """Compile a spec and compute shapes, parameters and multiply-adds, without torch.

    Args:
        spec: as for `load`; also `"block:NAME"`, one block of the library alone, with `set={"width": 64}` as its arguments.
        input: an input size other than the spec's, `"3x224x224"` or `(3, 224, 224)`: channels, height and width in pixels.
        set, spec_root: as for `load`.

    Returns:
        Analysis: `.output` is the output shape without the batch; `.total.params`, `.total.buffers` and `.total.macs` are the
        counts (multiply-adds of conv2d and linear for one image); `.graph`, `.shapes` and `.costs` have the details.

    Raises:
        ArgumentError: as `load`; also where `input` is not a size.
        SpecError: the spec is wrong, does not fulfill its own `expect`, or does not run at `input`.
    """
    return pipeline.analyze(pipeline.find(spec, input, spec_root), set, input)


def build(
    spec: SpecLike | Analysis,
    *,
    set: Patches = (),
    spec_root: str | Path | None = None,
    device: torch.device | str | None = None,
    initialize: bool = True,
    weights: str | Path | None = None,
    any_fingerprint: bool = False,
    force: bool = False,
    initialise: bool | None = None,
) -> Network:
    """Build the `nn.Module` of a spec, in training mode.

    Its `forward` takes images `(N, C, H, W)` and returns the output of the last operation, `(N, classes)` for a classifier; its
    `state_dict` keys are the names in the spec.

    Args:
        spec: as for `load`, or what `analyze` returned.
        set, spec_root: as for `load`; not with what `analyze` returned.
        device: where the weights are created; `"meta"` for shapes only.
        initialize: initialize the weights as the spec's `init` says. Without it they are left uninitialized, for a checkpoint
            to fill. (`initialise` is the old spelling.)
        weights: a safetensors file to load, strictly. Its fingerprint, if it has one, must be the network's.
        any_fingerprint: load weights of a network that computes something else, as long as keys and shapes match.
        force: build a network even if its weights are larger than the free memory of this machine.

    Raises:
        ArgumentError: as `load`; also where the file of weights cannot be read.
        SpecError: as `analyze`; also where the weights are larger than the free memory.
        WeightsError: the file holds weights of another network. Where keys or shapes differ, it is a RuntimeError too.
    """
    require_packages("building a module", *NETWORKS)
    from resnet_spec.outputs.torch_module import build_module
    from resnet_spec.weights.loading import load_weights, refuse_beyond_memory

    if initialise is not None:
        warnings.warn("`initialise` is now spelled `initialize`", DeprecationWarning, stacklevel=2)
        initialize = initialise
    if isinstance(spec, Analysis) and pipeline.each_of(set):
        raise wrong_argument("`set` is for specs, and an Analysis is compiled already", "give `set` to `analyze`")
    analysis = spec if isinstance(spec, Analysis) else analyze(spec, set=set, spec_root=spec_root)
    if str(device) != "meta" and not force:
        refuse_beyond_memory(analysis)
    if weights is None:
        return build_module(analysis.graph, device, initialize)
    network = build_module(analysis.graph, device, initialize=False)
    load_weights(network, analysis, Path(weights), any_fingerprint)
    return network


class Drawing(str):
    """A diagram as SVG text, or as the DOT text that was written to a `.dot` file. A notebook shows the picture of either."""

    _unrendered: Picture | None = None

    def _repr_svg_(self) -> str:
        from resnet_spec.outputs.render_dot import render_picture

        if self._unrendered is None:
            return str(self)
        try:
            return render_picture(self._unrendered, "svg").decode("utf-8")
        except ResnetSpecError:
            raise NotImplementedError from None  # a notebook then shows the text


def draw(
    spec: SpecLike,
    path: str | Path | None = None,
    *,
    input: str | ImageSize | None = None,
    set: Patches = (),
    spec_root: str | Path | None = None,
    detail: Literal["stage", "block", "op"] = "stage",
    expand: bool = False,
    direction: Literal["down", "right"] = "down",
    theme: Literal["light", "dark"] = "light",
    show: Show | Iterable[Show] = ("shapes", "params"),
    heat: Literal["params", "macs", "memory"] | None = None,
) -> Drawing:
    """Draw a network. A spec with a conflict is drawn as far as it works, with the conflict in red.

    Args:
        spec, input, set, spec_root: as for `analyze`.
        path: where to write the diagram; the suffix is the format: svg, png, pdf or dot. By default nothing is written.
        detail: what a box is: "stage", "block" or "op". Equal neighbors are drawn as one box, unless `expand` is set.
        direction: where the arrows point: "down" or "right".
        theme: "light" or "dark".
        show: what boxes show: "shapes" of outputs, "params", "macs" (multiply-adds for one image), "memory" (bytes of the
            outputs for one image in float32). One name may be given alone.
        heat: color boxes by a cost: "params", "macs" or "memory".

    Returns:
        Drawing: the diagram as SVG text, which a notebook shows. For a `.dot` file it is the DOT text: no renderer is needed.

    Raises:
        ArgumentError: as `analyze`; also for an option or a format that does not exist.
        SpecError: the spec cannot be read, or the diagram has more boxes or arrows than the format can show, or rendering it
            takes more than a minute.
        NoRendererError: an ArgumentError: neither pygraphviz nor `dot` is installed.
        OSError: `path` cannot be written.
    """
    from resnet_spec.outputs import diagram
    from resnet_spec.outputs.diagram import DiagramDetail, DiagramTheme, Direction, Heat, Style
    from resnet_spec.outputs.render_dot import find_format

    style = Style(
        require_choice("detail", detail, get_args(DiagramDetail)),
        expand,
        require_choice("direction", direction, get_args(Direction)),
        require_choice("theme", theme, get_args(DiagramTheme)),
        frozenset(require_choices("show", show, get_args(diagram.Show), _SYNONYMS)),
        None if heat is None else require_choice("heat", heat, get_args(Heat), _SYNONYMS, optional=True),
    )
    form = "svg" if path is None else find_format(Path(path).suffix.removeprefix(".").lower()).name
    found = pipeline.sketch(pipeline.find(spec, input, spec_root), set, input)
    drawn, data = _render(found, style, form)
    if path is not None:
        write_atomically(Path(path), data)
    if form == "dot":
        drawing = Drawing(drawn.dot)
        drawing._unrendered = drawn
        return drawing
    svg = data if form == "svg" else _render(found, style, "svg")[1]
    return Drawing(svg.decode("utf-8"))


def picture(found: Sketch, style: Style) -> Picture:
    """The diagram of a sketch, as DOT."""
    from resnet_spec.outputs.diagram import draw_graph

    return draw_graph(found.sized, style, found.broken)


def draw_bytes(found: Sketch, style: Style, form: str) -> tuple[bytes, int]:
    """A diagram in one of the formats, and the number of boxes in it.

    Raises:
        ArgumentError: there is no such format.
        SpecError: the diagram has more boxes or arrows than the format can show, or rendering it takes too long.
        NoRendererError: the format needs a renderer, and none is installed.
    """
    drawn, data = _render(found, style, form)
    return data, drawn.boxes


def _render(found: Sketch, style: Style, form: str) -> tuple[Picture, bytes]:
    """A diagram, and the content of its file."""
    from resnet_spec.outputs.render_dot import is_small, render_picture

    def smaller() -> str:
        details: tuple[Literal["block", "stage"], ...] = ("block", "stage")
        less = [detail for detail in details if is_small(picture(found, replace(style, detail=detail, expand=False)))]
        return f"`--detail {less[0]}`{', without --expand' if style.expand else ''}" if less else ""

    drawn = picture(found, style)
    return drawn, render_picture(drawn, form, smaller)


def check_shapes(analysis: Analysis, batch: int = 1) -> list[Diagnostic]:
    """Run the real module on the meta device, on `(batch, C, H, W)`, and compare each operation's shape with the static one.

    Returns:
        One finding for each operation that differs; an empty list if the analysis and torch agree.
    """
    require_packages("running a module", "torch", "numpy")
    from resnet_spec.outputs.torch_module import build_module, measured_shapes

    network = build_module(analysis.graph, "meta", initialize=False).eval()
    measured, failure = measured_shapes(network, (batch, *analysis.input))
    findings: list[Diagnostic] = []
    for position, (node, shape) in enumerate(zip(analysis.graph.nodes, analysis.shapes, strict=True)):
        found: Shape | None = measured.get(node.name)
        if found != (batch, *shape) and (found is not None or failure is None):
            gives = "does not run it" if found is None else f"computes {show(found)}"
            message = f"{node.name}: the analysis computes {show((batch, *shape))}, and torch {gives}"
            span, related = analysis.graph.place(position)
            findings.append(Diagnostic("analysis-differs", message, span, related=related, help=_OUR_BUG))
    if failure is not None:
        message = f"torch refuses what the analysis accepts: {failure}"
        findings.append(Diagnostic("analysis-differs", message, analysis.spec.span, help=_OUR_BUG))
    return findings


def write_weights(analysis: Analysis, path: Path, seed: int = 0, force: bool = False) -> int:
    """Write randomly initialized weights as safetensors, with name and fingerprint inside; returns the size in bytes.

    The random state of the caller is left as it was.
    """
    require_packages("writing weights", *NETWORKS)
    import torch

    from resnet_spec.weights.file import save_weights
    from resnet_spec.weights.metadata import to_metadata

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(analysis, force=force)
    facts = {"name": analysis.spec.name, "fingerprint": analysis.fingerprint, "seed": str(seed)}
    return save_weights(path, network, to_metadata(facts))


def spec_schema() -> dict[str, object]:
    """The JSON Schema of specs, for editors, with all operations and the blocks of the library."""
    return complete(schema_document(), library_block_names())


def train(
    spec: SpecLike | nn.Module,
    recipe: RecipeLike | None = None,
    data: str = "synthetic",
    *,
    out: str | Path | None = None,
    set: Patches = (),
    set_recipe: Patches = (),
    spec_root: str | Path | None = None,
    input: tuple[int, int, int] | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    skip_bad: bool = False,
    overfit_batch: bool = False,
    force: bool = False,
    console: Console | None = None,
    stop: Stop | None = None,
) -> Result:
    """Train a network, and store everything about the run in a folder.

    Args:
        spec: as for `analyze`; or any `nn.Module` that takes images `(N, C, H, W)` and returns `(N, classes)`, with `input`.
        recipe: the name of a shipped recipe, a path, YAML text or a dict; by default the spec's own, and `quick` for synthetic
            data.
        data: `"synthetic"`, `"cifar10:DIR"`, `"folder:DIR"`, ... as on the command line.
        out: the folder of the run, which must not exist or be empty; by default `runs/NAME-RECIPE-1` and so on.
        set, set_recipe: patches of spec and recipe, as for `load`: `["params.n=9"]`, `{"optimizer.lr": 0.05}`.
        spec_root: as for `load`.
        input: (C, H, W) in pixels, for a module that is not from a spec.
        weights: a safetensors file to start from; a head for another number of classes is drawn at random.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"mps"`.
        workers: processes that read images; by default as many as are useful.
        skip_bad: leave out images that cannot be read, and count them.
        overfit_batch: train on one batch alone, to see that the network can learn it.
        force: train even if this machine's free memory does not suffice.
        console: where to report; by default a line for each epoch is printed.
        stop: what asks the run to stop; by default SIGINT and SIGTERM.

    Returns:
        The trained module, a row of figures for each epoch, the test scores, and the folder.

    Raises:
        SpecError, RecipeError, DataError, WeightsError: spec, recipe, data or weights are wrong, or do not fit together.
        TrainingError: the run diverged, or does not fit into memory.
        ArgumentError: an argument is wrong, or names something that is missing; or the folder cannot be written.
        Interrupted: the run was asked to stop, and has been saved; `resume` continues it.
    """
    require_packages("training", *TRAINING)
    from resnet_spec.training import runs
    from resnet_spec.training.options import TrainOptions

    options = TrainOptions(
        spec=spec,
        recipe=recipe,
        data=data,
        out=None if out is None else Path(out),
        set=tuple(pipeline.each_of(set)),
        set_recipe=tuple(pipeline.each_of(set_recipe, "set_recipe")),
        spec_root=None if spec_root is None else Path(spec_root),
        input=None if input is None else pipeline.parse_size(input),
        weights=None if weights is None else Path(weights),
        device=device,
        workers=workers,
        skip_bad=skip_bad,
        overfit_batch=overfit_batch,
        force=force,
    )
    return runs.train(options, console, stop)


def resume(
    folder: str | Path,
    *,
    data: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    module: nn.Module | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> Result:
    """Continue a run from its newest checkpoint that can be read, or from its start where there is none.

    Args:
        folder: the folder of the run.
        data: where the data are now, if they have moved.
        device, workers, console, stop: as for `train`.
        module: the module that the run began with, where it is not from a spec; its weights are set by the checkpoint.

    Returns:
        As `train`. A run that is finished already is evaluated again.

    Raises:
        ArgumentError: the folder is not that of a run.
        DataError: the data are not those that the run began with.
        SpecError, RecipeError, WeightsError, TrainingError, Interrupted: as for `train`.
    """
    require_packages("training", *TRAINING)
    from resnet_spec.training import runs

    path = Path(folder)
    return runs.resume(path, data=data, device=device, workers=workers, module=module, console=console, stop=stop)


def evaluate(
    path: str | Path,
    data: str | None = None,
    *,
    split: Literal["train", "validation", "test"] = "test",
    device: str = "auto",
    batch_size: int = 256,
    workers: int | None = None,
    skip_bad: bool = False,
    precision: Precision = "fp32",
) -> Evaluation:
    """Evaluate trained weights on data.

    Args:
        path: a run folder, or one file of weights that `train` wrote.
        data: as for `train`; by default what the weights were trained with. Its classes must have the names of the network's.
        split: which images to use.
        device, workers, skip_bad: as for `train`.
        batch_size: images that are computed together; the scores do not depend on it.
        precision: the precision of weights and activations.

    Returns:
        Loss, accuracies and the confusion matrix, and the images that were left out.

    Raises:
        ArgumentError: an argument is wrong, or names something that is missing or cannot be read.
        DataError: the data do not fit the network, have no such split, or hold an image that cannot be read.
        WeightsError: the file of weights is not one that `train` wrote, or does not fit its spec.
    """
    require_packages("evaluating a network", *NETWORKS)
    from resnet_spec.inference.evaluate import evaluate

    return evaluate(
        path,
        data,
        split=split,
        device=device,
        batch_size=batch_size,
        workers=workers,
        skip_bad=skip_bad,
        precision=precision,
    )


def predict(
    path: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    top: int = 5,
    device: str = "auto",
    batch_size: int = 64,
    precision: Precision = "fp32",
) -> list[Prediction]:
    """Predict the classes of images.

    Args:
        path: a run folder, or one file of weights that `train` wrote.
        images: a file, a folder (all images below it), or several of them.
        top: how many of the most probable classes to return for each image.
        device: as for `train`.
        batch_size: images that are computed together; the predictions do not depend on it.
        precision: the precision of weights and activations.

    Returns:
        A prediction for each image, in the order given; those of a folder are sorted by path. An image that cannot be read has
        a `problem` instead of classes.

    Raises:
        ArgumentError: an argument is wrong, or names something that is missing or cannot be read.
        DataError: the network takes a number of channels that no image file has.
        WeightsError: the file of weights is not one that `train` wrote, or does not fit its spec.
    """
    require_packages("predicting", *NETWORKS)
    from resnet_spec.inference.predict import predict

    return predict(path, images, top=top, device=device, batch_size=batch_size, precision=precision)
