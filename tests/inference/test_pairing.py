"""A spec with weights that are named apart from it: what is known of them, what is assumed, and what is refused."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import resnet_spec
from resnet_spec import evaluate, predict
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.cli import group
from resnet_spec.training import session
from tests.data.conftest import noise
from tests.training.tiny import DATA, SPEC, refused, train

pytestmark = [pytest.mark.torch, pytest.mark.training]

LINEAR = "head: {flatten: flatten, fc: {op: linear, out_features: classes}}\n"
ASSUMED = "how images are prepared is not known, and assumed"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on synthetic images, and `small.yaml`, `bare.pth` and `image.png` next to it."""
    place = tmp_path_factory.mktemp("pairing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        train(place / "run", epochs=2)
    (place / "small.yaml").write_text(SPEC, encoding="utf-8")
    torch.save(load_file(place / "run" / "best.safetensors"), place / "bare.pth")
    Image.fromarray(noise(0, 12, 12, 3)).save(place / "image.png")
    return place


@pytest.fixture
def here(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run)
    return run


def command(*arguments: str) -> Result:
    return CliRunner().invoke(group, [*arguments, "--device", "cpu"])


def quietly(act: Callable[[], Any]) -> tuple[Any, list[str]]:
    """The result of a call, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return act(), [str(each.message) for each in caught]


# --- what is known ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["run", "run/best.safetensors"])
def test_weights_of_a_run_keep_what_is_stored_with_them(here: Path, weights: str) -> None:
    own, paired = evaluate("run", device="cpu"), evaluate("small.yaml", weights=weights, device="cpu")
    assert (paired.scores, paired.classes, paired.split) == (own.scores, own.classes, own.split)
    assert paired.weights_notes == ()
    one, other = predict("run", "image.png", device="cpu"), predict(SPEC, "image.png", weights=weights, device="cpu")
    assert one == other


def test_weights_alone_are_those_of_the_run(here: Path) -> None:
    """Prepared as by the run, the same images have the same figures."""
    own = evaluate("run", device="cpu")
    stored = json.loads(metadata("run/best.safetensors")["preparation"])
    prepare = {"mean": stored["mean"], "std": stored["std"]}
    found = evaluate("small.yaml", DATA, weights="bare.pth", prepare=prepare, device="cpu")
    assert found.scores.accuracy == own.scores.accuracy
    assert found.scores.loss == pytest.approx(own.scores.loss, rel=1e-5)
    assert found.split == "test"
    assert any("taken for those of the data" in note for note in found.weights_notes)


def metadata(path: str) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return {key.removeprefix("resnet_spec."): value for key, value in file.metadata().items()}


def torchvisions(name: str, **arguments: Any) -> nn.Module:
    import_torchvision()
    from torchvision import models

    torch.manual_seed(0)
    model: nn.Module = getattr(models, name)(**arguments)
    return model.eval()


def test_predictions_are_those_of_torchvisions_network(tmp_path: Path) -> None:
    """Of its own weights, with the normalization of torchvision's transforms."""
    model = torchvisions("resnet18")
    torch.save(model.state_dict(), tmp_path / "resnet18.pth")
    pixels = noise(0, 64, 64, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    from torchvision.transforms import functional

    x = functional.normalize(functional.to_tensor(Image.open(tmp_path / "a.png")), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = model(x[None]).softmax(1)[0]
    prepare = {"resize": 64, "crop": 64}
    (found,), notes = quietly(
        lambda: predict(
            "resnet18", tmp_path / "a.png", weights=tmp_path / "resnet18.pth", prepare=prepare, top=1000, device="cpu"
        )
    )
    values = {int(name.removeprefix("class ")): value for name, value in found.classes}
    assert torch.allclose(torch.tensor([values[i] for i in range(1000)]), expected, atol=1e-6)
    assert any("`--classes FILE`" in note for note in notes)
    assert any(ASSUMED in note for note in notes)  # mean and deviation still are


def test_a_run_is_a_spec_and_weights(here: Path) -> None:
    """Its network is built with its weights, and any command that takes a spec takes it."""
    stored = load_file("run/best.safetensors")
    for built in (resnet_spec.build("run"), resnet_spec.build(Path("run")), resnet_spec.build("small.yaml", weights="run")):
        assert all(torch.equal(tensor, stored[key]) for key, tensor in built.state_dict().items())
    anew = resnet_spec.build("run/spec.yaml").state_dict()
    assert not torch.equal(anew["fc.weight"], stored["fc.weight"])
    assert resnet_spec.analyze("run").fingerprint == resnet_spec.analyze("small.yaml").fingerprint
    own = predict("run", "image.png", device="cpu")
    assert quietly(lambda: predict("run", "image.png", weights="bare.pth", classes=["0", "1", "2", "3"], device="cpu"))[0]
    assert predict("run", "image.png", weights="run/best.safetensors", device="cpu") == own
    runner = CliRunner()
    assert "loaded: every tensor of the network is in run" in runner.invoke(group, ["build", "run"]).stdout
    assert runner.invoke(group, ["summary", "run"]).stdout == runner.invoke(group, ["summary", "run/spec.yaml"]).stdout


# --- classes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["lines", "json", "python"])
def test_classes_are_named_by_a_file_or_a_list(here: Path, tmp_path: Path, form: str) -> None:
    names = ["ant", "bee", "cat", "dog"]
    file = tmp_path / "classes.txt"
    file.write_text(json.dumps(names) if form == "json" else "\ufeffant\nbee\r\ncat\ndog\n\n", encoding="utf-8")
    given: Any = names if form == "python" else file
    (found,), notes = quietly(lambda: predict(SPEC, "image.png", weights="bare.pth", classes=given, device="cpu"))
    (bare,), _ = quietly(lambda: predict(SPEC, "image.png", weights="bare.pth", device="cpu"))
    order = [int(name.removeprefix("class ")) for name, _ in bare.classes]
    assert [name for name, _ in found.classes] == [names[i] for i in order]
    assert not any("names of the classes" in note for note in notes)


def test_equal_names_are_kept_apart_by_their_numbers(here: Path) -> None:
    """ImageNet's names have `crane` and `maillot` twice."""
    (found,), _ = quietly(
        lambda: predict(SPEC, "image.png", weights="bare.pth", classes=["crane", "bee", "crane", "ant"], device="cpu")
    )
    assert {name for name, _ in found.classes} == {"crane (0)", "bee", "crane (2)", "ant"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ant\nbee\n", "names 2 classes, and small returns 4 values"),
        (b"", "names no classes"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b'{"0": "ant"}', "is no JSON list of names"),
        (b"[1, 2, 3, 4]", "is no JSON list of names"),
        (b"[" * 100_000, "is no JSON list of names"),
        (None, "cannot read the classes"),
    ],
)
def test_a_list_of_classes_that_does_not_fit_is_refused(
    here: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "c").write_bytes(content)
    found = refused(lambda: predict(SPEC, "image.png", weights="bare.pth", classes=tmp_path / "c", device="cpu"))
    assert message in found.message
    assert found.help


def test_data_of_another_number_of_classes_are_refused(here: Path) -> None:
    data = "synthetic:classes=3,size=12,train=6,validation=0,test=6"
    found = refused(lambda: evaluate(SPEC, data, weights="bare.pth", device="cpu"))
    assert found.code == "data-classes"
    assert "3 classes, and small returns 4 values" in found.message
    assert "train SPEC --weights" in found.help
    assert "--classes" in found.help


# --- preparation -----------------------------------------------------------------------------------------------------------


def test_what_is_assumed_is_in_a_note_and_what_is_set_is_not(here: Path) -> None:
    found = evaluate(SPEC, DATA, weights="bare.pth", device="cpu")
    assert any(ASSUMED in note for note in found.weights_notes)
    every = ["resize=12x12", "crop=12", "mean=imagenet", "std=0.2"]
    found = evaluate(SPEC, DATA, weights="bare.pth", prepare=every, device="cpu")
    assert not any(ASSUMED in note for note in found.weights_notes)


def test_a_size_that_the_network_does_not_accept_is_refused(here: Path) -> None:
    spec = (
        "spec: 1\nname: flat\ninput: 3x12x12\nclasses: 4\nhead: {flatten: flatten, fc: {op: linear, out_features: classes}}\n"
    )
    torch.save(resnet_spec.build(spec).state_dict(), "flat.pth")
    found = refused(lambda: predict(spec, "image.png", weights="flat.pth", prepare="crop=8", device="cpu"))
    assert found.code == "data-size"
    assert "`--prepare crop=12`" in found.help


# --- what is refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "help"),
    [
        (["eval", "bare.pth"], "weights-without-facts", "`eval SPEC --weights bare.pth`"),
        (["predict", "bare.pth", "image.png"], "weights-without-facts", "`predict SPEC --weights bare.pth IMAGE`"),
        (["eval", "resnet18"], "missing-file", "resnet18 --weights FILE"),
        (["eval", "small.yaml"], "invalid-argument", "small.yaml --weights FILE"),
        (["predict", "small.yaml", "image.png"], "invalid-argument", "small.yaml --weights FILE"),
        (["eval", "run", "--weights", "bare.pth"], "missing-data", "--data folder:DIR"),
        (["eval", "bare.pth", "--weights", "run"], "invalid-argument", "SPEC --weights FILE"),
        (["eval", "run", "--classes", "c.txt"], "invalid-argument", "SPEC --weights FILE"),
        (["eval", "run", "--set", "classes=4"], "invalid-argument", "SPEC --weights FILE"),
        (["predict", "run", "image.png", "--prepare", "crop=8"], "invalid-argument", "SPEC --weights FILE"),
        (["eval", "small.yaml", "--weights", "bare.pth"], "missing-data", "--data folder:DIR"),
        (["eval", "small.yaml", "--weights", "image.png", "--data", DATA], "unreadable-file", "name a file of weights"),
        (["eval", "small.yaml", "--weights", "small.yaml", "--data", DATA], "unreadable-file", "name a file of weights"),
        (["eval", "small.yaml", "--weights", "bare.pth", "--data", DATA, "--set", "classes=7"], "other-weights", "classes=4"),
        (["eval", "small.yaml", "--weights", "run", "--set", "classes=7"], "other-fingerprint", "classes=4"),
        (["eval", "small.yaml", "--weights", "run", "--set", "act=silu"], "other-fingerprint", "`eval run`"),
        (["predict", "small.yaml", "image.png", "--weights", "bare.pth", "--prepare", "width=8"], "invalid-argument", "resize"),
    ],
)
def test_a_mistake_has_a_way_out(here: Path, arguments: list[str], code: str, help: str) -> None:
    done = command(*arguments)
    assert done.exit_code in (1, 2)
    assert f"error[{code}]" in done.stderr
    assert help in done.stderr
    assert done.stdout == ""


def test_numbers_that_are_not_finite_are_refused_with_their_tensor(here: Path, tmp_path: Path) -> None:
    tensors = load_file("run/best.safetensors")
    tensors["layer1.0.conv1.weight"][0, 0, 0, 0] = math.nan
    save_file(tensors, tmp_path / "nan.safetensors")
    found = refused(lambda: predict(SPEC, "image.png", weights=tmp_path / "nan.safetensors", device="cpu"))
    assert found.code == "weights-not-finite"
    assert "`layer1.0.conv1.weight`" in found.message
    assert found.help


@pytest.mark.parametrize(
    ("key", "value"), [("classes", "{}"), ("classes", '["a"]'), ("preparation", "null"), ("split", "[2, 2]")]
)
def test_metadata_that_contradict_the_network_are_refused(here: Path, tmp_path: Path, key: str, value: str) -> None:
    stored = {f"resnet_spec.{name}": text for name, text in metadata("run/best.safetensors").items()}
    save_file(load_file("run/best.safetensors"), tmp_path / "w.safetensors", {**stored, f"resnet_spec.{key}": value})
    found = refused(lambda: predict(SPEC, "image.png", weights=tmp_path / "w.safetensors", device="cpu"))
    assert found.code == "weights-without-facts"


def test_a_network_without_classes_is_refused(here: Path) -> None:
    spec = "spec: 1\nname: maps\ninput: 3x12x12\nstem: {conv: {op: conv2d, out_channels: 4, kernel_size: 3}}\n"
    torch.save(resnet_spec.build(spec).state_dict(), "maps.pth")
    found = refused(lambda: predict(spec, "image.png", weights="maps.pth", device="cpu"))
    assert found.code == "data-classes"
    assert "4x10x10" in found.message


def test_images_of_other_channels_are_refused_with_a_way_out(here: Path) -> None:
    spec = SPEC.replace("3x12x12", "4x12x12")
    torch.save(resnet_spec.build(spec).state_dict(), "four.pth")
    found = refused(lambda: predict(spec, "image.png", weights="four.pth", device="cpu"))
    assert found.code == "data-channels"
    assert "(H, W, 4)" in found.help
    (done,), _ = quietly(lambda: predict(spec, np.zeros((12, 12, 4), np.uint8), weights="four.pth", device="cpu"))
    assert len(done.classes) == 4


def test_a_module_takes_no_second_weights(here: Path) -> None:
    with pytest.raises(resnet_spec.ArgumentError, match="`module` and `weights`"):
        evaluate(SPEC, DATA, weights="bare.pth", module=nn.Identity(), device="cpu")


def test_a_spec_in_python_needs_weights(here: Path) -> None:
    found = refused(lambda: evaluate({"spec": 1}, DATA))
    assert "weights=FILE" in found.help


# --- the command line ------------------------------------------------------------------------------------------------------


def test_the_commands_print_notes_and_results(here: Path) -> None:
    done = command("eval", "small.yaml", "--weights", "bare.pth", "--data", DATA)
    assert done.exit_code == 0
    assert done.stdout.startswith("small on 30 test images")
    assert f"note: {ASSUMED}" in done.stderr
    found = json.loads(command("eval", "small.yaml", "--weights", "bare.pth", "--data", DATA, "--format", "json").stdout)
    assert any(ASSUMED in note for note in found["weights_notes"])
    assert "weights_notes" not in json.loads(command("eval", "run", "--format", "json").stdout)
    done = command("predict", "small.yaml", "image.png", "--weights", "bare.pth", "--top", "1")
    assert re.fullmatch(r"image\.png  class [0-3] \d+\.\d%\n", done.stdout)
    done = CliRunner().invoke(group, ["predict", "-", "image.png", "--weights", "bare.pth"], input=SPEC)
    assert done.exit_code == 0


def test_a_folder_without_splits_is_scored_whole(here: Path, tmp_path: Path) -> None:
    """A hash would call a part of the images a test set; nothing was trained on any of them."""
    for number, name in enumerate(("a", "b", "c", "d")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(noise(number * 10 + i, 12, 12, 3)).save(tmp_path / "data" / name / f"{i}.png")
    found = evaluate(SPEC, f"folder:{tmp_path / 'data'}", weights="bare.pth", device="cpu")
    assert (found.split, found.scores.images, found.notes) == ("all", 20, ("the data have no splits",))
    refusal = refused(lambda: evaluate(SPEC, f"folder:{tmp_path / 'data'}", weights="bare.pth", split="test", device="cpu"))
    assert refusal.code == "data-split"
