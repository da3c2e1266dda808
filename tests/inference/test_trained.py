"""Evaluation and prediction with a run folder or a file of weights, on the data of training and on others; malformed files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.inference import evaluate as evaluate_module
from resnet_spec.inference.evaluate import evaluate
from resnet_spec.inference.predict import predict
from resnet_spec.inference.statistics import summarize_data
from resnet_spec.inference.trained import load_trained
from resnet_spec.training import session
from resnet_spec.training.session import Result
from tests.data.conftest import noise
from tests.training.tiny import DATA, refused, train, write_folder

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run on synthetic images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        return train(tmp_path_factory.mktemp("runs") / "run", epochs=4, eval_batch_size=7)


@pytest.fixture(scope="module")
def of_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A run on a folder of images, and that folder."""
    place = tmp_path_factory.mktemp("folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        return train(place / "run", write_folder(place / "data"), epochs=4), place / "data"


# --- evaluate --------------------------------------------------------------------------------------------------------------


def test_the_results_of_a_run_are_reproduced(run: Result) -> None:
    results = json.loads((run.folder / "results.json").read_text(encoding="utf-8"))
    found = evaluate(run.folder, device="cpu")
    assert found.scores.accuracy == results["test_accuracy"]
    assert found.scores.loss == pytest.approx(results["test_loss"], rel=1e-5)
    assert run.test is not None
    assert found.scores.confusion == run.test.confusion
    validation = evaluate(run.folder, split="validation", device="cpu")
    assert validation.scores.accuracy == results["best_validation_accuracy"]


@pytest.mark.parametrize("batch_size", [1, 4, 30, 1000])
def test_the_size_of_batches_changes_nothing(run: Result, batch_size: int) -> None:
    assert run.test is not None
    found = evaluate(run.folder, device="cpu", batch_size=batch_size)
    assert found.scores.images == 30
    assert found.scores.confusion == run.test.confusion
    assert found.scores.loss == pytest.approx(run.test.loss, rel=1e-5)


def test_a_file_alone_is_enough(run: Result, tmp_path: Path) -> None:
    shutil.copy(run.folder / "best.safetensors", tmp_path / "mine.safetensors")
    assert run.test is not None
    assert evaluate(tmp_path / "mine.safetensors", device="cpu").scores.confusion == run.test.confusion


def test_a_file_alone_cuts_images_into_the_splits_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other fractions, images of training would be among those it is evaluated on."""
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    write_folder(tmp_path / "data", count=40)
    data = f"folder:{tmp_path / 'data' / 'train'}"
    result = train(tmp_path / "run", data, epochs=1, split={"validation": 0.1, "test": 0.4})
    shutil.copy(result.folder / "best.safetensors", tmp_path / "mine.safetensors")
    assert result.test is not None
    found = evaluate(tmp_path / "mine.safetensors", data, device="cpu")
    assert found.scores.images == result.test.images > 20
    assert found.scores.confusion == result.test.confusion


def test_the_best_weights_are_taken_of_a_folder_and_the_last_where_there_are_none(run: Result, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "run")
    best = load_file(run.folder / "best.safetensors")
    assert all(torch.equal(best[key], value) for key, value in load_trained(run.folder).module.state_dict().items())
    (tmp_path / "run" / "best.safetensors").unlink()
    last = load_file(run.folder / "last.safetensors")
    found = load_trained(tmp_path / "run").module.state_dict()
    assert all(torch.equal(last[key], value) for key, value in found.items())
    (tmp_path / "run" / "last.safetensors").unlink()
    assert refused(lambda: load_trained(tmp_path / "run")).code == "not-a-run"


def test_training_images_that_were_held_out_are_held_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    result = train(tmp_path / "run", "synthetic:classes=4,size=12,train=80,validation=0,test=30", hold_out=0.25)
    found = evaluate(tmp_path / "run", split="validation", device="cpu")
    assert found.scores.images == 20
    assert found.scores.accuracy == result.rows[result.best_epoch - 1].validation_accuracy


def test_a_file_alone_holds_out_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    train(tmp_path / "run", "synthetic:classes=4,size=12,train=80,validation=0,test=30", hold_out=0.25, seed=3)
    shutil.copy(tmp_path / "run" / "best.safetensors", tmp_path / "alone.safetensors")
    for split, count in (("validation", 20), ("train", 60)):
        found = evaluate(tmp_path / "alone.safetensors", split=split, device="cpu")  # type: ignore[arg-type]
        assert found.scores.images == count
        assert found.scores == evaluate(tmp_path / "run", split=split, device="cpu").scores  # type: ignore[arg-type]


def test_drawn_images_are_evaluated_at_the_size_they_were_drawn_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    result = train(tmp_path / "run", "synthetic:classes=4,train=80,validation=24,test=30", crop=8)
    assert result.test is not None
    assert evaluate(tmp_path / "run", device="cpu").scores.confusion == result.test.confusion


def test_a_photograph_is_brought_to_the_size_of_the_images_trained_with_before_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its middle pixels alone would show nothing of it."""
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    result = train(tmp_path / "run", epochs=1, crop=8)
    assert result.preparation.resize == (12, 12)
    small = noise(0, 12, 12, 3)
    Image.fromarray(small).save(tmp_path / "small.png")
    Image.fromarray(np.kron(small, np.ones((20, 20, 1), np.uint8))).save(tmp_path / "large.png")
    one, other = predict(tmp_path / "run", [tmp_path / "small.png", tmp_path / "large.png"], device="cpu")
    assert dict(other.classes) == pytest.approx(dict(one.classes), abs=0.02)


def test_one_image_may_be_named_alone(of_folder: tuple[Result, Path], tmp_path: Path) -> None:
    Image.fromarray(noise(0, 12, 12, 3)).save(tmp_path / "a.png")
    one = predict(of_folder[0].folder, str(tmp_path / "a.png"), device="cpu")
    assert one == predict(of_folder[0].folder, [tmp_path / "a.png"], device="cpu")


def test_classes_of_the_data_may_stand_in_another_order(of_folder: tuple[Result, Path], tmp_path: Path) -> None:
    """Names of folders are sorted, so a third class that sorts first moves the labels of the others."""
    result, data = of_folder
    shutil.copytree(data / "test" / "dog", tmp_path / "data" / "train" / "dog")
    shutil.copytree(data / "test" / "dog", tmp_path / "data" / "test" / "dog")
    assert result.classes == ("cat", "dog")
    alone = evaluate(result.folder, f"folder:{tmp_path / 'data'}", device="cpu").scores.confusion
    assert alone[1] == evaluate(result.folder, device="cpu").scores.confusion[1]  # one class is enough to evaluate
    assert alone[0] == (0, 0)
    shutil.copytree(data / "test" / "cat", tmp_path / "data" / "train" / "ant")
    shutil.copytree(data / "test" / "cat", tmp_path / "data" / "test" / "ant")
    found = refused(lambda: evaluate(result.folder, f"folder:{tmp_path / 'data'}", device="cpu"))
    assert found.code == "data-classes"
    assert "`ant`" in found.message
    assert "cat, dog" in found.help


def test_labels_are_mapped_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that knows (c, a, b) on data of (a, b, c): the same images are counted in the rows of their names."""
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    data = write_folder(tmp_path / "data", ("a", "b", "c"), count=20)
    result = train(tmp_path / "run", data, epochs=3, batch_size=20)
    whole = evaluate(result.folder, device="cpu").scores.confusion
    turned = ("c", "a", "b")
    network = load_trained(result.folder, "cpu")
    place = [network.facts.classes.index(name) for name in turned]
    head: torch.nn.Linear = network.module.get_submodule("fc")  # type: ignore[assignment]
    with torch.no_grad():
        head.weight.copy_(head.weight[place])
        head.bias.copy_(head.bias[place])
    other = replace(network, facts=replace(network.facts, classes=turned))
    monkeypatch.setattr(evaluate_module, "load_named", lambda path, *_: (other, path))
    found = evaluate(result.folder, data, device="cpu")
    assert found.classes == turned
    expected = tuple(tuple(whole["abc".index(one)]["abc".index(two)] for two in turned) for one in turned)
    assert found.scores.confusion == expected


def test_a_split_that_does_not_exist_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    train(tmp_path / "run", "synthetic:classes=4,size=12,train=20,validation=0,test=0", epochs=1)
    found = refused(lambda: evaluate(tmp_path / "run", device="cpu"))
    assert found.code == "data-split"
    assert found.help == "`--split` takes train here"


@pytest.mark.parametrize("size", [(12, 12), (20, 16), (9, 30)])
def test_images_of_another_size_than_those_of_training_are_resized(run: Result, tmp_path: Path, size: tuple[int, int]) -> None:
    """Training saw 12x12 pixels and resized nothing; what the network sees now is what Pillow's own resize gives."""
    random = np.random.default_rng(3)
    for name in run.classes:
        (tmp_path / "data" / "test" / name).mkdir(parents=True)
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
        for number in range(2):
            pixels = Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8))
            pixels.save(tmp_path / "data" / "test" / name / f"{number}.png")
            pixels.save(tmp_path / "data" / "train" / name / f"{number}.png")
    files = sorted((tmp_path / "data" / "test").rglob("*.png"))
    scores = evaluate(run.folder, f"folder:{tmp_path / 'data'}", device="cpu").scores
    assert scores.images == 8
    one = predict(run.folder, files, top=4, device="cpu")
    for file, found in zip(files, one, strict=True):
        with Image.open(file) as image:
            small = np.asarray(image.resize((12, 12), Image.Resampling.BILINEAR))
        network = load_trained(run.folder, "cpu")
        x = torch.from_numpy(small.copy()).permute(2, 0, 1)[None] / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (run.preparation.mean, run.preparation.std))
        with torch.no_grad():
            shares = network.module((x - mean) / std).softmax(1)[0]
        assert dict(found.classes) == pytest.approx(
            {name: float(share) for name, share in zip(run.classes, shares, strict=True)}, abs=0.03
        )


# --- predict ---------------------------------------------------------------------------------------------------------------


def test_predictions_are_in_order_and_sum_to_one(of_folder: tuple[Result, Path]) -> None:
    result, data = of_folder
    found = predict(result.folder, [data / "test"], top=9, device="cpu")
    assert [Path(each.image).name for each in found] == [f"{number}.png" for number in range(4)] * 2
    for each in found:
        shares = [share for _, share in each.classes]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-5)
    confusion = evaluate(result.folder, device="cpu").scores.confusion
    firsts = [each.classes[0][0] for each in found]
    assert [firsts[:4].count("cat"), firsts[:4].count("dog")] == list(confusion[0])
    assert [firsts[4:].count("cat"), firsts[4:].count("dog")] == list(confusion[1])


def test_a_prediction_does_not_depend_on_what_is_predicted_beside_it(of_folder: tuple[Result, Path]) -> None:
    result, data = of_folder
    files = sorted((data / "test").rglob("*.png"))
    together = predict(result.folder, files, device="cpu")
    alone = [predict(result.folder, [file], device="cpu", batch_size=1)[0] for file in files]
    for one, other in zip(together, alone, strict=True):
        assert dict(one.classes) == pytest.approx(dict(other.classes), abs=1e-5)


def test_an_image_that_cannot_be_read_says_why_beside_those_that_can(of_folder: tuple[Result, Path], tmp_path: Path) -> None:
    result, data = of_folder
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    (tmp_path / "empty.jpg").write_bytes(b"")
    found = predict(result.folder, [tmp_path, data / "test" / "cat" / "0.png"], device="cpu")
    assert [bool(each.problem) for each in found] == [True, True, False]
    assert "empty" in found[0].problem
    missing = refused(lambda: predict(result.folder, [tmp_path / "nowhere.png"], device="cpu"))
    assert missing.code == "missing-file"
    (tmp_path / "hollow").mkdir()
    assert refused(lambda: predict(result.folder, [tmp_path / "hollow"], device="cpu")).code == "missing-file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_pipes_devices_and_circles_of_links_are_not_waited_for(of_folder: tuple[Result, Path], tmp_path: Path) -> None:
    result, data = of_folder
    image = data / "test" / "cat" / "0.png"
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "up").symlink_to("..")
    (tmp_path / "real" / "loop").symlink_to("loop")
    (tmp_path / "real" / "loop.png").symlink_to("loop.png")
    shutil.copy(image, tmp_path / "real" / "a.png")
    found = predict(result.folder, [tmp_path / "pipe.png", Path("/dev/zero"), tmp_path], device="cpu")
    assert [(each.problem, bool(each.classes)) for each in found] == [
        ("not a regular file", False),
        ("not a regular file", False),
        ("", True),
    ]
    deep = tmp_path / "real"
    for _ in range(400):  # more than a function may call itself
        deep /= "d"
    deep.mkdir(parents=True)
    shutil.copy(image, deep / "b.png")
    assert [each.image for each in predict(result.folder, [tmp_path], device="cpu")][-1] == str(deep / "b.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
@pytest.mark.parametrize("name", ["run.json", "best.safetensors"])
def test_a_pipe_in_a_run_folder_is_not_waited_for(run: Result, tmp_path: Path, name: str) -> None:
    shutil.copytree(run.folder, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / name)
    assert refused(lambda: predict(tmp_path / "run", [tmp_path], device="cpu")).code in ("not-a-run", "unreadable-file")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_images_of_every_mode_are_predicted(of_folder: tuple[Result, Path], tmp_path: Path, mode: str) -> None:
    result, data = of_folder
    with Image.open(data / "test" / "cat" / "0.png") as image:
        image.convert(mode).save(tmp_path / "image.tif")
    (found,) = predict(result.folder, [tmp_path / "image.tif"], device="cpu")
    assert not found.problem


# --- files that are not what they should be --------------------------------------------------------------------------------

FACTS = "resnet_spec."
Change = Callable[[dict[str, str], dict[str, torch.Tensor]], None]


def changed(source: Path, to: Path, change: Change) -> Path:
    """A file of weights with other metadata or tensors."""
    with safe_open(source, framework="pt") as file:
        metadata = dict(file.metadata())
    tensors = load_file(source)
    change(metadata, tensors)
    save_file(tensors, to, metadata)
    return to


NUMBERS = {"not a number": float("nan"), "infinite": float("inf"), "too large": 3e38}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_values_that_are_not_finite_are_no_probabilities(run: Result, tmp_path: Path, number: float) -> None:
    """Weights that are damaged, or of a run that diverged."""

    def change(metadata: dict[str, str], tensors: dict[str, torch.Tensor]) -> None:
        tensors["fc.weight"][1:].fill_(number)
        tensors["fc.bias"][0] = number

    file = changed(run.folder / "best.safetensors", tmp_path / "w.safetensors", change)
    Image.fromarray(noise(0, 12, 12, 3)).save(tmp_path / "a.png")
    for act in (lambda: evaluate(file, device="cpu"), lambda: predict(file, tmp_path / "a.png", device="cpu")):
        found = refused(act)
        assert found.code == "output-not-finite"
        assert found.message == "the network small returns values that are not finite"
        assert found.help == "its weights are damaged, or of a run that diverged: use others"


def test_numbers_beyond_fp16_are_refused_with_another_precision(run: Result, tmp_path: Path) -> None:
    def change(metadata: dict[str, str], tensors: dict[str, torch.Tensor]) -> None:
        tensors["fc.bias"].fill_(60_000)
        tensors["fc.weight"].fill_(60_000)

    file = changed(run.folder / "best.safetensors", tmp_path / "w.safetensors", change)
    assert evaluate(file, device="cpu", precision="bf16").scores.images == 30
    assert refused(lambda: evaluate(file, device="cpu", precision="fp16")).help.startswith(
        "its values may be too large for fp16"
    )


EXTENDS = "spec: 1\nextends: resnet18\nname: x\n"
OUTSIDE = "spec: 1\nextends: ../../secret.yaml\nname: x\n"
BOMB = "spec: 1\nname: x\ninput: 3x8x8\na: &a [1, 1]\nb: &b [*a, *a]\n"
HUGE = (
    "spec: 1\nname: x\ninput: 3x12x12\nclasses: 4\n"
    "stem: {flatten: flatten, a: {op: linear, out_features: 2000000000}, fc: {op: linear, out_features: classes}}\n"
)
PREPARATION = {
    "channels": 3,
    "size": [12, 12],
    "resize": None,
    "interpolation": "bilinear",
    "crop": None,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.2, 0.2, 0.2],
}


@pytest.mark.parametrize(
    ("key", "value", "codes"),
    [
        ("spec", EXTENDS, {"extends-not-allowed"}),
        ("spec", OUTSIDE, {"extends-not-allowed"}),
        ("spec", BOMB, {"unknown-field"}),
        ("spec", HUGE, {"beyond-memory"}),
        ("spec", "[" * 100_000, {"too-deep"}),
        ("spec", "", {"weights-without-facts"}),
        ("fingerprint", "rs1:00000000000000000000000000000000", {"other-fingerprint"}),
        ("classes", "[" * 100_000, {"weights-without-facts"}),
        ("classes", '["a", "b"]', {"weights-without-facts"}),
        ("classes", '{"a": 1}', {"weights-without-facts"}),
        ("classes", "[1, 2, 3, 4]", {"weights-without-facts"}),
        ("epoch", "9" * 5000, {"weights-without-facts"}),
        ("split", "[0.7, 0.7]", {"weights-without-facts"}),
        ("preparation", "null", {"weights-without-facts"}),
        ("preparation", json.dumps(PREPARATION | {"size": [10**9, 10**9]}), {"weights-without-facts"}),
        ("preparation", json.dumps(PREPARATION | {"size": [True, 12]}), {"weights-without-facts"}),
        ("preparation", json.dumps(PREPARATION | {"std": [0, 0, 0]}), {"weights-without-facts"}),
        ("preparation", json.dumps(PREPARATION | {"std": [float("nan")] * 3}), {"weights-without-facts"}),
        ("preparation", json.dumps(PREPARATION | {"mean": [float("nan")] * 3}), {"weights-without-facts"}),
        ("preparation", json.dumps(PREPARATION | {"channels": 1, "mean": [0.5], "std": [0.5]}), {"weights-without-facts"}),
        ("preparation", json.dumps(PREPARATION | {"interpolation": "__import__"}), {"weights-without-facts"}),
        ("preparation", json.dumps(PREPARATION | {"resize": -3}), {"weights-without-facts"}),
    ],
)
def test_malformed_or_contradicting_facts_are_refused(
    run: Result, tmp_path: Path, key: str, value: str, codes: set[str]
) -> None:
    def change(metadata: dict[str, str], tensors: dict[str, torch.Tensor]) -> None:
        metadata[FACTS + key] = value

    path = changed(run.folder / "last.safetensors", tmp_path / "hostile.safetensors", change)
    (tmp_path / "secret.yaml").write_text("spec: 1\n", encoding="utf-8")
    with pytest.raises(ResnetSpecError) as caught:
        load_trained(path, "cpu")
    assert codes <= {finding.code for finding in caught.value.diagnostics}


@pytest.mark.parametrize("how", ["shape", "missing", "more", "half"])
def test_tensors_of_another_network_are_reported(run: Result, tmp_path: Path, how: str) -> None:
    def change(metadata: dict[str, str], tensors: dict[str, torch.Tensor]) -> None:
        match how:
            case "shape":
                tensors["fc.weight"] = torch.zeros(4, 33)
            case "missing":
                del tensors["fc.weight"]
            case "more":
                tensors["\x1b[31mred"] = torch.zeros(1)
            case _:
                tensors["fc.weight"] = torch.zeros(4, 32, dtype=torch.float16)

    path = changed(run.folder / "last.safetensors", tmp_path / "other.safetensors", change)
    if how == "half":  # numbers of another kind are converted, as torch does
        load_trained(path, "cpu")
        return
    found = refused(lambda: load_trained(path, "cpu"))
    assert found.code == "other-weights"
    assert "fc.weight" in found.message or "red" in found.message


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\xff" * 100, (1 << 40).to_bytes(8, "little") + b"{}", b"\x02" + bytes(7) + b"[]"]
)
def test_files_that_hold_no_weights_are_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.safetensors").write_bytes(content)
    assert refused(lambda: load_trained(tmp_path / "file.safetensors")).code == "unreadable-file"


def test_places_without_a_run_are_reported(tmp_path: Path) -> None:
    assert refused(lambda: load_trained(tmp_path)).code == "not-a-run"
    assert refused(lambda: load_trained(tmp_path / "nowhere")).code == "missing-file"


def test_weights_without_facts_are_reported(run: Result, tmp_path: Path) -> None:
    save_file(load_file(run.folder / "last.safetensors"), tmp_path / "bare.safetensors")
    found = refused(lambda: predict(tmp_path / "bare.safetensors", [tmp_path], device="cpu"))
    assert found.code == "weights-without-facts"
    assert "best.safetensors" in found.help


# --- statistics ------------------------------------------------------------------------------------------------------------


def test_statistics_are_numpys(of_folder: tuple[Result, Path]) -> None:
    _, data = of_folder
    found = summarize_data(f"folder:{data}")
    images = np.stack([np.asarray(Image.open(path)) for path in (data / "train").rglob("*.png")]) / 255
    assert found.mean == pytest.approx(images.mean(axis=(0, 1, 2)))
    assert found.std == pytest.approx(images.std(axis=(0, 1, 2)))
    assert found.counts == {"train": (12, 12), "validation": (3, 3), "test": (4, 4)}


def test_statistics_of_synthetic_images(run: Result) -> None:
    found = summarize_data(DATA)
    assert found.mean == pytest.approx(run.preparation.mean)
    assert found.counts["train"] == (20, 20, 20, 20)
