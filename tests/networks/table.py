"""Compare shipped networks with their references, and print a table.

    python -m tests.networks.table [--meta] [--after NAME] [NAME ...]

A name is that of a row (`torchvision.vgg11`, `timm.resnet50`), of a network (`vgg11`), or a pattern (`torchvision.regnet_*`);
by default all rows. Each is printed when it is done; `--after` continues behind a row. Columns:

- keys: the number of keys of the `state_dict`, if these and their shapes are equal, strictly.
- eval, train: the outputs with drawn weights and running statistics: `bit` if they have the same bits (in training also all
  statistics afterwards), or the largest difference, relative to the largest value. Only for modules of 2 GB or less.
- macs: multiply-adds for an image of the spec's size, if torch counts as many in the reference.
- published: what the library publishes with its weights, in units of 1e9, if it is the same at their image size.

`!` marks what differs. The exit status is 1 if something differs that `EXPLAINED` does not have.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import resnet_spec
from resnet_spec.compiler import Analysis
from tests.networks.references import (
    Reference,
    draw_state,
    make_on_meta,
    make_undrawn,
    named_outputs,
    references,
    run,
    shapes_of_state,
)

LARGEST = 2e9  # bytes of a module whose outputs are compared
TOLERANCE = 1e-5  # relative
SMALL = 64  # pixels: large images only take longer
# Figures that differ from the spec's, with the reason.
EXPLAINED: dict[tuple[str, str], str] = {
    (f"timm.resnetblur{each}", "macs"): "torch counts the fixed filters of blurs, which a spec does not"
    for each in ("18", "50", "50d", "101d")
}


@dataclass
class Row:
    """What was found for one reference; `wrong` names the columns that differ."""

    name: str
    cells: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def put(self, column: str, value: str, equal: bool) -> None:
        explained = (self.name, column) in EXPLAINED
        self.cells[column] = value if equal else f"{value} !"
        if not equal and not explained:
            self.wrong.append(column)


def compare(name: str, reference: Reference, numbers: bool = True) -> Row:
    """Compare the spec of a reference with it: keys and shapes, multiply-adds and, if wanted, its outputs."""
    row = Row(name)
    analysis = resnet_spec.analyze(reference.spec)
    theirs = make_on_meta(reference)
    expected = shapes_of_state(theirs)
    found = shapes_of_state(resnet_spec.build(analysis, device="meta", initialize=False))
    row.put("keys", str(len(expected)), found == expected)
    _compare_macs(row, reference, analysis, theirs)
    size = sum(tensor.numel() * tensor.element_size() for tensor in theirs.state_dict().values())
    if numbers and found == expected and size <= LARGEST:
        for training, difference in compare_outputs(reference, analysis).items():
            row.put(
                "train" if training else "eval", difference_text(difference), difference <= (reference.tolerance or TOLERANCE)
            )
    return row


def _compare_macs(row: Row, reference: Reference, analysis: Analysis, theirs: nn.Module) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        named_outputs(theirs.train()(torch.empty(2, *analysis.input, device="meta")), reference.outputs)
    row.put("macs", f"{analysis.total.macs:,}", analysis.total.macs == counter.get_total_flops() // 4 - reference.products)
    if (published := published_macs(row.name)) is not None:
        side, expected = published
        at_work = [str(each.value.value) for each in analysis.spec.outputs if not each.training_only]
        used = resnet_spec.analyze(reference.spec, input=(3, side, side), outputs=at_work or None)
        row.put("published", f"{expected:.3f}", abs(used.total.macs / 1e9 - expected) < 0.00051)


def published_macs(name: str) -> tuple[int, float] | None:
    """The image size and the multiply-adds (in units of 1e9, though called GFLOPS there) of torchvision's weights."""
    library, _, model = name.partition(".")
    if library != "torchvision":
        return None
    from torchvision import models

    if model not in models.list_models(module=models):
        return None
    weights = models.get_model_weights(model)
    first: Any = min(weights, key=lambda each: each.transforms.keywords["crop_size"])
    return first.transforms.keywords["crop_size"], first.meta["_ops"]


def compare_outputs(reference: Reference, analysis: Analysis) -> dict[bool, float]:
    """The largest relative difference in evaluation and in training, of outputs and statistics; 0 if all bits are equal."""
    torch.manual_seed(0)
    theirs = make_undrawn(reference)
    draw_state(theirs)
    ours = resnet_spec.build(analysis, initialize=False)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    if reference.tolerance:
        theirs, ours = theirs.double(), ours.double()
    x = torch.randn(2, analysis.input[0], *compared_size(analysis), dtype=next(theirs.parameters()).dtype)
    differences = {}
    with torch.backends.mkldnn.flags(enabled=reference.onednn), torch.no_grad():
        for training in (False, True):
            expected, found = (run(model, x, reference.outputs, training) for model in (theirs, ours))
            differences[training] = largest_difference(expected, found)
    differences[True] = max(differences[True], largest_difference(theirs.state_dict(), ours.state_dict()))
    return differences


def compared_size(analysis: Analysis) -> tuple[int, int]:
    """A small size of images that the network accepts."""
    _, height, width = analysis.input
    for side in range(SMALL, min(height, width), 32):
        if (side, side) in analysis.accepted:
            return side, side
    return height, width


def largest_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """The largest difference, each relative to the largest value of its tensor; infinity if one is missing or not finite."""
    largest = 0.0
    if expected.keys() != found.keys():
        return float("inf")
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape or not (torch.isfinite(tensor).all() and torch.isfinite(found[name]).all()):
            return float("inf")
        if not torch.equal(tensor, found[name]):
            difference = (tensor - found[name]).abs().max() / tensor.abs().max()
            largest = max(largest, float(difference), 1e-45)
    return largest


def difference_text(difference: float) -> str:
    return "bit" if difference == 0 else f"{difference:.0e}"


def chosen(names: Sequence[str], after: str | None = None) -> dict[str, Reference]:
    """The rows with these names, or patterns of them; all if there are none."""
    rows = references()
    if unknown := [name for name in names if not any(_is_called(row, name) for row in rows)]:
        raise SystemExit(f"no reference is called {', '.join(unknown)}")
    found = {row: reference for row, reference in rows.items() if not names or any(_is_called(row, name) for name in names)}
    if after is not None:
        order = list(found)
        if after not in order:
            raise SystemExit(f"--after: no row is called {after}")
        found = {row: found[row] for row in order[order.index(after) + 1 :]}
    return found


def _is_called(row: str, name: str) -> bool:
    return fnmatch.fnmatchcase(row, name) or fnmatch.fnmatchcase(row.partition(".")[2], name)


WIDTHS = {"reference": 34, "keys": 6, "eval": 7, "train": 7, "macs": 18, "published": 11, "seconds": 8}


def lines(rows: Mapping[str, Reference], numbers: bool, wrong: list[str]) -> Iterator[str]:
    """The lines of the table; the names of rows that differ are added to `wrong`."""
    yield " ".join(f"{column:<{width}}" for column, width in WIDTHS.items()).rstrip()
    for name, reference in rows.items():
        began = time.perf_counter()
        row = compare(name, reference, numbers)
        cells = {"reference": name, **row.cells, "seconds": f"{time.perf_counter() - began:.1f}"}
        reasons = [f"{column}: {reason}" for (of, column), reason in EXPLAINED.items() if of == name and column in row.cells]
        yield " ".join([f"{cells.get(column, '-'):<{width}}" for column, width in WIDTHS.items()] + reasons).rstrip()
        if row.wrong:
            wrong.append(name)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.networks.table", description="compare networks with their references"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows, networks, or patterns of them (default: all)")
    parser.add_argument("--meta", action="store_true", help="keys, shapes and multiply-adds only")
    parser.add_argument("--after", metavar="NAME", help="continue behind this row")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="TF32 acceleration")  # torch's, when oneDNN is turned off
    rows, wrong = chosen(options.names, options.after), list[str]()
    for line in lines(rows, not options.meta, wrong):
        print(line, flush=True)
    print(f"{len(rows)} compared, {len(rows) - len(wrong)} equal" + "".join(f"\ndiffers: {name}" for name in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
