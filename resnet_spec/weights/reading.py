"""The one door to weights: what `--weights` names becomes named tensors and metadata.

It names a run folder, a folder as Hugging Face arranges it, safetensors, also in several files with an index, or a file of
torch.save. Names, shapes and types are known from headers: the numbers of safetensors and of archives of torch are
memory-mapped, and read when they are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from torch import Tensor

from resnet_spec._system.files import require_regular
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError, WeightsError, printable
from resnet_spec.diagnostics.suggestions import closest
from resnet_spec.diagnostics.text import count_text
from resnet_spec.weights.file import read_facts, read_weights
from resnet_spec.weights.file_names import INDEX, MODELS
from resnet_spec.weights.metadata import WeightsFacts
from resnet_spec.weights.origin import PublishedOrigin
from resnet_spec.weights.torch_files import read_torch_file, recognize, refuse_file, refuse_key

RUN_FILE = "run.json"  # in the folder of a run
BEST, LAST = "best.safetensors", "last.safetensors"
_MOST_INDEX = 64 << 20  # bytes
_MOST_SHARDS = 4096
_MOST_NEIGHBORS = 4096
_AGAIN = "download all files of the model again, into one folder"


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """Tensors by name, mostly memory-mapped, with the metadata of their file and notes on how they were found in it.

    `origin` describes published weights; it is None for a file or a folder of the user.
    """

    path: Path
    tensors: dict[str, Tensor]
    metadata: Mapping[str, str]
    notes: tuple[str, ...] = ()
    origin: PublishedOrigin | None = None

    def select(self, key: str) -> StoredWeights:
        """The tensors whose names begin with `key`, without it. Raises ArgumentError if there are none."""
        begin = key.rstrip(".") + "."
        tensors = {name[len(begin) :]: tensor for name, tensor in self.tensors.items() if name.startswith(begin)}
        if not tensors or "" in tensors:
            raise refuse_key(self.path, key, tuple(self.tensors))
        left = len(self.tensors) - len(tensors)
        note = f"the weights are the {count_text(len(tensors), 'tensor')} that begin with `{printable(begin)}`, as requested"
        return replace(self, tensors=tensors, notes=(*self.notes, note + (f"; {left:,} others are left out" if left else "")))


def open_weights(path: Path, key: str | None = None) -> StoredWeights:
    """Open what `path` names. `key` names the part of a checkpoint that holds the weights, or what their names begin with.

    Raises:
        ArgumentError: there is no such file, folder or part, it cannot be read, or it is a damaged file of safetensors.
        WeightsError: the file is something else than weights, or a pickle that could run code.
    """
    file = find_file(path)
    try:
        before = file.stat()
        stored = _open(file, key)
        after = file.stat()
    except (OSError, ValueError) as error:  # ValueError: an impossible path
        if isinstance(error, ResnetSpecError):
            raise
        raise _unreadable(path, error) from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise refuse_file(file, "changed while it was read", "wait until it is complete, and try again")
    return stored


def open_facts(path: Path) -> WeightsFacts:
    """Read what `train` stored with weights. Raises as `open_weights`, and WeightsError if it is missing."""
    file = find_file(path)
    try:
        kind = "other" if file.name.endswith(INDEX) else recognize(require_regular(file))
    except (OSError, ValueError) as error:
        if isinstance(error, ResnetSpecError):
            raise
        raise _unreadable(path, error) from None
    if kind == "other" and not file.name.endswith(INDEX):
        return read_facts(file)
    open_weights(file)  # what is no weights at all is named for what it is
    raise _refuse_without_facts(file)


def _refuse_without_facts(file: Path) -> ResnetSpecError:
    shown = printable(str(file))
    message = f"{shown} contains weights alone, without their spec, their classes and how images are prepared"
    help = f"name the spec: `eval SPEC --weights {shown}`, `predict SPEC --weights {shown} IMAGE`, and `train` likewise"
    return WeightsError([Diagnostic("weights-without-facts", message, None, help=help)])


def find_file(path: Path) -> Path:
    """Find the file of weights that a path names: itself, or the one in a run folder or in a folder of Hugging Face.

    Raises ArgumentError for a folder that is neither.
    """
    try:
        if not path.is_dir():
            return path
        names = (BEST, LAST) if (path / RUN_FILE).is_file() else MODELS
        found = next((path / name for name in names if (path / name).is_file()), None)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if found is not None:
        return found
    shown = printable(str(path))
    if names is not MODELS:
        message, help = f"{shown} has no weights yet", "continue the run: `resnet-spec train --resume`"
        raise ArgumentError([Diagnostic("not-a-run", message, None, help=help)])
    message = (
        f"cannot read weights from {shown}: it is a folder that is neither a run (run.json) nor a model (model.safetensors)"
    )
    raise ArgumentError([Diagnostic("unreadable-file", message, None, help="name the file of weights in it")])


def require_file(path: Path) -> None:
    """Raise ArgumentError unless a path names a file of weights, or a folder with one. It is not read."""
    try:
        find_file(path).stat()
    except (OSError, ValueError) as error:
        if isinstance(error, ResnetSpecError):
            raise
        raise _unreadable(path, error) from None


def _open(file: Path, key: str | None) -> StoredWeights:
    if file.name.endswith(INDEX):
        stored = _open_shards(file)
        return stored if key is None else stored.select(key)
    kind = recognize(require_regular(file))
    if kind == "other":
        stored = StoredWeights(file, *read_weights(file))
        return stored if key is None else stored.select(key)
    tensors, notes, rest = read_torch_file(file, kind, key)
    stored = StoredWeights(file, tensors, {}, notes)
    return stored.select(rest) if rest else stored


def read_index(index: Path) -> dict[str, str]:
    """Read the index of weights in several files: the file of each tensor, whose names are plain. Raises WeightsError."""
    if index.stat().st_size > _MOST_INDEX:
        raise refuse_file(index, f"has more than {_MOST_INDEX:,} bytes", _AGAIN)
    try:
        found = json.loads(require_regular(index).read_bytes())
        places = found["weight_map"]
        if not isinstance(places, dict) or not places or not all(isinstance(each, str) for each in places.values()):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise refuse_file(index, "is no index of weights: it has no `weight_map` of tensors and their files", _AGAIN) from None
    shards = sorted(set(places.values()))
    if len({name.casefold() for name in shards}) < len(shards):  # on some systems they are one file
        raise refuse_file(index, "names files that differ in upper and lower case alone", _AGAIN)
    if len(shards) > _MOST_SHARDS:
        raise refuse_file(index, f"names {len(shards):,} files", _AGAIN)
    for name in shards:
        if name != Path(name).name or "\\" in name or name.endswith(INDEX) or name in ("", ".", ".."):
            raise refuse_file(index, f"names `{printable(name)}`, which is no plain name of a file next to it", _AGAIN)
    return places


def _open_shards(index: Path) -> StoredWeights:
    """Open weights in several files, next to an index that names the file of each tensor."""
    places = read_index(index)
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []
    for name in sorted(set(places.values())):
        if not (index.parent / name).is_file():
            raise refuse_file(index, f"names {printable(name)}, which is missing in its folder", _AGAIN)
        stored = _open(index.parent / name, None)
        wanted = [tensor for tensor, place in places.items() if place == name]
        if missing := [tensor for tensor in wanted if tensor not in stored.tensors]:
            what = f"says that `{printable(missing[0])}` is in {printable(name)}, and it is not"
            raise refuse_file(index, what, _AGAIN)
        tensors |= {tensor: stored.tensors[tensor] for tensor in wanted}
        notes += [note for note in stored.notes if note not in notes]
    return StoredWeights(index, tensors, {}, tuple(notes))


def _unreadable(path: Path, error: OSError | ValueError) -> ArgumentError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    message = f"cannot read weights from {printable(str(path))}: {printable(why)}"
    return ArgumentError([Diagnostic("unreadable-file", message, None, help=_suggest_neighbor(path))])


def _suggest_neighbor(path: Path) -> str:
    """The file or folder of nearly the same name that was probably meant, as a sentence; empty where there is none."""
    try:
        names = [each.name for each in islice(path.parent.iterdir(), _MOST_NEIGHBORS)]
    except (OSError, ValueError):
        return ""
    near = closest(path.name, names) if path.name not in names else None
    return "" if near is None else f"did you mean {printable(str(path.parent / near))}?"
