"""What a recipe holds: how a network is trained, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from resnet_spec.diagnostics import Diagnostic, RecipeError, Span
from resnet_spec.language.reader import MappingNode, YamlNode

ScheduleShape = Literal["constant", "multistep", "cosine", "one_cycle", "polynomial"]
Unit = Literal["epochs", "iterations"]
Precision = Literal["fp32", "bf16", "fp16"]
Interpolation = Literal["bilinear", "bicubic", "nearest"]
RecipeLike = str | Path | Mapping[str, object]  # a shipped recipe's name, a path or YAML text; or the data themselves
StatisticWord = Literal["data", "imagenet", "half", "none"]
Statistic = StatisticWord | tuple[float, ...]
ClassWeights = Literal["balanced"] | dict[str, float]  # by the names of classes


@dataclass(frozen=True, slots=True)
class Schedule:
    """The shape of the learning rate over a run, as a factor of the optimizer's `lr`.

    Fields that its `op` does not have keep their defaults. The defaults of this class, of `Warmup` and of `Augment` are for
    code that makes one; a recipe takes those of its schema, and a test compares the two.
    """

    op: ScheduleShape
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    unit: Unit = "epochs"
    final: float = 0.0
    rise: float = 0.3
    start: float = 0.04
    shape: Literal["cosine", "linear"] = "cosine"
    power: float = 1.0


@dataclass(frozen=True, slots=True)
class Warmup:
    """A start at a lower learning rate. It ends after `length`, or once the training error is below `until`."""

    length: float
    unit: Unit = "epochs"
    start: float = 0.0
    shape: Literal["linear", "constant"] = "linear"
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes to training images; None and 0 mean none. `crop` is a border in pixels, `rotation` is in degrees."""

    crop: int | None = None
    crop_mode: Literal["constant", "reflect"] = "constant"
    resized_crop: tuple[float, float, float, float] | None = None  # least and most area, least and most width over height
    flip: float = 0.0
    rotation: float = 0.0
    rand_augment: tuple[int, int] | None = None  # operations, magnitude
    trivial_augment: bool = False
    erasing: float = 0.0
    erasing_scale: tuple[float, float] = (0.02, 0.33)
    mixup: float = 0.0
    cutmix: float = 0.0
    crop_share: float = 0.0  # the border of `crop` as a fraction of the shorter side of the network's images

    def for_images_of(self, height: int, width: int) -> Augment:
        """The same with its border in pixels, for images of the network's size."""
        return replace(self, crop=round(self.crop_share * min(height, width))) if self.crop_share else self

    @property
    def each(self) -> bool:
        """Whether it has a transform that torchvision applies to one image at a time."""
        return bool(self.rotation or self.rand_augment or self.trivial_augment or self.resized_crop)

    @property
    def mixes(self) -> bool:
        """Whether each image is mixed with the one before it in its batch, which is then read with it."""
        return bool(self.mixup or self.cutmix)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe with every default filled in. Lengths are in pixels, fractions in 0 to 1.

    `text` is the recipe as one YAML document. `root` is its tree, with the place where each value was written. `warnings` are
    those found while reading it.
    """

    name: str
    epochs: int | None
    iterations: int | None
    batch_size: int
    eval_batch_size: int
    accumulate: int
    seed: int
    label_smoothing: float
    class_weights: ClassWeights | None
    auxiliary: dict[str, float]
    optimizer: str
    optimizer_arguments: dict[str, Any]
    no_decay: tuple[str, ...]
    schedule: Schedule
    warmup: Warmup | None
    resize: int | tuple[int, int] | None
    interpolation: Interpolation
    crop: tuple[int, int] | None
    levels: Literal["data"] | tuple[float, float] | None
    augment: Augment
    mean: Statistic
    std: Statistic
    split: tuple[float, float]
    hold_out: float
    init: str | None
    ema: tuple[float, int] | None
    clip_norm: float | None
    precision: Precision
    channels_last: bool
    compile: bool
    segments: int
    freeze: tuple[str, ...]
    patience: int | None
    min_delta: float
    deterministic: bool
    sync_batch_norm: bool
    save_minutes: float | None
    save_steps: int | None
    keep: int
    text: str = field(repr=False)
    root: MappingNode = field(repr=False, compare=False)
    warnings: tuple[Diagnostic, ...] = field(default=(), repr=False, compare=False)

    @property
    def lr(self) -> float:
        """The optimizer's learning rate, which the schedule multiplies."""
        lr = self.optimizer_arguments["lr"]
        assert isinstance(lr, int | float)
        return float(lr)

    def place(self, *path: str) -> Span:
        """Where a value was written, or the closest mapping around it that was."""
        node: YamlNode = self.root
        span = self.root.span
        for key in path:
            if not isinstance(node, MappingNode) or key not in node.entries:
                break
            entry = node.entries[key]
            node = entry.value
            span = entry.key if entry.key.source is node.span.source else node.span  # the value may be from the command line
        return span

    def refuse(self, code: str, message: str, *path: str, help: str = "") -> RecipeError:
        """An error about a value of the recipe, at its place."""
        return RecipeError([Diagnostic(code, message, self.place(*path), help=help)])
