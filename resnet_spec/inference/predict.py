"""Predicts the classes of images with trained weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from resnet_spec.data import BadImage
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import read_image
from resnet_spec.data.listing import Listing
from resnet_spec.data.preparation import normalize, refuse_image_files
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.diagnostics.arguments import quote, wrong_argument
from resnet_spec.inference.arguments import require_integer, require_precision
from resnet_spec.inference.folding import Inference, prepare_for_inference
from resnet_spec.inference.trained import Trained, load_trained
from resnet_spec.training.recipe import Precision


@dataclass(frozen=True, slots=True)
class Prediction:
    """The classes of an image with their probabilities (0 to 1), the most probable first; or why it cannot be read."""

    image: str
    classes: tuple[tuple[str, float], ...]
    problem: str = ""


def predict(
    path: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    top: int = 5,
    device: str = "auto",
    batch_size: int = 64,
    precision: Precision = "fp32",
) -> list[Prediction]:
    """Predict the classes of images. `resnet_spec.predict` describes the arguments and the errors."""
    top = require_integer("top", top, 1)
    batch_size = require_integer("batch_size", batch_size, 1)
    precision = require_precision(precision)
    given = _paths(images)
    trained = load_trained(path, device)
    refuse_image_files(trained.facts.preparation.channels)
    files = [file for each in given for file in _files(each)]
    module = prepare_for_inference(trained.module, precision)
    predictions: list[Prediction] = []
    for start in range(0, len(files), batch_size):
        predictions += _predict_batch(trained, module, files[start : start + batch_size], top)
    return predictions


def _predict_batch(trained: Trained, module: Inference, files: list[Path], top: int) -> list[Prediction]:
    """Predict the classes of some files, in their order."""
    preparation, classes = trained.facts.preparation, trained.facts.classes
    read = [_read(trained, file) for file in files]
    good = [image for image in read if not isinstance(image, BadImage)]
    rows: Iterator[torch.Tensor] = iter(())
    if good:
        with torch.inference_mode():
            outputs = module(normalize(np.stack(good), preparation, trained.device, True))
        rows = iter(outputs.softmax(1).cpu())
    predictions = []
    for file, image in zip(files, read, strict=True):
        if isinstance(image, BadImage):
            predictions.append(Prediction(str(file), (), image.why))
            continue
        values, indices = next(rows).topk(min(top, len(classes)))
        best = tuple((classes[i], float(value)) for value, i in zip(values, indices.tolist(), strict=True))
        predictions.append(Prediction(str(file), best))
    return predictions


def _read(trained: Trained, file: Path) -> Pixels | BadImage:
    """Read an image as the network takes it; or why it cannot be read."""
    try:
        image = read_image(file, levels=trained.facts.preparation.levels)
    except BadImage as bad:
        return bad
    return trained.facts.preparation.for_images_of((image.shape[0], image.shape[1])).apply(image)


def _paths(images: object) -> list[Path]:
    """One or several paths as a list. Raises ArgumentError for anything else."""
    if isinstance(images, str | Path):
        return [Path(images)]
    if isinstance(images, bytes) or not isinstance(images, Iterable):
        raise wrong_argument(f"`images` takes a path or several, not {quote(images)}")
    paths: list[Path] = []
    for image in images:
        if not isinstance(image, str | Path):
            raise wrong_argument(f"each of `images` must be a path, not {quote(image)}")
        paths.append(Path(image))
    if not paths:
        raise wrong_argument("`images` is empty", "pass a file, a folder, or several of them")
    return paths


def _files(path: Path) -> list[Path]:
    """The image at a path, or those below a folder, sorted, as `train` lists them. Raises ArgumentError if there are none."""
    if os.path.isdir(path):
        files = sorted(path / name for name in Listing(path, deepest=sys.maxsize).images(""))
        if not files:
            raise ArgumentError([Diagnostic("missing-file", f"there are no images in {printable(str(path))}", None)])
        return files
    if not os.path.exists(path):
        raise ArgumentError([Diagnostic("missing-file", f"there is no file {printable(str(path))}", None)])
    return [path]
