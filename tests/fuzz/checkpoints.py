"""Checkpoints whose hash is right and whose inside is not: other values, pickles, archives, bytes; read as `--resume` does."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import struct
import zipfile
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from resnet_spec.diagnostics import ResnetSpecError
from tests.fuzz import Limits, Outcome, Wrong
from tests.fuzz.documents import NUMBERS, TEXTS, places
from tests.fuzz.trained import RESULTS, STOPPED_AT, Runs, damage, require_ended, require_findings, resume

DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool, torch.complex64)
FILLS = (float("nan"), float("inf"), -float("inf"), 3e38, 1e30, 1e19, 1e-45, 0.0, -1.0)
PROBLEM = "is damaged ("  # what a run says of a checkpoint that it does not use


@dataclass(frozen=True, slots=True)
class CheckpointCase:
    """A file in the place of the newest checkpoint: the step in its name, whether the hash there is its own, and its bytes."""

    step: int
    hashed: bool
    data: bytes

    @property
    def name(self) -> str:
        digest = hashlib.sha256(self.data if self.hashed else b"").hexdigest()
        return f"step-{self.step:08d}-{digest}.pt"


class Checkpoints:
    """The target. A run that does not use the checkpoint has the results of one that never had it."""

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(2.0 if "CI" not in os.environ else 4.0)
        self.folder = folder
        self.runs = Runs(folder)
        (self.newest,) = (self.runs.stopped / "checkpoints").glob(f"step-{STOPPED_AT:08d}-*.pt")
        self.data = self.newest.read_bytes()
        self.state = torch.load(self.newest, weights_only=True)
        self.marker = folder / "code-was-run"

    def draw(self, chance: Random) -> CheckpointCase:
        """Mostly other values; else another pickle, archive or bytes."""
        kind = chance.random()
        if kind < 0.6:
            state = deepcopy(self.state)
            for _ in range(chance.choice((1, 1, 1, 2, 5))):
                state = _changed(state, chance)
            data = saved(state)
        elif kind < 0.75:
            data = self._with_pickle(self._pickle(chance), chance)
        elif kind < 0.9:
            data = _rearchived(self.data, chance)
        else:
            data = damage(self.data, chance)
        step = STOPPED_AT if chance.random() < 0.95 else chance.choice((0, STOPPED_AT + 1, 6, 7, 10**8, 10**30))
        return CheckpointCase(step, chance.random() < 0.95, data)

    def check(self, case: CheckpointCase) -> Outcome:
        """The run goes on from the checkpoint, or from the one before it to the same results, or is refused with findings."""
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.runs.stopped, run)
        if case.step <= STOPPED_AT:
            (run / "checkpoints" / self.newest.name).unlink()
        (run / "checkpoints" / case.name).write_bytes(case.data)
        said: list[str] = []
        try:
            result = resume(run, said)
        except ResnetSpecError as error:
            require_findings(error)
            return Outcome(accepted=False)
        finally:
            if self.marker.exists():
                self.marker.unlink()
                raise Wrong("code in a checkpoint was run")
        require_ended(run, result)
        refused = any(case.name in line and PROBLEM in line for line in said)
        if not refused:
            return Outcome(accepted=True)
        for name in RESULTS:
            if (run / name).read_bytes() != self.runs.expected[name]:
                raise Wrong(f"without the checkpoint, {name} is not what it is otherwise")
        return Outcome(accepted=False, compared=True)

    def write(self, case: CheckpointCase, path: Path) -> None:
        """The file, under its name as a checkpoint in a folder."""
        path.mkdir(parents=True, exist_ok=True)
        (path / case.name).write_bytes(case.data)

    def _with_pickle(self, text: bytes, chance: Random) -> bytes:
        """The checkpoint with another pickle in its archive."""
        parts = _parts(self.data)
        return _archive([(name, text if name.endswith("data.pkl") else part) for name, part in parts])

    def _pickle(self, chance: Random) -> bytes:
        """Pickles that run code, grow, nest or claim to be long; and the one of the checkpoint with other bytes."""
        own = next(part for name, part in _parts(self.data) if name.endswith("data.pkl"))
        match chance.choice(("code", "grow", "nest", "long", "tuple", "set", "storage", "bytes", "bytes", "bytes")):
            case "code":
                module, name = chance.choice(
                    (("os", "system"), ("builtins", "exec"), ("torch", "load"), ("builtins", "getattr"))
                )
                call = f"open({str(self.marker)!r}, 'w')" if module == "builtins" else f"touch {self.marker}"
                return f"c{module}\n{name}\n(V{call}\ntR.".encode()
            case "grow":  # a list of two of the list before, over and over
                return (
                    b"\x80\x02]q\x00" + b"(" * 0 + b"".join(b"(h\x00h\x00lq\x00" for _ in range(chance.choice((10, 60)))) + b"."
                )
            case "nest":
                return b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b"."
            case "long":
                opcode = chance.choice((b"B", b"X", b"\x8d", b"\x8e", b"\x8b"))
                size = struct.pack("<Q", 2**40) if opcode in b"\x8d\x8e" else struct.pack("<i", 2**31 - 1)
                return b"\x80\x04" + opcode + size + b"x."
            case "tuple":  # equal tuples take time that doubles with each level to be hashed or compared
                return b"\x80\x02)" + b"2\x86" * chance.choice((20, 40)) + chance.choice((b".", b"K\x01}2s.", b"}(2K\x01u."))
            case "set":
                return pickle.dumps({chance.choice(TEXTS): {1, 2, 3}}, protocol=2)
            case "storage":
                return (
                    own.replace(b"cpu", b"xpu") if chance.random() < 0.5 else own.replace(b"FloatStorage", b"ByteStorage\n", 1)
                )
        return damage(own, chance)


def saved(state: object) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _changed(state: dict[Any, Any], chance: Random) -> dict[Any, Any]:
    """One value of a state replaced, removed or added. Tuples become lists."""
    holder = {"state": _as_lists(state)}
    container, key = chance.choice(list(places(holder)))
    value = container[key]
    kind = chance.random()
    if kind < 0.1 and container is not holder:
        del container[key]
    elif kind < 0.2 and isinstance(container, dict):
        container[chance.choice((*TEXTS[:12], 0, 1, 10**30, -1, "lr", None))] = deepcopy(value)
    elif isinstance(value, Tensor) and kind < 0.8:
        container[key] = _tensor(value, chance)
    elif isinstance(value, int | float) and kind < 0.6:
        container[key] = chance.choice((value + 1, value - 1, -value, value * 2, float(value), int(value), bool(value)))
    else:
        container[key] = chance.choice((*NUMBERS, *TEXTS, None, True, [], {}, [[0, 0]], torch.zeros(2), torch.zeros(0)))
    found: dict[Any, Any] = holder["state"]
    return found


def _as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_lists(each) for key, each in value.items()}
    return [_as_lists(each) for each in value] if isinstance(value, list | tuple) else value


def _tensor(value: Tensor, chance: Random) -> Tensor:
    """A tensor of another type, shape, layout or with other numbers."""
    match chance.choice(
        ("fill", "fill", "some", "dtype", "shape", "flat", "expanded", "sparse", "strided", "quantized", "noise")
    ):
        case "fill" if not value.is_floating_point():
            return torch.full_like(value, chance.choice((0, -1, 2**62)))
        case "fill":
            return torch.full_like(value, chance.choice(FILLS))
        case "some" if value.is_floating_point() and value.numel():
            other = value.clone(memory_format=torch.contiguous_format)
            other.reshape(-1)[chance.randrange(value.numel())] = chance.choice(FILLS)
            return other
        case "dtype":
            return value.to(chance.choice(DTYPES))
        case "shape":
            return torch.zeros([*value.shape, 2]) if chance.random() < 0.5 else torch.zeros([0, *value.shape[1:]])
        case "flat":
            return value.reshape(-1)
        case "expanded":
            return torch.zeros(1).expand(chance.choice((10**6, 10**12)))
        case "sparse":
            return value.to_sparse() if value.ndim else value
        case "strided" if value.ndim > 1:
            return value.transpose(0, 1).contiguous().transpose(0, 1)
        case "quantized" if value.dtype == torch.float32:
            return torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)
        case "noise" if value.is_floating_point():
            return torch.randn(value.shape, generator=torch.Generator().manual_seed(chance.randrange(99))).to(value.dtype)
    return torch.zeros(3)


def _parts(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def _archive(parts: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.comment = comment
        for name, part in parts:
            entry = zipfile.ZipInfo(name)  # of a date that is always the same
            entry.compress_type = compression
            archive.writestr(entry, part)
    return buffer.getvalue()


def _rearchived(data: bytes, chance: Random) -> bytes:
    """The archive with parts removed, renamed, repeated, changed or compressed; or with another directory."""
    parts = _parts(data)
    at = chance.randrange(len(parts))
    name, part = parts[at]
    match chance.choice(
        ("remove", "rename", "change", "change", "bomb", "compress", "comment", "directory", "directory", "twice")
    ):
        case "remove":
            del parts[at]
        case "rename":
            parts[at] = (
                chance.choice((f"../{name}", "/etc/x", name.replace("/", "\\"), f"{name}x", "a" * 300, "\u00e9")),
                part,
            )
        case "change":
            parts[at] = (name, damage(part, chance))
        case "bomb":
            parts[at] = (name, bytes(50_000_000))
            return _archive(parts, zipfile.ZIP_DEFLATED)
        case "compress":
            return _archive(parts, chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
        case "comment":
            return _archive(parts, comment=chance.randbytes(100) + b"PK\x05\x06" + bytes(18))
        case "twice":
            return data + data
        case _:
            start = data.rindex(b"PK\x01\x02") if chance.random() < 0.5 else data.rindex(b"PK\x05\x06")
            return data[:start] + damage(data[start:], chance)
    return _archive(parts)
