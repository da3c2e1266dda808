"""The public functions. Importing this module does not import torch; `build`, `train` and what follows them do.

Input sizes and analyzed shapes are without the batch: (C, H, W) in pixels, or (F,) after a flatten. Modules take images
`(N, C, H, W)`. Errors that a user can correct are subclasses of `ResnetSpecError` and hold every independent finding:
`ArgumentError` for an argument that is not accepted or names a file that cannot be read or written, `SpecError` for a mistake
in a spec, and so on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from resnet_spec import compiler
from resnet_spec._system.files import write_atomically
from resnet_spec._system.packages import NETWORKS, TRAINING, require_packages
from resnet_spec.analysis.single_block import take_block
from resnet_spec.compiler import Analysis, ImageSize, Outputs, Sketch
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError, printable
from resnet_spec.diagnostics.arguments import as_integer, quote, require_choice, require_choices, wrong_argument
from resnet_spec.language.library import library_block_names
from resnet_spec.language.schemas import schema_document
from resnet_spec.language.spec import Spec, SpecLike
from resnet_spec.ops import Shape, show
from resnet_spec.ops.schema import complete

if TYPE_CHECKING:
    import torch
    from torch import nn

    from resnet_spec.comparison.difference import Difference
    from resnet_spec.inference.evaluate import Evaluation
    from resnet_spec.inference.exporting import Exported
    from resnet_spec.inference.given import ImageLike
    from resnet_spec.inference.predict import Prediction
    from resnet_spec.outputs.diagram import Picture, Show, Style
    from resnet_spec.outputs.torch_module import Network
    from resnet_spec.training.console import Console
    from resnet_spec.training.recipe import Precision, RecipeLike
    from resnet_spec.training.session import Result
    from resnet_spec.training.stop import Stop
    from resnet_spec.weights.planning import Plan
    from resnet_spec.weights.reading import StoredWeights

Patches = Iterable[str] | Mapping[str, object]
_OUR_BUG = "this is a bug in resnet-spec; please report it"
_SYNONYMS = {"flops": "macs", "gflops": "macs", "mac": "macs", "parameters": "params", "shape": "shapes", "bytes": "memory"}


def load(spec: SpecLike, *, set: Patches = (), spec_root: str | Path | None = None) -> Spec:
    """Read a spec, apply its patches, and validate it. Expressions are not evaluated.

    Args:
        spec: a path, also of a run folder, the name of a shipped spec (`"resnet50"`), YAML text (any string with a line break),
            or a dict.
        set: patches: `["stages.layer3.depth=23"]`, where the value is YAML and an empty value deletes the key, or
            `{"stages.layer3.depth": 23}`, where the value is Python data and None deletes the key.
        spec_root: the folder that `extends` may not leave. Default: the nearest folder above the spec that holds `.git` or
            `pyproject.toml`; without one, the working directory if the spec is inside it, else the spec's own folder.

    Returns:
        Spec: the merged document, which every other function accepts as a spec.

    Raises:
        ArgumentError: `spec` is not a spec or names a file that cannot be read; `set` is not a set of patches.
        SpecError: the spec is wrong.
    """
    return compiler.read_spec(compiler.find(spec, root=spec_root), set)[0]


def analyze(
    spec: SpecLike,
    *,
    input: str | ImageSize | None = None,
    set: Patches = (),
    spec_root: str | Path | None = None,
    outputs: Outputs | None = None,
) -> Analysis:
    """Compile a spec and compute shapes, parameters and multiply-adds, without torch.

    Args:
        spec: as for `load`; also `"block:NAME"`, a single block of the library, with `set={"width": 64}` as its arguments.
        input: an input size other than the spec's, `"3x224x224"` or `(3, 224, 224)`: channels, height and width in pixels.
        set, spec_root: as for `load`.
        outputs: what the network returns instead of its own output: the name of an entry of stem, stages and head, or of its
            module, for a tensor; several names, or a mapping, for a dict of tensors. What no output needs is left out.

    Returns:
        Analysis: `.output` is the output shape, (F,) or (C, H, W) in pixels. `.total.params` and `.total.buffers` count
        numbers, `.total.macs` the multiply-adds of conv2d and linear for one image (the FLOPs of He et al. 2016).
        `.accepted` are the accepted (height, width) in pixels. `.graph`, `.shapes` and `.costs` describe each operation.

    Raises:
        ArgumentError: as for `load`; also if `input` is not a size.
        SpecError: the spec is wrong, does not satisfy its own `expect`, or does not run at `input`.
    """
    return compiler.analyze(compiler.find(spec, input, spec_root), set, input, outputs=outputs)


def diff(
    a: SpecLike | Analysis,
    b: SpecLike | Analysis,
    *,
    set_a: Patches = (),
    set_b: Patches = (),
    input: str | ImageSize | None = None,
    spec_root: str | Path | None = None,
) -> Difference:
    """Find what differs between two networks, without torch.

    >>> resnet_spec.diff("resnet50", "resnet101")
    <Difference: resnet50 -> resnet101, 1 cause, +18.99M parameters, +3.712G multiply-adds>

    Args:
        a, b: as for `load`, or results of `analyze`; also a run folder, or a file at a git revision,
            `"HEAD~1:specs/a.yaml"`.
        set_a, set_b: patches of each; not accepted with the result of `analyze`.
        input: as for `analyze`, for both.
        spec_root: as for `load`.

    Returns:
        Difference: `.equal` is whether there is none. `.causes` are settings that differ, each with its effect, `.parts` are
        the operations, blocks and stages that do. `str()` of it is the text that `resnet-spec diff` prints, `.markdown()` the
        same for a pull request, and `.data()` plain data.

    Raises:
        ArgumentError, SpecError: as for `analyze`, but for the `expect` of a spec, which is not checked.
    """
    from resnet_spec.comparison.difference import compare
    from resnet_spec.comparison.runs import compare_runs

    before, after = (_version(spec, patches, input, spec_root) for spec, patches in ((a, set_a), (b, set_b)))
    return compare(before[0], after[0], (before[1], after[1]), compare_runs(a, b))


def _version(
    spec: SpecLike | Analysis, patches: Patches, input: str | ImageSize | None, spec_root: str | Path | None
) -> tuple[Analysis, str]:
    """The analysis of one side of a comparison, and what to call it."""
    listed = compiler.list_patches(patches)
    if isinstance(spec, Analysis):
        if listed or input is not None:
            raise wrong_argument("`set_a`, `set_b` and `input` are not accepted with the result of `analyze`")
        return spec, spec.spec.name
    analysis = compiler.analyze(compiler.find_version(spec, input, spec_root), listed, input, enforce_expect=False)
    named = isinstance(spec, Path) or (isinstance(spec, str) and "\n" not in spec)
    label = str(spec) if named else analysis.spec.name
    return analysis, label + (f" with {', '.join(listed)}" if listed else "")


def build(
    spec: SpecLike | Analysis,
    *,
    set: Patches = (),
    spec_root: str | Path | None = None,
    device: torch.device | str | None = None,
    initialize: bool = True,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    weights_map: str | Path | None = None,
    any_fingerprint: bool = False,
    force: bool = False,
    outputs: Outputs | None = None,
    initialise: bool | None = None,
) -> Network:
    """Build the `nn.Module` of a spec, in training mode.

    Its `forward` takes float images `(N, C, H, W)` and returns the output of the last operation, `(N, classes)` logits for a
    classifier. With `outputs`, in the spec or here, it returns a dict of tensors. Its `state_dict` keys are the names in the
    spec. The shipped ImageNet ResNets have torchvision's keys.

    Args:
        spec: as for `load`, or the result of `analyze`.
        set, spec_root: as for `load`; not accepted with the result of `analyze`.
        device: where the weights are created; `"meta"` for shapes only.
        initialize: initialize the weights by the method in the spec's `init`. If false, they are left uninitialized, to be
            loaded from a checkpoint. (`initialise` is the old spelling.)
        weights: what to load, strictly: safetensors, a file of `torch.save` (read with `weights_only`), an index of several
            files, a run folder, or a folder with `model.safetensors`. Published weights are downloaded if they are not in the
            cache: `"torchvision:ResNet50_Weights.IMAGENET1K_V2"`, `"hf:timm/resnet50d.ra2_in1k"`, a repository of the Hugging
            Face hub, also with `@` and a revision, and `"published"`, the weights that the spec names by its key `weights`. A
            `Path` is always local. By default those of the run, if `spec` is a run folder. The fingerprint, if there is one,
            must be the network's.
            What is not as expected, such as a prefix of all names, other names in the same structure, or numbers that are
            not finite, is a UserWarning.
        weights_key: the part of a checkpoint to load, such as `"model_ema"`, or what its names begin with,
            `"module.encoder_q"`.
        weights_map: a YAML file that says which tensor of the file is which: `network key: file key`.
        any_fingerprint: load weights of a network that computes something else, as long as keys and shapes match.
        force: build the network even if its weights (4 bytes for each parameter) exceed the free memory of this machine.
        outputs: as for `analyze`; not accepted with the result of `analyze`.

    Raises:
        ArgumentError: as for `load`; also if the file of weights cannot be read.
        SpecError: as for `analyze`; also if the weights exceed the free memory.
        WeightsError: the file holds no weights, a pickle that could run code, or weights of another network; or it cannot be
            downloaded, or has another hash than what was published. If keys or shapes differ, it is also a RuntimeError.
    """
    require_packages("building a module", *NETWORKS)
    from resnet_spec.outputs.torch_module import build_module, take_part
    from resnet_spec.weights.loading import load_weights, refuse_beyond_memory

    if initialise is not None:
        warnings.warn("`initialise` is now spelled `initialize`", DeprecationWarning, stacklevel=2)
        initialize = initialise
    if isinstance(spec, Analysis) and compiler.list_patches(set):
        raise wrong_argument("`set` changes a spec, but an Analysis is already compiled", "pass `set` to `analyze`")
    if isinstance(spec, Analysis) and outputs is not None:
        message = "`outputs` changes what a network returns, but an Analysis is already compiled"
        raise wrong_argument(message, "pass `outputs` to `analyze`")
    analysis = spec if isinstance(spec, Analysis) else analyze(spec, set=set, spec_root=spec_root, outputs=outputs)
    if weights is None and initialize and not compiler.list_patches(set) and compiler.is_run(spec):
        weights = Path(str(spec))
    if str(device) != "meta" and not force:
        refuse_beyond_memory(analysis)
    if weights is None and weights_map is not None:
        raise wrong_argument("`weights_map` is about weights to load", "name them: weights=...")
    if weights is None:
        return build_module(analysis.graph, device, initialize)
    # Weights are those of the whole network, also where only a part of it returns its outputs.
    whole = analysis if outputs is None or isinstance(spec, Analysis) else analyze(spec, set=set, spec_root=spec_root)
    network = build_module(whole.graph, device, initialize=False)
    key_map = None if weights_map is None else Path(weights_map)
    for note in load_weights(network, whole, weights, any_fingerprint, weights_key, key_map):
        warnings.warn(f"{printable(str(weights))}: {note}", UserWarning, stacklevel=2)
    return network if outputs is None else take_part(network, analysis.graph, device)


class Drawing(str):
    """A diagram as SVG text, or as DOT text if it was written to a `.dot` file. A notebook shows either as a picture."""

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
    block: str | None = None,
    title: bool = True,
    outputs: Outputs | None = None,
) -> Drawing:
    """Draw a network as a diagram. If the spec has a conflict, the part that works is drawn, with the conflict in red.

    Args:
        spec, input, set, spec_root, outputs: as for `analyze`.
        path: the file to write; the suffix selects the format: svg, png, pdf or dot. By default nothing is written.
        detail: what a box is: "stage", "block" or "op".
        expand: draw equal neighbors one by one, not as a single box with their number.
        direction: the direction of the arrows: "down" or "right".
        theme: "light" or "dark".
        show: what boxes show: "shapes" (C x H x W) of outputs, "params", "macs" (multiply-adds for one image), "memory" (bytes
            of the outputs for one image in float32). A single name can be passed as a string.
        heat: color boxes by a cost, "params", "macs" or "memory", relative to the most expensive box. What the color shows,
            boxes show as well, unless `show` is empty.
        block: draw one block of the network alone, the first use of the block with this name, or the use with this name
            (`"layer2.0"`), with its arguments and its input shape.
        title: write the name and the counts of the network above the diagram.

    Returns:
        Drawing: the diagram as SVG text, which a notebook shows as a picture. For a `.dot` file it is the DOT text, and no
        renderer is needed.

    Raises:
        ArgumentError: as for `analyze`; also for an option, a format or a block that does not exist.
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
        title,
    )
    form = "svg" if path is None else find_format(Path(path).suffix.removeprefix(".").lower()).name
    sketch = compiler.sketch(compiler.find(spec, input, spec_root), set, input, outputs)
    picture, data = _render(sketch, style, form, block)
    if path is not None:
        write_atomically(Path(path), data)
    if form == "dot":
        drawing = Drawing(picture.dot)
        drawing._unrendered = picture
        return drawing
    svg = data if form == "svg" else _render(sketch, style, "svg", block)[1]
    return Drawing(svg.decode("utf-8"))


def draw_picture(sketch: Sketch, style: Style, block: str | None = None) -> Picture:
    """Draw a sketch, or one block of it, as DOT text."""
    from resnet_spec.outputs.diagram import draw_graph

    if block is None:
        return draw_graph(sketch.sized, style, sketch.broken)
    alone = take_block(sketch.sized, block, sketch.broken)
    return draw_graph(alone.sized, style, alone.broken)


def draw_bytes(sketch: Sketch, style: Style, form: str, block: str | None = None) -> tuple[bytes, int]:
    """Draw a sketch, or one block of it, in one of the formats (svg, png, pdf, dot); returns the content of the file, and the
    number of boxes.

    Raises:
        ArgumentError: there is no such format, or no such block.
        SpecError: the diagram has more boxes or arrows than the format can show, or rendering it takes too long.
        NoRendererError: the format needs a renderer, and none is installed.
    """
    picture, data = _render(sketch, style, form, block)
    return data, picture.boxes


def _render(sketch: Sketch, style: Style, form: str, block: str | None = None) -> tuple[Picture, bytes]:
    """A diagram, and the content of its file."""
    from resnet_spec.outputs.render_dot import is_small, render_picture

    def smaller() -> str:
        details: tuple[Literal["block", "stage"], ...] = ("block", "stage")
        pictures = {detail: draw_picture(sketch, replace(style, detail=detail, expand=False), block) for detail in details}
        less = [detail for detail, picture in pictures.items() if is_small(picture)]
        return f"`--detail {less[0]}`{', without --expand' if style.expand else ''}" if less else ""

    picture = draw_picture(sketch, style, block)
    return picture, render_picture(picture, form, smaller)


def check_shapes(analysis: Analysis, batch: int = 1) -> list[Diagnostic]:
    """Run the module on torch's meta device with an input of `(batch, C, H, W)`, and compare each operation's output shape
    with the static analysis.

    Returns:
        One finding for each operation whose shape differs; an empty list if the analysis and torch agree.
    """
    require_packages("running a module", "torch", "numpy")
    from resnet_spec.outputs.torch_module import build_module, measure_shapes

    network = build_module(analysis.graph, "meta", initialize=False).eval()
    network.training = True  # of itself only: so that it also runs what it has in training only
    measured, failure = measure_shapes(network, (batch, *analysis.input))
    findings: list[Diagnostic] = []
    for position, (node, shape) in enumerate(zip(analysis.graph.nodes, analysis.shapes, strict=True)):
        if node.op.own_tensor:  # no module, which could be measured
            continue
        found: Shape | None = measured.get(node.name)
        if found != (batch, *shape) and (found is not None or failure is None):
            actual = "does not run it" if found is None else f"computes {show(found)}"
            message = f"{node.name}: the analysis computes {show((batch, *shape))}, but torch {actual}"
            span, related = analysis.graph.place(position)
            findings.append(Diagnostic("analysis-differs", message, span, related=related, help=_OUR_BUG))
    if failure is not None:
        message = f"torch rejects what the analysis accepts: {failure}"
        findings.append(Diagnostic("analysis-differs", message, analysis.spec.span, help=_OUR_BUG))
    return findings


def write_initial_weights(analysis: Analysis, path: Path, seed: int = 0, force: bool = False) -> int:
    """Write randomly initialized weights as safetensors, together with the network's name and fingerprint.

    The random state of the caller is not changed.

    Returns:
        The size of the file in bytes.

    Raises:
        SpecError: the weights exceed the free memory of this machine, and `force` is not set.
        OSError: the file cannot be written.
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


def check_weights(analysis: Analysis, weights: str | Path) -> None:
    """Raise ArgumentError if `weights` name nothing that `build` could load; nothing is read or downloaded."""
    require_packages("reading weights", *NETWORKS)
    from resnet_spec.weights.source import check_source

    check_source(weights, analysis)


def load_network(
    analysis: Analysis,
    weights: str | Path,
    key: str | None = None,
    any_fingerprint: bool = False,
    force: bool = False,
    key_map: Path | None = None,
) -> tuple[Network, StoredWeights, tuple[str, ...]]:
    """Build a network with weights, as `build` does; returns it with the weights, and notes on what was not as expected.

    Raises as `build`.
    """
    require_packages("reading weights", *NETWORKS)
    from resnet_spec.outputs.torch_module import build_module
    from resnet_spec.weights.loading import load_stored, refuse_beyond_memory
    from resnet_spec.weights.source import open_source

    if not force:
        refuse_beyond_memory(analysis)
    stored = open_source(weights, key, analysis)
    network = build_module(analysis.graph, None, initialize=False)
    return network, stored, load_stored(network, analysis, stored, weights, any_fingerprint, key_map)


def plan_weights(analysis: Analysis, weights: str | Path, key: str | None = None, key_map: Path | None = None) -> Plan:
    """The plan by which `build` loads weights into a network; nothing is loaded. Raises as `build`, but not for its content."""
    require_packages("reading weights", *NETWORKS)
    from resnet_spec.outputs.torch_module import build_module
    from resnet_spec.weights.plans import plan_build
    from resnet_spec.weights.source import open_source

    own = build_module(analysis.graph, "meta", initialize=False).state_dict()
    return plan_build(analysis, own, open_source(weights, key, analysis), key_map)


def write_network(network: Network, analysis: Analysis, path: Path, stored: StoredWeights) -> int:
    """Write the weights of a network as safetensors, together with its name and fingerprint; returns the size in bytes.

    What belongs to the weights is written, too: where they were published, and their license; and if their classes and the
    preparation of images are known, those with the spec, so that the file can be evaluated by itself.

    Raises OSError if the file cannot be written.
    """
    from resnet_spec.weights.belongings import describe_weights
    from resnet_spec.weights.file import save_weights

    return save_weights(path, network, describe_weights(analysis, stored))


def spec_schema() -> dict[str, object]:
    """Return the JSON Schema (draft-07) of specs, for editors, with all operations and the blocks of the library."""
    return complete(schema_document(), library_block_names())


def export(
    spec: SpecLike | Analysis,
    path: str | Path,
    *,
    set: Patches = (),
    spec_root: str | Path | None = None,
    input: str | ImageSize | None = None,
    outputs: Outputs | None = None,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    weights_map: str | Path | None = None,
    seed: int | None = None,
    fold_bn: bool = False,
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32",
    channels_last: bool = False,
    dynamic: Literal["batch", "size"] = "batch",
    opset: int | None = None,
    preprocessing: Literal["nhwc", "nchw"] | None = None,
    snippet: bool | None = None,
    prepare: Mapping[str, object] | Iterable[str] = (),
    force: bool = False,
) -> Exported:
    """Write a network as a file that runs without this package, and compare the file with the module.

    The suffix of `path` selects the format: `.py` (plain PyTorch source, and the weights as `NAME.pth`), `.onnx` (the extra
    `onnx`), `.pt2` (a program of `torch.export`), or `.safetensors` (the weights alone). The file is verified before it
    appears under its name: it is run on batches of 1, 2 and 5 images, and with `dynamic="size"` at another size.

    Args:
        spec: as for `load`, the result of `analyze`, a run folder, or a file of weights that `train` wrote; of a run the best
            weights are exported, with its classes and its preparation of images.
        path: the file to write.
        set, spec_root, outputs: as for `analyze`; `set` and `spec_root` are not accepted with a run.
        input: another size of images (C, H, W) in pixels.
        weights, weights_key, weights_map: as for `build`. Without weights the network is freshly initialized.
        seed: of the fresh weights; 0 by default.
        fold_bn: fold batch norms into the layers before them. The folded network is a spec, which is written next to the file.
        dtype: the precision of weights and activations. Inputs and outputs of the file stay float32.
        channels_last: whether the program arranges its tensors with the channels last (`.pt2` only).
        dynamic: "batch" for any number of images, "size" for any accepted height and width as well.
        opset: the version of ONNX's operators, 18 to 23.
        preprocessing: take images as bytes, `(N, H, W, C)` for "nhwc" or `(N, C, H, W)` for "nchw", and normalize them in the
            file, as the weights state. Images are not resized in it.
        snippet: write `NAME_example.py` next to the file, a short program that runs it on an image; by default with
            `preprocessing`.
        prepare: how images are prepared for weights that do not say it, or otherwise than they say: as for `predict`.
        force: build the network even if its weights exceed the free memory of this machine.

    Returns:
        Exported: `.path`, `.files`, `.difference` (the largest relative difference of an output), `.checks` and `.notes`.

    Raises:
        ArgumentError: as for `load`; also for a suffix or an option that does not apply, an extra that is not installed, and a
            file that cannot be written.
        SpecError: as for `analyze`; also if a layer cannot be exported, or the file does not compute what the module does.
        WeightsError: as for `build`; also if the network returns values that are not finite.
    """
    require_packages("exporting a network", *NETWORKS)
    from resnet_spec.inference import export_subject, exporting
    from resnet_spec.inference.preparing import require_settings
    from resnet_spec.outputs.exporting.formats import Dtype, Dynamic, Layout

    options = exporting.ExportOptions(
        weights=weights,
        weights_key=weights_key,
        weights_map=None if weights_map is None else Path(weights_map),
        seed=seed,
        fold_bn=fold_bn,
        dtype=require_choice("dtype", dtype, get_args(Dtype), _DTYPE_SYNONYMS),
        channels_last=channels_last,
        dynamic=require_choice("dynamic", dynamic, get_args(Dynamic)),
        opset=opset,
        preprocessing=None if preprocessing is None else require_choice("preprocessing", preprocessing, get_args(Layout)),
        snippet=snippet,
        prepare=require_settings(prepare),
        force=force,
    )
    patches = tuple(compiler.list_patches(set))
    file = Path(path)
    if isinstance(spec, str | Path) and export_subject.is_trained(spec):
        export_subject.refuse_for_run(patches, spec_root)
        return exporting.export_run(Path(spec), file, options, input=input, outputs=outputs)
    if isinstance(spec, Analysis):
        if patches or input is not None or outputs is not None:
            message = "`set`, `input` and `outputs` change a network, but an Analysis is already compiled"
            raise wrong_argument(message, "pass them to `analyze`")
        return exporting.export_spec(spec, file, options)
    exporting.check_options(file, options)
    target = compiler.find(spec, input, spec_root)
    return exporting.export_spec(target, file, options, set=patches, input=input, outputs=outputs)


_DTYPE_SYNONYMS = {"float32": "fp32", "float16": "fp16", "half": "fp16", "bfloat16": "bf16"}


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
    weights_key: str | None = None,
    weights_map: str | Path | None = None,
    transfer: bool = False,
    device: str = "auto",
    workers: int | None = None,
    skip_bad: bool = False,
    overfit_batch: bool = False,
    force: bool = False,
    scale_schedule: bool = False,
    console: Console | None = None,
    stop: Stop | None = None,
) -> Result:
    """Train a network, and store weights, metrics, checkpoints and a report in a run folder.

    Args:
        spec: as for `analyze`; or any `nn.Module` that takes images `(N, C, H, W)` and returns logits `(N, classes)`, together
            with `input`.
        recipe: the name of a shipped recipe, a path, YAML text or a dict; by default `quick` for synthetic data,
            `fine-tune` for a folder with `weights`, else the spec's own, or `scratch-small` for a folder.
        data: `"synthetic"`, `"cifar10:DIR"`, `"folder:DIR"`, ... as on the command line.
        out: the run folder, which must be empty if it exists; by default `runs/NAME-RECIPE-1` and so on.
        set, set_recipe: patches of spec and recipe, as for `load`: `["params.n=9"]`, `{"optimizer.lr": 0.05}`.
        spec_root: as for `load`.
        input: (C, H, W) in pixels, for a module that was not built from a spec.
        weights: what to start from, as for `build`. The last layer is initialized at random if its number of classes differs,
            and the first convolution is adapted to another number of channels. What else the file holds, such as another
            network in it, is left out.
        weights_key, weights_map: as for `build`.
        transfer: start from weights of another network: what both have is kept, of layers of another width the first rows and
            columns are, and the rest is drawn.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"mps"`.
        workers: the number of processes that read images; by default it is chosen for the machine and the data.
        skip_bad: leave out images that cannot be read, and count them.
        overfit_batch: train on a single batch, which any correct network can memorize.
        force: train even if the free memory of this machine is not sufficient.
        scale_schedule: scale milestones and warm-up of the recipe to the length of the run.
        console: where progress is reported; by default a line is printed for each epoch.
        stop: requests that the run stops; by default SIGINT and SIGTERM do.

    Returns:
        Result: the trained module, a row of metrics for each epoch, the test scores, and the folder. Losses are means over
        images, accuracies are in 0 to 1.

    Raises:
        SpecError, RecipeError, DataError, WeightsError: spec, recipe, data or weights are wrong, or do not fit together.
        TrainingError: the run diverged, or does not fit into memory.
        ArgumentError: an argument is wrong, or names something that is missing; or the folder cannot be written.
        Interrupted: the run was stopped, and its state is saved; `resume` continues it.
    """
    require_packages("training", *TRAINING)
    from resnet_spec.training import runs
    from resnet_spec.training.options import TrainOptions

    options = TrainOptions(
        spec=spec,
        recipe=recipe,
        data=data,
        out=None if out is None else Path(out),
        set=tuple(compiler.list_patches(set)),
        set_recipe=tuple(compiler.list_patches(set_recipe, "set_recipe")),
        spec_root=None if spec_root is None else Path(spec_root),
        input=None if input is None else compiler.parse_size(input),
        weights=weights,
        weights_key=weights_key,
        weights_map=None if weights_map is None else Path(weights_map),
        transfer=transfer,
        device=device,
        workers=workers,
        skip_bad=skip_bad,
        overfit_batch=overfit_batch,
        force=force,
        scale_schedule=scale_schedule,
    )
    return runs.train(options, console, stop)


def resume(
    folder: str | Path,
    *,
    data: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    module: nn.Module | None = None,
    epochs: int | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> Result:
    """Continue a run from its newest readable checkpoint, or from the start if there is none.

    Args:
        folder: the run folder.
        data: the `--data` argument for the new location of the data, if they were moved.
        device, workers, console, stop: as for `train`.
        module: the module that the run was started with, if it was not built from a spec; its weights are loaded from the
            checkpoint.
        epochs: another number of epochs for the run. It ends with the same weights as a run of that many epochs; where its
            schedule spans the run (cosine, for one), that is not possible, and an error says what is.

    Returns:
        Result: as for `train`. A run that was already finished is evaluated again.

    Raises:
        ArgumentError: the folder is not a run folder, its data are not found, or it cannot have that number of epochs.
        DataError: the data are not those that the run was started with.
        SpecError, RecipeError, WeightsError, TrainingError, Interrupted: as for `train`.
    """
    require_packages("training", *TRAINING)
    from resnet_spec.training import runs

    path = Path(folder)
    if epochs is not None and ((number := as_integer(epochs)) is None or number < 1):
        raise wrong_argument(f"`epochs` takes an integer, 1 or more, not {quote(epochs)}")
    return runs.resume(
        path, data=data, device=device, workers=workers, module=module, epochs=epochs, console=console, stop=stop
    )


def evaluate(
    path: SpecLike | Analysis,
    data: str | None = None,
    *,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    weights_map: str | Path | None = None,
    set: Patches = (),
    spec_root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
    prepare: Patches = (),
    split: Literal["train", "validation", "test", "all"] | None = None,
    device: str = "auto",
    batch_size: int = 256,
    workers: int | None = None,
    skip_bad: bool = False,
    precision: Precision = "fp32",
    module: nn.Module | None = None,
) -> Evaluation:
    """Evaluate trained weights on data.

    Args:
        path: a run folder, or a file of weights that `train` wrote; with `weights` a spec, as for `build`.
        data: as for `train`; by default the data that the weights were trained with. The names of its classes must be among
            those of the network.
        weights, weights_key, weights_map: what to load into the network of the spec, as for `build`.
        set, spec_root: as for `load`; only with `weights`.
        classes: the names of the network's classes in their order, or a file with one on each line or a JSON list. By default
            those that are stored with the weights; where there are none, as many as the data have are taken for these.
        prepare: how images are prepared, `["resize=232", "crop=224"]` or a mapping, with the keys `resize`, `crop`,
            `interpolation`, `mean` and `std`. By default as is stored with the weights; where nothing is, as is usual for the
            size of the network. What was assumed is in `weights_notes`.
        split: which images to use: "train", "validation", "test" or "all". By default the test images; of another folder
            without splits, all.
        device, workers, skip_bad: as for `train`.
        batch_size: the number of images in a batch; the scores do not depend on it.
        precision: the precision of weights and activations: "fp32", "bf16" or "fp16".
        module: the module that was trained, if it was not built from a spec. It is copied, and the copy takes the weights.

    Returns:
        Evaluation: the mean loss, top-1 and top-5 accuracy (0 to 1), the confusion matrix, and the images that were left out.

    Raises:
        ArgumentError: an argument is wrong, or names something that is missing or cannot be read.
        DataError: the data do not fit the network, have no such split, or contain an image that cannot be read.
        SpecError: the spec is wrong.
        WeightsError: the file of weights is not one that `train` wrote, or does not fit its spec or the one that is named; or
            the network returns values that are not finite.
    """
    require_packages("evaluating a network", *NETWORKS)
    from resnet_spec.inference.evaluate import evaluate
    from resnet_spec.inference.pairing import require_pair

    return evaluate(
        require_pair(
            path,
            weights=weights,
            weights_key=weights_key,
            weights_map=weights_map,
            set=set,
            spec_root=spec_root,
            classes=classes,
            prepare=prepare,
        ),
        data,
        split=split,
        device=device,
        batch_size=batch_size,
        workers=workers,
        skip_bad=skip_bad,
        precision=precision,
        module=module,
    )


def predict(
    path: SpecLike | Analysis,
    images: ImageLike | Iterable[ImageLike],
    *,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    weights_map: str | Path | None = None,
    set: Patches = (),
    spec_root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
    prepare: Patches = (),
    top: int = 5,
    device: str = "auto",
    batch_size: int = 64,
    precision: Precision = "fp32",
    module: nn.Module | None = None,
    explain: str | Path | None = None,
    layer: str | None = None,
) -> list[Prediction]:
    """Predict the classes of images.

    Args:
        path: a run folder, or a file of weights that `train` wrote; with `weights` a spec, as for `build`.
        weights, weights_key, weights_map, set, spec_root, classes, prepare: as for `evaluate`. Classes that are not known
            are called `class 207`; what was assumed is a UserWarning.
        images: a path (of a folder, all images below it), an image of Pillow, or a numpy array of uint8, `(H, W)` or
            `(H, W, C)` in red, green and blue, 0 to 255; or several of them.
        top: the number of most probable classes to return for each image.
        device: as for `train`.
        batch_size: the number of images in a batch; the predictions do not depend on it.
        precision: the precision of weights and activations: "fp32", "bf16" or "fp16".
        module: the module that was trained, if it was not built from a spec. It is copied, and the copy takes the weights.
        explain: a folder for pictures of what in each image speaks for its prediction (Grad-CAM, Selvaraju et al. 2017).
        layer: the name of the layer whose maps are explained; by default the last one with maps of more than a pixel.

    Returns:
        A Prediction for each image, in the order of `images`; those of a folder are sorted by path. `classes` holds pairs of
        a class name and its probability (0 to 1), the most probable first. For an image that cannot be read, `problem` is the
        reason. `image` is the path, or `image 3` for the image at position 3 that has none.

    Raises:
        ArgumentError: an argument is wrong, or names something that is missing or cannot be read.
        DataError: the network takes a number of channels that an image does not have and cannot be converted to.
        SpecError: the spec is wrong.
        WeightsError: the file of weights is not one that `train` wrote, or does not fit its spec or the one that is named; or
            the network returns values that are not finite.
    """
    require_packages("predicting", *NETWORKS)
    from resnet_spec.inference.pairing import require_pair
    from resnet_spec.inference.predict import predict

    return predict(
        require_pair(
            path,
            weights=weights,
            weights_key=weights_key,
            weights_map=weights_map,
            set=set,
            spec_root=spec_root,
            classes=classes,
            prepare=prepare,
        ),
        images,
        top=top,
        device=device,
        batch_size=batch_size,
        precision=precision,
        module=module,
        explain=explain,
        layer=layer,
    )
