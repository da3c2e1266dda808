"""Folders as people have them: which folders are splits and classes, and what is reported when that is not clear."""

from __future__ import annotations

import os
import shutil
import unicodedata
import zlib
from pathlib import Path

import pytest
from PIL import Image, features

from resnet_spec.data import Data
from resnet_spec.data.listing import RUN_FILES
from tests.data.conftest import Open, Refused, noise, write_image
from tests.data.test_folder import names


def write(root: Path, *places: str, count: int = 3) -> None:
    """Images that differ, in each of some folders."""
    for place in places:
        for number in range(count):
            write_image(root / place / f"{number}.png", zlib.crc32(f"{place} {number}".encode()))


def pets(root: Path, *places: str) -> None:
    write(root, *(f"{place}/{one}" for place in places for one in ("cat", "dog")))


def splits(data: Data) -> dict[str, str]:
    """The folder of each split that there is."""
    found = {"train": data.train, "validation": data.validation, "test": data.test}
    return {what: names(split)[0].rpartition("/cat/")[0] for what, split in found.items() if split is not None}


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        ("Training Testing", {"train": "Training", "test": "Testing"}),
        ("training testing", {"train": "training", "test": "testing"}),
        ("TRAIN VAL TEST", {"train": "TRAIN", "validation": "VAL", "test": "TEST"}),
        ("train valid", {"train": "train", "validation": "valid"}),
        ("train dev", {"train": "train", "validation": "dev"}),
        ("Train Eval", {"train": "Train", "validation": "Eval"}),
        ("training_set test_set", {"train": "training_set", "test": "test_set"}),
        ("trainset valset testset", {"train": "trainset", "validation": "valset", "test": "testset"}),
        ("TrainImages TestImages", {"train": "TrainImages", "test": "TestImages"}),
        ("01-train 02-val 03-test", {"train": "01-train", "validation": "02-val", "test": "03-test"}),
        ("train2017 val2017", {"train": "train2017", "validation": "val2017"}),
        ("seg_train seg_test", {"train": "seg_train", "test": "seg_test"}),
    ],
)
def test_splits_are_recognized_under_other_names(tmp_path: Path, opened: Open, folders: str, found: dict[str, str]) -> None:
    pets(tmp_path, *folders.split())
    data = opened(f"folder:{tmp_path}")
    assert data.classes == ("cat", "dog")
    assert splits(data) == found
    assert data.divided == ()
    for what, place in found.items():
        plain = place in ("train", "val", "valid", "test")
        assert any(f"`{place}` is the {what} split" in note for note in data.notes) != plain


def test_splits_whose_classes_are_one_level_deeper(tmp_path: Path, opened: Open) -> None:
    pets(tmp_path, "training_set/training_set", "test_set/test_set")
    data = opened(f"folder:{tmp_path}")
    assert splits(data) == {"train": "training_set/training_set", "test": "test_set/test_set"}
    assert "the classes of `training_set` are in `training_set/training_set`" in data.notes


def test_of_two_folders_for_a_split_one_is_used_and_both_are_reported(tmp_path: Path, opened: Open) -> None:
    pets(tmp_path, "train", "val", "dev", "Train")
    data = opened(f"folder:{tmp_path}")
    assert splits(data) == {"train": "train", "validation": "val"}
    assert "`train` is the train split; `Train` is not read" in data.notes
    assert "`val` is the validation split; `dev` is not read" in data.notes


def test_of_two_folders_for_a_split_one_without_classes_is_not_used(tmp_path: Path, opened: Open) -> None:
    pets(tmp_path, "train", "valid")
    (tmp_path / "val").mkdir()
    data = opened(f"folder:{tmp_path}")
    assert splits(data) == {"train": "train", "validation": "valid"}
    assert "`valid` is the validation split; `val` is not read" in data.notes


def test_folders_next_to_splits_are_reported(tmp_path: Path, opened: Open) -> None:
    pets(tmp_path, "Training", "Test")
    write(tmp_path, "test-multiple_fruits")
    write_image(tmp_path / "papers" / ".hidden.png")
    assert (
        "only the splits `Training` and `Test` are read, and not `test-multiple_fruits`" in opened(f"folder:{tmp_path}").notes
    )


def test_classes_whose_names_hold_the_words_of_splits(tmp_path: Path, opened: Open) -> None:
    write(tmp_path, "steam train", "electric train", "bus", "test tube")
    assert opened(f"folder:{tmp_path}").classes == ("bus", "electric train", "steam train", "test tube")


@pytest.mark.parametrize(
    ("places", "in_message", "in_help"),
    [
        (("dataset/train/cat", "dataset/train/dog", "dataset/test/cat"), "`test` and `train`", "use `folder:{root}/dataset`"),
        (("a/b/cat", "a/b/dog"), "only one folder with images, `a`", "use `folder:{root}/a/b`"),
        (("images/cat", "images/dog"), "has the folders `cat` and `dog`", "use `folder:{root}/images`"),
        (
            ("fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog"),
            "`fold1` and `fold2` have the same folders",
            "`folder:{root}/fold1`",
        ),
        (("color/Cat", "color/dog", "gray/cat", "gray/dog"), "have the same folders", "call them `train`, `val` and `test`"),
        (("covid/images", "covid/masks", "normal/images", "normal/masks"), "`images` and `masks`", "move their images out"),
        (("cat/train", "cat/test", "dog/train", "dog/test"), "the splits are inside the classes", "`train/CLASS/...`"),
        (("a/train/cat", "a/test/cat", "b/train/cat", "b/test/cat"), "the same folders", "use one, such as `folder:{root}/a`"),
        (("train_cat", "train_dog", "test_cat", "test_dog"), "called like splits", "`train/CLASS`"),
        (("cat", "dog", "test/cat", "test/dog"), "`test` looks like a split, and `cat`, `dog`", "into a folder `train`"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_way_out(
    tmp_path: Path, refused: Refused, places: tuple[str, ...], in_message: str, in_help: str
) -> None:
    write(tmp_path, *places)
    found = refused(f"folder:{tmp_path}/")
    assert found.code == "unclear-layout"
    assert in_message in found.message
    assert in_help.format(root=tmp_path) in found.help


def test_classes_with_one_folder_each_are_classes(tmp_path: Path, opened: Open) -> None:
    write(tmp_path, "n01/images", "n02/images")
    data = opened(f"folder:{tmp_path}")
    assert data.classes == ("n01", "n02")
    assert not any("all of that class" in note for note in data.notes)


def test_a_class_with_several_folders_is_noted(tmp_path: Path, opened: Open) -> None:
    write(tmp_path, "cat", "dog/poodle", "dog/beagle")
    assert (
        "the images in folders of a class are all of that class: `dog` (`beagle`, `poodle`)"
        in opened(f"folder:{tmp_path}").notes
    )


def test_that_alike_images_may_come_into_several_splits_is_noted_where_the_program_divides(
    tmp_path: Path, opened: Open
) -> None:
    write(tmp_path / "alone", "cat/one", "cat/two", "dog/three", "dog/four", count=5)
    write(tmp_path / "divided", *(f"{part}/{one}" for part in ("train", "val") for one in ("cat/one", "cat/two", "dog/three")))
    shares = "the folder has no splits, so each class is divided: 0.2 of it for validation and 0.2 of it for test"
    alike = "images of one folder in a class may come into several splits"
    for place, expected in (("alone", [shares, alike]), ("divided", [])):
        notes = opened(f"folder:{tmp_path}/{place}").notes
        assert [start for start in (shares, alike) if any(note.startswith(start) for note in notes)] == expected
    assert not any(note.startswith(shares) for note in opened(f"folder:{tmp_path}/alone", purpose="evaluate").notes)
    assert any("divided: 0.3 of it for test (" in note for note in opened(f"folder:{tmp_path}/alone", split=(0, 0.3)).notes)


@pytest.mark.parametrize(
    "places",
    [
        ("images", "masks"),
        ("train/images", "train/masks", "val/images", "val/masks"),
        ("JPEGImages", "SegmentationClass", "SegmentationObject"),
        ("imgs", "Ground truth", "gt"),
    ],
)
def test_images_and_their_masks_are_not_classes(tmp_path: Path, refused: Refused, places: tuple[str, ...]) -> None:
    write(tmp_path, *places)
    found = refused(f"folder:{tmp_path}")
    assert found.code == "unclear-layout"
    assert "look like images and their masks" in found.message


@pytest.mark.parametrize("places", [("mask", "no_mask"), ("photos", "drawings"), ("label", "cat")])
def test_classes_that_are_called_like_masks_or_images_are_classes(
    tmp_path: Path, opened: Open, places: tuple[str, str]
) -> None:
    write(tmp_path, *places)
    assert opened(f"folder:{tmp_path}").classes == tuple(sorted(places))


def test_a_run_in_the_folder_of_its_data_is_not_a_class(tmp_path: Path, opened: Open) -> None:
    write(tmp_path, "cat", "dog", "runs/mine", "runs/mine/images")
    assert opened(f"folder:{tmp_path}").classes == ("cat", "dog", "runs")
    for name in RUN_FILES:
        (tmp_path / "runs" / "mine" / name).touch()
    data = opened(f"folder:{tmp_path}")
    assert data.classes == ("cat", "dog")
    assert "folders of runs are left out: `runs/mine`" in data.notes
    assert opened(f"folder:{tmp_path}", version=1).classes == ("cat", "dog", "runs")  # as runs of 0.1.0 began


def test_a_folder_that_is_a_split_of_the_one_above_is_noted(tmp_path: Path, opened: Open) -> None:
    pets(tmp_path, "Train", "Test")
    note = f"next to `{tmp_path}/Train` there is `Test`; `folder:{tmp_path}` uses all of these splits"
    assert note in opened(f"folder:{tmp_path}/Train").notes
    assert note not in opened(f"folder:{tmp_path}/Train", purpose="evaluate").notes


def test_a_folder_that_is_a_class_leads_to_the_one_above(tmp_path: Path, refused: Refused) -> None:
    pets(tmp_path, "train")
    assert refused(f"folder:{tmp_path}/train/cat").help == f"`cat` may be a class of `folder:{tmp_path}/train`"


# --- for evaluation -------------------------------------------------------------------------------------------------------


def test_a_folder_without_training_images_is_opened_for_evaluation_alone(
    tmp_path: Path, opened: Open, refused: Refused
) -> None:
    pets(tmp_path, "test")
    found = refused(f"folder:{tmp_path}")
    assert (found.code, "eval RUN --data" in found.help) == ("data-split", True)
    data = opened(f"folder:{tmp_path}", purpose="evaluate")
    assert (data.train, data.validation, data.classes) == (None, None, ("cat", "dog"))
    assert len(names(data.test)) == 6


def test_evaluation_takes_the_classes_of_all_splits_and_a_single_one(tmp_path: Path, opened: Open) -> None:
    write(tmp_path, "train/cat", "val/dog", "test/eel")
    data = opened(f"folder:{tmp_path}", purpose="evaluate")
    assert data.classes == ("cat", "dog", "eel")
    assert data.test is not None
    assert data.test.labels.tolist() == [2, 2, 2]
    assert opened(f"folder:{tmp_path}/test", purpose="evaluate").classes == ("eel",)


# --- files that are not read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jfif", ".JFIF", ".jpe", ".pnm", ".dib"])
def test_other_suffixes_of_formats_that_are_read(tmp_path: Path, opened: Open, suffix: str) -> None:
    write(tmp_path, "cat", "dog")
    form = {".pnm": "PPM", ".dib": "DIB"}.get(suffix, "JPEG")
    Image.fromarray(noise(0, 6, 8, 3)).save(tmp_path / "cat" / f"x{suffix}", form)
    data = opened(f"folder:{tmp_path}", split=(0.0, 0.0))
    assert f"cat/x{suffix}" in names(data.train)
    assert data.train is not None
    assert data.train.read(names(data.train).index(f"cat/x{suffix}")).shape == (6, 8, 3)
    if suffix != ".dib":
        assert f"cat/x{suffix}" not in names(opened(f"folder:{tmp_path}", split=(0.0, 0.0), version=1).train)


@pytest.mark.parametrize("reads", [True, False])
def test_a_format_that_not_every_pillow_reads(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    write(tmp_path, "cat", "dog")
    (tmp_path / "cat" / "x.avif").write_bytes(b"...")
    monkeypatch.setattr(features, "check", lambda name: reads)
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    data = opened(f"folder:{tmp_path}", split=(0.0, 0.0))
    assert ("cat/x.avif" in names(data.train)) == reads
    assert any("`.avif`" in note for note in data.notes) != reads


def test_files_that_are_not_read_are_counted_by_suffix(tmp_path: Path, opened: Open) -> None:
    pets(tmp_path, "train", "test")
    for name in ("a.heic", "b.HEIC", "c.txt", "d", "Thumbs.db", ".DS_Store", "desktop.ini", "._0.png"):
        (tmp_path / "train" / "cat" / name).touch()
    write_image(tmp_path / "train" / "cat" / "@eaDir" / "thumbnail.jpg")
    note = "files without the suffix of an image are not read: 2 `.heic`, 1 without a suffix, 1 `.txt`"
    assert opened(f"folder:{tmp_path}").notes == (note,)


@pytest.mark.parametrize("place", ["", "train/"])
def test_a_class_that_would_be_lost_is_refused(tmp_path: Path, refused: Refused, place: str) -> None:
    write(tmp_path, f"{place}cat", f"{place}dog")
    (tmp_path / place / "bird").mkdir()
    (tmp_path / place / "bird" / "0.heic").write_bytes(b"...")
    found = refused(f"folder:{tmp_path}")
    assert (found.code, found.message.endswith("1 `.heic`")) == ("lost-class", True)
    assert f"'{tmp_path}/{place}bird/*.heic'" in found.help
    assert refused(f"folder:{tmp_path}", skip_bad=True).code == "lost-class"


def test_a_class_of_images_without_their_suffix_is_refused(tmp_path: Path, opened: Open, refused: Refused) -> None:
    write(tmp_path, "cat", "dog")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "labels.txt").write_text("cat, dog")
    assert "folders without images are not classes: `notes`" in opened(f"folder:{tmp_path}").notes
    (tmp_path / "bird").mkdir()
    Image.fromarray(noise(0, 6, 8, 3)).save(tmp_path / "bird" / "photo", "JPEG")
    found = refused(f"folder:{tmp_path}")
    assert (found.code, "such as `photo.jpg`" in found.help) == ("lost-class", True)


# --- names that nearly agree ----------------------------------------------------------------------------------------------


def test_a_split_whose_classes_are_nearly_those_of_train(tmp_path: Path, refused: Refused) -> None:
    write(tmp_path, "train/Cat", "train/dog", "val/cat", "val/dog")
    found = refused(f"folder:{tmp_path}")
    assert (found.code, found.help) == (
        "class-not-in-train",
        "`cat` and `Cat` differ only in letter case: rename one of the folders",
    )


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café"), "Unicode composition (NFC and NFD)"),
        ("Cat", "cat", "letter case"),
        ("German shepherd", "german_shepherd", "letter case, spaces or forms of characters"),
        ("red fox", "red-fox", "spaces, dashes and underscores"),
    ],
)
def test_classes_that_look_alike_are_reported(tmp_path: Path, opened: Open, one: str, other: str, what: str) -> None:
    write(tmp_path, one, other, "dog")
    (note,) = (note for note in opened(f"folder:{tmp_path}").notes if "nearly the same name" in note)
    assert f"differ only in {what}" in note


# --- a folder that changes ------------------------------------------------------------------------------------------------


def test_a_folder_that_disappears_while_it_is_listed(
    tmp_path: Path, opened: Open, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "cat", "dog")
    real = os.scandir

    def vanishing(path: Path) -> object:
        if str(path).endswith("/dog"):
            shutil.rmtree(path, ignore_errors=True)
        return real(path)

    monkeypatch.setattr("resnet_spec.data.listing.os.scandir", vanishing)
    found = refused(f"folder:{tmp_path}")
    assert (found.code, "`dog` (it disappeared while the folder was listed)" in found.message) == ("unreadable-file", True)
