"""What `load` returns is accepted wherever a spec is."""

from __future__ import annotations

from pathlib import Path

import pytest

import resnet_spec
from resnet_spec import compiler

SMALL = """\
spec: 1
name: small
input: 3x8x8
classes: 4
params: {w: 4, v: 1}
stem: {c: {op: conv2d, out_channels: w, kernel_size: 3, bias: false}}
head: {p: {op: adaptive_avg_pool2d, output_size: 1}, f: flatten, l: {op: linear, out_features: classes}}
"""


def test_its_analysis_is_that_of_the_name() -> None:
    spec = resnet_spec.load("resnet18")
    loaded, named = resnet_spec.analyze(spec), resnet_spec.analyze("resnet18")
    assert loaded.fingerprint == named.fingerprint
    assert (loaded.warnings, loaded.overridden, loaded.expect_checked) == ((), False, True)


def test_patches_of_both_calls_are_applied_in_order() -> None:
    spec = resnet_spec.load(SMALL, set=["params.w=8", "params.v=2"])
    assert resnet_spec.analyze(spec).total.params == 8 * 27 + 8 * 4 + 4
    analysis = resnet_spec.analyze(spec, set="params.w=16")
    assert analysis.total.params == 16 * 27 + 16 * 4 + 4
    assert analysis.overridden
    both = resnet_spec.analyze(SMALL, set=["params.w=8", "params.v=2", "params.w=16"])
    assert both.fingerprint == analysis.fingerprint


def test_a_finding_says_what_the_patches_of_both_calls_override() -> None:
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.analyze(resnet_spec.load(SMALL, set="params.w=8"), set="params.w=1//0")
    assert caught.value.diagnostics[0].notes == ("`1//0` at --set:1 overrides `8` of --set:1, which overrides `4` of <text>:5",)


def test_it_is_a_value_that_does_not_depend_on_its_files(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(SMALL)
    (tmp_path / "x.yaml").write_text("spec: 1\nextends: base.yaml\nparams: {w: 8}\n")
    spec = resnet_spec.load(tmp_path / "x.yaml", spec_root=tmp_path)
    before = resnet_spec.analyze(spec)
    (tmp_path / "base.yaml").unlink()
    again = resnet_spec.analyze(spec)
    assert (again.fingerprint, again.spec.name) == (before.fingerprint, "x")


def test_it_can_be_loaded_again_and_written_flat() -> None:
    spec = resnet_spec.load(SMALL, set="params.w=8")
    again = resnet_spec.load(spec, set="params.v=3")
    text = compiler.flatten_text(compiler.find(again), ["classes=5"])
    assert resnet_spec.analyze(text).total.params == 8 * 27 + 8 * 5 + 5


def test_warnings_and_findings_keep_their_places() -> None:
    spec = resnet_spec.load(SMALL.replace("name: small", "name: no"))
    (warning,) = resnet_spec.analyze(spec).warnings
    assert (warning.code, str(warning.span)) == ("yaml-1.1", "<text>:2:7")
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.analyze(spec, input="3x2x2")
    assert str(caught.value.diagnostics[0].span).startswith("<text>:")


def test_its_repr_is_one_short_line() -> None:
    assert repr(resnet_spec.load("resnet50")) == "<Spec of resnet50: 3x224x224, 4 stages>"
    assert repr(resnet_spec.load(SMALL)) == "<Spec of small: 3x8x8, 0 stages>"
    name = "x\\n" * 5000
    shown = repr(resnet_spec.load(SMALL.replace("small", f'"{name}"')))
    assert len(shown) < 120
    assert "\n" not in shown


@pytest.mark.torch
def test_it_can_be_built_and_drawn() -> None:
    spec = resnet_spec.load(SMALL)
    assert sum(each.numel() for each in resnet_spec.build(spec, set="params.w=8").parameters()) == 8 * 27 + 8 * 4 + 4
    assert resnet_spec.draw(spec) == resnet_spec.draw(SMALL)


@pytest.mark.torch
def test_it_can_be_trained(tmp_path: Path) -> None:
    recipe = {"epochs": 1, "batch_size": 8, "optimizer": {"op": "SGD", "lr": 0.1}}
    data = "synthetic:classes=4,size=8,train=16,validation=8,test=8"
    spec = resnet_spec.load(SMALL, set="params.w=8")
    resnet_spec.train(spec, recipe, data, out=tmp_path / "run", device="cpu", set="params.v=2")
    assert resnet_spec.analyze(tmp_path / "run" / "spec.yaml").total.params == 8 * 27 + 8 * 4 + 4


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 2500, "x" * 5000 + ".yaml", "block:" + "x" * 5000])
def test_a_long_name_is_an_error_that_can_be_read(name: str) -> None:
    with pytest.raises(resnet_spec.ArgumentError) as caught:
        resnet_spec.analyze(name)
    (finding,) = caught.value.diagnostics
    assert finding.code in ("missing-file", "unknown-block")
    assert len(finding.message) < 200
    assert finding.help


def test_a_long_name_in_extends_is_an_error_too() -> None:
    for text in ("x" * 5000, "x/" * 2500 + "y"):
        with pytest.raises(resnet_spec.SpecError) as caught:
            resnet_spec.analyze(f"spec: 1\nextends: {text}\n")
        assert caught.value.diagnostics[0].code == "missing-file"


@pytest.mark.parametrize("target", [5, None, 2.5, ["resnet18"], {"resnet18"}])
def test_what_is_no_spec_is_refused_with_what_is(target: object) -> None:
    with pytest.raises(
        resnet_spec.ArgumentError,
        match=r"a spec is a path, the name of a shipped spec, YAML text, a dict, or what `load` returned, not ",
    ):
        resnet_spec.analyze(target)  # type: ignore[arg-type]
