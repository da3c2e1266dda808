"""Whatever is wrong with data, memory, disk or rate is reported in words, and what there was before is kept."""

from __future__ import annotations

import errno
import json
import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import resnet_spec
from resnet_spec._system import files
from resnet_spec.diagnostics import ArgumentError, ResnetSpecError
from resnet_spec.report.record import read_rows
from resnet_spec.training import checkpoints, device, loop, reading, run_record, runs, session
from resnet_spec.training import run_folder as folder
from resnet_spec.training.console import Console
from resnet_spec.training.device import find_device
from resnet_spec.weights import file as weights
from tests.training.tiny import DATA, SPEC, ready, recipe, refused, train, write_folder

pytestmark = pytest.mark.torch
STREAMED: dict[str, Any] = {"augment": {"random_resized_crop": {}}}  # of images of many sizes: read in every epoch anew


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pictures, which take longer than the training."""
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


def assert_finite(run: Path) -> None:
    """No file of a run holds a number that is none."""
    found = list(run.glob("*.safetensors"))
    for path in found:
        assert all(bool(torch.isfinite(value).all()) for value in load_file(path).values())
    newest = checkpoints.newest(run, pytest.fail)
    if newest is not None:
        state: Any = newest.state
        assert all(bool(torch.isfinite(value).all()) for value in state["module"].values())
    for path in run.glob("metrics.*"):
        assert "nan" not in path.read_text(encoding="utf-8").lower()


# --- data ------------------------------------------------------------------------------------------------------------------


def test_data_that_are_not_there_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "one" / "cat" / "1.png")
    out = tmp_path / "run"
    assert refused(lambda: train(out, f"folder:{tmp_path}/nowhere")).code == "missing-data"
    assert refused(lambda: train(out, f"folder:{tmp_path}/empty")).code == "no-images"
    assert refused(lambda: train(out, f"folder:{tmp_path}/one")).code == "no-classes"
    assert refused(lambda: train(out, f"cifar10:{tmp_path}/empty")).code == "missing-data"
    assert refused(lambda: train(out, str(tmp_path / "one"))).code == "unknown-data"
    assert not out.exists()


@pytest.mark.usefixtures("plain")
def test_images_of_every_kind_train(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data")
    random = np.random.default_rng(1)
    colors = Image.fromarray(random.integers(0, 256, (14, 16, 3), np.uint8))
    place = tmp_path / "data" / "train" / "cat"
    for mode, suffix in (("L", "png"), ("P", "png"), ("CMYK", "tif"), ("RGBA", "png"), ("LA", "png"), ("1", "png")):
        colors.convert(mode).save(place / f"mode{mode}.{suffix}")
    Image.fromarray(random.integers(0, 65536, (14, 16), np.uint16)).save(place / "sixteen.png")
    result = train(tmp_path / "run", data)
    asked = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert asked["counts"]["training"] == 24 + 7
    assert not result.skipped


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("changes", [{}, STREAMED], ids=["held", "streamed"])
def test_a_damaged_image_is_named_or_passed_over_and_counted(tmp_path: Path, changes: dict[str, Any]) -> None:
    data = write_folder(tmp_path / "data")
    bad = tmp_path / "data" / "train" / "dog" / "7.png"
    bad.write_bytes(bad.read_bytes()[:90])
    normalize = {"mean": "half", "std": "half"}
    found = refused(lambda: train(tmp_path / "run", data, workers=0, normalize=normalize, **changes))
    assert found.code == "bad-image"
    assert "train/dog/7.png" in found.message
    assert "--skip-bad" in found.help
    result = train(tmp_path / "other", data, workers=0, skip_bad=True, normalize=normalize, **changes)
    assert list(result.skipped) == ["train/dog/7.png"]
    results = json.loads((tmp_path / "other" / "results.json").read_text(encoding="utf-8"))
    assert results["skipped_images"] == 1


def test_a_label_out_of_range_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "cifar-10-batches-bin"
    place.mkdir()
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        (place / name).write_bytes(bytes(3073 * 4))
    (place / "data_batch_3.bin").write_bytes(bytes(3073 * 2) + b"\x0b" + bytes(3072))
    found = refused(lambda: ready(f"cifar10:{tmp_path}", "cifar_resnet20"))
    assert found.code == "damaged-data"
    assert "data_batch_3.bin" in found.message
    assert "label 11" in found.message


def test_channels_that_images_do_not_have_are_refused(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data")
    found = refused(lambda: ready(data, set=("input=4x12x12",)))
    assert found.code == "data-channels"


@pytest.mark.usefixtures("plain")
def test_a_gray_network_sees_the_luma_of_colors(tmp_path: Path) -> None:
    """Against Pillow's own conversion."""
    data = write_folder(tmp_path / "data")
    started = ready(data, set=("input=1x14x16",), normalize={"mean": "none", "std": "none"}, batch_size=100)
    (batch,) = next(started.feeds.training.epoch(0))
    images = [Image.open(path).convert("L") for path in sorted((tmp_path / "data" / "train").rglob("*.png"))]
    wanted = sorted(np.asarray(image).tobytes() for image in images)
    assert sorted(image.mul(255).round().to(torch.uint8).numpy().tobytes() for image in batch.images) == wanted


@pytest.mark.usefixtures("plain")
def test_class_names_of_any_characters_are_inert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("<b>bold", "<script>alert(1)", "\"quo'te", "new\nline", "$x^2$", "😀", "\u202egnp", "%s{0}", "=cmd|x", "\x1b[31m")
    data = write_folder(tmp_path / "data", names, count=3)
    monkeypatch.undo()  # with pictures
    result = train(tmp_path / "run", data, epochs=1)
    assert set(result.classes) == set(names)

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: set[str] = set()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.add(tag)
            assert not [name for name, _ in attrs if name.startswith("on")]

    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert "script" not in reader.tags
    assert "<b>bold" not in page
    assert "\u202e" not in page
    for name in ("curves.svg", "confusion.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(tmp_path / "run" / name).iter()}
        assert not tags & {"script", "b"}
    for path in (tmp_path / "run").iterdir():
        if path.suffix in (".csv", ".html", ".yaml", ".svg"):
            assert b"\x1b" not in path.read_bytes(), path.name
    asked = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert tuple(asked["classes"]) == result.classes


@pytest.mark.usefixtures("plain")
def test_data_that_vanish_are_reported(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", count=40)
    gone = lambda step: shutil.rmtree(tmp_path / "data") if step == 1 else None  # noqa: E731
    found = refused(lambda: train(tmp_path / "run", data, on_step=gone, workers=0, **STREAMED))
    assert found.code == "bad-image"
    assert "No such file" in found.message


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("most", [30, 1000])
def test_data_that_vanish_are_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Even where bad images are: after so many in a row, or after an epoch without any."""
    monkeypatch.setattr(reading, "MOST_BAD_IN_A_ROW", most)
    data = write_folder(tmp_path / "data", count=40)
    gone = lambda step: shutil.rmtree(tmp_path / "data") if step == 1 else None  # noqa: E731
    found = refused(lambda: train(tmp_path / "run", data, on_step=gone, workers=0, skip_bad=True, **STREAMED))
    assert found.code == ("bad-image" if most == 30 else "no-images")
    assert "still" in found.help


# --- batches ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain")
def test_a_batch_larger_than_the_data_is_all_of_them(tmp_path: Path) -> None:
    result = train(tmp_path / "run", batch_size=1000)
    assert [row.step for row in result.rows] == [1, 2]


@pytest.mark.usefixtures("plain")
def test_one_image_at_the_end_is_left_out_under_batch_norm_and_taken_under_group_norm() -> None:
    data = "synthetic:classes=4,size=12,train=33,validation=4,test=0"
    assert ready(data).feeds.training.steps_per_epoch == 2
    assert ready(data, set=("norm={op: group_norm, num_groups: 4}",)).feeds.training.steps_per_epoch == 3


def test_too_few_images_for_any_batch_are_refused() -> None:
    found = refused(lambda: ready("synthetic:classes=4,size=12,train=3,validation=4,test=0", accumulate=2))
    assert found.code == "recipe-batch"


@pytest.mark.usefixtures("plain")
def test_batch_norm_over_a_single_value_is_reported(tmp_path: Path) -> None:
    """Batches of one image, and one pixel of it left."""
    found = refused(lambda: train(tmp_path / "run", set=("stages.layer2.stride=12",), batch_size=1))
    assert found.code == "recipe-batch"
    assert "--batch-size" in found.help


# --- numbers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain")
def test_a_rate_that_is_much_too_high_stops_at_once(tmp_path: Path) -> None:
    found = refused(lambda: train(tmp_path / "run", optimizer={"op": "SGD", "lr": 1e20}, schedule="constant"))
    assert found.code == "loss-not-finite"
    assert "at step 2; the first layer whose output is not finite is " in found.message
    assert "--lr 0.1" in found.help
    assert "kept" not in found.help  # there is nothing to keep yet
    assert found.span is not None
    assert_finite(tmp_path / "run")


@pytest.mark.usefixtures("plain")
def test_the_weights_before_a_divergence_are_kept(tmp_path: Path) -> None:
    milestones = list(range(5, 12))  # a thousand times the rate in each step after the first epoch
    schedule = {"op": "multistep", "milestones": milestones, "gamma": 1000, "unit": "iterations"}
    found = refused(lambda: train(tmp_path / "run", schedule=schedule, epochs=4))
    assert found.code == "loss-not-finite"
    assert "the weights of epoch 1 are kept" in found.help
    assert (tmp_path / "run" / "last.safetensors").exists()
    assert_finite(tmp_path / "run")
    newest = checkpoints.newest(tmp_path / "run", pytest.fail)
    assert newest is not None
    assert newest.step == 5


@pytest.mark.usefixtures("plain")
def test_weights_that_overflow_in_the_last_step_of_an_epoch_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss was finite in every step; the weights have not been checked yet. No recipe can change its rate so much."""
    monkeypatch.setattr(loop, "factor", lambda schedule, warmup, step, *rest: 1e38 if step == 9 else 1.0)
    sgd = {"op": "SGD", "lr": 10.0, "weight_decay": 1e4}
    found = refused(lambda: train(tmp_path / "run", schedule="constant", optimizer=sgd, epochs=2))
    assert found.code == "loss-not-finite"
    assert_finite(tmp_path / "run")


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1.0, "fast"])
def test_rates_that_are_none_are_refused_before_anything_is_written(tmp_path: Path, rate: object) -> None:
    found = refused(lambda: train(tmp_path / "run", optimizer={"op": "SGD", "lr": rate}))
    assert found.code in ("not-data", "recipe-optimizer", "wrong-type")
    assert not (tmp_path / "run").exists()


# --- memory ----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain")
def test_a_batch_beyond_the_free_memory_is_refused_with_one_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_memory", lambda: 1_000_000)
    found = refused(lambda: train(tmp_path / "run", batch_size=64))
    assert found.code == "beyond-memory"
    assert "--force" in found.help
    fits = int(found.help.split("`--batch-size ")[1].split("`")[0])
    parts = int(found.help.split("accumulate=")[1].split("`")[0])
    assert fits < 64
    assert not (tmp_path / "run").exists()
    train(tmp_path / "a", batch_size=fits, epochs=1)
    train(tmp_path / "b", batch_size=64, accumulate=parts, epochs=1)
    train(tmp_path / "c", batch_size=64, epochs=1, force=True)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4000000000 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory"),
        MemoryError(),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_memory_that_runs_out_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(loop.Loop, "_step", fail)
    found = refused(lambda: train(tmp_path / "run"))
    assert found.code == "beyond-memory"
    assert "batch of 16 images" in found.message
    assert "--batch-size 8" in found.help


@pytest.mark.usefixtures("plain")
def test_an_error_of_the_package_is_not_taken_for_one_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(loop.Loop, "_step", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        train(tmp_path / "run")


def test_memory_that_really_runs_out_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own words of this system, whatever they are."""
    monkeypatch.setattr(loop.Loop, "_step", lambda *_: torch.empty(10**15))
    assert refused(lambda: train(tmp_path / "run")).code == "beyond-memory"


# --- workers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain")
def test_a_worker_that_was_killed_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", count=100)

    def kill(step: int) -> None:
        if step == 1:
            for child in multiprocessing.active_children():
                assert child.pid is not None
                os.kill(child.pid, signal.SIGKILL)

    found = refused(lambda: train(tmp_path / "run", data, on_step=kill, workers=1, batch_size=8, **STREAMED))
    assert found.code == "worker-lost"
    assert "--workers 0" in found.help


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("unable to allocate shared memory(shm) for file </torch_12_34_5>: No space left on device (28)"),
        RuntimeError("unable to open shared memory object </torch_1_2_3> in read-write mode: Too many open files (24)"),
        RuntimeError(
            "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
            "shared memory. Please try to raise your shared memory limit."
        ),
    ],
)
def test_shared_memory_that_runs_out_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    data = write_folder(tmp_path / "data")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(reading, "DataLoader", fail)
    found = refused(lambda: train(tmp_path / "run", data, workers=1, **STREAMED))
    assert found.code == "worker-lost"
    assert "--workers 0" in found.help
    train(tmp_path / "other", data, workers=0, **STREAMED)


# --- the disk --------------------------------------------------------------------------------------------------------------


class FullDisk:
    """Takes the first bytes of a file and no more."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

    def write(self, data: bytes) -> None:
        os.write(self.handle, bytes(data[:10]))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_disk(monkeypatch: pytest.MonkeyPatch, name: str, at: int) -> None:
    """The disk is full when the AT-th file whose name begins so is written."""
    write: Callable[..., None] = files.write_atomically
    count = 0

    def written(path: Path, data: bytes, durable: bool = False) -> None:
        nonlocal count
        count += path.name.startswith(name)
        if path.name.startswith(name) and count == at:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdopen", lambda handle, mode: FullDisk(handle))
                write(path, data, durable)
        else:
            write(path, data, durable)

    for module in (checkpoints, weights, folder, run_record, runs):
        monkeypatch.setattr(module, "write_atomically", written)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("name", "at"), [("step-", 2), ("last", 2), ("best", 1), ("metrics.jsonl", 2), ("timing", 1), ("results", 1)]
)
def test_a_full_disk_is_reported_and_the_run_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: int
) -> None:
    whole = train(tmp_path / "whole", epochs=3)
    with monkeypatch.context() as patch:
        fill_disk(patch, name, at)
        found = refused(lambda: train(tmp_path / "run", epochs=3))
    assert found.code == "cannot-write"
    assert f"/{name}" in found.message
    assert "No space left" in found.message
    assert "make room" in found.help
    assert "--resume" in found.help
    assert not list((tmp_path / "run").rglob("*.tmp"))
    if at > 1:
        assert checkpoints.newest(tmp_path / "run", pytest.fail) is not None
        assert read_rows((tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8")) == list(whole.rows[:1])
    result = resnet_spec.resume(tmp_path / "run", device="cpu", console=Console.silent())
    assert result.rows == whole.rows
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == (tmp_path / "whole" / "last.safetensors").read_bytes()


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("name", ["environment", "recipe", "spec", "run.json"])
def test_a_full_disk_at_the_start_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fill_disk(monkeypatch, name, 1)
    found = refused(lambda: train(tmp_path / "run"))
    assert found.code == "cannot-write"
    assert f"/{name}" in found.message
    assert "--resume" not in found.help  # there is nothing yet to go on with


def test_a_place_that_cannot_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    found = refused(lambda: train(tmp_path / "file" / "run"))
    assert found.code == "cannot-write"
    assert "Not a directory" in found.message

    def refuse(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    found = refused(lambda: train(tmp_path / "run"))
    assert found.code == "cannot-write"
    assert "Read-only file system" in found.message


# --- runs that were changed ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain")
def test_a_run_that_was_changed_is_not_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, epochs=1)
    resume = lambda: resnet_spec.resume(run, device="cpu", console=Console.silent())  # noqa: E731
    before = {name: (run / name).read_text(encoding="utf-8") for name in ("spec.yaml", "recipe.yaml", "run.json")}

    def changed(name: str, old: str, new: str) -> str:
        assert old in before[name]
        (run / name).write_text(before[name].replace(old, new), encoding="utf-8")
        code = refused(resume).code
        (run / name).write_text(before[name], encoding="utf-8")
        return code

    assert changed("spec.yaml", "width: 16", "width: 24") == "other-fingerprint"
    assert changed("recipe.yaml", "SGD", "Adagrad") in ("not-a-run", "recipe-optimizer")
    assert changed("recipe.yaml", "op: SGD, lr: 0.05, momentum: 0.9", "op: Adam, lr: 0.05") == "not-a-run"
    assert changed("run.json", '"channels": 3', '"channels": "many"') == "not-a-run"
    assert changed("run.json", '"labels": "', '"labels": "0') == "data-changed"
    assert changed("run.json", "{", "[") == "not-a-run"
    (run / "run.json").unlink()
    found = refused(resume)
    assert found.code == "not-a-run"
    assert "run.json" in found.message


@pytest.mark.usefixtures("plain")
def test_best_weights_that_are_gone_are_reported(tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = train(run, optimizer={"op": "SGD", "lr": 0.2}, epochs=4)
    (run / "best.safetensors").unlink()
    if result.best_epoch == 4:  # then they are the last ones, and in the checkpoint
        resnet_spec.resume(run, device="cpu", console=Console.silent())
    else:
        assert refused(lambda: resnet_spec.resume(run, device="cpu", console=Console.silent())).code == "unreadable-file"


# --- what is asked for -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["nosuch", "cuda:99", "meta", "cpu:x", "", "cuda:-1"])
def test_devices_that_are_not_there_are_reported(device: str) -> None:
    found = refused(lambda: find_device(device))
    assert found.code == "missing-device"
    assert "auto" in found.help


def test_a_recipe_that_is_not_there_is_reported() -> None:
    found = refused(lambda: resnet_spec.train(SPEC, "cifar-fsat", DATA, device="cpu"))
    assert found.code == "missing-file"
    assert "cifar-fast" in found.help


def test_a_spec_without_a_recipe_asks_for_one_where_data_are_real(tmp_path: Path) -> None:
    found = refused(lambda: resnet_spec.train(SPEC, None, f"cifar10:{tmp_path}", out=tmp_path / "run", device="cpu"))
    assert found.code == "missing-recipe"


def test_images_of_a_size_that_the_network_does_not_take_are_refused() -> None:
    flat = "spec: 1\ninput: 3x12x12\nclasses: 4\nstem: {flatten: flatten, fc: {op: linear, out_features: classes}}\n"
    found = refused(lambda: ready("synthetic:classes=4,size=16,train=8", flat, resize=[14, 14]))
    assert found.code == "data-size"
    assert "[12, 12]" in found.help


def test_several_mistakes_of_a_recipe_are_reported_at_once() -> None:
    with pytest.raises(ResnetSpecError) as caught:
        resnet_spec.train(SPEC, recipe(epochz=3, batch_size="many", schedule="cosin"), DATA, device="cpu")
    assert len(caught.value.diagnostics) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": 5}, "`data` takes a string"),
        ({"device": None}, "`device` takes the name of a device"),
        ({"workers": -1}, "`workers` takes an integer, 0 or more, or None, not -1"),
        ({"workers": 1.5}, "`workers` takes an integer"),
        ({"recipe": 5}, "`recipe` takes a path, the name of a shipped recipe"),
        ({"input": (3, 16, 16)}, "`input` is for modules; a spec has its own"),
        ({"input": (3, 16.5, 16)}, "`input` takes three integers"),
        ({"set_recipe": 5}, "`set_recipe` takes patches"),
        ({"spec": 5}, "a spec is a path"),
        ({"spec": nn.Flatten(), "input": (3, 16, 16), "set": ["classes=3"]}, "`set` and `weights` are for specs"),
        ({"spec": nn.Flatten()}, "a module does not say the size of its input"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_accepted(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"spec": SPEC, "recipe": recipe(), "out": tmp_path / "run", **options}
    with pytest.raises(ArgumentError) as caught:
        resnet_spec.train(**arguments)
    assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("plain")
def test_patches_may_be_a_mapping(tmp_path: Path) -> None:
    result = resnet_spec.train(
        SPEC,
        recipe(),
        DATA,
        out=tmp_path / "run",
        set={"stages.layer1.width": 8},
        set_recipe={"epochs": 1, "schedule": "constant", "optimizer.lr": 0.01},
        device="cpu",
        console=Console.silent(),
    )
    assert [row.lr for row in result.rows] == [0.01]
    assert "width: 8" in (tmp_path / "run" / "spec.yaml").read_text(encoding="utf-8")
