"""What `--data` may say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resnet_spec.cli.train_command import command
from resnet_spec.data import Data, open_data
from resnet_spec.data.dataset import Split
from resnet_spec.data.kinds import KINDS, DataKind, DataRequest
from resnet_spec.diagnostics import ArgumentError, DataError
from tests.data.conftest import Open, Refused, noise


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("cifar-10:x", "did you mean `cifar10`?"),
        ("FashionMNIST:x", "did you mean `fashion-mnist`?"),
        ("imagenette:x", "did you mean `imagenet`?"),
        ("synthetical", "did you mean `synthetic`?"),
        ("qqqq", "known here: " + ", ".join(f"`{kind}`" for kind in KINDS)),
        ("\x1b[31m", "known here: " + ", ".join(f"`{kind}`" for kind in KINDS)),
    ],
)
def test_an_unknown_kind_is_refused_with_a_suggestion(refused: Refused, text: str, help: str) -> None:
    found = refused(text)
    assert (found.code, found.help) == ("unknown-data", help)


def test_a_folder_without_a_kind_is_told_how_to_be_written(refused: Refused, tmp_path: Path) -> None:
    assert refused(str(tmp_path)).help == f"write `folder:{tmp_path}`"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "synthetic"])
def test_a_kind_with_files_needs_a_folder_that_exists(refused: Refused, tmp_path: Path, kind: str) -> None:
    assert refused(kind).code == "missing-data"
    assert "does not exist" in refused(f"{kind}:{tmp_path}/nowhere\x1b").message
    (tmp_path / "file").touch()
    assert "is not a folder" in refused(f"{kind}:{tmp_path}/file").message
    assert refused(f"{kind}:{tmp_path}/Images.ZIP").help == "unpack it, and name the folder of its files"
    assert refused(f"{kind}:{tmp_path}").code in ("missing-data", "no-images")


def test_odd_paths_are_refused(refused: Refused) -> None:
    for path in ("~no-such-user/x", "a" * 5000, "a\0b", "\udcff", "."):
        assert refused(f"cifar10:{path}").code == "missing-data"


def test_a_file_that_may_not_be_read_is_named(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "some\x1bfile")

    monkeypatch.setattr("resnet_spec.data.kinds.open_cifar", forbidden)
    found = refused(f"cifar10:{tmp_path}")
    assert (found.code, found.message) == ("unreadable-file", "`some\\x1bfile` cannot be read (Permission denied)")


@pytest.mark.parametrize("split", [(0.5, 0.5), (-0.1, 0.2), (1.0, 0.0), (float("nan"), 0.1)])
def test_fractions_that_leave_no_training_are_refused(refused: Refused, split: tuple[float, float]) -> None:
    assert refused("synthetic", split=split).code == "invalid-split"


@pytest.mark.parametrize("text", ["mist:x", "cifar10:", "cifar10:/nowhere", "synthetic:clases=3", "synthetic:size=big"])
def test_what_is_wrong_with_the_argument_is_an_argument_error(opened: Open, text: str) -> None:
    with pytest.raises(ArgumentError):
        opened(text)


def test_what_is_wrong_with_the_data_is_a_data_error(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError):
        opened(f"folder:{tmp_path}")


# --- the registry ----------------------------------------------------------------------------------------------------------


def test_a_kind_is_added_by_one_entry(monkeypatch: pytest.MonkeyPatch, refused: Refused, tmp_path: Path) -> None:
    def open_noise(request: DataRequest) -> Data:
        pixels = noise(request.seed, 2, *request.input[1:], request.input[0])
        split = Split(np.arange(2), pixels.__getitem__, lambda i: f"{request.root}/{i}", pixels)
        return Data("noise", request.text, ("a", "b"), split, None, None, request.input[0], request.input[1:])

    monkeypatch.setitem(KINDS, "noise", DataKind("noise", "noise:DIR", "noise", open_noise, ("static",)))
    data = open_data(f"noise:{tmp_path}", input=(3, 4, 5), split=(0, 0))
    assert data.train is not None
    assert data.train.read(1).shape == (4, 5, 3)
    assert data.train.name(1) == f"{tmp_path}/1"
    assert refused("noise").help == "write `noise:DIR`"
    assert refused("static:x").help == "did you mean `noise`?"


@pytest.mark.parametrize("name", KINDS)
def test_help_and_documentation_name_every_kind(name: str) -> None:
    kind = KINDS[name]
    assert kind.name == name
    option = next(parameter for parameter in command.params if parameter.name == "data")
    assert kind.usage in str(option.to_info_dict()["help"])
    assert f"`{kind.usage}`" in (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
