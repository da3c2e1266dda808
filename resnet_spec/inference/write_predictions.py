"""Writes predictions into a file, with the probability of each class: a table, or JSON. Images are written as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from resnet_spec._system.files import open_atomically
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.inference.predict import Predictor, rank
from resnet_spec.report.csv_text import text_cell
from resnet_spec.report.predictions import writing_predictions

_Unread = tuple[str, str]  # the name of an image, and why it cannot be read


def write_predictions(path: Path, predictor: Predictor) -> tuple[int, list[_Unread]]:
    """Predict the images, and write a file, whole or not at all. Its suffix, `.csv` or `.json`, decides on its form.

    Returns how many images there are, and those that cannot be read. Raises ArgumentError where it cannot be written.
    """
    problems: list[_Unread] = []
    write = _write_json if path.suffix.lower() == ".json" else _write_csv
    try:
        write(path, predictor, problems)
    except OSError as error:
        message = f"cannot write {printable(str(error.filename or path))}: {error.strerror or error}"
        raise ArgumentError([Diagnostic("cannot-write", message, None)]) from None
    return len(predictor.images), problems


def _write_csv(path: Path, predictor: Predictor, problems: list[_Unread]) -> None:
    with writing_predictions(path, predictor.classes, ("file", "problem")) as rows:
        for each in predictor:
            if each.probabilities is None:
                problems.append((each.image, each.problem))
                rows.write_without((text_cell(each.image), text_cell(each.problem)))
            else:
                rows.write((text_cell(each.image), ""), int(each.probabilities.argmax()), each.probabilities)


def _write_json(path: Path, predictor: Predictor, problems: list[_Unread]) -> None:
    with open_atomically(path) as file:
        for text in _json_lines(predictor, problems):
            file.write(text.encode("ascii"))


def _json_lines(predictor: Predictor, problems: list[_Unread]) -> Iterator[str]:
    """The document of `predict --format json`, with all classes, and an image a line."""
    yield '{"version": 1, "predictions": ['
    comma = "\n"
    for each in predictor:
        found = rank(each, predictor.classes, len(predictor.classes))
        row: dict[str, object] = {
            "image": found.image,
            "classes": [{"name": name, "probability": value} for name, value in found.classes],
        }
        if found.problem:
            row["problem"] = found.problem
            problems.append((found.image, found.problem))
        yield comma + json.dumps(row)
        comma = ",\n"
    yield "\n]}\n"
