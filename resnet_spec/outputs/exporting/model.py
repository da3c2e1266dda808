"""What is exported: a module in evaluation, with all that a file of any format says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from resnet_spec.compiler import Analysis
from resnet_spec.outputs.exporting.formats import Layout

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
OUTPUT = "output"  # of a network that returns a single tensor
INPUT = "images"


class Port(nn.Module):
    """A network behind an input and an output for programs: it takes bytes, computes in any precision, and returns float32.

    Without a `layout` it takes float32 images `(N, C, H, W)` that are normalized; with one, bytes `(N, H, W, C)` (`nhwc`) or
    `(N, C, H, W)` (`nchw`), which it normalizes by `mean` and `std` of the channels, for pixel values in 0 to 1.
    """

    def __init__(
        self,
        network: nn.Module,
        dtype: torch.dtype,
        channels_last: bool,
        layout: Layout | None,
        mean: tuple[float, ...] = (),
        std: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        self.network, self.dtype, self.layout = network, dtype, layout
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        if layout is not None:
            self.mean, self.std = (nn.Buffer(torch.tensor(values).view(-1, 1, 1)) for values in (mean, std))

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        if self.layout is not None:
            x = x.permute(0, 3, 1, 2) if self.layout == "nhwc" else x
            x = (x.to(torch.float32) / 255 - self.mean) / self.std
        returned = self.network(x.to(self.dtype, memory_format=self.memory_format))
        if isinstance(returned, Tensor):
            return returned.to(torch.float32)
        return {name: value.to(torch.float32) for name, value in returned.items()}


@dataclass(frozen=True, slots=True)
class Exportable:
    """A network as it is exported.

    Attributes:
        name: what the network is called.
        module: in evaluation: the network itself, or a Port around it.
        channels, size: of the images, in pixels (height, width).
        layout: how it takes bytes; None if it takes normalized float32 images `(N, C, H, W)`.
        outputs: the names of what it returns; empty for a single tensor.
        layers: the names of its layers in the order in which they run, and the operation of each.
        other_size: another size that the file accepts, if height and width are dynamic.
        opset: the version of ONNX's operators; None for the exporter's own.
        tolerance: the accepted difference between file and module, as a fraction of the largest output value.
        metadata: what the file says about the network.
        analysis: what is known of its graph.
        trained: whether the weights are more than those of a seed.
    """

    name: str
    module: nn.Module
    channels: int
    size: tuple[int, int]
    layout: Layout | None
    outputs: tuple[str, ...]
    layers: tuple[tuple[str, str], ...]
    other_size: tuple[int, int] | None
    opset: int | None
    tolerance: float
    metadata: Mapping[str, str]
    analysis: Analysis
    trained: bool

    @property
    def input_name(self) -> str:
        """The name of the input, which is none of an output."""
        name = INPUT
        while name in self.outputs:
            name += "_in"
        return name

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.outputs or (OUTPUT,)

    def shape(self, batch: int, size: tuple[int, int]) -> tuple[int, ...]:
        """The shape of a batch of images."""
        return (batch, *size, self.channels) if self.layout == "nhwc" else (batch, self.channels, *size)

    def draw_images(self, batch: int, size: tuple[int, int]) -> Tensor:
        """Random images as the module takes them."""
        generator = torch.Generator().manual_seed(batch)
        shape = self.shape(batch, size)
        if self.layout is None:
            return torch.randn(shape, generator=generator)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    def axes(self) -> dict[int, str]:
        """The axes of the input that have any length, with their names."""
        if self.other_size is None:
            return {0: "batch"}
        first = 1 if self.layout == "nhwc" else 2
        return {0: "batch", first: "height", first + 1: "width"}

    def name_outputs(self, returned: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a module returned, by the names of the outputs."""
        return {OUTPUT: returned} if isinstance(returned, Tensor) else dict(returned)


Runner = Callable[[Tensor], dict[str, Tensor]]  # runs what is in a file


@dataclass(frozen=True, slots=True)
class Check:
    """A comparison of file and module: the batch, the size of its images, and the largest difference of an output value as a
    fraction of the largest value of that output."""

    batch: int
    size: tuple[int, int]
    difference: float


@dataclass(frozen=True, slots=True)
class Written:
    """The files of an export, the main one first; how they were compared with the module; and what is to be said about them."""

    files: tuple[Path, ...]
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = field(default=())


@contextmanager
def run_quietly() -> Iterator[None]:
    """Suppress what exporters print, warn of and log about their own progress."""
    import contextlib
    import io
    import logging
    import warnings

    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
