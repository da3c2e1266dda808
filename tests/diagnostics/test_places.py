"""Findings in a shipped file are at the line of the user's file that leads there, so no annotation points to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import resnet_spec
from resnet_spec.cli import group
from resnet_spec.language.library import shipped_root

SELECT = ("--select", "strided-projection")  # off by default, so no shipped file suppresses it


def check(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["check", *arguments, *SELECT])


def findings(*arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(check(*arguments, "--message-format", "json").stdout)["diagnostics"]
    return found


def places(finding: dict[str, object]) -> list[str]:
    """The places of a finding as `FILE:LINE`, the primary one first."""
    related = finding["related"]
    assert isinstance(related, list)
    every = [finding["location"], *(label["location"] for label in related)]
    return [f"{place['file']}:{place['line']}" for place in every if isinstance(place, dict)]


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def test_an_error_in_a_shipped_spec_is_at_the_extends_that_leads_there(folder: Path) -> None:
    write(folder, "x.yaml", "spec: 1\nextends: [mixins/se, resnet18]\nclasses: null\n")
    (finding,) = findings("x.yaml")
    assert finding["code"] == "unknown-name"
    assert places(finding) == ["x.yaml:2", "specs/resnet34.yaml:23"]
    assert finding["location"] == {"file": "x.yaml", "line": 2, "column": 22, "end_line": 2, "end_column": 30}
    assert finding["label"] == "extended here"


def test_a_warning_in_a_shipped_mixin_is_at_the_stage_of_the_user_that_has_it(folder: Path) -> None:
    stages = "stages:\n  layer2: {depth: 1}\n  layer3: {depth: 1}\n"
    write(folder, "x.yaml", f"spec: 1\nextends: [resnet18, mixins/biased_shortcut]\n{stages}")
    found = findings("x.yaml")
    assert {finding["code"] for finding in found} == {"strided-projection"}
    assert [places(finding) for finding in found] == [["x.yaml:4", "specs/mixins/biased_shortcut.yaml:4"]]


def test_a_warning_in_a_shipped_mixin_is_at_its_extends_where_no_stage_is_the_users(folder: Path) -> None:
    write(folder, "x.yaml", "spec: 1\nextends:\n  - resnet18\n  - mixins/biased_shortcut\n")
    (finding,) = findings("x.yaml")
    assert places(finding) == ["x.yaml:4", "specs/mixins/biased_shortcut.yaml:4"]


def test_the_file_of_the_user_that_names_the_shipped_one_counts(folder: Path) -> None:
    """Not the one that extends that file: what is written there is the cause, also for others."""
    write(folder, "base.yaml", "spec: 1\nname: base\nextends: [resnet18, mixins/biased_shortcut]\n")
    write(folder, "x.yaml", "spec: 1\nextends: base.yaml\n")
    (finding,) = findings("x.yaml")
    assert places(finding)[0] == "base.yaml:3"


@pytest.mark.parametrize("file", ["x.yaml", "base.yaml"])
def test_a_comment_there_suppresses_it(folder: Path, file: str) -> None:
    write(folder, "base.yaml", "spec: 1\nextends: [resnet18, mixins/biased_shortcut]\n")
    write(folder, "x.yaml", "spec: 1\nextends: base.yaml\n")
    (folder / file).write_text((folder / file).read_text().rstrip() + "  # resnet-spec: ignore[strided-projection]\n")
    assert len(findings("x.yaml")) == (0 if file == "base.yaml" else 1)


def test_a_value_of_the_user_is_the_cause_where_there_is_one(folder: Path) -> None:
    write(folder, "x.yaml", "spec: 1\nextends: plain18\ninput: 3x6x6\nhead: {avgpool: {op: avg_pool2d, kernel_size: 7}}\n")
    (finding,) = findings("x.yaml")
    assert finding["code"] == "kernel-too-large"
    assert places(finding)[0] == "x.yaml:4"


def test_a_shipped_spec_that_is_checked_itself_keeps_its_places() -> None:
    (finding,) = findings("variants/resnet18_biased_shortcut")
    assert places(finding) == ["specs/mixins/biased_shortcut.yaml:4"]


def test_a_comment_at_the_extends_of_a_shipped_spec_suppresses_one_of_its_base() -> None:
    """Its field is smaller than the image, and the pool that reads it is its base's."""
    text = (shipped_root() / "timm" / "resnet26d.yaml").read_text()
    assert [finding.code for finding in resnet_spec.analyze(text.partition("#")[0] + "\n").lints] == ["small-receptive-field"]
    assert resnet_spec.analyze("timm/resnet26d").lints == ()


@pytest.mark.parametrize("style", ["github", "sarif", "json", "concise"])
def test_no_format_points_to_a_foreign_file(folder: Path, style: str) -> None:
    write(folder, "a.yaml", "spec: 1\nextends: [resnet18, mixins/biased_shortcut]\n")
    write(folder, "b.yaml", "spec: 1\nextends: [mixins/se, resnet18]\nclasses: null\n")
    text = check("a.yaml", "b.yaml", "--message-format", style).stdout
    match style:
        case "github":
            files = [line.partition("file=")[2].partition(",")[0] for line in text.splitlines()]
        case "sarif":
            results = json.loads(text)["runs"][0]["results"]
            primary = [location["physicalLocation"] for each in results for location in each["locations"]]
            files = [location["artifactLocation"]["uri"] for location in primary]
            others = [location["physicalLocation"] for each in results for location in each["relatedLocations"]]
            assert {location["artifactLocation"]["uriBaseId"] for location in others} == {"RESNET_SPEC"}
            assert "RESNET_SPEC" in json.loads(text)["runs"][0]["originalUriBaseIds"]
        case "json":
            files = [each["location"]["file"] for each in json.loads(text)["diagnostics"]]
        case _:
            files = [line.partition(":")[0] for line in text.splitlines()]
    assert files == ["a.yaml", "b.yaml"]


def test_the_command_line_is_no_file_to_annotate(folder: Path) -> None:
    write(folder, "x.yaml", "spec: 1\nextends: resnet18\nstages: {layer1: {width: 64}}\n")
    text = check("x.yaml", "--set", "stages.layer1.width=0-1", "--message-format", "github").stdout
    assert "file=--set" not in text
    assert text.startswith("::error title=out-of-range::") or "file=x.yaml" in text
