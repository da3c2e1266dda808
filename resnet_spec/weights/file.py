"""Trained weights as safetensors, with everything inside that it takes to use them.

Goes in: a module and `Facts`. Comes out: one file, whose metadata hold the spec, its fingerprint, the classes and how images
are prepared. Reading gives the facts back; they are foreign text, and nothing in them is believed beyond its form.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from resnet_spec._system.files import write_atomically
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import Diagnostic, SpecError, printable

PREFIX = "resnet_spec."
MOST = 4096  # pixels or channels; what a file asks for is done without asking back


@dataclass(frozen=True, slots=True)
class WeightsFacts:
    """What a file of weights says of itself. `spec` and `fingerprint` are empty for a module that is not from a spec."""

    name: str
    fingerprint: str
    spec: str
    classes: tuple[str, ...]
    preparation: Preparation
    recipe: str
    data: str
    epoch: int
    step: int
    split: tuple[float, float] = (0.2, 0.2)  # of images that were cut into splits: validation and test
    hold_out: tuple[float, int] = (0.0, 0)  # the part of the training images that was held out, and by which seed


def write_weights(path: Path, module: nn.Module, facts: WeightsFacts) -> None:
    """Write the weights of `module` and the facts. Raises OSError, leaving what stood there."""
    from safetensors.torch import save

    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    told = {
        "name": facts.name,
        "fingerprint": facts.fingerprint,
        "spec": facts.spec,
        "classes": json.dumps(facts.classes),
        "preparation": json.dumps(preparation_data(facts.preparation)),
        "recipe": facts.recipe,
        "data": facts.data,
        "epoch": str(facts.epoch),
        "step": str(facts.step),
        "split": json.dumps(facts.split),
        "hold_out": json.dumps(facts.hold_out),
    }
    metadata = {"format": "pt"} | {PREFIX + key: _utf8(value) for key, value in told.items() if value}
    write_atomically(path, in_order(save(tensors, metadata)), durable=True)


def in_order(data: bytes) -> bytes:
    """The bytes of a safetensors file with its metadata in the order of their keys: the library leaves it to chance."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    ordered = {"__metadata__": dict(sorted(metadata.items())), **header}
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def read_facts(path: Path) -> WeightsFacts:
    """The facts in a file of weights; raises SpecError where it is none of ours, or not what it should be."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        message = f"cannot read weights from {printable(str(path))}: {printable(str(error))}"
        raise SpecError([Diagnostic("unreadable-file", message, None)]) from None
    told = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
    try:
        classes = json.loads(told["classes"])
        if not classes or not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError("classes")
        return WeightsFacts(
            name=told.get("name", path.stem),
            fingerprint=told.get("fingerprint", ""),
            spec=told.get("spec", ""),
            classes=tuple(classes),
            preparation=read_preparation(json.loads(told["preparation"])),
            recipe=told.get("recipe", ""),
            data=told.get("data", ""),
            epoch=_count(told.get("epoch", "0")),
            step=_count(told.get("step", "0")),
            split=_split(json.loads(told.get("split", "[0.2, 0.2]"))),
            hold_out=_hold_out(json.loads(told.get("hold_out", "[0.0, 0]"))),
        )
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        message = f"{printable(str(path))} does not say what its classes are and how images are prepared"
        mend = "files that `train` writes do: best.safetensors and last.safetensors in the folder of a run"
        raise SpecError([Diagnostic("weights-without-facts", message, None, help=mend)]) from None


def preparation_data(preparation: Preparation) -> dict[str, object]:
    """A preparation as plain data."""
    return {name: getattr(preparation, name) for name in Preparation.__slots__}


def read_preparation(data: object) -> Preparation:
    """A preparation from plain data; raises ValueError, KeyError or TypeError where it is none."""
    if not isinstance(data, dict):
        raise ValueError("preparation")
    size = _pair(data["size"])
    if size is None:
        raise ValueError("size")
    resize, crop, word = data["resize"], data["crop"], data["interpolation"]
    if word not in ("bilinear", "bicubic", "nearest"):
        raise ValueError("interpolation")
    channels, mean, std = _whole(data["channels"]), _numbers(data["mean"]), _numbers(data["std"])
    if len(mean) != channels or len(std) != channels or not all(value > 0 for value in std):
        raise ValueError("statistics")
    to = _whole(resize) if isinstance(resize, int) else _pair(resize)
    cut = _pair(crop)
    if size != (cut or (to if isinstance(to, tuple) else size)) or (isinstance(to, int) and cut is None):
        raise ValueError("what comes out has another size")
    return Preparation(channels, size, to, word, cut, mean, std)


def read_input(data: object) -> tuple[int, int, int]:
    """The size (C, H, W) of an input from plain data; raises ValueError where it is none."""
    if not isinstance(data, list) or len(data) != 3:
        raise ValueError("input")
    channels, height, width = map(_whole, data)
    return channels, height, width


def _utf8(text: str) -> str:
    """A text with what is no character (a path that is not UTF-8) as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError("not a count")
    return int(text)


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("not numbers")
    found = tuple(float(each) for each in value if isinstance(each, int | float) and not isinstance(each, bool))
    if len(found) != len(value) or not all(map(math.isfinite, found)):
        raise ValueError("not numbers")
    return found


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
    part, seed = float(data[0]), data[1]
    if not 0 <= part < 1 or isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError("hold_out")
    return part, seed


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST:
        raise ValueError("not a size")
    return value


def _pair(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("not a size")
    return _whole(value[0]), _whole(value[1])
