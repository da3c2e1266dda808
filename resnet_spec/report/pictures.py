"""The pictures and the page of a finished run, from what the session knows."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from resnet_spec._system.files import write_atomically
from resnet_spec.data import Data
from resnet_spec.report.curves import Form, draw_confusion, draw_curves
from resnet_spec.report.page import RunReport, html_report
from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.report.tables import percent_text
from resnet_spec.training.feeding import Feeds
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.scoring import Scores
from resnet_spec.training.subject import Subject

FORMS: tuple[Form, ...] = ("png", "svg")
MOST_NAMES = 20


class Story(Protocol):
    """What a run is about: what was trained on what, and what there is to say about it."""

    @property
    def subject(self) -> Subject: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def data(self) -> Data: ...
    @property
    def feeds(self) -> Feeds: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def write_pictures(
    path: Path,
    story: Story,
    rows: list[EpochRow],
    timings: list[Timing],
    scores: Scores | None,
    best_epoch: int,
    environment: dict[str, str],
) -> None:
    """Write curves, confusion, diagram and report. `scores` are those of the kept weights, on the test images if any."""
    subject, feeds, data = story.subject, story.feeds, story.data
    tested = feeds.test is not None
    title = f"{subject.name}, {story.recipe.name}, {data.text}"
    for form in FORMS:
        write_atomically(path / f"curves.{form}", draw_curves(rows, form, title))
    confusion = None if scores is None else scores.table(data.classes)
    if confusion is not None:
        for form in FORMS:
            write_atomically(path / f"confusion.{form}", draw_confusion(confusion, form))
        write_atomically(path / "confusion.csv", confusion.confusion_csv().encode("utf-8", "backslashreplace"))
        write_atomically(path / "per_class.csv", confusion.per_class_csv().encode("utf-8", "backslashreplace"))
    diagram = None if subject.diagram is None else subject.diagram()
    if diagram is not None:
        write_atomically(path / "diagram.svg", diagram)
    which = f"epoch {best_epoch}, the best by the validation images" if best_epoch else "the last epoch"
    results = [("weights", which)]
    if best_epoch:
        results.append(("validation accuracy", percent_text(rows[best_epoch - 1].validation_accuracy)))
    if scores is not None and tested:
        results += [("test accuracy", percent_text(scores.accuracy)), ("test loss", f"{scores.loss:.4f}")]
        results += [("test top-5", percent_text(scores.top5))] if scores.top5 is not None else []
    splits = (("training", feeds.training), ("validation", feeds.validation), ("test", feeds.test))
    counts = [(f"{name} images", f"{len(batches.labels):,}") for name, batches in splits if batches is not None]
    prepared = feeds.preparation
    facts = RunReport(
        name=subject.name,
        data_text=data.text,
        rows=tuple(rows),
        timings=tuple(timings),
        synthetic=data.kind == "synthetic",
        network=(
            ("input", "x".join(str(part) for part in (prepared.channels, *prepared.size))),
            ("parameters", f"{subject.params:,}"),
            *((("multiply-adds", f"{subject.macs:,}"),) if subject.macs is not None else ()),
            *((("fingerprint", subject.fingerprint),) if subject.fingerprint else ()),
        ),
        data=(
            *counts,
            ("classes", _listed(data.classes)),
            ("mean", ", ".join(f"{value:.4f}" for value in prepared.mean)),
            ("standard deviation", ", ".join(f"{value:.4f}" for value in prepared.std)),
        ),
        results=tuple(results),
        environment=tuple((key, value) for key, value in environment.items() if key != "command"),
        test_accuracy=scores.accuracy if scores is not None and tested else None,
        confusion=confusion,
        confusion_of=f"{'test' if tested else 'validation'} images, {which}",
        recipe_text=story.recipe.text,
        spec_text=subject.spec,
        diagram_svg=diagram,
        notes=(*story.notes, *(f"skipped: {name}: {why}" for name, why in list(feeds.skipped.names.items())[:50])),
        command=environment.get("command", ""),
    )
    write_atomically(path / "report.html", html_report(facts).encode("utf-8", "backslashreplace"))
