"""The last pass over the validation and the test images: the scores of the chosen weights, and what is predicted for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from resnet_spec.report.csv_text import text_cell
from resnet_spec.report.gallery import Gallery
from resnet_spec.report.predictions import Predicted, PredictionWriter, writing_predictions
from resnet_spec.training.batches import EvaluationBatches
from resnet_spec.training.feeding import Feeds
from resnet_spec.training.recipe import Precision
from resnet_spec.training.run_folder import writing
from resnet_spec.training.scoring import Scores, score
from resnet_spec.training.world import World

PREDICTIONS_FILE = "predictions.csv"


@dataclass(frozen=True, slots=True)
class FinalResults:
    """The scores of the chosen weights on each split, None where there is no such split.

    `gallery` are the images to look at, of the test images, else of the validation images.
    """

    validation: Scores | None = None
    test: Scores | None = None
    gallery: Gallery | None = field(default=None, repr=False)


def score_finally(
    module: nn.Module,
    feeds: Feeds,
    classes: tuple[str, ...],
    device: torch.device,
    precision: Precision,
    world: World,
    stopped: Callable[[], bool],
    folder: Path,
) -> FinalResults:
    """Score `module` on validation and test images, and write `predictions.csv` into the folder of the run.

    Raises Interrupted where the run is asked to stop, ArgumentError where the file cannot be written.
    """
    splits = {
        name: batches for name, batches in (("validation", feeds.validation), ("test", feeds.test)) if batches is not None
    }
    if not splits:
        return FinalResults()
    scores: dict[str, Scores] = {}
    gallery: Gallery | None = None
    with _writing(folder, classes, world) as writer:
        for name, batches in splits.items():
            gallery = Gallery(batches.name)  # the last is kept: that of the test images, where there are any
            keep = _keeper(name, batches, classes, writer, gallery)
            scores[name] = score(module, batches, len(classes), device, precision, world, stopped, keep)
            world.wait()
    return FinalResults(scores.get("validation"), scores.get("test"), gallery)


def _keeper(
    split: str, batches: EvaluationBatches, classes: tuple[str, ...], writer: PredictionWriter | None, gallery: Gallery
) -> Callable[[Predicted], None]:
    """The function that takes the predictions for a batch of a split. Without a `writer` it is never called."""
    names = [text_cell(name) for name in classes]

    def keep(predicted: Predicted) -> None:
        assert writer is not None
        for row, index in enumerate(predicted.indices.tolist()):
            before = (text_cell(batches.name(index)), split, names[int(predicted.labels[row])])
            writer.write(before, int(predicted.predictions[row]), predicted.probabilities[row])
        gallery.add(predicted)

    return keep


@contextmanager
def _writing(folder: Path, classes: tuple[str, ...], world: World) -> Iterator[PredictionWriter | None]:
    """The writer of the process that writes; None in others."""
    if not world.writes:
        yield None
        return
    with writing(folder), writing_predictions(folder / PREDICTIONS_FILE, classes, ("file", "split", "class")) as writer:
        yield writer


def describe_scores(results: FinalResults) -> dict[str, object]:
    """What `results.json` has about balance and calibration, by its keys; figures that are undefined are None."""
    found: dict[str, object] = {}
    for split, scores in (("validation", results.validation), ("test", results.test)):
        figures = ("balanced_accuracy", "macro_f1", "calibration_error") if scores else ()
        for figure in figures:
            value = float(getattr(scores, figure))
            found[f"{split}_{figure}"] = value if value == value else None
        if scores is not None:
            found[f"{split}_reliability"] = scores.reliability.rows()
    return found
