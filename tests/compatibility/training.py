"""Runs that version 0.1.0 wrote, and what is asked of them again: shared by the recording and the tests.

Everything here goes through the command line. Runs name their data relative to the working directory, so that they work from
wherever the repository lies; images of folders are made anew, byte for byte the same pixels, by `write_images`.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn

from .command_line import Done, run

HERE = Path(__file__).parent
RUNS = HERE / "runs"
EXPECTED = RUNS / "expected"
RECORDED = RUNS / "recorded.json"
CPU = ("--device", "cpu")
RESULTS = ("last.safetensors", "best.safetensors", "metrics.jsonl", "metrics.csv", "results.json")
NOT_KEPT = ("*.svg", "*.png", "report.html", "confusion.csv", "per_class.csv")  # pictures and tables, which nothing reads again

SPEC = """\
spec: 1
name: small
input: 3x10x10
classes: 4
stem: {conv1: {op: conv2d, out_channels: 8, kernel_size: 3, padding: 1, bias: false}, bn1: norm, relu: act}
block: basic
stages: {layer1: {width: 8}, layer2: {width: 8, stride: 2}}
head:
  avgpool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  drop: {op: dropout, p: 0.2}
  fc: {op: linear, out_features: classes}
"""
RECIPES = {
    "plain": """\
recipe: 1
name: plain
epochs: 2
batch_size: 16
optimizer: {op: SGD, lr: 0.05, momentum: 0.9, weight_decay: 1e-4}
schedule: cosine
save: {keep: 1}
""",
    "full": """\
recipe: 1
name: full
epochs: 3
batch_size: 12
accumulate: 2
seed: 3
optimizer: {op: SGD, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 1e-3}
no_decay: [norm, bias]
schedule: {op: polynomial, power: 2.0, final: 0.01}
warmup: {length: 4, unit: iterations, start: 0.1}
label_smoothing: 0.1
clip_norm: 5.0
ema: {decay: 0.9}
hold_out: 0.25
augment:
  random_crop: {padding: 1}
  random_horizontal_flip: 0.5
  random_erasing: {p: 0.3}
  mixup: 0.2
  cutmix: 1.0
save: {steps: 3, keep: 2}
""",
    "cut": """\
recipe: 1
name: cut
epochs: 3
batch_size: 6
optimizer: {op: AdamW, lr: 0.01}
schedule: one_cycle
split: {validation: 0.3, test: 0.2}
resize: [10, 10]
augment: {random_horizontal_flip: 0.5}
save: {steps: 2, keep: 1}
""",
    "held": """\
recipe: 1
name: held
epochs: 1
batch_size: 6
seed: 5
optimizer: {op: SGD, lr: 0.05, momentum: 0.9}
resize: [10, 10]
hold_out: 0.25
save: {keep: 1}
""",
}
# Of each run: its recipe, its data, and the step whose checkpoint stops it (None: it is finished).
STARTED: dict[str, tuple[str, str, int | None]] = {
    "finished": ("plain", "synthetic:classes=4,size=10,train=48,validation=16,test=16", None),
    "stopped": ("full", "synthetic:classes=4,size=10,train=64,validation=0,test=16", 6),
    "cut": ("cut", "folder:cut_images", 4),
    "held": ("held", "folder:held_images", None),
}
CLASSES = ("ash", "birch", "cedar", "yew")
OF_FOLDERS = ("cut", "held")
SPLITS = ("train", "validation", "test")
FROM_WEIGHTS: dict[str, tuple[str, ...]] = {
    "from_drawn": ("--weights", "drawn.safetensors"),
    "fine_tuned": ("--weights", "finished/best.safetensors", "--set-recipe", "freeze=[conv1, bn1]"),
}
FROM_WEIGHTS_DATA = {
    "from_drawn": STARTED["finished"][1],
    "fine_tuned": "synthetic:classes=3,size=10,train=36,validation=12,test=12",
}


def begin(name: str) -> tuple[str, ...]:
    """The command that began a run."""
    recipe, data, _ = STARTED[name]
    return ("train", "small.yaml", "--recipe", f"{recipe}.yaml", "--data", data, "--out", name, *CPU)


def begin_from_weights(name: str) -> tuple[str, ...]:
    """The command that trains on from recorded weights: those that `build -o` wrote, and others for other classes."""
    data = ("--data", FROM_WEIGHTS_DATA[name])
    return ("train", "small.yaml", "--recipe", "plain.yaml", "--epochs", "1", *data, "--out", name, *FROM_WEIGHTS[name], *CPU)


def prepare(folder: Path) -> None:
    """Spec, recipes and images, in an empty folder."""
    (folder / "small.yaml").write_text(SPEC, encoding="utf-8")
    for name, text in RECIPES.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    write_images(folder)


def copy_fixtures(folder: Path) -> None:
    """The recorded runs and weights beside what `prepare` writes."""
    prepare(folder)
    for name in STARTED:
        shutil.copytree(RUNS / name, folder / name)
    shutil.copy(RUNS / "drawn.safetensors", folder)


def image_names(name: str) -> list[str]:
    """The images of a folder data set: class folders, or such folders below `train` and `test`."""
    if name == "cut":
        return [f"{one}/{one}_{number:02}.png" for one in CLASSES for number in range(9)]
    parts = {"train": 8, "test": 2}
    return sorted(
        f"{part}/{one}/{number:02}.png" for part, count in parts.items() for one in CLASSES for number in range(count)
    )


def write_images(folder: Path) -> None:
    """Images of one color for each class under noise, of several sizes. PNG keeps their pixels whoever writes it."""
    for name in OF_FOLDERS:
        for number, image in enumerate(image_names(name)):
            random = np.random.default_rng(number + 1000 * OF_FOLDERS.index(name))
            label = next(label for label, one in enumerate(CLASSES) if one in image.split("/"))
            pixels = random.integers(0, 90, (10 + number % 3, 10 + number % 4, 3), np.uint8)
            pixels[..., label % 3] += np.uint8(60 + 50 * (label // 3))
            path = folder / f"{name}_images" / image
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def split_members(name: str, folder: Path) -> dict[str, list[str]]:
    """Which images of its data a run has in each split, as the command line reveals it: `eval` names those that it left out.

    Half of the images are damaged, then the other half. The working directory is `folder`.
    """
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    images = image_names(name)
    for half in (0, 1):
        data = Path(shutil.copytree(folder / f"{name}_images", folder / f"{name}_half_{half}"))
        for image in images[half::2]:
            (data / image).write_bytes(b"damaged")
        for split in SPLITS:
            reported = evaluated(name, "--data", f"folder:{data.name}", "--split", split, "--skip-bad")
            found[split] += list(reported["skipped"])
    return {split: sorted(members) for split, members in found.items()}


def evaluated(path: str, *arguments: str) -> dict[str, Any]:
    """What `eval` says in JSON."""
    return good(run("eval", path, *arguments, "--format", "json", *CPU)).json()


def predicted(path: str, *images: str) -> dict[str, Any]:
    """What `predict` says in JSON."""
    return good(run("predict", path, *images, "--top", "4", "--format", "json", *CPU)).json()


def without_additions(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What a later version found, without the keys that it may add at the end: a reader of version 0.1.0 ignores them."""
    assert list(found)[: len(wanted)] == list(wanted)
    return {key: found[key] for key in wanted}


def sha256_of_result(path: Path) -> str:
    """The hash of a result; of `results.json` without the keys that were added since."""
    if path.name != "results.json":
        return sha256(path)
    wanted = json.loads((EXPECTED / "finished" / "results.json").read_text(encoding="utf-8"))
    found = without_additions(json.loads(path.read_text(encoding="utf-8")), wanted)
    return hashlib.sha256((json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()).hexdigest()


def good(done: Done) -> Done:
    assert done.code == 0, done.stdout + done.stderr
    return done


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- the probe -------------------------------------------------------------------------------------------------------------


def probe() -> dict[str, str]:
    """What tells whether this machine computes to the bit as that of the recording: versions, and a hash of a small training.

    It goes through the operations of the runs with numbers of its own, and through numpy's, which draw the synthetic images.
    """
    digest = hashlib.sha256()
    angles = np.arange(4096, dtype=np.float32) / np.float32(7)
    for values in (np.sin(angles), np.cos(angles), np.hypot(angles, angles[::-1])):
        digest.update(values.astype(np.float32).tobytes())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, 2, padding=1),
            nn.Conv2d(8, 8, 1, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(8, 4),
        )
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3, nesterov=True)
        labels = torch.arange(12) % 4
        for _ in range(3):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(torch.rand(12, 3, 10, 10)), labels, label_smoothing=0.1)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimizer.step()
        for value in module.state_dict().values():
            digest.update(value.numpy().tobytes())
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "numbers": digest.hexdigest(),
    }


# --- nearly equal ----------------------------------------------------------------------------------------------------------


def assert_near_run(found: Path, expected: Path) -> None:
    """The results of a run are those expected, but for rounding."""
    results, wanted = (json.loads((folder / "results.json").read_text(encoding="utf-8")) for folder in (found, expected))
    assert_near(without_additions(results, wanted), wanted, "results")
    rows, wanted_rows = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        for folder in (found, expected)
    )
    assert_near(rows, wanted_rows, "metrics")
    assert_near_weights(found / "last.safetensors", expected / "last.safetensors")
    assert (found / "best.safetensors").exists() == (expected / "best.safetensors").exists()
    if (expected / "best.safetensors").exists() and results["best_epoch"] == wanted["best_epoch"]:
        assert_near_weights(found / "best.safetensors", expected / "best.safetensors")


def assert_near(found: Any, wanted: Any, what: str) -> None:
    """Numbers are near: shares of images by two of sixteen, others by 2 percent; the best epoch follows from shares."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), what
        for key, value in wanted.items():
            assert_near(found[key], value, key)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), what
        for one, other in zip(found, wanted, strict=True):
            assert_near(one, other, what)
    elif isinstance(wanted, float):
        share = any(word in what for word in ("accuracy", "top5", "probability"))
        assert math.isclose(found, wanted, rel_tol=0.02, abs_tol=0.126 if share else 1e-3), (what, found, wanted)
    elif what == "confusion":
        assert abs(found - wanted) <= 2, (what, found, wanted)
    elif what == "best_epoch":
        assert (found is None) == (wanted is None)
    else:
        assert found == wanted, what


def assert_near_weights(found: Path, expected: Path) -> None:
    """Two files of weights have the same facts, names, shapes and types, and nearly the same numbers."""
    with safe_open(found, framework="pt") as one, safe_open(expected, framework="pt") as other:
        assert one.metadata() == other.metadata()
        assert list(one.keys()) == list(other.keys())
        for key in list(other.keys()):
            value, wanted = one.get_tensor(key), other.get_tensor(key)
            assert value.dtype == wanted.dtype
            assert value.shape == wanted.shape, key
            assert torch.allclose(value, wanted, rtol=0.02, atol=0.005), key
