"""Findings placed at the author's own text, with what its values override; and all that are independent, in one round."""

from __future__ import annotations

from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.diagnostics import Diagnostic, Label, Source, Span
from resnet_spec.language.merge import Resolved
from resnet_spec.language.nodes import MappingNode
from resnet_spec.language.provenance import add_origins

BASE = """\
spec: 1
input: 3x32x32
classes: 10
params: {n: 2}
stem: {conv1: {op: conv2d, out_channels: 16, kernel_size: 3, padding: 1, bias: false}}
block: bottleneck
stages:
  layer1: {width: 16, depth: n}
head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, flatten: flatten, fc: {op: linear, out_features: classes}}
"""


def findings(spec: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.analyze(spec)
    return tuple(each for each in caught.value.diagnostics if each.severity == "error")


@pytest.fixture(autouse=True)
def _beside_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "middle.yaml").write_text("spec: 1\nextends: base.yaml\nparams: {n: 3}\n")


def test_a_conflict_is_placed_where_its_cause_is_and_then_where_it_shows() -> None:
    (finding,) = findings("spec: 1\nextends: base.yaml\nblock: {op: bottleneck, project: stride != 1}\n")
    assert str(finding.span) == "<text>:3:34"
    assert [str(label.span) for label in finding.related] == ["base.yaml:8:3", "base.yaml:8:19"]
    assert "`width * expansion` = 16 * 4" in finding.related[0].text


def test_what_a_value_overrides_is_placed_through_all_files() -> None:
    (finding,) = findings("spec: 1\nextends: middle.yaml\nparams: {n: 0}\n")
    assert finding.notes == ("`0` at <text>:3 overrides `3` of middle.yaml:3, which overrides `2` of base.yaml:4",)


def test_a_mistake_in_the_extended_file_stays_there() -> None:
    Path("wrong.yaml").write_text(BASE.replace("kernel_size: 3", "kernel_size: 99"))
    (finding,) = findings("spec: 1\nextends: wrong.yaml\nclasses: 2\n")
    assert str(finding.span) == "wrong.yaml:5:59"


def test_an_input_that_is_too_small_is_placed_at_the_input() -> None:
    Path("pools.yaml").write_text(BASE.replace("head: {", "head: {first: {op: max_pool2d, kernel_size: 8}, "))
    (finding,) = findings("spec: 1\nextends: pools.yaml\ninput: 3x7x7\n")
    assert str(finding.span) == "<text>:3:8"
    assert str(finding.related[0].span) == "pools.yaml:9:45"


def test_the_finding_keeps_its_parts() -> None:
    main, other = Source("main.yaml", "a: 1\n"), Source("other.yaml", "b: 2\n")
    here, there = Span(main, 1, 4, 1, 5), Span(other, 1, 4, 1, 5)
    finding = Diagnostic("c", "m", there, "shows", (Label(here, "cause"),), "fix it", ("note",))
    (placed,) = add_origins([finding], Resolved(main, MappingNode({}, here), {}, False, (), {}))
    assert (placed.span, placed.label, placed.related) == (here, "cause", (Label(there, "shows"),))
    assert (placed.help, placed.notes) == ("fix it", ("note",))


# --- one round ------------------------------------------------------------------------------------------------------------


def stem(text: str, more: str = "") -> str:
    return f"spec: 1\ninput: 3x32x32\nclasses: 10\n{more}stem:\n{text}"


CONV = "  c{}: {{op: conv2d, out_channels: {}, kernel_size: {}}}\n"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (stem(CONV.format(1, 8, 99) + "  x: nonsense\n"), ["kernel-too-large", "unknown-operation"]),
        (stem("  f: {op: relu, colour: 1}\n" + CONV.format(1, "wdth", 3)), ["unknown-field", "unknown-name"]),
        (stem(CONV.format(1, 8, 99) + "  f: {op: relu, colour: 1}\n"), ["kernel-too-large", "unknown-field"]),
        (stem("  f: {op: relu, colour: 1}\n" + CONV.format(1, 8, 99)), ["unknown-field"]),
        (stem(CONV.format(1, "n", 3), "params: {n: [1]}\n"), ["wrong-type"]),
        (stem(CONV.format(1, "n", 3), "params: {n: {}}\n"), ["wrong-type"]),
        (stem("  fc: {op: linear, out_features: classes}\n").replace("classes: 10", "classes: ten"), ["wrong-type"]),
        (stem("  fc: {op: linear, out_features: classes}\n").replace("classes: 10", "clases: 10"), ["unknown-field"]),
        (stem("  b: b\n", "blocks: {b: {brnch: {r: relu}}}\n"), ["unknown-field"]),
        (stem("  a: act\n", "act: {op: sequential, ops: {x: act}}\n"), ["role-cycle"]),
        (stem("  a: {op: nonsense, ops: {x: relu}}\n"), ["unknown-operation"]),
    ],
)
def test_independent_mistakes_are_placed_together_and_dependent_ones_not_at_all(text: str, codes: list[str]) -> None:
    assert [finding.code for finding in findings(text)] == codes


def test_a_word_that_means_nothing_is_placed_once_with_all_its_lines() -> None:
    (finding,) = findings(stem("  a: BatchNorm\n  b: relu\n  c: BatchNorm\n  d: BatchNorm\n"))
    assert finding.notes == ("and 2 more times, at lines 7, 8",)


def test_what_comes_again_in_other_blocks_is_placed_once() -> None:
    text = BASE.replace("layer1: {width: 16, depth: n}", "layer1: {width: 8, depth: 2}\n  layer2: {width: 16, depth: 2}")
    (finding,) = findings(text.replace("block: bottleneck", "block: {op: bottleneck, project: false}"))
    assert "layer1.0" in finding.message
    assert finding.notes == ("and in 1 more block: layer2.0",)
