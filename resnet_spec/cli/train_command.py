"""`resnet-spec train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from resnet_spec._system.packages import TRAINING, require_packages
from resnet_spec.cli.common import findings_options, set_option, show_error, show_findings, spec_root_option
from resnet_spec.cli.progress import Bar
from resnet_spec.cli.weights_plan import check_plan_options, map_option, plan_options, show_training_plan
from resnet_spec.diagnostics import ArgumentError, ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.text import count_text, join_words

if TYPE_CHECKING:
    from resnet_spec.training.session import Result


@click.command(
    "train",
    epilog="""\b
Examples:
  resnet-spec train specs/cifar_resnet20.yaml                            # on the embedded synthetic images
  resnet-spec train specs/cifar_resnet20.yaml --data cifar10:DIR --recipe cifar-fast --out runs/a
  resnet-spec train specs/pokemon_resnet18.yaml --data folder:DIR
  resnet-spec train resnet50 --data folder:DIR --recipe torchvision-v1 --weights resnet50.pth --lr 0.01
  resnet-spec train resnet50 --data folder:DIR --weights resnet50.pth --plan-only
  resnet-spec train resnet50 --data folder:DIR --weights torchvision:ResNet50_Weights.IMAGENET1K_V2
  resnet-spec train --resume runs/a
""",
)
@click.argument("spec", required=False)
@click.option(
    "--data",
    metavar="KIND:DIR",
    help="synthetic, cifar10:DIR, cifar100:DIR, mnist:DIR, fashion-mnist:DIR, "
    "folder:DIR or imagenet:DIR.  [default: synthetic]",
)
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="The recipe.  [default: fine-tune for a folder with --weights; the spec's own; scratch-small for a folder]",
)
@click.option("--out", type=click.Path(file_okay=False), metavar="DIR", help="The run folder.  [default: runs/...]")
@click.option("--resume", type=click.Path(exists=True, file_okay=False), metavar="RUN", help="Continue the run in this folder.")
@click.option(
    "--weights",
    metavar="WEIGHTS",
    help="Start from these weights: .safetensors, .pth and the like, a run, a folder with model.safetensors; or "
    "torchvision:NAME, hf:ORG/NAME[@REVISION], or published (those that the spec names), which are downloaded.",
)
@click.option("--weights-key", metavar="KEY", help="The part of a checkpoint that holds the weights, or their first names.")
@click.option("--transfer", is_flag=True, help="Keep what weights of another network have in common, and draw the rest.")
@map_option
@plan_options
@click.option("-o", "--output", metavar="FILE.yaml", help="With --plan-only: write how keys are renamed, for --map.")
@click.option(
    "--set-recipe",
    "recipe_sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Patch the recipe: --set-recipe optimizer.momentum=0.8; an empty value deletes the key.  [repeatable]",
)
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="As --set-recipe epochs=N; with --resume, the new length.")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="As --set-recipe batch_size=N.")
@click.option("--lr", type=float, metavar="RATE", help="As --set-recipe optimizer.lr=RATE.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), metavar="N", help="As --set-recipe seed=N.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), help="As --set-recipe precision=...")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|mps", help="The device to train on.")
@click.option("--workers", type=click.IntRange(0, 1024), metavar="N", help="Processes that read images.  [default: as needed]")
@click.option("--skip-bad", is_flag=True, help="Skip images that cannot be read, and count them.")
@click.option("--scale-schedule", is_flag=True, help="Scale milestones and warm-up of the recipe to the length of the run.")
@click.option("--overfit-batch", is_flag=True, help="Train on a single batch, which any correct network can memorize.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, and exit.")
@click.option(
    "--keep-memory/--no-keep-memory",
    default=True,
    show_default=True,
    help="Make glibc's allocator keep freed memory, which is faster.",
)
@click.option("--force", is_flag=True, help="Train even if the free memory is not sufficient.")
@set_option
@spec_root_option
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    spec: str | None,
    data: str | None,
    recipe: str | None,
    out: str | None,
    resume: str | None,
    weights: str | None,
    weights_key: str | None,
    transfer: bool,
    weights_map: str | None,
    plan_only: bool,
    style: str | None,
    output: str | None,
    recipe_sets: tuple[str, ...],
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int | None,
    precision: str | None,
    device: str,
    workers: int | None,
    skip_bad: bool,
    scale_schedule: bool,
    overfit_batch: bool,
    dry_run: bool,
    keep_memory: bool,
    force: bool,
    sets: tuple[str, ...],
    spec_root: str | None,
    message_format: MessageFormat,
) -> None:
    """Train the network of a spec, and store weights, metrics, checkpoints and a report in a run folder.

    The folder contains metrics, curves, the confusion matrix, a report (report.html), the best and the last weights with spec
    and classes, and checkpoints. A resumed run is bit-identical to an uninterrupted one. Ctrl-C saves a checkpoint and stops; a
    second one exits immediately.
    """
    patches = [*recipe_sets]
    flags = {"epochs": epochs, "batch_size": batch_size, "optimizer.lr": lr, "seed": seed, "precision": precision}
    patches += [f"{name}={value}" for name, value in flags.items() if value is not None]
    if spec is None and resume is None:
        raise click.UsageError("specify a SPEC to train, or --resume RUN to continue a run")
    if resume is not None:
        _refuse_changes_of_a_run(ctx, spec)
    _refuse_contradictions(recipe_sets, {name: str(value) for name, value in flags.items() if value is not None})
    if output is not None and not plan_only:
        raise click.UsageError("-o writes a map of keys: use it with --plan-only; the folder of a run is --out")
    check_plan_options(weights, weights_map, plan_only, style, output)
    try:
        require_packages("training", *TRAINING)
    except ArgumentError as error:
        ctx.exit(show_error(error, message_format))
    from resnet_spec._system import allocator
    from resnet_spec.training import runs
    from resnet_spec.training.options import TrainOptions
    from resnet_spec.training.plan import describe_plan
    from resnet_spec.training.run_folder import resume_command
    from resnet_spec.training.run_lock import lock_run
    from resnet_spec.training.run_record import read_record
    from resnet_spec.training.scoring import Interrupted
    from resnet_spec.training.stop import Stop
    from resnet_spec.training.world import joined

    if plan_only:
        assert spec is not None
        options = TrainOptions(
            spec=spec,
            recipe=recipe,
            data=data or "synthetic",
            set=sets,
            set_recipe=tuple(patches),
            spec_root=None if spec_root is None else Path(spec_root),
            weights=weights,
            weights_key=weights_key,
            weights_map=None if weights_map is None else Path(weights_map),
            transfer=transfer,
            skip_bad=skip_bad,
        )
        ctx.exit(show_training_plan(options, data is not None, style == "json", output, message_format))
    if keep_memory:
        allocator.keep_memory()
    stop = Stop()
    place = resume or out
    folder = None if place is None else Path(place)
    with joined() as world, ExitStack() as held:
        bar = Bar(world.writes)
        is_new = resume is None and not runs.continues_after_failure(folder)
        try:
            if not is_new:
                assert folder is not None
                read_record(folder)  # before a lock is left in a folder that is none of a run
                if not dry_run:
                    held.enter_context(lock_run(folder, world, bar.say))
                with bar.waiting("reading the data; the plan follows"):
                    session, found = runs.open_run(folder, data, device, workers, bar.console(), world, None, epochs)
                bar.say(describe_plan(session))
                where = "from its start" if found is None else f"after step {found.step:,}"
                bar.say(f"resume    {printable(str(folder))} {where}")
                start = partial(runs.continue_run, folder, session, found, stop)
            else:
                assert spec is not None
                options = TrainOptions(
                    spec=spec,
                    recipe=recipe,
                    data=data or "synthetic",
                    out=folder,
                    set=sets,
                    set_recipe=tuple(patches),
                    spec_root=None if spec_root is None else Path(spec_root),
                    weights=weights,
                    weights_key=weights_key,
                    weights_map=None if weights_map is None else Path(weights_map),
                    transfer=transfer,
                    device=device,
                    workers=workers,
                    skip_bad=skip_bad,
                    scale_schedule=scale_schedule,
                    overfit_batch=overfit_batch,
                    force=force,
                )
                with bar.waiting("reading the data; the plan follows"):
                    run = runs.prepare_run(options, bar.console(), world)
                folder = run.folder
                if world.writes:
                    show_findings(run.session.recipe.warnings, message_format)
                bar.say(describe_plan(run.session))
                start = partial(runs.start_run, run, stop)
            if dry_run:
                bar.say("nothing was trained, and nothing written (--dry-run)")
                return
            if is_new:
                bar.say(f"folder    {printable(str(folder))}")
            with bar.waiting("training; the time that is left is estimated after the first steps"):
                result = start()
        except ResnetSpecError as error:
            bar.clear()
            ctx.exit(show_error(error, message_format))
        except Interrupted:
            bar.clear()
            if world.writes:
                assert folder is not None
                click.echo(f"stopped and saved; continue with: {resume_command(folder)}", err=True)
            ctx.exit(stop.exit_code)
        _report(bar, result)


# Flags by the key of the recipe that they set.
_FLAGS = {
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "optimizer.lr": "--lr",
    "seed": "--seed",
    "precision": "--precision",
}
# With --resume these are allowed: where the data are now, and how the run is executed and shown.
_OF_ANY_RUN = {
    "spec",
    "resume",
    "data",
    "device",
    "workers",
    "epochs",
    "dry_run",
    "keep_memory",
    "message_format",
    "color",
    "all_findings",
}


def _refuse_changes_of_a_run(ctx: click.Context, spec: str | None) -> None:
    """Refuse what a run that is continued cannot take: its spec, its recipe and its folder are those that it began with."""
    if spec is not None:
        message = f"use either the SPEC {printable(spec)} or --resume RUN: a run contains its spec"
        raise click.UsageError(message)
    given = [
        option.opts[0]
        for option in ctx.command.params
        if option.name not in _OF_ANY_RUN and ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        message = f"{join_words(given, 'and')} cannot be used with --resume: a run is continued unchanged"
        allowed = "only --data, --device, --workers and --epochs are allowed"
        raise click.UsageError(f"{message}; {allowed}; start a new run to change anything else")


def _refuse_contradictions(recipe_sets: Sequence[str], flags: Mapping[str, str]) -> None:
    """Refuse a value of the recipe that is set twice, and a length in epochs and in iterations."""
    written = {key.strip(): value.strip() for key, _, value in (text.partition("=") for text in recipe_sets)}
    for key, value in flags.items():
        if key in written and not _are_equal(written[key], value):
            raise click.UsageError(
                f"{_FLAGS[key]} {value} contradicts --set-recipe {printable(f'{key}={written[key]}')}: use one"
            )
    if written.get("iterations") and (flags.get("epochs") or written.get("epochs")):
        epochs = f"--epochs {flags['epochs']}" if "epochs" in flags else f"--set-recipe epochs={written['epochs']}"
        iterations = f"--set-recipe iterations={written['iterations']}"
        message = f"{epochs} contradicts {iterations}: a run has a length in epochs or in iterations"
        raise click.UsageError(printable(message))


def _are_equal(first: str, second: str) -> bool:
    """Whether two texts are the same value: `0.1` and `1e-1` are."""
    try:
        return first == second or float(first) == float(second)
    except ValueError:
        return False


def _report(bar: Bar, result: Result) -> None:
    """Report the outcome of a run."""
    if result.best_epoch:
        best = result.rows[result.best_epoch - 1].validation_accuracy or 0.0
        bar.say(f"best epoch {result.best_epoch}: validation accuracy {100 * best:.2f}%")
    elif result.test is None:
        bar.say(f"training accuracy {100 * result.rows[-1].train_accuracy:.2f}% in the last epoch")
    if result.test is not None:
        top5 = "" if result.test.top5 is None else f", top-5 {100 * result.test.top5:.2f}%"
        bar.say(f"test accuracy {100 * result.test.accuracy:.2f}%{top5} ({result.test.images:,} images)")
    scores = result.test or result.validation
    if scores is not None:
        of = "test" if result.test is not None else "validation"
        figures = f"balanced accuracy {100 * scores.balanced_accuracy:.2f}%, macro F1 {100 * scores.macro_f1:.2f}%"
        bar.say(f"{figures}, calibration error {100 * scores.calibration_error:.2f}% ({of} images)")
    if result.skipped:
        images = count_text(len(result.skipped), "image")
        bar.say(f"left out because they cannot be read: {images}; report.html lists them")
    bar.say(f"wrote {printable(str(result.folder))}/report.html")
