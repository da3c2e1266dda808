"""Files of weights: what is written is read back, and malformed files are refused."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save
from torch import nn

from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.training.images import prepare
from resnet_spec.weights.file import read_facts, read_weights, sort_metadata, write_weights
from resnet_spec.weights.metadata import PREFIX, WeightsFacts, preparation_data, read_preparation
from tests.training.small import data, from_files, in_memory, recipe

pytestmark = pytest.mark.torch
PREPARED = Preparation(3, (8, 6), (10, 12), "bicubic", (8, 6), (0.1, 0.2, 0.3), (0.4, 0.5, 1e-7))
FACTS = WeightsFacts("net", "v1:abc", "spec: 1\nname: net\n", ("cat", "dog"), PREPARED, "quick", "folder:images", 3, 120)
ODD = ["", " ", "a\nb", "\x1b[31mred", "<b>", "日本語", "\u202eevil", "a\0b", "'\"\\", "x" * 300, "007", "null", "\U0001f600"]


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(3, 2))


def facts_of(path: Path, facts: WeightsFacts) -> WeightsFacts:
    write_weights(path, small(), facts)
    return read_facts(path)


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(ODD) | st.text(), min_size=1, max_size=5).map(tuple),
    st.sampled_from(ODD[1:]) | st.text(st.characters(codec="utf-8"), min_size=1),
    st.integers(0, 10**9),
)
def test_facts_come_back_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, classes: tuple[str, ...], name: str, step: int
) -> None:
    facts = replace(FACTS, name=name, classes=classes, spec=name, recipe=name, data=name, step=step)
    assert facts_of(tmp_path_factory.mktemp("weights") / "w.safetensors", facts) == facts


def test_a_name_that_is_no_text_becomes_one(tmp_path: Path) -> None:
    """A folder whose name is not UTF-8 has halves of surrogates in its name."""
    found = facts_of(tmp_path / "w.safetensors", replace(FACTS, data="folder:\udcff", classes=("\udcff", "b")))
    assert found.data == "folder:\\udcff"
    assert found.classes == ("\udcff", "b")


def test_what_a_module_that_is_not_from_a_spec_has_not_got_comes_back_empty(tmp_path: Path) -> None:
    facts = replace(FACTS, spec="", fingerprint="", recipe="", data="", epoch=0, step=0)
    assert facts_of(tmp_path / "w.safetensors", facts) == facts


def test_the_tensors_come_back_with_their_bits_and_order_of_memory_does_not_matter(tmp_path: Path) -> None:
    module = small().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    write_weights(tmp_path / "a", module, FACTS)
    found = load_file(tmp_path / "a")
    assert found.keys() == module.state_dict().keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in module.state_dict().items())
    assert found["1.num_batches_tracked"].dtype == torch.int64
    plain = small()
    plain.load_state_dict(module.state_dict())
    write_weights(tmp_path / "b", plain, FACTS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert list(tmp_path.glob("*.tmp")) == []


def test_the_bytes_are_those_of_the_library_but_for_the_order_of_the_metadata() -> None:
    tensors = {"b": torch.arange(5.0), "a": torch.ones(2, 3, dtype=torch.bfloat16)}
    data = sort_metadata(save(tensors, {"z": "1", "a": "2", "ö": "\n"}))
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    assert list(json.loads(data[8 : 8 + length])["__metadata__"]) == ["a", "z", "ö"]
    assert sort_metadata(data) == data
    assert sort_metadata(save(tensors, {"ö": "\n", "a": "2", "z": "1"})) == data


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"resize": [10, 12]},
        {"resize": 10, "crop": [8, 6]},
        {"crop": 5},
        {"augment": {"random_resized_crop": {}}, "resize": 9},
    ],
)
@pytest.mark.parametrize("size", [None, (8, 6), (20, 20)])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_every_preparation_that_is_made_is_read_back(
    fields: dict[str, object], size: tuple[int, int] | None, channels: int
) -> None:
    source = data(from_files(2) if size is None else in_memory(2), channels=channels, size=size)
    made, _ = prepare(recipe(**fields), source, (channels, 8, 6))
    assert read_preparation(json.loads(json.dumps(preparation_data(made)))) == made
    assert read_preparation(preparation_data(made)) == made


# --- malformed files -----------------------------------------------------------------------------------------------------

GOOD = preparation_data(PREPARED)


def changed(**fields: object) -> str:
    return json.dumps({**GOOD, **fields})


def every(key: str, *values: object) -> list[dict[str, str | None]]:
    """Preparations that are wrong in one field."""
    return [{"preparation": changed(**{key: value})} for value in values]


NESTED = "[" * 100_000
NAN, INFINITY, HUGE = float("nan"), float("inf"), 10**400
HOSTILE: list[Mapping[str, str | None]] = [
    *({"classes": text} for text in (None, "", "cat", "[", "{}", '"ab"', "[1]", "[null]", "[[]]", "[]", "7", "null", "NaN")),
    *({"classes": text} for text in (NESTED, '{"a":' * 100_000)),
    *({"preparation": text} for text in (None, "", "[", "[]", "null", "3", '"size"', "{}", NESTED)),
    *every("channels", 0, -1, 2, 1.0, True, "3", None, [3], 10**30, 5000),
    *every("size", None, 8, [8], [8, 6, 1], [0, 6], [-8, 6], [8.0, 6], [10**9, 6], "86", [7, 6]),
    *every("resize", 0, -1, True, 1.5, "8", [8], [8, 0], {}, 10**30),
    *every("crop", None, 8, [8], [8, 0], [8, True], "86", [8, 7], [7, 6]),
    *every("interpolation", None, "lanczos", [], {}, 1),
    *every("mean", None, 0.5, [], [0.1, 0.2], "123", ["a"] * 3, [None] * 3, {"1": 1, "2": 2, "3": 3}),
    *(each for key in ("mean", "std") for value in (NAN, INFINITY, HUGE, True, "1", [1]) for each in every(key, [value] * 3)),
    *every("std", [0, 1, 1], [-1, 1, 1], [0.0] * 3),
    {"preparation": changed(crop=None, resize=8)},
    {"preparation": changed().replace("0.1", "1e999")},
    *({"preparation": json.dumps({k: v for k, v in GOOD.items() if k != key})} for key in GOOD),
    *({"epoch": text} for text in ("-1", "1.5", "x", "\u0967", "9" * 5000, " 1")),
    *({"step": text} for text in ("-1", "1e3", "0x1")),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_metadata_that_are_not_what_they_should_be_are_refused(number: int, tmp_path: Path) -> None:
    values: dict[str, str | None] = {"classes": '["cat", "dog"]', "preparation": changed(), "epoch": "1", **HOSTILE[number]}
    metadata = {PREFIX + key: value for key, value in values.items() if value is not None}
    path = tmp_path / "w.safetensors"
    path.write_bytes(save({"a": torch.zeros(1)}, metadata))
    with pytest.raises(ResnetSpecError) as caught:
        read_facts(path)
    (finding,) = caught.value.diagnostics
    assert finding.code == "weights-without-facts"
    assert len(finding.message) < 500
    assert finding.help


def test_the_least_that_is_needed_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "named after the file.safetensors"
    path.write_bytes(save({"a": torch.zeros(1)}, {PREFIX + "classes": '["cat"]', PREFIX + "preparation": changed()}))
    assert read_facts(path) == WeightsFacts("named after the file", "", "", ("cat",), PREPARED, "", "", 0, 0)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\0" * 8, b"\xff" * 100, (10**18).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]", None],
)
def test_what_is_no_file_of_weights_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "w\x1b[31m.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ResnetSpecError) as caught:
        read_facts(path)
    (finding,) = caught.value.diagnostics
    assert finding.code in ("unreadable-file", "weights-without-facts")
    assert finding.message.isprintable()


def header(shape: list[int], end: int) -> bytes:
    """A file of one tensor that its header says is `shape` float32 numbers up to byte `end`, and 16 bytes of numbers."""
    text = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        header([1 << 20], 1 << 22),
        header([1 << 20], 16),
        header([1 << 62, 1 << 62], 16),
        (200_000_000).to_bytes(8, "little") + b"{" + b" " * 1000,
    ],
    ids=["beyond the file", "more numbers than bytes", "a product beyond 64 bits", "a header of 200 MB"],
)
def test_a_header_that_asks_for_more_than_the_file_has_allocates_nothing(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ResnetSpecError) as caught:
            read_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert [finding.code for finding in caught.value.diagnostics] == ["unreadable-file"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_no_file_of_weights_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.safetensors")
    with pytest.raises(ResnetSpecError) as caught:
        read_weights(tmp_path / "w.safetensors")
    (finding,) = caught.value.diagnostics
    assert finding.code == "unreadable-file"
    assert finding.message.endswith("w.safetensors: not a regular file")


def test_weights_without_our_metadata_are_refused(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {"classes": "[]"}):
        (tmp_path / "w").write_bytes(save({"a": torch.zeros(1)}, metadata))
        with pytest.raises(ResnetSpecError) as caught:
            read_facts(tmp_path / "w")
        assert caught.value.diagnostics[0].code == "weights-without-facts"


@settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner, max_size=7),
        max_leaves=12,
    ),
    st.sampled_from([*GOOD, ""]),
)
def test_anything_in_the_place_of_a_preparation_is_read_or_refused(value: object, key: str) -> None:
    found = {**GOOD, key: value} if key else value
    try:
        made = read_preparation(found)
    except (ValueError, KeyError, TypeError):
        return
    assert len(made.mean) == len(made.std) == made.channels
    assert made.apply(in_memory(1).read(0)).shape[:2] == made.size
