"""`resnet-spec draw`: the name of its file, missing folders, a single block, and the title."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resnet_spec.cli import group
from tests.cli.conftest import Shell

GOOD = """\
spec: 1
name: other
input: 3x8x8
stem: {c: {op: conv2d, out_channels: 2, kernel_size: 3}}
stages: {s: {op: basic, width: 2}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.v2.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path


def draw(*arguments: str, input: str | None = None) -> Result:
    done = CliRunner().invoke(group, ["draw", *arguments], input=input)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["specs/mine.v2.yaml"], "mine.v2.svg"),
        (["specs/mine.v2.yaml", "--type", "dot"], "mine.v2.dot"),
        (["specs/mine.v2.yaml", "--block", "basic", "--type", "dot"], "mine.v2-basic.dot"),
        (["specs/mine.v2.yaml", "--block", "s", "--type", "dot"], "mine.v2-s.dot"),
        (["cifar_resnet20", "--type", "dot"], "cifar_resnet20.dot"),
        (["variants/resnet18_96px", "--type", "dot"], "resnet18_96px.dot"),
        (["block:basic", "--input", "8x8x8", "--set", "width=8", "--type", "dot"], "basic.dot"),
        (["-", "--type", "dot"], "other.dot"),
    ],
)
def test_without_a_file_name_the_picture_is_called_as_the_spec(here: Path, arguments: list[str], name: str) -> None:
    done = draw(*arguments, input=GOOD)
    assert done.exit_code == 0, done.output
    assert f"wrote {name}: " in done.stderr
    assert sorted(os.listdir(here)) == sorted([name, "specs"])
    assert (here / name).read_text(encoding="utf-8").startswith(("<?xml", "// made by"))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../up", "up.dot"),
        ("/etc/x", "etc_x.dot"),
        ("a b\\nc", "a_b_c.dot"),
        ("...", "network.dot"),
        ("\\e[31m", "31m.dot"),
        ("n" * 200, "n" * 60 + ".dot"),
        ("神经网络", "神经网络.dot"),
    ],
)
def test_the_name_of_a_network_leads_out_of_no_folder(here: Path, name: str, file: str) -> None:
    done = draw("-", "--type", "dot", input=GOOD.replace("name: other", f'name: "{name}"'))
    assert done.exit_code == 0, done.output
    assert sorted(os.listdir(here)) == sorted([file, "specs"])


def test_missing_folders_are_made_when_there_is_a_picture(here: Path) -> None:
    assert draw("specs/mine.v2.yaml", "-o", "new/below/x.dot").exit_code == 0
    assert (here / "new" / "below" / "x.dot").is_file()
    assert draw("specs/mine.v2.yaml", "-o", "other/x.dot", "--set", "stem.c.kernel_size=").exit_code == 1
    assert not (here / "other").exists()


def test_a_file_in_place_of_a_folder_is_an_error_that_names_it(shell: Shell) -> None:
    shell.write("x.yaml", GOOD)
    for output, named in (("x.yaml/a.dot", "x.yaml"), ("x.yaml/a/b.dot", "x.yaml/a")):
        done = shell.here("draw", "x.yaml", "-o", output)
        assert (done.returncode, done.stderr.decode()) == (2, f"error: {named}: Not a directory\n")


def test_a_block_of_the_spec_is_drawn_alone(here: Path) -> None:
    done = draw("resnet50", "--block", "layer2.0", "-o", "x.dot")
    dot = (here / "x.dot").read_text(encoding="utf-8")
    assert done.stderr == "wrote x.dot: 13 boxes\n"
    assert "bottleneck (layer2.0 of resnet50)\\n256x56x56 to 512x28x28, 379k parameters, 373M multiply-adds" in dot
    assert "conv2: conv 3x3, 128, /2\\n" in dot
    assert "subgraph" not in dot


def test_a_block_that_is_not_used_is_a_finding(here: Path) -> None:
    done = draw("resnet50", "--block", "basic")
    assert done.exit_code == 2
    assert "error[unknown-block]: `resnet50` does not use a block `basic`" in done.stderr
    assert "known here: `bottleneck`, `projection`" in done.stderr
    assert os.listdir(here) == ["specs"]


def test_a_conflict_in_a_block_is_drawn_in_it_only(here: Path) -> None:
    (here / "broken.yaml").write_text("spec: 1\nextends: resnet50\nstages: {layer3: {block: {project: false}}}\n")
    for block, has_conflict in (("layer3.0", True), ("layer2.0", False)):
        done = draw("broken.yaml", "--block", block, "-o", "x.dot")
        assert done.exit_code == 1
        assert "shape-mismatch" in done.stderr
        assert ("#c00000" in (here / "x.dot").read_text(encoding="utf-8")) is has_conflict


@pytest.mark.parametrize("more", [[], ["--heat", "memory"], ["--block", "bottleneck"], ["--direction", "right"]])
def test_the_title_can_be_left_out(here: Path, more: list[str]) -> None:
    def title() -> str:
        lines = (here / "x.dot").read_text(encoding="utf-8").splitlines()
        (graph,) = [line for line in lines if line.startswith("\tgraph [")]
        return graph

    draw("resnet50", "-o", "x.dot", *more)
    assert "resnet50" in title()
    assert "label=" in title()
    draw("resnet50", "-o", "x.dot", "--no-title", *more)
    assert "resnet50" not in title()
    assert "label=" not in title()
