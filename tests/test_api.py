"""The public functions on arguments of every kind: each is understood, or refused with what is accepted."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import resnet_spec
from resnet_spec.diagnostics import ArgumentError, SpecError
from resnet_spec.diagnostics.arguments import quote

SPEC = """
spec: 1
input: 3x8x8
classes: 10
stem: {conv: {op: conv2d, out_channels: 4, kernel_size: 3}}
head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, flatten: flatten, fc: {op: linear, out_features: classes}}
"""


def refused(code: str, call: Any, *arguments: Any, **options: Any) -> str:
    """The error of a call that must be refused, as text."""
    with pytest.raises(ArgumentError) as caught:
        call(*arguments, **options)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 2
    assert [finding.code for finding in caught.value.diagnostics] == [code]
    return str(caught.value)


# --- specs ------------------------------------------------------------------------------------------------------------------

FUNCTIONS = [resnet_spec.load, resnet_spec.analyze, resnet_spec.build, resnet_spec.draw]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "spec", [b"spec: 1\n", bytearray(b""), None, 5, 1.5, True, ["resnet18"], ("resnet18",), {"a"}, object()]
)
def test_what_cannot_be_a_spec_is_refused(function: Any, spec: object) -> None:
    text = refused("invalid-argument", function, spec)
    assert "a spec is a path, the name of a shipped spec, YAML text, a dict, or what `load` returned, not " in text
    assert ("data.decode()" in text) == isinstance(spec, bytes | bytearray)


def test_a_spec_may_be_a_path_or_any_mapping(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(SPEC)
    stem = {"conv": {"op": "conv2d", "out_channels": 4, "kernel_size": 3}}
    for spec in (tmp_path / "x.yaml", str(tmp_path / "x.yaml"), OrderedDict(spec=1, input="3x8x8", stem=stem)):
        assert resnet_spec.analyze(spec).shapes[0] == (4, 6, 6)


# --- sizes ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [
        "3x16x12",
        " 3x16x12 ",
        (3, 16, 12),
        [3, 16, 12],
        np.array([3, 16, 12]),
        (np.int64(3), np.int32(16), np.uint8(12)),
        range(3, 6),
    ],
    ids=repr,
)
def test_sizes_that_are_understood(size: Any) -> None:
    analysis = resnet_spec.analyze(SPEC, input=size)
    assert analysis.input == ((3, 4, 5) if isinstance(size, range) else (3, 16, 12))
    assert all(type(number) is int for number in analysis.input)


@pytest.mark.parametrize(
    ("size", "likely"),
    [
        ((3, 224.5, 224), "(3, 224, 224)"),
        ((3, 224.0, 224.0), "(3, 224, 224)"),
        ((3, 96), "(3, 96, 96)"),
        ((96, 64), "(3, 96, 64)"),
        (64, "(3, 64, 64)"),
        (np.int64(64), "(3, 64, 64)"),
        ((1, 3, 64, 48), "(3, 64, 48)"),
        ((3, 0, 8), "(3, 224, 224)"),
        ((3, -8, 8), "(3, 224, 224)"),
        ((3, 10**10, 8), "(3, 224, 224)"),
        ((3, 10**5000, 8), "(3, 224, 224)"),
        ((3, True, 8), "(3, 224, 224)"),
        ((3, np.bool_(True), 8), "(3, 224, 224)"),
        (("3", "8", "8"), "(3, 224, 224)"),
        ((3, None, 8), "(3, 224, 224)"),
        (b"3x8x8", "(3, 224, 224)"),
        ({3, 8, 9}, "(3, 224, 224)"),
        ({"height": 8}, "(3, 224, 224)"),
        ((), "(3, 224, 224)"),
        (0, "(3, 224, 224)"),
        (True, "(3, 224, 224)"),
        (2.5, "(3, 224, 224)"),
        (np.array(3.0), "(3, 224, 224)"),
        (..., "(3, 224, 224)"),
    ],
    ids=lambda value: quote(value) if not isinstance(value, str) else value,
)
@pytest.mark.parametrize("function", [resnet_spec.analyze, resnet_spec.draw])
def test_sizes_that_are_not(function: Any, size: Any, likely: str) -> None:
    text = refused("invalid-input", function, SPEC, input=size)
    assert "`input` takes three integers, channels, height and width in pixels, not " in text
    assert f"for example input={likely}" in text


@pytest.mark.parametrize(
    ("size", "likely"),
    [
        ("3x8", "3x8x8"),
        ("64", "3x64x64"),
        ("2x3x8x8", "3x8x8"),
        ("0x8x8", "3x224x224"),
        ("3, 8, 8", "3x224x224"),
        ("", "3x224x224"),
    ],
)
def test_a_text_that_is_no_size(size: str, likely: str) -> None:
    text = refused("invalid-input", resnet_spec.analyze, SPEC, input=size)
    assert f"`{size}` is not a size" in text
    assert f"`{likely}`" in text


# --- patches ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "patches",
    [
        "classes=5",
        ["classes=5"],
        ("classes=5",),
        {"classes": 5},
        {"classes": np.int64(5)},
        OrderedDict(classes=5),
        {"head.fc.out_features": 5},
        {"head": {"fc": {"out_features": 5}}},
        {"head.fc": {"out_features": np.array(5)}},
        {"classes=5": None}.keys(),
    ],
    ids=repr,
)
def test_patches_in_every_form(patches: Any) -> None:
    assert resnet_spec.analyze(SPEC, set=patches).output == (5,)
    assert ">5<" in resnet_spec.draw(SPEC, set=patches, detail="op", show=["shapes"])


def test_patches_may_be_made_one_by_one() -> None:
    assert resnet_spec.analyze(SPEC, set=(f"classes={number}" for number in (4, 5))).output == (5,)


@pytest.mark.parametrize(
    "text",
    ["", "plain", "null", "5", "1e3", "a: b", "# c", "'\"\\", "two\nlines", "神经", "\x1b[31m\u2028\x7f\ufeff", "😀", "{a}"],
)
def test_a_text_in_a_mapping_is_that_text(text: str) -> None:
    assert resnet_spec.load(SPEC, set={"about": text}).about == text


def test_values_of_a_mapping_are_the_same_as_in_a_patch_and_none_deletes() -> None:
    written = resnet_spec.analyze(SPEC, set=["stem.conv.bias=false", "head.drop={op: dropout, p: 1e-05, insert_after: pool}"])
    mapping = {"stem.conv.bias": False, "head.drop": {"op": "dropout", "p": 1e-05, "insert_after": "pool"}}
    assert resnet_spec.analyze(SPEC, set=mapping).fingerprint == written.fingerprint
    assert resnet_spec.analyze(SPEC, set={"head": None}).output == (4, 6, 6)
    block = resnet_spec.analyze("block:basic", input=(8, 4, 4), set={"width": 16})
    assert block.output == (16, 4, 4)


@pytest.mark.parametrize(
    "patches",
    [
        5,
        None,
        True,
        b"classes=5",
        [5],
        [("classes", 5)],
        ["classes=5", None],
        {5: 5},
        {"classes=": 5},
        {"classes": ...},
        {"classes": float("nan")},
        {"classes": {1, 2}},
    ],
    ids=quote,
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_not_a_patch_is_refused(function: Any, patches: Any) -> None:
    assert "`set`" in refused("set-syntax", function, SPEC, set=patches)


# --- build ------------------------------------------------------------------------------------------------------------------


@pytest.mark.torch
def test_initialize_and_its_old_spelling() -> None:
    import torch

    torch.manual_seed(0)
    state = torch.get_rng_state()
    resnet_spec.build(SPEC, initialize=False)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.warns(DeprecationWarning, match="initialize") as warned:
        resnet_spec.build(SPEC, initialise=False)
    assert warned[0].filename == __file__
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.warns(DeprecationWarning, match="initialize"):
        resnet_spec.build(SPEC, initialise=True)
    assert not torch.equal(torch.get_rng_state(), state)


@pytest.mark.torch
def test_patches_of_a_compiled_network_are_refused_and_not_ignored() -> None:
    analysis = resnet_spec.analyze(SPEC)
    assert "pass `set` to `analyze`" in refused("invalid-argument", resnet_spec.build, analysis, set={"classes": 5})
    assert resnet_spec.build(analysis, device="meta") is not None


# --- draw -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "accepted", "near"),
    [
        ({"detail": "blocks"}, "`stage`, `block` or `op`", "block"),
        ({"detail": "ops"}, "`stage`, `block` or `op`", "op"),
        ({"detail": None}, "`stage`, `block` or `op`", ""),
        ({"direction": "left"}, "`down` or `right`", ""),
        ({"direction": "Right"}, "`down` or `right`", "right"),
        ({"theme": "drak"}, "`light` or `dark`", "dark"),
        ({"theme": 5}, "`light` or `dark`", ""),
        ({"heat": "flops"}, "`params`, `macs`, `memory` or None", "macs"),
        ({"heat": "parameters"}, "`params`, `macs`, `memory` or None", "params"),
        ({"heat": ["macs"]}, "`params`, `macs`, `memory` or None", ""),
        ({"show": ["flops"]}, "`shapes`, `params`, `macs` or `memory`", "macs"),
        ({"show": "shape"}, "`shapes`, `params`, `macs` or `memory`", "shapes"),
        ({"show": ["params", None]}, "`shapes`, `params`, `macs` or `memory`", ""),
        ({"show": None}, "any of `shapes`, `params`, `macs`, `memory`", ""),
        ({"show": 5}, "any of `shapes`, `params`, `macs`, `memory`", ""),
        ({"show": {"params": True}}, "any of `shapes`, `params`, `macs`, `memory`", ""),
    ],
    ids=repr,
)
def test_options_of_a_drawing_that_do_not_exist(options: dict[str, Any], accepted: str, near: str, tmp_path: Path) -> None:
    text = refused("invalid-argument", resnet_spec.draw, SPEC, tmp_path / "x.svg", **options)
    assert f"`{next(iter(options))}` takes {accepted}, not " in text
    assert (f"did you mean `{near}`?" in text) if near else ("did you mean" not in text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("show", ["params", "params,macs", "", (), ["macs"], {"shapes"}, iter(["memory"]), np.array(["macs"])])
def test_what_boxes_show_may_be_one_name_or_any_iterable(show: Any) -> None:
    assert resnet_spec.draw(SPEC, show=show).startswith("<?xml")


def test_one_name_is_not_taken_for_its_letters() -> None:
    assert resnet_spec.draw(SPEC, show="macs", detail="op") == resnet_spec.draw(SPEC, show=["macs"], detail="op")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.gif", "`gif`"),
        ("x.jpg", "did you mean `png`?"),
        ("x", "the picture has no format"),
        ("x.dot.bak", "`bak`"),
        ("x.svgz", "svg"),
    ],
)
def test_a_format_that_does_not_exist(name: str, message: str, tmp_path: Path) -> None:
    text = refused("unknown-format", resnet_spec.draw, SPEC, tmp_path / name)
    assert message in text
    assert ".svg, .png, .pdf or .dot" in text
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_spec_is_still_an_error_of_the_spec() -> None:
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(SPEC, input=(3, 2, 2))
    assert caught.value.exit_code == 1
    assert not isinstance(caught.value, ValueError)


def test_the_names_of_the_package_can_all_be_had() -> None:
    for name in resnet_spec.__all__:
        assert getattr(resnet_spec, name) is not None
