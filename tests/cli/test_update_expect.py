"""`check --update-expect`: what is written, and what is left alone."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resnet_spec import compiler
from resnet_spec.cli import group
from resnet_spec.compiler import Analysis
from resnet_spec.diagnostics import Edit

SPEC = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3, bias: false}}   # 54 parameters\n"
OLD = "expect:\n  # as in the paper\n  params:  55          # counted\n  macs: 1\n  output: [2,6 , 7]\n"


def check(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(group, ["check", *arguments], input=input)


def update(*arguments: str) -> Result:
    return check("--update-expect", *arguments)


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


def test_only_the_values_change(folder: Path) -> None:
    path = write(folder, "x.yaml", SPEC + OLD)
    done = update("x.yaml")
    assert done.exit_code == 0, done.output
    assert "; updated `params`, `macs` and `output` of `expect`" in done.output
    expected = OLD.replace("55 ", "54 ").replace("macs: 1", "macs: 1944").replace("[2,6 , 7]", "[2,6 , 6]")
    assert path.read_text() == SPEC + expected
    assert check("x.yaml").exit_code == 0


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_byte_order_mark_line_breaks_and_ending_stay(folder: Path, mark: bytes, line_break: str, ending: str) -> None:
    text = SPEC.replace("# 54 parameters", "# é 漢") + "expect: {params: 7}" + ending
    path = write(folder, "x.yaml", mark + text.replace("\n", line_break).encode())
    assert update("x.yaml").exit_code == 0
    assert path.read_bytes() == mark + text.replace("params: 7", "params: 54").replace("\n", line_break).encode()


def test_the_permissions_stay(folder: Path) -> None:
    path = write(folder, "x.yaml", SPEC + "expect: {params: 7}\n")
    path.chmod(0o640)
    update("x.yaml")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(folder) == ["x.yaml"]


def test_a_link_stays_a_link(folder: Path) -> None:
    write(folder, "real.yaml", SPEC + "expect: {params: 7}\n")
    (folder / "x.yaml").symlink_to("real.yaml")
    update("x.yaml")
    assert (folder / "x.yaml").is_symlink()
    assert "params: 54" in (folder / "real.yaml").read_text()


def test_a_file_that_is_right_is_not_written(folder: Path) -> None:
    path = write(folder, "x.yaml", SPEC + "expect: {params: 54}\n")
    before = path.stat()
    done = update("x.yaml")
    assert (done.exit_code, "updated" in done.output) == (0, False)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_bounds_are_contracts_and_stay(folder: Path) -> None:
    path = write(folder, "x.yaml", SPEC + "expect: {params: {most: 3}, macs: 7, accepts: [1x1]}\n")
    done = update("x.yaml")
    assert done.exit_code == 1
    assert path.read_text() == SPEC + "expect: {params: {most: 3}, macs: 1944, accepts: [1x1]}\n"
    assert done.output.count("error[expect-broken]") == 2
    assert "= note: `--update-expect` changes numbers, and lists of them on one line" in done.output


def test_a_file_with_other_errors_is_not_changed(folder: Path) -> None:
    path = write(folder, "x.yaml", SPEC.replace("kernel_size: 3", "kernel_size: 99") + "expect: {params: 7}\n")
    done = update("x.yaml")
    assert (done.exit_code, "kernel-too-large" in done.output) == (1, True)
    assert "params: 7" in path.read_text()


def test_files_that_are_extended_are_not_changed(folder: Path) -> None:
    base = write(folder, "base.yaml", SPEC + "expect: {params: 7}\n")
    write(folder, "x.yaml", "spec: 1\nextends: base.yaml\nstem: {c: {bias: true}}\nexpect: {params: 7}\n")
    assert update("x.yaml").exit_code == 0
    assert base.read_text() == SPEC + "expect: {params: 7}\n"
    assert (folder / "x.yaml").read_text().endswith("expect: {params: 56}\n")


def test_a_folder_is_updated(folder: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        write(folder, name, SPEC + "expect: {params: 7}\n")
    write(folder, "r.yaml", "recipe: 1\nepochs: 5\n")
    write(folder, "p.yaml", "spec: 1\nact: silu\nexpect: {params: 7}\n")
    document = json.loads(update(".", "--message-format", "json").stdout)
    assert [file.get("updated") for file in document["files"]] == [["params"], ["params"], None, None]
    assert "params: 7" in (folder / "p.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "why"), [("-", "standard input"), ("resnet18", "not a file of yours"), ("none.yaml", "not a")]
)
def test_what_is_not_a_file_of_the_user_is_refused(folder: Path, name: str, why: str) -> None:
    done = check("--update-expect", name, input=SPEC)
    assert done.exit_code == 2
    assert "error[not-editable]" in done.output
    assert why in done.output


def test_a_run_folder_is_refused(folder: Path) -> None:
    path = write(folder, "spec.yaml", SPEC + "expect: {params: 7}\n")
    write(folder, "run.json", "{}")
    assert update("spec.yaml").exit_code == 2
    assert "params: 7" in path.read_text()


@pytest.mark.parametrize("more", [("--set", "stem.c.bias=true"), ("--on", "resnet18")])
def test_another_network_than_the_files_is_refused(folder: Path, more: tuple[str, ...]) -> None:
    path = write(folder, "x.yaml", SPEC + "expect: {params: 7}\n")
    assert check("x.yaml", "--update-expect", *more).exit_code == 2
    assert "params: 7" in path.read_text()


def test_a_file_that_changed_since_it_was_read_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, "x.yaml", SPEC + "expect: {params: 7}\n")
    really = compiler.rewrite_expect

    def rewrite(analysis: Analysis) -> dict[str, tuple[Edit, ...]]:
        path.write_text("# edited meanwhile\n")
        return really(analysis)

    monkeypatch.setattr(compiler, "rewrite_expect", rewrite)
    done = update("x.yaml")
    assert (done.exit_code, "changed while it was checked" in done.output) == (2, True)
    assert path.read_text() == "# edited meanwhile\n"


def test_a_file_that_cannot_be_written_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, "x.yaml", SPEC + "expect: {params: 7}\n")

    def refusing(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resnet_spec.cli.rewriting.write_atomically", refusing)
    done = update("x.yaml")
    assert (done.exit_code, "error[unwritable-file]: cannot write" in done.output) == (2, True)
    assert "params: 7" in path.read_text()
