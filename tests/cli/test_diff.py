"""`resnet-spec diff`: specs, patches, run folders, and files at git revisions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.diagnostics import ArgumentError, ResnetSpecError
from tests.cli.conftest import Shell

BASE = "spec: 1\nname: base\ninput: 3x8x8\nstem: {conv: {op: conv2d, out_channels: 4, kernel_size: 3}}\n"
NET = "spec: 1\nextends: %s\nname: net\nhead: {act: act}\n"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["resnet50", "resnet50"], 0),
        (["resnet50", "resnet101"], 1),
        (["resnet18", "resnet18", "--set-b", "act=silu"], 1),
        (["resnet18", "resnet18", "--set-a", "act=silu", "--set-b", "act=silu"], 0),
        (["resnet18", "resnet18", "--set", "act=silu"], 0),
        (["resnet18", "resnet18", "--input", "3x96x96"], 0),
        (["block:basic", "block:basic", "--input", "8x8x8", "--set", "width=8", "--set-b", "stride=2"], 1),
        (["resnet18", "nothing"], 2),
        (["resnet18"], 2),
        (["-", "-"], 2),
        (["resnet18", "resnet18", "--set-b", "stages.layer9=3"], 2),
    ],
)
def test_exit_codes(shell: Shell, arguments: list[str], code: int) -> None:
    assert shell.here("diff", *arguments).returncode == code


def test_the_text(shell: Shell) -> None:
    done = shell.here("diff", "resnet50", "resnet50", "--set-b", "act=silu")
    lines = done.stdout.decode().splitlines()
    assert lines[:4] == [
        "resnet50 -> resnet50 with act=silu",
        "",
        "  act: relu -> silu",
        "    49 x relu -> silu (relu ... layer4.2.relu)",
    ]
    assert done.stderr == b""


def test_json_and_python_have_the_same_data(shell: Shell) -> None:
    done = shell.here("diff", "resnet50", "resnet101", "--format", "json")
    found = resnet_spec.diff("resnet50", "resnet101")
    assert json.loads(done.stdout) == json.loads(json.dumps(found.data()))
    assert shell.here("diff", "resnet50", "resnet101").stdout.decode() == str(found) + "\n"
    assert shell.here("diff", "resnet50", "resnet101", "--format", "markdown").stdout.decode() == found.markdown()


def test_python_takes_analyses_and_patches() -> None:
    analysis = resnet_spec.analyze("resnet18")
    assert resnet_spec.diff(analysis, analysis).equal
    found = resnet_spec.diff(analysis, "resnet18", set_b={"classes": 10})
    assert found.params == -990 * 513
    with pytest.raises(ArgumentError):
        resnet_spec.diff(analysis, analysis, set_a=["act=silu"])


def test_errors_of_both_are_shown(shell: Shell) -> None:
    names = [shell.write(f"{name}.yaml", BASE.replace("kernel_size", f"kernel_{name}")) for name in ("a", "b")]
    done = shell.here("diff", *names)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"kernel_a" in done.stderr
    assert b"kernel_b" in done.stderr


def test_a_wrong_expect_is_shown_with_the_difference(shell: Shell) -> None:
    shell.write("a.yaml", BASE)
    shell.write("b.yaml", BASE.replace("4,", "8,") + "expect: {params: 3}\n")
    done = shell.here("diff", "a.yaml", "b.yaml")
    assert done.returncode == 2
    assert b"stem.conv.out_channels: 4 -> 8" in done.stdout
    assert b"error[" in done.stderr


def test_a_run_folder_is_its_spec(shell: Shell) -> None:
    shell.write("runs/a/spec.yaml", BASE)
    shell.write("runs/a/run.json", "{}")
    shell.write("b.yaml", BASE.replace("name: base", "name: other"))
    assert shell.here("diff", "runs/a", "b.yaml").stdout == b"runs/a and b.yaml are the same network\n"
    assert shell.here("summary", "runs/a").stdout.startswith(b"base: 3x8x8 ")  # commands that take a SPEC take it too
    assert shell.here("draw", "runs/a", "-o", "a.dot").returncode == 0
    (shell.folder / "runs/a/run.json").unlink()
    assert shell.here("diff", "runs/a", "b.yaml").returncode == 2


# --- git --------------------------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, env=environment)


@pytest.fixture
def repository(shell: Shell) -> Shell:
    """A repository of two commits: in the second one, the base has more channels."""
    git(shell.folder, "init", "-q")
    shell.write("specs/base.yaml", BASE)
    shell.write("specs/net.yaml", NET % "base.yaml")
    git(shell.folder, "add", ".")
    git(shell.folder, "commit", "-qm", "one")
    shell.write("specs/base.yaml", BASE.replace("4,", "8,"))
    git(shell.folder, "commit", "-qam", "two")
    return shell


pytestmark = pytest.mark.subprocess


@needs_git
def test_what_a_spec_extends_is_read_at_its_revision(repository: Shell) -> None:
    done = repository.here("diff", "HEAD~1:specs/net.yaml", "specs/net.yaml")
    assert done.returncode == 1, done.stderr
    assert b"stem.conv.out_channels: 4 -> 8" in done.stdout
    assert repository.here("diff", "HEAD:specs/net.yaml", "specs/net.yaml").returncode == 0
    repository.folder /= "specs"
    assert repository.here("diff", "HEAD:./net.yaml", "net.yaml").returncode == 0
    assert repository.here("diff", "HEAD:specs/net.yaml", "net.yaml").returncode == 0


@needs_git
def test_an_existing_path_wins(repository: Shell) -> None:
    repository.write("HEAD:specs/net.yaml", BASE)
    assert repository.here("diff", "HEAD:specs/net.yaml", "HEAD~1:specs/base.yaml").returncode == 0


@needs_git
@pytest.mark.parametrize(
    "name",
    [
        "HEAD:nothing.yaml",
        "nothing:specs/net.yaml",
        "HEAD:specs",
        "HEAD:../specs/net.yaml",
        "HEAD:/etc/passwd",
        ":specs/net.yaml",
        "HEAD:",
    ],
)
def test_what_is_no_file_at_a_revision_is_refused(repository: Shell, name: str) -> None:
    done = repository.here("diff", name, "specs/net.yaml")
    assert done.returncode == 2
    assert b"missing-file" in done.stderr


@needs_git
def test_an_option_of_git_is_refused(repository: Shell) -> None:
    """After `--`, a name may begin with a dash."""
    done = repository.here("diff", "--", "--output=x:specs/net.yaml", "specs/net.yaml")
    assert done.returncode == 2
    assert b"does not name a file at a revision" in done.stderr
    assert not (repository.folder / "x").exists()


@needs_git
def test_text_conversions_and_filters_do_not_run(repository: Shell) -> None:
    repository.write(".gitattributes", "*.yaml diff=evil filter=evil\n")
    for key in (
        "diff.evil.textconv",
        "filter.evil.smudge",
        "filter.evil.clean",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
    ):
        git(repository.folder, "config", key, "touch ran;")
    assert repository.here("diff", "HEAD~1:specs/net.yaml", "HEAD:specs/net.yaml").returncode == 1
    assert not (repository.folder / "ran").exists()


@needs_git
@pytest.mark.parametrize(
    ("extends", "code"),
    [
        ("../../outside.yaml", "missing-file"),
        ("../base.yaml", "extends-outside"),
        ("net.txt", "extends-not-yaml"),
        ("link.yaml", "missing-file"),
    ],
)
def test_a_revision_has_the_limits_of_a_folder(shell: Shell, extends: str, code: str) -> None:
    """The folder of a project, `project`, may not be left, and a link is no file."""
    git(shell.folder, "init", "-q")
    for name in ("base.yaml", "project/net.txt"):
        shell.write(name, BASE)
    shell.write("project/pyproject.toml", "")
    shell.write("project/net.yaml", NET % extends)
    (shell.folder / "project/link.yaml").symlink_to("../base.yaml")
    git(shell.folder, "add", ".")
    git(shell.folder, "commit", "-qm", "one")
    done = shell.here("diff", "HEAD:project/net.yaml", "resnet18")
    assert done.returncode == 2
    assert f"error[{code}]".encode() in done.stderr
    assert b"HEAD:project/net.yaml" in done.stderr


@needs_git
def test_a_large_file_at_a_revision_is_refused(repository: Shell) -> None:
    repository.write("large.yaml", BASE + "#" * 2_000_000)
    git(repository.folder, "add", ".")
    git(repository.folder, "commit", "-qm", "large")
    done = repository.here("diff", "HEAD:large.yaml", "resnet18")
    assert done.returncode == 2
    assert b"too-large" in done.stderr


@needs_git
def test_python_reads_revisions(repository: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.folder)
    assert resnet_spec.diff("HEAD~1:specs/net.yaml", "specs/net.yaml").params == 4 * 28
    with pytest.raises(ResnetSpecError):
        resnet_spec.diff("HEAD~9:specs/net.yaml", "specs/net.yaml")


@needs_git
def test_git_shows_differences_of_specs(repository: Shell) -> None:
    """The driver is started by git, in the top folder; what a spec extends is found from its own folder."""
    repository.write(".gitattributes", "*.yaml diff=resnet-spec\n")
    program = f'PYTHONPATH="{Path(resnet_spec.__file__).parent.parent}" "{sys.executable}" -m resnet_spec diff --git-driver --'
    git(repository.folder, "config", "diff.resnet-spec.command", program)
    repository.write("specs/net.yaml", NET % "base.yaml" + "act: silu\n")
    repository.write("specs/new.yaml", BASE)
    repository.write("specs/base.yaml", BASE + "nonsense: 1\n")
    git(repository.folder, "add", "-N", ".")
    done = subprocess.run(["git", "diff"], cwd=repository.folder / "specs", capture_output=True, check=False)
    shown = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "diff --resnet-spec specs/new.yaml\nthe file was added\n--- before\n+++ after\n" in shown
    assert "+nonsense: 1" in shown
    assert b"unknown" in done.stderr
    repository.write("specs/base.yaml", BASE)
    shown = subprocess.run(
        ["git", "diff", "specs/net.yaml"], cwd=repository.folder, capture_output=True, check=True
    ).stdout.decode()
    assert shown.startswith("diff --resnet-spec specs/net.yaml\nbefore -> after\n\n  act: relu -> silu\n")


def test_the_driver_always_exits_with_0(shell: Shell) -> None:
    shell.write("latin1.yaml", b"\xe4")
    shell.write("a.yaml", "- 1\x1b\n")
    facts = ("0" * 40, "100644")
    for old, new in (("latin1.yaml", "a.yaml"), ("a.yaml", "a.yaml"), (os.devnull, "a.yaml"), ("a.yaml", "missing.yaml")):
        done = shell.here("diff", "--git-driver", "--", "-a.yaml", old, *facts, new, *facts)
        assert done.returncode == 0
        assert b"\x1b" not in done.stdout
    assert shell.here("diff", "--git-driver", "--", "a.yaml").returncode == 0


def test_without_git_a_revision_is_an_error(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = shell.here("diff", "HEAD:a.yaml", "resnet18")
    assert done.returncode == 2
    assert b"git is needed" in done.stderr
