"""What is exported: a network with its weights, from a spec or from a run, and what is known about them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resnet_spec.compiler import Analysis
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.diagnostics.arguments import wrong_argument
from resnet_spec.outputs.torch_module import Network
from resnet_spec.weights.belongings import describe_weights
from resnet_spec.weights.metadata import WeightsFacts, facts_from_metadata
from resnet_spec.weights.reading import RUN_FILE, StoredWeights
from resnet_spec.weights.source import source_of


@dataclass(frozen=True, slots=True)
class ExportSubject:
    """A network with weights, in evaluation on the CPU, and what is known about them."""

    analysis: Analysis
    network: Network
    size: tuple[int, int]
    facts: WeightsFacts | None
    preparation: Preparation | None  # known also where the classes are not
    stated: Mapping[str, str]  # the license and the source of the weights
    notes: tuple[str, ...]
    source: Path | None  # the file of the weights; None if they are those of a seed

    def classes_of(self, analysis: Analysis) -> tuple[str, ...]:
        """The names of the classes that a network, or a part of it, returns; empty where they are not known or not of it."""
        if self.facts is None or analysis.output != (len(self.facts.classes),):
            return ()
        return self.facts.classes


def is_trained(target: object) -> bool:
    """Whether an argument names a run folder, or a file of weights, and not a spec."""
    if not isinstance(target, str | os.PathLike) or (isinstance(target, str) and "\n" in target):
        return False
    path = Path(target)
    with suppress(OSError, ValueError):
        return (path / RUN_FILE).is_file() or path.suffix == ".safetensors"
    return False


def refuse_for_run(set: tuple[str, ...], spec_root: object) -> None:
    """Raise ArgumentError for arguments that change how a spec is read, where a run is exported."""
    if set or spec_root is not None:
        what = "`set` changes" if set else "`spec_root` is about files of"
        raise wrong_argument(f"{what} a spec, and that of a run is fixed", "name the spec, and its weights by `weights`")


def read_stored_facts(analysis: Analysis, weights: StoredWeights) -> WeightsFacts | None:
    """What is stored with weights of a network, or said by their publisher; None where that is not all."""
    metadata = describe_weights(analysis, weights)
    facts = None
    with suppress(KeyError, ValueError, TypeError, OverflowError, RecursionError):
        facts = facts_from_metadata(metadata, analysis.spec.name)
    if facts is not None and (facts.preparation.channels != analysis.input[0] or analysis.output != (len(facts.classes),)):
        facts = None
    return facts


def read_stated(weights: StoredWeights) -> dict[str, str]:
    """The license and the source of weights, as far as they are stated."""
    source, license = source_of(weights)
    return {name: value for name, value in (("license", license), ("source", source)) if value}


def describe_use(subject: ExportSubject, analysis: Analysis, preparation: Preparation) -> str:
    """What a program needs to use weights, as JSON: the classes, and how images are prepared, by torchvision's words."""
    resize = preparation.resize
    values: dict[str, object] = {
        "name": analysis.spec.name,
        "fingerprint": analysis.fingerprint,
        "input": [preparation.channels, *preparation.size],
        "resize": list(resize) if isinstance(resize, tuple) else resize,
        "interpolation": preparation.interpolation,
        "center_crop": None if preparation.crop is None else list(preparation.crop),
        "mean": list(preparation.mean),
        "std": list(preparation.std),
        **({} if preparation.levels is None else {"levels": list(preparation.levels)}),
        **subject.stated,
    }
    if classes := subject.classes_of(analysis):
        values["classes"] = list(classes)
    return json.dumps(values, indent=2) + "\n"


def refuse_other_json(path: Path) -> None:
    """Raise ArgumentError if a file that `describe_use` did not write would be replaced, such as the `run.json` of a run."""
    if not path.exists():
        return
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict) and {"fingerprint", "center_crop"} <= found.keys():
            return
    message = f"{printable(str(path))}, in which the classes and the preparation of images are written, is another file"
    raise ArgumentError([Diagnostic("cannot-write", message, None, help="choose another name for the export")])


def refuse_own_spec(path: Path, sides: Iterable[str], analysis: Analysis) -> None:
    """Raise ArgumentError if a file, or one next to it, would be written over the spec that is exported."""
    spec = analysis.spec.span.source.name  # which may be no file: a name, a text
    for file in (path, *(path.parent / name for name in sides)):
        same = False
        with suppress(OSError, ValueError):
            same = file.samefile(spec)
        if same:
            message = f"{printable(str(file))} is the spec that is exported"
            raise ArgumentError([Diagnostic("cannot-write", message, None, help="choose another name for the export")])


def refuse_own_source(path: Path, source: Path) -> None:
    """Raise ArgumentError if a file, or `NAME.pth` next to it, would be written over the weights that it is made of."""
    for file in (path, path.with_suffix(".pth")):
        with suppress(OSError):
            if file.samefile(source) and (file == path or path.suffix.lower() == ".py"):
                message = f"{printable(str(file))} is the file that the weights are read from"
                raise ArgumentError([Diagnostic("cannot-write", message, None, help="choose another name for the export")])
