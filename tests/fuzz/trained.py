"""A small run for the targets that change what `train` wrote, and what must be true of whatever reads it."""

from __future__ import annotations

import json
import math
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

import resnet_spec
from resnet_spec.api import write_initial_weights
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.inference.predict import Prediction
from resnet_spec.training import session
from resnet_spec.training.console import Console
from resnet_spec.training.scoring import Interrupted
from resnet_spec.training.session import Result
from resnet_spec.training.stop import Stop
from tests.fuzz import Wrong

SPEC = """\
spec: 1
name: small
input: 3x8x8
classes: 3
stem: {conv1: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1, bias: false}, bn1: norm, relu: act}
block: basic
stages: {layer1: {width: 4}}
head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, flat: flatten, fc: {op: linear, out_features: classes}}
"""
RECIPE = {
    "name": "tiny",
    "epochs": 2,
    "batch_size": 8,
    "optimizer": {"op": "SGD", "lr": 0.05, "momentum": 0.9},
    "schedule": "cosine",
    "ema": {"decay": 0.9},
    "save": {"steps": 1, "keep": 3},
}
DATA = "synthetic:classes=3,size=8,train=24,validation=6,test=6"
STOPPED_AT = 4  # of six steps
RESULTS = ("last.safetensors", "metrics.jsonl", "metrics.csv", "results.json")  # the same bytes in every repetition


class Runs:
    """In a folder: a run that was stopped, the same at its end, an image, and initial weights. `expected`: bytes of results."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        session.write_pictures = lambda path, run: None  # type: ignore[attr-defined] # they take longer than a case may
        self.stopped, self.finished = folder / "stopped", folder / "finished"
        self.image, self.drawn = folder / "image.png", folder / "drawn.safetensors"
        pixels = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
        Image.fromarray(pixels).save(self.image)
        write_initial_weights(resnet_spec.analyze(SPEC), self.drawn, seed=3)
        stop = Stop()

        def stepped(epoch: int, step: int, *_: object) -> None:
            if step == STOPPED_AT:
                stop.signal = signal.SIGINT

        console = Console(lambda line: None, stepped, lambda row, timing, epochs: None)
        with suppress(Interrupted):
            resnet_spec.train(SPEC, RECIPE, DATA, out=self.stopped, device="cpu", workers=0, console=console, stop=stop)
        shutil.copytree(self.stopped, self.finished)
        resume(self.finished, [])
        self.expected = {name: (self.finished / name).read_bytes() for name in RESULTS}


def resume(folder: Path, said: list[str]) -> Result:
    """Continue a run to its end; what it says is appended to `said`."""
    console = Console(said.append, lambda *_: None, lambda *_: None)
    return resnet_spec.resume(folder, device="cpu", workers=0, console=console)


def require_findings(error: ResnetSpecError) -> None:
    """An error says what is wrong, in characters that a terminal can show."""
    if not error.diagnostics or not all(finding.message for finding in error.diagnostics):
        raise Wrong("an error without findings")
    if any(not (c.isprintable() or c == "\n") for c in str(error)):
        raise Wrong(f"{str(error)!r}\na control character in a finding")


def require_probabilities(predictions: Sequence[Prediction], classes: int) -> None:
    """Each prediction has all classes once, the most probable first, with probabilities that add up to 1; or says why not."""
    for each in predictions:
        if each.problem:
            continue
        values = [value for _, value in each.classes]
        if len(values) != classes:
            raise Wrong(f"{each}\n{len(values)} classes, not {classes}")
        if not all(0 <= value <= 1 for value in values) or not math.isclose(sum(values), 1, abs_tol=1e-3):
            raise Wrong(f"{each}\nthese are no probabilities")
        if values != sorted(values, reverse=True):
            raise Wrong(f"{each}\nthe most probable class is not the first")


def require_ended(folder: Path, result: Result) -> None:
    """A run that ended has finite weights, and files that any reader of JSON can read."""
    for name, tensor in result.module.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise Wrong(f"the run ended with weights that are not finite: {name}")
    json.loads((folder / "results.json").read_text(encoding="utf-8"), parse_constant=_refuse)
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=_refuse)


def _refuse(word: str) -> Any:
    raise Wrong(f"{word} is not JSON")


def damage(data: bytes, chance: Random) -> bytes:
    """Change the bytes of a file: cut it, or change, remove, repeat or zero some."""
    at = chance.randrange(len(data) + 1)
    length = chance.choice((1, 1, 4, 8, 100))
    match chance.choice(("cut", "cut", "flip", "flip", "remove", "repeat", "zero", "insert", "append")):
        case "cut":
            return data[: chance.choice((at, at, 0, 7, 8, 9, max(0, len(data) - length)))]
        case "flip":
            kept = bytearray(data)
            for _ in range(length):
                if kept:
                    kept[chance.randrange(len(kept))] ^= 1 << chance.randrange(8)
            return bytes(kept)
        case "remove":
            return data[:at] + data[at + length :]
        case "repeat":
            return data[: at + length] + data[at:]
        case "zero":
            return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
        case "insert":
            return data[:at] + chance.randbytes(length) + data[at:]
    return data + chance.randbytes(length)
