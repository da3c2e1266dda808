"""What `run.json` holds: what a run was started with, so that `--resume` needs nothing else. One writer, one reader."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from resnet_spec._system.files import require_regular, write_atomically
from resnet_spec.data import Data, Split
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.training.data_place import DataPlace
from resnet_spec.training.feeding import Feeds
from resnet_spec.weights import reading
from resnet_spec.weights.metadata import preparation_data, read_input, read_preparation

_Value = TypeVar("_Value")
RUN_FILE = reading.RUN_FILE
RUN_FORMAT = 1
SPLITS = ("training", "validation", "test")
TEXTS = ("recipe.yaml", "spec.yaml")  # what a run computes
MOST_SIZES, MOST_READ = 10_000, 100  # images of a split


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run was started with.

    `counts` are the images of each split, None where there is no such split. `labels` and `images` are hashes of all labels
    and of all names of images; `held` are the splits that were in memory. The booleans are the requested options; `module` and
    `weights` mean that the run began with weights that its seed cannot give. `contents` is a hash of the content of images, and
    `texts` has hashes of the files of the run that determine what it computes; `place` is where the data are. Runs of version
    0.1.0 have none of these, and counted mixed images as correct by their own label, not by the `dominant_label`. `replaced` is
    the hash of a recipe that is being replaced, and may still be there. `data_version` is that of the rules by which the data
    were read and divided; without it, it is 1. `source` is where the weights that training started from were published, and
    `license` is theirs; both may be empty. `notes` are those on how the run began, for its report: on the recipe, the size of
    images, the classes and the weights.
    """

    name: str
    fingerprint: str
    input: tuple[int, int, int]
    data: str
    synthetic: bool
    classes: tuple[str, ...]
    counts: Mapping[str, int | None]
    labels: str
    images: str
    held: tuple[str, ...]
    preparation: Preparation
    processes: int
    steps_per_epoch: int
    skip_bad: bool
    overfit_batch: bool
    module: bool
    weights: bool
    contents: str | None = None
    texts: Mapping[str, str] | None = None
    place: DataPlace | None = None
    replaced: str | None = None
    data_version: int = 1
    dominant_label: bool = False
    source: str = ""
    license: str = ""
    notes: tuple[str, ...] = ()
    format: int = RUN_FORMAT

    @property
    def unrepeatable(self) -> bool:
        """Whether the run began with weights that its seed cannot give again, so that they have to be kept."""
        return self.weights or self.module


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Write a JSON file, whole or not at all. Raises OSError."""
    write_atomically(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def write_record(run: Path, record: RunRecord) -> None:
    """Write `run.json` into the folder of a run. Raises OSError."""
    write_json(
        run / RUN_FILE,
        {
            "format": record.format,
            "name": record.name,
            "fingerprint": record.fingerprint,
            "input": list(record.input),
            "data": record.data,
            "synthetic": record.synthetic,
            "classes": list(record.classes),
            "counts": dict(record.counts),
            "labels": record.labels,
            "images": record.images,
            "held": list(record.held),
            "preparation": preparation_data(record.preparation),
            "processes": record.processes,
            "steps_per_epoch": record.steps_per_epoch,
            "skip_bad": record.skip_bad,
            "overfit_batch": record.overfit_batch,
            "module": record.module,
            "weights": record.weights,
            **({} if record.contents is None else {"contents": record.contents}),
            **({} if record.texts is None else {"texts": dict(record.texts)}),
            **({} if record.place is None else {"data_folder": asdict(record.place)}),
            **({} if record.replaced is None else {"replaced": record.replaced}),
            **({} if record.data_version == 1 else {"data_version": record.data_version}),
            **({"dominant_label": True} if record.dominant_label else {}),
            **({"source": record.source} if record.source else {}),
            **({"license": record.license} if record.license else {}),
            **({"notes": list(record.notes)} if record.notes else {}),
        },
    )


def read_record(run: Path) -> RunRecord:
    """Read `run.json`. Keys that it does not know are ignored; raises ArgumentError where it is not as it was written."""
    try:
        found = json.loads(require_regular(run / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = "it holds no run.json" if isinstance(error, FileNotFoundError) else str(error)
        message = f"{printable(str(run))} is not the folder of a run: {printable(why)}"
        raise ArgumentError([Diagnostic("not-a-run", message, None, help="name the folder that `train --out` made")]) from None
    try:
        record = _record_of_data(found)
    except (KeyError, ValueError, TypeError) as error:
        key = printable(str(error.args[0])) if error.args else "its form"
        message = f"{printable(str(run))}/{RUN_FILE} is not as it was written: {key}"
        raise ArgumentError([Diagnostic("not-a-run", message, None)]) from None
    if record.format > RUN_FORMAT:
        message = f"{printable(str(run))} is a run of a later version of resnet-spec"
        raise ArgumentError([Diagnostic("not-a-run", message, None, help="update resnet-spec")])
    return record


def _record_of_data(data: Any) -> RunRecord:
    """A record from plain data. Raises KeyError, ValueError or TypeError, with the name of the key, where a value is wrong."""
    if not isinstance(data, dict):
        raise TypeError("it is not a JSON object")
    counts = _typed(data, "counts", dict)
    return RunRecord(
        name=_typed(data, "name", str),
        fingerprint=_typed(data, "fingerprint", str),
        input=_read(data, "input", read_input),
        data=_typed(data, "data", str),
        synthetic=_typed(data, "synthetic", bool),
        classes=_texts(data, "classes"),
        counts={
            name: None if counts[name] is None else _typed(counts, name, int) for name in ("training", "validation", "test")
        },
        labels=_typed(data, "labels", str),
        images=_typed(data, "images", str),
        held=_texts(data, "held"),
        preparation=_read(data, "preparation", read_preparation),
        processes=_typed(data, "processes", int),
        steps_per_epoch=_typed(data, "steps_per_epoch", int),
        skip_bad=_typed(data, "skip_bad", bool),
        overfit_batch=_typed(data, "overfit_batch", bool),
        module=_typed(data, "module", bool),
        weights=_typed(data, "weights", bool),
        contents=_typed(data, "contents", str) if "contents" in data else None,
        texts=_read_hashes(data) if "texts" in data else None,
        place=_read_place(data) if "data_folder" in data else None,
        replaced=_typed(data, "replaced", str) if "replaced" in data else None,
        data_version=_typed(data, "data_version", int) if "data_version" in data else 1,
        dominant_label=_typed(data, "dominant_label", bool) if "dominant_label" in data else False,
        source=_typed(data, "source", str) if "source" in data else "",
        license=_typed(data, "license", str) if "license" in data else "",
        notes=_texts(data, "notes") if "notes" in data else (),
        format=_typed(data, "format", int),
    )


def _read_hashes(data: Mapping[str, Any]) -> dict[str, str]:
    texts = _typed(data, "texts", dict)
    if not texts.keys() <= set(TEXTS):
        raise ValueError("texts")
    return {name: _typed(texts, name, str) for name in texts}


def _read_place(data: Mapping[str, Any]) -> DataPlace:
    found = _typed(data, "data_folder", dict)
    return DataPlace(_typed(found, "absolute", str), None if found.get("relative") is None else _typed(found, "relative", str))


def _typed(data: Mapping[str, Any], key: str, kind: type[_Value]) -> _Value:
    value = data[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(key)
    return value


def _read(data: Mapping[str, Any], key: str, reader: Callable[[object], _Value]) -> _Value:
    try:
        return reader(data[key])
    except (KeyError, ValueError, TypeError, OverflowError):
        raise ValueError(key) from None


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = _typed(data, key, list)
    if not all(isinstance(value, str) for value in values):
        raise TypeError(key)
    return tuple(values)


def hash_labels(feeds: Feeds) -> str:
    """A hash of all labels in order: another one means that the data are not those the run began with."""
    found = hashlib.sha256()
    for batches in (feeds.training, feeds.validation, feeds.test):
        if batches is not None:
            found.update(batches.labels.tobytes())
    return found.hexdigest()


def hash_names(data: Data) -> str:
    """A hash of the names of all images in order, including those that cannot be read."""
    found = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        if split is not None:
            for i in range(len(split)):
                found.update(os.fsencode(split.name(i)) + b"\0")
        found.update(b"\0")
    return found.hexdigest()


def hash_contents(data: Data) -> str:
    """A hash of what is in the images: of the sizes of files and the bytes of some; empty for images that are computed.

    Files are compared and not their times: the data may be a copy on another machine.
    """
    if data.kind == "synthetic":
        return ""
    found = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        if split is None:
            continue
        for i in _spread(len(split), MOST_SIZES):
            found.update(_size(data.home, split, i))
        for i in _spread(len(split), MOST_READ):
            found.update(hashlib.sha256(_content(data.home, split, i)).digest())
    return found.hexdigest()


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly spread."""
    return list(range(count)) if count <= most else [i * count // most for i in range(most)]


def _size(home: Path | None, split: Split, i: int) -> bytes:
    """The size of an image's file; nothing where it has none."""
    if home is None:
        return b""
    try:
        return b"%d " % os.stat(home / split.name(i)).st_size
    except OSError:  # it is reported where it is read
        return b"? "


def _content(home: Path | None, split: Split, i: int) -> bytes:
    """The bytes of an image's file, or of its values where it has none."""
    if home is None:
        return split.read(i).tobytes()
    try:
        return (home / split.name(i)).read_bytes()
    except OSError:
        return b""


def hash_text(text: str) -> str:
    """A hash of a text, whatever its line ends."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode("utf-8", "surrogatepass")).hexdigest()
