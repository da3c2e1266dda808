"""The metadata of a file of weights: what is needed to use the weights, and how it is stored. One reader, one writer.

A safetensors file carries a mapping of strings. Here each key begins with PREFIX; lists and mappings are JSON. Files are
untrusted: the form of every value is checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from resnet_spec.data.dividing import DATA_VERSION
from resnet_spec.data.preparation import Preparation
from resnet_spec.data.resize import MODES

PREFIX = "resnet_spec."
_KINDS_WITH_RULES = ("folder", "imagenet")  # of data sets that are read by rules
MOST = 4096  # pixels or channels; limits what a file can cause to be allocated


@dataclass(frozen=True, slots=True)
class WeightsFacts:
    """What is stored with weights. `spec` and `fingerprint` are empty for a module that was not built from a spec."""

    name: str
    fingerprint: str
    spec: str
    classes: tuple[str, ...]
    preparation: Preparation
    recipe: str
    data: str
    epoch: int
    step: int
    split: tuple[float, float] = (0.2, 0.2)  # fractions of the images for validation and test, where the data have no splits
    hold_out: tuple[float, int] = (0.0, 0)  # fraction of the training images that was held out, and the seed that chose them
    data_version: int | None = None  # of the rules by which the data were read and divided, if any was needed
    source: str = ""  # where the weights were published, or those that their training started from
    license: str = ""  # of what was published

    @property
    def rules(self) -> int:
        """The version of the rules by which to read and divide data as those of the training were.

        Where none is recorded, either version 0.1.0 wrote the weights, or no rule was needed, and the latest is as good as any.
        """
        if self.data_version is not None:
            return self.data_version
        return 1 if self.hold_out[0] or self.data.partition(":")[0] in _KINDS_WITH_RULES else DATA_VERSION


def to_metadata(values: Mapping[str, str]) -> dict[str, str]:
    """Convert values to the metadata of a file; empty ones are left out."""
    return {"format": "pt"} | {PREFIX + key: _utf8(value) for key, value in values.items() if value}


def from_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Read the values that `to_metadata` stored; keys of other programs are ignored."""
    return {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}


def read_classes(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the classes in the metadata of a file; none where they are missing or malformed."""
    try:
        classes = json.loads(from_metadata(metadata).get("classes", "[]"))
    except (ValueError, RecursionError):
        return ()
    names = tuple(each for each in classes if isinstance(each, str)) if isinstance(classes, list) else ()
    return names if isinstance(classes, list) and len(names) == len(classes) else ()


def facts_to_metadata(facts: WeightsFacts) -> dict[str, str]:
    """Convert facts to the metadata of a file."""
    return to_metadata(
        {
            "name": facts.name,
            "fingerprint": facts.fingerprint,
            "spec": facts.spec,
            "classes": json.dumps(facts.classes),
            "preparation": preparation_text(facts.preparation),
            "recipe": facts.recipe,
            "data": facts.data,
            "epoch": str(facts.epoch),
            "step": str(facts.step),
            "split": json.dumps(facts.split),
            "hold_out": json.dumps(facts.hold_out),
            "data_version": "" if facts.data_version is None else str(facts.data_version),
            "source": facts.source,
            "license": facts.license,
        }
    )


def facts_from_metadata(metadata: Mapping[str, str], name: str) -> WeightsFacts:
    """Read the facts in the metadata of a file; `name` is used if they contain no name.

    Raises KeyError, ValueError, TypeError, OverflowError or RecursionError if something is missing or malformed.
    """
    values = from_metadata(metadata)
    classes = json.loads(values["classes"])
    if not classes or not isinstance(classes, list) or not all(isinstance(each, str) for each in classes):
        raise ValueError("classes")
    return WeightsFacts(
        name=values.get("name", name),
        fingerprint=values.get("fingerprint", ""),
        spec=values.get("spec", ""),
        classes=tuple(classes),
        preparation=read_preparation(json.loads(values["preparation"])),
        recipe=values.get("recipe", ""),
        data=values.get("data", ""),
        epoch=_count(values.get("epoch", "0")),
        step=_count(values.get("step", "0")),
        split=_split(json.loads(values.get("split", "[0.2, 0.2]"))),
        hold_out=_hold_out(json.loads(values.get("hold_out", "[0.0, 0]"))),
        data_version=_count(values["data_version"]) if "data_version" in values else None,
        source=values.get("source", ""),
        license=values.get("license", ""),
    )


def preparation_data(preparation: Preparation) -> dict[str, object]:
    """Convert a preparation to plain data, for JSON; `levels` are left out where there are none, as in version 0.1.0."""
    data = {name: getattr(preparation, name) for name in Preparation.__slots__}
    return data if preparation.levels is not None else {name: value for name, value in data.items() if name != "levels"}


def preparation_text(preparation: Preparation | None) -> str:
    """A preparation as a value of metadata; empty, so that it is left out, where there is none."""
    return "" if preparation is None else json.dumps(preparation_data(preparation))


def read_preparation(data: object) -> Preparation:
    """Read a preparation from plain data. Raises ValueError, KeyError or TypeError if it is malformed or inconsistent."""
    if not isinstance(data, dict):
        raise ValueError("preparation")
    size = _pair(data["size"])
    if size is None:
        raise ValueError("size")
    interpolation = next((mode for mode in MODES if mode == data["interpolation"]), None)
    if interpolation is None:
        raise ValueError("interpolation")
    channels, mean, std = _integer(data["channels"]), _numbers(data["mean"]), _numbers(data["std"])
    if len(mean) != channels or len(std) != channels or not all(value > 0 for value in std):
        raise ValueError("statistics")
    resize = _integer(data["resize"]) if isinstance(data["resize"], int) else _pair(data["resize"])
    crop = _pair(data["crop"])
    result = crop or (resize if isinstance(resize, tuple) else size)
    if result != size or (isinstance(resize, int) and crop is None):
        raise ValueError("resize and crop give another size")
    return Preparation(channels, size, resize, interpolation, crop, mean, std, _levels(data.get("levels")))


def read_input(data: object) -> tuple[int, int, int]:
    """Read the size (C, H, W) of an input, in pixels, from plain data. Raises ValueError if it is malformed."""
    if not isinstance(data, list) or len(data) != 3:
        raise ValueError("input")
    channels, height, width = map(_integer, data)
    return channels, height, width


def _utf8(text: str) -> str:
    """A text in which characters that cannot be encoded (from a path that is not UTF-8) are replaced by escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError("not a count")
    return int(text)


def _integer(value: object) -> int:
    """A number of pixels or channels."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST:
        raise ValueError("not a size")
    return value


def _pair(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("not a size")
    return _integer(value[0]), _integer(value[1])


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("not numbers")
    numbers = tuple(float(each) for each in value if isinstance(each, int | float) and not isinstance(each, bool))
    if len(numbers) != len(value) or not all(map(math.isfinite, numbers)):
        raise ValueError("not numbers")
    return numbers


def _levels(data: object) -> tuple[float, float] | None:
    if data is None:
        return None
    levels = _numbers(data)
    if len(levels) != 2 or levels[0] >= levels[1]:
        raise ValueError("levels")
    return levels[0], levels[1]


def _split(data: object) -> tuple[float, float]:
    if not isinstance(data, list) or len(data) != 2:
        raise ValueError("split")
    validation, test = (float(value) for value in data)
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ValueError("split")
    return validation, test


def _hold_out(data: object) -> tuple[float, int]:
    if not isinstance(data, list) or len(data) != 2:
        raise ValueError("hold_out")
    fraction, seed = float(data[0]), data[1]
    if not 0 <= fraction < 1 or isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError("hold_out")
    return fraction, seed
