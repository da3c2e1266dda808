"""The formats of exports: which file names are accepted, and what is suggested for others. No torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_spec.diagnostics import ArgumentError
from resnet_spec.outputs.exporting.formats import FORMATS, OPTIONS, find_format, refuse_option


@pytest.mark.parametrize("name", ["net.onnx", "a.b.pt2", "NET.SAFETENSORS", "folder.x/net.Onnx"])
def test_the_suffix_selects_the_format(name: str) -> None:
    assert find_format(Path(name)).suffix == name.rpartition(".")[2].lower()


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("net.onx", "did you mean `net.onnx`?"),
        ("net.safetensor", "did you mean `net.safetensors`?"),
        ("net.pt", "`.safetensors` holds the weights, without a pickle; `.pt2` the network with them, for torch alone"),
        ("net.pth", "`.safetensors` holds the weights"),
        ("net.torchscript", "torch has replaced TorchScript by torch.export: write `.pt2`"),
        ("net.engine", "write `.onnx`, which the converters of these engines read"),
        ("net", "`resnet-spec export --list` shows the formats"),
        ("net.jpeg", "`resnet-spec export --list` shows the formats"),
    ],
)
def test_another_suffix_is_refused_with_a_way_out(name: str, help: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        find_format(Path(name))
    (found,) = raised.value.diagnostics
    assert found.code == "export-format"
    assert found.help.startswith(help)
    assert ".py, .onnx, .pt2 or .safetensors" in found.message


def test_each_format_takes_an_option_or_says_why_not() -> None:
    for form in FORMATS:
        assert form.options | set(form.reasons) == set(OPTIONS)
        assert not form.options & set(form.reasons)
        for option in form.reasons:
            (found,) = refuse_option(form, option).diagnostics
            assert form.reasons[option] in found.message


def test_no_format_is_listed_twice() -> None:
    suffixes = [form.suffix for form in FORMATS]
    assert len(set(suffixes)) == len(suffixes)
