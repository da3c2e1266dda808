"""Images in memory are predicted as files are; what is no image is refused, with what to do; files of predictions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_spec.inference.predict import predict
from resnet_spec.training import session
from resnet_spec.training.session import Result
from tests.cli.conftest import Shell
from tests.data.conftest import noise
from tests.training.tiny import refused, train, write_folder

pytestmark = [pytest.mark.torch, pytest.mark.training]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run of a folder of images, two of whose classes have names that a spreadsheet would compute."""
    place = tmp_path_factory.mktemp("given")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        return train(place / "run", write_folder(place / "data", ("=1+1", "dog", "@x")), epochs=2)


def classes_of(run: Result, image: Any) -> tuple[tuple[str, float], ...]:
    (found,) = predict(run.folder, image, device="cpu")
    return found.classes


def test_an_image_in_memory_is_predicted_as_its_file(run: Result, tmp_path: Path) -> None:
    pixels = noise(3, 20, 30, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = classes_of(run, tmp_path / "a.png")
    assert sum(share for _, share in expected) == pytest.approx(1, abs=1e-5)
    with Image.open(tmp_path / "a.png") as image:
        assert classes_of(run, image) == expected
    assert classes_of(run, pixels) == expected
    assert classes_of(run, np.asfortranarray(pixels)) == expected
    read_only = pixels.copy()
    read_only.setflags(write=False)
    assert classes_of(run, read_only) == expected


def test_gray_images_of_every_kind_are_the_same(run: Result, tmp_path: Path) -> None:
    gray = noise(4, 16, 16, 1)
    Image.fromarray(gray[..., 0]).save(tmp_path / "a.png")
    expected = classes_of(run, tmp_path / "a.png")
    for image in (gray, gray[..., 0], Image.fromarray(gray[..., 0]), np.repeat(gray, 3, axis=2)):
        assert classes_of(run, image) == expected


def test_an_image_of_pillow_is_turned_and_put_on_white_as_a_file_is(run: Result, tmp_path: Path) -> None:
    clear = np.concatenate([noise(5, 16, 20, 3), np.full((16, 20, 1), 77, np.uint8)], axis=2)
    image = Image.fromarray(clear)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        assert classes_of(run, opened) == classes_of(run, tmp_path / "a.png")
        assert classes_of(run, opened) != classes_of(run, image.convert("RGB"))


def test_several_are_named_by_path_or_by_position(run: Result, tmp_path: Path) -> None:
    pixels = noise(6, 12, 12, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        found = predict(
            run.folder, (each for each in (pixels, tmp_path / "a.png", image, Image.fromarray(pixels))), device="cpu"
        )
    assert [each.image for each in found] == ["image 0", str(tmp_path / "a.png"), str(tmp_path / "a.png"), "image 3"]
    assert len({each.classes for each in found}) == 1


def test_an_array_that_changes_later_was_copied(run: Result) -> None:
    pixels = noise(7, 12, 12, 3)
    expected = classes_of(run, pixels.copy())

    def images() -> Any:
        yield pixels
        pixels[:] = 0  # as a camera's buffer is

    (found,) = predict(run.folder, images(), device="cpu")
    assert found.classes == expected


def test_a_damaged_image_of_pillow_is_a_problem_and_no_error(run: Result, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(noise(8, 64, 64, 3)).save(file, "PNG")
    image = Image.open(io.BytesIO(file.getvalue()[:3000]))
    (found,) = predict(run.folder, image, device="cpu")
    assert (found.image, found.classes) == ("image 0", ())
    assert found.problem


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "floats": (lambda: np.zeros((4, 4, 3)), "holds float64, not uint8"),
    "booleans": (lambda: np.zeros((4, 4), bool), "holds bool"),
    "channels first": (lambda: np.zeros((3, 40, 40), np.uint8), "channels come last"),
    "a batch": (lambda: np.zeros((2, 4, 4, 3), np.uint8), "four axes"),
    "a row": (lambda: np.zeros(4, np.uint8), "is 4, not (height, width)"),
    "a number": (lambda: np.array(4, np.uint8), "a single number"),
    "no pixels": (lambda: np.zeros((0, 4, 3), np.uint8), "no pixels"),
    "a tensor": (lambda: torch.zeros(3, 4, 4), "is a tensor"),
    "None in a list": (lambda: [None], "image 0 is None"),
    "a list of floats": (lambda: [noise(1, 4, 4, 3), np.zeros((4, 4))], "position 1"),
    "bytes": (lambda: b"\x89PNG", "or several of them"),
    "nothing": (list, "is empty"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_image_is_refused_before_the_weights_are_loaded(what: str) -> None:
    given, words = REFUSED[what]
    images: Any = given()
    found = refused(lambda: predict("there is no such run", images))
    assert found.code == "invalid-argument"
    assert words in found.message


def test_transparency_in_an_array_is_refused(run: Result) -> None:
    found = refused(lambda: predict(run.folder, np.zeros((4, 4, 4), np.uint8), device="cpu"))
    assert found.code == "data-channels"
    assert "array[..., :3]" in found.help


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


# --- files -----------------------------------------------------------------------------------------------------------------


def test_a_table_has_every_probability_and_the_problems(run: Result, shell: Shell) -> None:
    (shell.folder / "images").mkdir()
    for i in range(5):
        Image.fromarray(noise(i, 12, 12, 3)).save(shell.folder / "images" / f"={i}.png")
    (shell.folder / "images" / "x.png").write_bytes(b"damaged")
    arguments = ("predict", str(run.folder), "images", "--device", "cpu", "--batch-size", "2")
    done = shell.here(*arguments, "-o", "out.csv")
    assert done.returncode == 1
    assert done.stdout == b"wrote out.csv: 6 images\n"
    assert b"cannot read images/x.png" in done.stderr
    with (shell.folder / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"images/={i}.png" for i in range(5)] + ["images/x.png"]
    assert rows[5]["problem"]
    assert rows[5]["prediction"] == ""
    assert shell.here(*arguments, "-o", "out.json").returncode == 1
    found = json.loads((shell.folder / "out.json").read_text(encoding="utf-8"))
    shown = json.loads(shell.here(*arguments, "--top", "9", "--format", "json").stdout)
    assert found == shown
    for row, each in zip(rows[:5], found["predictions"], strict=False):
        for known in each["classes"]:
            name = f"'{known['name']}" if known["name"][0] in "=@" else known["name"]
            assert float(row[f"probability of {name}"]) == pytest.approx(known["probability"], abs=1e-6)
        assert row["prediction"].lstrip("'") == each["classes"][0]["name"]


def test_a_file_that_cannot_be_written_is_reported(run: Result, shell: Shell) -> None:
    Image.fromarray(noise(0, 12, 12, 3)).save(shell.folder / "a.png")
    arguments = ("predict", str(run.folder), "a.png", "--device", "cpu")
    done = shell.here(*arguments, "-o", "none/out.csv")
    assert (done.returncode, b"cannot-write" in done.stderr) == (2, True)
    assert shell.here(*arguments, "-o", "out.txt").returncode == 2
    assert shell.here(*arguments, "--layer", "layer1").returncode == 2
    done = shell.here(*arguments, "--explain", "out", "--layer", "layer9")
    assert (done.returncode, b"no-such-layer" in done.stderr) == (2, True)
    assert not (shell.folder / "out").exists()
    assert shell.here(*arguments, "--explain", "out", "--layer", "layer1").returncode == 0
    assert [path.name for path in (shell.folder / "out").iterdir()] == ["a.png.cam.png"]
