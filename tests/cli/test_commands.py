"""What all commands have in common: help, exit codes, no traceback, and no terminal control sequences in the output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from resnet_spec.cli import COMMANDS, group
from tests.cli.conftest import Shell

REPOSITORY = Path(__file__).parent.parent.parent
GOOD = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3}}\n"
BAD = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 99}}\n"


def no_traceback(output: bytes) -> bool:
    return b"Traceback" not in output and b"please report it" not in output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_begin_with_the_command(command: str) -> None:
    done = CliRunner().invoke(group, [command, "--help"])
    assert done.exit_code == 0
    _, _, examples = done.output.partition("Examples:\n")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert lines
    assert all("resnet-spec " in line for line in lines)
    assert f"resnet-spec {command}" in examples


def test_the_help_of_the_program_lists_its_commands() -> None:
    done = CliRunner().invoke(group, ["--help"])
    assert done.exit_code == 0
    assert all(f"\n  {command} " in done.output for command in COMMANDS)


@pytest.mark.parametrize("arguments", [["--version"], ["-h"], ["check", "-h"]])
def test_version_and_short_help(arguments: list[str]) -> None:
    assert CliRunner().invoke(group, arguments).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "good.yaml"], 0),
        (["check", "bad.yaml"], 1),
        (["check", "good.yaml", "bad.yaml"], 1),
        (["check", "missing.yaml"], 2),
        (["check", "missing.yaml", "bad.yaml"], 2),
        (["check", "folder"], 0),
        (["summary", "folder"], 2),
        (["check", "folder/"], 0),
        (["check", "n" * 300], 2),
        (["check", "nul\0"[:3]], 2),
        (["check", ""], 2),
        (["check"], 2),
        (["check", "good.yaml", "--bogus"], 2),
        (["check", "good.yaml", "--message-format", "yaml"], 2),
        (["check", "good.yaml", "--spec-root", "missing"], 2),
        (["check", "good.yaml", "--set", "nonsense"], 2),
        (["check", "good.yaml", "--set", "stem.d.bias=true"], 1),
        (["check", "latin1.yaml"], 1),
        (["check", "zeros.yaml"], 1),
        (["check", "empty.yaml"], 1),
        (["check", "block:basic"], 2),
        (["check", "block:nonsense"], 2),
        (["summary", "good.yaml"], 0),
        (["summary", "bad.yaml"], 1),
        (["summary", "missing.yaml"], 2),
        (["summary", "good.yaml", "--input", "3x8"], 2),
        (["summary", "good.yaml", "--input", "3x1x1"], 1),
        (["summary", "good.yaml", "--batch", "0"], 2),
        (["summary", "good.yaml", "--detail", "nonsense"], 2),
        (["summary", "block:basic", "--set", "width=8"], 2),
        (["summary", "block:basic", "--input", "8x8x8"], 1),
        (["build", "good.yaml", "--dump-ir"], 0),
        (["build", "bad.yaml", "--dump-ir"], 1),
        (["build", "good.yaml", "-o", "weights.bin"], 2),
        (["chek", "good.yaml"], 2),
        (["list"], 0),
        (["list", "--format", "yaml"], 2),
        (["schema"], 0),
        (["schema", "extra"], 2),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else str(value),
)
def test_exit_codes(shell: Shell, arguments: list[str], code: int) -> None:
    shell.write("good.yaml", GOOD)
    shell.write("bad.yaml", BAD)
    shell.write("latin1.yaml", "spec: 1\nname: é\n".encode("latin-1"))
    shell.write("zeros.yaml", b"\0" * 64)
    shell.write("empty.yaml", "")
    shell.write("folder/x.yaml", GOOD)
    done = shell(*arguments)
    assert done.returncode == code, done.stderr
    assert no_traceback(done.stderr)


def test_a_command_that_is_nearly_right_is_suggested(shell: Shell) -> None:
    assert b"did you mean `summary`?" in shell("sumary").stderr


def test_a_reader_that_closes_the_pipe_is_no_error(shell: Shell) -> None:
    """As in `resnet-spec schema | head -1`; the schema is larger than what a pipe holds."""
    with subprocess.Popen(
        [sys.executable, "-m", "resnet_spec", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        '"\\e[31mred": 1\n',
        'name: "\\e[31mred"\nnonsense: 1\n',
        'input: 3x8x8\nname: "\\e[2J\\u202e"\nstem: {r: relu}\n',
        'input: "\\e[31m"\n',
        'stem: {r: "\\e[31mrelu"}\n',
        'stem: {"\\e[31m": relu}\n',
        'stem: {r: {op: relu, "\\e]0;title\\a": 1}}\n',
        'input: 3x8x8\nstem: {r: {op: dropout, p: "\\e[31m"}}\n',
        'blocks: {"\\e[31m": {branch: {r: relu}}}\n',
        'extends: "\\e[31m.yaml"\n',
        "name: \x1b[31mred\n",
        "name: '\u202eabc'\nnonsense: 1\n",
    ],
)
@pytest.mark.parametrize("style", ["text", "concise", "json"])
def test_the_text_of_a_spec_cannot_control_a_terminal(shell: Shell, text: str, style: str) -> None:
    shell.write("x.yaml", "spec: 1\n" + text)
    for command in ("check", "summary"):
        done = shell.here(command, "x.yaml", "--message-format", style)
        assert done.returncode in (0, 1)
        for character in "\x1b\x07\u202e":
            assert character.encode() not in done.stdout + done.stderr


def test_the_name_of_a_file_cannot_control_a_terminal(shell: Shell) -> None:
    good, bad = shell.write("\x1b[31mgood.yaml", GOOD), shell.write("\x1b[31mbad.yaml", BAD)
    done = shell("check", good, bad, "\x1b[31mmissing.yaml")
    assert done.returncode == 2
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\\x1b[31mgood.yaml: ok" in done.stdout


@pytest.mark.parametrize("command", ["check", "summary"])
def test_a_terminal_without_unicode_gets_escapes(shell: Shell, command: str) -> None:
    shell.write("x.yaml", "spec: 1\nname: 漢\ninput: 3x8x8\nstem: {größe: relu, x: 漢}\n")
    done = shell(command, "x.yaml", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert done.returncode == 1
    assert b"\\u6f22" in done.stdout + done.stderr
    assert no_traceback(done.stderr)


def test_arguments_that_are_not_utf_8_are_shown_as_escapes(shell: Shell) -> None:
    done = shell("check", "\udcff.yaml")
    assert done.returncode == 2
    assert b"\\udcff.yaml" in done.stdout
    done = shell("check", shell.write("x.yaml", GOOD), "--set", "name=\udcff")
    assert done.returncode == 1
    assert no_traceback(done.stderr)


READERS = ("check", "summary", "build", "draw")


@pytest.mark.parametrize("command", READERS)
def test_every_command_that_reads_a_spec_has_options_for_its_findings(command: str) -> None:
    done = CliRunner().invoke(group, [command, "--help"])
    assert "--message-format" in done.output
    assert "--color" in done.output


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("option", "environment", "colored"),
    [
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "auto"], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ([], {}, False),
        (["--color", "always", "--message-format", "concise"], {}, False),
    ],
)
def test_color(command: str, option: list[str], environment: dict[str, str], colored: bool, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    more = ["-o", str(tmp_path / "x.dot")] if command == "draw" else []
    plain = {"NO_COLOR": "", "FORCE_COLOR": ""}
    done = CliRunner(env={**plain, **environment}).invoke(group, [command, str(tmp_path / "bad.yaml"), *more, *option])
    assert ("\x1b[" in done.output) is colored
