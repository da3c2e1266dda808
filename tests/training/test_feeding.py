"""From a data set to batches: what is held, what is read, what is held out, and whose statistics are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_spec._system import machine as machine_module
from resnet_spec.data import Data, Split
from resnet_spec.data.dataset import make_split
from resnet_spec.data.folder import open_folder
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.training import feeding
from resnet_spec.training.batches import Batch
from resnet_spec.training.feeding import Feeds, Machine, feed
from resnet_spec.training.held_out import list_held_out
from resnet_spec.training.images import prepare
from resnet_spec.training.randomness import order
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.sources import HeldImages, StreamedImages
from resnet_spec.training.splits import note_nothing_held_out, subset, with_held_out
from resnet_spec.training.world import World
from tests.data.conftest import noise
from tests.training.small import data, from_files, in_memory, machine, one_by_one, recipe

pytestmark = pytest.mark.torch
INPUT = (3, 8, 6)
FROM_DATA = {"normalize": {"mean": "data", "std": "data"}}


def fed(found: Recipe, opened: Data, on: Machine | None = None, least: int = 1, input: tuple[int, int, int] = INPUT) -> Feeds:
    return feed(opened, found, prepare(found, opened, input)[0], on or machine(), least)


def refused(found: Recipe, opened: Data, on: Machine | None = None, least: int = 1) -> Diagnostic:
    with pytest.raises(ResnetSpecError) as caught:
        fed(found, opened, on, least)
    (finding,) = caught.value.diagnostics
    return finding


def assert_equal(first: Feeds, second: Feeds) -> None:
    """All batches of an epoch and of both evaluations, bit for bit."""

    def batches(feeds: Feeds) -> list[Batch]:
        evaluations = [each for each in (feeds.validation, feeds.test) if each is not None]
        return [part for step in feeds.training.epoch(1) for part in step] + [batch for each in evaluations for batch in each]

    assert first.preparation.mean == second.preparation.mean
    assert first.preparation.std == second.preparation.std
    for one, other in zip(batches(first), batches(second), strict=True):
        for name in ("images", "labels", "targets"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name


# --- in memory or from files ----------------------------------------------------------------------------------------------


def opened(kind: str) -> Data:
    """Training, validation and test images: in memory, or of files of one size or of many."""
    if kind == "many sizes":
        return data(from_files(30), from_files(9), from_files(7), size=None)
    splits = [in_memory(count, 11, 9, seed=count) for count in (30, 9, 7)]
    train, validation, test = splits if kind == "memory" else map(one_by_one, splits)
    return data(train, validation, test, size=(11, 9))


RECIPES: dict[str, dict[str, object]] = {
    "plain": {},
    "crop and flip": {"augment": {"random_crop": {"padding": 2}, "random_horizontal_flip": 0.5}},
    "resized": {"resize": [10, 12]},
    "resized and cropped": {"resize": 12, "crop": [8, 6], "augment": {"random_horizontal_flip": 0.5}},
    "cropped": {"crop": [8, 6], "augment": {"mixup": 0.2}},
    "rotated": {"resize": [10, 10], "crop": 8, "augment": {"random_rotation": 15, "random_crop": {"padding": 1}}},
    "resized crop": {"resize": 10, "crop": [8, 6], "augment": {"random_resized_crop": {"scale": [0.3, 1.0]}}},
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("kind", ["memory", "one size", "many sizes"])
def test_what_does_not_fit_into_memory_is_read_and_is_the_same(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recipe(batch_size=8, **RECIPES[name], **FROM_DATA)
    roomy = fed(found, opened(kind))
    assert roomy.held is (not found.augment.each)
    assert roomy.validation is not None
    assert isinstance(roomy.validation.images, HeldImages)
    monkeypatch.setattr(feeding, "available_memory", lambda: 100)
    tight = fed(found, opened(kind))
    assert not tight.held
    assert isinstance(tight.training.images, StreamedImages)
    assert tight.validation is not None
    assert isinstance(tight.validation.images, StreamedImages)
    assert_equal(roomy, tight)


def test_images_that_lie_in_memory_as_the_network_takes_them_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "available_memory", lambda: 100)
    split = in_memory(30)
    found = fed(recipe(), data(split, split))
    assert found.held
    assert isinstance(found.training.images, HeldImages)
    assert found.training.images.pixels is split.pixels
    assert found.validation is not None
    assert isinstance(found.validation.images, HeldImages)
    assert found.validation.images.pixels is split.pixels


def test_a_border_counts_as_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of 30 x (8 + 8) x (6 + 8) x 3 bytes is kept beside the images."""
    padded = recipe(augment={"random_crop": {"padding": 4}}, batch_size=8)
    wide = 30 * 16 * 14 * 3
    for free, held in ((2 * wide, True), (2 * wide - 2, False)):
        monkeypatch.setattr(feeding, "available_memory", lambda free=free: free)
        assert fed(padded, data(in_memory(30))).held is held
    monkeypatch.setattr(feeding, "available_memory", lambda: 2 * (wide + 30 * 8 * 6 * 3) - 2)
    assert not fed(padded, data(one_by_one(in_memory(30)))).held


def test_all_splits_together_stay_within_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    one = 10 * 8 * 6 * 3

    def held(parts: float) -> list[bool]:
        monkeypatch.setattr(feeding, "available_memory", lambda: int(2 * parts * one))
        train, validation, test = (one_by_one(in_memory(10, seed=number)) for number in range(3))
        found = fed(recipe(batch_size=8), data(train, validation, test))
        evaluations = [each for each in (found.validation, found.test) if each is not None]
        return [found.held, *(isinstance(each.images, HeldImages) for each in evaluations)]

    assert held(3) == [True, True, True]
    assert held(2.9) == [True, True, False]
    assert held(1.9) == [True, False, False]
    assert held(0.9) == [False, False, False]


def test_workers_give_the_same_batches() -> None:
    found = recipe(batch_size=8, augment={"random_rotation": 15, "random_horizontal_flip": 0.5}, resize=9, crop=8, **FROM_DATA)
    split = opened("many sizes")
    assert_equal(fed(found, split), fed(found, split, machine(workers=2)))


def test_images_in_memory_are_resized_and_cropped_like_any_others() -> None:
    """Also where what comes out has the size of what goes in."""
    found = fed(recipe(resize=16, crop=[8, 6]), data(in_memory(20)))
    (batch,) = next(found.training.epoch(0))
    assert not torch.equal(batch.images, next(fed(recipe(), data(in_memory(20))).training.epoch(0))[0].images)
    read = fed(recipe(resize=16, crop=[8, 6]), data(one_by_one(in_memory(20))))
    assert torch.equal(batch.images, next(read.training.epoch(0))[0].images)


# --- statistics -----------------------------------------------------------------------------------------------------------


def test_statistics_are_those_of_all_pixels_of_the_training_images_and_of_no_others() -> None:
    split = in_memory(20)
    assert split.pixels is not None
    bright = replace(split, pixels=np.full_like(split.pixels, 255))
    found = fed(recipe(batch_size=8, **FROM_DATA), data(split, bright, bright)).preparation
    values = split.pixels.reshape(-1, 3).astype(np.float64) / 255
    assert found.mean == pytest.approx(values.mean(axis=0))
    assert found.std == pytest.approx(values.std(axis=0))


def test_held_out_images_do_not_count_for_the_statistics() -> None:
    found = recipe(batch_size=8, hold_out=0.25, **FROM_DATA)
    cut = with_held_out(data(in_memory(20)), found.hold_out, found.seed)
    assert cut.train is not None
    assert cut.train.pixels is not None
    assert fed(found, cut).preparation.mean == pytest.approx(cut.train.pixels.reshape(-1, 3).mean(axis=0) / 255)


@pytest.mark.parametrize("kind", ["memory", "one size", "many sizes"])
@pytest.mark.parametrize("name", ["resized and cropped", "rotated", "cropped"])
def test_statistics_are_those_of_what_the_network_sees_without_what_is_random(kind: str, name: str) -> None:
    """By Pillow, whose resizing is within a gray level of ours."""
    found = recipe(batch_size=8, **RECIPES[name], **FROM_DATA)
    source = opened(kind)
    preparation = fed(found, source).preparation
    assert source.train is not None
    values = []
    for i in range(30):
        image = Image.fromarray(source.train.read(i))
        if isinstance(preparation.resize, tuple):
            image = image.resize(preparation.resize[::-1], Image.Resampling.BILINEAR)
        elif preparation.resize is not None:
            scale = preparation.resize / min(image.size)
            image = image.resize((int(image.width * scale + 1e-9), int(image.height * scale + 1e-9)), Image.Resampling.BILINEAR)
        height, width = preparation.size
        padded = Image.new("RGB", (max(width, image.width), max(height, image.height)))
        padded.paste(image, ((padded.width - image.width) // 2, (padded.height - image.height) // 2))
        left, top = round((padded.width - width) / 2), round((padded.height - height) / 2)
        values.append(np.asarray(padded.crop((left, top, left + width, top + height))).reshape(-1, 3) / 255)
    flat = np.concatenate(values)
    assert preparation.mean == pytest.approx(flat.mean(axis=0), abs=0.004)
    assert preparation.std == pytest.approx(flat.std(axis=0), abs=0.004)


def test_a_channel_that_never_varies_is_divided_by_one() -> None:
    split = in_memory(20)
    assert split.pixels is not None
    split.pixels[..., 1] = 51
    found = fed(recipe(batch_size=20, **FROM_DATA), data(split))
    assert found.preparation.mean[1] == pytest.approx(0.2)
    assert found.preparation.std[1] == 1.0
    (batch,) = next(found.training.epoch(0))
    assert batch.images[:, 1].abs().max() < 1e-6
    assert batch.images[:, 0].std() == pytest.approx(1, abs=0.01)


def test_a_statistic_that_is_given_stays() -> None:
    found = fed(recipe(batch_size=8, normalize={"mean": [0.1, 0.2, 0.3], "std": "data"}), data(in_memory(20))).preparation
    assert found.mean == (0.1, 0.2, 0.3)
    assert found.std[0] == pytest.approx(0.29, abs=0.02)


# --- parts of the data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [in_memory(20), from_files(20)])
def test_a_subset_has_the_images_labels_and_names_that_were_chosen(split: Split) -> None:
    some = subset(split, [3, 0, 17])
    assert some.labels.tolist() == split.labels[[3, 0, 17]].tolist()
    assert [some.name(i) for i in range(3)] == [split.name(i) for i in (3, 0, 17)]
    for number, i in enumerate((3, 0, 17)):
        assert np.array_equal(some.read(number), split.read(i))
        assert some.pixels is None or np.array_equal(some.pixels[number], split.read(i))


def test_what_is_held_out_is_not_trained_on() -> None:
    split = in_memory(40)
    assert split.pixels is not None
    found = with_held_out(data(split), 0.25, 0)
    assert found.train is not None
    assert found.validation is not None

    def images(of: Split) -> set[bytes]:
        return {of.read(i).tobytes() for i in range(len(of))}

    assert (len(found.train), len(found.validation)) == (30, 10)
    assert images(found.train) | images(found.validation) == images(split)
    assert not images(found.train) & images(found.validation)
    again = with_held_out(data(split), 0.25, 1)
    assert again.validation is not None
    assert images(again.validation) != images(found.validation)


def test_nothing_is_held_out_where_there_is_a_validation_split_or_none_is_wanted() -> None:
    for whole, part in ((data(in_memory(20), in_memory(5)), 0.25), (data(in_memory(20)), 0.0), (data(None), 0.25)):
        assert with_held_out(whole, part, 0) is whole


@pytest.mark.parametrize(
    ("count", "part", "version"), [(1, 0.5, 1), (10, 0.01, 1), (10, 0.99, 1), (1, 0.5, 2), (10, 0.01, 2), (7, 0.1, 2)]
)
def test_a_split_without_images_is_refused(count: int, part: float, version: int) -> None:
    """Version 2 of the rules always leaves images to train on, since each class keeps one."""
    with pytest.raises(ValueError, match="leaves a split without any"):
        with_held_out(data(in_memory(count)), part, 0, version)


@pytest.mark.parametrize("version", [1, 2])
def test_the_rule_is_recorded_with_what_it_held_out(version: int) -> None:
    found = with_held_out(data(in_memory(40)), 0.25, 0, version)
    assert (found.version, found.divided) == (version, ("validation",))
    assert list(list_held_out(found)) == ["validation"]
    assert found.validation is not None
    names = [found.validation.name(i) for i in range(len(found.validation))]
    assert dict(list_held_out(found)["validation"]) == dict.fromkeys(names)


def test_each_class_has_its_share_of_what_is_held_out() -> None:
    pixels = np.zeros((66, 4, 4, 3), np.uint8)
    labels = np.repeat([0, 1, 2], [40, 24, 2])
    split = make_split(pixels, labels, "train")
    found = with_held_out(replace(data(split), classes=("cat", "dog", "eel")), 0.25, 0)
    assert found.train is not None
    assert found.validation is not None
    assert np.bincount(found.validation.labels).tolist() == [10, 6]
    assert np.bincount(found.train.labels).tolist() == [30, 18, 2]
    assert found.notes == ("too few images of a class to hold out 0.25 of them: `eel`",)


def test_that_nothing_is_held_out_is_reported() -> None:
    assert "nothing is held out" in note_nothing_held_out(data(in_memory(8))).notes[0]
    assert note_nothing_held_out(data(in_memory(8), in_memory(4))).notes == ()
    assert note_nothing_held_out(with_held_out(data(in_memory(40)), 0.25, 0)).notes == ()


# --- refusals -------------------------------------------------------------------------------------------------------------


def test_no_training_images() -> None:
    assert refused_to_feed(data(None, in_memory(3))).code == "data-split"


def refused_to_feed(opened: Data) -> Diagnostic:
    preparation = prepare(recipe(), data(in_memory(3)), INPUT)[0]
    with pytest.raises(ResnetSpecError) as caught:
        feed(opened, recipe(), preparation, machine(), 1)
    (finding,) = caught.value.diagnostics
    return finding


@pytest.mark.parametrize(
    ("count", "fields", "world", "least", "message"),
    [
        (1, {}, World(), 2, "1 training images are too few for a batch: batch norm needs at least 2 images"),
        (5, {"accumulate": 3}, World(), 2, "5 training images are too few for a batch: batch norm needs at least 2 images in"
         " each of 3 parts"),
        (3, {"accumulate": 2}, World(1, 2), 1, "3 training images are too few for a batch"),
        (50, {"batch_size": 4, "accumulate": 2}, World(0, 3), 1, "a batch of 4 images cannot be cut into 6 parts"
         " (2 a process)"),
    ],
)  # fmt: skip
def test_too_few_images_for_a_batch(count: int, fields: dict[str, Any], world: World, least: int, message: str) -> None:
    finding = refused(recipe(**fields), data(in_memory(count)), machine(world=world), least)
    assert (finding.code, finding.message) == ("recipe-batch", message)
    assert finding.help
    assert finding.span is not None


@pytest.mark.parametrize("free", [None, 100])
@pytest.mark.parametrize("which", ["train", "validation"])
@pytest.mark.parametrize("fields", [FROM_DATA, {}])
def test_a_bad_image_is_an_error_or_is_counted(
    free: int | None, which: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "available_memory", lambda: free)
    bad = {
        "train": data(from_files(20, [7]), from_files(9), size=None),
        "validation": data(from_files(20), from_files(9, [7]), size=None),
    }
    found = recipe(batch_size=20, resize=[8, 6], **fields)

    def all_labels(feeds: Feeds) -> list[int]:
        assert feeds.validation is not None
        parts = [part for step in feeds.training.epoch(0) for part in step] + list(feeds.validation)
        return [label for part in parts for label in part.labels.tolist()]

    with pytest.raises(ResnetSpecError) as caught:
        all_labels(fed(found, bad[which]))
    assert [(finding.code, finding.message) for finding in caught.value.diagnostics] == [
        ("bad-image", "cannot read the image image 7: damaged")
    ]
    feeds = fed(found, bad[which], machine(skip_bad=True))
    assert len(all_labels(feeds)) == 28
    assert feeds.skipped.names == {"image 7": "damaged"}


@pytest.mark.parametrize("free", [None, 100])
def test_where_no_image_can_be_read_skipping_them_does_not_help(free: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "available_memory", lambda: free)
    hopeless = data(from_files(5, range(5)), size=None)
    assert refused(recipe(batch_size=5, **FROM_DATA), hopeless, machine(skip_bad=True)).code == "bad-image"


def test_gray_images_become_colors_for_the_network_and_the_other_way_round() -> None:
    gray = fed(recipe(batch_size=20), data(in_memory(20, channels=1), channels=1))
    (batch,) = next(gray.training.epoch(0))
    assert batch.images.shape == (20, 3, 8, 6)
    assert torch.equal(batch.images[:, 0], batch.images[:, 2])
    coloured = fed(recipe(batch_size=20), data(in_memory(20)), input=(1, 8, 6))
    (batch,) = next(coloured.training.epoch(0))
    assert batch.images.shape == (20, 1, 8, 6)
    luma = [np.asarray(Image.fromarray(in_memory(20).read(i)).convert("L")) for i in order(0, 0, 20)]
    shown = ((batch.images * 0.5 + 0.5) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(shown[:, 0], np.stack(luma))


def test_processes_of_a_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "available_memory", lambda: 8000)
    assert feeding.held_budget() == 4000
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert feeding.held_budget() == 1000


def test_what_is_held_out_is_looked_through_for_copies(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(20):
            Image.fromarray(noise(name == "dog", 8, 6, 3)).save(tmp_path / "train" / name / f"{number}.png")
    opened = open_folder(f"folder:{tmp_path}", tmp_path, (0.2, 0.2), False)
    assert opened.notes == ()
    (note,) = with_held_out(opened, 0.25, 0).notes
    assert note.startswith("in more than one split")


def test_the_cache_of_files_is_free_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine_module, "_free_of_machine", lambda: 10**12)
    (tmp_path / "memory.max").write_text("1000\n", encoding="ascii")
    (tmp_path / "memory.current").write_text("900\n", encoding="ascii")
    (tmp_path / "memory.stat").write_text("anon 100\nfile 800\ninactive_file 700\nactive_file 100\n", encoding="ascii")
    assert machine_module.available_memory() == 800
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert machine_module.available_memory() == 10**12
