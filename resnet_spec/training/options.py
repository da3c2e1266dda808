"""Everything that a training run can be asked for, by the command line and by Python alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from resnet_spec.training.recipe import RecipeLike

SpecLike = str | Path | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What to train, on what, and how.

    `spec` is a spec, or a module that takes images `(N, C, H, W)` and returns `(N, classes)`; then `input` is its (C, H, W) in
    pixels. `set` and `set_recipe` are patches of spec and recipe. None means: the spec's own `recipe`, a new folder for `out`,
    and as many `workers` as are useful.
    """

    spec: SpecLike | nn.Module
    recipe: RecipeLike | None = None
    data: str = "synthetic"
    out: Path | None = None
    set: tuple[str, ...] = ()
    set_recipe: tuple[str, ...] = ()
    spec_root: Path | None = None
    input: tuple[int, int, int] | None = None
    weights: Path | None = None
    device: str = "auto"
    workers: int | None = None
    skip_bad: bool = False
    overfit_batch: bool = False
    force: bool = False
