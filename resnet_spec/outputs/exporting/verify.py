"""Compares what is in a file with the module, and finds the first layer that differs or cannot be exported."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from resnet_spec.diagnostics import Diagnostic, SpecError, printable
from resnet_spec.outputs.exporting.model import Check, Exportable, Runner

BATCHES = (1, 2, 5)
TRACED = 2  # the batch that a module is traced at
Convert = Callable[[Exportable], Runner]  # converts a module in memory

# What the exporters raise for a module that they cannot convert: anything, since they run the module's code and their own.
REFUSALS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError, ImportError)


def compare(exportable: Exportable, run: Runner, file: str, convert: Convert) -> tuple[Check, ...]:
    """Run a file and the module on several batches, and at another size if it accepts one.

    Args:
        run: runs the file.
        file: its name, for messages.
        convert: converts a module as the file was, to find the first layer that differs.

    Raises:
        SpecError: the file computes something else than the module, or fails where the module runs.
    """
    cases = [(batch, exportable.size) for batch in BATCHES]
    if exportable.other_size is not None:
        cases.append((TRACED, exportable.other_size))
    checks: list[Check] = []
    for batch, size in cases:
        x = exportable.draw_images(batch, size)
        wanted = run_module(exportable, x)
        what = f"{printable(file)}, run on a batch of {batch} at {size[0]}x{size[1]} pixels,"
        try:
            found = run(x)
        except REFUSALS as error:
            message = f"{what} fails where the module does not: {printable(first_line(error))}"
            raise _refuse(message, exportable, convert) from None
        difference = measure(wanted, found)
        if not difference <= exportable.tolerance:
            differ = f"the outputs differ by {amount(difference)} of their largest value"
            if not math.isfinite(difference):
                differ = "the outputs have other names or shapes, or values that are not finite"
            else:
                differ += f", and {exportable.tolerance:g} is accepted"
            message = f"{what} does not return what the module returns: {differ}"
            raise _refuse(message, exportable, convert)
        checks.append(Check(batch, size, difference))
    return tuple(checks)


def run_module(exportable: Exportable, x: Tensor) -> dict[str, Tensor]:
    """The outputs of the module by name."""
    with torch.no_grad():
        return exportable.name_outputs(exportable.module(x))


def measure(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """The largest difference of a value, as a fraction of the largest value of its output.

    It is infinite for other names or shapes, and where a value is not finite, which cannot be compared.
    """
    if list(wanted) != list(found):
        return math.inf
    worst = 0.0
    for name, value in wanted.items():
        other = found[name]
        if other.shape != value.shape or not bool((value.isfinite() & other.isfinite()).all()):
            return math.inf
        largest = float(value.abs().amax()) if value.numel() else 0.0
        difference = float((value.detach().double() - other.detach().double()).abs().amax()) if value.numel() else 0.0
        if difference:
            worst = max(worst, difference / largest) if largest else math.inf
    return worst


def amount(difference: float) -> str:
    """A difference as text."""
    return f"{difference:.1e}" if math.isfinite(difference) else "all"


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, shortened; of an error of torch.onnx, that of its cause."""
    while error.__cause__ is not None and type(error).__module__.startswith("torch.onnx"):
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


def _refuse(message: str, exportable: Exportable, convert: Convert) -> SpecError:
    layer = find_difference(exportable, convert)
    notes = () if layer is None else (f"the first layer that differs is {layer}",)
    help = "no file was written; another format or `--opset` may do, and a report of this helps"
    return SpecError([Diagnostic("export-differs", message, None, notes=notes, help=help)])


class _Tapped(nn.Module):
    """A module that returns the outputs of its layers, by their names."""

    def __init__(self, module: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.module = module
        self.taps = tuple(layers.items())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}

        def tap(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            def hook(module: nn.Module, args: object, output: Tensor) -> None:
                found[name] = output.clone()  # the next layer may overwrite it

            return hook

        hooks = [layer.register_forward_hook(tap(name)) for name, layer in self.taps]
        try:
            self.module(x)
        finally:
            for hook in hooks:
                hook.remove()
        return found


def find_difference(exportable: Exportable, convert: Convert) -> str | None:
    """The first layer whose output differs once it is converted, as `maxpool (max_pool2d)`; None if none does."""
    layers = _layers(exportable)
    tapped = _Tapped(exportable.module, layers).eval()
    x = exportable.draw_images(TRACED, exportable.size)
    with torch.no_grad():
        wanted = tapped(x)
    all_layers = replace(exportable, module=tapped, outputs=tuple(wanted))
    try:
        found = convert(all_layers)(x)
    except REFUSALS:
        return None
    for name, value in wanted.items():
        if not measure({name: value}, {name: found[name]}) <= exportable.tolerance:
            return _describe(exportable, name)
    return None


@contextmanager
def name_refusals(exportable: Exportable, file: str, convert: Convert) -> Iterator[None]:
    """Turn what an exporter raises into a SpecError that names the layer that it cannot convert."""
    try:
        yield
    except REFUSALS as error:
        why = first_line(error)
    else:
        return
    layer = find_refused(exportable, convert)
    what = "the network" if layer is None else f"the layer {layer}"
    message = f"{printable(file)}: {what} cannot be exported: {printable(why)}"
    help = "no file was written; another format may do: `resnet-spec export --list`"
    if layer is None and exportable.other_size is not None:
        help = "no file was written; without `--dynamic size` the height and width are fixed, which exporters manage more often"
    raise SpecError([Diagnostic("export-refused", message, None, help=help)])


def find_refused(exportable: Exportable, convert: Convert) -> str | None:
    """The first layer that cannot be converted alone, at its own input; None if each can."""
    given: dict[str, tuple[Tensor, ...]] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            given[name] = tuple(each.detach().clone() for each in args)

        return hook

    layers = _layers(exportable)
    hooks = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
    try:
        run_module(exportable, exportable.draw_images(TRACED, exportable.size))
    finally:
        for hook in hooks:
            hook.remove()
    tried: set[tuple[str, ...]] = set()
    for name, args in given.items():
        key = (repr(layers[name]), *(str(tuple(each.shape)) for each in args))
        if len(args) != 1 or key in tried:
            continue
        tried.add(key)
        alone = replace(exportable, module=_Alone(layers[name], args[0]), outputs=(), other_size=None)
        try:
            convert(alone)
        except REFUSALS:
            return _describe(exportable, name)
    return None


class _Alone(nn.Module):
    """A layer that runs on an input of its own, whatever images are given."""

    def __init__(self, layer: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.layer, self.x = layer, nn.Buffer(x)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.layer(self.x)
        return output + images.sum().to(output.dtype) * 0


def _layers(exportable: Exportable) -> dict[str, nn.Module]:
    modules = dict(exportable.module.named_modules())
    found = {name: modules.get(name) or modules.get(f"network.{name}") for name, _ in exportable.layers}
    return {name: module for name, module in found.items() if module is not None}


def _describe(exportable: Exportable, name: str) -> str:
    return f"{printable(name)} ({dict(exportable.layers)[name]})"
