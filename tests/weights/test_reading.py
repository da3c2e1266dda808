"""The door to weights: every form gives the same network, and what is no weights is named for what it is."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import pickle
import re
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.cli.program import group
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError, WeightsError
from resnet_spec.weights import reading
from resnet_spec.weights.file_names import TORCH_SUFFIXES
from resnet_spec.weights.naming import Naming, match_names
from resnet_spec.weights.reading import open_weights

pytestmark = pytest.mark.torch

SPEC: dict[str, Any] = {
    "spec": 1,
    "name": "small",
    "input": "3x6x6",
    "classes": 4,
    "stem": {
        "conv": {"op": "conv2d", "out_channels": 8, "kernel_size": 3},
        "bn": "batch_norm",
        "pool": {"op": "adaptive_avg_pool2d", "output_size": 1},
        "flatten": "flatten",
        "fc": {"op": "linear", "out_features": "classes"},
    },
}


def state(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    network = resnet_spec.build(SPEC)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.normal_().abs_()
    return dict(network.state_dict())


def build(path: Path, **more: Any) -> nn.Module:
    with pytest.warns(UserWarning, match="are those under"):
        return resnet_spec.build(SPEC, weights=path, **more)


def refused(path: Path, **more: Any) -> Diagnostic:
    with pytest.raises(ResnetSpecError) as caught:
        open_weights(path, **more)
    (finding,) = caught.value.diagnostics
    assert finding.message.isprintable()
    assert finding.code == ("not-weights" if isinstance(caught.value, WeightsError) else "unreadable-file")
    return finding


def assert_equal(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    own = network.state_dict()
    assert own.keys() == tensors.keys()
    assert all(torch.equal(own[key], tensor) for key, tensor in tensors.items())


# --- what is read ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".weights", ""])
def test_a_file_of_torch_is_read_whatever_its_suffix(tmp_path: Path, suffix: str, legacy: bool) -> None:
    torch.save(state(), tmp_path / f"w{suffix}", _use_new_zipfile_serialization=not legacy)
    assert_equal(resnet_spec.build(SPEC, weights=tmp_path / f"w{suffix}"), state())


WRAPPED: list[tuple[Callable[[dict[str, Tensor]], object], str]] = [
    (lambda own: {"state_dict": own, "epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}, "`state_dict`"),
    (lambda own: {"model": own, "args": argparse.Namespace(lr=0.1)}, "`model`"),
    (lambda own: {"state_dict": {f"module.{key}": each for key, each in own.items()}}, "`module.` is removed"),
    (lambda own: {f"_orig_mod.{key}": each for key, each in own.items()}, "`_orig_mod.` is removed"),
    (lambda own: {f"model.{key}": each for key, each in own.items()}, "`model.` is removed"),
    (lambda own: {f"module._orig_mod.{key}": each for key, each in own.items()}, "`module._orig_mod.` is removed"),
    (lambda own: {"checkpoint": {"model": OrderedDict(own)}}, "`checkpoint`"),
    (lambda own: {"model_ema": own, "model": state(1)}, "`model_ema`; the file also has `model`"),
    (lambda own: {"state_dict": state(1), "state_dict_ema": own}, "`state_dict_ema`; the file also has `state_dict`"),
    (lambda own: {**own, "step": 3}, "left out, since they are no tensors: `step`"),
    (lambda own: {"n_averaged": torch.tensor(3), **{f"module.{key}": each for key, each in own.items()}}, "`n_averaged`"),
    (lambda own: {key: each for key, each in own.items() if "num_batches" not in key}, "begin at 0"),
]


@pytest.mark.parametrize("number", range(len(WRAPPED)))
def test_a_checkpoint_is_unwrapped_and_that_is_reported(tmp_path: Path, number: int) -> None:
    wrap, words = WRAPPED[number]
    torch.save(wrap(state()), tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=re.escape(words)):
        network = resnet_spec.build(SPEC, weights=tmp_path / "w.pth")
    assert_equal(network, state() | {"bn.num_batches_tracked": torch.tensor(0)})


def test_a_key_chooses(tmp_path: Path) -> None:
    torch.save({"model_ema": state(1), "model": state(2), "other": {"net": state(3)}}, tmp_path / "w.pth")
    for key, seed in (("model_ema", 1), ("model", 2), ("other.net", 3)):
        assert_equal(build(tmp_path / "w.pth", weights_key=key), state(seed))
    finding = refused(tmp_path / "w.pth", key="nothing")
    assert "`model_ema`, `model`, `other`" in finding.help
    assert open_weights(tmp_path / "w.pth", "model.conv").tensors.keys() == {"weight", "bias"}
    save_file(state(), tmp_path / "w.safetensors")
    with pytest.raises(ArgumentError, match=r"no tensor in .* begins with `model`"):
        open_weights(tmp_path / "w.safetensors", "model")


def test_several_networks_need_a_key(tmp_path: Path) -> None:
    torch.save({"generator": state(1), "critic": state(2)}, tmp_path / "w.pth")
    finding = refused(tmp_path / "w.pth")
    assert "several networks: `generator`, `critic`" in finding.message
    assert "--weights-key generator" in finding.help
    assert_equal(build(tmp_path / "w.pth", weights_key="critic"), state(2))


def test_tensors_that_share_numbers_are_separated(tmp_path: Path) -> None:
    """A pickle may hold one storage for several tensors; each parameter of the network has numbers of its own."""
    own = state()
    own["bn.weight"] = own["bn.bias"] = torch.ones(1).expand(8)
    own["conv.weight"] = own["conv.weight"].to(memory_format=torch.channels_last)
    torch.save(own, tmp_path / "w.pth")
    network = resnet_spec.build(SPEC, weights=tmp_path / "w.pth")
    with torch.no_grad():
        network.get_parameter("bn.weight")[0] = 7
    assert network.get_parameter("bn.weight").tolist() == [7] + [1] * 7
    assert network.get_parameter("bn.bias").tolist() == [1] * 8
    assert network.get_parameter("conv.weight").is_contiguous()
    assert torch.equal(network.get_parameter("conv.weight"), own["conv.weight"])


def test_the_file_stays_as_it_is_when_the_network_changes(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pth")
    before = (tmp_path / "w.pth").read_bytes()
    network = resnet_spec.build(SPEC, weights=tmp_path / "w.pth")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert (tmp_path / "w.pth").read_bytes() == before


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_weights_in_several_files_are_read(tmp_path: Path, form: str) -> None:
    own = state()
    halves = [dict(list(own.items())[:3]), dict(list(own.items())[3:])]
    for i, half in enumerate(halves):
        name = tmp_path / f"model-{i}.{form}"
        save_file(half, name) if form == "safetensors" else torch.save(half, name)
    places = {key: f"model-{i}.{form}" for i, half in enumerate(halves) for key in half}
    index = tmp_path / ("model.safetensors.index.json" if form == "safetensors" else "pytorch_model.bin.index.json")
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}), encoding="utf-8")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    for path in (index, tmp_path):
        assert_equal(resnet_spec.build(SPEC, weights=path), own)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("{", "no `weight_map`"),
        ("[]", "no `weight_map`"),
        ('{"weight_map": {}}', "no `weight_map`"),
        ('{"weight_map": {"a": 3}}', "no `weight_map`"),
        ('{"weight_map": {"a": "../w.safetensors"}}', "no plain name"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "no plain name"),
        ('{"weight_map": {"a": "i.index.json"}}', "no plain name"),
        ('{"weight_map": {"a": "gone.safetensors"}}', "which is missing"),
        ('{"weight_map": {"a": "w.safetensors"}}', "`a` is in w.safetensors, and it is not"),
        ("[" * 100_000, "no `weight_map`"),
    ],
)
def test_an_index_that_is_wrong_is_refused(tmp_path: Path, index: str, words: str) -> None:
    save_file({"b": torch.zeros(1)}, tmp_path / "w.safetensors")
    (tmp_path / "i.index.json").write_text(index, encoding="utf-8")
    assert words in refused(tmp_path / "i.index.json").message


def test_a_folder_is_a_run_or_a_model(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArgumentError) as caught:
        open_weights(tmp_path / "run")
    assert caught.value.diagnostics[0].code == "not-a-run"
    save_file(state(1), tmp_path / "run" / "last.safetensors")
    assert_equal(resnet_spec.build(SPEC, weights=tmp_path / "run"), state(1))
    save_file(state(2), tmp_path / "run" / "best.safetensors")
    assert_equal(resnet_spec.build(SPEC, weights=tmp_path / "run"), state(2))
    (tmp_path / "empty").mkdir()
    assert "neither a run (run.json) nor a model (model.safetensors)" in refused(tmp_path / "empty").message


# --- what is not weights ---------------------------------------------------------------------------------------------------


class Bomb:
    """Reading its pickle by the ordinary way would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("suffix", [*TORCH_SUFFIXES, ".safetensors", ".h5", ".onnx", "", ".pt.index.json"])
@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "old pickle", "inside"])
def test_a_pickle_bomb_does_not_run(tmp_path: Path, suffix: str, how: str) -> None:
    path, mark = tmp_path / f"w{suffix}", tmp_path / "exploded"
    match how:
        case "pickle" | "old pickle":
            path.write_bytes(pickle.dumps(Bomb(mark), protocol=0 if how == "old pickle" else 4))
        case _:
            held = Bomb(mark) if how != "inside" else {"state_dict": {**state(), "x": Bomb(mark)}}
            torch.save(held, path, _use_new_zipfile_serialization=how != "legacy")
    for read in (open_weights, lambda it: resnet_spec.build(SPEC, weights=it), lambda it: resnet_spec.evaluate(it)):
        with pytest.raises(ResnetSpecError) as caught:
            read(path)
        assert caught.value.diagnostics[0].message.isprintable()
    assert not mark.exists()


def written(path: Path, how: str) -> Path:
    torch.save(state(), path)
    whole = path.read_bytes()
    match how:
        case "module":
            torch.save(nn.Linear(2, 2), path)
        case "object":
            torch.save({"state_dict": state(), "best": Path()}, path)
        case "tar":
            with tarfile.open(path, "w") as archive:
                archive.add(__file__, "storages")
        case "script":
            torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))  # type: ignore[no-untyped-call]
        case "keras":
            path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        case "onnx":
            path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x032.1" + bytes(100))
        case "lfs":
            path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", encoding="utf-8")
        case "html":
            path.write_text("\n<!DOCTYPE html><html>Sign in</html>", encoding="utf-8")
        case "xml":
            path.write_text("<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", encoding="utf-8")
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(whole[:-40])
        case "truncated legacy":
            torch.save(state(), path, _use_new_zipfile_serialization=False)
            path.write_bytes(path.read_bytes()[:-40])
        case "gzip":
            path.write_bytes(gzip.compress(whole))
        case "zip":
            with zipfile.ZipFile(path, "w") as zipped:
                zipped.writestr("a.txt", "a")
        case "compressed":
            with zipfile.ZipFile(path) as zipped, zipfile.ZipFile(path.with_suffix(".new"), "w", zipfile.ZIP_DEFLATED) as new:
                for name in zipped.namelist():
                    new.writestr(name, zipped.read(name))
            path.with_suffix(".new").replace(path)
        case "text":
            path.write_text("no weights", encoding="utf-8")
        case "tensor":
            torch.save(torch.zeros(3), path)
        case "nothing":
            torch.save({"epoch": 3}, path)
        case "list":
            torch.save([torch.zeros(3)], path)
        case "sparse":
            torch.save({"a": torch.eye(3).to_sparse()}, path)
    return path


@pytest.mark.parametrize(
    ("how", "words", "help"),
    [
        ("module", "is a pickled module (`torch.nn.modules.linear.Linear`)", "model.state_dict()"),
        ("object", "is a pickle that needs `pathlib", "model.state_dict()"),
        ("tar", "a tar archive, as torch 0.1", "torch 1.0 to 2.5"),
        ("script", "a TorchScript archive", "torch.jit.load"),
        ("keras", "an HDF5 file, as Keras", "PyTorch"),
        ("onnx", "an ONNX graph", "state dict"),
        ("lfs", "a pointer of Git LFS", "git lfs pull"),
        ("html", "a web page", "download the file itself"),
        ("xml", "a web page", "download the file itself"),
        ("empty", "is empty", "download or copy"),
        ("truncated", "is truncated", "download or copy"),
        ("truncated legacy", "is damaged or truncated", "download or copy"),
        ("gzip", "compressed with gzip", "gunzip"),
        ("zip", "a zip archive that torch.save did not write", "unpack"),
        ("compressed", "compressed entries", "torch.save"),
        ("text", "is not a file that torch.save wrote", "download or copy"),
        ("tensor", "holds a single tensor", "state_dict"),
        ("nothing", "holds no tensors by name, but `epoch`", "state_dict"),
        ("list", "holds a list", "state_dict"),
        ("sparse", "stored as torch.sparse_coo", "plain tensors"),
    ],
)
def test_what_is_no_weights_is_named_for_what_it_is(tmp_path: Path, how: str, words: str, help: str) -> None:
    path = written(tmp_path / "w.pth", how)
    finding = refused(path)
    assert words in finding.message
    assert help in finding.help
    done = CliRunner().invoke(group, ["eval", str(path)])
    assert done.exit_code == 1
    assert "error[not-weights]" in done.output


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    """Whatever the length of the header, whose first bytes may be those of a pickle or of gzip."""
    for padding in range(0, 40_000, 331):
        save_file(state(), tmp_path / "w.pth", {"x": "x" * padding})
        assert open_weights(tmp_path / "w.pth").tensors.keys() == state().keys()


def test_a_torch_file_without_facts_is_not_evaluated(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        resnet_spec.evaluate(tmp_path / "w.pth", device="cpu")
    assert caught.value.diagnostics[0].code == "weights-without-facts"
    assert "`eval SPEC --weights" in caught.value.diagnostics[0].help


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / name
    torch.save(state(), file) if name == "w.pth" else save_file(state(), file)
    read = reading._open

    def read_while_it_grows(path: Path, key: str | None) -> reading.StoredWeights:
        stored = read(path, key)
        with path.open("ab") as more:
            more.write(b" ")
        return stored

    monkeypatch.setattr(reading, "_open", read_while_it_grows)
    with pytest.raises(ResnetSpecError, match="changed while it was read"):
        resnet_spec.build(SPEC, weights=file)


def test_a_name_that_differs_in_case_is_suggested_and_the_exact_one_is_read(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "Model.safetensors")
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(ArgumentError) as caught:
        resnet_spec.build(SPEC, weights=tmp_path / "MODEL.safetensors")
    assert caught.value.diagnostics[0].help == f"did you mean {tmp_path / 'Model.safetensors'}?"
    with pytest.raises(ArgumentError, match="neither a run"):
        open_weights(tmp_path)
    other = {key: tensor + 1 for key, tensor in state().items()}
    save_file(other, tmp_path / "model.safetensors")
    assert torch.equal(open_weights(tmp_path).tensors["fc.bias"], other["fc.bias"])


def test_numbers_that_are_not_finite_are_reported(tmp_path: Path) -> None:
    own = state()
    own["fc.weight"][1, 2] = float("nan")
    torch.save(own, tmp_path / "w.pth")
    save_file(own, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        with pytest.warns(UserWarning, match=r"not finite \(NaN or infinity\) are in 1 tensor: `fc.weight`"):
            resnet_spec.build(SPEC, weights=tmp_path / name)


# --- networks of torchvision -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_form_of_torchvision_weights_gives_its_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = import_torchvision().models.resnet50().eval()
    own = theirs.state_dict()
    images = torch.randn(1, 3, 64, 64)
    expected = theirs(images)
    torch.save(own, tmp_path / "zip.pth")
    torch.save(own, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {f"module.{key}": each for key, each in own.items()}, "epoch": 90}, tmp_path / "wrapped.pth")
    save_file(own, tmp_path / "plain.safetensors")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}", encoding="utf-8")
    save_file(own, tmp_path / "folder" / "model.safetensors")
    for name in ("zip.pth", "legacy.pth", "plain.safetensors", "folder"):
        assert torch.equal(resnet_spec.build("resnet50", weights=tmp_path / name).eval()(images), expected), name
    with pytest.warns(UserWarning, match="`module.` is removed"):
        network = resnet_spec.build("resnet50", weights=tmp_path / "wrapped.pth").eval()
    assert torch.equal(network(images), expected)


def test_old_names_of_densenets_are_translated() -> None:
    own = import_torchvision().models.densenet121().state_dict()
    old = {}
    for key, tensor in own.items():
        name = re.sub(r"(denselayer\d+\.)(norm|conv)([12])\.", r"\1\2.\3.", key)
        old[f"module.{name}"] = tensor
    assert "module.features.denseblock1.denselayer1.norm.1.weight" in old
    shapes = [{name: tuple(tensor.shape) for name, tensor in each.items()} for each in (own, old)]
    naming = match_names(*shapes)
    assert len(naming.sources) == len(own)
    assert all(old[source] is own[name] for name, source in naming.sources.items())
    assert naming.notes == (
        "`module.` is removed from the beginning of every name; names of DenseNets of old torchvision are translated "
        "(`norm.1` to `norm1`)",
    )
    assert match_names(shapes[0], shapes[0]) == Naming({key: key for key in own})


def test_build_writes_what_it_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(json.dumps(SPEC), encoding="utf-8")
    (tmp_path / "small.json").rename(tmp_path / "small.yaml")
    torch.save({"model": state(2), "model_ema": state(1)}, "w.pth")
    done = CliRunner().invoke(group, ["build", "small.yaml", "--weights", "w.pth", "-o", "w.safetensors"])
    assert done.exit_code == 0, done.output
    assert "loaded: every tensor of the network is in w.pth" in done.output
    assert "note: the weights are those under `model_ema`; the file also has `model`" in done.output
    assert all(torch.equal(tensor, state(1)[key]) for key, tensor in load_file("w.safetensors").items())
    assert resnet_spec.build(SPEC, weights="w.safetensors") is not None  # its fingerprint is the network's
    done = CliRunner().invoke(group, ["build", "small.yaml", "--weights", "w.pth", "--set", "classes=5"])
    assert done.exit_code == 1
    assert "error[other-weights]" in done.output
