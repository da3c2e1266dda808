"""Work grows with the input, and not with its square: the exponents of processor time and memory, for families of inputs.

Each family is a spec or a recipe whose size doubles three times. Times themselves are not asserted, but how they grow: the
slope of log time over log size.
"""

from __future__ import annotations

import gc
import math
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.diagnostics.rendering import render
from resnet_spec.training.recipe.reader import read_recipe

pytestmark = pytest.mark.drill

MOST = 1.5  # 1 is proportional, and 2 the square
TIMES = (1, 2, 4, 8)
ATTEMPTS = (1, 4)  # to measure a time; the second number where the first gives too large an exponent

Files = Mapping[str, str]  # the last one is checked


@dataclass(frozen=True)
class Family:
    """Inputs of one kind. `least` is the size from which on the work is large beside the noise."""

    files: Callable[[int], Files]
    least: int
    read: Callable[[Path], Sequence[Diagnostic]]


def check(path: Path) -> Sequence[Diagnostic]:
    """All that `check` does, up to the findings."""
    analysis = resnet_spec.analyze(path)
    analysis.accepted.describe()
    return (*analysis.warnings, *analysis.lints)


def spec(least: int, make: Callable[[int], str]) -> Family:
    return Family(lambda n: {"spec.yaml": make(n)}, least, check)


def recipe(least: int, make: Callable[[int], str]) -> Family:
    return Family(lambda n: {"recipe.yaml": f"recipe: 1\nepochs: 9\nbatch_size: 8\n{make(n)}"}, least, _read)


def _read(path: Path) -> Sequence[Diagnostic]:
    return read_recipe(path).warnings


HEAD = "spec: 1\ninput: 3x32x32\n"
NET = f"{HEAD}stem: {{r: relu}}\n"
BLOCK = "blocks: {b: {args: [width], branch: {c: {op: conv2d, out_channels: width, kernel_size: 1}}}}\nblock: b\n"
GATE = "{branch: {p: {op: adaptive_avg_pool2d, output_size: 1}, s: sigmoid}, shortcut: {i: identity}, join: multiply}"
MEET = (
    "{branch: {p: {op: conv2d, out_channels: 3, kernel_size: 3}}, "
    "shortcut: {q: {op: max_pool2d, kernel_size: 3, stride: 1}}, join: add}"
)
COLON = "\uff1a"
WORD = "\u4e00\u0301"
NORM = "norm: {op: group_norm, num_groups: channels}\n"
CONV = "{{op: conv2d, out_channels: {}, kernel_size: 1}}".format


def each(n: int, line: Callable[[int], str], indent: int = 2) -> str:
    return "".join(f"{' ' * indent}{line(k)}\n" for k in range(n))


def params(n: int, line: Callable[[int], str]) -> str:
    return f"{NET}params:\n{each(n, line)}"


def stem(n: int, line: Callable[[int], str]) -> str:
    return f"{HEAD}stem:\n{each(n, line)}"


def stages(n: int, line: Callable[[int], str]) -> str:
    return f"{HEAD}{BLOCK}stages:\n{each(n, line)}"


def branch(n: int, line: Callable[[int], str], side: int = 32) -> str:
    """A block with `n` lines in its branch."""
    return f"spec: 1\ninput: 3x{side}x{side}\nblocks:\n  b:\n    branch:\n{each(n, line, 6)}stem: {{b: b}}\n"


def blocks(n: int, block: Callable[[int], str], used: bool = True) -> str:
    """`n` kinds of blocks, each used once, or none of them."""
    uses = each(n, lambda k: f"u{k}: b{k}") if used else "  r: relu\n"
    return f"{HEAD}blocks:\n{each(n, lambda k: f'b{k}: {block(k)}')}stem:\n{uses}"


def projections(n: int) -> str:
    """Stages of the library's block, each with warnings in the library's text."""
    patch = "blocks: {projection: {extends: projection, branch: {0: {bias: true}}}}\n"
    return HEAD + patch + "block: {op: basic, project: true}\nstages:\n" + each(n, lambda k: f"s{k}: {{width: 4, depth: 3}}")


def before(k: int) -> str:
    """The value before the one with number `k`."""
    return f"c{k - 1}" if k else "input"


def shrunk(k: int) -> str:
    """A convolution without padding, and a norm."""
    return f"c{k}: {{op: conv2d, out_channels: 4, kernel_size: 3}}\n  n{k}: norm"


def flattened(k: int) -> str:
    """A convolution, its flattened image, and a linear layer for it."""
    lines = (
        f"c{k}: {{op: conv2d, out_channels: 3, kernel_size: 3, from: {before(k)}}}",
        f"f{k}: {{op: flatten, from: c{k}}}",
        f"l{k}: {{op: linear, out_features: 2, from: f{k}}}",
    )
    return "\n      ".join(lines)


def chain(n: int) -> Files:
    """Files that extend one another."""
    files = {"f0.yaml": stem(50, lambda k: f"c{k}: relu")}
    for k in range(1, n):
        files[f"f{k}.yaml"] = f"spec: 1\nextends: f{k - 1}.yaml\nparams:\n{each(100, partial('p{}_{}: 1'.format, k))}"
    return files


def many_files(n: int) -> Files:
    """A file that extends many."""
    files = {f"f{k}.yaml": f"spec: 1\nparams: {{p{k}: 1}}\n" for k in range(n)}
    return {**files, "spec.yaml": f"{NET}extends: [{', '.join(files)}]\n"}


def misspelled_arguments(n: int) -> str:
    """A block with `n` arguments, and as many uses, each with an argument that the block has not."""
    arguments = ", ".join(f"arg{k}" for k in range(n))
    uses = each(n, lambda k: f"u{k}: {{op: b, argx{k}: 1}}")
    return f"{HEAD}blocks: {{b: {{args: [{arguments}], branch: {{r: relu}}}}}}\nstem:\n{uses}"


def misspelled_patches(n: int) -> str:
    """A block that patches `n` operations of another one, whose names are almost these."""
    patch = f"  p:\n    extends: b\n    branch:\n{each(n, lambda k: f'conw{k}: {{bias: true}}', 6)}"
    return branch(n, lambda k: f"conv{k}: {CONV(4)}").replace("stem:", f"{patch}stem:")


FAMILIES: dict[str, Family] = {
    # mistakes
    "unknown names": spec(150, lambda n: params(n, lambda k: f"a{k}: b{k}")),
    "unknown long names": spec(100, lambda n: params(n, lambda k: f"{'a' * 20}{k}: {'a' * 30}{k}")),
    "unknown names on a line": spec(150, lambda n: f"{NET}params: {{{', '.join(f'a{k}: b{k}' for k in range(n))}}}\n"),
    "unknown names in operations": spec(100, lambda n: stem(n, lambda k: f"c{k}: {CONV(f'w{k}')}")),
    "unknown names in a block": spec(100, lambda n: branch(n, lambda k: f"c{k}: {CONV(f'w{k}')}")),
    "unknown values after from": spec(100, lambda n: branch(n, lambda k: f"c{k}: {{op: relu, from: v{k}}}")),
    "unknown keys": spec(200, lambda n: NET + each(n, lambda k: f"a{k}: 1", 0)),
    "unknown keys of operations": spec(50, lambda n: stem(n, lambda k: f"c{k}: {{op: relu, x{k}: 1}}")),
    "unknown keys of one operation": spec(
        150, lambda n: f"{HEAD}stem:\n  c:\n    op: relu\n{each(n, lambda k: f'a{k}: 1', 4)}"
    ),
    "unknown operations": spec(100, lambda n: stem(n, lambda k: f"c{k}: relo{k}")),
    "unknown blocks": spec(100, lambda n: stages(n, lambda k: f"s{k}: {{block: nothing{k}}}")),
    "unknown arguments": spec(75, lambda n: stages(n, lambda k: f"s{k}: {{width: 4, a{k}: 1}}")),
    "unknown siblings": spec(100, lambda n: stem(n, lambda k: f"a{k}: {{op: relu, insert_after: x{k}}}")),
    "unknown functions": spec(150, lambda n: params(n, lambda k: f"a{k}: function{k}(1)")),
    "unknown names in kinds of blocks": spec(
        40,
        lambda n: (
            blocks(n, lambda k: f"{{branch: {{r: {{op: relu, if: x{k}}}}}}}") + f"params:\n{each(n, lambda k: f'a{k}: 1')}"
        ),
    ),
    "missing arguments": spec(
        75,
        lambda n: (
            f"{HEAD}blocks: {{b: {{args: [{', '.join(f'a{k}' for k in range(n))}], branch: {{r: relu}}}}}}\n"
            f"stem:\n{each(n, lambda k: f'u{k}: b')}"
        ),
    ),
    "unknown arguments of a block with many": spec(75, misspelled_arguments),
    "keys behind one without a value": spec(200, lambda n: f"{NET}first:\n{each(n, lambda k: f'a{k}: 1', 0)}"),
    "unknown keys of a block": spec(150, lambda n: f"{NET}blocks:\n  b:\n{each(n, lambda k: f'a{k}: {{op: relu}}', 4)}"),
    "operations of one unknown kind": spec(400, lambda n: stem(n, lambda k: f"c{k}: relo")),
    "operations of other libraries": spec(200, lambda n: stem(n, lambda k: f"c{k}: {{op: Dense, units: 4}}")),
    "missing fields": spec(100, lambda n: stem(n, lambda k: f"c{k}: {{op: conv2d, out_channels: 4}}")),
    "fields that are operations": spec(50, lambda n: stem(n, lambda k: f"c{k}: {{op: relu, activation{k}: relu, norm: true}}")),
    "stages at the top": spec(100, lambda n: f"{HEAD}{BLOCK}{each(n, lambda k: f'layer{k}: {{width: 4}}', 0)}"),
    "stages in a list": spec(300, lambda n: f"{HEAD}{BLOCK}stages:\n{each(n, lambda k: f'- {{width: {k}}}')}"),
    "operations in a list": spec(400, lambda n: f"{HEAD}stem:\n{each(n, lambda k: '- relu')}"),
    "stages without a width": spec(200, lambda n: stages(n, lambda k: f"s{k}: {{depth: 1}}")),
    "stages with a stride that their block has not": spec(200, lambda n: stages(n, lambda k: f"s{k}: {{width: 4, stride: 2}}")),
    "rates in the place of operations": spec(75, lambda n: f"{HEAD}head:\n{each(n, lambda k: f'drop{k}: 0.5')}"),
    "full-width lines": spec(2_000, lambda n: stem(n, lambda k: f"c{k}{COLON} relu")),
    "full-width names on a line": spec(400, lambda n: f"{HEAD}stem: {{{', '.join(f'c{k}{COLON} relu' for k in range(n))}}}\n"),
    "full-width names": spec(75, lambda n: stem(n, lambda k: f'"c{k}{COLON}": relu')),
    "invalid names": spec(75, lambda n: stem(n, lambda k: f'"c {k}": relu')),
    "keys without a space": spec(800, lambda n: f"{HEAD}stem:\n  r: relu\n  c:\n{each(n, lambda k: f'x{k}:1', 4)}"),
    "misspelled patches": spec(100, misspelled_patches),
    "patches of nothing": spec(100, lambda n: stem(n, lambda k: f"c{k}: {{kernel_size: 3, out_channels: 4}}")),
    "operations with another word for op": spec(100, lambda n: stem(n, lambda k: f"c{k}: {{type: relu}}")),
    "entries without a value": spec(150, lambda n: stem(n, lambda k: f"c{k}:")),
    "entries of a list without brackets": spec(150, lambda n: f"{HEAD}stem: {{{', '.join(f'c{k}' for k in range(n))}}}\n"),
    "blocks that patch nothing": spec(75, lambda n: blocks(n, lambda k: "{branch: {c: {stride: 2}}}")),
    "slips in expressions": spec(150, lambda n: params(n, lambda k: f"a{k}: {k} && 2")),
    "one slip in many expressions": spec(150, lambda n: params(n, lambda k: f"a{k}: b && c")),
    "joins without inputs": spec(150, lambda n: branch(n, lambda k: f"a{k}: add")),
    "wrong types": spec(50, lambda n: stem(n, lambda k: f"c{k}: {CONV('[x]')}")),
    "deletions of nothing": spec(150, lambda n: params(n, lambda k: f"a{k}: null")),
    "conflicts of shapes": spec(50, lambda n: blocks(n, lambda k: f"{{branch: {{c: {CONV(k + 4)}}}, join: add}}")),
    "words of YAML 1.1": spec(200, lambda n: params(n, lambda k: f"a{k}: yes")),
    "a key twice": spec(600, lambda n: stem(n, lambda k: f"r{k}: relu") + "  r0: relu\n"),
    "many keys twice": spec(600, lambda n: stem(n, lambda k: f"r{k // 2}: relu")),
    "a tab": spec(600, lambda n: stem(n, lambda k: f"r{k}: relu") + "\tx: relu\n"),
    "a wrong indentation": spec(600, lambda n: stem(n, lambda k: f"r{k}: relu") + "     x: relu\n"),
    # warnings
    "unused params": spec(200, lambda n: params(n, lambda k: f"a{k}: 1")),
    "unused blocks": spec(75, lambda n: blocks(n, lambda k: "{branch: {r: relu}}", used=False)),
    "unread arguments": spec(75, lambda n: blocks(n, lambda k: "{defaults: {a: 1}, branch: {r: relu}}")),
    "params in a chain": spec(200, lambda n: params(n, lambda k: f"a{k}: a{k + 1}") + f"  a{n}: 1\n"),
    "biased projections": spec(150, lambda n: projections(n)),
    "doubled operations": spec(250, lambda n: stem(n, lambda k: f"r{k}: relu\n  n{k}: norm\n  m{k}: norm")),
    "activations after many identities": spec(
        150, lambda n: branch(2 * n, lambda k: f"i{k}: identity" if k < n else f"r{k}: {{op: relu, from: i{n - 1}}}")
    ),
    "convolutions without activations": spec(150, lambda n: stem(n, lambda k: f"c{k}: {CONV(4)}\n  n{k}: norm")),
    "comments that suppress": spec(400, lambda n: params(n, lambda k: f"a{k}: 1  # resnet-spec: ignore[unused-definition]")),
    "comments that suppress nothing": spec(100, lambda n: params(n, lambda k: f"a{k}: 1  # resnet-spec: ignore[x{k}]")),
    # texts
    "a long text": spec(60_000, lambda n: f"{NET}about: {'w ' * n}\n"),
    "comments": spec(6_000, lambda n: NET + each(n, lambda k: f"# {k} ignore[", 0)),
    "deep nesting": spec(1, lambda n: stem(60, lambda k: f"c{k}: {'{op: sequential, ops: {i: ' * n}relu{'}}' * n}")),
    "aliases": spec(200, lambda n: f"{HEAD}stem:\n  c: &c {CONV(4)}\n{each(n, lambda k: f'c{k}: *c')}"),
    "names of other scripts": spec(300, lambda n: stem(n, lambda k: f"\u00e9\u4e00{k}: relu")),
    "values of other scripts": spec(75, lambda n: stem(n, lambda k: f"c{k}: {CONV(WORD + str(k))}")),
    "lists of expressions": spec(
        250, lambda n: f"{HEAD}{BLOCK}stages:\n  s: {{depth: {n}, width: [{', '.join(['2 + 2'] * n)}]}}\n"
    ),
    "params that are read": spec(
        100, lambda n: stem(n, lambda k: f"c{k}: {CONV(f'a{k}')}") + f"params:\n{each(n, lambda k: f'a{k}: 4')}"
    ),
    "siblings to insert after": spec(
        150, lambda n: stem(n + 1, lambda k: f"a{k}: {{op: relu, insert_after: a0}}" if k else "a0: relu")
    ),
    # files
    "a chain of files": Family(chain, 4, check),
    "many files": Family(many_files, 20, check),
    # networks
    "operations": spec(250, lambda n: stem(n, lambda k: f"r{k}: relu")),
    "absent operations": spec(100, lambda n: stem(n, lambda k: f"r{k}: {{op: relu, if: 1 != 1}}") + "  last: relu\n"),
    "stages": spec(150, lambda n: stages(n, lambda k: f"s{k}: {{width: 4}}")),
    "blocks of a stage": spec(500, lambda n: stages(1, lambda _: f"s: {{width: 4, depth: {n}}}")),
    "kinds of blocks": spec(75, lambda n: blocks(n, lambda k: "{branch: {r: relu}}")),
    "values of a block": spec(150, lambda n: branch(n, lambda k: f"c{k}: {{op: relu, from: {before(k)}}}")),
    "sizes under group norms": spec(50, lambda n: f"spec: 1\ninput: 3x{2 * n + 9}x{2 * n + 9}\n{NORM}stem:\n{each(n, shrunk)}"),
    "flattened images": spec(25, lambda n: branch(n, flattened, 2 * n + 9)),
    "joins with gates": spec(150, lambda n: f"{HEAD}blocks: {{g: {GATE}}}\nstem:\n{each(n, lambda k: f'g{k}: g')}"),
    "joins of windows": spec(
        75,
        lambda n: f"spec: 1\ninput: 3x{2 * n + 9}x{2 * n + 9}\nblocks: {{g: {MEET}}}\nstem:\n{each(n, lambda k: f'g{k}: g')}",
    ),
    # recipes
    "unknown keys of a recipe": recipe(150, lambda n: each(n, lambda k: f"a{k}: 1", 0)),
    "wrong types in a list of a recipe": recipe(200, lambda n: f"freeze: [{', '.join(['1'] * n)}]\n"),
    "milestones": recipe(
        400,
        lambda n: f"schedule: {{op: multistep, unit: iterations, milestones: [{', '.join(str(k + 1) for k in range(n))}]}}\n",
    ),
    "frozen names": recipe(400, lambda n: f"freeze: [{', '.join(f'a{k}' for k in range(n))}]\n"),
}


def run(family: Family, path: Path) -> None:
    """Read a file, and show what is found in it."""
    try:
        found = family.read(path)
    except ResnetSpecError as error:
        found = error.diagnostics
    render(found, "text")
    render(found, "sarif")


def exponent(sizes: Sequence[int], measured: Sequence[float]) -> float:
    """The e of measured ~ size^e, by least squares over the logarithms."""
    x, y = [math.log(n) for n in sizes], [math.log(m) for m in measured]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


@contextmanager
def no_collection() -> Iterator[None]:
    """Without the cyclic garbage collector, whose pauses depend on all that is in memory."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seconds(family: Family, path: Path, attempts: int) -> float:
    """Processor time; the shortest of some attempts."""
    taken = []
    for _ in range(attempts):
        with no_collection():
            start = time.process_time()
            run(family, path)
            taken.append(time.process_time() - start)
    return min(taken)


def peak(family: Family, path: Path) -> float:
    """The most memory that is allocated at once, in bytes."""
    tracemalloc.start()
    try:
        run(family, path)
        return float(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_work_is_proportional_to_the_input(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    sizes = [times * family.least for times in TIMES]
    paths = []
    for n in sizes:
        folder = tmp_path / str(n)
        folder.mkdir()
        files = family.files(n)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        paths.append(folder / list(files)[-1])
    run(family, paths[0])
    measured = [seconds(family, path, ATTEMPTS[0]) for path in paths]
    if exponent(sizes, measured) >= MOST:
        measured = [seconds(family, path, ATTEMPTS[1]) for path in paths]
    assert exponent(sizes, measured) < MOST, dict(zip(sizes, measured, strict=True))
    memory = [peak(family, path) for path in paths[:2]]
    assert exponent(sizes[:2], memory) < MOST, memory
