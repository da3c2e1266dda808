"""Situations that a command ends in, for `exit_codes.json`: golden mistakes, mistakes of usage, bad recipes, bad data.

`prepare` fills a folder with everything that the situations name; each then is a list of arguments, run in that folder. None of
them changes what another one reads.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .command_line import Done, run

HERE = Path(__file__).parent
INVALID = HERE / "invalid"
EXIT_CODES = HERE / "exit_codes.json"
JSON = ("--message-format", "json")

GOOD = """\
spec: 1
name: good
input: 3x8x8
classes: 4
stem: {c: {op: conv2d, out_channels: 2, kernel_size: 3, bias: false}, n: norm, a: act}
head: {p: {op: adaptive_avg_pool2d, output_size: 1}, f: flatten, l: {op: linear, out_features: classes}}
"""
RECIPE = "recipe: 1\nname: short\nepochs: 1\nbatch_size: 16\noptimizer: {op: SGD, lr: 0.05, momentum: 0.9}\n"
DATA = "synthetic:classes=4,size=8,train=32,validation=8,test=8"
TRAIN = ("train", "good.yaml", "--recipe", "short.yaml", "--data", DATA, "--device", "cpu")


@dataclass(frozen=True, slots=True)
class Situation:
    """A command in the prepared folder. `torch` says whether it imports torch."""

    name: str
    arguments: tuple[str, ...]
    stdin: bytes = b""
    torch: bool = False


# --- golden mistakes -------------------------------------------------------------------------------------------------------


def golden_names() -> list[str]:
    """The frozen golden mistakes."""
    return sorted(path.stem for path in INVALID.glob("*.yaml"))


def golden_arguments(name: str, scratch: Path) -> dict[str, tuple[str, ...]]:
    """What is asked of each golden mistake, in the folder `invalid`; none of these imports torch."""
    spec = f"{name}.yaml"
    return {
        "check": ("check", spec, *JSON),
        "summary": ("summary", spec, *JSON),
        "draw": ("draw", spec, "-o", str(scratch / "drawn.dot"), *JSON),
        "build": ("build", spec, "--dump-ir", *JSON),
    }


# --- specs -----------------------------------------------------------------------------------------------------------------

SPECS: dict[str, str | bytes] = {
    "good.yaml": GOOD,
    "bad.yaml": GOOD.replace("kernel_size: 3", "kernel_size: 99"),
    "warns.yaml": GOOD.replace("name: good", "name: no"),
    "promise.yaml": GOOD + "expect: {params: 1}\n",
    "empty.yaml": "",
    "latin1.yaml": "spec: 1\nname: é\n".encode("latin-1"),
    "zeros.yaml": b"\0" * 64,
    "large.yaml": "spec: 1\nabout: " + "x" * 1_100_000 + "\n",
    "nodes.yaml": "spec: 1\nparams: {a: [" + "1," * 50_100 + "1]}\n",
    "blocks.yaml": GOOD + "stages: {layer1: {width: 2, depth: 20001}}\nblock: basic\n",
    "operations.yaml": GOOD
    + "blocks:\n  many:\n    args: [width]\n    branch:\n"
    + "".join(f"      r{number}: {{op: relu}}\n" for number in range(20))
    + "stages: {layer1: {width: 2, depth: 11000}}\nblock: many\n",
    "unused.yaml": GOOD + "params: {n: 3}\n",
    "unknown_code.yaml": GOOD.replace("name: good", "name: good  # resnet-spec: ignore[nonsense]"),
    "bias.yaml": GOOD.replace("bias: false", "bias: true"),
    "named.yaml": GOOD.replace("name: good", "name: resnet18"),
    "unread.yaml": GOOD.replace("n: norm", "m: {op: max_pool2d, kernel_size: 2, stride: 3}"),
    "small_field.yaml": GOOD.replace("3x8x8", "3x64x64"),
    "over_width.yaml": "spec: 1\ninput: 3x8x8\nhead: {l: {op: linear, out_features: 4}}\n",
    "fixed.yaml": "spec: 1\ninput: 3x8x8\nclasses: 4\nhead: {f: flatten, l: {op: linear, out_features: classes}}\n",
    "before_sum.yaml": GOOD
    + "blocks:\n  late:\n    args: [width]\n    branch:\n"
    + "      c: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1}\n      r: relu\n    join: add\n"
    + "stages: {layer1: {width: 2, depth: 1}}\nblock: late\n",
    "grouped.yaml": GOOD.replace("n: norm", "n: {op: group_norm, num_groups: 2}").replace("kernel_size: 3", "kernel_size: 8"),
    "too_long.yaml": GOOD + f"params: {{n: {'1 + ' * 80}1}}\n",
    "too_deep.yaml": GOOD.replace("out_channels: 2", f"out_channels: '{'max(1, ' * 21}2{')' * 21}'"),
    "domain.yaml": GOOD + "params: {n: log2(0)}\nstages: {layer1: {width: n}}\nblock: basic\n",
    "duplicate.yaml": GOOD + "blocks: {b: {args: [width, width], branch: {r: relu}}}\nstages: {layer1: {width: 2}}\nblock: b\n",
    "gray.yaml": GOOD.replace("3x8x8", "1x8x8"),
    "four.yaml": GOOD.replace("3x8x8", "4x8x8"),
    "rigid.yaml": GOOD.replace("classes: 4\n", "").replace("out_features: classes", "out_features: 4"),
    "no_head.yaml": "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3}}\n",
    "flat.yaml": "spec: 1\ninput: 3x8x8\nclasses: 4\nhead: {f: flatten, l: {op: linear, out_features: classes}}\n",
    "huge.yaml": "spec: 1\ninput: 3x8x8\nclasses: 4\nhead:\n  p: {op: adaptive_avg_pool2d, output_size: 1}\n  f: flatten\n"
    "  l: {op: linear, out_features: 800000}\n  m: {op: linear, out_features: 1000000}\n"
    "  n: {op: linear, out_features: classes}\n",
    "own_recipe.yaml": GOOD + "recipe: nonsense\n",
    "turned.yaml": GOOD.replace("3x8x8", "8x8x3").replace("kernel_size: 3", "kernel_size: 1"),
    "below/up.yaml": "spec: 1\nextends: ../good.yaml\n",
}

_CHECKED = [name for name in SPECS if name not in ("good.yaml", "below/up.yaml", "gray.yaml", "four.yaml", "rigid.yaml")]


def _specs() -> Iterator[Situation]:
    yield Situation("check of a good spec", ("check", "good.yaml", *JSON))
    for name in _CHECKED:
        yield Situation(f"check {name}", ("check", name, *JSON))
    for arguments in (
        ("check", "warns.yaml", "-W", "error"),
        ("check", "good.yaml", "bad.yaml"),
        ("check", "missing.yaml", "bad.yaml"),
        ("check", "missing.yaml", "good.yaml"),
        ("check", "good.yaml", "--set", "stem.d.bias=true"),
        ("check", "promise.yaml", "--set", "stem.c.bias=true"),
        ("check", "cifar-fast"),
        ("check", "short.yaml"),
        ("check", "link.yaml"),
        ("check", "loop.yaml"),
        ("check", "-"),
        ("check", "below/up.yaml"),
        ("check", "below/up.yaml", "--spec-root", "below"),
        ("check", "good.yaml", "--select", "yaml-1.1"),
    ):
        yield Situation(" ".join(arguments), (*arguments, *JSON))
    yield Situation("check of a good standard input", ("check", "-", *JSON), GOOD.encode())
    yield Situation("check of a bad standard input", ("check", "-", *JSON), SPECS["bad.yaml"].encode())  # type: ignore[union-attr]
    yield Situation("check of a standard input that is not UTF-8", ("check", "-", *JSON), b"\xff\xfe")


# --- usage -----------------------------------------------------------------------------------------------------------------

# Each is `COMMAND SPEC` with further arguments; torch is not imported before the mistake is found.
_OF_A_SPEC: dict[str, tuple[str, ...]] = {
    "check": ("check",),
    "summary": ("summary",),
    "build": ("build", "--dump-ir"),
    "draw": ("draw", "-o", "scratch/x.dot"),
}
_OF_EVERY_SPEC: tuple[tuple[str, ...], ...] = (
    ("good.yaml",),
    ("missing.yaml",),
    ("misspelt_resnet18",),
    ("folder",),
    ("folder/",),
    ("n" * 300,),
    ("",),
    ("a\nb",),
    ("latin1.yaml",),
    ("empty.yaml",),
    ("short.yaml",),
    ("block:nonsense",),
    ("block:basic",),
    ("good.yaml", "--bogus"),
    ("good.yaml", "--set", "nonsense"),
    ("good.yaml", "--set", "=3"),
    ("good.yaml", "--set", "classes=[1"),
    ("good.yaml", "--set", "classes=0"),
    ("good.yaml", "--set", "nothing.there=1"),
    ("good.yaml", "--set", "stem.z="),
    ("good.yaml", "--set", "extends=resnet18"),
    ("good.yaml", "--set"),
    ("good.yaml", "--spec-root", "missing"),
    ("good.yaml", "--message-format", "xml"),
    ("good.yaml", "--color", "sometimes"),
)


def _usage() -> Iterator[Situation]:
    for command, words in _OF_A_SPEC.items():
        for more in _OF_EVERY_SPEC:
            form = () if "--message-format" in more or more[-1] == "--set" else JSON
            shown = " ".join(word[:40].replace("\n", "\\n") for word in more) or "an empty name"
            yield Situation(f"{command}: {shown}", (words[0], more[0], *words[1:], *more[1:], *form))
    for arguments in (
        ("nonsense",),
        ("chek", "good.yaml"),
        ("--version",),
        ("--help",),
        ("--bogus",),
        ("check",),
        ("check", "--help"),
        ("check", "good.yaml", "--select", "nonsense"),
        ("check", "good.yaml", "-W", "everything"),
        ("summary",),
        ("summary", "good.yaml", "bad.yaml"),
        ("summary", "good.yaml", "--input", "3x8"),
        ("summary", "good.yaml", "--input", "8"),
        ("summary", "good.yaml", "--input", "3x1x1"),
        ("summary", "good.yaml", "--input", "4x8x8"),
        ("summary", "good.yaml", "--batch", "0"),
        ("summary", "good.yaml", "--detail", "nonsense"),
        ("summary", "good.yaml", "--dtype", "float8"),
        ("summary", "block:basic", "--input", "8x8x8"),
        ("summary", "block:basic", "--input", "8x8x8", "--set", "width=8"),
        ("summary", "block:basic", "--input", "8x8"),
        ("build",),
        ("build", "bad.yaml", "-o", "scratch/w.safetensors"),
        ("build", "good.yaml", "-o", "scratch/weights.bin"),
        ("build", "good.yaml", "-o", "folder.safetensors"),
        ("build", "good.yaml", "--check-shape", "3x8"),
        ("build", "good.yaml", "--check-shape", "3x1x1"),
        ("build", "good.yaml", "--batch", "0"),
        ("build", "good.yaml", "--seed", "one"),
        ("draw", "good.yaml"),
        ("draw", "good.yaml", "-o", "scratch/x.gif"),
        ("draw", "good.yaml", "-o", "scratch/x"),
        ("draw", "good.yaml", "-o", "scratch/x", "--type", "dot"),
        ("draw", "good.yaml", "-o", "-"),
        ("draw", "good.yaml", "-o", "-", "--type", "dot"),
        ("draw", "good.yaml", "-o", "nowhere/x.dot"),
        ("draw", "good.yaml", "-o", "good.yaml/x.dot"),
        ("draw", "good.yaml", "-o", "folder.dot"),
        ("draw", "good.yaml", "-o", "scratch/x.dot", "--show", "nonsense"),
        ("draw", "good.yaml", "-o", "scratch/x.dot", "--input", "3x8"),
        ("draw", "good.yaml", "-o", "scratch/x.dot", "--input", "3x1x1"),
        ("draw", "bad.yaml", "-o", "scratch/x.dot"),
        ("draw", "cifar_resnet1202", "--detail", "op", "--expand", "-o", "scratch/x.png"),
    ):
        plain = len(arguments) == 1 or "--help" in arguments or arguments[0] == "chek"
        yield Situation(" ".join(arguments), arguments if plain else (*arguments, *JSON))
    for arguments in (
        ("new",),
        ("new", "scratch/new.txt"),
        ("new", "good.yaml"),
        ("new", "folder"),
        ("new", "folder.yaml"),
        ("new", "nowhere/x.yaml"),
        ("new", "good.yaml/x.yaml"),
        ("new", "scratch/new.yaml"),
        ("new", "scratch/other.yaml", "--bogus"),
        ("list",),
        ("list", "extra"),
        ("list", "--bogus"),
        ("list", "--format", "yaml"),
        ("list", "--format", "json"),
        ("list", "--blocks"),
        ("list", "--operations"),
        ("list", "--recipes"),
        ("schema",),
        ("schema", "--recipe"),
        ("schema", "extra"),
        ("explain",),
        ("explain", "shape-mismatch"),
        ("explain", "nonsense"),
        ("explain", "--format", "markdown"),
        ("explain", "nonsense", "--format", "markdown"),
        ("explain", "--bogus"),
    ):
        yield Situation(" ".join(arguments), arguments)


# --- recipes ---------------------------------------------------------------------------------------------------------------

RECIPES = (
    "recipe: 1\nepoch: 5\n",
    "recipe: 1\nbatch_size: 5\n",
    "recipe: 1\nepochs: 5\niterations: 7\n",
    "recipe: 1\nextends: cifar-fast\niterations: 100\n",
    "recipe: 1\nepochs: 0\n",
    "recipe: 1\nepochs: 1.5\n",
    "recipe: 1\nepochs: [5]\n",
    "recipe: 1\nepochs: 5\nextends: nowhere\n",
    "recipe: 1\nepochs: 5\nseed: 4294967296\n",
    "recipe: 1\nepochs: 5\noptimizer: null\n",
    "recipe: 1\nepochs: 5\noptimizer: adam\n",
    "recipe: 1\nepochs: 5\noptimizer: {op: RMSprop}\n",
    "recipe: 1\nepochs: 5\noptimizer: {op: SGD, lr: 0.1, momentun: 0.9}\n",
    "recipe: 1\nepochs: 5\noptimizer: {op: SGD, lr: -1}\n",
    "recipe: 1\nepochs: 5\noptimizer: {op: Nonsense, lr: 0.1}\n",
    "recipe: 1\nepochs: 5\nschedule: cosin\n",
    "recipe: 1\nepochs: 5\nschedule: multistep\n",
    "recipe: 1\nepochs: 5\nschedule: {op: multistep, milestones: [-5]}\n",
    "recipe: 1\nepochs: 5\nwarmup: {start: 0.1}\n",
    "recipe: 1\nepochs: 5\nbatch_size: 4\naccumulate: 5\n",
    "recipe: 1\nepochs: 5\nresize: [5]\n",
    "recipe: 1\nepochs: 5\ncrop: big\n",
    "recipe: 1\nepochs: 5\nresize: 8\ncrop: 9\n",
    "recipe: 1\nepochs: 5\nnormalize: {std: [0, 1, 1]}\n",
    "recipe: 1\nepochs: 5\nnormalize: {mean: [0.5, 0.5], std: [1, 1]}\n",
    "recipe: 1\nepochs: 5\nnormalize: {mean: imagnet}\n",
    "recipe: 1\nepochs: 5\nsplit: {validation: 0.6, test: 0.4}\n",
    "recipe: 1\nepochs: 5\nhold_out: 1\n",
    "recipe: 1\nepochs: 5\naugment: {hflip: 0.5}\n",
    "recipe: 1\nepochs: 5\naugment: {random_crop: {padding: 1000000}}\n",
    "recipe: 1\nepochs: 5\naugment: {random_crop: {padding: 4}, random_resized_crop: {}}\n",
    "recipe: 1\nepochs: 5\naugment: {random_resized_crop: {scale: [1.0, 0.08]}}\n",
    "recipe: 1\nepochs: 5\ncompile: true\nsegments: 3\n",
    "recipe: 1\nepochs: 5\nno_decay: [norm, norm]\n",
    "recipe: 1\nepochs: 5\nno_decay: [weight]\n",
    "recipe: 1\nepochs: 5\nfreeze: [nonsense]\n",
    "recipe: 1\nepochs: 5\nfreeze: [c, n, l]\n",
    "recipe: 1\nepochs: 5\nprecision: half\n",
    "recipe: 1\nepochs: 5\nema: {decay: 2}\n",
    "recipe: 1\nepochs: 5\nsave: {keep: 0}\n",
    "recipe: 1\nepochs: 0\nbatch_size: a\nnonsense: 1\n",
    "epochs: 5\n",
    "recipe: 2\n",
    "spec: 1\n",
    "- recipe: 1\n",
    "",
    "recipe: 1\nepochs: 5\nname: no\n",
)
RECIPE_PATCHES = (
    "optimizer",
    "optimzer.lr=1",
    "optimizer=",
    "warmup=",
    "extends=he2015-cifar",
    "recipe=2",
    "batch_size=0",
    "iterations=7",
    "batch_size=1",
    "hold_out=0.001",
    "sync_batch_norm=true",
)


def _recipes() -> Iterator[Situation]:
    def dry(name: str, *arguments: str) -> Situation:
        return Situation(name, (*arguments, "--dry-run", *JSON), torch=True)

    data = ("--data", DATA, "--device", "cpu")
    for number, text in enumerate(RECIPES):
        shown = text.replace("\n", "; ").removesuffix("; ") or "empty"
        yield dry(f"train by the recipe {shown}", "train", "good.yaml", "--recipe", f"recipes/{number}.yaml", *data)
    for patch in RECIPE_PATCHES:
        yield dry(f"train --set-recipe {patch}", *TRAIN, "--set-recipe", patch)
    for arguments in (
        ("train", "good.yaml", "--recipe", "cifar-fsat"),
        ("train", "good.yaml", "--recipe", "missing.yaml"),
        ("train", "good.yaml", "--recipe", "folder"),
        ("train", "good.yaml", "--recipe", "good.yaml"),
        ("train", "short.yaml", "--recipe", "short.yaml"),
        ("train", "bad.yaml", "--recipe", "short.yaml"),
        ("train", "own_recipe.yaml"),
        ("train", "huge.yaml", "--recipe", "short.yaml"),
        ("train", "no_head.yaml", "--recipe", "short.yaml"),
    ):
        yield dry(" ".join(arguments), *arguments, *data)


# --- data ------------------------------------------------------------------------------------------------------------------

DATA_SETS = (
    "folder:missing",
    "folder:good.yaml",
    "folder",
    "folder:",
    "missing",
    "cifra10:x",
    "nonsense:x",
    "folder:data/none",
    "folder:data/one_class",
    "folder:data/loose",
    "folder:data/empty_class",
    "folder:data/strange_class",
    "folder:data/train_is_empty",
    "folder:data/damaged",
    "folder:data/dangling",
    "folder:data/sizes",
    "folder:data/gray",
    "folder:data/good",
    "cifar10:data/none",
    "cifar10:data/cut_cifar",
    "cifar10:data/strange_label",
    "cifar10:data/pickled",
    "cifar100:data/none",
    "mnist:data/none",
    "mnist:data/bad_mnist",
    "imagenet:data/none",
    "imagenet:data/flat_imagenet",
    "synthetic:clases=3",
    "synthetic:classes=1",
    "synthetic:train=0",
    "synthetic:size=many",
    "synthetic:size=8,classes=4,train=8,validation=0,test=0",
)


def _data() -> Iterator[Situation]:
    for data in DATA_SETS:
        yield Situation(f"stats {data}", ("stats", data, *JSON), torch=True)
        train = ("train", "good.yaml", "--recipe", "short.yaml", "--device", "cpu", "--dry-run")
        yield Situation(f"train on {data}", (*train, "--data", data, *JSON), torch=True)
        yield Situation(f"eval on {data}", ("eval", "weights.safetensors", "--data", data, *JSON), torch=True)
    dry = ("train", "--recipe", "short.yaml", "--device", "cpu", "--dry-run")
    for arguments in (
        (*dry, "rigid.yaml", "--data", "folder:data/good"),
        (*dry, "four.yaml", "--data", "folder:data/good"),
        (*dry, "gray.yaml", "--data", "folder:data/good"),
        (*dry, "flat.yaml", "--data", DATA, "--set-recipe", "resize=[9, 9]"),
        (*dry, "good.yaml", "--data", "folder:data/damaged", "--skip-bad"),
        (*dry, "good.yaml", "--data", "folder:data/dangling", "--skip-bad"),
        ("train", "good.yaml", "--data", "cifar10:data/none", "--dry-run"),
        ("stats", "folder:data/damaged", "--skip-bad"),
        ("stats",),
        ("stats", DATA, "--input", "3x8"),
        ("stats", DATA, "--bogus"),
        ("stats", DATA, "--format", "yaml"),
        ("eval", "weights.safetensors", "--data", DATA, "--split", "validation"),
        ("eval", "weights.safetensors", "--data", "synthetic:classes=4,size=8,train=8,validation=0,test=0"),
        ("eval", "weights.safetensors", "--data", "folder:data/good"),
        ("eval", "weights.safetensors", "--split", "nonsense"),
    ):
        yield Situation(" ".join(arguments), (*arguments, *JSON), torch=True)


# --- runs, weights, checkpoints --------------------------------------------------------------------------------------------


def _training() -> Iterator[Situation]:
    for arguments in (
        ("train",),
        ("train", "good.yaml", "--resume", "run"),
        ("train", "good.yaml", "--resume", "missing"),
        ("train", "--resume", "missing"),
        ("train", "--resume", "good.yaml"),
        ("train", "--resume", "folder"),
        ("train", "--resume", "run", "--lr", "1"),
        ("train", "--resume", "run", "--set", "classes=3"),
        ("train", "--resume", "run", "--device", "gpu"),
        ("train", "--resume", "run", "--dry-run", "--device", "cpu"),
        ("train", "--resume", "run", "--dry-run", "--device", "cpu", "--data", "folder:missing"),
        (
            *("train", "--resume", "run", "--dry-run", "--device", "cpu"),
            *("--data", "synthetic:classes=4,size=8,train=40,validation=8,test=8"),
        ),
        ("train", "--resume", "run_other_spec", "--device", "cpu"),
        ("train", "--resume", "run_broken_spec", "--device", "cpu"),
        ("train", "--resume", "run_no_spec", "--device", "cpu"),
        ("train", "--resume", "run_other_recipe", "--device", "cpu"),
        ("train", "--resume", "run_broken_recipe", "--device", "cpu"),
        ("train", "--resume", "run_broken_json", "--device", "cpu"),
        ("train", "--resume", "run_list_json", "--device", "cpu"),
        ("train", "--resume", "run_other_preparation", "--device", "cpu"),
        ("train", "--resume", "run_other_labels", "--device", "cpu"),
        ("train", "--resume", "run_damaged_checkpoint", "--dry-run", "--device", "cpu"),
        ("train", "--resume", "run_from_weights_damaged", "--device", "cpu"),
        ("train", "missing.yaml", "--device", "cpu"),
        ("train", "good.yaml", "--bogus"),
        ("train", "good.yaml", "--device", "gpu"),
        ("train", "good.yaml", "--device", "cuda:99"),
        ("train", "good.yaml", "--lr", "fast"),
        ("train", "good.yaml", "--epochs", "0"),
        ("train", "good.yaml", "--batch-size", "0"),
        ("train", "good.yaml", "--seed", "-1"),
        ("train", "good.yaml", "--precision", "half"),
        ("train", "good.yaml", "--workers", "-1"),
        ("train", "good.yaml", "--set", "nonsense"),
        ("train", "good.yaml", "--weights", "missing.safetensors"),
        ("train", "good.yaml", "--weights", "folder"),
        ("train", "good.yaml", "--out", "good.yaml"),
        (*TRAIN, "--dry-run"),
        (*TRAIN, "--dry-run", "--overfit-batch"),
        (*TRAIN, "--dry-run", "--out", "run"),
        (*TRAIN, "--dry-run", "--out", "folder"),
        (*TRAIN, "--dry-run", "--out", "good.yaml/run"),
        (*TRAIN, "--dry-run", "--weights", "short.yaml"),
        (*TRAIN, "--dry-run", "--weights", "weights.safetensors"),
        (*TRAIN, "--dry-run", "--weights", "drawn.safetensors"),
        (*TRAIN, "--dry-run", "--weights", "cut.safetensors"),
        (*TRAIN, "--dry-run", "--weights", "bare.safetensors"),
        (*TRAIN, "--dry-run", "--weights", "wider.safetensors"),
        (*TRAIN, "--lr", "-1"),
        (*TRAIN, "--out", "good.yaml/run"),
        (*TRAIN, "--lr", "1e20", "--set-recipe", "schedule=constant", "--out", "scratch/diverged"),
        (*TRAIN, "--out", "scratch/name_that_is_far_too_long_" + "x" * 300),
    ):
        yield Situation(" ".join(arguments).replace("x" * 300, "xxx..."), (*arguments, *JSON), torch=True)


def _using() -> Iterator[Situation]:
    for run_ in (
        *("run", "weights.safetensors", "missing", "missing.safetensors", "folder", "good.yaml", "cut.safetensors"),
        *("bare.safetensors", "drawn.safetensors", "run_no_weights", "run_broken_json", "run_other_spec"),
        *("other_fingerprint.safetensors", "other_tensors.safetensors", "other_classes.safetensors", "broken_spec.safetensors"),
    ):
        yield Situation(f"eval {run_}", ("eval", run_, *JSON), torch=True)
        yield Situation(f"predict {run_} image.png", ("predict", run_, "image.png", *JSON), torch=True)
    for arguments in (
        ("eval",),
        ("eval", "run", "--bogus"),
        ("eval", "run", "--device", "gpu"),
        ("eval", "run", "--batch-size", "0"),
        ("eval", "run", "--format", "yaml"),
        ("predict",),
        ("predict", "run"),
        ("predict", "run", "missing.png"),
        ("predict", "run", "folder"),
        ("predict", "run", "data/good"),
        ("predict", "run", "good.yaml"),
        ("predict", "run", "broken.png"),
        ("predict", "run", "broken.png", "image.png"),
        ("predict", "run", "image.png", "--bogus"),
        ("predict", "run", "image.png", "--top", "0"),
        ("predict", "run", "image.png", "--device", "gpu"),
        ("build", "good.yaml", "-o", "scratch/w.safetensors"),
        ("build", "good.yaml", "-o", "nowhere/w.safetensors"),
        ("build", "good.yaml", "-o", "good.yaml/w.safetensors"),
        ("build", "good.yaml", "--check-shape", "3x9x9"),
        ("build", "promise.yaml"),
        ("build", "huge.yaml", "-o", "scratch/w.safetensors"),
    ):
        yield Situation(" ".join(arguments), (*arguments, *JSON), torch=True)


def situations() -> list[Situation]:
    """All of them but the golden mistakes, with names that differ."""
    found: dict[str, Situation] = {}
    for each in (*_specs(), *_usage(), *_recipes(), *_data(), *_training(), *_using()):
        assert found.setdefault(each.name, each) == each, f"two situations are called {each.name}"
    return list(found.values())


def outcome(done: Done) -> list[object]:
    """What `exit_codes.json` keeps: the exit code, and severity and code of each finding."""
    return [done.code, done.findings]


# --- the folder ------------------------------------------------------------------------------------------------------------


def prepare(folder: Path, torch: bool) -> None:
    """Write everything that the situations name into an empty folder; with `torch` also runs and weights, in that folder."""
    for name, text in SPECS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    for name in ("folder", "folder.yaml", "folder.dot", "folder.safetensors", "scratch"):
        (folder / name).mkdir()
    (folder / "folder" / "x.yaml").write_text(GOOD, encoding="utf-8")
    (folder / "link.yaml").symlink_to("good.yaml")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "short.yaml").write_text(RECIPE, encoding="utf-8")
    if torch:
        (folder / "recipes").mkdir()
        for number, recipe in enumerate(RECIPES):
            (folder / "recipes" / f"{number}.yaml").write_text(recipe, encoding="utf-8")
        _write_data(folder / "data")
        _write_image(folder / "image.png", 1)
        (folder / "broken.png").write_bytes((folder / "image.png").read_bytes()[:40])
        _write_runs(folder)


def _write_image(path: Path, number: int, size: tuple[int, int] = (8, 8), gray: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if gray else (*size, 3)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, shape, np.uint8)).save(path)


def _write_data(data: Path) -> None:
    """Data sets that are good, and wrong in one way each."""
    (data / "none").mkdir(parents=True)

    def classes(name: str, *names: str, count: int = 4, size: tuple[int, int] = (8, 8), gray: bool = False) -> Path:
        for label, one in enumerate(names or ("a", "b", "c", "d")):
            for number in range(count):
                for part in ("train", "val", "test"):
                    _write_image(data / name / part / one / f"{number}.png", 100 * label + number + len(part), size, gray)
        return data / name

    classes("good")
    classes("sizes", size=(9, 7))
    classes("gray", gray=True)
    classes("one_class", "a")
    _write_image(data / "loose" / "0.png", 0)
    (classes("empty_class", "a", "b") / "train" / "c").mkdir()
    _write_image(classes("strange_class", "a", "b") / "test" / "z" / "0.png", 0)
    shutil.rmtree(classes("train_is_empty", "a", "b") / "train" / "a")
    shutil.rmtree(data / "train_is_empty" / "train" / "b")
    (classes("damaged") / "train" / "a" / "0.png").write_bytes(b"no image")
    (classes("dangling") / "train" / "a" / "x.png").symlink_to("nowhere.png")
    for name, label, cut in (("cut_cifar", 0, 5), ("strange_label", 11, 0)):
        place = data / name / "cifar-10-batches-bin"
        place.mkdir(parents=True)
        for batch in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
            (place / f"{batch}.bin").write_bytes((bytes([label]) + bytes(3072)) * 2)
        (place / "data_batch_2.bin").write_bytes((bytes([label]) + bytes(3072 - cut)) * 2)
    place = data / "pickled" / "cifar-10-batches-py"
    place.mkdir(parents=True)
    for batch in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        (place / batch).write_bytes(pickle.dumps(os.getcwd, 2))
    (data / "bad_mnist").mkdir()
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (data / "bad_mnist" / name).write_bytes(b"\0\0\x08\x03" + bytes(9))
    for name in ("n00000001", "n00000002"):
        _write_image(data / "flat_imagenet" / "train" / name / f"{name}_0.png", 0)
    _write_image(data / "flat_imagenet" / "val" / "v_0.png", 0)


def _write_runs(folder: Path) -> None:
    """A run and its weights, and copies that are wrong in one way each; in the working directory `folder`."""
    for arguments in (
        (*TRAIN, "--out", "run"),
        ("build", "good.yaml", "-o", "drawn.safetensors"),
        ("build", "good.yaml", "--set", "stem.c.out_channels=4", "-o", "wider.safetensors"),
    ):
        done = run(*arguments)
        assert done.code == 0, done.stderr
    whole = folder / "run"

    def copy(name: str) -> Path:
        return Path(shutil.copytree(whole, folder / name))

    def change(path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    change(copy("run_other_spec") / "spec.yaml", "kernel_size: 3", "kernel_size: 5")
    change(copy("run_broken_spec") / "spec.yaml", "kernel_size: 3", "kernel_size: 99")
    (copy("run_no_spec") / "spec.yaml").unlink()
    change(copy("run_other_recipe") / "recipe.yaml", "op: SGD, lr: 0.05, momentum: 0.9", "op: Adam, lr: 0.05")
    change(copy("run_broken_recipe") / "recipe.yaml", "op: SGD", "op: SDG")
    change(copy("run_broken_json") / "run.json", "{", "(")
    (copy("run_list_json") / "run.json").write_text("[]\n", encoding="utf-8")
    change(copy("run_other_preparation") / "run.json", '"channels": 3', '"channels": "many"')
    change(copy("run_other_labels") / "run.json", '"labels": "', '"labels": "0')
    for name in ("run_damaged_checkpoint", "run_from_weights_damaged"):
        for path in (copy(name) / "checkpoints").iterdir():
            path.write_bytes(path.read_bytes()[:100])
    change(folder / "run_from_weights_damaged" / "run.json", '"weights": false', '"weights": true')
    bare = copy("run_no_weights")
    for path in bare.glob("*.safetensors"):
        path.unlink()
    shutil.copy(whole / "last.safetensors", folder / "weights.safetensors")
    data = (whole / "last.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(data[: len(data) // 2])
    length = int.from_bytes(data[:8], "little")
    header, tensors = json.loads(data[8 : 8 + length]), data[8 + length :]
    facts = header["__metadata__"]

    def weights(name: str, metadata: dict[str, str] | None, rows: dict[str, object] | None = None) -> None:
        text = json.dumps({**({} if metadata is None else {"__metadata__": metadata}), **(rows or _tensors(header))}).encode()
        text += b" " * (-len(text) % 8)
        (folder / f"{name}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + tensors)

    spec = facts["resnet_spec.spec"]
    weights("bare", None)
    weights("other_fingerprint", facts | {"resnet_spec.fingerprint": "rs1:" + "0" * 32})
    weights("other_classes", facts | {"resnet_spec.classes": '["a", "b"]'})
    weights("broken_spec", facts | {"resnet_spec.spec": spec.replace("kernel_size: 3", "kernel_size: 99")})
    renamed = {("z.weight" if key == "l.weight" else key): row for key, row in _tensors(header).items()}
    weights("other_tensors", facts, renamed)


def _tensors(header: dict[str, object]) -> dict[str, object]:
    return {key: row for key, row in header.items() if key != "__metadata__"}
