"""Weights that torchvision publishes: found by its names, downloaded once, checked by their hash, and read as data."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.cli.program import group
from resnet_spec.data.preparation import normalize
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError, WeightsError
from resnet_spec.language.library import shipped_names
from resnet_spec.training.console import Console
from resnet_spec.training.runs import open_run
from resnet_spec.weights.file import read_facts, read_weights
from resnet_spec.weights.metadata import from_metadata
from resnet_spec.weights.source import open_source
from tests.weights.servers import Answer, Server, serving, sha256

pytestmark = pytest.mark.torch

CLASSES = ("cat", "dog", "horse", "ship")
SPEC = """\
spec: 1
name: tiny
input: 3x8x8
classes: 4
weights: {torchvision: Tiny_Weights.V1}
stem:
  conv: {op: conv2d, out_channels: 8, kernel_size: 3}
  bn: batch_norm
  pool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""


@pytest.fixture(scope="module")
def models() -> ModuleType:
    import_torchvision()
    from torchvision import models

    assert isinstance(models, ModuleType)
    return models


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where torch.hub keeps files of weights; it does not exist yet."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub" / "checkpoints"


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return resnet_spec.build(SPEC)


def saved(content: object) -> bytes:
    data = io.BytesIO()
    torch.save(content, data)
    return data.getvalue()


def publish(
    monkeypatch: pytest.MonkeyPatch, models: ModuleType, url: str, name: str = "Tiny_Weights", meta: Any = None, **preset: Any
) -> None:
    """Give torchvision weights called `name`, as it declares its own."""
    from torchvision.transforms._presets import ImageClassification

    transforms = partial(ImageClassification, **({"crop_size": 8, "resize_size": 10} | preset))
    described = {"categories": list(CLASSES), "recipe": "https://example.org/recipe"} if meta is None else meta
    weights = models.Weights(url=url, transforms=transforms, meta=described)
    members = models.WeightsEnum(name, {"V1": weights, "DEFAULT": weights}, module=__name__)
    monkeypatch.setattr(models, name, members, raising=False)


def serve_tiny(
    server: Server, monkeypatch: pytest.MonkeyPatch, models: ModuleType, data: bytes, prefix: str | None = None
) -> str:
    """Serve a file of weights, and return its name, with the first digits of its hash."""
    name = f"tiny-{sha256(data)[:8] if prefix is None else prefix}.pth"
    server.files[f"/models/{name}"] = Answer(body=data)
    publish(monkeypatch, models, f"{server.url}/models/{name}")
    return name


def refused(given: str = "torchvision:Tiny_Weights.V1") -> Diagnostic:
    with pytest.raises(ResnetSpecError) as caught:
        open_source(given)
    (finding,) = caught.value.diagnostics
    assert finding.message.isprintable()
    assert finding.help
    return finding


def test_weights_are_downloaded_once_and_announced_before(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    original = network()
    data = saved(original.state_dict())
    name = serve_tiny(server, monkeypatch, models, data)
    built = resnet_spec.build(SPEC, weights="torchvision:Tiny_Weights.V1")
    assert all(torch.equal(a, b) for a, b in zip(built.state_dict().values(), original.state_dict().values(), strict=True))
    host = server.url.removeprefix("http://")
    assert capsys.readouterr().err == f"download  {name} ({len(data):,} bytes) from {host}\n"
    assert server.paths == [f"/models/{name}"]
    assert [path.name for path in cache.iterdir()] == [name]
    assert (cache / name).read_bytes() == data
    for again in ("torchvision:Tiny_Weights.DEFAULT", "published"):
        resnet_spec.build(SPEC, weights=again)
    assert len(server.requests) == 1
    assert capsys.readouterr().err == ""


def test_what_belongs_to_weights_comes_with_them(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    serve_tiny(server, monkeypatch, models, saved(network().state_dict()))
    origin = open_source("torchvision:Tiny_Weights.DEFAULT").origin
    assert origin is not None
    assert origin.source == "torchvision:Tiny_Weights.V1"
    assert origin.classes == CLASSES
    assert origin.license == ""
    assert "recipe: https://example.org/recipe" in origin.notes
    assert origin.preparation is not None
    pixels = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    ours = normalize(origin.preparation.apply(pixels)[None], origin.preparation, torch.device("cpu"), False)[0]
    theirs = models.Tiny_Weights.V1.transforms()(Image.fromarray(pixels))
    assert (ours - theirs).abs().max() < 2.5 / 255 / 0.224  # an image resized as bytes may differ by a step or two of 255


def test_a_file_that_is_built_from_them_predicts_by_itself(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType, tmp_path: Path
) -> None:
    original = network()
    serve_tiny(server, monkeypatch, models, saved(original.state_dict()))
    spec, file = tmp_path / "tiny.yaml", tmp_path / "tiny.safetensors"
    spec.write_text(SPEC, encoding="utf-8")
    done = CliRunner().invoke(group, ["build", str(spec), "--weights", "published", "-o", str(file)])
    assert done.exit_code == 0, done.output
    assert "source: torchvision:Tiny_Weights.V1\n" in done.output
    assert done.stderr.startswith("download  tiny-")
    stored = from_metadata(read_weights(file)[1])
    assert stored["source"] == "torchvision:Tiny_Weights.V1"
    assert read_facts(file).classes == CLASSES
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    (prediction,) = resnet_spec.predict(file, pixels, top=4)
    with torch.inference_mode():
        logits = original.eval()(models.Tiny_Weights.V1.transforms()(Image.fromarray(pixels))[None])
    expected = logits.softmax(1)[0]
    for name, probability in prediction.classes:
        assert probability == pytest.approx(float(expected[CLASSES.index(name)]), abs=0.01)


def test_training_says_and_keeps_where_its_weights_come_from(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType, tmp_path: Path
) -> None:
    data = saved(network().state_dict())
    name = serve_tiny(server, monkeypatch, models, data)
    meta = {"categories": list(CLASSES), "license": "CC-BY-NC 4.0"}
    publish(monkeypatch, models, f"{server.url}/models/{name}", meta=meta)
    spec, run, images = tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "images"
    spec.write_text(SPEC, encoding="utf-8")
    for i in range(12):
        (images / CLASSES[i % 4]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (20 * i, 10, 0)).save(images / CLASSES[i % 4] / f"{i}.png")
    command = ["train", str(spec), "--data", f"folder:{images}", "--no-keep-memory", "--weights"]
    shown = CliRunner().invoke(group, [*command, "published", "--plan-only"])
    assert shown.exit_code == 0, shown.output
    assert "published -> tiny" in shown.output
    done = CliRunner().invoke(group, [*command, "published", "--epochs", "1", "--batch-size", "4", "--out", str(run)])
    assert done.exit_code == 0, done.output
    assert "come from published, which is torchvision:Tiny_Weights.V1 (license: CC-BY-NC 4.0)" in done.output
    facts = read_facts(run / "last.safetensors")
    assert (facts.source, facts.license) == ("torchvision:Tiny_Weights.V1", "CC-BY-NC 4.0")
    assert len(server.requests) == 1
    session, _ = open_run(run, None, "cpu", 0, Console.silent())  # as `--resume` does
    assert session.published == (facts.source, facts.license)
    further = CliRunner().invoke(group, [*command, str(run), "--dry-run"])
    assert f"come from {run}, which come from torchvision:Tiny_Weights.V1 (license: CC-BY-NC 4.0)" in further.output


# --- hashes, networks, and files that are wrong -------------------------------------------------------------------------------


def test_a_wrong_file_in_the_cache_is_refused_with_the_way_out(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    data = saved(network().state_dict())
    name = serve_tiny(server, monkeypatch, models, data)
    cache.mkdir(parents=True)
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    (cache / name).write_bytes(damaged)
    finding = refused()
    assert finding.code == "wrong-hash"
    assert str(cache / name) in finding.message
    assert f"{sha256(damaged)[:8]}, not {sha256(data)[:8]}" in finding.message
    assert "delete it" in finding.help
    assert server.requests == []
    (cache / name).unlink()
    assert open_source("torchvision:Tiny_Weights.V1").tensors


def test_a_wrong_file_of_a_server_is_not_kept(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    serve_tiny(server, monkeypatch, models, saved(network().state_dict()), "01234567")
    finding = refused()
    assert finding.code == "wrong-hash"
    assert "not 01234567" in finding.message
    assert list(cache.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    data = saved(network().state_dict())
    name = serve_tiny(server, monkeypatch, models, data)
    server.files[f"/models/{name}"] = Answer(body=data[:100], headers={"Content-Length": str(len(data))})
    finding = refused()
    assert finding.code == "download-failed"
    assert f"after 100 of {len(data):,} bytes" in finding.message
    assert list(cache.iterdir()) == []


def test_without_a_network_the_host_and_the_way_out_are_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    with serving(Server()) as gone:
        url = f"{gone.url}/models/tiny-01234567.pth"
    publish(monkeypatch, models, url)
    finding = refused()
    assert finding.code == "download-failed"
    assert finding.message.startswith(f"no network: cannot reach {url.split('/')[2]} (")
    assert url in finding.help
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_server_that_refuses_is_quoted(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    publish(monkeypatch, models, f"{server.url}/models/tiny-01234567.pth")
    assert "does not give `tiny-01234567.pth`: 404" in refused().message


def test_a_file_larger_than_the_disk_is_not_begun(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    name = serve_tiny(server, monkeypatch, models, b"x")
    server.files[f"/models/{name}"] = Answer(body=b"", headers={"Content-Length": str(1 << 60)})
    assert "are free in" in refused().message
    assert list(cache.iterdir()) == []


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("write", [saved, lambda content: pickle.dumps(content)], ids=["torch.save", "pickle"])
def test_published_pickles_run_no_code(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType, tmp_path: Path, write: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    serve_tiny(server, monkeypatch, models, write({"fc.bias": Bomb()}))
    assert refused().code == "not-weights"
    assert not (tmp_path / "exploded").exists()


# --- names --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("resnet50", "ResNet50_Weights.IMAGENET1K_V2"),
        ("ResNet50_Weights", "ResNet50_Weights.IMAGENET1K_V2`; it has IMAGENET1K_V1, IMAGENET1K_V2"),
        ("ResNet50_Weights.IMAGENET1K_V9", "ResNet50_Weights.IMAGENET1K_V"),
        ("ResNet50_Wieghts.IMAGENET1K_V1", "ResNet50_Weights.IMAGENET1K_V1"),
        ("mobilenet_v3_large.IMAGENET1K_V1", "MobileNet_V3_Large_Weights.IMAGENET1K_V1"),
        ("", "ResNet50_Weights.IMAGENET1K_V2"),
        ("\x1b[31m.\x00", "ResNet50_Weights.IMAGENET1K_V2"),
    ],
)
def test_unknown_names_suggest_the_nearest(name: str, meant: str, cache: Path) -> None:
    finding = refused(f"torchvision:{name}")
    assert finding.code == "unknown-weights"
    assert f"torchvision:{meant}" in finding.help


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ResNet50_QuantizedWeights.IMAGENET1K_FBGEMM_V2", "a quantized network"),
        ("FasterRCNN_ResNet50_FPN_Weights.DEFAULT", "a detector"),
        ("FCN_ResNet50_Weights.DEFAULT", "a network for segmentation"),
        ("R3D_18_Weights.DEFAULT", "a network for video"),
        ("Raft_Small_Weights.DEFAULT", "a network for optical flow"),
    ],
)
def test_weights_of_other_networks_are_refused_before_any_download(name: str, reason: str, cache: Path) -> None:
    finding = refused(f"torchvision:{name}")
    assert reason in finding.message
    assert not cache.exists()


def test_the_float_network_is_named_instead_of_a_quantized_one(cache: Path) -> None:
    assert "`torchvision:ResNet50_Weights.IMAGENET1K_V2`" in refused("torchvision:ResNet50_QuantizedWeights.DEFAULT").help


def test_weights_of_another_network_name_the_spec_that_they_are_for(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    data = saved(network().state_dict())
    name = f"resnet18-{sha256(data)[:8]}.pth"
    server.files[f"/{name}"] = Answer(body=data)
    publish(monkeypatch, models, f"{server.url}/{name}", "ResNet18_Weights")
    with pytest.raises(WeightsError, match="the shipped network of these weights is `resnet18`"):
        resnet_spec.build("resnet50", weights="torchvision:ResNet18_Weights.V1")


def test_the_weights_of_shipped_specs_exist_and_fit_their_input(models: ModuleType) -> None:
    """torchvision has what the specs name, for the number of classes and, but for a few, for the size of the spec."""
    from resnet_spec.weights.torchvision_enums import _describe, _find_enum

    checked = 0
    for name in shipped_names():
        spec = resnet_spec.load(name) if "/" not in name or name.startswith("torchvision/") else None
        if spec is None or spec.weights is None or spec.weights.kind != "torchvision":
            continue
        weights = _find_enum(models, spec.weights.name)
        assert weights == models.get_weight(spec.weights.name)
        origin, _ = _describe(weights, spec.weights.name)
        assert origin.preparation is not None
        assert origin.classes is not None
        assert len(origin.classes) == 1000
        preset = weights.transforms()
        assert origin.preparation.size == (preset.crop_size[0],) * 2
        assert origin.preparation.resize == preset.resize_size[0]
        checked += 1
    assert checked == 68


# --- normalization inside of torchvision's modules ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "builder", "name", "size"),
    [
        ("torchvision/googlenet", "googlenet", "GoogLeNet_Weights", 96),
        ("torchvision/inception_v3", "inception_v3", "Inception_V3_Weights", 139),
    ],
)
def test_networks_that_normalize_themselves_get_a_preparation_that_is_equal(
    cache: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType, spec: str, builder: str, name: str, size: int
) -> None:
    """torchvision's builder with weights sets `transform_input`; our network has no such layer, and the same logits."""
    torch.manual_seed(0)
    theirs = calibrate(getattr(models, builder)(init_weights=False, transform_input=True), size)
    data = saved(theirs.state_dict())
    cache.mkdir(parents=True)
    (cache / f"net-{sha256(data)[:8]}.pth").write_bytes(data)
    url = f"http://127.0.0.1:9/net-{sha256(data)[:8]}.pth"
    publish(monkeypatch, models, url, name, crop_size=size, resize_size=size)
    given = f"torchvision:{name}.V1"
    with pytest.warns(UserWarning, match="transform_input=True"):
        ours = resnet_spec.build(spec, weights=given).eval()
    origin = open_source(given).origin
    assert origin is not None
    assert origin.preparation is not None
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    imagenet = getattr(models, name).V1.transforms()(Image.fromarray(pixels))[None]
    prepared = normalize(origin.preparation.apply(pixels)[None], origin.preparation, torch.device("cpu"), False)
    with torch.inference_mode():
        expected, found, other = (
            main(module(images)) for module, images in ((theirs, imagenet), (ours, prepared), (ours, imagenet))
        )
    scale = expected.std()
    assert (found - expected).abs().max() < 1e-3 * scale
    assert (other - expected).abs().max() > 0.1 * scale  # with the usual normalization they are others


def main(output: Any) -> torch.Tensor:
    tensor = output if isinstance(output, torch.Tensor) else next(iter(output.values()))
    assert isinstance(tensor, torch.Tensor)
    return tensor


def calibrate(module: nn.Module, size: int) -> nn.Module:
    """Give batch norms the statistics of a batch; with those of a new module, nothing of an image would reach the logits."""
    module.eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
            layer.train()
    with torch.no_grad():
        module(torch.randn(2, 3, size, size))
    return module.eval()


def test_without_torchvision_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ArgumentError, match="pip install torchvision"):
        open_source("torchvision:ResNet50_Weights.IMAGENET1K_V2")
