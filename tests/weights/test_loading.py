"""Loading weights into a network: what differs is named, and nothing is loaded by halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import resnet_spec
from resnet_spec import api
from resnet_spec.diagnostics import ArgumentError, ResnetSpecError, WeightsError
from resnet_spec.weights.refusal import SHOWN
from tests.weights.starting import start_from

pytestmark = pytest.mark.torch

SPEC: dict[str, Any] = {
    "spec": 1,
    "name": "small",
    "input": "3x4x4",
    "classes": 4,
    "stem": {
        "conv": {"op": "conv2d", "out_channels": 8, "kernel_size": 3},
        "bn": "batch_norm",
        "flatten": "flatten",
        "fc": {"op": "linear", "out_features": "classes"},
    },
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    api.write_initial_weights(resnet_spec.analyze(SPEC), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def change(path: Path, **tensors: torch.Tensor | None) -> Path:
    """The file with other tensors, and without metadata."""
    found: dict[str, torch.Tensor | None] = {**load_file(path), **{key.replace("__", "."): t for key, t in tensors.items()}}
    save_file({key: tensor for key, tensor in found.items() if tensor is not None}, path)
    return path


def test_what_was_written_is_loaded(written: Path) -> None:
    network = resnet_spec.build(SPEC, weights=written)
    assert all(torch.equal(tensor, load_file(written)[key]) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fc__weight": None}, "`fc.weight` is missing"),
        ({"more": torch.zeros(2)}, "`more` is not expected"),
        ({"fc__weight": torch.zeros(4, 33)}, "`fc.weight` is 4x33 and should be 4x32"),
        ({"fc__bias": torch.zeros(())}, "`fc.bias` is a single number and should be 4"),
        ({"bn__num_batches_tracked": torch.zeros(1, dtype=torch.int64)}, "is 1 and should be a single number"),
        ({"fc__bias": torch.zeros(4, dtype=torch.complex64)}, "`fc.bias` is complex64, which cannot be converted to float32"),
        (
            {"fc__bias": torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)},
            "`fc.bias` is float4_e2m1fn_x2, which cannot be converted to float32",
        ),
        ({"\x1b[31m": torch.zeros(1)}, "`\\x1b[31m` is not expected"),
    ],
)
def test_tensors_that_differ_are_named(written: Path, changes: dict[str, torch.Tensor | None], expected: str) -> None:
    with pytest.raises(WeightsError) as caught:
        resnet_spec.build(SPEC, weights=change(written, **changes))
    (finding,) = caught.value.diagnostics
    assert finding.code == "other-weights"
    assert expected in finding.message
    assert finding.message.isprintable()


def test_the_error_for_other_tensors_is_a_runtime_error_too(written: Path) -> None:
    """As `load_state_dict` raises, which `build` promised."""
    with pytest.raises(RuntimeError, match=r"fc\.weight"):
        resnet_spec.build(SPEC, weights=change(written, fc__weight=None))


def test_of_many_differing_tensors_the_first_are_named(written: Path) -> None:
    other = {key.replace(".", "__"): torch.zeros(99) for key in load_file(written)}
    with pytest.raises(WeightsError) as caught:
        resnet_spec.build(SPEC, weights=change(written, **other))
    (finding,) = caught.value.diagnostics
    assert finding.message.count(" should be ") == SHOWN
    assert f"and {len(other) - SHOWN} more differ" in finding.message
    assert "`conv.weight` is 99 and should be 8x3x3x3" in finding.message


def test_a_fingerprint_of_another_network_is_refused_unless_that_is_wanted(written: Path) -> None:
    relu = {**SPEC, "stem": {"conv": SPEC["stem"]["conv"], "bn": "batch_norm", "relu": "relu", **SPEC["stem"]}}
    with pytest.raises(WeightsError) as caught:
        resnet_spec.build(relu, weights=written)
    assert caught.value.diagnostics[0].code == "other-fingerprint"
    assert "any_fingerprint=True" in caught.value.diagnostics[0].help
    assert resnet_spec.build(relu, weights=written, any_fingerprint=True) is not None


@pytest.mark.parametrize("name", ["missing", "a\0b", "\udcff", ".", "x" * 5000, "text"])
def test_a_file_that_cannot_be_read_is_an_argument_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "text").write_text("no weights", encoding="utf-8")
    with pytest.raises(ArgumentError) as caught:
        resnet_spec.build(SPEC, weights=tmp_path / name)
    (finding,) = caught.value.diagnostics
    assert finding.code == "unreadable-file"
    assert finding.message.isprintable()


def test_training_refuses_numbers_that_cannot_be_converted(written: Path) -> None:
    analysis = resnet_spec.analyze({**SPEC, "classes": 7})
    change(written, fc__bias=torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2))
    start_from(resnet_spec.build(analysis), analysis, written)  # the head is reinitialized
    analysis = resnet_spec.analyze(SPEC)
    with pytest.raises(WeightsError, match=r"`fc.bias` is float4_e2m1fn_x2"):
        start_from(resnet_spec.build(analysis), analysis, written)
    change(written, conv__bias=torch.zeros(8, dtype=torch.uint8).view(torch.float4_e2m1fn_x2))
    with pytest.raises(WeightsError, match=r"`conv.bias` is float4_e2m1fn_x2"):
        start_from(resnet_spec.build(analysis), analysis, written)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.int8])
def test_numbers_of_other_types_are_converted(written: Path, dtype: torch.dtype) -> None:
    change(written, fc__bias=torch.ones(4).to(dtype))
    network = resnet_spec.build(SPEC, weights=written)
    assert torch.equal(network.get_parameter("fc.bias"), torch.ones(4))


def test_training_starts_from_all_tensors_but_a_head_for_other_classes(written: Path) -> None:
    analysis = resnet_spec.analyze({**SPEC, "classes": 7})
    network = resnet_spec.build(analysis)
    before = network.get_parameter("fc.weight").clone()
    note = start_from(network, analysis, written)
    assert "fc.bias, fc.weight reinitialized for 7 classes" in note
    assert torch.equal(network.get_parameter("conv.weight"), load_file(written)["conv.weight"])
    assert torch.equal(network.get_parameter("fc.weight"), before)


def test_training_does_not_start_from_another_network(written: Path) -> None:
    analysis = resnet_spec.analyze(SPEC)
    network = resnet_spec.build(analysis)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(ResnetSpecError, match=r"`conv.weight` is 8x3x5x5 and should be 8x3x3x3"):
        start_from(network, analysis, change(written, conv__weight=torch.zeros(8, 3, 5, 5)))
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_logits_of_one_image_do_not_depend_on_where_a_file_has_its_tensors(tmp_path: Path) -> None:
    """They are rounded by the address of the matrix, and what is mapped has any address."""
    spec: dict[str, Any] = {
        **SPEC,
        "stem": {"flatten": "flatten", "fc": {"op": "linear", "out_features": 500}},
        "input": "3x16x16",
    }
    generator = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(*shape, generator=generator) for shape in ((500, 768), (500,), (1, 3, 16, 16)))
    expected = torch.nn.functional.linear(x.flatten(1), weight, bias)
    for padding in range(0, 64, 8):
        save_file({"fc.weight": weight, "fc.bias": bias}, tmp_path / "w.safetensors", {"padding": " " * padding})
        with torch.no_grad():
            assert torch.equal(resnet_spec.build(spec, weights=tmp_path / "w.safetensors")(x), expected)


def test_tensors_that_share_their_numbers_in_a_pickle_have_their_own(tmp_path: Path) -> None:
    state = dict(resnet_spec.build("cifar_resnet20").state_dict())
    ones = torch.ones(16)
    state["bn1.running_var"] = state["layer1.0.bn1.running_var"] = ones
    torch.save(state, tmp_path / "shared.pth")
    network = resnet_spec.build("cifar_resnet20", weights=tmp_path / "shared.pth")
    loaded = network.state_dict()
    assert torch.equal(loaded["bn1.running_var"], ones)
    assert loaded["bn1.running_var"].data_ptr() != loaded["layer1.0.bn1.running_var"].data_ptr()


def test_a_part_of_a_network_has_the_weights_of_the_whole(tmp_path: Path) -> None:
    whole = resnet_spec.build("cifar_resnet20").eval()
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    part = resnet_spec.build("cifar_resnet20", weights=tmp_path / "w.safetensors", outputs="layer2").eval()
    images = torch.rand(2, 3, 32, 32)
    found: list[torch.Tensor] = []
    whole.get_submodule("layer2").register_forward_hook(lambda module, args, output: found.append(output))
    whole(images)
    assert torch.equal(part(images), found[0])
