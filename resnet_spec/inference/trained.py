"""Use what was trained: evaluate it on data, predict images; and look at data.

Goes in: a run folder or one file of weights. Comes out: scores or predictions. A file brings its own spec, which is foreign.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from resnet_spec import api
from resnet_spec import compiler as pipeline
from resnet_spec.compiler import Analysis, Target
from resnet_spec.data import BadImage, Data, Split, open_data
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import SUFFIXES, read_image, to_channels
from resnet_spec.data.preparation import Preparation, normalized
from resnet_spec.data.statistics import channel_statistics
from resnet_spec.diagnostics import Diagnostic, Source, SpecError, printable
from resnet_spec.inference.folding import for_inference
from resnet_spec.ops import show
from resnet_spec.report.record import Confusion
from resnet_spec.training.batches import Skipped, refuse_bad_image
from resnet_spec.training.feeding import Machine, evaluation, held_budget, with_held_out
from resnet_spec.training.recipe import Precision, read_recipe
from resnet_spec.training.run_folder import BEST, LAST, read_run
from resnet_spec.training.runs import RecipeLike, find_device, refuse_size
from resnet_spec.training.scoring import Scores, score
from resnet_spec.training.world import World
from resnet_spec.weights.file import read_facts
from resnet_spec.weights.metadata import WeightsFacts


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of kept weights on data, with the names of the classes."""

    name: str
    data: str
    split: str
    scores: Scores
    classes: tuple[str, ...]
    skipped: dict[str, str]

    @property
    def confusion(self) -> Confusion:
        return self.scores.table(self.classes)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says of one image: classes with their probabilities, the most probable first; or why it cannot be read."""

    image: str
    classes: tuple[tuple[str, float], ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with its weights, and how it wants its images; from a file that `train` wrote."""

    facts: WeightsFacts
    analysis: Analysis
    module: nn.Module
    device: torch.device
    data: str


def load_trained(path: str | Path, device: str = "auto", force: bool = False) -> Trained:
    """A trained network from a run folder (its best weights, else the last) or from one file of weights.

    The spec inside a file is foreign: it is held to the limits of specs and extends nothing. Raises SpecError.
    """
    file = Path(path)
    if file.is_dir():
        read_run(file)
        found = [file / name for name in (BEST, LAST) if (file / name).exists()]
        if not found:
            message = f"{printable(str(file))} has no weights yet"
            raise SpecError([Diagnostic("not-a-run", message, None, help="go on with it: `train --resume`")])
        file = found[0]
    if not file.is_file():
        raise SpecError([Diagnostic("missing-file", f"there is no run folder or file of weights {printable(str(file))}", None)])
    facts = read_facts(file)
    if not facts.spec:
        message = f"{printable(str(file))} holds weights of a module that is not from a spec"
        raise SpecError([Diagnostic("weights-without-facts", message, None, help="load them in Python")])
    analysis = pipeline.analyze(Target(Source(f"the spec in {file}", facts.spec), None, None))
    if analysis.output != (len(facts.classes),) or facts.preparation.channels != analysis.input[0]:
        message = f"{printable(str(file))} names {len(facts.classes)} classes, and its network gives {show(analysis.output)}"
        raise SpecError([Diagnostic("weights-without-facts", message, None)])
    refuse_size(analysis, facts.preparation)
    try:
        network = api.build(analysis, weights=file, force=force)
    except RuntimeError as error:  # torch's, of keys and shapes; its first line says nothing
        message = f"{printable(str(file))} holds other tensors than its own spec has: {_first_key(error)}"
        raise SpecError([Diagnostic("other-weights", message, None)]) from None
    where = find_device(device)
    return Trained(facts, analysis, network.to(where).eval(), where, facts.data)


def _first_key(error: RuntimeError) -> str:
    lines = str(error).splitlines()
    return printable(lines[min(1, len(lines) - 1)].strip())


def evaluate(
    path: str | Path,
    data: str | None = None,
    *,
    split: Literal["train", "validation", "test"] = "test",
    device: str = "auto",
    batch_size: int = 256,
    workers: int | None = None,
    skip_bad: bool = False,
    precision: Precision = "fp32",
) -> Evaluation:
    """Scores of trained weights on data.

    Args:
        path: a run folder, or one file of weights that `train` wrote.
        data: as for `train`; without it what the weights were trained with. Its classes must have the names of the network's.
        split: which images; data without this split are an error.
    """
    trained = load_trained(path, device)
    text = data or trained.data
    facts, preparation = trained.facts, trained.facts.preparation
    opened = open_data(text, input=trained.analysis.input, split=facts.split, skip_bad=skip_bad, classes=len(facts.classes))
    with suppress(ValueError):  # other data may be too few for that
        opened = with_held_out(opened, *facts.hold_out)
    opened = _with_classes(opened, trained.facts.classes)
    chosen = {"train": opened.train, "validation": opened.validation, "test": opened.test}[split]
    if chosen is None:
        there = [name for name in ("train", "validation", "test") if getattr(opened, name) is not None]
        message = f"{printable(text)} has no {split} images"
        raise SpecError([Diagnostic("data-split", message, None, help=f"`--split` takes {', '.join(there)} here")])
    skipped = Skipped()
    preparation = to_size(preparation, opened.size)
    machine = Machine(trained.device, World(), workers, skip_bad)
    try:
        batches = evaluation(split, chosen, batch_size, True, preparation, machine, held_budget(), skipped)
    except BadImage as bad:
        raise refuse_bad_image(bad) from None
    module = for_inference(trained.module, precision)
    scores = score(module, batches, len(trained.facts.classes), trained.device, "fp32", World())
    return Evaluation(trained.facts.name, text, split, scores, trained.facts.classes, skipped.names)


def to_size(preparation: Preparation, size: tuple[int, int] | None) -> Preparation:
    """A preparation that brings images of `size` (None: of many) to the network's, also where those of training had it already.

    Images of training that had one size may never have been resized, and others come now.
    """
    if preparation.resize is not None or size == preparation.size:
        return preparation
    if preparation.crop is None:
        return replace(preparation, resize=preparation.size)
    cut = size is not None and size[0] >= preparation.crop[0] and size[1] >= preparation.crop[1]
    return preparation if cut else replace(preparation, resize=max(preparation.crop))


def _with_classes(data: Data, classes: tuple[str, ...]) -> Data:
    """The data with labels in the order of the network's classes; raises SpecError where it has others."""
    if data.classes == classes:
        return data
    unknown = [name for name in data.classes if name not in classes]
    if unknown:
        message = f"the data have a class `{printable(unknown[0])}` that the network does not know"
        known = ", ".join(printable(name) for name in classes[:12])
        raise SpecError([Diagnostic("data-classes", message, None, help=f"it knows {known}")])
    place = np.array([classes.index(name) for name in data.classes])

    def moved(split: Split | None) -> Split | None:
        return None if split is None else replace(split, labels=place[split.labels])

    return replace(data, classes=classes, train=moved(data.train), validation=moved(data.validation), test=moved(data.test))


def predict(
    path: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    top: int = 5,
    device: str = "auto",
    batch_size: int = 64,
    precision: Precision = "fp32",
) -> list[Prediction]:
    """What a trained network says of images: files, or folders of them. An image that cannot be read says why."""
    trained = load_trained(path, device)
    preparation, names = trained.facts.preparation, trained.facts.classes
    module = for_inference(trained.module, precision)
    given = [images] if isinstance(images, str | Path) else images
    files = [file for image in given for file in _files(Path(image))]
    found: list[Prediction] = []
    for start in range(0, len(files), batch_size):
        good: list[tuple[Path, Pixels]] = []
        problems: dict[Path, str] = {}
        for file in files[start : start + batch_size]:
            try:
                image = read_image(file)
                height, width, _ = image.shape
                good.append((file, to_size(preparation, (height, width)).fixed(image)))
            except BadImage as bad:
                problems[file] = bad.why
        shares: dict[Path, torch.Tensor] = {}
        if good:
            pixels = np.stack([image for _, image in good])
            with torch.inference_mode():
                outputs = module(normalized(pixels, preparation, trained.device, True))
            rows = outputs.softmax(1).cpu()
            shares = {file: row for (file, _), row in zip(good, rows, strict=True)}
        for file in files[start : start + batch_size]:
            if file in problems:
                found.append(Prediction(str(file), (), problems[file]))
                continue
            values, indices = shares[file].topk(min(top, len(names)))
            best = tuple((names[i], float(value)) for value, i in zip(values, indices.tolist(), strict=True))
            found.append(Prediction(str(file), best))
    return found


def _files(path: Path) -> list[Path]:
    """The images that a path means: itself, or those of a folder, sorted."""
    if not path.is_dir():
        if not path.exists():
            raise SpecError([Diagnostic("missing-file", f"there is no file {printable(str(path))}", None)])
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not found:
        raise SpecError([Diagnostic("missing-file", f"there are no images in {printable(str(path))}", None)])
    return found


def statistics(
    data: str, recipe: RecipeLike = "quick", input: tuple[int, int, int] = (3, 32, 32), *, skip_bad: bool = False
) -> Statistics:
    """Mean and standard deviation of each channel of the training images, in 0 to 1, and what else there is to say of data."""
    found = read_recipe(recipe)
    opened = open_data(data, input=input, split=found.split, skip_bad=skip_bad)
    if opened.train is None:
        raise SpecError([Diagnostic("data-split", f"{printable(data)} has no training images", None)])
    try:
        prepare = None if opened.channels is not None else partial(to_channels, channels=3)
        mean, std = channel_statistics(opened.train, prepare, skip_bad=skip_bad)
    except BadImage as bad:
        raise refuse_bad_image(bad) from None
    except ValueError:
        raise SpecError([Diagnostic("bad-image", f"no training image of {printable(data)} can be read", None)]) from None
    splits = {"train": opened.train, "validation": opened.validation, "test": opened.test}
    counts = {
        name: tuple(np.bincount(split.labels, minlength=len(opened.classes)).tolist())
        for name, split in splits.items()
        if split is not None
    }
    return Statistics(opened, mean, std, counts)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of a data set: mean and deviation of each channel over the training images, and images of each class in each split."""

    data: Data
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
