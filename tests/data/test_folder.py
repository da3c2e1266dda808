"""Folders of images: classes, splits, links, and what is not as it should be."""

from __future__ import annotations

import importlib
import os
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data import Data, Split
from resnet_spec.data.dividing import split_of
from tests.data.conftest import Open, Refused, write_image


def names(split: Split | None) -> list[str]:
    return [] if split is None else [split.name(i) for i in range(len(split))]


def flat(root: Path, count: int = 40) -> None:
    for number in range(count):
        write_image(root / ("cat" if number % 2 else "dog") / f"{number}.png", number)


def given(root: Path, *places: str) -> None:
    for place in places or ("train", "val", "test"):
        for one in ("cat", "dog"):
            for number in range(3):
                write_image(root / place / one / f"{number}.png", zlib.crc32(f"{place} {one} {number}".encode()))


def every(data: Data) -> dict[str, str]:
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return {name: what for what, split in splits.items() for name in names(split)}


def test_train_is_what_torchvisions_image_folder_gives(tmp_path: Path, opened: Open) -> None:
    given(tmp_path)
    write_image(tmp_path / "train" / "cat" / "below" / "deeper" / "a.JPeG")
    (tmp_path / "train" / "cat" / "notes.txt").touch()
    data = opened(f"folder:{tmp_path}")
    import_torchvision()
    module: Any = importlib.import_module("torchvision.datasets")
    for place, split in (("train", data.train), ("val", data.validation), ("test", data.test)):
        theirs = module.ImageFolder(str(tmp_path / place))
        assert split is not None
        assert theirs.classes == list(data.classes)
        ours = {(str(tmp_path / split.name(i)), int(split.labels[i])) for i in range(len(split))}
        assert ours == set(theirs.samples)
    assert (data.channels, data.size) == (None, None)
    assert data.notes == ("files without the suffix of an image are not read: 1 `.txt`",)
    assert data.train is not None
    assert data.train.read(0).shape == (8, 6, 3)


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_splits_but_train_may_be_missing(tmp_path: Path, opened: Open, word: str) -> None:
    given(tmp_path, "train", word)
    data = opened(f"folder:{tmp_path}")
    assert (len(names(data.train)), len(names(data.validation)), data.test) == (6, 6, None)


def test_version_1_divides_by_each_name_alone(tmp_path: Path, opened: Open) -> None:
    flat(tmp_path)
    before = every(opened(f"folder:{tmp_path}", version=1))
    assert set(Counter(before.values())) == {"train", "validation", "test"}
    assert len(before) == 40
    for number in range(100, 120):
        write_image(tmp_path / "dog" / f"{number}.png", number)
    (tmp_path / "cat" / "1.png").unlink()
    after = every(opened(f"folder:{tmp_path}", version=1))
    assert {name: what for name, what in before.items() if name != "cat/1.png"}.items() <= after.items()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for one in ("cat", "dog"):
        (tmp_path / one).rename(moved / one)
    assert every(opened(f"folder:{moved}", version=1)) == after


def test_the_fractions_are_met_and_validation_never_moves_test() -> None:
    found = {
        split: Counter(split_of(f"a/{i}.png", split) for i in range(20_000)) for split in ((0.1, 0.2), (0.3, 0.2), (0.0, 0.0))
    }
    assert abs(found[0.1, 0.2]["validation"] / 20_000 - 0.1) < 0.01
    assert abs(found[0.1, 0.2]["test"] / 20_000 - 0.2) < 0.01
    assert found[0.0, 0.0] == {"train": 20_000}
    one, two = ([split_of(f"a/{i}.png", split) == "test" for i in range(500)] for split in ((0.1, 0.2), (0.3, 0.2)))
    assert one == two
    assert one != [split_of(f"b/{i}.png", (0.1, 0.2)) == "test" for i in range(500)]


def test_no_later_version_may_move_an_image() -> None:
    words = "test train train train train test train test"
    assert [split_of(f"cat/{i}.png", (0.2, 0.2)) for i in range(8)] == words.split()


def test_an_odd_name_is_kept_and_told_escaped(tmp_path: Path, opened: Open, refused: Refused) -> None:
    given(tmp_path)
    write_image(tmp_path / "train" / "\x1b[31mred" / "1.png")
    data = opened(f"folder:{tmp_path}")
    assert data.classes == ("\x1b[31mred", "cat", "dog")
    assert all(note.isprintable() for note in data.notes)
    write_image(tmp_path / "test" / "b\u202eird" / "1.png")
    found = refused(f"folder:{tmp_path}")
    assert found.code == "class-not-in-train"
    assert "`b\\u202eird`" in found.message


def test_names_that_are_no_utf_8(tmp_path: Path, opened: Open) -> None:
    flat(tmp_path, 4)
    try:
        os.rename(os.fsencode(tmp_path / "cat" / "1.png"), os.fsencode(tmp_path / "cat") + b"/\xff.png")
    except OSError:
        pytest.skip("this file system takes no such name")
    assert "cat/\udcff.png" in every(opened(f"folder:{tmp_path}"))


def test_hidden_files_and_others_are_passed_over(tmp_path: Path, opened: Open) -> None:
    flat(tmp_path, 10)
    write_image(tmp_path / "cat" / ".hidden.png")
    write_image(tmp_path / ".trash" / "1.png")
    write_image(tmp_path / "cat" / ".thumbnails" / "1.png")
    (tmp_path / "cat" / "Thumbs.db").touch()
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    (tmp_path / "empty").mkdir()
    write_image(tmp_path / "loose.png")
    data = opened(f"folder:{tmp_path}")
    assert len(every(data)) == 10
    assert data.classes == ("cat", "dog")
    assert data.notes == (
        "folders without images are not classes: `empty`",
        "images outside the class folders are not read: `loose.png`",
        "the folder has no splits, so each class is divided: 0.2 of it for validation and 0.2 of it for test "
        "(`split` in the recipe)",
    )


def test_links_are_followed_and_circles_are_not(tmp_path: Path, opened: Open) -> None:
    root, store = tmp_path / "data", tmp_path / "store"
    flat(root, 6)
    write_image(store / "more" / "a.png", 50)
    write_image(store / "b.png", 51)
    (root / "cat" / "more").symlink_to(store / "more")
    (root / "cat" / "again").symlink_to(store / "more")
    (root / "cat" / "b.png").symlink_to(store / "b.png")
    (root / "cat" / "up").symlink_to("..")
    (root / "cat" / "here").symlink_to(".")
    (store / "more" / "back").symlink_to(root / "cat")
    (root / "bird").symlink_to(store)
    data = opened(f"folder:{root}")
    assert data.classes == ("bird", "cat", "dog")
    labels = Counter(name.split("/")[0] for name in every(data))
    assert labels["cat"] == 5
    assert labels["dog"] == 3
    assert labels["bird"] >= 2


def test_links_to_nothing_are_refused_or_left_out(tmp_path: Path, opened: Open, refused: Refused) -> None:
    flat(tmp_path, 6)
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = refused(f"folder:{tmp_path}")
    assert found.code == "unreadable-file"
    assert "`cat/gone.png` (a broken link)" in found.message
    data = opened(f"folder:{tmp_path}", skip_bad=True)
    assert len(every(data)) == 6
    assert "gone.png" in data.notes[-1]


def test_the_same_content_in_two_splits_or_classes_is_reported(tmp_path: Path, opened: Open) -> None:
    given(tmp_path)
    write_image(tmp_path / "train" / "cat" / "same.png", 77)
    write_image(tmp_path / "test" / "cat" / "other name.png", 77)
    write_image(tmp_path / "train" / "cat" / "twice.png", 78)
    write_image(tmp_path / "train" / "dog" / "twice.png", 78)
    write_image(tmp_path / "train" / "cat" / "fine.png", 79)
    write_image(tmp_path / "train" / "cat" / "fine too.png", 79)
    for place in ("train", "test"):
        (tmp_path / place / "cat" / "empty.png").touch()
    assert opened(f"folder:{tmp_path}").notes == (
        "in more than one split, which makes results look better than they are: 1 image "
        "(`train/cat/same.png` (train) = `test/cat/other name.png` (test))",
        "in more than one class: 1 image (`train/cat/twice.png` (train) = `train/dog/twice.png` (train))",
    )


def test_a_note_on_duplicates_names_two_that_are_apart(tmp_path: Path, opened: Open) -> None:
    """Also where the first two are in one split, or under one class."""
    given(tmp_path)
    for place in ("train/cat/0.png", "train/cat/1.png", "test/cat/0.png"):
        write_image(tmp_path / place, 77)
    for place in ("train/cat/2.png", "train/cat/3.png", "train/dog/2.png"):
        write_image(tmp_path / place, 78)
    across, between = opened(f"folder:{tmp_path}").notes
    assert "1 image (`train/cat/0.png` (train) = `test/cat/0.png` (test))" in across
    assert "1 image (`train/cat/2.png` (train) = `train/dog/2.png` (train))" in between


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_pipes_and_links_to_themselves_are_no_images_and_no_folders(tmp_path: Path, opened: Open, refused: Refused) -> None:
    given(tmp_path)
    before = names(opened(f"folder:{tmp_path}").train)
    os.mkfifo(tmp_path / "train" / "cat" / "pipe.png")
    (tmp_path / "train" / "cat" / "loop").symlink_to("loop")
    (tmp_path / "train" / "loop").symlink_to("loop")
    assert names(opened(f"folder:{tmp_path}").train) == before
    (tmp_path / "train" / "cat" / "loop.png").symlink_to("loop.png")
    assert "`train/cat/loop.png` (a broken link)" in refused(f"folder:{tmp_path}").message


def test_files_that_begin_alike_are_no_duplicates(tmp_path: Path, opened: Open) -> None:
    for place in ("train", "test"):
        for one in ("cat", "dog"):
            path = tmp_path / place / one / "a.jpg"
            path.parent.mkdir(parents=True)
            path.write_bytes(bytes(5000) + f"{place}{one}".ljust(20).encode())
    assert opened(f"folder:{tmp_path}").notes == ()


def test_classes_called_train_and_val_are_classes(tmp_path: Path, opened: Open) -> None:
    for one in ("train", "bus"):
        write_image(tmp_path / one / "1.png")
    assert opened(f"folder:{tmp_path}", split=(0.0, 0.0)).classes == ("bus", "train")


def test_what_is_missing_is_reported(tmp_path: Path, opened: Open) -> None:
    given(tmp_path)
    write_image(tmp_path / "train" / "eel" / "1.png")
    (tmp_path / "train" / "fox").mkdir()
    (tmp_path / "valid").mkdir()
    for path in (tmp_path / "test").rglob("*.png"):
        path.unlink()
    data = opened(f"folder:{tmp_path}")
    assert data.classes == ("cat", "dog", "eel")
    assert data.test is None
    assert data.notes == (
        "`val` is the validation split; `valid` is not read",
        "folders of `train` without images are not classes: `fox`",
        "`val` has no images of `eel`",
        "`test` has no class folders with images",
    )


def test_folders_without_classes_are_refused(tmp_path: Path, refused: Refused) -> None:
    text = f"folder:{tmp_path}"
    assert refused(text).code == "no-images"
    write_image(tmp_path / "1.png")
    assert "not in class folders" in refused(text).message
    write_image(tmp_path / "cat" / "1.png")
    assert "only one class, `cat`" in refused(text).message
    write_image(tmp_path / "dog" / "1.png")
    assert refused(text, split=(0.0, 0.999999), version=1).code == "no-images"


def test_splits_without_class_folders_are_refused(tmp_path: Path, refused: Refused) -> None:
    for place in ("train", "test"):
        write_image(tmp_path / place / "1.png")
    found = refused(f"folder:{tmp_path}")
    assert found.code == "no-classes"
    assert found.message.endswith("/train` has no class folders")
