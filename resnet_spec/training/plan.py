"""The plan of a run, in lines: network, data, images, recipe, machine, and what to note."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from resnet_spec.diagnostics import printable
from resnet_spec.training.amounts import count_text, megabytes
from resnet_spec.training.feeding import Feeds, Machine, workers_of
from resnet_spec.training.memory import MemoryEstimate
from resnet_spec.training.recipe import Recipe

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
        f"machine   {_machine(session.machine, recipe)}",
    ]
    needed = MemoryEstimate(subject, recipe, session.machine).needed(recipe.batch_size)
    if needed is not None:
        lines.append(f"memory    about {megabytes(needed)} for training")
    if feeds.validation is not None:
        lines.append("choice    the best epoch by the validation images; the test images are used once, at the end")
    elif feeds.test is not None:
        lines.append("choice    the last epoch, since nothing is held out; test scores do not influence the run")
    lines += [f"note      {note}" for note in _notes(session)]
    return "\n".join(lines)


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
    if left_out := feeds.training.left_out:
        yield f"{count_text(left_out, 'image')} of each epoch's order left out: too few for a last batch"
    images = len(feeds.training.labels)
    if recipe.batch_size > images:
        yield f"a batch of {recipe.batch_size} is all {images} images"
