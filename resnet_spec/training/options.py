"""All options of a training run, for the command line and for Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from resnet_spec.diagnostics.arguments import as_integer, quote, wrong_argument
from resnet_spec.language.spec import SpecLike
from resnet_spec.training.recipe import RecipeLike


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What to train, on what, and how.

    `spec` is a spec, or a module that takes images `(N, C, H, W)` and returns `(N, classes)`; then `input` is its (C, H, W) in
    pixels. `set` and `set_recipe` are patches of spec and recipe; `weights` is what `open_source` takes,
    `weights_key` names a part of the checkpoint `weights`, `weights_map` a file that says which of its tensors is which, and
    `transfer` starts from weights of another network.
    `scale_schedule` scales milestones and warm-up of the recipe to the length of the run. None means: the spec's own `recipe`,
    a new folder for `out`, and as many `workers` as are useful.
    """

    spec: SpecLike | nn.Module
    recipe: RecipeLike | None = None
    data: str = "synthetic"
    out: Path | None = None
    set: tuple[str, ...] = ()
    set_recipe: tuple[str, ...] = ()
    spec_root: Path | None = None
    input: tuple[int, int, int] | None = None
    weights: str | Path | None = None
    weights_key: str | None = None
    weights_map: Path | None = None
    transfer: bool = False
    device: str = "auto"
    workers: int | None = None
    skip_bad: bool = False
    scale_schedule: bool = False
    overfit_batch: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        """Raise ArgumentError for values of another type, and for options that exclude each other."""
        if not isinstance(self.data, str):
            raise wrong_argument(f"`data` takes a string such as `folder:DIR`, not {quote(self.data)}")
        if not isinstance(self.device, str):
            raise wrong_argument(f"`device` takes the name of a device, such as `cpu`, not {quote(self.device)}")
        if self.workers is not None and ((workers := as_integer(self.workers)) is None or workers < 0):
            raise wrong_argument(f"`workers` takes an integer, 0 or more, or None, not {quote(self.workers)}")
        about_weights = {"transfer": self.transfer, "weights_key": self.weights_key, "weights_map": self.weights_map}
        if self.weights is None and (given := [name for name, value in about_weights.items() if value]):
            name = given[0]
            raise wrong_argument(
                f"`{name}` is about weights to start from", "name them: `--weights FILE` (weights=... in Python)"
            )
        if isinstance(self.spec, nn.Module):
            if self.set or self.weights is not None:
                message = "`set` and `weights` are for specs; a module is trained as it is"
                raise wrong_argument(message, "load the weights into the module first")
        elif self.input is not None:
            message = "`input` is for modules; a spec has its own"
            raise wrong_argument(message, f'for another size, set=["input={"x".join(map(str, self.input))}"]')
