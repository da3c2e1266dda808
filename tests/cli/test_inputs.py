"""What `check` finds in folders and by patterns, also in hostile ones."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from resnet_spec.cli import group
from resnet_spec.cli.inputs import find_inputs
from resnet_spec.language.document_kinds import find_kind

GOOD = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3, bias: false}}\n"
BAD = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 99}}\n"
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nspec:\n  replicas: 3\n"


def check(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["check", *arguments])


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        {
            "nets/b.yaml": GOOD,
            "nets/a.yml": GOOD,
            "nets/deep/er/c.yaml": BAD,
            "nets/deploy.yaml": DEPLOYMENT,
            "nets/list.yaml": "- spec: 1\n",
            "nets/notes.txt": GOOD,
            "nets/.hidden.yaml": BAD,
            "nets/.cache/d.yaml": BAD,
        },
    )
    return tmp_path


# --- folders ---------------------------------------------------------------------------------------------------------------


def test_a_folder_is_searched_for_specs(folder: Path) -> None:
    found = find_inputs(["nets"])
    assert found.names == ("nets/a.yml", "nets/b.yaml", "nets/deep/er/c.yaml")
    assert found.skipped == ("nets/deploy.yaml", "nets/list.yaml")
    assert found.findings == ()


def test_what_is_skipped_is_counted(folder: Path) -> None:
    done = check("nets")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == "3 specs checked, 2 ok: 1 error, 0 warnings; 2 other YAML files skipped"
    document = json.loads(check("nets", "--message-format", "json").stdout)
    assert document["skipped"] == ["nets/deploy.yaml", "nets/list.yaml"]
    assert document["counts"]["skipped"] == 2


def test_a_file_that_a_folder_holds_is_checked_once(folder: Path) -> None:
    assert find_inputs(["nets/b.yaml", "nets"]).names == ("nets/b.yaml", "nets/a.yml", "nets/deep/er/c.yaml")
    assert find_inputs(["nets", "nets/b.yaml", "nets/*.yaml"]).names == ("nets/a.yml", "nets/b.yaml", "nets/deep/er/c.yaml")


def test_a_file_that_is_named_is_checked_whatever_it_is(folder: Path) -> None:
    assert "unknown-version" in check("nets/deploy.yaml").stdout


@pytest.mark.parametrize("argument", ["empty", "other", "other/*.yaml", "nets/*.json"])
def test_an_argument_without_specs_is_an_error(folder: Path, argument: str) -> None:
    (folder / "empty").mkdir()
    write(folder, {"other/x.yaml": DEPLOYMENT})
    done = check(argument)
    assert done.exit_code == 2
    assert "error[missing-file]: there is no spec in " in done.stdout
    assert ("only 1 other YAML file" in done.stdout) is argument.startswith("other")


def test_the_name_of_a_shipped_spec_wins_over_a_folder(folder: Path) -> None:
    write(folder, {"resnet18/x.yaml": BAD})
    assert find_inputs(["resnet18"]).names == ("resnet18",)
    assert find_inputs(["./resnet18"]).names == ("./resnet18/x.yaml",)


# --- patterns --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        *("nets/*.yaml", "nets/*", "*/b.yaml", "nets/?.y*ml", "nets/[a-b].*", "nets/[!b].*", "n*/d*/*/c.yaml"),
        *("**/*.yaml", "nets/**/*.yaml", "**/c.yaml", "nets/**/er/*", "nets/deep/**/c.yaml", "**/deep/**/*.yaml", "nets/**"),
    ],
)
def test_a_pattern_matches_what_the_shell_would_list(folder: Path, pattern: str) -> None:
    """Python's glob lists folders as well, and files of every kind."""
    ours = {"nets/a.yml", "nets/b.yaml", "nets/deep/er/c.yaml"}
    assert set(find_inputs([pattern]).names) == ours.intersection(glob.glob(pattern, recursive=True))
    absolute = str(folder / pattern)
    assert set(find_inputs([absolute]).names) == {str(folder / name) for name in ours}.intersection(
        glob.glob(absolute, recursive=True)
    )


def test_a_pattern_that_is_the_name_of_a_file_is_that_file(folder: Path) -> None:
    write(folder, {"a[1].yaml": GOOD, "a1.yaml": BAD})
    assert find_inputs(["a[1].yaml"]).names == ("a[1].yaml",)


def test_a_pattern_without_two_stars_does_not_search_deeper_than_it_matches(folder: Path) -> None:
    assert find_inputs(["nets/*.yaml"]).folders == ("nets",)


# --- hostile folders -------------------------------------------------------------------------------------------------------


def test_links_that_lead_back_are_not_followed(folder: Path) -> None:
    (folder / "nets" / "up").symlink_to("..")
    (folder / "nets" / "self").symlink_to(".")
    (folder / "nets" / "deep" / "loop.yaml").symlink_to("loop.yaml")
    (folder / "nets" / "dangling.yaml").symlink_to("nowhere.yaml")
    assert find_inputs(["nets"]).names == ("nets/a.yml", "nets/b.yaml", "nets/deep/er/c.yaml")
    assert find_inputs(["**/*.yaml"]).names == ("nets/b.yaml", "nets/deep/er/c.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_a_folder_is_left_alone(folder: Path) -> None:
    os.mkfifo(folder / "nets" / "pipe.yaml")
    assert "nets/pipe.yaml" not in find_inputs(["nets"]).names


def test_a_file_that_cannot_be_read_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads everything, so the mode of a file says nothing."""

    def refusing(opener: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: object, *args: object, **more: object) -> Any:
            if str(path).endswith("b.yaml"):
                raise PermissionError(13, "Permission denied", str(path))
            return opener(path, *args, **more)

        return opened

    monkeypatch.setattr("builtins.open", refusing(open))
    monkeypatch.setattr(Path, "open", refusing(Path.open))
    done = check("nets", "--message-format", "concise")
    assert done.exit_code == 2
    assert "error[unreadable-file]: cannot read nets/b.yaml: Permission denied" in done.stdout
    assert "nets/deep/er/c.yaml:3:" in done.stdout


def test_a_folder_that_cannot_be_read_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.listdir

    def refusing(path: str) -> list[str]:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return really(path)

    monkeypatch.setattr(os, "listdir", refusing)
    done = check("nets")
    assert done.exit_code == 2
    assert "cannot read the folder nets/deep: Permission denied" in done.stdout
    assert "nets/b.yaml: ok" in done.stdout


def test_folders_may_be_nested_deeper_than_python_recurses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    Path("x.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    (name,) = find_inputs(["d"]).names
    assert name.count("/") == 1500
    os.remove(name)  # pytest cannot remove a folder that is nested so deep
    for depth in range(1500, 0, -1):
        os.rmdir("/".join("d" * depth))


def test_ten_thousand_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(10_000):
        (tmp_path / f"{number:05}.yaml").write_text(GOOD if number % 1000 == 0 else DEPLOYMENT)
    done = check(".")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "10 specs checked, 10 ok: 0 errors, 0 warnings; 9,990 other YAML files skipped"


def test_names_are_escaped(folder: Path) -> None:
    write(folder, {"odd/a\nb\x1b[31m.yaml": GOOD})
    assert "odd/a\\nb\\x1b[31m.yaml: ok" in check("odd").stdout


# --- kinds -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (GOOD, "spec"),
        ("# a comment\n\nname: x\nspec: 1\n", "spec"),
        ("\ufeffspec: 1\n", "spec"),
        ("'spec': '1'\n", "spec"),
        ('"recipe" : 1\n', "recipe"),
        ("recipe: 1\nextends: cifar-fast\n", "recipe"),
        ("{spec: 1, input: 3x8x8}\n", "spec"),
        ("# comment\n\n{ recipe: 1}\n", "recipe"),
        ("spec: 2\n", "spec"),
        ("spec: 1\nstem: [\n", "spec"),
        (DEPLOYMENT, None),
        ("spec: {replicas: 1}\n", None),
        ("spec: # of the service\n  type: ClusterIP\n", None),
        ("  spec: 1\n", None),
        ("- spec: 1\n", None),
        ("specs: 1\n", None),
        ("respec: 1\n", None),
        ("spec:1\n", None),
        ("", None),
        ("\n" * 500_000, None),
        (" \n{" * 300_000, None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_document_says_what_it_is(text: str, kind: str | None) -> None:
    assert find_kind(text) == kind
