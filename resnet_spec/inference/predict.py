"""Predicts the classes of images with trained weights."""

from __future__ import annotations

import copy
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from resnet_spec._system.files import write_atomically
from resnet_spec.data import BadImage
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import Levels, read_image
from resnet_spec.data.listing import Listing
from resnet_spec.data.preparation import normalize, refuse_image_files
from resnet_spec.diagnostics import ArgumentError, DataError, Diagnostic, printable
from resnet_spec.diagnostics.arguments import quote, wrong_argument
from resnet_spec.diagnostics.text import count_text
from resnet_spec.inference.arguments import refuse_address, require_integer, require_precision
from resnet_spec.inference.explain import GradCam, draw_explanation
from resnet_spec.inference.folding import prepare_for_inference
from resnet_spec.inference.given import GivenImage, ImageLike, paths_in, split_images
from resnet_spec.inference.naming import NAMED
from resnet_spec.inference.pairing import Pairing, load_named
from resnet_spec.inference.trained import Trained, refuse_not_finite
from resnet_spec.training.outputs import main_output
from resnet_spec.training.recipe import Precision


@dataclass(frozen=True, slots=True)
class Prediction:
    """The classes of an image with their probabilities (0 to 1), the most probable first; or why it cannot be read."""

    image: str
    classes: tuple[tuple[str, float], ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """An image with the probabilities of all classes `(classes,)`, or None and why it cannot be read."""

    image: str
    probabilities: NDArray[np.float32] | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Explaining:
    """Where explanations are written, and the layer that they are of; None for the last one with maps."""

    folder: Path
    layer: str | None = None


class Predictor:
    """Predicts images batch by batch, so that their number is not limited by the memory. Everything is checked at the start."""

    def __init__(
        self,
        path: str | Path | Pairing,
        images: ImageLike | Iterable[ImageLike],
        *,
        device: str = "auto",
        batch_size: int = 64,
        precision: Precision = "fp32",
        module: nn.Module | None = None,
        explaining: Explaining | None = None,
    ) -> None:
        self.batch_size = require_integer("batch_size", batch_size, 1)
        self.precision = require_precision(precision)
        if explaining is not None:
            for each in paths_in(images):
                _refuse_inside(explaining.folder, each, "whose images are predicted")
        given = split_images(images)
        self.trained, _ = load_named(path, device, module)
        preparation = self.trained.facts.preparation
        if explaining is not None:
            data = self.trained.facts.data.partition(":")[2]
            _refuse_inside(explaining.folder, Path(data), "where the training images are")
        self.images = [image for one in given for image in _list(one, len(given) > 1, preparation.levels)]
        for image in self.images:
            _refuse_image_channels(image, preparation.channels)
        if explaining is not None and preparation.channels not in (1, 3):
            message = f"an explanation is drawn over an image of 1 or 3 channels, and the network takes {preparation.channels}"
            raise wrong_argument(message)
        self.module = prepare_for_inference(self.trained.module, self.precision)
        self.explanations: Explanations | None = None
        if explaining is not None:
            size = (preparation.channels, *preparation.size)
            cam = GradCam(copy.deepcopy(self.trained.module), size, explaining.layer)
            self.explanations = Explanations(explaining.folder, cam)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.trained.facts.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed about weights that were named apart from their spec, and what was not as expected."""
        unknown = () if self.trained.classes_known else (f"the names of the classes are not known ({NAMED})",)
        return (*self.trained.notes, *unknown)

    def __iter__(self) -> Iterator[PredictedImage]:
        for start in range(0, len(self.images), self.batch_size):
            yield from self._predict_batch(self.images[start : start + self.batch_size])

    def _predict_batch(self, images: list[GivenImage]) -> Iterator[PredictedImage]:
        """Predict some images, in their order."""
        read = [_read(self.trained, image) for image in images]
        good = [pixels for pixels in read if not isinstance(pixels, BadImage)]
        rows: Iterator[NDArray[np.float32]] = iter(())
        if good:
            x = normalize(np.stack(good), self.trained.facts.preparation, self.trained.device, True)
            with torch.inference_mode():
                outputs = main_output(self.module(x))
                probabilities = outputs.softmax(1)
            if not bool(torch.isfinite(outputs).all()):
                raise refuse_not_finite(self.trained, self.precision)
            if self.explanations is not None:
                names = [image.short for image, pixels in zip(images, read, strict=True) if not isinstance(pixels, BadImage)]
                self.explanations.write(names, good, x, probabilities.argmax(1))
            rows = iter(probabilities.cpu().numpy())
        for image, pixels in zip(images, read, strict=True):
            if isinstance(pixels, BadImage):
                yield PredictedImage(image.name, None, pixels.why)
            else:
                yield PredictedImage(image.name, next(rows))


class Explanations:
    """Writes the explanations of images into a folder, under the names of the images."""

    def __init__(self, folder: Path, cam: GradCam) -> None:
        self.folder, self.cam = folder, cam
        self._taken: set[str] = set()

    def write(self, names: list[PurePath], images: list[Pixels], x: torch.Tensor, classes: torch.Tensor) -> None:
        """Explain the predicted `classes` `(n,)` of images, given as pixels and as inputs `x`. Raises ArgumentError."""
        for name, pixels, heat in zip(names, images, self.cam.maps(x, classes.clone()), strict=True):
            path = self._free(name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, draw_explanation(pixels, heat))
            except OSError as error:
                message = f"cannot write {printable(str(error.filename or path))}: {error.strerror or error}"
                raise ArgumentError([Diagnostic("cannot-write", message, None)]) from None

    def _free(self, name: PurePath) -> Path:
        """The path of an explanation; a number keeps images of the same name apart."""
        number = 1
        while True:
            found = name.with_name(f"{name.name}{f'-{number}' if number > 1 else ''}.cam.png")
            if str(found) not in self._taken:
                self._taken.add(str(found))
                return self.folder / found
            number += 1


def predict(
    path: str | Path | Pairing,
    images: ImageLike | Iterable[ImageLike],
    *,
    top: int = 5,
    device: str = "auto",
    batch_size: int = 64,
    precision: Precision = "fp32",
    module: nn.Module | None = None,
    explain: str | Path | None = None,
    layer: str | None = None,
) -> list[Prediction]:
    """Predict the classes of images. `resnet_spec.predict` describes the arguments and the errors."""
    top = require_integer("top", top, 1)
    explaining = require_explaining(explain, layer)
    found = Predictor(
        path, images, device=device, batch_size=batch_size, precision=precision, module=module, explaining=explaining
    )
    for note in found.notes:
        warnings.warn(note, UserWarning, stacklevel=3)
    return [rank(each, found.classes, top) for each in found]


def require_explaining(folder: object, layer: object) -> Explaining | None:
    """Where to explain predictions, if it is wanted. Raises ArgumentError."""
    if folder is None:
        if layer is not None:
            raise wrong_argument("`layer` chooses the layer of an explanation, and none is wanted", "pass `explain` too")
        return None
    if not isinstance(folder, str | Path):
        raise wrong_argument(f"`explain` takes a folder, not {quote(folder)}")
    if layer is not None and not isinstance(layer, str):
        raise wrong_argument(f"`layer` takes the name of a layer, not {quote(layer)}")
    return Explaining(Path(folder), layer)


def rank(predicted: PredictedImage, classes: tuple[str, ...], top: int) -> Prediction:
    """The `top` most probable classes of an image."""
    if predicted.probabilities is None:
        return Prediction(predicted.image, (), predicted.problem)
    values, indices = torch.from_numpy(predicted.probabilities).topk(min(top, len(classes)))
    best = tuple((classes[i], float(value)) for value, i in zip(values, indices.tolist(), strict=True))
    return Prediction(predicted.image, best)


def _read(trained: Trained, image: GivenImage) -> Pixels | BadImage:
    """Read an image as the network takes it; or why it cannot be read."""
    try:
        pixels = image.read()
    except BadImage as bad:
        return bad
    return trained.facts.preparation.for_images_of((pixels.shape[0], pixels.shape[1])).apply(pixels)


def _list(given: str | Path | GivenImage, of_several: bool, levels: Levels | None) -> Iterator[GivenImage]:
    """An image, or all of a folder, which may be one `of_several`. Raises ArgumentError if there are none."""
    if isinstance(given, GivenImage):
        yield given
        return
    (path,) = _paths(given)
    for file in _files(path):
        short = PurePath(path.name if of_several or file == path else "") / file.relative_to(path)
        yield GivenImage(str(file), short, partial(read_image, file, levels=levels))


def _refuse_image_channels(image: GivenImage, channels: int) -> None:
    """Raise DataError if an image cannot be converted to `channels`, the number that a network takes."""
    if image.channels is None:
        refuse_image_files(channels)
    elif image.channels != channels and (image.channels not in (1, 3) or channels not in (1, 3)):
        has, takes = count_text(image.channels, "channel"), count_text(channels, "channel")
        help = "drop the channel of transparency: `array[..., :3]`" if image.channels == 4 and channels in (1, 3) else ""
        message = f"{image.name} has {has}, and the network takes {takes}"
        raise DataError([Diagnostic("data-channels", message, None, help=help)])


def _refuse_inside(folder: Path, images: Path, what: str) -> None:
    """Raise ArgumentError if explanations would be written among images: the next time they would be taken for images."""
    if images.parts and os.path.isdir(images) and folder.resolve().is_relative_to(images.resolve()):
        message = f"{printable(str(folder))} is in {printable(str(images))}, {what}"
        raise wrong_argument(message, "name a folder outside of it for the explanations")


def _paths(images: object) -> list[Path]:
    """One or several paths as a list. Raises ArgumentError for anything else."""
    if isinstance(images, str | Path):
        images = [images]
    if isinstance(images, bytes) or not isinstance(images, Iterable):
        raise wrong_argument(f"`images` takes a path or several, not {quote(images)}")
    paths: list[Path] = []
    for image in images:
        if not isinstance(image, str | Path):
            raise wrong_argument(f"each of `images` must be a path, not {quote(image)}")
        refuse_address(image, "the image")
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
