"""Weights that torchvision publishes. torchvision says where they are and what belongs to them; the reading is ours.

torchvision's own loader reads a pickle that may run code, and checks no file that is in its cache. Here a file is read with
`weights_only`, and the hash in its name is compared, in the cache as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import torch

from resnet_spec._system.packages import missing_packages, require_packages
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data.preparation import Preparation
from resnet_spec.data.resize import MODES
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.diagnostics.suggestions import closest
from resnet_spec.weights.download import check_hash, download
from resnet_spec.weights.origin import PublishedOrigin

SCHEME = "torchvision"
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")  # in the name of a file, as torch.hub writes it
_OTHERS = {
    "detection": "a detector",
    "segmentation": "a network for segmentation",
    "video": "a network for video",
    "optical_flow": "a network for optical flow",
    "quantization": "a quantized network, whose tensors are integers",
}
# Modules that normalize images themselves when they are built with weights (`transform_input`): (x + mean) / std becomes
# (x - 0.5) / 0.5, where x are pixels in 0 to 1.
_TRANSFORM_INPUT = ("GoogLeNet_Weights", "Inception_V3_Weights")
_HALF = (0.5, 0.5, 0.5)
NOTE_TRANSFORM = (
    "the network takes images with mean 0.5 and standard deviation 0.5: torchvision's module converts to them what its own "
    "transform has normalized otherwise (`transform_input=True`)"
)


def find_torchvision(name: str) -> tuple[Path, PublishedOrigin, tuple[str, ...]]:
    """Find the file of weights that torchvision calls `name`, such as `ResNet50_Weights.IMAGENET1K_V2`; download it if needed.

    Returns:
        The file in torch's cache, its origin, and notes.

    Raises:
        ArgumentError: there are no such weights, they are not those of a classifier, or torchvision is not installed.
        WeightsError: the file has another hash, or cannot be downloaded.
    """
    require_packages("reading torchvision's weights", "torchvision")
    try:
        import_torchvision()
        from torchvision import models
    except ImportError as error:
        raise missing_packages(f"reading torchvision's weights ({printable(str(error))})", ["torchvision"]) from None
    weights = _find_enum(models, name)
    _refuse_others(weights)
    source = f"{SCHEME}:{type(weights).__name__}.{weights.name}"
    origin, notes = _describe(weights, source)
    name = PurePosixPath(urlsplit(str(weights.url)).path).name
    found = _HASH.search(name)
    if found is None:
        notes = (*notes, f"the name {printable(name)} has no hash, so the content of the file could not be checked")
    return _fetch(str(weights.url), name, found[1] if found else ""), origin, notes


def enums_of(models: ModuleType) -> dict[str, Any]:
    """Every class of weights that torchvision has, by name."""
    return dict(_enums(models))


def _enums(models: ModuleType) -> Iterator[tuple[str, Any]]:
    for module in (models, *(getattr(models, name, None) for name in _OTHERS)):
        for name, value in vars(module).items() if module is not None else ():
            if isinstance(value, type) and issubclass(value, models.WeightsEnum) and value is not models.WeightsEnum:
                yield name, value


def _find_enum(models: ModuleType, name: str) -> Any:
    """The member of a class of weights. Raises ArgumentError if there is none of this name, with the nearest one."""
    known = enums_of(models)
    wanted, _, version = name.partition(".")
    found = known.get(wanted)
    if found is None:
        bare = wanted.removesuffix("_Weights").replace("-", "_").lower()
        near = next((each for each in known if each.removesuffix("_Weights").lower() == bare), None)
        near = near or closest(wanted, sorted(known))
        message = f"torchvision {_version()} has no weights `{printable(name)}`"
        help = (
            f"did you mean `{SCHEME}:{near}.{_choose(known[near], version)}`?" if near else "they are called as in torchvision"
        )
        raise _unknown(message, help if near else f"for example `{SCHEME}:ResNet50_Weights.IMAGENET1K_V2`")
    if version not in found.__members__:
        message = f"`{wanted}` has no version `{printable(version)}`" if version else f"`{wanted}` names no version"
        versions = [each for each in found.__members__ if each != "DEFAULT"]
        near = _choose(found, version)
        help = f"write `{SCHEME}:{wanted}.{near}`; it has {', '.join(versions)}"
        raise _unknown(f"torchvision {_version()}: {message}", help)
    return found[version]


def _choose(weights: Any, version: str) -> str:
    """The version that is nearest to a word: by its spelling, else the one that torchvision prefers."""
    members = list(weights.__members__)
    near = closest(version, members) if version else None
    default = weights.__members__.get("DEFAULT")
    return near or (default.name if default is not None else members[0])


def _refuse_others(weights: Any) -> None:
    """Raise ArgumentError unless weights are those of a classifier of images, in floating point."""
    module = type(weights).__module__.split(".")
    kind = next((what for part, what in _OTHERS.items() if part in module), None)
    if kind is None and ("backend" in weights.meta or "unquantized" in weights.meta):
        kind = _OTHERS["quantization"]
    if kind is None and "categories" not in weights.meta:
        kind = "no classifier: torchvision names no classes"
    if kind is not None:
        message = f"`{SCHEME}:{type(weights).__name__}.{weights.name}` are weights of {kind}"
        plain = weights.meta.get("unquantized")
        help = "weights of classifiers of images in floating point are read"
        if plain is not None:
            help = f"use those of the float network: `{SCHEME}:{type(plain).__name__}.{plain.name}`"
        raise ArgumentError([Diagnostic("unknown-weights", message, None, help=help)])


def _describe(weights: Any, source: str) -> tuple[PublishedOrigin, tuple[str, ...]]:
    """What torchvision says about weights, and notes on what is not as usual."""
    meta: Mapping[str, Any] = weights.meta
    license, recipe = str(meta.get("license", "")), str(meta.get("recipe", ""))
    transforms = type(weights).__name__ in _TRANSFORM_INPUT
    preparation = _read_preset(weights.transforms(), _HALF if transforms else None)
    notes = [f"license: {license or 'torchvision states none for these weights'}"]
    notes += [f"recipe: {recipe}"] if recipe else []
    classes = tuple(str(each) for each in meta["categories"]) or None
    return PublishedOrigin(source, classes, preparation, license, tuple(notes)), (NOTE_TRANSFORM,) if transforms else ()


def _read_preset(preset: Any, normalized: tuple[float, ...] | None) -> Preparation | None:
    """torchvision's preset for a classifier as a preparation; None if it is another one, or does what we cannot do."""
    try:
        mode = next(mode for mode in MODES if mode == preset.interpolation.value)
        crop, resize = [int(each) for each in preset.crop_size], [int(each) for each in preset.resize_size]
        mean, std = (tuple(float(each) for each in values) for values in (preset.mean, preset.std))
    except (AttributeError, StopIteration, TypeError, ValueError):
        return None
    if len(crop) not in (1, 2) or len(resize) not in (1, 2) or len(mean) != len(std):
        return None
    size = (crop[0], crop[-1])
    target: int | tuple[int, int] = resize[0] if len(resize) == 1 else (resize[0], resize[1])
    mean, std = (normalized, normalized) if normalized is not None else (mean, std)
    return Preparation(len(mean), size, target, mode, size, mean, std)


def _fetch(url: str, name: str, expected: str) -> Path:
    """The file of an address in torch's cache, whose hash is checked; it is downloaded if it is missing."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        if path.exists():
            check_hash(path, expected)
        else:
            download(url, path, expected)
    except OSError as error:
        message = f"cannot use {printable(str(error.filename or path))}: {printable(error.strerror or str(error))}"
        help = "the variable TORCH_HOME names another folder for torch's cache"
        raise ArgumentError([Diagnostic("unreadable-file", message, None, help=help)]) from None
    return path


def _version() -> str:
    import importlib.metadata

    return importlib.metadata.version("torchvision")


def _unknown(message: str, help: str) -> ArgumentError:
    return ArgumentError([Diagnostic("unknown-weights", message, None, help=help)])
