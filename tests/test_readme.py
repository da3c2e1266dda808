"""README and docs are correct: the spec compiles, the error message is what `check` prints, the Python runs, commands exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import resnet_spec
from resnet_spec.cli import group
from resnet_spec.language.schemas import schema_document
from resnet_spec.training import session
from resnet_spec.training.recipe import read_recipe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_spec_compiles() -> None:
    analysis = resnet_spec.analyze(blocks("yaml")[0])
    assert analysis.output == (5,)
    assert {node.op.name for node in analysis.graph.nodes} >= {"silu", "group_norm"}


def test_the_error_message_is_what_check_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole block: the command as it is written, run on the spec shown above it."""
    command, _, printed = next(block for block in blocks("console") if "error[" in block).partition("\n")
    (tmp_path / "r50.yaml").write_text(blocks("yaml")[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, command.removeprefix("$ resnet-spec ").split())
    assert (done.exit_code, done.stdout) == (1, printed)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_and_options_exist(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("runs/a", "folder", "photograph.jpg", "resnet18.pth"):  # the arguments that have to exist
        (tmp_path / path).mkdir(parents=True)
    text = (ROOT / page).read_text(encoding="utf-8")
    for line in re.findall(r"^\$ resnet-spec (.*?)(?:\s+#.*|\s+>.*)?$", text, re.MULTILINE):
        name, *arguments = shlex.split(line)
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        with suppress(click.exceptions.Exit):  # of `--list`, which is all that a command does then
            command.make_context(name, arguments)


def test_the_messages_that_are_quoted_are_printed() -> None:
    """Each in a golden text of `tests/invalid`, which may have other names of files."""

    def without_files(text: str) -> str:
        return re.sub(r"[\w./]+\.yaml", "FILE", text)

    section = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").partition("## Findings")[2].partition("\n## ")[0]
    quoted = [a or b for a, b in re.findall(r"`` (.*?) ``|(?<!`)`((?:the|and) [^`]*)`", section)]
    golden = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "invalid").glob("*.txt"))
    assert len(quoted) == 5
    assert [phrase for phrase in quoted if without_files(phrase) not in without_files(golden)] == []


@pytest.mark.torch
def test_the_python_runs() -> None:
    names: dict[str, object] = {}
    exec(compile(blocks("python")[0], "README.md", "exec"), names)
    model = names["model"]
    assert sum(parameter.numel() for parameter in model.parameters()) == 853_018  # type: ignore[attr-defined]


@pytest.mark.torch
@pytest.mark.training
def test_the_first_steps_work_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed one after the other in an empty folder with a small archive; only the training is cut short, without pictures."""
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    write_archive(tmp_path / "images.zip")
    block = next(each for each in blocks("console") if each.startswith("$ unzip"))
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert block in page.partition("\n## In short")[0]  # the same steps
    shown = {}
    for line in block.splitlines():
        program, *arguments = shlex.split(line.removeprefix("$ "), comments=True)
        if program == "unzip":
            zipfile.ZipFile(arguments[0]).extractall()
            continue
        assert program == "resnet-spec"
        short = ["--epochs", "1", "--set-recipe", "warmup=", "--device", "cpu", "--workers", "0"]
        done = CliRunner().invoke(group, [*arguments, *(short if arguments[0] == "train" else [])])
        assert done.exit_code == 0, done.output
        shown[arguments[0]] = done.output
    assert "scratch-small" in shown["train"]
    assert "3x96x96" in shown["train"]
    assert "wrote runs/mine/report.html" in shown["train"]
    assert all(name in shown["eval"] and name in shown["stats"] for name in ("cat", "dog"))
    assert shown["predict"].startswith("photograph.jpg")
    assert shown["export"].startswith("wrote mine.py")
    written = {"images.zip", "images", "my.yaml", "runs", "photograph.jpg", "mine.py", "mine.pth", "mine.json"}
    assert {path.name for path in tmp_path.iterdir()} == written


@pytest.mark.torch
@pytest.mark.slow
def test_the_page_of_exports_works_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands on a small run and weights of a ResNet-18, then its Python, in the folder where the files are."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests" / "compatibility" / "runs" / "finished", "runs/a")
    torch.save(resnet_spec.build("resnet18").state_dict(), "resnet18.pth")
    page = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ resnet-spec (.*)$", page, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        done = CliRunner().invoke(group, shlex.split(command, comments=True))
        assert done.exit_code == 0, done.output
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "exports.md", "exec"), names)
    assert names["logits"].shape == (4, 4)
    written = {path.name for path in tmp_path.iterdir()} - {"runs", "resnet18.pth"}
    assert written == {
        *("small.py", "small.pth", "small.json", "net.pt2", "resnet18.safetensors", "net.onnx", "net_example.py"),
        *("folded.safetensors", "folded.folded.yaml", "lenet5.pt2"),
    }
    keys = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page.partition("## Metadata")[2], re.MULTILINE))))
    stored = {key.removeprefix("resnet_spec.") for key in json.loads(names["facts"]["resnet_spec.json"])}
    assert keys - {"license", "source"} <= stored


def write_archive(path: Path) -> None:
    """An archive with a folder of images for each of two classes, and a photograph beside it."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(24):
            pixels = np.random.default_rng(number).integers(0, 120, (40, 50, 3), np.uint8)
            pixels[..., number % 2] += np.uint8(100)
            Image.fromarray(pixels).save(path.with_name("photograph.jpg"))
            archive.write(path.with_name("photograph.jpg"), f"images/{('cat', 'dog')[number % 2]}/{number:03}.jpg")


def test_the_recipe_of_the_training_page_is_valid() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    text = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    recipe = read_recipe(text)
    assert (recipe.epochs, recipe.lr, recipe.schedule.op, recipe.augment.mixup) == (60, 0.1, "cosine", 0.2)
    assert recipe.optimizer_arguments["momentum"] == 0.9
    table = page.partition("| key | what it says |")[2].partition("\n\n")[0]
    for key in re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE))):
        assert key in schema_document("recipe")["properties"] or key in ("epochs",), key
