"""Train and resume: where a compiled network meets the trainer.

Goes in: a spec or any `nn.Module`, a recipe, data. Comes out: a run folder and its `Result`. The trainer itself never sees a
spec or a graph; here they are turned into what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from resnet_spec import api
from resnet_spec import compiler as pipeline
from resnet_spec._system.files import write_atomically
from resnet_spec.analysis.memory import OPTIMIZER_STATES, measure
from resnet_spec.api import SpecLike
from resnet_spec.compiler import Analysis, Target
from resnet_spec.data import Data, open_data
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import Diagnostic, Source, SpecError, printable
from resnet_spec.ops import show
from resnet_spec.report.record import epoch_line
from resnet_spec.training import checkpoints
from resnet_spec.training.feeding import Machine, subset, with_held_out
from resnet_spec.training.images import prepare
from resnet_spec.training.randomness import Purpose, order, seed_of
from resnet_spec.training.recipe import Recipe, read_recipe, settled
from resnet_spec.training.run_folder import create, free_name, read_run, refuse_existing, write_json, writing
from resnet_spec.training.scoring import computes_bf16
from resnet_spec.training.session import Console, Result, Session, begin, environment
from resnet_spec.training.stop import Stop
from resnet_spec.training.subject import Subject
from resnet_spec.training.world import World, joined, launched, restarted
from resnet_spec.weights.loading import start_from
from resnet_spec.weights.metadata import read_input, read_preparation

ALONE = World()
RecipeLike = str | Path | Mapping[str, object]
OVERFIT_EPOCHS = 100
DEVICES = ("cpu", "cuda", "mps")


def quiet() -> Console:
    """A console that says nothing."""
    return Console(lambda line: None, lambda *step: None, lambda row, timing, epochs: None)


def plain(say: Callable[[str], None] = print) -> Console:
    """A console that says each epoch in a line."""
    return Console(say, lambda *step: None, lambda row, timing, epochs: say(epoch_line(row, timing, epochs)))


def train(
    spec: SpecLike | nn.Module,
    recipe: RecipeLike | None = None,
    data: str = "synthetic",
    *,
    out: str | Path | None = None,
    set: Iterable[str] = (),
    set_recipe: Iterable[str] = (),
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
    """Train a network, and keep everything about it in a folder.

    Args:
        spec: as for `analyze`; or any `nn.Module` that takes images `(N, C, H, W)` and gives `(N, classes)`, with `input`.
        recipe: the name of a shipped recipe, a path, YAML text or a dict; the spec's own where it names one.
        data: `"synthetic"`, `"cifar10:DIR"`, `"folder:DIR"`, ... as on the command line.
        out: the folder of the run, which must not exist; `runs/NAME-RECIPE-1` and so on without.
        set, set_recipe: patches to spec and recipe, such as `"params.n=9"` and `"optimizer.lr=0.05"`.
        input: (C, H, W) in pixels, for a module that is not from a spec.
        weights: a safetensors file to start from; a head for another number of classes is drawn anew.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"mps"`.
        workers: processes that read images; None chooses.
        skip_bad: leave out images that cannot be read, and count them.
        overfit_batch: train on one batch alone, to see that it can be learnt.
        force: train even what this machine's free memory does not hold.

    Returns:
        Result: the trained module, a row for each epoch, the test scores, the folder.

    Raises:
        SpecError: spec, recipe or data are not what they should be; the run diverged; a batch does not fit into memory.
        Interrupted: the run was asked to stop; `resume` goes on.
    """
    console, stop = console or plain(), stop or Stop()
    with joined() as world:
        if to_go_on(out):
            assert out is not None
            module = spec if isinstance(spec, nn.Module) else None
            session, found = taken_up(Path(out), None, device, workers, console, world, module)
            return session.train(Path(out), stop, found)
        session, path = ready(
            spec,
            recipe,
            data,
            out=out,
            set=set,
            set_recipe=set_recipe,
            spec_root=spec_root,
            input=input,
            weights=weights,
            device=device,
            workers=workers,
            skip_bad=skip_bad,
            overfit_batch=overfit_batch,
            force=force,
            console=console if world.writes else quiet(),
            world=world,
        )
        return start(session, path, stop)


def to_go_on(out: str | Path | None) -> bool:
    """Whether `torchrun` has started this process again, and the run that failed is to go on."""
    return restarted() and out is not None and (Path(out) / "run.json").exists()


def ready(
    spec: SpecLike | nn.Module,
    recipe: RecipeLike | None,
    data: str,
    *,
    out: str | Path | None,
    set: Iterable[str],
    set_recipe: Iterable[str],
    spec_root: str | Path | None,
    input: tuple[int, int, int] | None,
    weights: str | Path | None,
    device: str,
    workers: int | None,
    skip_bad: bool,
    overfit_batch: bool,
    force: bool,
    console: Console,
    world: World = ALONE,
) -> tuple[Session, Path]:
    """Everything of `train` before the first batch; nothing is written yet."""
    if launched() and out is None:
        message = "several processes need to be told where the run goes"
        raise SpecError([Diagnostic("missing-folder", message, None, help="`--out DIR` (out=... in Python)")])
    if out is not None:
        refuse_existing(Path(out))  # before the data are read, which may take long
    machine = Machine(find_device(device), world, workers, skip_bad)
    recipe_patches = pipeline.each_of(set_recipe)
    asked: dict[str, object] = {
        "skip_bad": skip_bad,
        "overfit_batch": overfit_batch,
        "module": isinstance(spec, nn.Module),
        "weights": weights is not None,
    }
    if isinstance(spec, nn.Module):
        if input is None:
            mend = "say it: input=(channels, height, width)"
            raise SpecError([Diagnostic("missing-input", "a module does not say the size of its input", None, help=mend)])
        patches = pipeline.each_of(set)
        if weights is not None or patches:
            raise TypeError("`set` and `weights` are for specs; a module comes as it is")
        found = settled(read_recipe(recipe or "quick", recipe_patches), computes_bf16(machine.device))
        found = _overfitting(found, recipe_patches) if overfit_batch else found
        subject = _of_module(spec, input)
        opened = _opened(found, data, input, subject.outputs, skip_bad, overfit_batch)
        if subject.outputs != len(opened.classes):
            message = f"the module gives {subject.outputs} values, and the data have {len(opened.classes)} classes"
            raise SpecError([Diagnostic("data-classes", message, None)])
        preparation, notes = prepare(found, opened, input)
        if found.init is not None:
            notes = (*notes, "the recipe's `init` is for specs; the module keeps the weights it has")
    else:
        target = pipeline.find(spec, None, spec_root)
        patches = pipeline.each_of(set)
        analysis = pipeline.analyze(target, patches)
        found = settled(_recipe_for(analysis, recipe, data, recipe_patches), computes_bf16(machine.device))
        found = _overfitting(found, recipe_patches) if overfit_batch else found
        if found.init is not None:
            patches.append(f"init={found.init}")
            analysis = pipeline.analyze(target, patches)
        opened = _opened(found, data, analysis.input, _outputs(analysis), skip_bad, overfit_batch)
        analysis, patches, adapted = _for_classes(target, analysis, patches, opened)
        preparation, notes = prepare(found, opened, analysis.input)
        notes = (*adapted, *notes)
        refuse_size(analysis, preparation)
        subject, loaded = _of_spec(target, analysis, patches, found, preparation, weights, force)
        notes = (*notes, *loaded)
    session = begin(subject, found, opened, preparation, machine, (*notes, *opened.notes), asked, console)
    if not force:
        session.refuse_beyond_memory()
    return session, Path(out) if out is not None else free_name(Path("runs"), _file_name(f"{subject.name}-{found.name}"))


def start(session: Session, path: Path, stop: Stop) -> Result:
    """Make the folder of a run and train."""
    world = session.machine.world
    if world.writes:
        create(path)
        with writing(path):
            write_json(path / "environment.json", environment())
            for name, text in (("recipe.yaml", session.recipe.text), ("spec.yaml", session.subject.spec)):
                if text:
                    write_atomically(path / name, text.encode("utf-8"))
            write_json(path / "run.json", session.describe())  # the last: with it the run can be gone on with
    world.wait()
    return session.train(path, stop)


def _recipe_for(analysis: Analysis, recipe: RecipeLike | None, data: str, patches: Iterable[str]) -> Recipe:
    if recipe is None:
        synthetic = data.partition(":")[0] == "synthetic"
        recipe = "quick" if synthetic else analysis.spec.recipe
    if recipe is None:
        mend = "name one with `--recipe`; `resnet-spec list --recipes` shows those there are"
        message = f"{analysis.spec.name} names no recipe, and none was given"
        raise SpecError([Diagnostic("missing-recipe", message, None, help=mend)])
    return read_recipe(recipe, patches)


def _opened(recipe: Recipe, text: str, input: tuple[int, int, int], classes: int | None, skip_bad: bool, overfit: bool) -> Data:
    """The data, with what the recipe holds out; a single batch of it where that is to be learnt by heart.

    `classes` is how many the network tells apart, for data that are drawn for it.
    """
    data = open_data(text, input=input, split=recipe.split, skip_bad=skip_bad, classes=classes)
    try:
        data = with_held_out(data, recipe.hold_out, recipe.seed)
    except ValueError as error:
        raise recipe.refuse("recipe-split", str(error), "hold_out") from None
    if data.train is None:
        raise SpecError([Diagnostic("data-split", f"{printable(text)} has no training images", None)])
    if not overfit:
        return data
    chosen = order(recipe.seed, 0, len(data.train))[: recipe.batch_size]
    return replace(data, train=subset(data.train, chosen), validation=None, test=None)


def _outputs(analysis: Analysis) -> int | None:
    return analysis.output[0] if len(analysis.output) == 1 else None


def _overfitting(recipe: Recipe, patches: Iterable[str]) -> Recipe:
    """The recipe for one batch alone: nothing random, a constant rate; as long as `patches` say, if they do."""
    changes = ["augment=", "hold_out=", "schedule=constant", "warmup=", "label_smoothing=0", "early_stopping=", "ema="]
    present = [change for change in changes if not change.endswith("=") or change[:-1] in recipe.root.entries]
    if not any(patch.startswith(("epochs=", "iterations=")) for patch in patches):
        present.append(f"epochs={OVERFIT_EPOCHS}")
    return read_recipe(recipe.text, present)


def _for_classes(
    target: Target, analysis: Analysis, patches: list[str], data: Data
) -> tuple[Analysis, list[str], tuple[str, ...]]:
    """The network with as many outputs as the data have classes, and what was changed for it."""
    count = len(data.classes)
    if analysis.output == (count,):
        return analysis, patches, ()
    if analysis.spec.classes is not None:
        changed = [*patches, f"classes={count}"]
        adapted = pipeline.analyze(target, changed)
        if adapted.output == (count,):
            note = f"the head has {count} outputs, as the data have classes; the spec has {show(analysis.output)}"
            return adapted, changed, (note,)
    message = f"{analysis.spec.name} gives {show(analysis.output)}, and the data have {count} classes"
    span, mend = analysis.spec.span, "say `classes: N` in the spec, and `out_features: classes` in its last linear"
    if len(analysis.output) > 1 and analysis.graph.nodes:
        last = analysis.graph.nodes[analysis.graph.output]
        message = f"{analysis.spec.name} gives {show(analysis.output)}, and one number for each of {count} classes is needed"
        span, _ = analysis.graph.place(analysis.graph.output)
        mend = "end the head in `flatten: flatten` and `fc: {op: linear, out_features: classes}`"
        if last.op.name == "linear":
            mend = f"put `flatten: flatten` before `{last.name}`"
    raise SpecError([Diagnostic("data-classes", message, span, help=mend)])


def refuse_size(analysis: Analysis, preparation: Preparation) -> None:
    """Raise SpecError where the network does not run on images of the size they are made."""
    size = (analysis.spec.input[0], *preparation.size)
    if not analysis.accepted.unsolved and preparation.size not in analysis.accepted:
        height, width = analysis.input[1:]
        message = f"{analysis.spec.name} does not run on {show(size)}; it accepts {analysis.accepted.describe()}"
        mend = f"`--set-recipe 'resize=[{height}, {width}]'` gives it the size it is built for"
        raise SpecError([Diagnostic("data-size", message, None, help=mend)])


def _of_spec(
    target: Target,
    analysis: Analysis,
    patches: list[str],
    recipe: Recipe,
    preparation: Preparation,
    weights: str | Path | None,
    force: bool,
) -> tuple[Subject, tuple[str, ...]]:
    """The module of a spec with drawn or loaded weights, and what there is to say about these."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(Purpose.WEIGHTS, recipe.seed))
        module = api.build(analysis, force=force)
    notes = () if weights is None else (start_from(module, analysis, Path(weights)),)
    size = (analysis.spec.input[0], *preparation.size)
    at_size = analysis if size == analysis.input else pipeline.analyze(target, patches, size)
    states = _states(recipe.optimizer, recipe.optimizer_arguments)

    def memory(batch: int) -> int:
        whole = measure(at_size.graph, size, at_size.shapes, at_size.total, batch, optimizer=states)
        if recipe.precision == "fp32":
            return whole.training
        half = measure(at_size.graph, size, at_size.shapes, at_size.total, batch, 2, states)
        return whole.training - whole.saved + half.saved + half.params  # autocast keeps copies of the weights, too

    def diagram() -> bytes | None:
        from resnet_spec.outputs.diagram import Style
        from resnet_spec.outputs.render_dot import NoRendererError

        try:
            return api.draw_bytes(pipeline.sketch(target, patches), Style(), "svg")[0]
        except NoRendererError:  # the run is worth more than its picture
            return None

    text = pipeline.flat_text(target, patches, analysis.spec.name)
    again = pipeline.analyze(Target(Source(f"{analysis.spec.name} as trained", text), None, None))
    assert again.fingerprint == analysis.fingerprint, "the spec as one document is another network"
    return (
        Subject(
            name=analysis.spec.name,
            module=module,
            input=analysis.input,
            outputs=analysis.output[0],
            params=analysis.total.params,
            macs=at_size.total.macs,
            spec=text,
            fingerprint=analysis.fingerprint,
            memory=memory,
            diagram=diagram,
        ),
        notes,
    )


def _states(optimizer: str, arguments: Mapping[str, object]) -> str:
    """The row of `OPTIMIZER_STATES` that an optimizer falls under: numbers kept for each parameter."""
    if optimizer == "SGD":
        return "momentum" if arguments.get("momentum") else "sgd"
    assert "adam" in OPTIMIZER_STATES
    return "adam"


def _of_module(module: nn.Module, input: tuple[int, int, int]) -> Subject:
    """A module that is not from a spec: its outputs are counted by running it once, in evaluation mode."""
    parameter = next(module.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    training = module.training
    try:
        with torch.no_grad():
            outputs = module.eval()(torch.zeros(1, *input, device=device))
    except (RuntimeError, ValueError) as error:
        message = f"{type(module).__name__} does not run on {show(input)}: {printable(str(error).splitlines()[0])}"
        raise SpecError([Diagnostic("data-size", message, None)]) from None
    finally:
        module.train(training)
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2:
        raise SpecError([Diagnostic("data-classes", "the module does not give one row of numbers for each image", None)])
    count = sum(parameter.numel() for parameter in module.parameters())
    return Subject(type(module).__name__, module, input, outputs.shape[1], count)


def _file_name(name: str) -> str:
    """A name as part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name) or "network"


def find_device(name: str) -> torch.device:
    """The device of a name; `auto` takes a GPU where there is one. Raises SpecError where there is none of that name."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    mend = "`--device auto` takes what there is"
    if name.partition(":")[0] not in DEVICES:
        message = f"there is no kind of device called `{printable(name)}`; there are {', '.join(DEVICES)}"
        raise SpecError([Diagnostic("missing-device", message, None, help=mend)])
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        message = f"this machine has no device `{printable(name)}`: {str(error).splitlines()[0]}"
        raise SpecError([Diagnostic("missing-device", message, None, help=mend)]) from None
    return device


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
    """Go on with a run from its newest checkpoint that is whole, or from the start where there is none.

    Args:
        folder: what `train` was given as `out`.
        data: where the data lie now, if they have moved.
        device, workers: as for `train`.
        module: the one that the run began with, where it is not from a spec; its weights are set by the checkpoint.

    Raises:
        SpecError: the folder is none of a run, or the data are not those it began with.
    """
    path = Path(folder)
    with joined() as world:
        session, found = taken_up(path, data, device, workers, console or plain(), world, module)
        return session.train(path, stop or Stop(), found)


def taken_up(
    path: Path,
    data: str | None,
    device: str,
    workers: int | None,
    console: Console,
    world: World = ALONE,
    module: nn.Module | None = None,
) -> tuple[Session, checkpoints.Found | None]:
    """A run as it stands in its folder, and its newest checkpoint."""
    console = console if world.writes else quiet()
    asked = read_run(path)
    text = data if data is not None else str(asked.get("data"))
    if asked.get("module") and module is None:
        message = "a run of a module that is not from a spec is gone on with in Python: resume(folder, module=...)"
        raise SpecError([Diagnostic("not-a-run", message, None)])
    if world.writes:
        with writing(path):
            checkpoints.clear_unfinished(path)
    recipe = read_recipe(path / "recipe.yaml")
    held = asked.get("held")
    hold = frozenset(map(str, held)) if isinstance(held, list) and asked.get("skip_bad") else None
    machine = Machine(find_device(device), world, workers, bool(asked.get("skip_bad")), hold)
    try:
        preparation = read_preparation(asked.get("preparation"))
        input = read_input(asked.get("input"))
    except (KeyError, ValueError, TypeError):
        raise SpecError([Diagnostic("not-a-run", f"{printable(str(path))}/run.json is not as it was written", None)]) from None
    overfit = bool(asked.get("overfit_batch"))
    if module is not None:
        subject = _of_module(module, input)
        opened = _opened(recipe, text, subject.input, subject.outputs, machine.skip_bad, overfit)
    else:
        target = pipeline.find(str(path / "spec.yaml"))
        target = Target(target.source, None, None)  # one document: it extends nothing
        analysis = pipeline.analyze(target)
        if analysis.fingerprint != asked.get("fingerprint"):
            message = f"{printable(str(path))}/spec.yaml is another network than the run began with"
            raise SpecError([Diagnostic("other-fingerprint", message, None)])
        opened = _opened(recipe, text, analysis.input, _outputs(analysis), machine.skip_bad, overfit)
        subject, _ = _of_spec(target, analysis, [], recipe, preparation, None, force=True)
    session = begin(subject, recipe, opened, preparation, machine, opened.notes, {}, console)
    now = session.describe()
    if any(now[what] != asked.get(what) for what in ("labels", "images")):
        message = f"{printable(text)} holds other images or labels than when the run began"
        mend = "go on with the same data, or start a new run with `--weights`"
        raise SpecError([Diagnostic("data-changed", message, None, help=mend)])
    if now["steps_per_epoch"] != asked.get("steps_per_epoch"):
        message = (
            f"with {world.size} processes an epoch has {now['steps_per_epoch']} steps, and had {asked.get('steps_per_epoch')}"
        )
        mend = f"go on with as many processes as the run began with: {asked.get('processes')}"
        raise SpecError([Diagnostic("data-changed", message, None, help=mend)])
    found = checkpoints.newest(path, console.say)
    if found is None and (asked.get("weights") or asked.get("module")):
        message = (
            f"{printable(str(path))} has no checkpoint that can be read, and its seed cannot give the weights it began with"
        )
        raise SpecError([Diagnostic("not-a-run", message, None, help="start a new run with the same weights")])
    return session, found
