"""`resnet-spec new`: whatever the file is called, the starter is a spec that works, under the name of the file."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import resnet_spec
from resnet_spec.cli import group
from tests.networks import different_networks

NAMES = [  # the name of the file, and that of the network in it
    ("my_network", "my_network"),
    ("resnet-18", "resnet_18"),
    *((word, word) for word in ("null", "Null", "true", "TRUE", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan")),
    *((number, number) for number in ("123", "010", "0x1f", "0o17", "1e3", "1_000")),
    ("1.5", "1_5"),
    (".inf", "inf"),
    ("~", "my_network"),
    ("=", "my_network"),
    ("2024-01-01", "2024_01_01"),
    ("1:30", "1_30"),
    ("a: b", "a_b"),
    ("a #b", "a_b"),
    ("it's", "it_s"),
    ('"quoted"', "quoted"),
    ("{a, b}", "a_b"),
    ("-x", "x"),
    ("--help", "help"),
    ("*alias", "alias"),
    ("%41", "41"),
    ("größe", "größe"),
    ("神经网络", "神经网络"),
    ("\u202eabc\x1b[31m", "abc_31m"),
    ("n" * 250, "n" * 250),
]


@pytest.mark.parametrize(("file", "name"), NAMES, ids=lambda value: ascii(value)[:20])
def test_a_starter_is_a_spec_under_the_name_of_its_file(
    file: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, ["new", "--", f"{file}.yaml"])
    assert done.exit_code == 0, done.output
    assert resnet_spec.load(tmp_path / f"{file}.yaml").name == name
    assert CliRunner().invoke(group, ["check", "--", f"{file}.yaml"]).exit_code == 0
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output


@pytest.mark.parametrize("file", ["a b.yaml", "it's.yaml", "-x.yaml", "$HOME.yml"])
def test_the_command_that_it_proposes_works_as_it_is_typed(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, ["new", "--", file])
    program, *arguments = shlex.split(done.output.partition("now try: ")[2])
    assert program == "resnet-spec"
    assert CliRunner().invoke(group, arguments).exit_code == 0


@pytest.mark.parametrize("file", ["network", "network.json", ".yaml", "", "two\nlines.yaml"])
def test_a_name_that_no_spec_can_have_is_refused(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, ["new", file])
    assert done.exit_code == 2
    assert "Error: " in done.output
    assert os.listdir(tmp_path) == []


def test_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "specs" / "mine" / "network.yaml"
    done = CliRunner().invoke(group, ["new", str(path)])
    assert done.exit_code == 0, done.output
    assert resnet_spec.load(path).name == "network"


@pytest.mark.parametrize("file", ["file/network.yaml", "file/below/network.yaml"])
def test_a_file_in_place_of_a_folder_is_an_error_that_names_it(file: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = CliRunner().invoke(group, ["new", str(tmp_path / file)])
    assert isinstance(done.exception, NotADirectoryError)  # `main` makes exit code 2 and a message of it
    assert str(done.exception.filename).startswith(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("mine")
    done = CliRunner().invoke(group, ["new", str(path)])
    assert done.exit_code == 2
    assert "already exists" in done.output
    assert path.read_text() == "mine"


# --- from another spec -----------------------------------------------------------------------------------------------------


def new_from(base: str, path: str) -> str:
    done = CliRunner().invoke(group, ["new", "--from", base, path])
    assert done.exit_code == 0, done.output
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize("base", different_networks())
def test_a_spec_from_another_is_the_same_network(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is written, and also if every line that is a comment is made one of the spec."""
    monkeypatch.chdir(tmp_path)
    text = new_from(base, "my_network.yaml")
    expected = resnet_spec.analyze(base).fingerprint
    found = resnet_spec.analyze(tmp_path / "my_network.yaml")
    assert (found.spec.name, found.fingerprint) == ("my_network", expected)
    head, _, outline = text.partition("deletes an entry.\n#\n")
    lines = outline.splitlines()
    assert all(line.startswith("# ") for line in lines)
    (tmp_path / "whole.yaml").write_text(head + "\n" + "".join(f"{line.removeprefix('# ')}\n" for line in lines))
    assert resnet_spec.analyze(tmp_path / "whole.yaml").fingerprint == expected


def test_what_it_lists_can_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = new_from("resnet50", "x.yaml")
    for line in ("stages:", "  layer3: {width: 256, depth: 6, stride: 2}", "input: 3x224x224"):
        assert f"\n# {line}\n" in text
        text = text.replace(f"\n# {line}\n", f"\n{line}\n")
    (tmp_path / "x.yaml").write_text(text.replace("depth: 6", "depth: 23"))
    expected = resnet_spec.analyze("resnet101").fingerprint
    assert resnet_spec.analyze(tmp_path / "x.yaml").fingerprint == expected


def test_a_file_is_named_from_the_folder_of_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "my base.yaml").write_text("spec: 1\nextends: resnet18\nclasses: 3\nblocks: {b: {branch: {r: relu}}}\n")
    assert 'extends: "../my base.yaml"\n' in new_from("my base.yaml", "sub/x.yaml")
    assert resnet_spec.analyze(tmp_path / "sub" / "x.yaml").output == (3,)
    assert "extends: my base.yaml\n" in new_from(str(tmp_path / "my base.yaml"), "y.yaml")


@pytest.mark.parametrize(
    ("base", "code", "message"),
    [
        ("resnet51", 2, "did you mean `resnet50`?"),
        ("bad.yaml", 1, "kernel-too-large"),
        ("mixins/d", 1, "the spec has no input size"),
        ("r.yaml", 1, "is a recipe"),
        ("-", 2, "standard input"),
        ("block:basic", 2, ""),
    ],
)
def test_what_nothing_can_start_from_is_an_error(
    base: str, code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("spec: 1\nextends: resnet18\nstem: {conv1: {kernel_size: 999}}\n")
    (tmp_path / "r.yaml").write_text("recipe: 1\nepochs: 3\n")
    done = CliRunner().invoke(group, ["new", "--from", base, "x.yaml"], input="spec: 1\n")
    assert (done.exit_code, message in done.output) == (code, True), done.output
    assert not (tmp_path / "x.yaml").exists()


def test_a_file_that_extends_may_not_reach_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name / ".git").mkdir(parents=True)
    (tmp_path / "a" / "base.yaml").write_text("spec: 1\nextends: resnet18\n")
    monkeypatch.chdir(tmp_path / "b")
    done = CliRunner().invoke(group, ["new", "--from", "../a/base.yaml", "x.yaml"])
    assert (done.exit_code, "extends-outside" in done.output) == (1, True)
    assert not (tmp_path / "b" / "x.yaml").exists()
