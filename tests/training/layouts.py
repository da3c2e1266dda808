"""One step of training of every operation, in channels_last and in the plain layout: `python -m tests.training.layouts`.

Each is trained as the first operation, behind a convolution, and behind a frozen one, in fp32 and bf16. The steps run in
processes of their own, since torch may end one: a process prints the number of a case before the case, so that a crash is
known by its last line, and the cases after it continue in another process. Gradients in channels_last are compared with those
in the plain layout. Strided 1x1 convolutions of fewer than 16 channels are left out: they damage the memory of the process,
so that any case after them might be the one that fails.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_spec.ops import OPERATIONS, fields_of

TOLERANCES = {"fp32": 1e-4, "bf16": 0.05}  # of the largest gradient of a tensor
PLACES = ("first", "behind", "frozen")
# What an operation needs to be written, and variants whose kernels differ.
WRITTEN: dict[str, tuple[dict[str, Any], ...]] = {
    "conv2d": (
        {"out_channels": 16, "kernel_size": 3},
        {"out_channels": 16, "kernel_size": 3, "padding": 1, "stride": 2, "padding_mode": "reflect"},
        {"out_channels": 16, "kernel_size": 3, "padding": 1, "groups": "channels"},
        {"out_channels": 16, "kernel_size": 3, "dilation": 2, "padding": "same"},
        {"out_channels": 16, "kernel_size": 1},
        {"out_channels": 16, "kernel_size": 1, "stride": 2},
    ),
    "batch_norm": ({}, {"affine": False}, {"track_running_stats": False}),
    "group_norm": ({"num_groups": 4}, {"num_groups": 1}, {"num_groups": "channels"}, {"num_groups": 4, "affine": False}),
    "max_pool2d": ({"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "ceil_mode": True}),
    "avg_pool2d": ({"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "ceil_mode": True}),
    "adaptive_avg_pool2d": ({"output_size": 1}, {"output_size": 5}),
    "adaptive_max_pool2d": ({"output_size": 1}, {"output_size": 5}),
    "pad": (
        {"padding": [1, 2, 0, 1]},
        {"padding": [1, 2, 0, 1], "mode": "reflect"},
        {"padding": [1, 2, 0, 1], "mode": "replicate"},
    ),
    "dropout": ({"p": 1e-12},),  # which values are dropped depends on the layout, so none are
    "dropout2d": ({"p": 1e-12},),
    "drop_path": ({"p": 1e-12},),
    "linear": ({"out_features": 16},),
    "conv_transpose2d": ({"out_channels": 16, "kernel_size": 3, "stride": 2},),
    "conv1d": ({"kernel_size": 3},),
    "local_response_norm": ({"size": 5},),
    "softmax": ({"over": "channels"}, {"over": "pixels"}),
    "log_softmax": ({"over": "channels"},),
    **dict.fromkeys(("mean", "sum", "amax"), ({"over": "channels"}, {"over": "pixels"})),
    "upsample": ({"scale_factor": 2}, {"scale_factor": 2, "mode": "bilinear"}),
    "pixel_shuffle": ({"upscale_factor": 2},),
    "pixel_unshuffle": ({"downscale_factor": 3},),
    "slice": ({"start": 4, "stop": 12},),
    "channel_shuffle": ({"groups": 4},),
    "scale": ({"tensor_shape": "map"},),
}
CHANNELS = 16  # of the input, too


@dataclass(frozen=True, slots=True)
class Case:
    """An operation with its fields, where it is in the network, and the precision."""

    operation: str
    fields: dict[str, Any]
    place: str
    precision: str

    @property
    def label(self) -> str:
        fields = ", ".join(f"{key}: {value}" for key, value in self.fields.items())
        return f"{self.operation} {{{fields}}}" if fields else self.operation

    def spec(self) -> dict[str, Any]:
        """A network with the operation in it."""
        conv = {"op": "conv2d", "out_channels": CHANNELS, "kernel_size": 3, "padding": 1}
        spec: dict[str, Any] = {"spec": 1, "name": "layout", "input": f"{CHANNELS}x9x9", "classes": 4}
        before = {} if self.place == "first" else {"conv1": conv}
        end = {"flatten": "flatten", "fc": {"op": "linear", "out_features": "classes"}}
        if self.operation in ("flatten", "linear"):
            head = {"flatten": "flatten", "it": {"op": self.operation, **self.fields}, "fc": end["fc"]}
            return {**spec, "stem": before, "head": head if self.operation == "linear" else end}
        if OPERATIONS[self.operation].joins:
            spec["blocks"] = {"both": {"branch": {"a": conv}, "shortcut": {"b": "tanh"}, "join": self.operation}}
            return {**spec, "stem": before, "block": "both", "stages": {"it": {}}, "head": end}
        return {**spec, "stem": {**before, "it": {"op": self.operation, **self.fields}, "conv2": conv}, "head": end}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a case: `agrees`, `differs by N`, `crashes (CODE)` or `is left out`.

    `off` is why the trainer keeps the plain layout for it; empty where it does not.
    """

    case: Case
    result: str
    off: str


def cases() -> list[Case]:
    """Every operation, in each place and precision."""
    found = []
    for name, operation in OPERATIONS.items():
        required = [field.name for field in fields_of(operation).values() if field.required]
        if required and name not in WRITTEN:
            raise AssertionError(f"write the fields of {name} that it needs: {required}")
        for fields in WRITTEN.get(name, ({},)):
            found += [Case(name, fields, place, precision) for place in PLACES for precision in TOLERANCES]
    return found


def run(chosen: Sequence[Case], *, all_layouts: bool = True) -> list[Outcome]:
    """The outcomes of cases. Not `all_layouts`: without the steps in channels_last that the trainer does not take, either."""
    listed = cases()
    todo = [listed.index(case) for case in chosen]
    outcomes = []
    while todo:
        command = [sys.executable, "-m", "tests.training.layouts", "--all" if all_layouts else "--trained", *map(str, todo)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        finished = [line for line in lines if line[0] == "done"]
        outcomes += [Outcome(listed[int(number)], result, off) for _, number, off, result in finished]
        begun = [line for line in lines if line[0] == "begin"]
        if len(begun) > len(finished):
            _, number, off = begun[-1]
            outcomes.append(Outcome(listed[int(number)], f"crashes ({done.returncode})", off))
        elif done.returncode:
            raise AssertionError(f"a process ended with {done.returncode} between two cases")
        todo = todo[len(begun) :]
    return outcomes


def _steps(numbers: Iterable[int], all_layouts: bool) -> None:
    """Take the steps of cases in this process, and print what comes of each."""
    import resnet_spec
    from resnet_spec.training.layout import reason_against_channels_last

    listed = cases()
    for number in numbers:
        case = listed[number]
        module = resnet_spec.build(case.spec()).train()
        if case.place == "frozen":
            module.get_submodule("conv1").requires_grad_(False)
        off = reason_against_channels_last(module, (CHANNELS, 9, 9)) or ""
        print("begin", number, off, sep="\t", flush=True)
        result = "is left out" if off and not all_layouts else _compare(case, module)
        print("done", number, off, result, sep="\t", flush=True)


def _compare(case: Case, module: Any) -> str:
    """How the gradients of one step in channels_last compare with those in the plain layout."""
    import torch

    torch.manual_seed(0)
    images, labels = torch.randn(8, CHANNELS, 9, 9), torch.arange(8) % 4
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(1)
        placed = module.to(memory_format=layout)
        placed.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16"):
            outputs = placed(images.to(memory_format=layout))
        torch.nn.functional.cross_entropy(outputs.float(), labels).backward()  # type: ignore[no-untyped-call]
        gradients.append({name: each.grad.clone() for name, each in placed.named_parameters() if each.grad is not None})
    plain, last = gradients
    assert plain.keys() == last.keys()
    scale = max(float(each.abs().max()) for each in plain.values())
    worst = max(float((plain[name] - last[name]).abs().max()) for name in plain) / scale
    return "agrees" if worst <= TOLERANCES[case.precision] else f"differs by {worst:.2g}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Operations by place, layout and precision, as Markdown."""
    columns = [(place, precision) for place in PLACES for precision in TOLERANCES]
    lines = ["| operation | " + " | ".join(f"{place}, {precision}" for place, precision in columns) + " | channels_last |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for label in dict.fromkeys(outcome.case.label for outcome in outcomes):
        own = {(o.case.place, o.case.precision): o for o in outcomes if o.case.label == label}
        off = [place for place in PLACES if any(own[place, precision].off for precision in TOLERANCES)]
        state = f"off where {', '.join(off)}" if off else "on"
        lines.append(f"| `{label}` | " + " | ".join(own[column].result for column in columns) + f" | {state} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:]:
        _steps(map(int, sys.argv[2:]), sys.argv[1] == "--all")
    else:
        print(table(run(cases())))
