"""Files that torch.save wrote: recognized by their first bytes, read with `weights_only`, and unwrapped to a state dict.

A pickle can run any code when it is read. Here nothing is unpickled but by `torch.load(weights_only=True)`, which refuses what
is not made of tensors and plain data; and a file is looked at before, so that what is no such file is named for what it is.
"""

from __future__ import annotations

import argparse
import pickle
import re
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError, WeightsError, printable
from resnet_spec.diagnostics.arguments import quote, wrong_argument
from resnet_spec.diagnostics.text import quote_first, shorten
from resnet_spec.weights.file_names import TORCH_SUFFIXES

Kind = Literal["torch zip", "torch legacy", "other"]

_LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch.save before 1.6, as a pickle behind its protocol
_MOST_PICKLE = 64 << 20  # bytes of the pickle in an archive; the numbers of tensors are not in it
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
# What torch.load raises for files that are damaged or hostile.
_DAMAGED = (RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, AssertionError, OverflowError, OSError)

_SAVE = "in the program that wrote it, save the tensors alone: `torch.save(model.state_dict(), FILE)`"
_AGAIN = "download or copy it again, and compare its size with that of the source"
# What a checkpoint calls its weights, in the order in which they are taken: averages before the weights they are averages of.
_AVERAGES = ("model_ema", "state_dict_ema", "ema_state_dict", "ema")
_WEIGHTS = ("state_dict", "model", "model_state_dict", "model_state", "net", "network", "params", "weights")
_MOST_WRAPPINGS = 4


def refuse_file(path: Path, what: str, help: str) -> ResnetSpecError:
    """The error for a file that is something else than weights: `what` continues a sentence about it, such as "is empty"."""
    shown = printable(str(path))
    if path.suffix.lower() == ".safetensors":
        return ArgumentError([Diagnostic("unreadable-file", f"cannot read weights from {shown}: it {what}", None, help=help)])
    return WeightsError([Diagnostic("not-weights", f"{shown} {what}", None, help=help)])


def recognize(path: Path) -> Kind:
    """Recognize a file by its first bytes. Raises WeightsError for a file that is known to hold no weights that can be read.

    For a file named `.safetensors` it is an ArgumentError, since version 0.1.0 gave that. Raises OSError if it cannot be read.
    """
    with path.open("rb") as file:
        begin = file.read(512)
    lowered = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    suffix = path.suffix.lower()
    if not begin:
        raise refuse_file(path, "is empty", _AGAIN)
    if _may_be_safetensors(path, begin):  # the length of its header may be the first bytes of anything below
        return "other"
    if begin.startswith(b"version https://git-lfs"):
        raise refuse_file(path, "is a pointer of Git LFS, not the file itself", "run `git lfs pull` in its repository")
    if lowered.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        help = "the address was that of a page, or needed a login: download the file itself"
        raise refuse_file(path, "is a web page that was saved under this name", help)
    if begin.startswith(b"\x89HDF\r\n\x1a\n"):
        help = "Keras stores its tensors in another order of axes: use weights that were saved by PyTorch"
        raise refuse_file(path, "is an HDF5 file, as Keras writes them (.h5)", help)
    if begin.startswith(b"\x1f\x8b"):
        raise refuse_file(path, "is compressed with gzip", "unpack it: `gunzip FILE`")
    if suffix == ".onnx" or (begin[:1] == b"\x08" and begin[2:3] == b"\x12" and b"torch" in begin):
        help = "an exported graph has other names than the module: use the state dict that it was exported from"
        raise refuse_file(path, "is an ONNX graph", help)
    if begin.startswith(b"PK\x03\x04"):
        _check_archive(path)
        return "torch zip"
    if begin[257:262] == b"ustar" or (suffix == ".tar" and begin[:1] != b"\x80" and tarfile.is_tarfile(path)):
        help = "write it again with torch 1.0 to 2.5, which read it: `torch.save(torch.load(FILE), NEW)`"
        raise refuse_file(path, "is a tar archive, as torch 0.1 wrote them", help)
    if begin[:1] == b"\x80" and begin[2:].startswith(_LEGACY):
        return "torch legacy"
    if begin[:1] == b"\x80" and begin[1] <= 5:
        raise refuse_file(path, "is a pickle that torch.save did not write; reading it could run any code", _SAVE)
    if suffix in TORCH_SUFFIXES:
        raise refuse_file(path, "is not a file that torch.save wrote", _AGAIN)
    return "other"


def _may_be_safetensors(path: Path, begin: bytes) -> bool:
    """Whether a file begins as safetensors do: with the length of a header, and a brace."""
    return begin[8:9] == b"{" and 2 <= int.from_bytes(begin[:8], "little") <= path.stat().st_size


def _check_archive(path: Path) -> None:
    """Raise an error unless a zip archive is one of torch.save. Nothing in it is unpickled or unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        help = _AGAIN
        raise refuse_file(path, "is truncated: the directory at the end of the archive is missing", help) from None
    names = [entry.filename for entry in entries]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        help = "in a trusted environment: `torch.save(torch.jit.load(FILE).state_dict(), NEW)`"
        raise refuse_file(path, "is a TorchScript archive: a program with its weights", help)
    if "model.weights.h5" in names:
        help = "Keras stores its tensors in another order of axes: use weights that were saved by PyTorch"
        raise refuse_file(path, "is a Keras archive", help)
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise refuse_file(
            path, "is a zip archive that torch.save did not write", "unpack it, and name the file of weights in it"
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise refuse_file(path, "is a zip archive with compressed entries, which torch.save does not write", _SAVE)
    if pickles[0].file_size > _MOST_PICKLE:
        raise refuse_file(path, f"has a pickle of {pickles[0].file_size:,} bytes; {_MOST_PICKLE:,} are read", _SAVE)


def read_torch_file(path: Path, kind: Kind, key: str | None) -> tuple[dict[str, Tensor], tuple[str, ...], str]:
    """Read the state dict in a file of torch.save, notes on how it was found, and the part of `key` that is in its names.

    Tensors of an archive are memory-mapped; the older format is read as a whole. `key` names the entry to take.
    Raises WeightsError if the file is damaged, holds more than tensors and plain data, or no state dict.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # training scripts store their arguments; it is plain data
            if kind == "torch zip" and path.suffix.lower() != ".safetensors":
                loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            else:  # torch reads a path that ends in .safetensors as such, whatever is in the file
                with path.open("rb") as file:
                    loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refuse_pickle(path, str(error)) from None
    except _DAMAGED as error:
        why = str(error).partition("\n")[0]
        raise refuse_file(path, f"is damaged or truncated: {printable(shorten(why, 120))}", _AGAIN) from None
    except MemoryError:
        raise refuse_file(path, "is damaged, or larger than the free memory", _AGAIN) from None
    state, notes, rest = _unwrap(path, loaded, key)
    tensors: dict[str, Tensor] = {}
    left_out = []
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            left_out.append(str(name))
            continue
        if value.layout is not torch.strided or value.is_quantized or value.is_nested or value.device.type != "cpu":
            what = "quantized" if value.is_quantized else f"stored as {value.layout} on {value.device.type}"
            help = "use the weights of the float network; plain tensors are read"
            raise refuse_file(path, f"holds `{printable(name)}`, which is {printable(what)}", help)
        tensors[name] = value.detach()
    if left_out:
        notes = (*notes, f"left out, since they are no tensors: {quote_first(left_out)}")
    return tensors, notes, rest


def _refuse_pickle(path: Path, message: str) -> ResnetSpecError:
    """The error for a pickle that `weights_only` refuses. It names what the pickle needs."""
    found = _GLOBAL.search(message)
    if found is None:
        return refuse_file(path, "is damaged, or a pickle with more than tensors and plain data; no code in it was run", _SAVE)
    name = found[1]
    if name.startswith(("torch.nn.", "__main__.")) or "models." in name:
        return refuse_file(path, f"is a pickled module (`{name}`), not its weights; reading it could run any code", _SAVE)
    return refuse_file(path, f"is a pickle that needs `{name}`; reading it could run any code", _SAVE)


def _unwrap(path: Path, loaded: object, key: str | None) -> tuple[Mapping[object, object], tuple[str, ...], str]:
    """Find the state dict in what a file holds, and the part of `key` that its names begin with.

    Raises WeightsError if there is none, or several equally good ones.
    """
    if key is not None:
        state, rest = _choose(path, loaded, key)
        if rest != key:
            taken = key[: len(key) - len(rest)].rstrip(".")
            return state, (f"the weights are those under `{printable(taken)}`, as requested",), rest
    notes: list[str] = []
    for _ in range(_MOST_WRAPPINGS):
        if not isinstance(loaded, Mapping):
            what = "a single tensor" if isinstance(loaded, Tensor) else f"a {type(loaded).__name__}"
            raise refuse_file(path, f"holds {what}, and not tensors by name", _SAVE)
        if _is_state(loaded):
            return loaded, tuple(notes), key or ""
        named = [name for name in (*_AVERAGES, *_WEIGHTS) if _holds_tensors(loaded.get(name))]
        others = [
            name for name, value in loaded.items() if isinstance(name, str) and name not in named and _holds_tensors(value)
        ]
        others = [name for name in others if "optim" not in name.lower()]
        if not named and len(others) != 1:
            if not others:
                raise refuse_file(path, f"holds no tensors by name, but {quote_first([str(each) for each in loaded])}", _SAVE)
            help = f"choose one: `--weights-key {others[0]}` (weights_key=... in Python)"
            raise refuse_file(path, f"holds several networks: {quote_first(others, 6)}", help)
        name = named[0] if named else others[0]
        also = [*named[1:], *(others if named else ())]
        notes.append(
            f"the weights are those under `{printable(name)}`"
            + (f"; the file also has {quote_first(also)} (`--weights-key` chooses)" if also else "")
        )
        loaded = loaded[name]
    raise refuse_file(path, "holds mappings in mappings, and no tensors by name in the first of them", _SAVE)


def _choose(path: Path, loaded: object, key: str) -> tuple[Mapping[object, object], str]:
    """The state dict under a key, `model`, or `ema.model` for one in another, and the rest of the key: where its names begin.

    The rest is the whole key if names begin with it in the state dict that is taken without a key.
    """
    rest, value = key, loaded
    while rest and isinstance(value, Mapping) and not _is_state(value):
        held = value
        begin = next((name for name in _beginnings(rest) if name in held), None)
        if begin is None:
            break
        value, rest = held[begin], rest[len(begin) + 1 :]
    if not isinstance(value, Mapping) or not _is_state(value):
        if rest == key and _begins_names(loaded, key):
            return {}, key
        keys = [str(name) for name, each in loaded.items() if _holds_tensors(each)] if isinstance(loaded, Mapping) else []
        what = f"has no tensors by name under {printable(quote(key))}"
        raise refuse_file(path, what, f"it has {quote_first(keys, 6)}" if keys else "leave `--weights-key` out")
    return value, rest


def _begins_names(loaded: object, key: str) -> bool:
    """Whether a state dict in what a file holds has names that begin with a key."""
    if not isinstance(loaded, Mapping):
        return False
    if _is_state(loaded):
        return any(isinstance(name, str) and name.startswith(key.rstrip(".") + ".") for name in loaded)
    return any(_begins_names(each, key) for each in loaded.values() if _holds_tensors(each))


def _beginnings(key: str) -> list[str]:
    """The key, and what is before each of its dots, the longest first."""
    parts = key.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _is_state(value: Mapping[object, object]) -> bool:
    """Whether most values of a mapping are tensors with names."""
    tensors = sum(isinstance(name, str) and isinstance(each, Tensor) for name, each in value.items())
    return tensors > 0 and 2 * tensors > len(value)


def _holds_tensors(value: object) -> bool:
    """Whether a value is a state dict, or a mapping with one in it."""
    if not isinstance(value, Mapping):
        return False
    return _is_state(value) or any(isinstance(each, Mapping) and _is_state(each) for each in value.values())


def refuse_key(path: Path, key: str, names: Sequence[str]) -> ArgumentError:
    """The error for a key with which no names of a file begin."""
    begins = list(dict.fromkeys(name.partition(".")[0] for name in names))
    message = f"no tensor in {quote(str(path))} has a name that begins with `{printable(shorten(key, 60))}`"
    return wrong_argument(message, f"its names begin with {quote_first(begins, 6)}; or leave `--weights-key` out")
