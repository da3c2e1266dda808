"""Start a run, and resume one: options become an opened session and a folder."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from resnet_spec import compiler
from resnet_spec._system.files import write_atomically
from resnet_spec.compiler import Analysis, Target
from resnet_spec.data import Data
from resnet_spec.data.dividing import DATA_VERSION
from resnet_spec.data.preparation import Preparation, refuse_channels
from resnet_spec.diagnostics import ArgumentError, DataError, Diagnostic, ResnetSpecError, WeightsError, printable
from resnet_spec.outputs.torch_module import build_module
from resnet_spec.training import checkpoints
from resnet_spec.training.checkpoint_form import Form
from resnet_spec.training.console import Console
from resnet_spec.training.data_place import find_data, place_data
from resnet_spec.training.device import find_device
from resnet_spec.training.environment import describe_environment
from resnet_spec.training.feeding import Machine
from resnet_spec.training.held_out import HeldOut, list_held_out, write_held_out
from resnet_spec.training.images import find_final_size, prepare
from resnet_spec.training.lengthening import check_length, keep_recipe, lengthen
from resnet_spec.training.options import TrainOptions
from resnet_spec.training.recipe import Recipe, follow_input, read_recipe, reduce_to_one_batch, settle_precision
from resnet_spec.training.run_folder import create, name_folder, read_environment, refuse_existing, writing
from resnet_spec.training.run_lock import lock_run
from resnet_spec.training.run_record import RUN_FILE, RunRecord, hash_text, read_record, write_json, write_record
from resnet_spec.training.schedule import length_of
from resnet_spec.training.scoring import computes_bf16
from resnet_spec.training.session import Result, Session, open_session
from resnet_spec.training.spec_subject import (
    CompiledSpec,
    check_size,
    compile_spec,
    fit_classes,
    fit_input,
    note_activated_logits,
    set_init,
    subject_of_spec,
)
from resnet_spec.training.splits import open_training_data
from resnet_spec.training.stop import Stop
from resnet_spec.training.subject import Subject, subject_of_module
from resnet_spec.training.world import World, joined, launched, restarted
from resnet_spec.weights.loading import refuse_beyond_memory, start_from_stored
from resnet_spec.weights.planning import Plan
from resnet_spec.weights.plans import plan_start
from resnet_spec.weights.reading import StoredWeights
from resnet_spec.weights.source import check_source, open_source, preparation_of, source_of

ALONE = World()
RECIPE = "recipe.yaml"
# The recipes of runs that name none: on synthetic images, on a folder, and on a folder with weights.
QUICK, OWN_IMAGES, FINE_TUNE = "quick", "scratch-small", "fine-tune"


def train(options: TrainOptions, console: Console | None = None, stop: Stop | None = None) -> Result:
    """Train as the options say. Raises Interrupted where the run was asked to stop, and what `prepare_run` raises."""
    console, stop = console or Console.plain(), stop or Stop()
    with joined() as world:
        if continues_after_failure(options.out):
            assert options.out is not None
            module = options.spec if isinstance(options.spec, nn.Module) else None
            with lock_run(options.out, world, console.say):
                session, found = open_run(options.out, None, options.device, options.workers, console, world, module)
                return session.train(options.out, stop, found)
        run = prepare_run(options, console, world)
        return start_run(run, stop)


def resume(
    folder: Path,
    *,
    data: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    module: nn.Module | None = None,
    epochs: int | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> Result:
    """Continue a run to its end, or to another number of epochs.

    Raises Interrupted where it was asked to stop, and what `open_run` raises.
    """
    console = console or Console.plain()
    with joined() as world:
        read_record(folder)  # before a lock is left in a folder that is none of a run
        with lock_run(folder, world, console.say):
            session, found = open_run(folder, data, device, workers, console, world, module, epochs)
            return continue_run(folder, session, found, stop or Stop())


def continue_run(folder: Path, session: Session, found: checkpoints.Found | None, stop: Stop) -> Result:
    """Train an opened run to its end. Where it has another length than in its folder, that is written there first."""
    world = session.machine.world
    if world.writes and session.recipe.epochs is not None and session.recipe.epochs != read_recipe(folder / RECIPE).epochs:
        keep_recipe(folder, read_record(folder), session.recipe)
    world.wait()
    return session.train(folder, stop, found)


def continues_after_failure(out: Path | None) -> bool:
    """Whether `torchrun` has started this process again, so that the run that failed is to be continued."""
    return restarted() and out is not None and (out / RUN_FILE).exists()


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that can start: everything is opened and checked, and nothing is written yet."""

    session: Session
    record: RunRecord
    folder: Path
    held_out: HeldOut


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a session is made of."""

    subject: Subject
    recipe: Recipe
    data: Data
    preparation: Preparation
    notes: tuple[str, ...]
    published: tuple[str, str] = ("", "")  # where the weights that training starts from were published, and their license


def prepare_run(options: TrainOptions, console: Console, world: World = ALONE) -> NewRun:
    """Everything that comes before the first batch.

    Raises:
        SpecError, RecipeError, DataError, WeightsError: spec, recipe, data or weights are wrong, or do not fit together.
        TrainingError: training takes more memory than is free.
        ArgumentError: an option is wrong, or names something that is missing.
    """
    if launched() and options.out is None:
        message = "several processes need a folder of the run that they all know"
        raise ArgumentError([Diagnostic("missing-folder", message, None, help="`--out DIR` (out=... in Python)")])
    if options.out is not None:
        refuse_existing(options.out)  # before the data are read, which may take long
    machine = Machine(find_device(options.device), world, options.workers, options.skip_bad)
    parts = _prepare_module(options, machine) if isinstance(options.spec, nn.Module) else _prepare_spec(options, machine)
    began = parts.notes
    console = console if world.writes else Console.silent()
    chosen = parts.recipe.name
    if options.recipe is None and parts.data.kind == "folder" and chosen in (OWN_IMAGES, FINE_TUNE):
        what = "folders of images" if chosen == OWN_IMAGES else "weights and a folder of images"
        began = (f"no recipe is named; `{chosen}` is the one for {what} (`--recipe` names another)", *began)
    notes = (*began, *parts.data.notes)
    session = open_session(parts.subject, parts.recipe, parts.data, parts.preparation, machine, notes, console)
    session = replace(session, published=parts.published)
    if not options.force:
        session.memory.check()
    folder = options.out or name_folder(Path("runs"), f"{session.subject.name}-{session.recipe.name}")
    return NewRun(session, _record(session, options, folder, began), folder, list_held_out(parts.data))


def start_run(run: NewRun, stop: Stop) -> Result:
    """Make the folder of a run, and train. Where an error comes before the first step, the folder is removed again."""
    folder, world = run.folder, run.session.machine.world
    existed = folder.exists()
    if world.writes:
        create(folder)
    try:
        return _train_in(run, stop)
    except ResnetSpecError:
        if world.writes and not existed and not (folder / RUN_FILE).exists():
            with suppress(OSError):  # there may be files of others in it
                folder.rmdir()
        raise


def _train_in(run: NewRun, stop: Stop) -> Result:
    """Train in the folder of a run, which is locked and filled."""
    session, folder, world = run.session, run.folder, run.session.machine.world
    with lock_run(folder, world, session.console.say):
        if world.writes:
            refuse_existing(folder)  # another run may have begun and ended in it since
            with writing(folder):
                write_json(folder / "environment.json", describe_environment())
                write_held_out(folder, run.held_out)
                for name, text in _texts(session).items():
                    write_atomically(folder / name, text.encode("utf-8"))
                write_record(folder, run.record)  # the last: with it the run can be resumed
        world.wait()
        return session.train(folder, stop, save_first=run.record.unrepeatable, is_new=True)


def _prepare_module(options: TrainOptions, machine: Machine) -> _Parts:
    """The parts of a run of a module that is not from a spec."""
    module, input = options.spec, options.input
    assert isinstance(module, nn.Module)
    if input is None:
        help = "give it: input=(channels, height, width)"
        raise ArgumentError([Diagnostic("missing-input", "a module does not say the size of its input", None, help=help)])
    recipe = _recipe_for_machine(_read_recipe(None, options), options, machine)
    subject = subject_of_module(module, input)
    data = _open_data(options.data, recipe, input, subject.outputs, options)
    if subject.outputs != len(data.classes):
        message = f"the module returns {subject.outputs} values, and the data have {len(data.classes)} classes"
        raise DataError([Diagnostic("data-classes", message, None)])
    preparation, notes = prepare(recipe, data, input)
    if preparation.size != input[1:]:
        (height, width), given = input[1:], preparation.size
        notes = (*notes, f"the network is built for {height}x{width} and is given {given[0]}x{given[1]}")
    if recipe.init is not None:
        notes = (*notes, "the recipe's `init` is for specs; the module keeps the weights it has")
    return _Parts(subject, recipe, data, preparation, notes)


def _prepare_spec(options: TrainOptions, machine: Machine) -> _Parts:
    """The parts of a run of a spec. It is compiled once, and again only for another number of classes or another size."""
    assert not isinstance(options.spec, nn.Module)
    spec = compile_spec(compiler.find(options.spec, None, options.spec_root), options.set)
    recipe = _recipe_for_machine(_read_recipe(spec.analysis, options), options, machine)
    spec = set_init(spec, recipe.init)
    if options.weights is not None:
        check_source(options.weights, spec.analysis)  # before the data are read, which may take long
    followed = ""
    if any(patch.partition("=")[0].strip() == "input" for patch in options.set):
        recipe, followed = follow_input(recipe, spec.analysis.input[1:])
    size = find_final_size(recipe, spec.analysis.input[1:])
    check_size(spec.analysis, size)
    spec, sized = fit_input(spec, recipe, size)
    data = _open_data(options.data, recipe, spec.analysis.input, spec.outputs, options)
    spec, adapted = fit_classes(spec, data)
    preparation, notes = prepare(recipe, data, spec.analysis.input)
    if not options.force:
        refuse_beyond_memory(spec.analysis)
    subject = subject_of_spec(spec, recipe, preparation)
    loaded: tuple[str, ...] = ()
    published = ("", "")
    if options.weights is not None:
        weights = open_source(options.weights, options.weights_key, spec.analysis)
        loaded = (
            start_from_stored(
                subject.module,
                spec.analysis,
                weights,
                options.weights,
                transfer=options.transfer,
                key_map=options.weights_map,
                classes=data.classes,
            ),
        )
        loaded = (*loaded, *_note_preparation(weights, preparation))
        published = source_of(weights)
    following = (followed,) if followed else ()
    notes = (*adapted, *following, *sized, *note_activated_logits(spec.analysis), *notes, *loaded)
    return _Parts(subject, recipe, data, preparation, notes, published)


def _note_preparation(weights: StoredWeights, preparation: Preparation) -> tuple[str, ...]:
    """A note where the weights were trained on images of another mean and deviation than this run has."""
    theirs = preparation_of(weights)
    if theirs is None or len(theirs.mean) != len(preparation.mean):
        return ()
    if all(
        math.isclose(a, b, abs_tol=0.01)
        for a, b in zip(theirs.mean + theirs.std, preparation.mean + preparation.std, strict=True)
    ):
        return ()
    mean, std = (f"[{', '.join(f'{each:g}' for each in values)}]" for values in (theirs.mean, theirs.std))
    again = f"`--set-recipe 'normalize={{mean: {mean}, std: {std}}}'` takes theirs"
    return (f"the weights expect images with mean {mean} and deviation {std}, and the recipe has others; {again}",)


def plan_weights(options: TrainOptions, classes_of_data: bool) -> tuple[str, Plan]:
    """The name of a network, and the plan by which a run of it would start from weights; nothing is loaded.

    The network gets the classes of the data if wanted.

    Raises SpecError, RecipeError, DataError, WeightsError or ArgumentError, as `prepare_run`, but not where a plan is refused.
    """
    assert not isinstance(options.spec, nn.Module)
    assert options.weights is not None
    spec = compile_spec(compiler.find(options.spec, None, options.spec_root), options.set)
    classes: Sequence[str] = ()
    if classes_of_data:
        recipe = _read_recipe(spec.analysis, options)
        data = _open_data(options.data, recipe, spec.analysis.input, spec.outputs, options)
        spec, _ = fit_classes(spec, data)
        classes = data.classes
    weights = open_source(options.weights, options.weights_key, spec.analysis)
    module = build_module(spec.analysis.graph, "meta", initialize=False)
    plan = plan_start(module.state_dict(), spec.analysis, weights, options.transfer, options.weights_map, classes)
    return spec.analysis.spec.name, replace(plan, notes=(*weights.notes, *plan.notes))


def _read_recipe(analysis: Analysis | None, options: TrainOptions) -> Recipe:
    """The recipe of the options, else the spec's own, else one for the kind of data; `analysis` is None for a module."""
    kind = options.data.partition(":")[0]
    recipe = options.recipe
    if recipe is None and kind == "synthetic":
        recipe = QUICK
    if recipe is None and kind == "folder" and options.weights is not None:
        recipe = FINE_TUNE  # not the spec's own, by which the weights were trained: its rate would undo them
    if recipe is None and analysis is not None:
        recipe = analysis.spec.recipe
    if recipe is None and kind == "folder":
        recipe = OWN_IMAGES
    if recipe is None and analysis is None:
        recipe = QUICK
    if recipe is None:
        assert analysis is not None
        help = "name one with `--recipe`; `resnet-spec list --recipes` lists the shipped ones"
        message = f"{analysis.spec.name} names no recipe, and none was given"
        raise ArgumentError([Diagnostic("missing-recipe", message, None, help=help)])
    return read_recipe(recipe, options.set_recipe, scaled=options.scale_schedule)


def _recipe_for_machine(recipe: Recipe, options: TrainOptions, machine: Machine) -> Recipe:
    recipe = settle_precision(recipe, computes_bf16(machine.device))
    return reduce_to_one_batch(recipe) if options.overfit_batch else recipe


def _open_data(
    text: str, recipe: Recipe, input: tuple[int, int, int], classes: int | None, asked: TrainOptions | RunRecord
) -> Data:
    version = asked.data_version if isinstance(asked, RunRecord) else DATA_VERSION
    options = {"skip_bad": asked.skip_bad, "overfit_batch": asked.overfit_batch}
    return open_training_data(text, recipe, input, classes, **options, version=version)


def _record(session: Session, options: TrainOptions, folder: Path, notes: tuple[str, ...]) -> RunRecord:
    """What `run.json` is to say; `notes` are those on how the run began."""
    subject, data, feeds = session.subject, session.data, session.feeds
    return RunRecord(
        name=subject.name,
        fingerprint=subject.fingerprint,
        input=subject.input,
        data=data.text,
        synthetic=data.kind == "synthetic",
        classes=data.classes,
        counts={
            "training": len(feeds.training.labels),
            "validation": None if feeds.validation is None else len(feeds.validation.labels),
            "test": None if feeds.test is None else len(feeds.test.labels),
        },
        labels=session.labels,
        images=session.images,
        held=tuple(sorted(feeds.held_splits)),
        preparation=feeds.preparation,
        processes=session.machine.world.size,
        steps_per_epoch=feeds.training.steps_per_epoch,
        skip_bad=options.skip_bad,
        overfit_batch=options.overfit_batch,
        module=isinstance(options.spec, nn.Module),
        weights=options.weights is not None,
        contents=session.contents,
        texts={name: hash_text(text) for name, text in _texts(session).items()},
        place=place_data(data.text, folder),
        data_version=DATA_VERSION,
        dominant_label=True,
        source=session.published[0],
        license=session.published[1],
        notes=notes,
    )


def _texts(session: Session) -> dict[str, str]:
    """The files that say what a run computes, by name."""
    texts = {"recipe.yaml": session.recipe.text, "spec.yaml": session.subject.spec}
    return {name: text for name, text in texts.items() if text}


def open_run(
    folder: Path,
    data: str | None,
    device: str,
    workers: int | None,
    console: Console,
    world: World = ALONE,
    module: nn.Module | None = None,
    epochs: int | None = None,
) -> tuple[Session, checkpoints.Found | None]:
    """A run as it is in its folder, and its newest checkpoint that can be read, if there is one.

    `epochs` is another length of the run. Nothing is written.

    Raises:
        ArgumentError: the folder is not that of a run, or needs a `module`; its data are not found; it cannot have that length.
        WeightsError: its spec is another network than the run began with.
        DataError: the data are not those that the run began with.
        RecipeError, SpecError, TrainingError: as for a new run.
    """
    console = console if world.writes else Console.silent()
    record = read_record(folder)
    text = find_data(record.data, record.place, folder) if data is None else data
    if record.module and module is None:
        message = "a run of a module that is not from a spec is resumed in Python: resume(folder, module=...)"
        raise ArgumentError([Diagnostic("not-a-run", message, None)])
    recipe = read_recipe(folder / RECIPE, of_run=True)
    if epochs is not None:
        recipe = lengthen(folder, record, recipe, epochs)
    hold = frozenset(record.held) if record.skip_bad else None
    machine = Machine(find_device(device), world, workers, record.skip_bad, hold)
    if module is not None:
        subject = subject_of_module(module, record.input)
        opened = _open_data(text, recipe, subject.input, subject.outputs, record)
    else:
        spec = _compile_spec_of_run(folder, record)
        opened = _open_data(text, recipe, spec.analysis.input, spec.outputs, record)
        subject = subject_of_spec(spec, recipe, record.preparation, prove=False)  # its text is the one document
    refuse_channels(opened, record.preparation.channels)
    notes = opened.notes
    if data is None:  # weights name the data as at the start, wherever they were found
        opened = replace(opened, text=record.data)
        notes = (*notes, *([f"the data are read from {text}"] if text != record.data else []))
    session = open_session(
        subject, recipe, opened, record.preparation, machine, (*notes, *_note_threads(folder, machine)), console
    )
    published = (record.source, record.license)
    session = replace(session, own_labels=not record.dominant_label, published=published, began=record.notes)
    for name, expected in (record.texts or {}).items():
        _check_text(folder, name, (expected, record.replaced if name == RECIPE else expected))
    _check_data(session, record, text)
    found = checkpoints.newest(folder, console.say, _form(session, read_recipe(folder / RECIPE, of_run=True)))
    if found is not None and epochs is not None:
        check_length(folder, record, epochs, session.feeds.training.steps_per_epoch, found.state)
    if found is None and record.unrepeatable:
        message = (
            f"{printable(str(folder))} has no checkpoint that can be read, and its seed cannot give the weights it began with"
        )
        raise ArgumentError([Diagnostic("not-a-run", message, None, help="start a new run with the same weights")])
    return session, found


def _form(session: Session, began: Recipe | None = None) -> Form:
    """What a checkpoint of a run must be like. `began` is the recipe in its folder, which may have another length."""
    per_epoch = session.feeds.training.steps_per_epoch
    steps = max(length_of(recipe, per_epoch).steps for recipe in (session.recipe, began or session.recipe))
    return Form(session.subject.module, session.recipe, steps)


def _compile_spec_of_run(folder: Path, record: RunRecord) -> CompiledSpec:
    target = compiler.find(str(folder / "spec.yaml"))
    spec = compile_spec(Target(target.source, None, None))  # one document: it may extend nothing
    if spec.analysis.fingerprint != record.fingerprint:
        message = f"{printable(str(folder))}/spec.yaml is another network than the run began with"
        raise WeightsError([Diagnostic("other-fingerprint", message, None)])
    return spec


def _check_text(folder: Path, name: str, expected: Collection[str | None]) -> None:
    """Raise ArgumentError where a file of a run is not as it was written."""
    path = folder / name
    try:
        changed = hash_text(path.read_text(encoding="utf-8")) not in expected
    except (OSError, ValueError) as error:
        raise ArgumentError([Diagnostic("not-a-run", f"cannot read {printable(str(path))}: {error}", None)]) from None
    if changed:
        message = f"{printable(str(path))} was changed since the run began, and a run continues as it began"
        help = "undo the change; or start a new run with it: `train SPEC --recipe FILE --weights last.safetensors`"
        raise ArgumentError([Diagnostic("not-a-run", message, None, help=help)])


def _note_threads(folder: Path, machine: Machine) -> tuple[str, ...]:
    """A note where the processor computes with other threads than when the run began."""
    began = (read_environment(folder) or {}).get("threads", "")
    now = str(torch.get_num_threads())
    if machine.device.type != "cpu" or not began.isdecimal() or began == now:
        return ()
    return (f"torch computes with {now} threads, and did with {began[:9]} when the run began: the last bits may differ",)


def _check_data(session: Session, record: RunRecord, text: str) -> None:
    """Raise DataError where labels, names of images or steps of an epoch are not those that a run began with."""
    if (session.labels, session.images) != (record.labels, record.images):
        message = f"{printable(text)} has other images or labels than when the run began"
        help = "continue with the same data, or start a new run with `--weights`"
        raise DataError([Diagnostic("data-changed", message, None, help=help)])
    if record.contents is not None and session.contents != record.contents:
        message = f"{printable(text)} has other images under the same names than when the run began"
        help = "continue with the same data, or start a new run with `--weights`"
        raise DataError([Diagnostic("data-changed", message, None, help=help)])
    steps = session.feeds.training.steps_per_epoch
    if steps != record.steps_per_epoch:
        message = f"with {session.machine.world.size} processes an epoch has {steps} steps, and had {record.steps_per_epoch}"
        help = f"continue with as many processes as the run began with: {record.processes}"
        raise DataError([Diagnostic("data-changed", message, None, help=help)])
