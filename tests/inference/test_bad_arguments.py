"""Arguments and data that evaluation and prediction cannot use: one clear error, before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resnet_spec.diagnostics import ArgumentError, DataError
from resnet_spec.inference.evaluate import evaluate
from resnet_spec.inference.predict import predict
from resnet_spec.training import session
from resnet_spec.training.session import Result
from tests.data.conftest import noise
from tests.training.tiny import DATA, SPEC, refused, train, write_folder

pytestmark = pytest.mark.torch

CHANNELS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Result]:
    """A run on synthetic images for each number of channels."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        return {n: train(place / str(n), spec=SPEC.replace("3x12x12", f"{n}x12x12"), epochs=1) for n in CHANNELS}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gray image, a color image, and one of each with an alpha channel."""
    place = tmp_path_factory.mktemp("images")
    for name, mode in (("gray", "L"), ("color", "RGB"), ("gray-alpha", "LA"), ("color-alpha", "RGBA")):
        Image.fromarray(noise(0, 12, 12, 3)).convert(mode).save(place / f"{name}.png")
    return place


# --- channels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_color_images_are_converted_for_either_network(runs: dict[int, Result], images: Path, channels: int) -> None:
    found = predict(runs[channels].folder, images, device="cpu")
    assert [each.problem for each in found] == [""] * 4
    for other in (1, 3):
        assert evaluate(runs[channels].folder, f"{DATA},channels={other}", device="cpu").scores.images == 30


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_image_files_are_refused_for_a_network_of_other_channels(
    runs: dict[int, Result], images: Path, tmp_path: Path, channels: int
) -> None:
    run = runs[channels].folder
    with pytest.raises(DataError, match=f"the network takes {channels} channels, but image files have 1 or 3"):
        predict(run, images, device="cpu")
    with pytest.raises(DataError, match=f"the network takes {channels} channels, but the images have 1 or 3"):
        evaluate(run, write_folder(tmp_path / "data", ("cat", "dog")), device="cpu")


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("other", CHANNELS)
def test_images_in_memory_of_every_number_of_channels(runs: dict[int, Result], channels: int, other: int) -> None:
    data = f"{DATA},channels={other}"
    if other == channels or {channels, other} <= {1, 3}:
        assert evaluate(runs[channels].folder, data, device="cpu").scores.images == 30
        return
    found = refused(lambda: evaluate(runs[channels].folder, data, device="cpu"))
    assert found.code == "data-channels"
    assert f"takes {channels} channel" in found.message
    assert f"have {other}" in found.message or other in (1, 3)


# --- arguments -------------------------------------------------------------------------------------------------------------

BAD_FOR_BOTH: list[tuple[dict[str, Any], str]] = [
    ({"device": None}, "auto, cpu, cuda, mps"),
    ({"device": 0}, "auto, cpu, cuda, mps"),
    ({"precision": "fp64"}, "`fp32`, `bf16` or `fp16`"),
    ({"precision": "auto"}, "`fp32`, `bf16` or `fp16`"),
    ({"precision": None}, "`fp32`, `bf16` or `fp16`"),
    ({"precision": ["fp32"]}, "`fp32`, `bf16` or `fp16`"),
    ({"batch_size": 0}, "1 or more"),
    ({"batch_size": -1}, "1 or more"),
    ({"batch_size": 1.5}, "1 or more"),
    ({"batch_size": "8"}, "1 or more"),
    ({"batch_size": True}, "1 or more"),
    ({"batch_size": None}, "1 or more"),
]


@pytest.mark.parametrize(("arguments", "accepted"), BAD_FOR_BOTH)
def test_what_both_functions_refuse(runs: dict[int, Result], images: Path, arguments: dict[str, Any], accepted: str) -> None:
    (name,) = arguments
    for act in (
        lambda: evaluate(runs[3].folder, **arguments),
        lambda: predict(runs[3].folder, images, **arguments),
    ):
        with pytest.raises(ArgumentError) as caught:
            act()
        assert f"`{name}`" in str(caught.value)
        assert accepted in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "accepted"),
    [
        ({"split": "val"}, "`train`, `validation`, `test` or `all`"),
        ({"split": True}, "`train`, `validation`, `test` or `all`"),
        ({"split": 1}, "`train`, `validation`, `test` or `all`"),
        ({"workers": -1}, "0 or more"),
        ({"workers": "2"}, "0 or more"),
        ({"data": 5}, "folder:DIR"),
        ({"data": Path("images")}, "folder:DIR"),
    ],
)
def test_what_evaluate_refuses(runs: dict[int, Result], arguments: dict[str, Any], accepted: str) -> None:
    (name,) = arguments
    with pytest.raises(ArgumentError) as caught:
        evaluate(runs[3].folder, **arguments)
    assert f"`{name}`" in str(caught.value)
    assert accepted in str(caught.value)


def test_a_split_that_is_almost_right_is_suggested(runs: dict[int, Result]) -> None:
    split: Any = "val"
    found = refused(lambda: evaluate(runs[3].folder, split=split))
    assert "did you mean `validation`?" in found.help


@pytest.mark.parametrize("top", [0, -1, "5", 1.5, None, True])
def test_the_number_of_classes_to_name_is_a_positive_integer(runs: dict[int, Result], images: Path, top: Any) -> None:
    with pytest.raises(ArgumentError, match="`top` takes an integer, 1 or more"):
        predict(runs[3].folder, images, top=top, device="cpu")


@pytest.mark.parametrize("given", [[], (), None, 5, [None], [5], b"a.png", [b"a.png"], {"a.png": 1, "b": 2}])
def test_images_are_one_path_or_several(runs: dict[int, Result], given: Any) -> None:
    if isinstance(given, dict):  # an iterable of names; the first of them is missing
        assert refused(lambda: predict(runs[3].folder, given, device="cpu")).code == "missing-file"
        return
    with pytest.raises(ArgumentError, match="`images`"):
        predict(runs[3].folder, given, device="cpu")


@pytest.mark.parametrize("path", [None, 5, b"runs/a", ["runs/a"]])
def test_a_run_is_a_path(path: Any, images: Path) -> None:
    for act in (lambda: evaluate(path), lambda: predict(path, images)):
        with pytest.raises(ArgumentError, match="`path`"):
            act()


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_there_is_not_is_refused(runs: dict[int, Result], images: Path, device: str) -> None:
    assert refused(lambda: evaluate(runs[3].folder, device=device)).code == "missing-device"
    assert refused(lambda: predict(runs[3].folder, images, device=device)).code == "missing-device"


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "\udcff", "/dev/null"])
def test_a_path_that_no_file_has_is_refused(runs: dict[int, Result], path: str) -> None:
    assert refused(lambda: evaluate(path)).code == "missing-file"
    if path != "/dev/null":
        assert refused(lambda: predict(runs[3].folder, path, device="cpu")).code == "missing-file"


@pytest.mark.parametrize(
    ("address", "message", "help"),
    [
        ("https://x.org/a.jpg", "https://x.org/a.jpg is an address", "`curl -LO https://x.org/a.jpg`"),
        ("HTTP://x.org/a.jpg?b=c&d=e", "http://x.org/a.jpg?b=c&d=e is an address", "`curl -LO 'http://x.org/a.jpg?b=c&d=e'`"),
        (Path("https://x.org/a.jpg"), "https://x.org/a.jpg is an address", "`curl -LO https://x.org/a.jpg`"),
        ("s3://bucket/a.jpg", "s3://bucket/a.jpg is an address", "download the image first, and name the file"),
        ("file:///tmp/a%20b.jpg", "a path is expected here", "write /tmp/a b.jpg"),
    ],
)
def test_an_address_is_answered_with_what_to_do(
    runs: dict[int, Result], images: Path, address: str | Path, message: str, help: str
) -> None:
    for given in (address, [images, address]):
        with pytest.raises(ArgumentError) as caught:
            predict(runs[3].folder, given, device="cpu")
        (finding,) = caught.value.diagnostics
        assert finding.code == "missing-file"
        assert finding.message.startswith(message)
        assert finding.help.endswith(help)


def test_an_address_of_weights_is_not_opened(images: Path) -> None:
    for attempt in (lambda: predict("https://x.org/w.safetensors", images), lambda: evaluate("https://x.org/w.safetensors")):
        with pytest.raises(ArgumentError) as caught:
            attempt()
        assert "downloads nothing" in caught.value.diagnostics[0].message
        assert caught.value.diagnostics[0].help.startswith("download the weights first")


def test_a_file_that_is_called_like_an_address_is_read(
    runs: dict[int, Result], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "https:").mkdir()
    (tmp_path / "https:" / "a.png").write_bytes((images / "color.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    (found,) = predict(runs[3].folder.resolve(), "https://a.png", device="cpu")
    assert found.problem == ""
