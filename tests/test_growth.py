"""Work grows with the input, and not with its square: the exponent of processor time and of memory, for families of inputs.

Each family is a spec or a recipe of a size that doubles three times. The times themselves are not asserted, but how they grow:
the slope of log time over log size.
"""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.diagnostics.rendering import render
from resnet_spec.training.recipe.reader import read_recipe

pytestmark = pytest.mark.slow

MOST = 1.5  # 1 is proportional, and 2 the square
DOUBLINGS = 3
ATTEMPTS = 3

HEAD = "spec: 1\ninput: 3x32x32\n"
CONV = "{op: conv2d, out_channels: 4, kernel_size: 1}"
Files = Mapping[str, str]  # the last one is checked


def lines(n: int, line: Callable[[int], str]) -> str:
    return "".join(f"{line(k)}\n" for k in range(n))


def stem(n: int, line: Callable[[int], str], before: str = "") -> str:
    return f"{HEAD}{before}stem:\n" + lines(n, lambda k: f"  {line(k)}")


def split(n: int) -> str:
    """Products that meet: blocks whose two sides may each be a gate."""
    block = "{branch: {p: {op: avg_pool2d, kernel_size: 2}}, shortcut: {q: {op: max_pool2d, kernel_size: 2}}, join: multiply}"
    return f"spec: 1\ninput: 3x64x64\nblocks:\n  meet: {block}\nstem:\n  first: meet\n" + lines(n, lambda k: f"  r{k}: gate\n".strip("\n"))


@dataclass(frozen=True)
class Family:
    """Inputs of one kind: the files of size `n`, and the least size, at which noise is small beside the work."""

    files: Callable[[int], Files]
    least: int
    kind: str = "spec"


def spec(make: Callable[[int], str], least: int) -> Family:
    return Family(lambda n: {"spec.yaml": make(n)}, least)


def recipe(make: Callable[[int], str], least: int) -> Family:
    return Family(lambda n: {"recipe.yaml": make(n)}, least, "recipe")


def chain(n: int) -> Files:
    """Files that extend one another, each with a few entries."""
    files = {"f0.yaml": stem(200, lambda k: f"c{k}: relu")}
    for k in range(1, n):
        files[f"f{k}.yaml"] = f"spec: 1\nextends: f{k - 1}.yaml\nparams: {{p{k}: {k}}}\nstem: {{c{k}: act}}\n"
    return files


def many_extended(n: int) -> Files:
    """One file that extends many."""
    files = {f"f{k}.yaml": "spec: 1\nparams:\n" + lines(100, lambda j, k=k: f"  p{k}_{j}: 1") for k in range(n)}
    listed = ", ".join(files)
    return {**files, "spec.yaml": f"spec: 1\nextends: [{listed}]\ninput: 3x8x8\nstem: {{r: relu}}\n"}


NET = "stem: {r: relu}\n"
BLOCK = "blocks: {b: {args: [width], branch: {c: {op: conv2d, out_channels: width, kernel_size: 1}}}}\nblock: b\n"
GATE = "blocks: {g: {branch: {p: {op: adaptive_avg_pool2d, output_size: 1}, s: sigmoid}, shortcut: {i: identity}, join: multiply}}\n"

FAMILIES: dict[str, Family] = {
    "unknown names": spec(lambda n: f"{HEAD}{NET}params:\n" + lines(n, lambda k: f"  a{k}: b{k}"), 500),
    "unknown names in operations": spec(lambda n: stem(n, lambda k: f"c{k}: {{op: conv2d, out_channels: w{k}, kernel_size: 1}}"), 250),
    "unknown names in a block": spec(
        lambda n: f"{HEAD}blocks:\n  b:\n    branch:\n"
        + lines(n, lambda k: f"      c{k}: {{op: conv2d, out_channels: w{k}, kernel_size: 1}}")
        + "stem: {b: b}\n",
        250,
    ),
    "unknown values after from": spec(
        lambda n: f"{HEAD}blocks:\n  b:\n    branch:\n" + lines(n, lambda k: f"      c{k}: {{op: relu, from: v{k}}}") + "stem: {b: b}\n",
        250,
    ),
    "unknown keys": spec(lambda n: HEAD + NET + lines(n, lambda k: f"a{k}: 1"), 500),
    "unknown keys of operations": spec(lambda n: stem(n, lambda k: f"c{k}: {{op: relu, x{k}: 1}}"), 250),
    "unknown keys of one operation": spec(
        lambda n: f"{HEAD}stem:\n  c:\n    op: relu\n" + lines(n, lambda k: f"    a{k}: 1"), 500
    ),
    "unknown operations": spec(lambda n: stem(n, lambda k: f"c{k}: relo{k}"), 250),
    "unknown blocks": spec(lambda n: f"{HEAD}stages:\n" + lines(n, lambda k: f"  s{k}: {{block: nothing{k}}}"), 250),
    "wrong types": spec(lambda n: stem(n, lambda k: f"c{k}: {{op: conv2d, out_channels: [1], kernel_size: x}}"), 250),
    "arguments that no block has": spec(
        lambda n: f"{HEAD}{BLOCK}stages:\n" + lines(n, lambda k: f"  s{k}: {{width: 4, a{k}: 1}}"), 250
    ),
    "conflicts of shapes": spec(
        lambda n: f"{HEAD}blocks:\n"
        + lines(n, lambda k: f"  b{k}: {{branch: {{c: {{op: conv2d, out_channels: {k + 4}, kernel_size: 1}}}}, join: add}}")
        + "stem:\n"
        + lines(n, lambda k: f"  u{k}: b{k}"),
        100,
    ),
    "unused params": spec(lambda n: f"{HEAD}{NET}params:\n" + lines(n, lambda k: f"  a{k}: 1"), 500),
    "unused blocks": spec(lambda n: f"{HEAD}{NET}blocks:\n" + lines(n, lambda k: f"  b{k}: {{branch: {{r: relu}}}}"), 250),
    "comments that suppress": spec(
        lambda n: f"{HEAD}{NET}params:\n" + lines(n, lambda k: f"  a{k}: 1  # resnet-spec: ignore[unused-definition]"), 500
    ),
    "comments that suppress nothing": spec(
        lambda n: f"{HEAD}{NET}params:\n" + lines(n, lambda k: f"  a{k}: 1  # resnet-spec: ignore[no-code{k}]"), 500
    ),
    "params that are read": spec(
        lambda n: f"{HEAD}params:\n"
        + lines(n, lambda k: f"  a{k}: 4")
        + "stem:\n"
        + lines(n, lambda k: f"  c{k}: {{op: conv2d, out_channels: a{k}, kernel_size: 1}}"),
        250,
    ),
    "aliases": spec(
        lambda n: f"{HEAD}stem:\n  c: &c {CONV}\n" + lines(n, lambda k: f"  c{k}: *c"), 250
    ),
    "a long line": spec(lambda n: f"{HEAD}params: {{{', '.join(f'a{k}: b{k}' for k in range(n))}}}\n{NET}", 500),
    "a long text": spec(lambda n: f"{HEAD}about: {'w ' * n}\n{NET}", 50_000),
    "many comments": spec(lambda n: HEAD + lines(n, lambda k: f"# {k} ignore[") + NET, 5_000),
    "deep nesting": spec(
        lambda n: f"{HEAD}stem:\n" + lines(200, lambda k: f"  c{k}: " + "{op: sequential, ops: {i: " * n + "relu" + "}}" * n), 2
    ),
    "lists of values": spec(
        lambda n: f"{HEAD}{BLOCK}stages:\n  s: {{depth: {n}, width: [{', '.join(['4 + 0'] * n)}]}}\n", 500
    ),
    "a chain of extends": Family(chain, 7),
    "many extended files": Family(many_extended, 4),
    "many stages": spec(lambda n: f"{HEAD}{BLOCK}stages:\n" + lines(n, lambda k: f"  s{k}: {{width: 4}}"), 250),
    "many blocks": spec(lambda n: f"{HEAD}{BLOCK}stages: {{s: {{width: 4, depth: {n}}}}}\n", 1_000),
    "many kinds of blocks": spec(
        lambda n: f"{HEAD}blocks:\n"
        + lines(n, lambda k: f"  b{k}: {{branch: {{r: relu}}}}")
        + "stem:\n"
        + lines(n, lambda k: f"  u{k}: b{k}"),
        250,
    ),
    "many operations": spec(lambda n: stem(n, lambda k: f"r{k}: relu"), 500),
    "many values of one block": spec(
        lambda n: f"{HEAD}blocks:\n  b:\n    branch:\n"
        + lines(n, lambda k: f"      r{k}: {{op: relu, from: {'input' if not k else f'r{k - 1}'}}}")
        + "stem: {b: b}\n",
        250,
    ),
    "sizes under group norms": spec(
        lambda n: f"spec: 1\ninput: 3x{4 * n + 8}x{4 * n + 8}\nnorm: {{op: group_norm, num_groups: channels}}\nstem:\n"
        + lines(n, lambda k: f"  c{k}: {{op: conv2d, out_channels: 4, kernel_size: 3}}\n  n{k}: norm"),
        50,
    ),
    "flattened images": spec(
        lambda n: f"spec: 1\ninput: 3x{2 * n + 8}x{2 * n + 8}\nblocks:\n"
        "  b: {branch: {c: {op: conv2d, out_channels: 3, kernel_size: 3}}}\nstem:\n"
        + lines(n, lambda k: f"  c{k}: b")
        + "head: {f: flatten, l: {op: linear, out_features: 2}}\n",
        100,
    ),
    "joins with gates": spec(lambda n: f"{HEAD}{GATE}stem:\n" + lines(n, lambda k: f"  g{k}: g"), 100),
    "joins of two sizes": spec(
        lambda n: f"spec: 1\ninput: 3x64x64\nblocks: {{b: {{branch: {{p: {{op: conv2d, out_channels: 3, kernel_size: 3, padding: 1}}}}, "
        "shortcut: {q: {op: max_pool2d, kernel_size: 3, stride: 1, padding: 1}}, join: add}}\nstem:\n"
        + lines(n, lambda k: f"  b{k}: b"),
        100,
    ),
    "absent operations": spec(lambda n: stem(n, lambda k: f"r{k}: {{op: relu, if: 1 != 1}}") + "  last: relu\n", 250),
    "a deleted line each": spec(lambda n: f"{HEAD}{NET}params:\n  b: 1\n" + lines(n, lambda k: f"  a{k}: null"), 500),
    "siblings to insert after": spec(
        lambda n: "spec: 1\ninput: 3x8x8\nstem:\n  a: relu\n" + lines(n, lambda k: f"  a{k}: {{op: relu, insert_after: a}}"), 500
    ),
    "siblings that do not exist": spec(lambda n: stem(n, lambda k: f"a{k}: {{op: relu, insert_after: x{k}}}"), 250),
    "a key twice, at the end": spec(lambda n: stem(n, lambda k: f"r{k}: relu") + "  r0: relu\n", 1_000),
    "a tab at the end": spec(lambda n: stem(n, lambda k: f"r{k}: relu") + "\tx: relu\n", 1_000),
    "an indentation that is wrong": spec(lambda n: stem(n, lambda k: f"r{k}: relu") + "     x: relu\n", 1_000),
    "names of other scripts": spec(lambda n: stem(n, lambda k: f"\u00e9\u4e00{k}: relu"), 500),
    "values of other scripts": spec(
        lambda n: stem(n, lambda k: f"c{k}: {{op: conv2d, out_channels: '\u4e00\u0301{k}', kernel_size: 1}}"), 250
    ),
    "old booleans": spec(lambda n: f"{HEAD}{NET}params:\n" + lines(n, lambda k: f"  a{k}: yes"), 500),
    "unknown keys of a recipe": recipe(lambda n: "recipe: 1\nepochs: 1\nbatch_size: 8\n" + lines(n, lambda k: f"a{k}: 1"), 500),
    "milestones of a recipe": recipe(
        lambda n: "recipe: 1\nepochs: 1000000\nbatch_size: 8\nschedule: {op: multistep, milestones: ["
        + ", ".join(str(k + 1) for k in range(n))
        + "]}\n",
        1_000,
    ),
    "frozen names of a recipe": recipe(
        lambda n: f"recipe: 1\nepochs: 1\nbatch_size: 8\nfreeze: [{', '.join(f'a{k}' for k in range(n))}]\n", 1_000
    ),
}


def run(family: Family, files: Files, folder: Path) -> tuple[Diagnostic, ...]:
    """All that `check` does, and every format."""
    path = folder / list(files)[-1]
    found: tuple[Diagnostic, ...] = ()
    try:
        if family.kind == "recipe":
            read_recipe(path)
        else:
            analysis = resnet_spec.analyze(path)
            analysis.accepted.describe()
            found = (*analysis.warnings, *analysis.lints)
    except ResnetSpecError as error:
        found = error.diagnostics
    for how in ("text", "json", "sarif", "github", "concise"):
        render(found, how)  # type: ignore[arg-type]
    return found


def slope(sizes: list[int], measured: list[float]) -> float:
    """The exponent e of measured ~ size^e, by least squares over the logarithms."""
    x, y = [math.log(n) for n in sizes], [math.log(m) for m in measured]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def seconds(family: Family, files: Files, folder: Path) -> float:
    taken = []
    for _ in range(ATTEMPTS):
        start = time.process_time()
        run(family, files, folder)
        taken.append(time.process_time() - start)
        if sum(taken) > 0.5:
            break
    return min(taken)


def peak(family: Family, files: Files, folder: Path) -> float:
    tracemalloc.start()
    try:
        run(family, files, folder)
        return float(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
