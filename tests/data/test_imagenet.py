"""ImageNet's official layout, and the flat one of its validation archive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.conftest import Open, Refused, write_image

WORDNET = ("n01440764", "n02012849", "n03126707")  # tench, crane the bird, crane the machine


def write(root: Path, flat: bool = False) -> None:
    for number, one in enumerate(WORDNET):
        write_image(root / "train" / one / f"{one}_{number}.JPEG", number)
        name = f"ILSVRC2012_val_{number:08}.JPEG"
        write_image(root / "val" / name if flat else root / "val" / one / name, 10 + number)


@pytest.mark.parametrize("below", ["", "ILSVRC/Data/CLS-LOC"])
def test_the_official_validation_images_are_the_test_split(tmp_path: Path, opened: Open, below: str) -> None:
    write(tmp_path / below)
    (tmp_path / below / "train" / "n99999999").mkdir()
    data = opened(f"imagenet:{tmp_path}")
    assert data.classes == WORDNET
    assert data.validation is None
    assert data.train is not None
    assert data.test is not None
    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 1, 2]
    assert data.test.name(2) == "val/n03126707/ILSVRC2012_val_00000002.JPEG"
    assert data.test.read(0).shape == (8, 6, 3)
    assert data.notes == ("folders of `train` without images are not classes: `n99999999`",)


def test_names_come_from_the_lists_people_put_beside(tmp_path: Path, opened: Open) -> None:
    write(tmp_path)
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n")
    named = ("tench", "crane (n02012849)", "crane (n03126707)")
    assert opened(f"imagenet:{tmp_path}").classes == named
    (tmp_path / "LOC_synset_mapping.txt").unlink()
    index = {str(i): [one, word] for i, (one, word) in enumerate(zip(WORDNET, ("tench", "crane", "crane"), strict=True))}
    (tmp_path / "imagenet_class_index.json").write_text(json.dumps(index))
    assert opened(f"imagenet:{tmp_path}").classes == named
    (tmp_path / "imagenet_class_index.json").write_text("[1, 2")
    assert opened(f"imagenet:{tmp_path}").classes == WORDNET


def test_flat_validation_needs_a_list(tmp_path: Path, opened: Open, refused: Refused) -> None:
    write(tmp_path, flat=True)
    found = refused(f"imagenet:{tmp_path}")
    assert found.code == "flat-validation"
    assert "val/n01440764" in found.help
    rows = [f"ILSVRC2012_val_{number:08},{one} 1 2 3 4 {one} 5 6 7 8 " for number, one in enumerate(WORDNET)]
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))
    test = opened(f"imagenet:{tmp_path}").test
    assert test is not None
    assert test.labels.tolist() == [0, 1, 2]
    write_image(tmp_path / "val" / "ILSVRC2012_val_00000009.JPEG")
    assert "ILSVRC2012_val_00000009.JPEG" in refused(f"imagenet:{tmp_path}").message


def test_flat_validation_in_a_folder_of_any_name(tmp_path: Path, opened: Open, refused: Refused) -> None:
    write(tmp_path, flat=True)
    (tmp_path / "all").mkdir()
    for path in (tmp_path / "val").iterdir():
        path.rename(tmp_path / "all" / path.name)
    (tmp_path / "all").rename(tmp_path / "val" / "all")
    assert refused(f"imagenet:{tmp_path}").code == "flat-validation"
    assert opened(f"imagenet:{tmp_path}", version=1).test is None
    rows = [f"ILSVRC2012_val_{number:08},{one} 1 2 3 4 " for number, one in enumerate(WORDNET)]
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))
    test = opened(f"imagenet:{tmp_path}").test
    assert test is not None
    assert test.labels.tolist() == [0, 1, 2]


def test_tiny_imagenet_is_read_too(tmp_path: Path, opened: Open) -> None:
    for number, one in enumerate(WORDNET):
        write_image(tmp_path / "train" / one / "images" / f"{one}_0.JPEG", number)
        write_image(tmp_path / "val" / "images" / f"val_{number}.JPEG", 10 + number)
    rows = [f"val_{number}.JPEG\t{one}\t0\t0\t9\t9\n" for number, one in enumerate(WORDNET)]
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(rows))
    data = opened(f"imagenet:{tmp_path}")
    assert data.test is not None
    assert data.test.labels.tolist() == [0, 1, 2]
    assert data.train is not None
    assert data.train.name(0) == "train/n01440764/images/n01440764_0.JPEG"


def test_what_is_no_imagenet_is_refused(tmp_path: Path, opened: Open, refused: Refused) -> None:
    text = f"imagenet:{tmp_path}"
    assert refused(text).code == "missing-data"
    write_image(tmp_path / "train" / "cat" / "1.png")
    write_image(tmp_path / "train" / "n01440764" / "1.JPEG")
    assert refused(text).code == "no-classes"
    write_image(tmp_path / "train" / "n02012849" / "1.JPEG")
    data = opened(text)
    assert (len(data.classes), data.test) == (2, None)
    assert data.notes == ("there is no `val` with images, so there is no test split",)
    write_image(tmp_path / "val" / "n03126707" / "1.JPEG")
    assert refused(text).code == "class-not-in-train"
    (tmp_path / "train" / "n03126707").mkdir()
    (tmp_path / "train" / "n03126707" / "1.JPEG").symlink_to("nowhere")
    assert refused(text).code in ("class-not-in-train", "unreadable-file")
