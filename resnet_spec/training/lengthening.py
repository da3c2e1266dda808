"""A run continued to another length (`--resume RUN --epochs N`): only where it is then the run of that length from its start.

That is so where no learning rate so far depends on the length: with a constant schedule, or one with milestones.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_spec._system.files import write_atomically
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.training.amounts import count_text
from resnet_spec.training.recipe import Recipe, set_epochs
from resnet_spec.training.run_folder import LAST, writing
from resnet_spec.training.run_record import RunRecord, hash_text, write_record

FREE_OF_LENGTH = ("constant", "multistep")  # schedules of which no learning rate depends on the length of the run


def lengthen(folder: Path, record: RunRecord, recipe: Recipe, epochs: int) -> Recipe:
    """The recipe of a run for another number of epochs. Raises ArgumentError where its schedule spans the run."""
    if recipe.epochs == epochs:
        return recipe
    if recipe.schedule.op not in FREE_OF_LENGTH:
        message = (
            f"the learning rates of {printable(str(folder))} follow a `{recipe.schedule.op}` schedule over its whole length, "
            "so it is not the beginning of a longer run"
        )
        raise _refusal(folder, record, message, epochs)
    return set_epochs(recipe, epochs)


def check_length(folder: Path, record: RunRecord, epochs: int, steps_per_epoch: int, state: Mapping[str, Any]) -> None:
    """Raise ArgumentError where a run that has reached `state` cannot end after `epochs`."""
    rows, shown = state["rows"], printable(str(folder))
    if state["stopped_early"]:
        message = f"{shown} has stopped early after {count_text(len(rows), 'epoch')}, and would in a longer run, too"
    elif any(row["step"] != row["epoch"] * steps_per_epoch for row in rows):
        message = f"the last epoch of {shown} was cut short by `iterations`, so it is not the beginning of a longer run"
    elif state["step"] > epochs * steps_per_epoch or len(rows) > epochs:
        message = f"{shown} has trained {count_text(state['step'], 'step')} already, which are more than {epochs} epochs"
        raise ArgumentError([Diagnostic("run-length", message, None, help="name more epochs")])
    else:
        return
    raise _refusal(folder, record, message, epochs)


def _refusal(folder: Path, record: RunRecord, message: str, epochs: int) -> ArgumentError:
    """The error for a run that cannot be continued to another length, with the way to train its weights on."""
    run = shlex.quote(printable(str(folder)))
    help = f"start a new run from its weights: in Python, load {run}/{LAST} into the module"
    if not record.module:
        data = "" if record.data == "synthetic" else f" --data {shlex.quote(printable(record.data))}"
        command = f"resnet-spec train {run}/spec.yaml --recipe {run}/recipe.yaml{data} --weights {run}/{LAST} --epochs {epochs}"
        help = f"start a new run from its weights: `{command}`"
    return ArgumentError([Diagnostic("run-length", message, None, help=help)])


def keep_recipe(folder: Path, record: RunRecord, recipe: Recipe) -> None:
    """Make a recipe that of a run. Killed at any point, the run has the old one or the new one.

    First the record accepts both, then the file is replaced, and then the record accepts the new one only.
    """
    path = folder / "recipe.yaml"
    with writing(folder):
        if record.texts is not None:
            old = hash_text(path.read_text(encoding="utf-8"))
            record = replace(record, texts={**record.texts, path.name: hash_text(recipe.text)}, replaced=old)
            write_record(folder, record)
        write_atomically(path, recipe.text.encode("utf-8"))
        if record.texts is not None:
            write_record(folder, replace(record, replaced=None))
