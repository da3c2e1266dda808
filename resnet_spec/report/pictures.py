"""Writes the pictures, tables and page of a finished run into its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_spec._system.files import write_atomically
from resnet_spec.data import Data
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics.text import join_first
from resnet_spec.report.calibration import Reliability
from resnet_spec.report.chart_style import ChartFormat, find_problem
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.confusion_picture import draw_confusion
from resnet_spec.report.curves import draw_curves
from resnet_spec.report.gallery import Gallery
from resnet_spec.report.page import RunReport
from resnet_spec.report.page_budget import FOLDER, write_page
from resnet_spec.report.page_classes import ShownImages
from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.report.tables import percent_text

FORMS: tuple[ChartFormat, ...] = ("png", "svg")
MOST_NAMES = 20  # class names in a line
MOST_SKIPPED = 50  # images that the notes name


@dataclass(frozen=True, slots=True)
class FinalScores:
    """Scores of the chosen weights: on the test images, or on the validation images where there are no test images."""

    is_test: bool
    loss: float
    accuracy: float
    top5: float | None
    confusion: ConfusionMatrix
    reliability: Reliability | None = None


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """Mean and standard deviation of each channel, for values in 0 to 1, of `images` training images of `of`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: int
    of: int


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What is known about a finished run.

    Attributes:
        name: the network's name; `params`, `macs` (multiply-adds for an image), `spec` (its text) and `fingerprint` are the
            network's too. The latter three may be missing.
        diagram: a picture of the network as SVG.
        recipe, recipe_text: the recipe's name, and the recipe.
        data: the data set; its splits are not used.
        counts: the images of each split, by the name of the split.
        preparation: how images are prepared.
        notes: warnings about the run.
        skipped: why each image that was left out cannot be read, by its name.
        best_epoch: the epoch whose weights were chosen by the validation images; 0 where it is the last one.
        scores: None where there was nothing to evaluate on.
        environment: versions, machine, and the command that started the run.
        mixed: whether training accuracy is that of images mixed by mixup or cutmix.
        statistics: of the training images, as the network gets them; None if they were not measured.
        gallery: the images of `scores` that are worth showing.
        picture: the pixels `(H, W, C)` of an image of `scores`, by its position; None if it cannot be read.
    """

    name: str
    params: int
    macs: int | None
    spec: str
    fingerprint: str
    diagram: bytes | None
    recipe: str
    recipe_text: str
    data: Data
    counts: Mapping[str, int]
    preparation: Preparation
    notes: tuple[str, ...]
    skipped: Mapping[str, str]
    rows: tuple[EpochRow, ...]
    timings: tuple[Timing, ...]
    best_epoch: int
    scores: FinalScores | None
    environment: Mapping[str, str]
    mixed: bool = False
    statistics: ImageStatistics | None = None
    gallery: Gallery | None = None
    picture: Callable[[int], Pixels | None] | None = None


def write_pictures(path: Path, run: FinishedRun) -> None:
    """Write curves, confusion matrix, diagram and report.html into the folder of a run. Raises OSError.

    If figures cannot be drawn, they are left out, and the report says so.
    """
    title = f"{run.name}, {run.recipe}, {run.data.text}"
    problem = find_problem()
    if problem:
        run = replace(run, notes=(*run.notes, f"the figures are left out: {problem}"))
    for form in () if problem else FORMS:
        write_atomically(path / f"curves.{form}", draw_curves(run.rows, form, title, "light", run.mixed))
    if run.scores is not None:
        confusion = run.scores.confusion
        for form in () if problem else FORMS:
            write_atomically(path / f"confusion.{form}", draw_confusion(confusion, form))
        _write_text(path / "confusion.csv", confusion.confusion_csv())
        _write_text(path / "per_class.csv", confusion.per_class_csv())
    if run.diagram is not None:
        write_atomically(path / "diagram.svg", run.diagram)
    page = write_page(replace(report_of(run), has_figures=not problem), run.picture)
    for name, data in page.files:
        (path / FOLDER).mkdir(exist_ok=True)
        write_atomically(path / FOLDER / name, data)
    _write_text(path / "report.html", page.text)


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def report_of(run: FinishedRun) -> RunReport:
    """The content of a run's page."""
    chosen = f"epoch {run.best_epoch}, the best on the validation images" if run.best_epoch else "the last epoch"
    scores, prepared = run.scores, run.preparation
    of = "test images" if scores is not None and scores.is_test else "validation images"
    skipped = [f"skipped: {name}: {why}" for name, why in list(run.skipped.items())[:MOST_SKIPPED]]
    network = [("input", "x".join(map(str, (prepared.channels, *prepared.size)))), ("parameters", f"{run.params:,}")]
    if run.macs is not None:
        network.append(("multiply-adds", f"{run.macs:,}"))
    if run.fingerprint:
        network.append(("fingerprint", run.fingerprint))
    return RunReport(
        name=run.name,
        data_text=run.data.text,
        rows=run.rows,
        timings=run.timings,
        synthetic=run.data.kind == "synthetic",
        network=tuple(network),
        data=(
            *((f"{split} images", f"{count:,}") for split, count in run.counts.items()),
            ("classes", join_first(run.data.classes, MOST_NAMES)),
            *_statistics(run),
        ),
        results=(("weights", chosen), *_results(run)),
        environment=tuple((key, value) for key, value in run.environment.items() if key != "command"),
        test_accuracy=scores.accuracy if scores is not None and scores.is_test else None,
        confusion=None if scores is None else scores.confusion,
        confusion_of=f"{of}, {chosen}",
        recipe_text=run.recipe_text,
        spec_text=run.spec,
        diagram_svg=run.diagram,
        notes=(*run.notes, *skipped),
        command=run.environment.get("command", ""),
        mixed=run.mixed,
        reliability=None if scores is None else scores.reliability,
        images=None if run.gallery is None else ShownImages(run.gallery, of),
    )


def _statistics(run: FinishedRun) -> Iterator[tuple[str, str]]:
    """Mean and deviation of the training images, and the values that they are normalized with, if these are others."""
    prepared, found = run.preparation, run.statistics
    if found is None:
        yield "mean", _values(prepared.mean)
        yield "standard deviation", _values(prepared.std)
        return
    part = f" (of {found.images:,} of {found.of:,} training images)" if found.images < found.of else ""
    yield "mean of the images", _values(found.mean) + part
    yield "their standard deviation", _values(found.std) + part
    pairs = zip((*found.mean, *found.std), (*prepared.mean, *prepared.std), strict=True)
    if any(abs(one - other) >= 5e-5 for one, other in pairs):
        yield "normalized with", f"mean {_values(prepared.mean)}; standard deviation {_values(prepared.std)}"


def _values(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _results(run: FinishedRun) -> Iterator[tuple[str, str]]:
    if run.best_epoch:
        yield "validation accuracy", percent_text(run.rows[run.best_epoch - 1].validation_accuracy)
    if run.scores is None:
        return
    split = "test" if run.scores.is_test else "validation"
    if run.scores.is_test:
        yield "test accuracy", percent_text(run.scores.accuracy)
        yield "test loss", f"{run.scores.loss:.4f}"
        if run.scores.top5 is not None:
            yield "test top-5", percent_text(run.scores.top5)
    yield f"{split} balanced accuracy", percent_text(run.scores.confusion.balanced_accuracy)
    yield f"{split} macro F1", percent_text(run.scores.confusion.macro_f1)
    if run.scores.reliability is not None:
        yield f"{split} calibration error", percent_text(run.scores.reliability.error)
