"""Evaluates trained weights on a data set: loss, accuracy and the confusion matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from resnet_spec.data import BadImage, open_data
from resnet_spec.data.levels import apply_levels
from resnet_spec.data.preparation import refuse_channels
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.diagnostics.arguments import require_choice
from resnet_spec.inference.arguments import require_data, require_integer, require_precision
from resnet_spec.inference.choosing import SPLITS, SYNONYMS, SplitName, choose_images, read_list
from resnet_spec.inference.folding import prepare_for_inference
from resnet_spec.inference.naming import match_classes
from resnet_spec.inference.pairing import Pairing, load_named
from resnet_spec.inference.trained import find_data_of, refuse_not_finite
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.tables import percent_text
from resnet_spec.training.feeding import Machine, make_evaluation
from resnet_spec.training.reading import Skipped, refuse_bad_image
from resnet_spec.training.recipe import Precision
from resnet_spec.training.scoring import Scores, score
from resnet_spec.training.world import World


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of trained weights on the images of a split, or of `"all"`.

    `skipped` gives the reason for each image that was left out. `available` is how many images the data have in all splits, and
    `notes` say why these were chosen. `weights_notes` say what was assumed about weights that were named apart from their spec,
    and what was not as expected.
    """

    name: str
    data: str
    split: str
    scores: Scores
    classes: tuple[str, ...]
    skipped: dict[str, str]
    available: int = 0
    notes: tuple[str, ...] = ()
    weights_notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        of = f"{self.scores.images:,} {'' if self.split == 'all' else self.split + ' '}images of {printable(self.data)}"
        accuracy = percent_text(self.scores.accuracy)
        return f"<Evaluation of {printable(self.name)} on {of}: accuracy {accuracy}, loss {self.scores.loss:.4f}>"

    @property
    def confusion(self) -> ConfusionMatrix:
        return self.scores.table(self.classes)


def evaluate(
    path: str | Path | Pairing,
    data: str | None = None,
    *,
    split: SplitName | None = None,
    device: str = "auto",
    batch_size: int = 256,
    workers: int | None = None,
    skip_bad: bool = False,
    precision: Precision = "fp32",
    module: nn.Module | None = None,
) -> Evaluation:
    """Evaluate trained weights on data. `resnet_spec.evaluate` describes the arguments and the errors."""
    split = None if split is None else require_choice("split", split, SPLITS, SYNONYMS)
    precision = require_precision(precision)
    batch_size = require_integer("batch_size", batch_size, 1)
    workers = None if workers is None else require_integer("workers", workers, 0)
    data = None if data is None else require_data(data)
    trained, place = load_named(path, device, module)
    facts = trained.facts
    if data is None and not facts.data:
        message = "the weights do not say which images they were trained with, and no data are named"
        raise ArgumentError([Diagnostic("missing-data", message, None, help="name them: `--data folder:DIR`")])
    text = data or find_data_of(place, facts.data)
    opened = open_data(
        text,
        input=trained.input,
        split=facts.split,
        skip_bad=skip_bad,
        classes=len(facts.classes),
        purpose="evaluate",
        version=facts.rules,
    )
    refuse_channels(opened, facts.preparation.channels)
    opened, matched = match_classes(opened, facts.classes, trained.classes_known, facts.name)
    opened = apply_levels(opened, facts.preparation.levels)
    held_out = read_list(place, facts.data)
    chosen = choose_images(opened, facts, held_out, split, named=data is not None, trained_here=bool(facts.data))
    skipped = Skipped()
    preparation = facts.preparation.for_images_of(opened.size)
    machine = Machine(trained.device, World(), workers, skip_bad)
    try:
        batches = make_evaluation(chosen.name, chosen.split, batch_size, True, preparation, machine, skipped)
    except BadImage as bad:
        raise refuse_bad_image(bad) from None
    network = prepare_for_inference(trained.module, precision)
    try:
        scores = score(network, batches, len(opened.classes), trained.device, "fp32", World())
    finally:
        batches.images.close()
    if not math.isfinite(scores.loss):
        raise refuse_not_finite(trained, precision)
    notes = (*trained.notes, *matched)
    return Evaluation(
        facts.name, text, chosen.name, scores, opened.classes, skipped.names, chosen.available, chosen.notes, notes
    )
