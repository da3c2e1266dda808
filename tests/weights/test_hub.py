"""Weights in repositories of the Hugging Face hub: fetched at one commit, without a token, and read from the cache offline."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save
from torch import Tensor

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.cli.program import group
from resnet_spec.data.preparation import normalize
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError
from resnet_spec.language.library import shipped_names, shipped_root
from resnet_spec.weights.file import read_facts
from resnet_spec.weights.hub_config import imagenet_classes, read_config
from resnet_spec.weights.source import open_source
from tests.weights.servers import COMMIT, Answer, Hub, serving, sha256

pytestmark = pytest.mark.torch

SPEC = """\
spec: 1
name: tiny
input: 3x8x8
classes: 4
weights: {hf: org/net}
stem:
  conv: {op: conv2d, out_channels: 8, kernel_size: 3}
  bn: batch_norm
  pool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""
CLASSES = ["cat", "dog", "horse", "ship"]
CFG = {
    "tag": "a1",
    "input_size": [3, 8, 8],
    "test_input_size": [3, 16, 16],
    "crop_pct": 0.8,
    "test_crop_pct": 1.0,
    "interpolation": "bicubic",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.2, 0.1],
    "license": "apache-2.0",
}
CONFIG = {"architecture": "tiny", "num_classes": 4, "label_names": CLASSES, "pretrained_cfg": CFG}


def tensors(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(resnet_spec.build(SPEC).state_dict())


def model(**more: bytes) -> dict[str, bytes]:
    return {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": save(tensors(), {"format": "pt"})} | more


def shards(names: tuple[str, str] = ("model-1.safetensors", "model-2.safetensors")) -> dict[str, bytes]:
    """The model in two files, with an index."""
    whole = tensors()
    parts = {name: {key: whole[key] for i, key in enumerate(whole) if i % 2 == j} for j, name in enumerate(names)}
    places = {key: name for name, part in parts.items() for key in part}
    files = {name: save(part) for name, part in parts.items()}
    return {"config.json": b"{}", "model.safetensors.index.json": json.dumps({"weight_map": places}).encode(), **files}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of `huggingface_hub`, which is empty."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return folder


def use(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `huggingface_hub` use a server, as the variable HF_ENDPOINT does where it is set before the import."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub(model(**{"README.md": b"#", "pytorch_model.bin": b"pickle", "code.py": b"boom"}))
    with serving(served):
        use(served, monkeypatch)
        yield served


@pytest.fixture
def unreachable(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(gone := Hub({})):
        pass
    use(gone, monkeypatch)


def store(cache: Path, files: dict[str, bytes], commit: str = COMMIT, ref: str = "main") -> Path:
    """Fill a cache as `huggingface_hub` does: blobs by their hash, links to them in a snapshot, and the commit of a branch."""
    home = cache / "models--org--net"
    snapshot = home / "snapshots" / commit
    for folder in (home / "blobs", home / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        blob = home / "blobs" / sha256(data)
        blob.write_bytes(data)
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
    (home / "refs" / ref).write_text(commit, encoding="utf-8")
    return snapshot


def import_timm() -> Any:
    import_torchvision()  # which timm imports, and cannot with a CPU build of torch
    return importlib.import_module("timm")


def refused(given: str = "hf:org/net") -> Diagnostic:
    with pytest.raises(ResnetSpecError) as caught:
        open_source(given)
    (finding,) = caught.value.diagnostics
    assert finding.message.isprintable()
    assert finding.help
    return finding


def assert_equal(found: dict[str, Tensor]) -> None:
    expected = tensors()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


# --- fetching -----------------------------------------------------------------------------------------------------------------


def test_only_the_config_and_safetensors_are_fetched_without_a_token(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_token_of_the_environment")
    stored = open_source("hf:org/net")
    assert_equal(stored.tensors)
    assert stored.origin is not None
    assert stored.origin.source == f"hf:org/net@{COMMIT}"
    wanted = {path.rpartition("/")[2] for method, path, _ in hub.requests if "/resolve/" in path}
    assert wanted == {"config.json", "model.safetensors"}
    assert not any("authorization" in headers for _, _, headers in hub.requests)
    host, sizes = hub.url.removeprefix("http://"), {name: f"{len(data):,}" for name, data in hub.model.items()}
    assert capsys.readouterr().err.splitlines() == [
        f"download  {name} ({sizes[name]} bytes) from {host}" for name in ("config.json", "model.safetensors")
    ]


def test_a_commit_in_the_cache_needs_no_network(hub: Hub, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_source("hf:org/net")
    hub.requests.clear()
    capsys.readouterr()
    assert_equal(open_source(f"hf:org/net@{COMMIT}").tensors)
    assert hub.requests == []
    assert_equal(open_source("hf:org/net").tensors)  # a branch is looked up, and nothing is fetched again
    assert [path for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path] == []
    assert capsys.readouterr().err == ""


def test_the_spec_names_the_weights_and_a_file_keeps_the_commit(hub: Hub, tmp_path: Path) -> None:
    spec, file = tmp_path / "tiny.yaml", tmp_path / "tiny.safetensors"
    spec.write_text(SPEC, encoding="utf-8")
    done = CliRunner().invoke(group, ["build", str(spec), "--weights", "published", "-o", str(file)])
    assert done.exit_code == 0, done.output
    assert f"source: hf:org/net@{COMMIT}\nnote: license: apache-2.0\n" in done.output
    facts = read_facts(file)
    assert (facts.source, facts.license) == (f"hf:org/net@{COMMIT}", "apache-2.0")
    assert facts.classes == tuple(CLASSES)
    assert facts.preparation.mean == (0.5, 0.4, 0.3)


def test_a_spec_alone_fetches_nothing(hub: Hub, tmp_path: Path) -> None:
    resnet_spec.build(SPEC)
    assert CliRunner().invoke(group, ["build", "-o", str(tmp_path / "a.safetensors"), "resnet18"]).exit_code == 0
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["v1", "main", COMMIT])
def test_revisions_are_branches_tags_and_commits(hub: Hub, revision: str) -> None:
    origin = open_source(f"hf:org/net@{revision}").origin
    assert origin is not None
    assert origin.source == f"hf:org/net@{COMMIT}"


def test_weights_in_several_files_are_fetched_by_their_index(hub: Hub) -> None:
    hub.model = shards()
    assert_equal(open_source("hf:org/net").tensors)


@pytest.mark.parametrize(
    "name", ["../../../escape.safetensors", "/etc/passwd", "sub/part.safetensors", "part.bin", "missing.safetensors"]
)
def test_an_index_that_names_other_files_is_refused(hub: Hub, name: str) -> None:
    hub.model = shards((name, "model-2.safetensors"))
    hub.model.pop(name)
    assert refused().code == "not-weights"
    wanted = {path.rpartition("/resolve/main/")[2] for path in hub.paths if "/resolve/" in path}
    assert wanted <= {"config.json", "model.safetensors.index.json", "model-2.safetensors"}


def test_pickles_are_not_fetched(hub: Hub) -> None:
    del hub.model["model.safetensors"]
    finding = refused()
    assert finding.code == "not-weights"
    assert "has no safetensors, but `pytorch_model.bin`" in finding.message
    assert "--weights FILE" in finding.help
    assert not any("/resolve/" in path for path in hub.paths)


def test_one_file_of_another_name_is_read_and_of_several_none_is_guessed(hub: Hub) -> None:
    hub.model = {"config.json": b"{}", "net.safetensors": model()["model.safetensors"]}
    assert_equal(open_source("hf:org/net").tensors)
    hub.model["other.safetensors"] = b"x"
    assert "several files of weights" in refused("hf:org/net@v1").message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("hf:org/other", "has no model `org/other`, or it is private"),
        ("hf:org/net@nowhere", "has no such revision: nowhere"),
        ("hf:org/gated", "only to accounts that accepted its terms"),
        ("hf:org/a--b", "is no name of a repository"),
        ("hf:org", "is no model of the Hugging Face hub"),
        ("hf:org/net@", "is no model of the Hugging Face hub"),
        ("hf:org/../net", "is no model of the Hugging Face hub"),
        ("hf:", "is no model of the Hugging Face hub"),
    ],
)
def test_what_the_hub_does_not_have_is_reported_with_a_way_out(hub: Hub, given: str, message: str) -> None:
    finding = refused(given)
    assert finding.code == "unknown-weights"
    assert message in finding.message


@pytest.mark.parametrize("body", [b"<html>Log in to this network</html>", b"[]", b'{"id": "org/net"}', b"{}"])
def test_an_answer_that_is_none_of_a_hub_is_reported(hub: Hub, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "answer", lambda path: Answer(body=body))
    finding = refused()
    assert finding.code == "download-failed"
    assert "does not give `hf:org/net`" in finding.message


def test_a_cache_that_cannot_be_written_is_named(hub: Hub, cache: Path) -> None:
    cache.write_text("a file where a folder is needed", encoding="utf-8")
    finding = refused()
    assert finding.code == "unreadable-file"
    assert str(cache) in finding.message
    assert "HF_HOME" in finding.help


# --- hashes -------------------------------------------------------------------------------------------------------------------


def test_a_damaged_file_in_the_cache_is_refused(hub: Hub, cache: Path) -> None:
    damaged = store(cache, model()) / "model.safetensors"
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.resolve().write_bytes(data)
    for given in ("hf:org/net", f"hf:org/net@{COMMIT}"):
        finding = refused(given)
        assert finding.code == "wrong-hash"
        assert str(damaged) in finding.message
        assert "delete it" in finding.help


def test_a_file_that_is_not_what_the_hub_says_is_not_kept(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_etag", lambda name, data: sha256(b"another file"))
    pages = hub._page()
    for each in pages["siblings"]:
        each.pop("lfs", None)
        if each["rfilename"] == "model.safetensors":
            each["lfs"] = {"sha256": sha256(b"another file"), "size": each["size"], "pointerSize": 1}
    monkeypatch.setattr(hub, "_page", lambda: pages)
    finding = refused()
    assert finding.code == "wrong-hash"
    assert "not kept" in finding.message
    assert [path for path in cache.rglob("*") if "safetensors" in path.name or path.name == sha256(b"another file")] == []


# --- without a network --------------------------------------------------------------------------------------------------------


def test_without_a_network_the_cache_is_used_and_that_is_noted(unreachable: None, cache: Path) -> None:
    store(cache, model())
    stored = open_source("hf:org/net")
    assert_equal(stored.tensors)
    assert "no network: cannot reach 127.0.0.1:" in stored.notes[0]
    assert "downloaded before" in stored.notes[0]
    assert stored.origin is not None
    assert stored.origin.source == f"hf:org/net@{COMMIT}"
    assert stored.origin.classes == tuple(CLASSES)


def test_weights_without_their_config_are_completed_by_the_hub_or_noted(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs fetch the weights alone."""
    files = model()
    del files["config.json"]
    store(cache, files)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    stored = open_source(f"hf:org/net@{COMMIT}")
    assert_equal(stored.tensors)
    assert any("config.json is not in the cache" in note for note in stored.notes)
    assert stored.origin is not None
    assert stored.origin.classes is None
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    stored = open_source(f"hf:org/net@{COMMIT}")
    assert not any("config.json" in note for note in stored.notes)
    assert stored.origin is not None
    assert stored.origin.classes == tuple(CLASSES)


def test_without_a_network_the_only_file_of_another_name_is_used(unreachable: None, cache: Path) -> None:
    weights = model()["model.safetensors"]
    snapshot = store(cache, {"config.json": b"{}", "net.safetensors": weights})
    assert_equal(open_source("hf:org/net").tensors)
    (snapshot / "other.safetensors").symlink_to((snapshot / "net.safetensors").resolve())
    assert refused().code == "download-failed"


def test_a_license_that_was_not_looked_up_is_not_called_missing(hub: Hub, cache: Path) -> None:
    hub.model = {"config.json": b"{}", "model.safetensors": model()["model.safetensors"]}
    first = open_source(f"hf:org/net@{COMMIT}").origin
    again = open_source(f"hf:org/net@{COMMIT}").origin
    assert first is not None
    assert first.notes == ("license: none is stated",)
    assert again is not None
    (note,) = again.notes
    assert "not looked up" in note


def test_offline_mode_reads_the_cache_and_nothing_else(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused().message
    store(cache, shards())
    stored = open_source("hf:org/net")
    assert_equal(stored.tensors)
    assert stored.notes == ()
    assert hub.requests == []


def test_without_a_network_and_a_cache_the_host_is_named(unreachable: None) -> None:
    finding = refused()
    assert finding.code == "download-failed"
    assert finding.message.startswith("no network: cannot reach 127.0.0.1:")
    assert "/org/net into a folder" in finding.help


def test_an_incomplete_set_of_files_in_the_cache_is_not_used(unreachable: None, cache: Path) -> None:
    files = shards()
    del files["model-2.safetensors"]
    store(cache, files)
    assert refused().code == "download-failed"


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ArgumentError, match="pip install huggingface_hub"):
        open_source("hf:org/net")


# --- what belongs to weights --------------------------------------------------------------------------------------------------


def write_config(folder: Path, config: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def test_preparations_are_those_of_timm(tmp_path: Path) -> None:
    """Of every network of timm that ships with weights: the same sizes and numbers as in timm's own transform."""
    timm = import_timm()
    checked = 0
    for name in shipped_names():
        for repo in re.findall(
            r"^weights: \{hf: timm/([^,}]+)", (shipped_root() / f"{name}.yaml").read_text("utf-8"), re.MULTILINE
        ):
            cfg = timm.get_pretrained_cfg(repo)
            assert cfg is not None, repo
            data = json.loads(json.dumps(cfg.to_dict()))
            found = read_config(write_config(tmp_path, {"num_classes": 1000, "pretrained_cfg": data}), "").preparation
            assert found is not None
            resize, crop, _, norm = timm.data.create_transform(
                **timm.data.resolve_data_config(pretrained_cfg=cfg.to_dict())
            ).transforms
            assert (found.resize, found.crop, found.size) == (resize.size, crop.size, crop.size)
            assert found.interpolation == resize.interpolation.value
            assert found.mean == pytest.approx(norm.mean.tolist())
            assert found.std == pytest.approx(norm.std.tolist())
            checked += 1
    assert checked > 50


def test_the_larger_size_of_an_evaluation_is_used_where_the_network_has_it(tmp_path: Path) -> None:
    timm = import_timm()
    config = write_config(tmp_path, CONFIG)
    for input, size, resize in (((3, 8, 8), 8, 10), ((3, 16, 16), 16, 16), ((3, 32, 32), 8, 10)):
        found = read_config(config, "", input).preparation
        assert found is not None
        assert (found.size, found.resize) == ((size, size), resize)
    pixels = np.random.default_rng(0).integers(0, 256, (31, 23, 3), dtype=np.uint8)
    ours = read_config(config, "", (3, 16, 16)).preparation
    assert ours is not None
    arguments = timm.data.resolve_data_config(pretrained_cfg=CFG, use_test_size=True)
    theirs = timm.data.create_transform(**arguments)(Image.fromarray(pixels))
    difference = normalize(ours.apply(pixels)[None], ours, torch.device("cpu"), False)[0] - theirs
    assert difference.abs().max() < 2.5 / 255 / 0.1


def test_classes_are_the_labels_of_the_config_or_those_of_imagenet(tmp_path: Path) -> None:
    assert read_config(write_config(tmp_path, CONFIG), "").classes == tuple(CLASSES)
    labels = {str(i): name for i, name in enumerate(CLASSES)}
    assert read_config(write_config(tmp_path, {"id2label": labels}), "").classes == tuple(CLASSES)
    of_imagenet = {"num_classes": 1000, "pretrained_cfg": {"tag": "ra2_in1k"}}
    assert read_config(write_config(tmp_path, of_imagenet), "").classes == imagenet_classes()
    assert read_config(write_config(tmp_path, {"num_classes": 1000}), "").classes is None


@pytest.mark.parametrize(
    "config",
    [
        *([], "text", None, {"pretrained_cfg": []}, {"pretrained_cfg": {"input_size": [3, 8]}}, {"id2label": {"0": 1}}),
        *({"label_names": []}, {"label_names": [1]}, {"id2label": {"1": "a", "2": "b"}}),
        *({"pretrained_cfg": {**CFG, key: value}} for key, value in (("crop_pct", "a"), ("crop_pct", -1), ("mean", [0.1]))),
        *({"pretrained_cfg": {**CFG, key: value}} for key, value in (("std", [0, 0, 0]), ("input_size", [3, 1e9, 1e9]))),
        *({"pretrained_cfg": {**CFG, key: value}} for key, value in (("crop_mode", "border"), ("interpolation", "random"))),
    ],
    ids=str,
)
def test_what_is_malformed_in_a_config_is_left_out(config: object, tmp_path: Path) -> None:
    origin = read_config(write_config(tmp_path, config), "hf:a/b")
    assert (origin.classes, origin.preparation) == (None, None)


def test_a_folder_of_a_model_has_its_config_read(tmp_path: Path) -> None:
    for name, data in model().items():
        (tmp_path / name).write_bytes(data)
    origin = open_source(str(tmp_path)).origin
    assert origin is not None
    assert (origin.source, origin.classes, origin.license) == ("", tuple(CLASSES), "apache-2.0")


def test_what_huggingface_hub_stores_is_what_these_tests_store(hub: Hub, cache: Path, tmp_path: Path) -> None:
    """The layout of the cache that is written above is the one that the library writes."""
    open_source("hf:org/net")
    written = {path.relative_to(cache) for path in cache.rglob("*") if path.is_file() and ".no_exist" not in path.parts}
    shutil.rmtree(cache)
    store(cache, {name: data for name, data in model().items() if name == "model.safetensors"})
    ours = {path.relative_to(cache) for path in cache.rglob("*") if path.is_file()}
    assert ours <= written
    assert huggingface_hub.try_to_load_from_cache("org/net", "model.safetensors") is not None


def test_a_preparation_without_names_of_classes_stays_with_the_weights(tmp_path: Path) -> None:
    """In a file of `build`, which `eval` and `predict` take, and in an export that normalizes images."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name, data in model(**{"config.json": json.dumps({"pretrained_cfg": CFG}).encode()}).items():
        (folder / name).write_bytes(data)
    spec = tmp_path / "tiny.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    built = tmp_path / "tiny.safetensors"
    done = CliRunner().invoke(group, ["build", str(spec), "--weights", str(folder), "-o", str(built)])
    assert done.exit_code == 0, done.output
    pixels = np.random.default_rng(0).integers(0, 256, (20, 17, 3), dtype=np.uint8)
    of_folder, of_file = (resnet_spec.predict(spec, [pixels], weights=weights) for weights in (folder, built))
    assert of_folder[0].classes == of_file[0].classes
    exported = resnet_spec.export(spec, tmp_path / "net.pt2", weights=folder, preprocessing="nhwc")
    assert any("bytes" in note for note in exported.notes)
    ours = read_config(folder / "config.json", "", (3, 8, 8)).preparation
    assert ours is not None
    with torch.inference_mode():
        logits = torch.export.load(tmp_path / "net.pt2").module()(torch.from_numpy(ours.apply(pixels)[None]))
    assert logits.softmax(1)[0].max() == pytest.approx(of_folder[0].classes[0][1], abs=1e-4)
