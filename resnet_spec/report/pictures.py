"""Writes the pictures, tables and page of a finished run into its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_spec._system.files import write_atomically
from resnet_spec.data import Data
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics.text import join_first
from resnet_spec.report.chart_style import ChartFormat, find_problem
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.confusion_picture import draw_confusion
from resnet_spec.report.curves import draw_curves
from resnet_spec.report.page import RunReport, html_report
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


def write_pictures(path: Path, run: FinishedRun) -> None:
    """Write curves, confusion matrix, diagram and report.html into the folder of a run. Raises OSError.

    If figures cannot be drawn, they are left out, and the report says so.
    """
    title = f"{run.name}, {run.recipe}, {run.data.text}"
    problem = find_problem()
    if problem:
        run = replace(run, notes=(*run.notes, f"the figures are left out: {problem}"))
    for form in () if problem else FORMS:
        write_atomically(path / f"curves.{form}", draw_curves(run.rows, form, title))
    if run.scores is not None:
        confusion = run.scores.confusion
        for form in () if problem else FORMS:
            write_atomically(path / f"confusion.{form}", draw_confusion(confusion, form))
        _write_text(path / "confusion.csv", confusion.confusion_csv())
        _write_text(path / "per_class.csv", confusion.per_class_csv())
    if run.diagram is not None:
        write_atomically(path / "diagram.svg", run.diagram)
    _write_text(path / "report.html", html_report(replace(report_of(run), has_figures=not problem)))


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def report_of(run: FinishedRun) -> RunReport:
    """The content of a run's page."""
    chosen = f"epoch {run.best_epoch}, the best on the validation images" if run.best_epoch else "the last epoch"
    scores, prepared = run.scores, run.preparation
    tested = scores is not None and scores.is_test
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
            ("mean", ", ".join(f"{value:.4f}" for value in prepared.mean)),
            ("standard deviation", ", ".join(f"{value:.4f}" for value in prepared.std)),
        ),
        results=(("weights", chosen), *_results(run)),
        environment=tuple((key, value) for key, value in run.environment.items() if key != "command"),
        test_accuracy=scores.accuracy if scores is not None and scores.is_test else None,
        confusion=None if scores is None else scores.confusion,
        confusion_of=f"{'test' if tested else 'validation'} images, {chosen}",
        recipe_text=run.recipe_text,
        spec_text=run.spec,
        diagram_svg=run.diagram,
        notes=(*run.notes, *skipped),
        command=run.environment.get("command", ""),
    )


def _results(run: FinishedRun) -> Iterator[tuple[str, str]]:
    if run.best_epoch:
        yield "validation accuracy", percent_text(run.rows[run.best_epoch - 1].validation_accuracy)
    if run.scores is not None and run.scores.is_test:
        yield "test accuracy", percent_text(run.scores.accuracy)
        yield "test loss", f"{run.scores.loss:.4f}"
        if run.scores.top5 is not None:
            yield "test top-5", percent_text(run.scores.top5)
