"""The encoding of a file that is not UTF-8 is guessed, and the command that converts it is one that works."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from resnet_spec.diagnostics import RecipeError, SpecError
from resnet_spec.language.encodings import guess_encoding
from resnet_spec.language.files import decode
from resnet_spec.language.reader import MAX_BYTES

SPEC = "spec: 1\nabout: {}\nextends: resnet18\n"
TEXTS = [
    ("gbk", "\u6211\u7684\u7f51\u7edc"),  # my network
    ("gbk", "\u6b8b\u5dee\u7f51\u7edc\uff0c\u7528\u4e8e\u56fe\u50cf\u5206\u7c7b"),
    ("shift_jis", "\u79c1\u306e\u30cd\u30c3\u30c8\u30ef\u30fc\u30af"),
    ("shift_jis", "\u753b\u50cf\u5206\u985e\u7528\u306e\u6b8b\u5dee\u30cd\u30c3\u30c8"),
    ("latin-1", "R\xe9seau r\xe9siduel"),
    ("latin-1", "Gr\xf6\xdfe"),
    ("latin-1", "10 \xb5m"),
    ("cp1252", "\u201cquoted\u201d net"),
    ("utf-16", "mine"),
    ("utf-16", "\u6211\u7684"),
    ("utf-16-le", "mine"),
    ("utf-16-be", "mine"),
    ("utf-32", "mine"),
]


@pytest.mark.parametrize(("encoding", "text"), TEXTS)
def test_the_command_converts_the_file_to_the_text_that_was_meant(encoding: str, text: str) -> None:
    meant = SPEC.format(text)
    with pytest.raises(SpecError) as error:
        decode(meant.encode(encoding), "my spec.yaml")
    (finding,) = error.value.diagnostics
    assert finding.code == "not-utf-8"
    words = shlex.split(finding.help.partition("`")[2].partition("`")[0])
    assert (words[0], words[3:6]) == ("iconv", ["-t", "UTF-8", "my spec.yaml"])
    assert meant.encode(encoding).decode(words[2]).lstrip("\ufeff") == meant


@pytest.mark.parametrize("data", [b"\xff", b"\x80\x81\x00", b"name: \xc3\x28\xa0\xa1\xe2\x28\xa1\n" * 3, b"a\x00\x01\xff"])
def test_without_an_idea_nothing_is_guessed(data: bytes) -> None:
    with pytest.raises(SpecError) as error:
        decode(data, "x.yaml")
    (finding,) = error.value.diagnostics
    assert ("iconv" in finding.help) == bool(guess_encoding(data))


@pytest.mark.torch
@pytest.mark.parametrize("suffix", ["pth", "legacy.pth", "safetensors"])
def test_a_file_of_weights_in_the_place_of_a_spec_is_named(suffix: str, tmp_path: Path) -> None:
    """Also one that is larger than any spec may be."""
    import torch
    from safetensors.torch import save_file

    file = tmp_path / f"net.{suffix}"
    tensors = {"weight": torch.randn(1 << 19)}
    if suffix == "safetensors":
        save_file(tensors, file)
    else:
        torch.save(tensors, file, _use_new_zipfile_serialization="legacy" not in suffix)
    with pytest.raises(SpecError) as error:
        decode(file.read_bytes()[: MAX_BYTES + 1], file.name)
    (finding,) = error.value.diagnostics
    assert finding.message.startswith(f"{file.name} is a")
    assert finding.message.endswith("and no spec")
    assert f"--weights {file.name}" in finding.help


def test_an_image_in_the_place_of_a_recipe_is_named() -> None:
    with pytest.raises(RecipeError, match=r"photo\.png is an image, and no recipe"):
        decode(b"\x89PNG\r\n\x1a\n\0\xff", "photo.png", "recipe")


def test_utf_8_with_and_without_a_mark_is_read_as_it_is() -> None:
    for text in ("spec: 1\n", SPEC.format("\u6211\u7684"), ""):
        assert decode(text.encode(), "x").text == decode(b"\xef\xbb\xbf" + text.encode(), "x").text == text
