"""What `--weights` names: a path, weights of torchvision or of the hub, or those of the spec; the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import resnet_spec
from resnet_spec.cli.program import group
from resnet_spec.diagnostics import ArgumentError, Diagnostic
from resnet_spec.weights.source import HubWeights, LocalWeights, TorchvisionWeights, parse_source

pytestmark = pytest.mark.torch


def refused(given: str) -> Diagnostic:
    with pytest.raises(ArgumentError) as caught:
        parse_source(given)
    (finding,) = caught.value.diagnostics
    assert finding.message.isprintable()
    return finding


def test_the_prefix_says_where_weights_are() -> None:
    assert parse_source("torchvision:ResNet50_Weights.DEFAULT") == TorchvisionWeights("ResNet50_Weights.DEFAULT")
    assert parse_source("hf:timm/resnet50d.ra2_in1k") == HubWeights("timm/resnet50d.ra2_in1k", None)
    assert parse_source("hf:timm/resnet50d.ra2_in1k@refs/pr/1") == HubWeights("timm/resnet50d.ra2_in1k", "refs/pr/1")
    for path in ("resnet50.pth", "./published", "C:\\weights\\a.pth", "runs", "/nowhere/a"):
        assert parse_source(path) == LocalWeights(Path(path))


def test_published_weights_are_those_of_the_spec() -> None:
    assert parse_source("published", resnet_spec.analyze("resnet18")) == TorchvisionWeights("ResNet18_Weights.IMAGENET1K_V1")
    hub = parse_source("published", resnet_spec.analyze("timm/resnet26d"))
    assert hub == HubWeights("timm/resnet26d.bt_in1k", None)
    with pytest.raises(ArgumentError, match="cifar_resnet20 does not name any"):
        resnet_spec.build("cifar_resnet20", weights="published")


def test_what_exists_is_local_and_so_is_a_path_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("published").touch()
    assert parse_source("published") == LocalWeights(Path("published"))
    assert parse_source(Path("hf:a/b")) == LocalWeights(Path("hf:a/b"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ResNet50_Weights.IMAGENET1K_V2", "`torchvision:ResNet50_Weights.IMAGENET1K_V2`"),
        ("Torchvision:ResNet50_Weights.DEFAULT", "`torchvision:ResNet50_Weights.DEFAULT`"),
        ("timm/resnet50d.ra2_in1k", "`hf:timm/resnet50d.ra2_in1k`"),
        ("timm:resnet50d.ra2_in1k", "`hf:timm/resnet50d.ra2_in1k`"),
        ("hf-hub:timm/resnet50d.ra2_in1k", "`hf:timm/resnet50d.ra2_in1k`"),
        ("https://huggingface.co/timm/resnet50d.ra2_in1k/tree/main", "`hf:timm/resnet50d.ra2_in1k`"),
        ("https://download.pytorch.org/models/resnet50-11ad3fa6.pth", "download the file, and name it"),
    ],
)
def test_what_was_probably_meant_is_suggested(given: str, meant: str) -> None:
    finding = refused(given)
    assert finding.code == "unknown-weights"
    assert meant in finding.help


@pytest.mark.parametrize("given", ["", " ", 3, None, b"hf:a/b"])
def test_other_values_are_refused(given: object) -> None:
    with pytest.raises(ArgumentError, match="`weights` takes a path"):
        parse_source(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("missing.pth", "cannot read weights from missing.pth: No such file or directory"),
        ("published", "cifar_resnet20 does not name any"),
        ("hf:nothing", "is no model of the Hugging Face hub"),
    ],
)
@pytest.mark.parametrize("command", ["build", "train", "plan"])
def test_commands_refuse_the_same_with_the_same_words(
    command: str, given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {
        "build": ["build", "cifar_resnet20"],
        "train": ["train", "cifar_resnet20", "--no-keep-memory"],
        "plan": ["train", "cifar_resnet20", "--plan-only"],
    }
    done = CliRunner().invoke(group, [*arguments[command], "--weights", given])
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []
