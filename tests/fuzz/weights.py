"""Files of weights: those of `train` and `build -o` with other headers, metadata, numbers or bytes, and all that read them."""

from __future__ import annotations

import json
import os
import struct
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml

import resnet_spec
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.inference.predict import Prediction
from resnet_spec.weights.file import read_facts, read_weights
from resnet_spec.weights.loading import load_weights
from tests.fuzz import Limits, Outcome, Wrong
from tests.fuzz.documents import NUMBERS, TEXTS, dump, mutate, nudge, scramble
from tests.fuzz.trained import DATA, SPEC, Runs, damage, require_findings, require_probabilities
from tests.weights.starting import start_from

DTYPES = (
    *("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64"),
    *("BOOL", "F8_E4M3", "F8_E5M2", "C64", "F4", "f32"),
)
IN_JSON = ("classes", "preparation", "split", "hold_out")  # metadata that are JSON themselves
FLOATS = (float("nan"), float("inf"), float("-inf"), 3e38, -3e38, 1e-45, 0.0, 1e20)
OTHER_CLASSES = SPEC.replace("classes: 3", "classes: 5")


@dataclass(frozen=True, slots=True)
class WeightsCase:
    """A file, and how it is loaded and used."""

    data: bytes
    load: str  # "load", "load any", "start" or "start other"
    use: str  # "predict", "evaluate" or "evaluate own"


class Weights:
    """The target. What is accepted predicts probabilities; where nothing was changed that matters, those of before."""

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(2.0 if "CI" not in os.environ else 4.0)
        self.folder = folder
        self.runs = Runs(folder)
        self.number = 0
        self.analyses = {"own": resnet_spec.analyze(SPEC), "other": resnet_spec.analyze(OTHER_CLASSES)}
        self.expected = self._predict(self.runs.finished / "last.safetensors")
        self.facts = read_facts(self.runs.finished / "last.safetensors")
        resnet_spec.evaluate(self.runs.finished, device="cpu", workers=0)

    @cached_property
    def files(self) -> list[bytes]:
        """The files that cases begin from."""
        paths = [self.runs.finished / "last.safetensors", self.runs.finished / "best.safetensors", self.runs.drawn]
        return [path.read_bytes() for path in paths]

    def draw(self, chance: Random) -> WeightsCase:
        """A file with one to three changes: mostly of its header, else of its bytes."""
        data = chance.choice((*self.files[:2] * 2, *self.files))
        if chance.random() < 0.2:
            data = damage(data, chance)
        else:
            header, numbers = split(data)
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                header, numbers = self._change(header, numbers, chance)
            data = join(header, numbers, chance)
        load = chance.choice(("load", "load any", "load any", "start", "start other"))
        return WeightsCase(data, load, chance.choice(("predict", "predict", "evaluate", "evaluate own")))

    def _change(self, header: Any, numbers: bytes, chance: Random) -> tuple[Any, bytes]:
        names = [name for name, entry in header.items() if name != "__metadata__" and isinstance(entry, dict)]
        metadata = header.get("__metadata__")
        kind = chance.random()
        if kind < 0.35 and isinstance(metadata, dict) and metadata:
            self._change_metadata(metadata, chance)
        elif kind < 0.65 and names:
            _change_tensor(header, chance.choice(names), names, chance)
        elif kind < 0.8:
            numbers = _change_numbers(header, numbers, chance)
        else:
            mutate(header, [split(each)[0] for each in self.files], chance)
        return header, numbers

    def _change_metadata(self, metadata: dict[str, Any], chance: Random) -> None:
        key = chance.choice(list(metadata))
        name = key.rpartition(".")[2]
        text = str(metadata[key])
        if name in IN_JSON and chance.random() < 0.8:
            try:
                holder = {"it": json.loads(text)}
            except ValueError:
                holder = {"it": []}
            change = nudge if chance.random() < 0.5 else lambda document, chance: mutate(document, [holder], chance)
            change(holder, chance)
            metadata[key] = json.dumps(holder.get("it"))
        elif name == "spec" and chance.random() < 0.8:
            document = yaml.safe_load(SPEC)
            (nudge if chance.random() < 0.7 else lambda one, chance: mutate(one, [document], chance))(document, chance)
            try:
                metadata[key] = dump(document).decode("utf-8", "replace")
            except yaml.YAMLError:
                metadata[key] = scramble(text.encode(), [SPEC.encode()], chance).decode("utf-8", "replace")
        elif chance.random() < 0.3:
            del metadata[key]
        else:
            metadata[key] = chance.choice((*TEXTS, "9" * 30, "-1", "[" * 5000, "synthetic:train=10", "folder:/nowhere"))

    def check(self, case: WeightsCase) -> Outcome:
        """Each reader refuses the file with findings, or reads it; what it predicts are probabilities."""
        self.number += 1
        path = self.folder / f"case{self.number}.safetensors"  # not written over: tensors stay memory-mapped
        path.write_bytes(case.data)
        try:
            return self._check(case, path)
        finally:
            path.unlink()

    def _check(self, case: WeightsCase, path: Path) -> Outcome:
        tensors = None
        try:
            tensors, _ = read_weights(path)
        except ResnetSpecError as error:
            require_findings(error)
        try:
            self._load(case.load, path)
        except ResnetSpecError as error:
            require_findings(error)
        else:
            if tensors is None:
                raise Wrong("weights were loaded from a file that cannot be read")
        try:
            facts = read_facts(path)
            if case.use == "predict":
                predictions = self._predict(path)
            else:
                own = case.use == "evaluate own"
                found = resnet_spec.evaluate(path, None if own else DATA, device="cpu", workers=0)
                if not 0 <= found.scores.accuracy <= 1:
                    raise Wrong(f"the accuracy is {found.scores.accuracy}")
                return Outcome(accepted=True)
        except ResnetSpecError as error:
            require_findings(error)
            return Outcome(accepted=False)
        require_probabilities(predictions, len(facts.classes))
        same = (facts.spec, facts.classes, facts.preparation) == (self.facts.spec, self.facts.classes, self.facts.preparation)
        if not same or tensors is None or not self._has_own(tensors):
            return Outcome(accepted=True)
        if [each.classes for each in predictions] != [each.classes for each in self.expected]:
            raise Wrong(f"{predictions}\n{self.expected}\nthe same weights predict something else")
        return Outcome(accepted=True, compared=True)

    def _has_own(self, tensors: dict[str, torch.Tensor]) -> bool:
        own, _ = read_weights(self.runs.finished / "last.safetensors")
        return own.keys() == tensors.keys() and all(
            own[key].dtype == tensors[key].dtype and torch.equal(own[key], tensors[key]) for key in own
        )

    def _predict(self, path: Path) -> list[Prediction]:
        return resnet_spec.predict(path, self.runs.image, top=99, device="cpu")

    def _load(self, how: str, path: Path) -> None:
        analysis = self.analyses["other" if how == "start other" else "own"]
        module = resnet_spec.build(analysis)
        shapes = {key: value.shape for key, value in module.state_dict().items()}
        if how.startswith("load"):
            load_weights(module, analysis, path, any_fingerprint=how == "load any")
        elif not start_from(module, analysis, path):
            raise Wrong("weights were loaded without a note")
        if {key: value.shape for key, value in module.state_dict().items()} != shapes:
            raise Wrong("loading changed the shapes of the module's tensors")

    def write(self, case: WeightsCase, path: Path) -> None:
        """The file, and how it is used."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}.safetensors").write_bytes(case.data)
        path.with_name(f"{path.name}.how.txt").write_text(f"{case.load}, {case.use}\n", encoding="utf-8")


def split(data: bytes) -> tuple[Any, bytes]:
    """The header of a file, and the numbers behind it."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: Any, numbers: bytes, chance: Random) -> bytes:
    """A file of a header and numbers; now and then its length is wrong."""
    text = json.dumps(header, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    length = len(text)
    if chance.random() < 0.03:
        length = chance.choice((0, 1, length - 1, length + 1, 2**31, 2**63 - 1, 2**64 - 1))
    return length.to_bytes(8, "little") + text + numbers


def _change_tensor(header: dict[str, Any], name: str, names: list[str], chance: Random) -> None:
    """Change the name, type, shape or place of one tensor."""
    entry, other = header[name], header[chance.choice(names)]
    match chance.choice(("dtype", "dtype", "shape", "shape", "offsets", "swap", "rename", "delete", "copy", "entry")):
        case "dtype":
            entry["dtype"] = chance.choice(DTYPES)
        case "shape":
            shape = list(entry.get("shape") or ())
            change = chance.choice(("reverse", "flat", "more", "number", "empty", "other"))
            if change == "number" and shape:
                shape[chance.randrange(len(shape))] = chance.choice(NUMBERS)
            entry["shape"] = {
                "reverse": shape[::-1],
                "flat": [1, *shape],
                "more": [*shape, 1],
                "empty": [],
                "other": deepcopy(other.get("shape")),
            }.get(change, shape)
        case "offsets":
            offsets = list(entry.get("data_offsets") or (0, 0))
            if offsets:
                offsets[chance.randrange(len(offsets))] += chance.choice((-4, 4, 1, 2**31, 2**63, -(2**40)))
            entry["data_offsets"] = offsets if chance.random() < 0.7 else deepcopy(other.get("data_offsets"))
        case "swap":
            header[name], header[chance.choice(names)] = other, entry
        case "rename":
            header[chance.choice((f"{name}x", f"{name}.weight", "", *TEXTS))] = header.pop(name)
        case "delete":
            del header[name]
        case "copy":
            header[f"{name}.copy"] = deepcopy(entry)
        case _:
            header[name] = chance.choice((None, [], {}, "F32", 0, {**entry, "more": 1}))


def _change_numbers(header: Any, numbers: bytes, chance: Random) -> bytes:
    """Other numbers in the place of some: extreme ones, or noise."""
    if chance.random() < 0.2 or len(numbers) < 8:
        return damage(numbers, chance)
    kept = bytearray(numbers)
    value = struct.pack("<f", chance.choice(FLOATS))
    count = chance.choice((1, 10, len(kept) // 4))
    for place in chance.sample(range(len(kept) // 4), min(count, len(kept) // 4)):
        kept[4 * place : 4 * place + 4] = value
    return bytes(kept)
