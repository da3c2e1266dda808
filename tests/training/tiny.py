"""A network, data and recipes that train within a second, and what several tests do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

import resnet_spec
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.language.spec import SpecLike
from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.training import runs
from resnet_spec.training.console import Console
from resnet_spec.training.loop import Loop
from resnet_spec.training.options import TrainOptions
from resnet_spec.training.scoring import Scores
from resnet_spec.training.session import Result, Session
from resnet_spec.training.stop import Stop

SPEC = """
spec: 1
name: small
input: 3x12x12
classes: 4
stem: {conv1: {op: conv2d, out_channels: 16, kernel_size: 3, padding: 1, bias: false}, bn1: norm, relu: act}
block: basic
stages: {layer1: {width: 16}, layer2: {width: 32, stride: 2}}
head:
  avgpool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""
DATA = "synthetic:classes=4,size=12,train=80,validation=24,test=30"
UNVALIDATED = "synthetic:classes=4,size=12,train=80,validation=0,test=30"
Values = dict[str, object]


def recipe(**changes: object) -> Values:
    """SGD on batches of 16: five steps an epoch of DATA. None takes a value away."""
    sgd = {"op": "SGD", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}
    reported = {"name": "tiny", "epochs": 2, "batch_size": 16, "optimizer": sgd, "schedule": "cosine", **changes}
    return {key: value for key, value in reported.items() if value is not None}


def train(
    out: Path,
    data: str = DATA,
    spec: SpecLike | nn.Module = SPEC,
    on_step: Callable[[int], None] = lambda step: None,
    set: tuple[str, ...] = (),
    input: tuple[int, int, int] | None = None,
    weights: Path | None = None,
    skip_bad: bool = False,
    workers: int | None = None,
    force: bool = False,
    overfit_batch: bool = False,
    **changes: object,
) -> Result:
    """A run on the CPU, with `recipe(**changes)`."""
    console = Console(lambda line: None, lambda epoch, step, *_: on_step(step), lambda row, timing, epochs: None)
    return resnet_spec.train(
        spec,
        recipe(**changes),
        data,
        out=out,
        set=set,
        input=input,
        weights=weights,
        skip_bad=skip_bad,
        workers=workers,
        force=force,
        overfit_batch=overfit_batch,
        device="cpu",
        console=console,
    )


def ready(
    data: str = DATA,
    spec: SpecLike | nn.Module = SPEC,
    set: tuple[str, ...] = (),
    input: tuple[int, int, int] | None = None,
    weights: Path | None = None,
    overfit_batch: bool = False,
    skip_bad: bool = False,
    **changes: object,
) -> Session:
    """A run before its first step; nothing is written."""
    options = TrainOptions(
        spec,
        recipe(**changes),
        data,
        set=set,
        input=input,
        weights=weights,
        device="cpu",
        workers=0,
        skip_bad=skip_bad,
        overfit_batch=overfit_batch,
    )
    return runs.prepare_run(options, Console.silent()).session


@dataclass
class Ear:
    """A watcher that keeps what it is reported, and writes nothing."""

    losses: list[float] = field(default_factory=list)
    rows: list[EpochRow] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    on_step: Callable[[int], None] = lambda step: None

    def stepped(self, epoch: int, step: int, of: int, images: int, seconds: float, loss: Callable[[], float]) -> None:
        self.losses.append(loss())
        self.on_step(step)

    def epoch_done(self, row: EpochRow, timing: Timing, scores: Scores | None, module: nn.Module, best: bool) -> None:
        self.rows.append(row)

    def save(self, step: int, state: dict[str, object], rows: list[EpochRow], timings: list[Timing]) -> None:
        self.saved.append(step)


def loop_of(session: Session, ear: Ear) -> Loop:
    """The loop of a session, without a folder."""
    feeds = session.feeds
    return Loop(
        *(session.subject.module, session.recipe, feeds.training, feeds.validation, None),
        *(ear, session.machine.world, Stop()),
    )


def refused(act: Callable[[], object]) -> Diagnostic:
    """The one finding that an act ends with."""
    with pytest.raises(ResnetSpecError) as caught:
        act()
    (found,) = caught.value.diagnostics
    assert found.message.isprintable()
    return found


def write_folder(root: Path, names: tuple[str, ...] = ("cat", "dog"), count: int = 12, seed: int = 0) -> str:
    """Images of noise in a folder for each class of train, val and test; the `--data` argument for them."""
    random = np.random.default_rng(seed)
    for part, number in (("train", count), ("val", 3), ("test", 4)):
        for name in names:
            (root / part / name).mkdir(parents=True)
            for image in range(number):
                pixels = random.integers(0, 256, (14, 16, 3), np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{image}.png")
    return f"folder:{root}"
