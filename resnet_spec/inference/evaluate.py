"""Evaluates trained weights on a data set: loss, accuracy and the confusion matrix."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from resnet_spec.data import BadImage, Data, Split
from resnet_spec.data.class_names import find_near_miss
from resnet_spec.data.levels import apply_levels
from resnet_spec.data.opening import open_some_data
from resnet_spec.data.preparation import refuse_channels
from resnet_spec.diagnostics import DataError, Diagnostic, printable
from resnet_spec.diagnostics.arguments import require_choice
from resnet_spec.inference.arguments import require_data, require_integer, require_precision
from resnet_spec.inference.folding import prepare_for_inference
from resnet_spec.inference.trained import load_trained
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.training.feeding import Machine, make_evaluation
from resnet_spec.training.reading import Skipped, refuse_bad_image
from resnet_spec.training.recipe import Precision
from resnet_spec.training.scoring import Scores, score
from resnet_spec.training.splits import with_held_out
from resnet_spec.training.world import World

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
SYNONYMS = {"val": "validation", "valid": "validation", "dev": "validation", "training": "train", "testing": "test"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of trained weights on the images of a split. `skipped` gives the reason for each image that was left out."""

    name: str
    data: str
    split: str
    scores: Scores
    classes: tuple[str, ...]
    skipped: dict[str, str]

    @property
    def confusion(self) -> ConfusionMatrix:
        return self.scores.table(self.classes)


def evaluate(
    path: str | Path,
    data: str | None = None,
    *,
    split: SplitName = "test",
    device: str = "auto",
    batch_size: int = 256,
    workers: int | None = None,
    skip_bad: bool = False,
    precision: Precision = "fp32",
) -> Evaluation:
    """Evaluate trained weights on data. `resnet_spec.evaluate` describes the arguments and the errors."""
    split = require_choice("split", split, SPLITS, SYNONYMS)
    precision = require_precision(precision)
    batch_size = require_integer("batch_size", batch_size, 1)
    workers = None if workers is None else require_integer("workers", workers, 0)
    data = None if data is None else require_data(data)
    trained = load_trained(path, device)
    facts = trained.facts
    text = data or facts.data
    opened = open_some_data(
        text,
        input=trained.analysis.input,
        split=facts.split,
        skip_bad=skip_bad,
        classes=len(facts.classes),
        version=facts.rules,
    )
    refuse_channels(opened, facts.preparation.channels)
    with suppress(ValueError):  # other data may have too few images to hold some out
        opened = with_held_out(opened, *facts.hold_out, facts.rules)
    opened = apply_levels(_with_classes(opened, facts.classes), facts.preparation.levels)
    splits: dict[SplitName, Split | None] = {"train": opened.train, "validation": opened.validation, "test": opened.test}
    chosen = splits[split]
    if chosen is None:
        existing = ", ".join(name for name, each in splits.items() if each is not None)
        message = f"{printable(text)} has no {split} images"
        raise DataError([Diagnostic("data-split", message, None, help=f"`--split` takes {existing} here")])
    skipped = Skipped()
    preparation = facts.preparation.for_images_of(opened.size)
    machine = Machine(trained.device, World(), workers, skip_bad)
    try:
        batches = make_evaluation(split, chosen, batch_size, True, preparation, machine, skipped)
    except BadImage as bad:
        raise refuse_bad_image(bad) from None
    module = prepare_for_inference(trained.module, precision)
    scores = score(module, batches, len(facts.classes), trained.device, "fp32", World())
    return Evaluation(facts.name, text, split, scores, facts.classes, skipped.names)


def _with_classes(data: Data, classes: tuple[str, ...]) -> Data:
    """Renumber the labels in the order of the network's classes. Raises DataError if the data have a class that it lacks."""
    if data.classes == classes:
        return data
    unknown = [name for name in data.classes if name not in classes]
    if unknown:
        message = f"the data have a class `{printable(unknown[0])}` that the network does not have"
        known = ", ".join(printable(name) for name in classes[:12])
        help = find_near_miss(unknown[0], classes) or f"its classes are {known}"
        raise DataError([Diagnostic("data-classes", message, None, help=help)])
    numbers = np.array([classes.index(name) for name in data.classes])

    def renumber(split: Split | None) -> Split | None:
        return None if split is None else replace(split, labels=numbers[split.labels])

    train, validation, test = map(renumber, (data.train, data.validation, data.test))
    return replace(data, classes=classes, train=train, validation=validation, test=test)
