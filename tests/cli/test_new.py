"""`resnet-spec new`: whatever the file is called, the starter is a spec that works, under the name of the file."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import resnet_spec
from resnet_spec.cli import group

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
