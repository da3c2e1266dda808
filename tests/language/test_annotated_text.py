"""`summary --resolved`: the same network as one file, in which each value names the file and line where it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from resnet_spec import compiler
from resnet_spec.cli import group
from resnet_spec.compiler import Target
from resnet_spec.diagnostics import Source
from resnet_spec.language.library import shipped_mixins, shipped_root
from tests.networks import different_networks

BLOCKS = Path(compiler.__file__).parent / "language" / "library" / "blocks"
PATCHES: list[tuple[str, ...]] = [
    ("norm={op: group_norm, num_groups: 4}",),
    ("act=silu", "classes=7"),
    ("blocks.projection.branch.1.eps=0.01",),
    ("stem.maxpool=",),
]


def summary(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["summary", "--resolved", *arguments])


def alone(text: str) -> compiler.Analysis:
    """What a text gives that may extend nothing."""
    assert "extends" not in yaml.safe_load(text)
    return compiler.analyze(Target(Source("x", text), None, None))


@pytest.mark.parametrize("name", different_networks())
def test_it_is_the_same_network_with_the_same_expect(name: str) -> None:
    whole = compiler.analyze(compiler.find(name))
    again = alone(compiler.annotate_text(compiler.find(name)))
    assert again.fingerprint == whole.fingerprint
    assert (again.spec.name, again.spec.about, again.total) == (whole.spec.name, whole.spec.about, whole.total)
    assert again.expect_checked
    assert again.warnings == ()


@pytest.mark.parametrize("patches", PATCHES, ids=lambda patches: patches[0])
def test_set_is_part_of_it_and_then_expect_is_not(patches: tuple[str, ...]) -> None:
    text = compiler.annotate_text(compiler.find("resnet18"), patches)
    assert alone(text).fingerprint == compiler.analyze(compiler.find("resnet18"), patches).fingerprint
    assert "expect" not in yaml.safe_load(text)
    deleted = patches == ("stem.maxpool=",)
    assert ("# --set" in text) is not deleted


@pytest.mark.parametrize("mixin", shipped_mixins())
@pytest.mark.parametrize("base", ["resnet18", "resnet50"])
def test_mixins_too(mixin: str, base: str) -> None:
    target = compiler.find(f"spec: 1\nextends: [{base}, {mixin}]\n")
    assert alone(compiler.annotate_text(target)).fingerprint == compiler.analyze(target).fingerprint


@pytest.mark.parametrize("name", ["resnet50", "pokemon_resnet18", "resnet18", "cifar_resnet110"])
def test_each_value_is_in_the_line_that_is_named(name: str) -> None:
    """The words of a line of the text are in the line of the file that its comment names."""
    seen = 0
    for line in compiler.annotate_text(compiler.find(name)).splitlines():
        text, _, origin = line.partition("  # ")
        if not origin or origin == "default":
            continue
        file, _, number = origin.rpartition(":")
        folder = BLOCKS if file.startswith("library/blocks/") else shipped_root()
        path = folder / file.removeprefix("library/blocks/").removeprefix("specs/")
        written = path.read_text(encoding="utf-8").splitlines()[int(number) - 1]
        value = text.strip().partition(": ")[2]
        assert set(re.findall(r"\w+", value)) <= {*re.findall(r"\w+", written), "op"}, line
        seen += 1
    assert seen > 12


def test_a_value_that_a_file_changes_names_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("spec: 1\nextends: resnet18\nclasses: 7\n")
    (tmp_path / "x.yaml").write_text("spec: 1\nextends: base.yaml\nstages:\n  layer2: {depth: 5}\n")
    lines = summary("x.yaml").output.splitlines()
    origins = {text.strip(): origin for text, _, origin in (line.partition("  # ") for line in lines)}
    assert origins["name: x"] == "the name of the file"
    assert origins["classes: 7"] == "base.yaml:3"
    assert origins["depth: 5"] == "x.yaml:4"
    assert origins["width: 128"] == "specs/resnet34.yaml:16"
    assert origins["norm: batch_norm"] == "default"


def test_a_spec_with_mistakes_is_printed_with_its_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("spec: 1\nextends: resnet18\nstem: {conv1: {kernel_size: 999}}\n")
    done = summary("x.yaml")
    assert done.exit_code == 1
    assert re.search(r"kernel_size: 999 +# x.yaml:3", done.stdout)
    assert "error[kernel-too-large]" in done.stderr


def test_a_text_that_cannot_be_merged_is_only_reported() -> None:
    done = CliRunner().invoke(group, ["summary", "--resolved", "-"], input="spec: 1\nstem: {c: {bias: true}}\n")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "error[nothing-to-patch]" in done.stderr


@pytest.mark.parametrize("name", ["a\nstem: x.yaml", "a # b.yaml", "a\x1b[31m.yaml", "a\u2028b.yaml"])
def test_no_name_of_a_file_leaves_its_comment(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("spec: 1\ninput: 3x8x8\nstem: {r: relu}\n")
    text = compiler.annotate_text(compiler.find(tmp_path / name))
    assert alone(text).fingerprint == compiler.analyze(compiler.find(tmp_path / name)).fingerprint
    assert "\x1b" not in text


def test_names_and_texts_are_quoted_where_they_have_to_be() -> None:
    spec = 'spec: 1\nname: "1.5"\nabout: "a: b # c\\n- d"\nsource: "null"\ninput: 3x8x8\nstem: {0: relu, "null": relu}\n'
    again = alone(compiler.annotate_text(compiler.find(spec)))
    assert (again.spec.name, again.spec.about, again.spec.source) == ("1.5", "a: b # c\n- d", "null")
    assert [node.name for node in again.graph.nodes] == ["0", "null"]
