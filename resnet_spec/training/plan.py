"""The plan of a run, in lines: network, data, images, recipe, machine, and what to note."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from resnet_spec.diagnostics import printable
from resnet_spec.training.amounts import count_text, megabytes
from resnet_spec.training.feeding import Feeds, Machine, workers_of
from resnet_spec.training.memory import MemoryEstimate
from resnet_spec.training.outputs import main_name
from resnet_spec.training.recipe import Augment, Recipe
from resnet_spec.training.subject import Subject

if TYPE_CHECKING:
    from resnet_spec.training.session import Session


def describe_plan(session: Session) -> str:
    """What a run is going to do."""
    subject, recipe, data, feeds = session.subject, session.recipe, session.data, session.feeds
    macs = "" if subject.macs is None else f", {subject.macs:,} multiply-adds"
    size = feeds.preparation.size
    lines = [
        f"network   {printable(subject.name)}: {subject.params:,} parameters{macs}",
        f"data      {printable(data.text)}: {_counts(feeds)} images, {len(data.classes)} classes",
        f"images    {feeds.preparation.channels}x{size[0]}x{size[1]}, {_reading(feeds, session.machine)}",
        f"recipe    {printable(recipe.name)}: {_schedule(recipe, feeds.training.steps_per_epoch)}",
        f"augment   {describe_augment(recipe.augment)}",
        f"machine   {_machine(session.machine, recipe)}",
    ]
    if subject.named_outputs:
        lines.insert(1, f"outputs   {_losses(subject, recipe)}")
    if frozen := _frozen(subject.module, recipe):
        lines.insert(1, f"trained   {frozen}")
    needed = MemoryEstimate(subject, recipe, session.machine).needed(recipe.batch_size)
    if needed is not None:
        lines.append(f"memory    about {megabytes(needed)} for training")
    if feeds.validation is not None:
        lines.append("choice    the best epoch by the validation images; the test images are used once, at the end")
    elif feeds.test is not None:
        lines.append("choice    the last epoch, since nothing is held out; test scores do not influence the run")
    else:
        lines.append("choice    the last epoch, since nothing is held out")
    lines += [f"note      {note}" for note in _notes(session)]
    return "\n".join(lines)


def _losses(subject: Subject, recipe: Recipe) -> str:
    """What the loss is computed of, where there are several outputs."""
    main = main_name(tuple(subject.named_outputs))
    weighed = [f"{weight:g} {printable(name)}" for name, weight in recipe.auxiliary.items()]
    others = [printable(name) for name in subject.named_outputs if name != main and name not in recipe.auxiliary]
    unused = f"; without a loss: {', '.join(others)} (`auxiliary` in the recipe gives them one)" if others else ""
    return f"the loss is that of {' + '.join([printable(main), *weighed])}; figures are those of {printable(main)}{unused}"


def _frozen(module: nn.Module, recipe: Recipe) -> str:
    """How many parameters are trained, and what is frozen; empty where all are."""
    sizes = [(each.numel(), each.requires_grad) for each in module.parameters()]
    total, trained = sum(size for size, _ in sizes), sum(size for size, is_trained in sizes if is_trained)
    if total == trained and not recipe.freeze:
        return ""
    names = ", ".join(map(printable, recipe.freeze)) or "what the module itself does not train"
    return f"{trained:,} of {total:,} parameters; frozen: {names}"


def describe_augment(augment: Augment) -> str:
    """What changes training images at random, in the words of recipes; what would change nothing is left out."""
    found = []
    if augment.resized_crop is not None:
        least, most = augment.resized_crop[:2]
        found.append(f"random_resized_crop of {least:.0%} to {most:.0%}")
    if augment.crop:
        found.append(f"random_crop with a border of {count_text(augment.crop, 'pixel')}")
    if augment.flip:
        found.append(f"random_horizontal_flip of {augment.flip:.0%}")
    if augment.rotation:
        found.append(f"random_rotation by up to {augment.rotation:g} degrees")
    if augment.rand_augment and all(augment.rand_augment):
        found.append(f"rand_augment of {count_text(augment.rand_augment[0], 'operation')}")
    if augment.trivial_augment:
        found.append("trivial_augment_wide")
    if augment.erasing:
        found.append(f"random_erasing of {augment.erasing:.0%}")
    found += [f"{word} of {alpha:g}" for word, alpha in (("mixup", augment.mixup), ("cutmix", augment.cutmix)) if alpha]
    return ", ".join(found) or "none: every epoch has the same images"


def _counts(feeds: Feeds) -> str:
    splits = (("training", feeds.training), ("validation", feeds.validation), ("test", feeds.test))
    return ", ".join(f"{len(batches.labels):,} {name}" for name, batches in splits if batches is not None)


def _reading(feeds: Feeds, machine: Machine) -> str:
    if feeds.held:
        return "held in memory"
    count = workers_of(machine)
    return f"read by {count_text(count, 'process')}" if count else "read as they are needed"


def _schedule(recipe: Recipe, steps_per_epoch: int) -> str:
    steps = recipe.iterations or (recipe.epochs or 0) * steps_per_epoch
    length = count_text(steps, "iteration") if recipe.epochs is None else count_text(recipe.epochs, "epoch")
    parts = f", in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
    batches = f"{count_text(steps, 'step')} of {count_text(recipe.batch_size, 'image')}{parts}"
    return f"{length}, {batches}, {recipe.optimizer}, lr {recipe.lr:g}, {recipe.schedule.op}"


def _machine(machine: Machine, recipe: Recipe) -> str:
    threads = f" ({count_text(torch.get_num_threads(), 'thread')})" if machine.device.type == "cpu" else ""
    processes = f", {machine.world.size} processes" if machine.world.size > 1 else ""
    return f"{machine.device}{threads}, {recipe.precision}{processes}"


def _notes(session: Session) -> Iterator[str]:
    recipe, feeds = session.recipe, session.feeds
    yield from map(printable, session.notes)
    if recipe.patience is not None and feeds.validation is None:
        yield "nothing is held out, so `early_stopping` has nothing to go by: `hold_out: 0.1` in the recipe"
    images = len(feeds.training.labels)
    if left_out := feeds.training.left_out:
        yield f"{count_text(left_out, 'image')} of each epoch's order left out: too few for a last batch"
    if recipe.batch_size > images:
        yield f"a batch of {recipe.batch_size} is all {images} images"
